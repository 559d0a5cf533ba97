//! The store that sites share: write-once objects below `<chain>/<task>/<participant>/<sha256>`.
//!
//! All access goes through `object_store`, so that S3, GCS and Azure are another URL scheme. A directory store gets
//! two things `object_store` leaves out: what is reported as written is synced to the disk, and what a crash left
//! half-written is swept when the same object is written again.

use std::{
    collections::HashSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{GetResultPayload, ObjectStore, PutPayload, buffered::BufWriter, local::LocalFileSystem};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::{
    error::GatewayError,
    files::{BLOCK, NamedLocks, blocking, remove_if_there, sync_directory},
    object::{ObjectId, Owner},
    verify::{Digest, verified},
};

/// How many bad copies are remembered; past that all are tried again.
const MAX_REMEMBERED: usize = 4096;

/// An object's bytes, not yet verified.
pub(super) struct Opened {
    pub(super) length: u64,
    pub(super) bytes: BoxStream<'static, io::Result<Bytes>>,
    /// This very copy, so that it can be remembered as bad.
    pub(super) copy: String,
}

pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Set for a directory store.
    directory: Option<PathBuf>,
    writes: NamedLocks,
    bad: Mutex<HashSet<String>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects)
    }
}

impl Store {
    /// A directory (a path or `file:///path`), which must exist: a missing mount must not look like an empty store.
    pub(super) fn open(location: &str) -> Result<Self, GatewayError> {
        let setup = |message: String| GatewayError::Setup(format!("store {location}: {message}"));
        let directory = match location.split_once("://") {
            None => PathBuf::from(location),
            Some(("file", path)) => PathBuf::from(path),
            Some((scheme, _)) => return Err(setup(format!("{scheme} is not built in; a directory is"))),
        };
        if !directory.is_absolute() {
            return Err(setup("the path must be absolute".to_owned()));
        }
        let objects = LocalFileSystem::new_with_prefix(&directory).map_err(|error| setup(error.to_string()))?;
        Ok(Self {
            objects: Arc::new(objects),
            directory: Some(directory),
            writes: NamedLocks::default(),
            bad: Mutex::default(),
        })
    }

    fn name(id: ObjectId) -> object_store::path::Path {
        object_store::path::Path::from(id.to_string())
    }

    /// `None` if there is no such object, it is longer than `limit`, or this copy is known to be bad.
    pub(super) async fn read(&self, id: ObjectId, limit: u64) -> Result<Option<Opened>, GatewayError> {
        if let Some(directory) = &self.directory {
            // Other sites write here too: a pipe or link in the place of a file must not be followed.
            match tokio::fs::symlink_metadata(directory.join(id.to_string())).await {
                Ok(metadata) if metadata.is_file() => {}
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(GatewayError::store_io(error)),
            }
        }
        let found = match self.objects.get(&Self::name(id)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let copy = format!("{id} {} {:?}", found.meta.size, found.meta.last_modified);
        if found.meta.size > limit || self.is_bad(&copy) {
            return Ok(None);
        }
        let length = found.meta.size;
        let bytes = match found.payload {
            // The library reads 8 KiB at a time; models are large.
            GetResultPayload::File(file, _) => {
                ReaderStream::with_capacity(tokio::fs::File::from_std(file), BLOCK).boxed()
            }
            GetResultPayload::Stream(stream) => stream.map_err(io::Error::other).boxed(),
        };
        Ok(Some(Opened { length, bytes, copy }))
    }

    /// A file of the staging volume, as [`Store::read`] opens one of the store.
    pub(super) async fn open_staged(
        &self,
        path: &Path,
        id: ObjectId,
        limit: u64,
    ) -> Result<Option<Opened>, GatewayError> {
        let file = tokio::fs::File::open(path).await.map_err(GatewayError::staging)?;
        let metadata = file.metadata().await.map_err(GatewayError::staging)?;
        let length = metadata.len();
        let copy = format!("staged {id} {length} {:?}", metadata.modified().ok());
        if length > limit || self.is_bad(&copy) {
            return Ok(None);
        }
        Ok(Some(Opened {
            length,
            bytes: ReaderStream::with_capacity(file, BLOCK).boxed(),
            copy,
        }))
    }

    fn is_bad(&self, copy: &str) -> bool {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).contains(copy)
    }

