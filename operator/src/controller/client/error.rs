//! What makes a reconcile fail as a whole: a retry with backoff may cure it. Everything a person must act on is a
//! condition instead.

use super::ledger::LedgerError;
use crate::{chain::ChainError, cluster::ClusterError};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Ledger(LedgerError),
}

impl ClientError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::Chain(error) => error.category(),
            Self::Ledger(error) => error.category(),
        }
    }
}

impl From<LedgerError> for ClientError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Cluster(error) => Self::Cluster(error),
            other => Self::Ledger(other),
        }
    }
}
