//! Whether an address holds an ERC-20 that tasks can stake.

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol_types::{SolCall, SolEvent},
};
use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::super::connect::Connection;
use crate::chain::{ChainError, bindings::token::FlockToken as Token, wire::Log};

/// How far back a holder of the token is looked for.
const LOOK_BACK: u64 = 2_000;
/// Decimals that the command line and the samples assume.
const USUAL_DECIMALS: u8 = 18;

/// What a transfer of the token does, tried out without sending anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfers {
    /// Exactly what was asked for left one account and arrived at the other.
    Exact,
    Otherwise {
        asked: U256,
        left: U256,
        arrived: U256,
    },
    /// Nobody who could try was found, or the endpoint cannot simulate.
    Untried,
}

/// Checks an existing token; `holders` are asked first whether they have some to try a transfer with.
pub(super) async fn check(chain: &Connection, token: Address, holders: &[Address]) -> anyhow::Result<Transfers> {
    ensure!(
        !chain.code(token).await?.is_empty(),
        "there is no contract at {token}, so it is no token"
    );
    let not = |what: &'static str| move || format!("the contract at {token} is no ERC-20: {what}");
    let decimals = chain
        .read(token, Token::decimalsCall {})
        .await
        .with_context(not("decimals()"))?;
    chain
        .read(token, Token::totalSupplyCall {})
        .await
        .with_context(not("totalSupply()"))?;
    let account = PROBE_RECIPIENT;
    chain
        .read(token, Token::balanceOfCall { account })
        .await
        .with_context(not("balanceOf(address)"))?;
    if decimals != USUAL_DECIMALS {
        eprintln!(
            "note: the token has {decimals} decimals; amounts of whole tokens on this command line assume \
             {USUAL_DECIMALS}, so give them in its smallest unit (12wei)"
        );
    }
    let transfers = try_transfer(chain, token, holders).await?;
    match transfers {
        Transfers::Exact => {}
        Transfers::Otherwise { asked, left, arrived } => bail!(
            "the token {token} does not move what it is asked to: of a transfer of {asked}, {left} left the sender and \
             {arrived} arrived. Tasks need exact transfers and refuse such a token (InexactTransfer)"
        ),
        Transfers::Untried => eprintln!(
            "note: no transfer of the token could be tried out. If it takes fees or moves other amounts than it is asked \
             to, every stake will be refused (InexactTransfer)"
        ),
    }
    Ok(transfers)
}

/// Nobody's account.
const PROBE_RECIPIENT: Address = Address::repeat_byte(0xf1);

