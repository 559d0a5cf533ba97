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
    decimal::Decimal,
    model::{Layout, Metadata, ModelError},
    types::{B256, DefinitionHash},
};

mod aggregation;

pub use aggregation::{Aggregation, Rule};

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
            Self::Architecture(_) | Self::Model(_) => "architecture",
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
            serde_json::from_slice(bytes).map_err(|e| DefinitionError::Syntax(e.to_string()))?;
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
    pub preprocessing: Preprocessing,
    /// Seed of the genesis model and of every shuffle, at most 2^53 - 1.
    pub seed: u64,
    pub split: Split,
    pub aggregation: Aggregation,
    pub evaluation: Evaluation,
    /// Largest valid contribution, in bytes.
    pub max_model_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Training {
    pub optimizer: Optimizer,
    /// 1..=65536.
    pub batch_size: u32,
    /// 1..=10000 passes over the training split per round.
    pub epochs: u32,
}

/// One of, so that a new optimizer is a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Optimizer {
    Sgd(Sgd),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sgd {
    /// Above 0, at most 1000.
    pub learning_rate: Decimal,
    /// 0 to below 1.
    pub momentum: Decimal,
    /// 0 to 1.
    pub weight_decay: Decimal,
}

/// (pixel / 255 - mean) / std.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preprocessing {
    pub mean: Decimal,
    /// Above 0.
    pub std: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Split {
    /// 1..=90 percent of the records are for testing.
    pub test_percent: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluation {
    pub metric: Metric,
    /// Must be the metric's own direction; written out so that a reader need not know it.
    pub direction: Direction,
    /// Tolerated relative loss of the metric in one round, 0 to 1.
    pub epsilon: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Share of correctly classified test records.
    Accuracy,
    /// Mean cross-entropy over the test records.
    Loss,
}

impl Metric {
    pub fn direction(self) -> Direction {
        match self {
            Self::Accuracy => Direction::HigherIsBetter,
            Self::Loss => Direction::LowerIsBetter,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    HigherIsBetter,
    LowerIsBetter,
}

impl DefinitionDocument {
    fn check(&self) -> Result<(), DefinitionError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(DefinitionError::Version(self.schema_version));
        }
        self.architecture.check()?;
        let Optimizer::Sgd(sgd) = &self.training.optimizer;
        number(
            "training.optimizer.sgd.learningRate",
            &sgd.learning_rate,
            "above 0 and at most 1000",
            |x| x > 0.0 && x <= 1000.0,
        )?;
        number(
            "training.optimizer.sgd.momentum",
            &sgd.momentum,
            "at least 0 and below 1",
            |x| (0.0..1.0).contains(&x),
        )?;
        number(
            "training.optimizer.sgd.weightDecay",
            &sgd.weight_decay,
            "between 0 and 1",
            |x| (0.0..=1.0).contains(&x),
        )?;
        count(
            "training.batchSize",
            self.training.batch_size.into(),
            1..=65_536,
            "between 1 and 65536",
        )?;
        count(
            "training.epochs",
            self.training.epochs.into(),
            1..=10_000,
            "between 1 and 10000",
        )?;
        number(
            "preprocessing.mean",
            &self.preprocessing.mean,
            "between -1000000 and 1000000",
            |x| x.abs() <= 1e6,
        )?;
        number(
            "preprocessing.std",
            &self.preprocessing.std,
            "between 0.000001 and 1000000",
            |x| (1e-6..=1e6).contains(&x),
        )?;
        count("seed", self.seed, 0..=MAX_INTEGER, "at most 2^53-1")?;
        count(
            "split.testPercent",
            self.split.test_percent.into(),
            1..=90,
            "between 1 and 90",
        )?;
        self.aggregation.check()?;
        number("evaluation.epsilon", &self.evaluation.epsilon, "between 0 and 1", |x| {
            (0.0..=1.0).contains(&x)
        })?;
        if self.evaluation.direction != self.evaluation.metric.direction() {
            return Err(DefinitionError::Range {
                field: "evaluation.direction",
                value: format!("{:?} for {:?}", self.evaluation.direction, self.evaluation.metric),
                expected: "higherIsBetter for accuracy and lowerIsBetter for loss",
            });
        }
        count(
            "maxModelBytes",
            self.max_model_bytes,
            1..=MAX_INTEGER,
            "between 1 and 2^53-1",
        )?;
        let needed = Layout::new(&self.architecture.tensors(), &Metadata::widest())?.file_len();
        if needed > self.max_model_bytes {
            return Err(DefinitionError::ModelTooLarge {
                needed,
                limit: self.max_model_bytes,
            });
        }
        Ok(())
    }
}

fn number(
    field: &'static str,
    value: &Decimal,
    expected: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<(), DefinitionError> {
    if ok(value.to_f64()) {
        Ok(())
    } else {
        Err(DefinitionError::Range {
            field,
            value: value.to_string(),
            expected,
        })
    }
}

fn count(
    field: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
    expected: &'static str,
) -> Result<(), DefinitionError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(DefinitionError::Range {
            field,
            value: value.to_string(),
            expected,
        })
    }
}

#[cfg(test)]
mod tests;
