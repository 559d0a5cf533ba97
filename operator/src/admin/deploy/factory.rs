//! The CREATE2 factory: the address everybody knows, one of our own, or any that has the very same code.
//!
//! Its code takes a salt and creation code, deploys them with CREATE2 and returns the address. It has no owner, no state
//! and no choice, so that it does not matter whose transaction put it there.

use std::{fmt, str::FromStr};

use alloy::primitives::{Address, B256, Bytes, TxKind, U64, U256, address, hex, keccak256};
use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::super::{amount::show_amount, connect::Connection, send::Account};
use crate::chain::ChainError;

/// The deterministic deployment proxy, there on nearly every chain.
const WELL_KNOWN: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// Whoever recovers from the presigned transaction's made-up signature: nobody has its key.
const PRESIGNER: Address = address!("3fab184622dc19b6109349b94811493bf2a45362");
/// The transaction that puts the well-known proxy onto a chain. It names no chain (it is older than EIP-155), so it is
/// valid on every chain that takes such transactions.
const PRESIGNED: &[u8] = &hex!(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba0222222222222222222222222222222"
    "2222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
);
/// What the presigned transaction offers per gas: fixed for ever, so a chain that asks for more cannot take it.
const PRESIGNED_PRICE: u64 = 100_000_000_000;
const PRESIGNED_GAS: u64 = 100_000;
/// The factory's code.
pub(super) const CODE: &[u8] = &hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b"
    "8082525050506014600cf3"
);
/// Creates the factory.
const CREATION: &[u8] = &hex!(
    "604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0360160008160208237803582"
    "8234f58015156039578182fd5b8082525050506014600cf3"
);

/// How a person names the factory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactoryChoice {
    /// The one at the address everybody knows, deployed by its presigned transaction where it is missing.
    WellKnown,
    /// One of the key's own, deployed by the first transaction the key ever sends on this chain.
    Own,
    At(Address),
}

impl FromStr for FactoryChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "well-known" => Ok(Self::WellKnown),
            "own" => Ok(Self::Own),
            text => text
                .parse()
                .map(Self::At)
                .map_err(|_| "expected well-known, own, or an address".to_owned()),
        }
    }
}

impl fmt::Display for FactoryChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WellKnown => f.write_str("well-known"),
            Self::Own => f.write_str("own"),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

impl FactoryChoice {
    /// Where the factory is or will be. `key`: the account that deploys.
    pub(super) fn address(self, key: Address) -> Address {
        match self {
            Self::WellKnown => WELL_KNOWN,
            Self::Own => key.create(0),
            Self::At(address) => address,
        }
    }

    /// Whether the factory is there.
    ///
    /// # Errors
    /// If something else is, or if nothing is and nothing can be put there.
    pub(super) async fn is_there(self, chain: &Connection, key: Address) -> anyhow::Result<bool> {
        let address = self.address(key);
        let code = chain.code(address).await?;
        ensure!(
            code.is_empty() || *code == *CODE,
            "the code at {address} is not that of the CREATE2 factory; deploy with --factory own"
        );
        if !code.is_empty() {
            return Ok(true);
        }
        match self {
            Self::WellKnown => can_take_the_presigned(chain).await?,
            Self::Own => {
                let sent = chain.nonce(key, "pending").await?;
                ensure!(
                    sent == 0,
                    "{key} has sent {sent} transactions on this chain, and only the first of a key can put its own \
                     factory at {address}: deploy with a key that was never used here, on every chain the same"
                );
            }
            Self::At(_) => bail!("there is no contract at {address}"),
        }
        Ok(false)
    }

    /// Coins that putting it there costs beside the key's own gas.
    pub(super) async fn price(self, chain: &Connection) -> anyhow::Result<U256> {
        match self {
            Self::WellKnown => missing(chain).await,
            Self::Own | Self::At(_) => Ok(U256::ZERO),
        }
    }

    /// Puts the factory where it is missing.
    pub(super) async fn ensure(self, account: &Account) -> anyhow::Result<()> {
        let key = account.address();
        account.settled().await?;
        if self.is_there(&account.chain, key).await? {
            return Ok(());
        }
        let address = self.address(key);
        match self {
            Self::WellKnown => send_the_presigned(account).await?,
            Self::Own => {
                let sent = account.transact(TxKind::Create, U256::ZERO, CREATION.into()).await;
                sent.context("deploying a CREATE2 factory")?;
            }
            Self::At(_) => {}
        }
        ensure!(
            *account.chain.code(address).await? == *CODE,
            "the CREATE2 factory did not appear at {address}: does this chain derive addresses in a way of its own?"
        );
        eprintln!("deployed the CREATE2 factory at {address}");
        Ok(())
    }
}

