//! What a Job says when it is done.

use serde::{Deserialize, Serialize};

use crate::types::{B256, IncludedMask, ModelHash, Score};

/// Largest result line, in bytes: it must also fit a termination message.
pub const MAX_RESULT_BYTES: usize = 2048;

/// The last line of a trainer: to the gateway, and into the termination message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    pub version: u32,
    /// keccak256 of the identity in RFC 8785 form, as in the input this answers.
    pub identity_hash: B256,
    #[serde(flatten)]
    pub outcome: StepResult,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum StepResult {
    Check(CheckResult),
    Train(TrainResult),
    Vote(VoteResult),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    pub genesis_model: ModelHash,
    pub train_samples: u32,
    pub test_samples: u32,
    pub classes: u32,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// What was read; a trainer of an older version says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataReport>,
    /// Of a module that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseReport>,
}

/// A base model whose files were found to be what its manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseReport {
    /// SHA-256 of the manifest.
    pub manifest: ModelHash,
    pub files: u32,
    pub bytes: u64,
    /// Over names, sizes and times of last change.
    pub stamp: B256,
}

/// What was read of a data volume. It says nothing about single records but where rejected ones are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataReport {
    pub files: u32,
    /// All that were found, the rejected ones included.
    pub records: u32,
    pub rejected: u32,
    /// The first few of the rejected: file, line and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<String>,
    /// In the definition's order; the first ones if there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassCount>,
}

/// Accepted records of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassCount {
    pub name: String,
    pub train: u32,
    pub test: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainResult {
    pub model: ModelHash,
    pub epochs: u32,
    pub steps: u64,
    /// Decimal strings: results travel through systems that round floats.
    pub loss: String,
    pub test_metric: String,
    pub seconds: String,
    /// True if `finishBy` came before the definition's last epoch.
    pub stopped_early: bool,
    /// Of a private training; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<SpentPrivacy>,
    /// The step after which the last interruption was made good; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
}

/// At most what this task has cost the records of a participant that trained in every round so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpentPrivacy {
    /// Decimal strings.
    pub epsilon: String,
    pub delta: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VoteResult {
    /// The aggregate; the start model's hash when nothing could be included.
    pub aggregate: ModelHash,
    pub score: Score,
    pub mask: IncludedMask,
    pub start_metric: String,
    pub aggregate_metric: String,
    /// Seats left out of the mask and why (at most 20 words each).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedSeat>,
    /// The rule that took the place of the definition's, because too few contributions were included for that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Seats in the mask whose contribution a rule that selects did not use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExcludedSeat {
    pub seat: u32,
    pub reason: String,
}
