//! The documents that pass between controller, gateway and trainer. They carry a version; the controller accepts the
//! current one and the one before.

mod exit;
mod progress;
mod result;

use serde::{Deserialize, Serialize};

pub use self::{
    exit::ExitCode,
    progress::{JobProgress, MAX_PROGRESS_BYTES, Stage},
    result::{
        BaseReport, CheckResult, ClassCount, DataReport, ExcludedSeat, JobResult, MAX_RESULT_BYTES, SpentPrivacy,
        StepResult, TrainResult, VoteResult,
    },
};
use crate::types::{Address, B256, DefinitionHash, ModelHash, Round, RoundDigest, Timestamp};

/// Version of [`JobInput`] and [`JobResult`] written by this code.
pub const DOCUMENT_VERSION: u32 = 1;

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
