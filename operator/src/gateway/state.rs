//! What all requests share, and the operations behind the routes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use protocol::types::{ModelHash, Timestamp};
use tokio::{
    sync::{Mutex, RwLock, Semaphore},
    time::Instant,
};

use super::{
    checkpoint::Checkpoints,
    error::GatewayError,
    files::NamedLocks,
    metrics::Metrics,
    object::{JobKey, ObjectId, Owner},
    progress::ProgressBoard,
    staging::{Staging, Written},
    store::{Opened, Store},
    token::{Claims, KeyRing, TokenError},
};
use crate::clock::Clock;

/// What one gateway is told.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Directory (absolute path or `file:///path`) that sites share; must exist.
    pub store: String,
    /// Directory of this gateway alone; made if missing.
    pub staging: PathBuf,
    /// Largest model, whatever a token says, in bytes.
    pub max_model_bytes: u64,
    /// Largest checkpoint, whatever a token says, in bytes.
    pub max_checkpoint_bytes: u64,
    /// Uploads received at the same time; more wait, then are told to come again.
    pub max_uploads: usize,
    /// An upload that sends nothing for this long is cut, and one waiting this long for its turn refused.
    pub idle_timeout: Duration,
    /// How long to wait for a gateway that still holds the staging volume.
    pub staging_patience: Duration,
}

/// One running gateway.
#[derive(Debug)]
pub struct Gateway {
    pub(super) config: GatewayConfig,
    pub(super) staging: Staging,
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) upload_slots: Arc<Semaphore>,
    keys: RwLock<KeyRing>,
    clock: SharedClock,
    publishing: NamedLocks,
    pub(super) progress: ProgressBoard,
    pub(super) checkpoints: Checkpoints,
    /// When the volumes were last found writable.
    ready: Mutex<Option<Instant>>,
}

struct SharedClock(Arc<dyn Clock>);

impl std::fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Gateway {
    /// Opens store and staging volume; what an earlier run left unfinished is removed.
    pub async fn open(config: GatewayConfig, keys: KeyRing, clock: Arc<dyn Clock>) -> Result<Arc<Self>, GatewayError> {
        let store = Store::open(&config.store)?;
        let staging = Staging::open(config.staging.clone(), config.staging_patience).await?;
        let checkpoints = Checkpoints::new(staging.checkpoints().await?);
        let metrics = Metrics::new().map_err(|error| GatewayError::Setup(error.to_string()))?;
        Ok(Arc::new(Self {
            upload_slots: Arc::new(Semaphore::new(config.max_uploads)),
            config,
            staging,
            store,
            metrics,
            keys: RwLock::new(keys),
            clock: SharedClock(clock),
            publishing: NamedLocks::default(),
            progress: ProgressBoard::default(),
            checkpoints,
            ready: Mutex::new(None),
        }))
    }

    /// From now on these keys are accepted, and no others.
    pub async fn set_keys(&self, keys: KeyRing) {
        *self.keys.write().await = keys;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.0.now()
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.keys.read().await.verify(token, self.now())
    }

    /// Makes a staged model readable by everyone who may read the store. Success if it was published before.
    pub(super) async fn publish(&self, id: ObjectId) -> Result<(), GatewayError> {
        let _held = self.publishing.lock(id.to_string()).await;
        match self.staging.model(id).await? {
            Some((path, _)) => {
                self.store.put_file(id, &path).await?;
                self.staging.remove_model(id).await
            }
            None if self.store.exists(id).await? => Ok(()),
            None => Err(GatewayError::NotFound(
                "no such model was written by a Job of this participant",
            )),
        }
    }

    /// Whether `job` has written this model, and where it may be.
    pub(super) async fn wrote(&self, job: &JobKey, hash: ModelHash) -> Result<bool, GatewayError> {
        Ok(self.staging.model_of(job).await? == Some(hash))
    }

    /// The first copy at hand that is not known to be bad: `own` staged one, then each holder's.
    pub(super) async fn find(
        &self,
        own: Owner,
        holders: &[Owner],
        hash: ModelHash,
        limit: u64,
    ) -> Result<Opened, GatewayError> {
        let staged = own.object(hash);
        if let Some((path, _)) = self.staging.model(staged).await? {
            match self.store.open_staged(&path, staged, limit).await {
                Ok(Some(opened)) => return Ok(opened),
                Ok(None) => {}
                // Published and so moved to the store this moment.
                Err(error) => tracing::debug!(%error, "a staged model went away while it was opened"),
            }
        }
        let mut failure = None;
        for holder in holders {
            match self.store.read(holder.object(hash), limit).await {
                Ok(Some(opened)) => return Ok(opened),
                Ok(None) => {}
                // One holder's broken path must not hide the next one's copy.
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(GatewayError::NotFound("no holder serves this model")))
    }

    pub(super) async fn record_result(
        &self,
        job: &JobKey,
        owner: Owner,
        line: String,
    ) -> Result<Written, GatewayError> {
        let written = self.staging.keep_result(job, owner, line).await?;
        self.drop_checkpoint(job).await?;
        Ok(written)
    }

    /// Removes everything of one participant in one task.
    pub(super) async fn remove_task(&self, owner: Owner) -> Result<(), GatewayError> {
        self.staging.remove_all(owner).await?;
        self.store.remove_all(owner).await
    }

    /// Both volumes can be written. Tried at most once a second: anybody may ask.
    pub(super) async fn check(&self) -> Result<(), GatewayError> {
        let mut ready = self.ready.lock().await;
        if ready.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return Ok(());
        }
        *ready = None;
        self.staging.check().await?;
        self.store.check().await?;
        *ready = Some(Instant::now());
        Ok(())
    }
}
