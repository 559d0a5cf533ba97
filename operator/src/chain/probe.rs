//! What the worker asks the chain.

use alloy::primitives::{Address, Bytes, U64, U256};
use protocol::types::B256;
use serde_json::json;

use super::{
    ChainError,
    calls::Call,
    fees::Market,
    reader::EvmReader,
    rpc::Rpc,
    wire::{Header, Receipt},
};

/// What a node that cannot say is taken to want as tip, in wei.
const DEFAULT_TIP: u128 = 1_000_000_000;

/// Gas the call would use now.
///
/// # Errors
/// [`ChainError::Reverted`] if it would revert: nothing was paid.
pub(super) async fn estimate(rpc: &Rpc, from: Address, call: &Call) -> Result<u64, ChainError> {
    let data = Bytes::from(call.data.clone());
    let gas: U64 = rpc
        .call(
            "eth_estimateGas",
            json!([{"from": from, "to": call.to, "data": data}, "latest"]),
        )
        .await?;
    Ok(gas.to())
}

/// A quarter more than estimated, since state moves on until the call is mined, but no more than a block holds.
pub(super) fn with_margin(estimate: u64, head: &Header) -> u64 {
    let limit = estimate.saturating_add(estimate / 4).saturating_add(10_000);
    match head.gas_limit.map(|g| u64::try_from(g).unwrap_or(u64::MAX)) {
        Some(block) if block >= estimate => limit.min(block),
        _ => limit,
    }
}

pub(super) async fn market(rpc: &Rpc, head: &Header) -> Result<Market, ChainError> {
    let narrow = |price: U256| u128::try_from(price).unwrap_or(u128::MAX);
    match head.base_fee_per_gas {
        Some(base_fee) => {
            let tip = rpc
                .call::<U256>("eth_maxPriorityFeePerGas", json!([]))
                .await
                .map_or(DEFAULT_TIP, narrow);
            Ok(Market::Dynamic {
                base_fee: narrow(base_fee),
                tip,
            })
        }
        None => Ok(Market::Legacy {
            gas_price: narrow(rpc.call("eth_gasPrice", json!([])).await?),
        }),
    }
}

pub(super) async fn receipt(reader: &EvmReader, hash: B256) -> Result<Option<Receipt>, ChainError> {
    reader.rpc().call("eth_getTransactionReceipt", json!([hash])).await
}

/// The receipt's block is the chain's block of that number.
async fn is_canonical(reader: &EvmReader, receipt: &Receipt) -> Result<bool, ChainError> {
    let (Some(number), Some(hash)) = (receipt.block_number, receipt.block_hash) else {
        return Ok(false);
    };
    Ok(reader
        .header(number.to())
        .await?
        .is_some_and(|header| header.hash == hash))
}

/// Of these transactions the one that is in the canonical chain up to block `head`, if one is.
pub(super) async fn mined_of(
    reader: &EvmReader,
    hashes: impl Iterator<Item = B256>,
    head: u64,
) -> Result<Option<B256>, ChainError> {
    for hash in hashes {
        let Some(receipt) = receipt(reader, hash).await? else {
            continue;
        };
        let known = receipt.block_number.is_some_and(|n| n.to::<u64>() <= head);
        if known && is_canonical(reader, &receipt).await? {
            return Ok(Some(hash));
        }
    }
    Ok(None)
}
