//! The way in and out of a trainer: models and the result, through the gateway or a plain folder.

mod directory;
mod http;
mod meter;
mod transfer;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use protocol::{job::JobProgress, types::ModelHash};

pub(crate) use meter::Meter;

use crate::input::Input;

/// First and longest pause between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("{0:?} is no gateway address: http://, https:// or file:/// is expected")]
    Address(String),
    #[error("the gateway's CA certificate cannot be used: {0}")]
    Certificate(String),
    #[error("nobody serves {0} yet")]
    NotFound(ModelHash),
    #[error("what is served as {expected} hashes to {actual}")]
    WrongBytes { expected: ModelHash, actual: ModelHash },
    #[error("{hash} is larger than {limit} bytes")]
    TooLarge { hash: ModelHash, limit: u64 },
    #[error("the gateway cannot be reached: {0}")]
    Network(String),
    #[error("the gateway answers {status}: {message}")]
    Unavailable { status: u16, message: String },
    #[error("the gateway refuses this job ({status}): {message}")]
    Refused { status: u16, message: String },
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl GatewayError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Certificate(_) => "certificate",
            Self::NotFound(_) => "not-found",
            Self::WrongBytes { .. } => "wrong-bytes",
            Self::TooLarge { .. } => "too-large",
            Self::Network(_) => "network",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Io { .. } => "io",
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::NotFound(_) | Self::WrongBytes { .. } | Self::Network(_) | Self::Unavailable { .. }
        )
    }
}

/// What an earlier pod of the same job has handed in.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Earlier {
    pub model: Option<ModelHash>,
    pub result: Option<String>,
}

/// Where models come from and where the job's model and result go. Every call is a single try.
pub trait Gateway: Send + Sync {
    /// Whether the other side is there.
    fn ready(&self) -> Result<(), GatewayError>;

    /// What this job has handed in already; without a gateway nothing is known.
    fn earlier(&self) -> Result<Earlier, GatewayError>;

    /// Downloads a model into `path` and verifies its hash; on an error nothing is left there.
    fn fetch(&self, hash: ModelHash, path: &Path, limit: u64, timeout: Duration) -> Result<(), GatewayError>;

    /// Hands in this job's model; doing it twice with the same bytes is fine.
    fn put_model(&self, hash: ModelHash, path: &Path) -> Result<(), GatewayError>;

    /// Hands in this job's result line.
    fn put_result(&self, line: &str) -> Result<(), GatewayError>;

    /// Keeps what this job can go on from on another node, in the place of what was kept before. `name` is for those that
    /// cannot tell jobs apart.
    fn put_checkpoint(&self, name: &str, file: File, hash: ModelHash) -> Result<(), GatewayError>;

    /// Downloads what was kept last into `path`; false if there is nothing.
    fn fetch_checkpoint(&self, name: &str, path: &Path, limit: u64) -> Result<bool, GatewayError>;

    /// It is not needed any more.
    fn drop_checkpoint(&self, name: &str);

    /// Says how far the job is; nothing depends on it.
    fn put_progress(&self, word: &JobProgress) -> Result<(), GatewayError>;
}

/// The gateway the input names.
pub fn connect(input: &Input) -> Result<Arc<dyn Gateway>, GatewayError> {
    let address = &input.document.gateway;
    match address.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => Ok(Arc::new(directory::Directory::new(path.into()))),
        Some(("http" | "https", _)) => Ok(Arc::new(http::Http::new(
            address,
            input.token.as_deref(),
            input.ca.as_deref(),
        )?)),
        _ => Err(GatewayError::Address(address.clone())),
    }
}

/// Repeats a call that failed for a reason that may pass, with growing pauses, until `until`; tries at least once.
pub fn retry<T>(
    until: SystemTime,
    what: &str,
    mut call: impl FnMut() -> Result<T, GatewayError>,
) -> Result<T, GatewayError> {
    let mut pause = BACKOFF.0;
    loop {
        let error = match call() {
            Err(error) if error.retryable() => error,
            done => return done,
        };
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        if left.is_zero() {
            return Err(error);
        }
        println!("{what}: {error}; trying again, {} s left", left.as_secs());
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(BACKOFF.1);
    }
}

#[cfg(test)]
mod tests;
