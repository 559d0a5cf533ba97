//! JSON-RPC's texts: what a node answers, and what it reads of a question.

use alloy::primitives::Address;
use operator::chain::transport::CallError;
use serde_json::Value;

use crate::chain::Block;

pub(super) fn refused(message: &str) -> CallError {
    CallError::Rpc {
        code: -32000,
        message: message.to_owned(),
        data: None,
    }
}

pub(super) fn reverted(why: &str) -> CallError {
    CallError::Rpc {
        code: 3,
        message: format!("execution reverted: {why}"),
        data: None,
    }
}

pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("\"0x{}\"", alloy::hex::encode(bytes))
}

pub(super) fn address(value: &Value) -> Option<Address> {
    value.as_str()?.parse().ok()
}

pub(super) fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

pub(super) fn header(block: &Block) -> String {
    format!(
        r#"{{"number":"{:#x}","hash":"{}","parentHash":"{}","timestamp":"{:#x}","baseFeePerGas":"{:#x}","gasLimit":"0x1c9c380"}}"#,
        block.number, block.hash, block.parent, block.time, block.base_fee
    )
}
