//! A folder of this process below the scratch volume, which goes away with it. A process that was killed leaves its own:
//! the next one sweeps it, or a volume of fixed size would fill up.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use tempfile::TempDir;

const PREFIX: &str = "fl-alliance-process-";
const LOCK: &str = "lock";

/// Held as long as the process lives.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        sweep(root)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders whose processes are gone.
fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        // Without a lock yet it is being made this moment.
        if ours && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // Somebody else may be at it too.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_lives_is_not() {
        let root = tempfile::tempdir().unwrap();
        let dead = root.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("start"), "a model").unwrap();
        fs::write(root.path().join("checkpoint"), "stays").unwrap();
        let living = Scratch::new(root.path()).unwrap();
        let other = Scratch::new(root.path()).unwrap();
        assert!(!dead.exists() && living.path().exists() && other.path().exists());
        drop((living, other));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
