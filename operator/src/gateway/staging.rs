//! The gateway's own volume: uploads under way, models nobody else may read yet, and what each Job has written.
//!
//! ```text
//! lock                                          held by the one gateway process that uses the volume
//! tmp/<random>.part                             under way; swept at start
//! models/<chain>/<task>/<participant>/<sha256>  complete and right, not published
//! jobs/<namespace>/<job>/{model,result}.json    create-only records
//! jobs/<namespace>/<job>/checkpoint{,.json}     the newest one, and whose it is and until when
//! ```

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::types::{ModelHash, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    error::GatewayError,
    files::{
        NamedLocks, TemporaryFile, blocking, create_directories, create_once, read_if_there, remove_if_there,
        sync_directory,
    },
    object::{JobKey, ObjectId, Owner},
};

const CHECKPOINT: &str = "checkpoint";
const CHECKPOINT_RECORD: &str = "checkpoint.json";

/// Whether a create-only write was the first, or the same as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    First,
    Same,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ModelRecord {
    owner: Owner,
    model: ModelHash,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ResultRecord {
    owner: Owner,
    line: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CheckpointRecord {
    owner: Owner,
    expires: Timestamp,
}

#[derive(Debug)]
pub(super) struct Staging {
    root: Arc<Path>,
    jobs: NamedLocks,
    /// Released by the kernel when the process ends, however it ends.
    _lock: File,
}

impl Staging {
    /// Takes the volume, waiting for a gateway that is still on its way out, and sweeps what a crash left.
    pub(super) async fn open(root: PathBuf, patience: Duration) -> Result<Self, GatewayError> {
        let until = Instant::now() + patience;
        let directory = root.clone();
        let lock = blocking(move || {
            for name in ["tmp", "models", "jobs"] {
                fs::create_dir_all(directory.join(name))?;
            }
            File::create(directory.join("lock"))
        })
        .await
        .map_err(GatewayError::staging)?;
        let mut said = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(GatewayError::staging(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(GatewayError::Setup(format!(
                        "another gateway uses the staging volume {}; each needs its own",
                        root.display()
                    )));
                }
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::info!(staging = %root.display(), "waiting for another gateway to leave the volume");
                    }
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        }
        let temporary = root.join("tmp");
        let swept = blocking(move || sweep(&temporary))
            .await
            .map_err(GatewayError::staging)?;
        if swept > 0 {
            tracing::info!(files = swept, "removed unfinished uploads of an earlier run");
        }
        Ok(Self {
            root: root.into(),
            jobs: NamedLocks::default(),
            _lock: lock,
        })
    }

    pub(super) fn temporary(&self) -> TemporaryFile {
        TemporaryFile::new(&self.root.join("tmp"))
    }

    fn model_path(&self, id: ObjectId) -> PathBuf {
        // `ObjectId` prints numbers and hex only.
        self.root.join("models").join(id.to_string())
    }

    fn job_directory(&self, job: &JobKey) -> PathBuf {
        self.root.join("jobs").join(job.namespace()).join(job.name())
    }

    /// The staged model's path and length.
    pub(super) async fn model(&self, id: ObjectId) -> Result<Option<(PathBuf, u64)>, GatewayError> {
        let path = self.model_path(id);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(Some((path, metadata.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(GatewayError::staging(error)),
        }
    }

    pub(super) async fn remove_model(&self, id: ObjectId) -> Result<(), GatewayError> {
        remove_if_there(tokio::fs::remove_file(self.model_path(id)).await).map_err(GatewayError::staging)
    }

    /// The model this Job has written.
    pub(super) async fn model_of(&self, job: &JobKey) -> Result<Option<ModelHash>, GatewayError> {
        let path = self.job_directory(job).join("model.json");
        let record: Option<ModelRecord> = blocking(move || read_record(&path))
            .await
            .map_err(GatewayError::staging)?;
        Ok(record.map(|record| record.model))
    }

    /// The result line this Job has written.
    pub(super) async fn result_of(&self, job: &JobKey) -> Result<Option<String>, GatewayError> {
        let path = self.job_directory(job).join("result.json");
        let record: Option<ResultRecord> = blocking(move || read_record(&path))
            .await
            .map_err(GatewayError::staging)?;
        Ok(record.map(|record| record.line))
    }

    /// Keeps a received, synced file whose hash is `id.hash` as the one model of `job`.
    ///
    /// The file gets its place before the record: a crash between the two leaves an unused file, never a record of a
    /// model that is not there.
    pub(super) async fn keep_model(
        &self,
        job: &JobKey,
        id: ObjectId,
        file: TemporaryFile,
    ) -> Result<Written, GatewayError> {
        let _held = self.jobs.lock(job.to_string()).await;
        if let Some(existing) = self.model_of(job).await?.filter(|existing| *existing != id.hash) {
            return Err(GatewayError::OtherModel { existing });
        }
        let (root, target) = (Arc::clone(&self.root), self.model_path(id));
        let record = ModelRecord {
            owner: id.owner,
            model: id.hash,
        };
        let directory = self.job_directory(job);
        let outcome = blocking(move || {
            create_directories(&root, target.parent().unwrap_or(&root))?;
            file.place(&target)?;
            write_record(&root, &directory, "model.json", &record)
        });
        match outcome.await.map_err(GatewayError::staging)? {
            Outcome::Written(written) => Ok(written),
            Outcome::Other(ModelRecord { model, .. }) => Err(GatewayError::OtherModel { existing: model }),
        }
    }

    /// Keeps `line` as the one result of `job`.
    pub(super) async fn keep_result(&self, job: &JobKey, owner: Owner, line: String) -> Result<Written, GatewayError> {
        let _held = self.jobs.lock(job.to_string()).await;
        let (root, directory) = (Arc::clone(&self.root), self.job_directory(job));
        let record = ResultRecord { owner, line };
        let outcome = blocking(move || write_record(&root, &directory, "result.json", &record)).await;
        match outcome.map_err(GatewayError::staging)? {
            Outcome::Written(written) => Ok(written),
            Outcome::Other(_) => Err(GatewayError::OtherResult),
        }
    }

    /// Where the newest checkpoint of `job` is, if it has one. It carries its own hash.
    pub(super) fn checkpoint(&self, job: &JobKey) -> PathBuf {
        self.job_directory(job).join(CHECKPOINT)
    }

    /// Keeps a received, synced file as the newest checkpoint of `job`, unless its result is there.
    pub(super) async fn keep_checkpoint(
        &self,
        job: &JobKey,
        owner: Owner,
        expires: Timestamp,
        file: TemporaryFile,
    ) -> Result<(), GatewayError> {
        let _held = self.jobs.lock(job.to_string()).await;
        if self.result_of(job).await?.is_some() {
            return Err(GatewayError::Over);
        }
        let (root, directory) = (Arc::clone(&self.root), self.job_directory(job));
        let record = self.temporary();
        blocking(move || {
            create_directories(&root, &directory)?;
            // The record first: a file without one would never be swept.
            fs::write(record.path(), serde_json::to_vec(&CheckpointRecord { owner, expires })?)?;
            File::open(record.path())?.sync_all()?;
            record.place(&directory.join(CHECKPOINT_RECORD))?;
            file.place(&directory.join(CHECKPOINT))
        })
        .await
        .map_err(GatewayError::staging)
    }

    pub(super) async fn remove_checkpoint(&self, job: &JobKey) -> Result<(), GatewayError> {
        let _held = self.jobs.lock(job.to_string()).await;
        let directory = self.job_directory(job);
        blocking(move || {
            remove_if_there(fs::remove_file(directory.join(CHECKPOINT)))?;
            remove_if_there(fs::remove_file(directory.join(CHECKPOINT_RECORD)))
        })
        .await
        .map_err(GatewayError::staging)
    }

    /// Jobs with checkpoints, and until when they may have them.
    pub(super) async fn checkpoints(&self) -> Result<Vec<(JobKey, Timestamp)>, GatewayError> {
        let root = Arc::clone(&self.root);
        blocking(move || {
            let mut found = Vec::new();
            for namespace in fs::read_dir(root.join("jobs"))? {
                let namespace = namespace?;
                for job in fs::read_dir(namespace.path())? {
                    let job = job?;
                    let record: Option<CheckpointRecord> = read_record(&job.path().join(CHECKPOINT_RECORD))?;
                    let names = (namespace.file_name(), job.file_name());
                    let key = JobKey::new(&names.0.to_string_lossy(), &names.1.to_string_lossy());
                    if let (Some(record), Ok(key)) = (record, key) {
                        found.push((key, record.expires));
                    }
                }
            }
            Ok(found)
        })
        .await
        .map_err(GatewayError::staging)
    }

    /// Forgets everything of one participant in one task: staged models and the records of its Jobs.
    pub(super) async fn remove_all(&self, owner: Owner) -> Result<(), GatewayError> {
        let root = Arc::clone(&self.root);
        blocking(move || {
            remove_if_there(fs::remove_dir_all(root.join("models").join(owner.to_string())))?;
            for namespace in fs::read_dir(root.join("jobs"))? {
                for job in fs::read_dir(namespace?.path())? {
                    let job = job?.path();
                    let model: Option<ModelRecord> = read_record(&job.join("model.json"))?;
                    let result: Option<ResultRecord> = read_record(&job.join("result.json"))?;
                    let checkpoint: Option<CheckpointRecord> = read_record(&job.join(CHECKPOINT_RECORD))?;
                    let owners = [
                        model.map(|record| record.owner),
                        result.map(|record| record.owner),
                        checkpoint.map(|record| record.owner),
                    ];
                    if owners.contains(&Some(owner)) {
                        fs::remove_dir_all(&job)?;
                    }
                }
            }
            Ok(())
        })
        .await
        .map_err(GatewayError::staging)
    }

    /// Proves that the volume can be written.
    pub(super) async fn check(&self) -> Result<(), GatewayError> {
        let file = self.temporary();
        blocking(move || fs::write(file.path(), b"ready"))
            .await
            .map_err(GatewayError::staging)
    }
}

fn sweep(temporary: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(temporary)? {
        fs::remove_file(entry?.path())?;
        swept += 1;
    }
    Ok(swept)
}

enum Outcome<T> {
    Written(Written),
    Other(T),
}

fn write_record<T>(root: &Path, directory: &Path, name: &str, record: &T) -> io::Result<Outcome<T>>
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq,
{
    create_directories(root, directory)?;
    let target = directory.join(name);
    if create_once(&root.join("tmp"), &target, &serde_json::to_vec(record)?)? {
        return Ok(Outcome::Written(Written::First));
    }
    sync_directory(directory)?;
    match read_record(&target)? {
        Some(existing) if existing == *record => Ok(Outcome::Written(Written::Same)),
        Some(existing) => Ok(Outcome::Other(existing)),
        None => Err(io::Error::other("a record vanished while it was compared")),
    }
}

fn read_record<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match read_if_there(path)? {
        Some(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        None => Ok(None),
    }
}
