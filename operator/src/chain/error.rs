//! What can go wrong between us and a chain.

/// Each variant is one thing a person would do something different about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("no endpoint of the chain answers: {0}")]
    Unreachable(String),
    #[error("the endpoint serves another chain: id {id}, genesis {genesis}")]
    WrongChain { id: u64, genesis: String },
    #[error("the endpoint is behind: its head is block {head}, block {seen} was seen before")]
    Lagging { head: u64, seen: u64 },
    #[error("the endpoint does not have block {0} any more")]
    BlockGone(String),
    #[error("no contract code at {0}")]
    NoCode(String),
    #[error("the contract refuses: {reason}")]
    Reverted { reason: String },
    #[error("the key {address} holds {balance} wei, {needed} are needed")]
    LowFunds {
        address: String,
        balance: String,
        needed: String,
    },
    #[error("the fee needed ({needed} wei per gas) is above the cap ({cap})")]
    FeeCap { needed: u128, cap: u128 },
    #[error("a transaction of {address} that this operator did not send is pending (nonce {nonce})")]
    ForeignPending { address: String, nonce: u64 },
    #[error("transaction {0} was not mined in time")]
    NotMined(String),
    #[error("not signed: {0}")]
    NotSigned(String),
    #[error("this process may not send at present: {0}")]
    Fenced(String),
    #[error("the endpoint answered something unexpected: {0}")]
    BadAnswer(String),
}

impl ChainError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::WrongChain { .. } => "wrong-chain",
            Self::Lagging { .. } => "lagging",
            Self::BlockGone(_) => "block-gone",
            Self::NoCode(_) => "no-code",
            Self::Reverted { .. } => "reverted",
            Self::LowFunds { .. } => "low-funds",
            Self::FeeCap { .. } => "fee-cap",
            Self::ForeignPending { .. } => "foreign-pending",
            Self::NotMined(_) => "not-mined",
            Self::NotSigned(_) => "not-signed",
            Self::Fenced(_) => "fenced",
            Self::BadAnswer(_) => "bad-answer",
        }
    }
}
