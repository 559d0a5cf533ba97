//! How a chain fares, and what its blocks wake.

use protocol::{
    snapshot::BlockRef,
    types::{Address, B256},
};

/// What an FLChain's conditions are computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainHealth {
    /// No answer yet.
    Connecting,
    Healthy {
        head: BlockRef,
    },
    /// No endpoint answers. The text names hosts, never paths, queries or credentials.
    RpcUnreachable {
        detail: String,
    },
    /// Every endpoint that answers is behind a block seen before.
    Lagging {
        head: u64,
        seen: u64,
    },
    /// The newest block is so old that either the chain stands still or all endpoints do.
    Stalled {
        head: BlockRef,
        age_seconds: u64,
    },
    /// The newest block's timestamp is ahead of this machine's clock.
    ClockSkew {
        head: BlockRef,
        ahead_seconds: u64,
    },
    WrongChainId {
        expected: u64,
        found: u64,
    },
    WrongGenesis {
        expected: B256,
        found: B256,
    },
}

impl ChainHealth {
    /// Stable, CamelCase: the reason of the FLChain's `Ready` condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Healthy { .. } => "Healthy",
            Self::RpcUnreachable { .. } => "RpcUnreachable",
            Self::Lagging { .. } => "Lagging",
            Self::Stalled { .. } => "Stalled",
            Self::ClockSkew { .. } => "ClockSkew",
            Self::WrongChainId { .. } => "WrongChainId",
            Self::WrongGenesis { .. } => "WrongGenesis",
        }
    }

    /// Whether tasks on this chain may be acted on. A stalled or skewed chain is still the chain.
    pub fn usable(&self) -> bool {
        matches!(
            self,
            Self::Healthy { .. } | Self::Stalled { .. } | Self::ClockSkew { .. }
        )
    }
}

impl std::fmt::Display for ChainHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connecting => f.write_str("no endpoint has answered yet"),
            Self::Healthy { .. } => f.write_str("the chain answers"),
            Self::RpcUnreachable { detail } => write!(f, "no endpoint answers ({detail}); check the endpoints Secret"),
            Self::Lagging { head, seen } => {
                write!(
                    f,
                    "the endpoints are behind: head {head}, block {seen} was seen before; add an endpoint or wait"
                )
            }
            Self::Stalled { age_seconds, .. } => {
                write!(
                    f,
                    "the newest block is {age_seconds} s old: the chain or its endpoints stand still"
                )
            }
            Self::ClockSkew { ahead_seconds, .. } => {
                write!(
                    f,
                    "the newest block is {ahead_seconds} s ahead of this machine's clock; check its time service"
                )
            }
            Self::WrongChainId { expected, found } => {
                write!(
                    f,
                    "the endpoints serve chain {found}, not {expected}; correct chainId or the endpoints Secret"
                )
            }
            Self::WrongGenesis { expected, found } => write!(
                f,
                "the endpoints serve a chain with genesis {found}, not {expected}; correct genesisHash or the endpoints Secret"
            ),
        }
    }
}

/// Why to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Something happened to this task, or something that happened is confirmed now.
    Task(Address),
    /// A reorg, a gap, or the first block: look at every task.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_chain_may_be_acted_on_and_a_wrong_one_may_not() {
        let head = BlockRef {
            number: 1,
            hash: B256::ZERO,
            timestamp: protocol::types::Timestamp(1),
        };
        assert!(ChainHealth::Stalled { head, age_seconds: 900 }.usable());
        assert!(!ChainHealth::WrongChainId { expected: 1, found: 2 }.usable());
        assert!(!ChainHealth::Connecting.usable());
    }
}
