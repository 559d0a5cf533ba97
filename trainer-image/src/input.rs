//! What the process is told: the input document, the token and the CA beside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::{
    definition::{DefinitionError, TaskDefinition},
    job::{CA_FILE, DOCUMENT_VERSION, INPUT_FILE, JobInput, Step, TOKEN_FILE},
    types::Timestamp,
};

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("{}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: not an input document: {error}", .path.display())]
    Syntax { path: PathBuf, error: serde_json::Error },
    #[error("{}: version {found} of the input document; this trainer reads version {DOCUMENT_VERSION}", .path.display())]
    Version { path: PathBuf, found: String },
    #[error("the input document is for step {found:?}, this process was started for {wanted:?}")]
    Step { wanted: &'static str, found: &'static str },
}

impl InputError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Syntax { .. } => "syntax",
            Self::Version { .. } => "version",
            Self::Step { .. } => "step",
        }
    }
}

/// The input folder, read.
pub struct Input {
    pub document: JobInput,
    /// Absent when working by hand.
    pub token: Option<String>,
    /// PEM; absent for plain HTTP.
    pub ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Input {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("document", &self.document)
            .finish_non_exhaustive()
    }
}

impl Input {
    /// Reads `input.json`, `token` and `ca.crt` from `directory`; the document must be for `step`.
    pub fn read(directory: &Path, step: Step) -> Result<Self, InputError> {
        let path = directory.join(INPUT_FILE);
        let text = fs::read(&path).map_err(|error| InputError::Unreadable {
            path: path.clone(),
            error,
        })?;
        let syntax = |error| InputError::Syntax {
            path: path.clone(),
            error,
        };
        // The version first: a document of another version may look different in every other way.
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(syntax)?;
        match value.get("version") {
            Some(version) if version.as_u64() == Some(DOCUMENT_VERSION.into()) => {}
            other => {
                let found = other.map_or_else(|| "(none)".to_owned(), ToString::to_string);
                return Err(InputError::Version { path, found });
            }
        }
        let document: JobInput = serde_json::from_value(value).map_err(syntax)?;
        if document.identity.step != step {
            return Err(InputError::Step {
                wanted: step.as_str(),
                found: document.identity.step.as_str(),
            });
        }
        let token = optional(&directory.join(TOKEN_FILE))?.map(|t| String::from_utf8_lossy(&t).trim().to_owned());
        let ca = optional(&directory.join(CA_FILE))?;
        Ok(Self { document, token, ca })
    }

    /// The definition, checked against the hash the chain names.
    pub fn definition(&self) -> Result<TaskDefinition, DefinitionError> {
        TaskDefinition::parse_expecting(self.document.definition.as_bytes(), self.document.identity.definition)
    }

    pub fn finish_by(&self) -> SystemTime {
        time(self.document.finish_by)
    }

    pub fn fetch_until(&self) -> SystemTime {
        time(self.document.fetch_until)
    }

    /// Until when handing in is tried: a while longer than `finishBy`, which leaves room for just this.
    pub fn hand_in_by(&self) -> SystemTime {
        self.finish_by().max(SystemTime::now()) + Duration::from_secs(30)
    }
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, InputError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(InputError::Unreadable {
            path: path.to_owned(),
            error,
        }),
    }
}

/// Times too far away to be represented are a year from now: nobody waits that long.
fn time(timestamp: Timestamp) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(timestamp.0))
        .unwrap_or_else(|| SystemTime::now() + Duration::from_secs(365 * 24 * 3600))
}
