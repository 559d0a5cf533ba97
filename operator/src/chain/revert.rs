//! Readable names for the contracts' custom errors.

use std::sync::LazyLock;

use alloy::{
    dyn_abi::{DynSolValue, ErrorExt},
    json_abi::{Error, JsonAbi},
    sol_types::{Panic, Revert, SolError, decode_revert_reason},
};

use super::bindings::{MANAGER_JSON, TASK_JSON, TOKEN_JSON};

static ERRORS: LazyLock<Vec<Error>> = LazyLock::new(|| {
    let mut errors = Vec::new();
    for json in [TASK_JSON, MANAGER_JSON, TOKEN_JSON] {
        let abi = serde_json::from_str::<serde_json::Value>(json)
            .ok()
            .and_then(|v| serde_json::from_value::<JsonAbi>(v.get("abi")?.clone()).ok())
            .unwrap_or_default();
        errors.extend(abi.errors().cloned());
    }
    errors
});

/// `WrongPhase(3)`, `AlreadyContributed()`, a revert string, or the raw bytes if nobody knows them.
pub(super) fn reason(data: &[u8]) -> String {
    if data.is_empty() {
        return "without a reason".to_owned();
    }
    for error in ERRORS.iter().filter(|e| data.starts_with(e.selector().as_slice())) {
        if let Ok(decoded) = error.decode_error(data) {
            let arguments: Vec<String> = decoded.body.iter().map(show).collect();
            return format!("{}({})", error.name, arguments.join(", "));
        }
    }
    if (data.starts_with(&Revert::SELECTOR) || data.starts_with(&Panic::SELECTOR))
        && let Some(text) = decode_revert_reason(data)
    {
        return text.strip_prefix("revert: ").unwrap_or(&text).to_owned();
    }
    let shown = &data[..data.len().min(36)];
    format!(
        "unknown error 0x{}{}",
        hex::encode(shown),
        if shown.len() < data.len() { "…" } else { "" }
    )
}

fn show(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(b) => b.to_string(),
        DynSolValue::Int(i, _) => i.to_string(),
        DynSolValue::Uint(u, _) => u.to_string(),
        DynSolValue::FixedBytes(b, n) => format!("0x{}", hex::encode(&b[..*n])),
        DynSolValue::Address(a) => a.to_string(),
        DynSolValue::String(s) => format!("{s:?}"),
        DynSolValue::Bytes(b) => format!("0x{}", hex::encode(b)),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_errors_of_all_contracts_read_as_their_names() {
        assert!(ERRORS.len() > 30, "{}", ERRORS.len());
        let selector = |signature: &str| alloy::primitives::keccak256(signature)[..4].to_vec();
        let mut data = selector("WrongRound(uint256)");
        data.extend([0u8; 31]);
        data.push(7);
        assert_eq!(reason(&data), "WrongRound(7)");
        assert_eq!(reason(&selector("AlreadyContributed()")), "AlreadyContributed()");
        let mut data = selector("CreatorNotAllowed(address)");
        data.extend([0u8; 12]);
        data.extend([0x11; 20]);
        assert_eq!(
            reason(&data),
            "CreatorNotAllowed(0x1111111111111111111111111111111111111111)"
        );
        assert!(reason(&selector("ERC20InsufficientBalance(address,uint256,uint256)")).contains("unknown"));
    }

    #[test]
    fn strings_panics_and_rubbish_are_shown_too() {
        let string = Revert::from("no").abi_encode();
        assert_eq!(reason(&string), "no");
        assert!(reason(&Panic::from(alloy::sol_types::PanicKind::UnderOverflow).abi_encode()).contains("overflow"));
        assert_eq!(reason(&[0xde, 0xad]), "unknown error 0xdead");
        assert_eq!(reason(&[]), "without a reason");
    }
}
