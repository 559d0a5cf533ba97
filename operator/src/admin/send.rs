//! One account that sends, one transaction after the other, each waited for.

use std::time::{Duration, Instant};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    primitives::{Address, B256, Bytes, TxKind, U64, U256},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use super::connect::{Connection, target};
use crate::chain::{ChainError, wire::Log};

/// How long a transaction may take to be mined before the command gives up waiting.
const MINED_WITHIN: Duration = Duration::from_secs(180);
/// First pause between looks for a receipt; doubled up to the longest.
const FIRST_POLL: Duration = Duration::from_millis(50);
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// Gas is estimated on one block and used on a later one.
const GAS_MARGIN_PERCENT: u64 = 25;

/// What became of a transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub transaction_hash: B256,
    pub block_number: U64,
    #[serde(default)]
    pub status: Option<U64>,
    #[serde(default)]
    pub contract_address: Option<Address>,
    pub logs: Vec<Log>,
}

impl Receipt {
    pub fn succeeded(&self) -> bool {
        self.status.is_none_or(|status| status == U64::from(1))
    }
}

impl Connection {
    /// `None` if the transaction is not mined.
    pub async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.rpc.call("eth_getTransactionReceipt", json!([transaction])).await
    }
}

/// A key on a chain.
#[derive(Debug)]
pub struct Account {
    pub(super) chain: Connection,
    signer: PrivateKeySigner,
    legacy: bool,
    /// Tip or gas price that the node suggested first. Asked once: on a quiet chain the suggestion follows the last
    /// transactions, and one of ours (the factory's presigned one) offers far more than anybody asks.
    suggested: OnceCell<u128>,
}

impl Account {
    pub fn new(chain: Connection, signer: PrivateKeySigner) -> Self {
        Self {
            chain,
            signer,
            legacy: false,
            suggested: OnceCell::new(),
        }
    }

    /// Sends transactions of the kind that was there before EIP-1559, whatever the chain's blocks look like.
    pub fn legacy(self, legacy: bool) -> Self {
        Self { legacy, ..self }
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// The nonce of the next transaction, what is pending counted.
    pub async fn nonce(&self) -> Result<u64, ChainError> {
        self.chain.nonce(self.address(), "pending").await
    }

    /// Waits until nothing this account has sent is pending: a command that was killed may have left something.
    pub(super) async fn settled(&self) -> Result<(), ChainError> {
        let until = Instant::now() + MINED_WITHIN;
        let mut pause = FIRST_POLL;
        loop {
            let mined = self.chain.nonce(self.address(), "latest").await?;
            if self.nonce().await? <= mined {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(ChainError::ForeignPending {
                    address: self.address().to_string(),
                    nonce: mined,
                });
            }
            tracing::info!(nonce = mined, "an earlier transaction of this key is pending");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_POLL);
        }
    }

    /// Calls a contract and waits until the call is mined.
    pub async fn call<C: SolCall>(&self, contract: Address, call: C) -> Result<Receipt, ChainError> {
        self.transact(TxKind::Call(contract), U256::ZERO, call.abi_encode().into())
            .await
    }

    /// Sends one transaction and waits until it is mined. [`ChainError::Reverted`] before anything is paid if the
    /// estimate says that it would revert.
    pub async fn transact(&self, to: TxKind, value: U256, input: Bytes) -> Result<Receipt, ChainError> {
        let mut request = json!({"from": self.address(), "value": value, "input": input});
        if let TxKind::Call(address) = to {
            request["to"] = json!(address);
        }
        let gas: U64 = self.chain.rpc.call("eth_estimateGas", json!([request])).await?;
        let gas_limit = gas.to::<u64>().saturating_mul(100 + GAS_MARGIN_PERCENT) / 100;
        let nonce = self.nonce().await?;
        let raw = self.signed(to, value, input, gas_limit, nonce).await?;
        let hash: B256 = self.chain.rpc.call("eth_sendRawTransaction", json!([raw])).await?;
        tracing::info!(transaction = %hash, nonce, to = target(to), "sent");
        let receipt = self.mined(hash).await?;
        if receipt.succeeded() {
            Ok(receipt)
        } else {
            Err(ChainError::Reverted {
                reason: format!("in transaction {hash}"),
            })
        }
    }

    async fn signed(
        &self,
        to: TxKind,
        value: U256,
        input: Bytes,
        gas_limit: u64,
        nonce: u64,
    ) -> Result<Bytes, ChainError> {
        let chain_id = self.chain.identity.chain_id;
        let head = self.chain.rpc.head().await?;
        let base = head.base_fee_per_gas.filter(|_| !self.legacy);
        let envelope: TxEnvelope = if let Some(base) = base {
            let tip = *self.suggested.get_or_try_init(|| self.tip()).await?;
            // Twice the base fee outlasts six full blocks.
            let max_fee_per_gas = narrow(base)?.saturating_mul(2).saturating_add(tip);
            let mut transaction = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas: tip,
                to,
                value,
                input,
                ..Default::default()
            };
            let signature = self.sign(&mut transaction)?;
            transaction.into_signed(signature).into()
        } else {
            let gas_price = *self.suggested.get_or_try_init(|| self.gas_price()).await?;
            let mut transaction = TxLegacy {
                chain_id: Some(chain_id),
                nonce,
                gas_price,
                gas_limit,
                to,
                value,
                input,
            };
            let signature = self.sign(&mut transaction)?;
            transaction.into_signed(signature).into()
        };
        Ok(envelope.encoded_2718().into())
    }

    async fn tip(&self) -> Result<u128, ChainError> {
        match self.chain.rpc.call("eth_maxPriorityFeePerGas", json!([])).await {
            Ok(tip) => narrow(tip),
            // Not every node has the method; 1 gwei is what most wallets fall back to.
            Err(ChainError::BadAnswer(_)) => Ok(1_000_000_000),
            Err(error) => Err(error),
        }
    }

    async fn gas_price(&self) -> Result<u128, ChainError> {
        narrow(self.chain.rpc.call("eth_gasPrice", json!([])).await?)
    }

    fn sign(
        &self,
        transaction: &mut dyn SignableTransaction<alloy::primitives::Signature>,
    ) -> Result<alloy::primitives::Signature, ChainError> {
        // Signing locally with a valid key does not fail; the type is there for remote signers.
        self.signer
            .sign_transaction_sync(transaction)
            .map_err(|_| ChainError::BadAnswer("signing failed".to_owned()))
    }

    pub(super) async fn mined(&self, hash: B256) -> Result<Receipt, ChainError> {
        let until = Instant::now() + MINED_WITHIN;
        let mut pause = FIRST_POLL;
        loop {
            if let Some(receipt) = self.chain.receipt(hash).await? {
                self.chain.rpc.observe(receipt.block_number.to());
                return Ok(receipt);
            }
            if Instant::now() >= until {
                return Err(ChainError::NotMined(hash.to_string()));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_POLL);
        }
    }
}

fn narrow(fee: U256) -> Result<u128, ChainError> {
    u128::try_from(fee).map_err(|_| ChainError::BadAnswer(format!("a fee of {fee} wei")))
}