    /// Do not serve this copy again: the next holder's is tried instead.
    pub(super) fn remember_bad(&self, copy: String) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if bad.len() >= MAX_REMEMBERED {
            bad.clear();
        }
        bad.insert(copy);
    }

    /// What is there now was just written: it may have the size and the time (some stores count in seconds) of a bad copy.
    fn forget_bad(&self, id: ObjectId) {
        let of = format!("{id} ");
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.retain(|copy| !copy.starts_with(&of));
    }

    /// Reads an object to its end and says whether it is what its name says.
    pub(super) async fn holds(&self, id: ObjectId) -> Result<bool, GatewayError> {
        let Some(opened) = self.read(id, u64::MAX).await? else {
            return Ok(false);
        };
        match verified(opened.bytes, id.hash).try_for_each(|_| async { Ok(()) }).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            Err(error) => Err(GatewayError::store_io(error)),
        }
    }

    pub(super) async fn exists(&self, id: ObjectId) -> Result<bool, GatewayError> {
        match self.objects.head(&Self::name(id)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies a file into the store under its hash. A right copy already there is left alone; others never see half
    /// of it. [`GatewayError::Corrupt`] if the file is not what its name says: nothing is visible then.
    pub(super) async fn put_file(&self, id: ObjectId, source: &Path) -> Result<(), GatewayError> {
        let _held = self.writes.lock(id.to_string()).await;
        if self.holds(id).await? {
            return self.sync(id).await;
        }
        self.sweep(id).await?;
        let file = tokio::fs::File::open(source).await.map_err(GatewayError::staging)?;
        let mut blocks = ReaderStream::with_capacity(file, BLOCK);
        // Two parts of 10 MiB in flight: memory must not grow with uploads times cores.
        let mut writer = BufWriter::new(Arc::clone(&self.objects), Self::name(id)).with_max_concurrency(2);
        let mut digest = Digest::default();
        while let Some(block) = blocks.next().await {
            let block = block.map_err(GatewayError::staging)?;
            digest.update(&block);
            if let Err(error) = writer.put(block).await {
                // Nothing is visible before `shutdown`; a failed clean-up is swept by the next write.
                let _ = writer.abort().await;
                return Err(error.into());
            }
        }
        if digest.finish() != id.hash {
            let _ = writer.abort().await;
            return Err(GatewayError::Corrupt(id.hash));
        }
        writer
            .shutdown()
            .await
            .map_err(|error| match error.downcast::<object_store::Error>() {
                Ok(error) => error.into(),
                Err(error) => GatewayError::store_io(error),
            })?;
        self.forget_bad(id);
        self.sync(id).await
    }

    /// Stores a small document under its hash, which the caller has checked.
    pub(super) async fn put_bytes(&self, id: ObjectId, bytes: Bytes) -> Result<(), GatewayError> {
        let _held = self.writes.lock(id.to_string()).await;
        if self.holds(id).await? {
            return self.sync(id).await;
        }
        self.sweep(id).await?;
        self.objects.put(&Self::name(id), PutPayload::from_bytes(bytes)).await?;
        self.forget_bad(id);
        self.sync(id).await
    }

    /// The whole of a small document; `None` if it is missing, longer than `limit`, or not what its name says.
    pub(super) async fn bytes(&self, id: ObjectId, limit: u64) -> Result<Option<Vec<u8>>, GatewayError> {
        let Some(opened) = self.read(id, limit).await? else {
            return Ok(None);
        };
        let copy = opened.copy;
        let collected = verified(opened.bytes, id.hash).try_fold(Vec::new(), |mut all, block| async move {
            all.extend_from_slice(&block);
            Ok(all)
        });
        match collected.await {
            Ok(all) => Ok(Some(all)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%copy, "an object in the store is not what its name says");
                self.remember_bad(copy);
                Ok(None)
            }
            Err(error) => Err(GatewayError::store_io(error)),
        }
    }

    /// Everything below one participant's path of one task.
    pub(super) async fn remove_all(&self, owner: Owner) -> Result<(), GatewayError> {
        if let Some(directory) = &self.directory {
            // With what a crash left beside the objects, which listing hides.
            let path = directory.join(owner.to_string());
            return remove_if_there(tokio::fs::remove_dir_all(path).await).map_err(GatewayError::store_io);
        }
        let prefix = object_store::path::Path::from(owner.to_string());
        let found = self.objects.list(Some(&prefix)).map_ok(|meta| meta.location).boxed();
        self.objects
            .delete_stream(found)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    /// Proves that the store answers, and for a directory that it can be written.
    pub(super) async fn check(&self) -> Result<(), GatewayError> {
        let Some(directory) = self.directory.clone() else {
            let probe = object_store::path::Path::from("0/ready");
            return match self.objects.head(&probe).await {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            };
        };
        blocking(move || {
            let probe = super::files::TemporaryFile::new(&directory);
            std::fs::write(probe.path(), b"ready")
        })
        .await
        .map_err(GatewayError::store_io)
    }

    /// For a directory: the object's bytes and name are on the disk when this returns.
    async fn sync(&self, id: ObjectId) -> Result<(), GatewayError> {
        let Some(directory) = self.directory.clone() else {
            return Ok(());
        };
        blocking(move || {
            let path = directory.join(id.to_string());
            std::fs::File::open(&path)?.sync_all()?;
            let mut at = path.parent();
            while let Some(parent) = at {
                sync_directory(parent)?;
                if parent == directory {
                    break;
                }
                at = parent.parent();
            }
            Ok(())
        })
        .await
        .map_err(GatewayError::store_io)
    }

    /// For a directory: removes what a crash left of earlier writes of this object (`<hash>#<n>`).
    async fn sweep(&self, id: ObjectId) -> Result<(), GatewayError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let parent = directory.join(id.owner.to_string());
        let prefix = format!("{}#", id.hash);
        blocking(move || {
            let entries = match std::fs::read_dir(&parent) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
                    remove_if_there(std::fs::remove_file(entry.path()))?;
                }
            }
            Ok(())
        })
        .await
        .map_err(GatewayError::store_io)
    }
}
