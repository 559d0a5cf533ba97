//! The documents that pass between controller, gateway and trainer. They carry a version; the controller accepts the
//! current one and the one before.

use serde::{Deserialize, Serialize};

use crate::types::{Address, B256, DefinitionHash, IncludedMask, ModelHash, Round, RoundDigest, Score, Timestamp};

/// Version of [`JobInput`] and [`JobResult`] written by this code.
pub const DOCUMENT_VERSION: u32 = 1;

/// Largest result line, in bytes: it must also fit a termination message.
pub const MAX_RESULT_BYTES: usize = 2048;

/// Where the per-Job Secret is mounted in a trainer pod.
pub const INPUT_DIRECTORY: &str = "/var/run/fl-alliance";
/// Key in the per-Job Secret and file name: the input document.
pub const INPUT_FILE: &str = "input.json";
/// Key in the per-Job Secret and file name: the gateway token.
pub const TOKEN_FILE: &str = "token";
/// Key in the per-Job Secret and file name: the gateway's CA certificate (PEM), absent for plain HTTP.
pub const CA_FILE: &str = "ca.crt";
/// Where the participant's data is mounted, read-only.
pub const DATA_DIRECTORY: &str = "/var/run/fl-alliance-data";
/// The file in the data folder that a container of FLock's SDK finds as [`SDK_DATASET`].
pub const SDK_DATA_FILE: &str = "dataset.json";
/// Where a container of FLock's SDK looks for the participant's data.
pub const SDK_DATASET: &str = "/dataset.json";
/// The port a container of FLock's SDK listens on.
pub const SDK_PORT: u16 = 5000;
/// Below it a folder for each of the FLClient's base models, read-only.
pub const BASE_DIRECTORY: &str = "/var/run/fl-alliance-base";
/// Scratch space, writable.
pub const SCRATCH_DIRECTORY: &str = "/scratch";

/// What a trainer process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Check,
    Train,
    Vote,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Train => "train",
            Self::Vote => "vote",
        }
    }
}

/// One drawn proposer as a voter sees it, in seat order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    pub proposer: Address,
    pub sample_count: u32,
    /// `None`: this proposer did not contribute.
    pub contribution: Option<ModelHash>,
}

/// What a Job computes. Two Jobs with equal identities compute the same thing, and its hash names the Job: after a
/// reorg another identity is another Job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobIdentity {
    pub chain_id: u64,
    pub task: Address,
    pub participant: Address,
    pub step: Step,
    pub definition: DefinitionHash,
    /// 0 for `check`.
    pub round: Round,
    /// The round's start model; zero for `check`.
    pub start_model: ModelHash,
    /// `train`: the draw's digest. `vote`: the round's digest after the last contribution. Zero for `check`.
    pub digest: RoundDigest,
    /// `vote` only: all drawn proposers, in seat order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<Seat>,
    /// Hash over what the FLClient says about data and trainer, so that a change is another Job.
    pub environment: B256,
}

/// How the data volume is to be read. One of, so that a new format is a new key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DataFormat {
    /// Two files of the IDX format (optionally `.gz`): `images-idx3-ubyte` and `labels-idx1-ubyte`.
    Idx,
    /// All `*.csv` files of the folder (optionally `.gz`), each with a header line; comma, semicolon or tab.
    Csv,
    /// All `*.parquet` files of the folder.
    Parquet,
    /// A folder of PNG and JPEG files for each class, named as the class.
    ImageFolder,
    /// One file `dataset.json`, an array of objects, for a container of FLock's SDK.
    Json,
}

impl DataFormat {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Idx => "idx",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::ImageFolder => "imageFolder",
            Self::Json => "json",
        }
    }
}

/// The device a Job asks for; `auto` takes the GPU if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    #[default]
    Auto,
    Cpu,
    Cuda,
}

/// Everything a trainer process is told; `input.json` in the per-Job Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobInput {
    pub version: u32,
    pub identity: JobIdentity,
    /// The training definition in RFC 8785 form; its SHA-256 is `identity.definition`.
    pub definition: String,
    pub genesis_model: ModelHash,
    /// Base URL of the gateway (`http://host:port`), or a `file:///directory` for work by hand: models are then read
    /// from `<directory>/<hash>` and the model and `result.json` are written there.
    pub gateway: String,
    pub data_directory: String,
    pub data_format: DataFormat,
    pub device: Device,
    /// Stop and hand in the best so far.
    pub finish_by: Timestamp,
    /// `vote`: how long to retry fetching contributions before the bit is cleared.
    pub fetch_until: Timestamp,
    /// Where a module's base model may be, if its definition names one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_directories: Vec<String>,
    /// The stamp with which the `check` verified the base model: files that have it are not read for that again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_verified: Option<B256>,
    /// `train`: how often and where to keep what an interrupted training goes on from. Absent: in the scratch volume, once
    /// a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<Checkpoints>,
}

/// What an interrupted training goes on from, and where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoints {
    /// At least between two of them; one more is made when the process is told to stop.
    pub every_seconds: u32,
    /// Size of the scratch volume, which must not be filled up; absent: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch_bytes: Option<u64>,
    /// Largest one that is handed to the gateway too; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_bytes: Option<u64>,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            every_seconds: 60,
            scratch_bytes: None,
            gateway_bytes: None,
        }
    }
}

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

/// Exit codes of the trainer. Those of [`ExitCode::FINAL`] fail the Job at once, [`ExitCode::Stopped`] does not count as
/// a failure (podFailurePolicy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    Ok = 0,
    /// Worth another try: network, gateway not reachable.
    Transient = 1,
    /// The data cannot be read as the format says, or is empty.
    Data = 64,
    /// The definition cannot be run.
    Definition = 65,
    /// Out of memory (also what a killed process looks like: 137).
    Memory = 66,
    /// The input document is not what this trainer understands.
    Input = 67,
    /// The requested device is not there.
    Device = 68,
    /// The gateway refused this Job (token, different second write).
    Refused = 69,
    /// Stopped by SIGTERM, which comes from outside: an eviction, a node that is drained. 128 + 15, as shells say it.
    Stopped = 143,
}

impl ExitCode {
    pub const FINAL: [i32; 6] = [64, 65, 66, 67, 68, 69];

    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Transient,
            64 => Self::Data,
            65 => Self::Definition,
            66 | 137 => Self::Memory,
            67 => Self::Input,
            68 => Self::Device,
            69 => Self::Refused,
            143 => Self::Stopped,
            _ => return None,
        })
    }
}
