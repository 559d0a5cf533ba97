//! What a Job says while it runs.

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// Largest progress document, in bytes.
pub const MAX_PROGRESS_BYTES: usize = 512;

/// How far a running Job is. Handed to the gateway now and then, which keeps the newest in memory only: nothing is decided
/// by it, and losing it costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobProgress {
    pub version: u32,
    pub stage: Stage,
    /// The running epoch, counted from 1, of how many; training only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Optimizer steps so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Decimal string: mean training loss of the running epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    /// Decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<String>,
    /// When the stage is expected to end; absolute, so that it stays true while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Timestamp>,
    /// The step after which an earlier process of this Job was interrupted and this one went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
}

/// What a Job is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Reading the participant's data.
    Reading,
    /// Fetching models.
    Fetching,
    Training,
    Aggregating,
    Evaluating,
    /// Handing in model and result.
    HandingIn,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Fetching => "fetching",
            Self::Training => "training",
            Self::Aggregating => "aggregating",
            Self::Evaluating => "evaluating",
            Self::HandingIn => "handingIn",
        }
    }
}
