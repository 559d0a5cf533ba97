//! What every reconcile is given, and nothing else: the outside world behind traits, settings, metrics.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::types::{Address, B256};

use crate::{
    chain::{ChainError, ChainReader, SigningKey, TaskSender},
    clock::Clock,
    cluster::Cluster,
    controller::{keys::KeyRing, metrics::Metrics},
    gateway::ModelStore,
    randomness::Randomness,
};

/// Shared by all reconciles; cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub cluster: Arc<dyn Cluster>,
    pub chains: Arc<dyn Chains>,
    pub store: Arc<dyn ModelStore>,
    pub keys: Arc<KeyRing>,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
    pub settings: Arc<Settings>,
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the command line and the chart decide once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace of the operator: ledger, seed, token key and RPC Secrets live here.
    pub namespace: String,
    /// Namespaces whose tasks and clients are served; empty: all.
    pub tenant_namespaces: Vec<String>,
    /// As trainer pods reach the gateway.
    pub gateway_url: String,
    /// CA of the gateway's certificate (PEM), handed to trainer pods.
    pub gateway_ca: Option<String>,
    /// Names of the stores this operator's gateway serves (`spec.storeRef.name`).
    pub stores: Vec<String>,
}

/// The chains this operator may use, by FLChain name.
#[async_trait]
pub trait Chains: Send + Sync + 'static {
    /// The chain if it is known and its identity was verified; otherwise why not.
    async fn get(&self, name: &str) -> Result<Arc<dyn ChainAccess>, ChainProblem>;
}

/// Why a chain cannot be used at present.
#[derive(Debug, thiserror::Error)]
pub enum ChainProblem {
    #[error("there is no FLChain {0}")]
    Missing(String),
    /// FLChain's own `Ready` says more.
    #[error("FLChain {name} is not ready: {message}")]
    NotReady { name: String, message: String },
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// One verified chain.
pub trait ChainAccess: Send + Sync + 'static {
    fn chain_id(&self) -> u64;
    /// Expected seconds between blocks.
    fn block_time(&self) -> u64;
    fn reader(&self) -> Arc<dyn ChainReader>;
    /// The one sender of this key in the process.
    fn sender(&self, key: SigningKey) -> Arc<dyn TaskSender>;
    fn trusted_managers(&self) -> Vec<TrustedManager>;
    /// Wake the reconciles of this task when its contract logs something; idempotent.
    fn watch(&self, task: Address);
}

/// A manager contract whose tasks may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedManager {
    pub address: Address,
    /// keccak256 of the manager's code; `None`: not pinned.
    pub code_hash: Option<B256>,
    /// keccak256 of the task implementation's code; `None`: not pinned.
    pub implementation_code_hash: Option<B256>,
}
