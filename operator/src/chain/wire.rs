//! JSON-RPC answers: only the fields used, so that chains with extra ones or odd types can still be read.

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use protocol::{snapshot::BlockRef, types::Timestamp};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    pub number: U64,
    pub hash: B256,
    pub parent_hash: B256,
    pub timestamp: U64,
    /// Absent on chains without EIP-1559.
    #[serde(default)]
    pub base_fee_per_gas: Option<U256>,
    #[serde(default)]
    pub gas_limit: Option<U256>,
}

impl Header {
    pub fn block(&self) -> BlockRef {
        BlockRef {
            number: self.number.to(),
            hash: self.hash,
            timestamp: Timestamp(self.timestamp.to()),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub transaction_hash: B256,
    pub block_number: Option<U64>,
    pub block_hash: Option<B256>,
    #[serde(default)]
    pub status: Option<U64>,
    pub gas_used: U256,
    #[serde(default)]
    pub effective_gas_price: Option<U256>,
    /// What a rollup charges for its data on the chain below, in wei.
    #[serde(default)]
    pub l1_fee: Option<U256>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    pub address: Address,
    pub topics: Vec<B256>,
    pub data: Bytes,
    pub block_number: Option<U64>,
    pub transaction_hash: Option<B256>,
    pub log_index: Option<U64>,
    #[serde(default)]
    pub removed: bool,
}