async fn try_transfer(chain: &Connection, token: Address, holders: &[Address]) -> anyhow::Result<Transfers> {
    let mut candidates = holders.to_vec();
    candidates.extend(recent_recipients(chain, token).await);
    for holder in candidates {
        let balance = chain.read(token, Token::balanceOfCall { account: holder }).await?;
        if balance.is_zero() || holder == PROBE_RECIPIENT {
            continue;
        }
        match probe(chain, token, holder, balance).await {
            Ok(Some(transfers)) => return Ok(transfers),
            // This holder may not transfer (locked, blocked), or the endpoint does not simulate.
            Ok(None) | Err(ChainError::BadAnswer(_) | ChainError::Reverted { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Transfers::Untried)
}

/// Accounts that were sent some lately, newest first; none if the endpoint will not say.
async fn recent_recipients(chain: &Connection, token: Address) -> Vec<Address> {
    let Ok(head) = chain.rpc.head().await else {
        return Vec::new();
    };
    let from = head.number.to::<u64>().saturating_sub(LOOK_BACK);
    let filter = json!([{
        "address": token,
        "topics": [Token::Transfer::SIGNATURE_HASH],
        "fromBlock": format!("{from:#x}"),
        "toBlock": "latest",
    }]);
    let logs: Vec<Log> = chain.rpc.call("eth_getLogs", filter).await.unwrap_or_default();
    let mut found: Vec<Address> = Vec::new();
    for log in logs.iter().rev() {
        if let Some(to) = log.topics.get(2).map(|topic| Address::from_word(*topic))
            && !found.contains(&to)
        {
            found.push(to);
        }
        if found.len() == 8 {
            break;
        }
    }
    found
}

/// Lets `holder` send all it has, in a simulated call: the holder's account is given a small program that reads both
/// balances, transfers, and reads them again. `None`: the token does not let it.
async fn probe(
    chain: &Connection,
    token: Address,
    holder: Address,
    amount: U256,
) -> Result<Option<Transfers>, ChainError> {
    let input: Bytes = [
        Token::balanceOfCall {
            account: PROBE_RECIPIENT,
        }
        .abi_encode(),
        Token::balanceOfCall { account: holder }.abi_encode(),
        Token::transferCall {
            to: PROBE_RECIPIENT,
            value: amount,
        }
        .abi_encode(),
    ]
    .concat()
    .into();
    let overrides = json!({holder.to_string(): {"code": program(token)}});
    let parameters = json!([{"to": holder, "input": input}, "latest", overrides]);
    let answer: Bytes = chain.rpc.call("eth_call", parameters).await?;
    let words: Vec<U256> = answer.chunks_exact(32).map(U256::from_be_slice).collect();
    let &[theirs_before, ours_before, succeeded, theirs_after, ours_after] = words.as_slice() else {
        return Err(ChainError::BadAnswer(
            "the endpoint does not simulate changed code".to_owned(),
        ));
    };
    if succeeded.is_zero() {
        return Ok(None);
    }
    let left = ours_before.saturating_sub(ours_after);
    let arrived = theirs_after.saturating_sub(theirs_before);
    Ok(Some(if left == amount && arrived == amount {
        Transfers::Exact
    } else {
        Transfers::Otherwise {
            asked: amount,
            left,
            arrived,
        }
    }))
}

/// Where in memory the program keeps its five result words.
const RESULTS: u16 = 0x100;

/// EVM code that makes five calls to `token` with parts of its own input, and returns the first word each gave back (of
/// the transfer: whether it succeeded).
fn program(token: Address) -> Bytes {
    const BALANCE_OF: u8 = 36;
    const TRANSFER: u8 = 68;
    // calldatacopy(0, 0, calldatasize)
    let mut code = vec![0x36, 0x60, 0, 0x60, 0, 0x37];
    let mut call = |result: u16, from: u8, length: u8, transfer: bool| {
        let [high, low] = (RESULTS + 32 * result).to_be_bytes();
        // Size and place of the result, size and place of the input; a transfer's result is not kept.
        code.extend(if transfer {
            [0x60, 0, 0x61, high, low]
        } else {
            [0x60, 32, 0x61, high, low]
        });
        code.extend([0x60, length, 0x60, from]);
        if transfer {
            code.extend([0x60, 0]); // no coins
        }
        code.push(0x73);
        code.extend(token.as_slice());
        code.extend([0x5a, if transfer { 0xf1 } else { 0xfa }]); // gas, call or staticcall
        code.extend(if transfer {
            vec![0x61, high, low, 0x52]
        } else {
            vec![0x50]
        }); // keep the success, or drop it
    };
    call(0, 0, BALANCE_OF, false);
    call(1, BALANCE_OF, BALANCE_OF, false);
    call(2, 2 * BALANCE_OF, TRANSFER, true);
    call(3, 0, BALANCE_OF, false);
    call(4, BALANCE_OF, BALANCE_OF, false);
    let [high, low] = RESULTS.to_be_bytes();
    code.extend([0x60, 5 * 32, 0x61, high, low, 0xf3]);
    code.into()
}

/// The transaction and block of a contract's creation, for contracts whose constructor says who owns them.
pub(super) async fn origin(chain: &Connection, contract: Address) -> (Option<B256>, Option<u64>) {
    let topic = keccak256("OwnershipTransferred(address,address)");
    let filter = json!([{
        "address": contract,
        "topics": [topic, B256::ZERO],
        "fromBlock": "0x0",
        "toBlock": "latest",
    }]);
    let logs: Vec<Log> = chain.rpc.call("eth_getLogs", filter).await.unwrap_or_default();
    let first = logs.first();
    (
        first.and_then(|log| log.transaction_hash),
        first.and_then(|log| log.block_number).map(|number| number.to()),
    )
}
