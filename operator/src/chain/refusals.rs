//! What an endpoint's refusal means: the chain's own answer, or the endpoint's trouble.

use super::{ChainError, revert, transport::CallError};

/// Whether another endpoint should be asked.
pub(super) enum Failure {
    /// The chain's own answer: any endpoint would give it.
    Answer(ChainError),
    /// This endpoint's trouble.
    Endpoint(ChainError),
}

pub(super) fn classify(error: &CallError, host: &str) -> Failure {
    let trouble = |text: String| Failure::Endpoint(ChainError::Unreachable(text));
    let (code, message, data) = match error {
        CallError::Rpc { code, message, data } => (*code, message, data),
        CallError::Behind { head, seen } => {
            return Failure::Endpoint(ChainError::Lagging {
                head: *head,
                seen: *seen,
            });
        }
        other => return trouble(format!("{host}: {other}")),
    };
    let lower = message.to_ascii_lowercase();
    if let Some(data) = data.as_deref().filter(|d| !d.is_empty()) {
        return Failure::Answer(ChainError::Reverted {
            reason: revert::reason(data),
        });
    }
    if code == 3 || lower.contains("revert") {
        let reason = lower
            .split_once("reverted: ")
            .map_or("without a reason", |(_, reason)| reason);
        return Failure::Answer(ChainError::Reverted {
            reason: reason.to_owned(),
        });
    }
    if code == RESOURCE_NOT_FOUND || UNKNOWN_BLOCK.iter().any(|text| lower.contains(text)) {
        return Failure::Endpoint(ChainError::BlockGone(message.clone()));
    }
    if REFUSALS.iter().any(|text| lower.contains(text)) {
        return Failure::Answer(ChainError::BadAnswer(message.clone()));
    }
    Failure::Endpoint(ChainError::BadAnswer(format!("{host}: {error}")))
}

/// EIP-1474: the block asked for is not there.
const RESOURCE_NOT_FOUND: i64 = -32001;

/// How nodes say that they do not have a block's header or state.
const UNKNOWN_BLOCK: &[&str] = &[
    "header not found",
    "unknown block",
    "block not found",
    "blockoutofrange",
    "missing trie node",
    "state is not available",
    "state not available",
    "no state available",
    "historical state",
    "pruned",
    "is not canonical",
    "not available for the requested block",
];

/// How nodes refuse a transaction or a query: asking elsewhere would not help, and the caller reads the text.
const REFUSALS: &[&str] = &[
    "nonce too low",
    "nonce is too low",
    "already known",
    "already imported",
    "known transaction",
    "underpriced",
    "insufficient funds",
    "less than block base fee",
    "fee cap less",
    "exceeds block gas limit",
    "intrinsic gas",
    "too many results",
    "query returned more than",
    "response size",
    "response too large",
    "block range",
    "range too large",
    "range is too",
    "limit exceeded",
    "log response",
];

/// Of several endpoints' failures the one a person can do most about.
pub(super) fn worst(failures: Vec<ChainError>) -> ChainError {
    let rank = |e: &ChainError| match e {
        ChainError::WrongChain { .. } => 4,
        ChainError::Lagging { .. } => 3,
        ChainError::BlockGone(_) => 2,
        ChainError::BadAnswer(_) => 1,
        _ => 0,
    };
    if failures.iter().all(|f| rank(f) == 0) {
        let texts: Vec<String> = failures
            .into_iter()
            .map(|f| match f {
                ChainError::Unreachable(text) => text,
                other => other.to_string(),
            })
            .collect();
        return ChainError::Unreachable(texts.join("; "));
    }
    failures
        .into_iter()
        .max_by_key(rank)
        .unwrap_or_else(|| ChainError::Unreachable("no endpoint is configured".to_owned()))
}
