//! `file:///directory`: work by hand, without a gateway. Models are files named by their hash, the result is
//! `result.json`, and how far the job is `progress.json`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::{job::JobProgress, types::ModelHash};

use super::{Earlier, Gateway, GatewayError, transfer};

pub(super) const RESULT_FILE: &str = "result.json";
const PROGRESS_FILE: &str = "progress.json";

pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Writes beside the target and renames, so that a reader never sees half a file.
    fn place(&self, name: &str, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), GatewayError> {
        let target = self.root.join(name);
        let part = self.root.join(format!(".{name}.part"));
        write(&part)
            .and_then(|()| fs::rename(&part, &target))
            .map_err(|error| GatewayError::Io { path: target, error })
    }
}

impl Gateway for Directory {
    fn ready(&self) -> Result<(), GatewayError> {
        let io = |error| GatewayError::Io {
            path: self.root.clone(),
            error,
        };
        if fs::metadata(&self.root).map_err(io)?.is_dir() {
            Ok(())
        } else {
            Err(io(io::ErrorKind::NotADirectory.into()))
        }
    }

    fn earlier(&self) -> Result<Earlier, GatewayError> {
        Ok(Earlier::default())
    }

    fn fetch(&self, hash: ModelHash, path: &Path, limit: u64, _timeout: Duration) -> Result<(), GatewayError> {
        let source = self.root.join(hash.to_string());
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => GatewayError::NotFound(hash),
            _ => GatewayError::Io {
                path: source.clone(),
                error,
            },
        };
        transfer::receive(File::open(&source).map_err(io)?, hash, path, limit, io)
    }

    fn put_model(&self, hash: ModelHash, path: &Path) -> Result<(), GatewayError> {
        self.place(&hash.to_string(), |part| fs::copy(path, part).map(drop))
    }

    fn put_checkpoint(&self, name: &str, mut file: File, _: ModelHash) -> Result<(), GatewayError> {
        self.place(name, |part| io::copy(&mut file, &mut File::create(part)?).map(drop))
    }

    fn fetch_checkpoint(&self, name: &str, path: &Path, limit: u64) -> Result<bool, GatewayError> {
        let source = self.root.join(name);
        let io = |error| GatewayError::Io {
            path: source.clone(),
            error,
        };
        match fs::metadata(&source) {
            Ok(about) if about.len() <= limit => fs::copy(&source, path).map(|_| true).map_err(io),
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io(error)),
        }
    }

    fn drop_checkpoint(&self, name: &str) {
        let _ = fs::remove_file(self.root.join(name));
    }

    fn put_progress(&self, word: &JobProgress) -> Result<(), GatewayError> {
        self.place(PROGRESS_FILE, |part| fs::write(part, serde_json::to_vec(word)?))
    }

    fn put_result(&self, line: &str) -> Result<(), GatewayError> {
        self.place(RESULT_FILE, |part| fs::write(part, format!("{line}\n")))
    }
}
