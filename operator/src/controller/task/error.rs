//! Why an FLTask cannot go on, each with a reason and what to do about it.

use std::time::Duration;

use crds::conditions::{reason, types};
use protocol::types::{Address, Amount, DefinitionHash};

use crate::{
    chain::ChainError,
    cluster::ClusterError,
    controller::{context::ChainProblem, keys::KeyError},
    gateway::StoreError,
};

/// Everything but [`TaskError::Cluster`] ends in a condition of the FLTask.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("{0}; see `kubectl describe flchain`")]
    ChainNotReady(#[from] ChainProblem),
    #[error("{0}")]
    Chain(#[from] ChainError),
    #[error("there is no contract code at {0} on this chain: check spec.contract and spec.chainRef")]
    NoCode(Address),
    #[error(
        "{0} is not registered at any manager the FLChain trusts: check the address, or add its manager to \
         spec.trustedManagers of the FLChain"
    )]
    UnknownContract(Address),
    #[error("manager {0} is not among spec.trustedManagers of the FLChain")]
    UntrustedManager(Address),
    #[error("the code of manager {0} or of its tasks is not what the FLChain pins: do not use it before you know why")]
    CodeMismatch(Address),
    #[error(
        "the definition hashes to {ours}, the chain says {chain}: correct spec.definition in a new FLTask, or leave it out"
    )]
    DefinitionMismatch {
        ours: DefinitionHash,
        chain: DefinitionHash,
    },
    #[error("spec.definition cannot be run: {0}")]
    DefinitionInvalid(String),
    #[error("no definition: spec.definition is absent and the store has none of hash {0}; ask the creator for it")]
    DefinitionMissing(DefinitionHash),
    #[error("this operator serves no store {0:?}: correct spec.storeRef or add the store to the operator's values")]
    UnknownStore(String),
    #[error("{creator} is not allowed to create tasks at manager {manager}: its owner must call allowCreator")]
    CreatorNotAllowed { creator: Address, manager: Address },
    #[error("the creator {creator} holds {balance} tokens, the initial reward pool is {needed}: send it the rest")]
    NotEnoughTokens {
        creator: Address,
        balance: Amount,
        needed: Amount,
    },
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("the gateway does not serve: {0}")]
    Store(#[from] StoreError),
    #[error("the genesis model cannot be derived from the definition: {0}")]
    Genesis(String),
}

impl TaskError {
    /// Stable, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::Chain(error) => error.category(),
            Self::ChainNotReady(_) => "chain-not-ready",
            Self::NoCode(_) => "no-code",
            Self::UnknownContract(_) => "unknown-contract",
            Self::UntrustedManager(_) => "untrusted-manager",
            Self::CodeMismatch(_) => "code-mismatch",
            Self::DefinitionMismatch { .. } => "definition-mismatch",
            Self::DefinitionInvalid(_) | Self::Genesis(_) => "definition-invalid",
            Self::DefinitionMissing(_) => "definition-missing",
            Self::UnknownStore(_) => "unknown-store",
            Self::CreatorNotAllowed { .. } => "creator-not-allowed",
            Self::NotEnoughTokens { .. } => "not-enough-tokens",
            Self::Key(error) => error.category(),
            Self::Store(_) => "store",
        }
    }

    /// The condition type it shows on beside `Ready`, and the reason of both.
    pub fn condition(&self) -> (&'static str, &'static str) {
        match self {
            Self::Cluster(_) => (types::READY, reason::WAITING),
            Self::ChainNotReady(ChainProblem::Missing(_)) => (types::CONTRACT_VERIFIED, reason::CHAIN_NOT_FOUND),
            Self::ChainNotReady(_) => (types::CONTRACT_VERIFIED, reason::CHAIN_NOT_READY),
            Self::Chain(ChainError::LowFunds { .. }) => (types::FUNDED, reason::LOW_FUNDS),
            Self::Chain(ChainError::Reverted { .. }) => (types::CREATED, reason::PARAMETERS_INVALID),
            Self::Chain(ChainError::ForeignPending { .. }) => (types::READY, reason::FOREIGN_TRANSACTION),
            Self::Chain(ChainError::FeeCap { .. }) => (types::READY, reason::FEE_CAP_REACHED),
            Self::Chain(ChainError::NotSigned(_)) => (types::SIGNER_AVAILABLE, reason::NOT_SIGNED),
            Self::Chain(_) => (types::READY, reason::CHAIN_NOT_READY),
            Self::NoCode(_) => (types::CONTRACT_VERIFIED, reason::NO_CODE),
            Self::UnknownContract(_) => (types::CONTRACT_VERIFIED, reason::UNKNOWN_CONTRACT),
            Self::UntrustedManager(_) => (types::CONTRACT_VERIFIED, reason::UNTRUSTED_MANAGER),
            Self::CodeMismatch(_) => (types::CONTRACT_VERIFIED, reason::CODE_MISMATCH),
            Self::DefinitionMismatch { .. } => (types::DEFINITION_AVAILABLE, reason::DEFINITION_MISMATCH),
            Self::DefinitionInvalid(_) | Self::Genesis(_) => (types::DEFINITION_AVAILABLE, reason::DEFINITION_INVALID),
            Self::DefinitionMissing(_) => (types::DEFINITION_AVAILABLE, reason::DEFINITION_NOT_FOUND),
            Self::UnknownStore(_) => (types::DEFINITION_AVAILABLE, reason::STORE_UNKNOWN),
            Self::Store(_) => (types::DEFINITION_AVAILABLE, reason::STORE_UNREACHABLE),
            Self::CreatorNotAllowed { .. } => (types::CREATED, reason::CREATOR_NOT_ALLOWED),
            Self::NotEnoughTokens { .. } => (types::FUNDED, reason::NOT_ENOUGH_TOKENS),
            Self::Key(error) => (types::SIGNER_AVAILABLE, error.reason()),
        }
    }

    /// Whether only a change of the resources can help (kstatus: Stalled), or time may.
    pub fn is_stalled(&self) -> bool {
        matches!(
            self,
            Self::NoCode(_)
                | Self::UnknownContract(_)
                | Self::UntrustedManager(_)
                | Self::CodeMismatch(_)
                | Self::DefinitionMismatch { .. }
                | Self::DefinitionInvalid(_)
                | Self::Genesis(_)
                | Self::UnknownStore(_)
        )
    }

    /// When to look again by ourselves: nothing wakes us when somebody repairs a chain, a store or an allow list.
    pub fn retry_after(&self) -> Duration {
        if self.is_stalled() {
            Duration::from_secs(60)
        } else {
            Duration::from_secs(10)
        }
    }
}