async fn can_take_the_presigned(chain: &Connection) -> anyhow::Result<()> {
    ensure!(
        chain.nonce(PRESIGNER, "latest").await? == 0,
        "the transaction that deploys the CREATE2 factory {WELL_KNOWN} was spent on this chain without deploying it, so it \
         never can be; deploy with --factory own"
    );
    let price = chain.gas_price_floor().await?;
    ensure!(
        price <= U256::from(PRESIGNED_PRICE),
        "this chain asks {price} wei per gas, the presigned transaction that deploys the CREATE2 factory {WELL_KNOWN} \
         offers {PRESIGNED_PRICE} and cannot be changed; wait until gas is cheaper, or deploy with --factory own"
    );
    Ok(())
}

/// What the presigned transaction's account still needs.
async fn missing(chain: &Connection) -> anyhow::Result<U256> {
    let needed = U256::from(PRESIGNED_PRICE) * U256::from(PRESIGNED_GAS);
    Ok(needed.saturating_sub(chain.balance(PRESIGNER).await?))
}

async fn send_the_presigned(account: &Account) -> anyhow::Result<()> {
    let chain = &account.chain;
    let missing = missing(chain).await?;
    if !missing.is_zero() {
        // Coins sent there can never be taken back, so ask first whether the endpoint would take such a transaction at
        // all: one that does complains only that it is not paid for.
        if let Err(error) = broadcast(chain).await {
            let text = error.to_string().to_lowercase();
            let only_unpaid = ["insufficient", "balance", "funds"]
                .iter()
                .any(|word| text.contains(word));
            if !only_unpaid {
                return Err(error).with_context(refused);
            }
        }
        eprintln!(
            "paying {} coins for the CREATE2 factory's presigned transaction",
            show_amount(protocol::types::Amount(missing))
        );
        account
            .transact(TxKind::Call(PRESIGNER), missing, Bytes::new())
            .await
            .context("paying for the CREATE2 factory's presigned transaction")?;
    }
    if let Err(error) = broadcast(chain).await {
        let text = error.to_string().to_lowercase();
        if !["known", "imported", "nonce"].iter().any(|word| text.contains(word)) {
            return Err(error).with_context(refused);
        }
    }
    account.mined(keccak256(PRESIGNED)).await?;
    Ok(())
}

fn refused() -> String {
    format!(
        "the endpoint refuses the presigned transaction (without a chain id, older than EIP-155) that deploys the CREATE2 \
         factory {WELL_KNOWN}; try another endpoint, or deploy with --factory own"
    )
}

async fn broadcast(chain: &Connection) -> Result<B256, ChainError> {
    let raw = Bytes::from_static(PRESIGNED);
    chain.rpc.call("eth_sendRawTransaction", json!([raw])).await
}

impl Connection {
    /// Transactions an account has sent; `tag`: latest or pending.
    pub(in crate::admin) async fn nonce(&self, account: Address, tag: &str) -> Result<u64, ChainError> {
        let nonce: U64 = self.rpc.call("eth_getTransactionCount", json!([account, tag])).await?;
        Ok(nonce.to())
    }

    /// The least that a transaction has to offer per gas: the base fee, or what the node suggests where there is none.
    pub(super) async fn gas_price_floor(&self) -> Result<U256, ChainError> {
        match self.rpc.head().await?.base_fee_per_gas {
            Some(base) => Ok(base),
            None => self.rpc.call("eth_gasPrice", json!([])).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::{
        consensus::{Transaction, TxEnvelope},
        eips::eip2718::Decodable2718,
    };

    use super::*;

    #[test]
    fn the_presigned_transaction_makes_this_code_at_the_address_everybody_knows() {
        let transaction = TxEnvelope::decode_2718(&mut &*PRESIGNED).unwrap();
        let hash = transaction.signature_hash();
        assert_eq!(
            transaction.signature().recover_address_from_prehash(&hash).unwrap(),
            PRESIGNER
        );
        assert_eq!((transaction.nonce(), transaction.chain_id()), (0, None));
        assert_eq!(PRESIGNER.create(0), WELL_KNOWN);
        assert_eq!(transaction.gas_price(), Some(PRESIGNED_PRICE.into()));
        assert_eq!(
            (transaction.gas_limit(), transaction.value()),
            (PRESIGNED_GAS, U256::ZERO)
        );
        assert_eq!(**transaction.input(), *CREATION);
        // Creation code copies what follows its first 14 bytes onto the chain.
        assert_eq!(CREATION[14..], *CODE);
    }

    #[test]
    fn factories_are_named_by_word_or_address() {
        for choice in [
            FactoryChoice::WellKnown,
            FactoryChoice::Own,
            FactoryChoice::At(PRESIGNER),
        ] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("mine".parse::<FactoryChoice>().is_err());
    }
}
