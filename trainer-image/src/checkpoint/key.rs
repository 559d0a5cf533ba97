//! Which training a checkpoint is of, and what it was computed on.

use protocol::types::{Address, B256, DefinitionHash, ModelHash, Round};
use serde::{Deserialize, Serialize};

use crate::{device, failure::Failure, job::Job};

/// Whose training it is, of what and on what. Another key is another training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Key {
    chain_id: u64,
    task: Address,
    participant: Address,
    /// With it the seed and every setting.
    definition: DefinitionHash,
    round: Round,
    start_model: ModelHash,
    /// Over all records and which of them are trained on.
    data: B256,
}

impl Key {
    /// Reads all records.
    pub(super) fn of(job: &Job) -> Result<Self, Failure> {
        let identity = job.identity();
        Ok(Self {
            chain_id: identity.chain_id,
            task: identity.task,
            participant: identity.participant,
            definition: identity.definition,
            round: identity.round,
            start_model: identity.start_model,
            data: job.examples.fingerprint(&job.data.train)?,
        })
    }

    /// What is another's, by name.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.chain_id != other.chain_id || self.task != other.task, "task"),
            (self.participant != other.participant, "participant"),
            (self.definition != other.definition, "definition"),
            (self.start_model != other.start_model, "start model"),
            (self.round != other.round, "round"),
            (self.data != other.data, "set of records: the data have changed"),
        ]
        .into_iter()
        .find_map(|(differs, name)| differs.then_some(name))
    }
}

/// What the last bits of a sum depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Machine {
    pub(super) device: String,
    pub(super) threads: i32,
    pub(super) instructions: String,
}

impl Machine {
    pub(super) fn here(job: &Job) -> Self {
        Self {
            device: device::name(job.device),
            threads: tch::get_num_threads(),
            instructions: instructions().to_owned(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "avx512"
    } else if std::arch::is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> &'static str {
    std::env::consts::ARCH
}
