//! The chains in use, by FLChain name. One connection per chain for the whole process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use crds::flchain::ConfirmationRule;
use protocol::types::{Address, B256};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};
use url::Url;

use crate::{
    chain::{Chain, ChainReader, SigningKey, TaskSender, Wake},
    controller::context::{ChainAccess, ChainProblem, Chains, TrustedManager},
};

/// Expected seconds between blocks where an FLChain names none: no known EVM chain is much slower.
const DEFAULT_BLOCK_TIME: u64 = 12;

/// Everything about a chain that, when changed, needs a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    pub name: String,
    pub chain_id: u64,
    pub genesis_hash: B256,
    pub urls: Vec<Url>,
    pub confirmations: ConfirmationRule,
    /// Wei per unit of gas.
    pub max_fee_per_gas: Option<u128>,
    pub block_time_seconds: Option<u32>,
    pub trusted_managers: Vec<TrustedManager>,
}

/// Makes the connection; a simulation makes its own.
pub trait OpenChain: Send + Sync + 'static {
    /// # Errors
    /// A sentence without URLs.
    fn open(&self, config: &ChainConfig) -> Result<Arc<dyn Chain>, String>;
}

/// What woke on which chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainWake {
    pub chain: String,
    pub wake: Wake,
}

/// [`Chains`] over open connections.
pub struct Registry {
    opener: Box<dyn OpenChain>,
    open: Mutex<HashMap<String, Arc<OpenedChain>>>,
    wakes: mpsc::UnboundedSender<ChainWake>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("open", &self.entries().len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Wakes of all chains go to `wakes`.
    pub fn new(opener: Box<dyn OpenChain>, wakes: mpsc::UnboundedSender<ChainWake>) -> Self {
        Self {
            opener,
            open: Mutex::default(),
            wakes,
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Arc<OpenedChain>>> {
        // A panic elsewhere cannot leave the map half-written.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection for this configuration: the one there is, or a new one if anything changed.
    pub fn open(&self, config: ChainConfig) -> Result<Arc<OpenedChain>, String> {
        let mut entries = self.entries();
        if let Some(opened) = entries.get(&config.name)
            && opened.config == config
        {
            return Ok(opened.clone());
        }
        let chain = self.opener.open(&config)?;
        let name = config.name.clone();
        let forward = tokio::spawn(forward(name.clone(), chain.wakes(), self.wakes.clone())).abort_handle();
        let opened = Arc::new(OpenedChain { config, chain, forward });
        entries.insert(name, opened.clone());
        Ok(opened)
    }

    /// Ends the connection of a chain that is gone.
    pub fn close(&self, name: &str) {
        self.entries().remove(name);
    }
}

async fn forward(name: String, mut wakes: broadcast::Receiver<Wake>, to: mpsc::UnboundedSender<ChainWake>) {
    loop {
        let wake = match wakes.recv().await {
            Ok(wake) => wake,
            Err(RecvError::Lagged(_)) => Wake::All,
            Err(RecvError::Closed) => return,
        };
        if to
            .send(ChainWake {
                chain: name.clone(),
                wake,
            })
            .is_err()
        {
            return;
        }
    }
}

/// One connection and what its FLChain says.
pub struct OpenedChain {
    config: ChainConfig,
    chain: Arc<dyn Chain>,
    forward: tokio::task::AbortHandle,
}

impl std::fmt::Debug for OpenedChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedChain")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

impl Drop for OpenedChain {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

impl OpenedChain {
    pub fn chain(&self) -> &Arc<dyn Chain> {
        &self.chain
    }
}

impl ChainAccess for OpenedChain {
    fn chain_id(&self) -> u64 {
        self.config.chain_id
    }

    fn block_time(&self) -> u64 {
        self.config.block_time_seconds.map_or(DEFAULT_BLOCK_TIME, u64::from)
    }

    fn reader(&self) -> Arc<dyn ChainReader> {
        self.chain.reader()
    }

    fn sender(&self, key: SigningKey) -> Arc<dyn TaskSender> {
        self.chain.sender(&key)
    }

    fn trusted_managers(&self) -> Vec<TrustedManager> {
        self.config.trusted_managers.clone()
    }

    fn watch(&self, task: Address) {
        self.chain.watch(task);
    }
}

#[async_trait]
impl Chains for Registry {
    async fn get(&self, name: &str) -> Result<Arc<dyn ChainAccess>, ChainProblem> {
        let opened = self
            .entries()
            .get(name)
            .cloned()
            .ok_or_else(|| ChainProblem::Missing(name.to_owned()))?;
        let health = opened.chain.health().borrow().clone();
        if health.usable() {
            Ok(opened)
        } else {
            Err(ChainProblem::NotReady {
                name: name.to_owned(),
                message: health.to_string(),
            })
        }
    }
}
