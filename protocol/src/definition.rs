//! The training definition: what every participant of a task computes. Canonical JSON, named by its SHA-256.
//!
//! There are no defaults: a key that is missing, unknown or twice there is an error, so that two participants never run
//! different things under one hash.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    architecture::{Architecture, ArchitectureError},
    canonical::{self, CanonicalError, MAX_INTEGER},
    model::{Layout, MAX_HEADER_BYTES, Metadata, ModelError},
    types::{B256, DefinitionHash},
};

mod aggregation;
mod checks;
mod data;
mod evaluation;
mod fit;
mod flock_sdk;
mod training;
mod weights;

pub use aggregation::{Aggregation, Rule};
pub use checks::Empty;
use checks::{count, number, present};
pub use data::{
    CategoryColumn, ClassLabel, Column, ColumnRole, Data, Fit, Images, Label, LabelKind, MissingNumber, NumberColumn,
    OtherCategory, Preprocessing, Scaling, Split, Table,
};
pub use evaluation::{Direction, Evaluation, Metric};
pub use flock_sdk::{Cpu, FlockSdk, ImageDigest, SdkDefinition, SdkDocument, TaskDefinition};
pub use training::{
    Adam, CosineSchedule, EarlyStop, Loss, Optimizer, Precision, Privacy, Schedule, Sgd, StepSchedule, Training,
};
pub use weights::Weights;

/// Largest definition document, in bytes.
pub const MAX_DEFINITION_BYTES: usize = 1 << 20;

/// The only schema version so far.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    #[error("the definition has {0} bytes; at most {MAX_DEFINITION_BYTES} are read")]
    TooLarge(usize),
    #[error("the definition cannot be read: {0}")]
    Syntax(String),
    #[error("schemaVersion {0} is not supported; this program knows version {SCHEMA_VERSION}")]
    Version(u32),
    #[error("{field} is {value}, but must be {expected}")]
    Range {
        field: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("architecture: {0}")]
    Architecture(#[from] ArchitectureError),
    #[error("architecture: {0}")]
    Model(String),
    /// Each part is in range, but they do not go together.
    #[error("{0}")]
    Fit(String),
    #[error(
        "this is a task for containers of FLock's SDK: they compute it, beside an FLClient's spec.trainer.flockSdk"
    )]
    FlockSdk,
    #[error("a model of this architecture has {needed} bytes, more than maxModelBytes {limit}")]
    ModelTooLarge { needed: u64, limit: u64 },
    #[error("the definition has no canonical form: {0}")]
    Canonical(#[from] CanonicalError),
    #[error("the definition hashes to {actual}, not to {expected}")]
    Hash {
        expected: DefinitionHash,
        actual: DefinitionHash,
    },
}

impl DefinitionError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too-large",
            Self::Syntax(_) => "syntax",
            Self::Version(_) => "version",
            Self::Range { .. } => "range",
            Self::Fit(_) => "fit",
            Self::Architecture(_) | Self::Model(_) => "architecture",
            Self::FlockSdk => "flock-sdk",
            Self::ModelTooLarge { .. } => "model-too-large",
            Self::Canonical(_) => "canonical",
            Self::Hash { .. } => "hash",
        }
    }
}

impl From<ModelError> for DefinitionError {
    fn from(error: ModelError) -> Self {
        Self::Model(error.to_string())
    }
}

/// A definition whose ranges were checked. Read-only; derefs to its [`DefinitionDocument`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DefinitionDocument", into = "DefinitionDocument")]
pub struct Definition {
    document: DefinitionDocument,
    canonical: String,
    hash: DefinitionHash,
}

impl Definition {
    /// Reads and checks a definition in any JSON form.
    pub fn parse(bytes: &[u8]) -> Result<Self, DefinitionError> {
        if bytes.len() > MAX_DEFINITION_BYTES {
            return Err(DefinitionError::TooLarge(bytes.len()));
        }
        let document: DefinitionDocument =
            serde_json::from_slice(bytes).map_err(|e| match flock_sdk::is_for_containers(bytes) {
                true => DefinitionError::FlockSdk,
                false => DefinitionError::Syntax(e.to_string()),
            })?;
        document.try_into()
    }

    /// [`Definition::parse`], and its hash must be the one the chain names.
    pub fn parse_expecting(bytes: &[u8], expected: DefinitionHash) -> Result<Self, DefinitionError> {
        let definition = Self::parse(bytes)?;
        if definition.hash != expected {
            return Err(DefinitionError::Hash {
                expected,
                actual: definition.hash,
            });
        }
        Ok(definition)
    }

    /// RFC 8785 form, the bytes that are hashed, stored and handed to trainers.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// SHA-256 of [`Definition::canonical`].
    pub fn hash(&self) -> DefinitionHash {
        self.hash
    }
}

impl Deref for Definition {
    type Target = DefinitionDocument;

    fn deref(&self) -> &DefinitionDocument {
        &self.document
    }
}

impl TryFrom<DefinitionDocument> for Definition {
    type Error = DefinitionError;

    fn try_from(document: DefinitionDocument) -> Result<Self, DefinitionError> {
        document.check()?;
        let canonical = canonical::to_string(&document)?;
        let hash = DefinitionHash(B256::from(<[u8; 32]>::from(Sha256::digest(canonical.as_bytes()))));
        Ok(Self {
            document,
            canonical,
            hash,
        })
    }
}

impl From<Definition> for DefinitionDocument {
    fn from(definition: Definition) -> Self {
        definition.document
    }
}

/// The definition as written, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefinitionDocument {
    pub schema_version: u32,
    pub architecture: Architecture,
    pub training: Training,
    /// Of pixels: for images, and for images only.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// Absent: images whose labels are numbers from 0.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// Seed of the genesis model and of every shuffle, at most 2^53 - 1.
    pub seed: u64,
    pub split: Split,
    pub aggregation: Aggregation,
    pub evaluation: Evaluation,
    /// Largest valid contribution, in bytes.
    pub max_model_bytes: u64,
    /// What the elements of model files are; absent: 32-bit floats. Not for a module, whose tensors say it one by one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
}

impl DefinitionDocument {
    fn check(&self) -> Result<(), DefinitionError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(DefinitionError::Version(self.schema_version));
        }
        self.architecture.check()?;
        self.training.check()?;
        if let Some(preprocessing) = &self.preprocessing {
            preprocessing.check(["preprocessing.mean", "preprocessing.std"])?;
        }
        if let Some(data) = &self.data {
            data.check()?;
        }
        count("seed", self.seed, 0..=MAX_INTEGER, "at most 2^53-1")?;
        count(
            "split.testPercent",
            self.split.test_percent.into(),
            1..=90,
            "between 1 and 90",
        )?;
        self.aggregation.check()?;
        self.evaluation.check()?;
        self.check_fit()?;
        count(
            "maxModelBytes",
            self.max_model_bytes,
            1..=MAX_INTEGER,
            "between 1 and 2^53-1",
        )?;
        let layout = Layout::new(&self.tensors(), &Metadata::widest())?;
        if layout.header().len() as u64 > MAX_HEADER_BYTES {
            return Err(DefinitionError::Model(format!(
                "the header of a model would have {} bytes; at most {MAX_HEADER_BYTES} are read",
                layout.header().len()
            )));
        }
        let needed = layout.file_len();
        if needed > self.max_model_bytes {
            return Err(DefinitionError::ModelTooLarge {
                needed,
                limit: self.max_model_bytes,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
