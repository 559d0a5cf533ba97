//! Why a chain's endpoints cannot even be tried.

use crds::conditions::reason;

use crate::cluster::ClusterError;

/// No message contains a URL: they carry API keys.
#[derive(Debug, thiserror::Error)]
pub enum ChainSetupError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("there is no Secret {name} with key {key} in namespace {namespace}: create it, one RPC URL a line")]
    SecretMissing {
        namespace: String,
        name: String,
        key: String,
    },
    #[error("line {line} of the Secret is not an http or https URL")]
    NotAUrl { line: usize },
    #[error("the Secret lists no URL: write one a line")]
    NoUrl,
    #[error("{0}")]
    Open(String),
}

impl ChainSetupError {
    /// Stable, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::SecretMissing { .. } => "secret-missing",
            Self::NotAUrl { .. } | Self::NoUrl => "rpc-secret-invalid",
            Self::Open(_) => "open",
        }
    }

    pub fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(_) => reason::WAITING,
            Self::SecretMissing { .. } => reason::SECRET_MISSING,
            Self::NotAUrl { .. } | Self::NoUrl => reason::RPC_SECRET_INVALID,
            Self::Open(_) => reason::RPC_UNREACHABLE,
        }
    }
}
