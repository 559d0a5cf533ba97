//! Small file operations that survive a power cut: what they report as done is on the disk.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rand::RngCore;
use tokio::sync::OwnedMutexGuard;

/// Bytes per read of a file that is streamed or hashed.
pub(super) const BLOCK: usize = 256 * 1024;

/// Runs file work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and its parents below `root`, and makes their names durable.
pub(super) fn create_directories(root: &Path, directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    let mut at = Some(directory);
    while let Some(path) = at {
        sync_directory(path)?;
        if path == root {
            break;
        }
        at = path.parent();
    }
    Ok(())
}

/// A file being written that goes away with this value unless it is moved to its place.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    path: PathBuf,
}

impl TemporaryFile {
    /// A name in `directory` that nobody else uses; the file is made by whoever opens it.
    pub(super) fn new(directory: &Path) -> Self {
        let mut name = [0u8; 16];
        rand::rng().fill_bytes(&mut name);
        Self {
            path: directory.join(format!("{}.part", hex::encode(name))),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it to `target`, whose directory must exist, and makes the name durable.
    pub(super) fn place(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        target.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Gone already after `place`; a leftover is swept at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes `bytes` to `target` if nothing has that name yet; `false` if something has. Never half a file: the name
/// appears with all of its bytes, by a hard link, and of several writers one wins.
pub(super) fn create_once(temporary: &Path, target: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = TemporaryFile::new(temporary);
    let mut handle = File::create_new(file.path())?;
    handle.write_all(bytes)?;
    handle.sync_all()?;
    let created = match fs::hard_link(file.path(), target) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    target.parent().map_or(Ok(()), sync_directory)?;
    Ok(created)
}

/// `None` instead of an error if there is no such file.
pub(super) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Success if there was nothing to remove.
pub(super) fn remove_if_there(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// One lock per name, kept only while somebody holds or awaits it.
#[derive(Debug, Default)]
pub(super) struct NamedLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl NamedLocks {
    pub(super) async fn lock(&self, name: String) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(name).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_writers_of_one_name_one_wins_and_its_bytes_stay() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("record");
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8u8)
                .map(|i| {
                    let (temporary, target) = (directory.path(), &target);
                    scope.spawn(move || create_once(temporary, target, &[i; 100]).unwrap().then_some(i))
                })
                .collect();
            writers
                .into_iter()
                .filter_map(|writer| writer.join().unwrap())
                .collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(fs::read(&target).unwrap(), [winners[0]; 100]);
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[tokio::test]
    async fn a_name_is_locked_for_others_until_released_and_then_forgotten() {
        let locks = NamedLocks::default();
        let held = locks.lock("a".to_owned()).await;
        let other = locks.lock("b".to_owned()).await;
        assert!(locks.0.lock().unwrap()["a"].try_lock().is_err());
        drop((held, other));
        drop(locks.lock("c".to_owned()).await);
        assert!(!locks.0.lock().unwrap().contains_key("a"));
    }
}
