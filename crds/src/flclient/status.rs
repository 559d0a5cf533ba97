//! What a client has come to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use protocol::types::{Address, Amount, B256, DefinitionHash, ModelHash, Outcome, Role, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// Where this participant stands: from the chain, from its Jobs, and from what was last done.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FLClientStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The key's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub address: Option<Address>,
    /// Stake left on the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::amount")]
    pub stake: Option<Amount>,
    /// Rewards and bonuses credited, paid at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::amount")]
    pub claimable: Option<Amount>,
    /// What `round` will bring if it ends with the votes revealed so far; once it is finished, what its settlement will
    /// bring. Gone when that is done: then it is part of stake, claimable and totals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedSettlement>,
    /// Role in `round`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::role")]
    pub role: Option<Role>,
    /// What it is at: Suspended, Checking, Staking, Joining, Joined, Training, Contributing, Contributed, Waiting,
    /// Evaluating, Committing, Committed, Revealing, Revealed, Drained, Removed, Claiming, Claimed or Stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The round that role and step are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub round: Option<u32>,
    /// When the present duty must be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty_deadline: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<ClientTotals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_vote: Option<LastVote>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_training: Option<LastTraining>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<PreflightStatus>,
    /// How far the running Job is; gone when it ends. Written at most every five seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningJob>,
    /// How far the votes of this key on chain were compared with the vote ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,
    /// Set once by a reason that only a person can resolve; see the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// Whether all votes of this key are this operator's.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerStatus {
    /// Rounds below this one were looked at.
    #[schemars(schema_with = "crate::schema::small_count")]
    pub checked_rounds: u32,
    /// The last round in which the key voted and this operator did not: somebody else has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub foreign_round: Option<u32>,
}

/// One participant's part in a settlement that is still to come.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedSettlement {
    #[schemars(schema_with = "crate::schema::outcome")]
    pub outcome: Outcome,
    /// Credited to `claimable`.
    #[schemars(schema_with = "crate::schema::amount")]
    pub reward: Amount,
    /// Taken from `stake`. A vote that is not revealed yet counts as missing.
    #[schemars(schema_with = "crate::schema::amount")]
    pub slash: Amount,
}

/// Sums over the settled rounds this account took part in.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientTotals {
    /// Rounds below this one are counted below.
    #[schemars(schema_with = "crate::schema::small_count")]
    pub counted_rounds: u32,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub rounds_joined: u32,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub contributions: u32,
    /// Revealed votes.
    #[schemars(schema_with = "crate::schema::small_count")]
    pub votes: u32,
    /// Rounds in which a duty was missed.
    #[schemars(schema_with = "crate::schema::small_count")]
    pub missed: u32,
    #[schemars(schema_with = "crate::schema::amount")]
    pub slashed: Amount,
    #[schemars(schema_with = "crate::schema::amount")]
    pub rewarded: Amount,
}

/// The last vote this client computed.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastVote {
    #[schemars(schema_with = "crate::schema::small_count")]
    pub round: u32,
    /// The aggregate voted on.
    #[schemars(schema_with = "crate::schema::hash")]
    pub aggregate: ModelHash,
    #[schemars(schema_with = "crate::schema::score")]
    pub score: Score,
    /// Bit j: the j-th proposer's contribution was fetched and valid.
    #[schemars(schema_with = "crate::schema::count")]
    pub mask: u64,
    /// The definition's metric of the start model on this client's test split (decimal string).
    pub start_metric: String,
    /// The same of the aggregate.
    pub aggregate_metric: String,
}

/// The last model this client trained.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastTraining {
    #[schemars(schema_with = "crate::schema::small_count")]
    pub round: u32,
    #[schemars(schema_with = "crate::schema::hash")]
    pub model: ModelHash,
    /// Of the last epoch (decimal string); absent if it is not known, as of a container of FLock's SDK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    /// The definition's metric on this client's test split (decimal string); absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_metric: Option<String>,
    /// Decimal string.
    pub seconds: String,
    /// The deadline came before the definition's last epoch.
    #[serde(default)]
    pub stopped_early: bool,
    /// If the definition asks for private training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<SpentPrivacy>,
    /// The step from which it went on after an interruption; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub resumed_from: Option<u64>,
}

/// At most what this task has cost the records of a participant that trained in every round so far.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpentPrivacy {
    /// Decimal string.
    pub epsilon: String,
    pub delta: String,
}

/// A running Job, as its trainer describes it.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningJob {
    pub job: String,
    /// reading, fetching, training, aggregating, evaluating or handingIn.
    pub stage: String,
    /// The running epoch, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub epoch: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub epochs: Option<u32>,
    /// Optimizer steps so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub steps: Option<u64>,
    /// Decimal strings: mean training loss of the running epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<String>,
    /// When the trainer expects to be done with this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Time>,
    /// The step from which it went on after an interruption; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub resumed_from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Time>,
}

/// The last successful `check` Job. It holds as long as environment and definition stay the same.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreflightStatus {
    /// The Job that passed.
    pub job: String,
    /// keccak256 of the Job's identity.
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub identity: B256,
    /// Hash over data, trainer and base models of the spec at that time.
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub environment: B256,
    #[schemars(schema_with = "crate::schema::hash")]
    pub definition: DefinitionHash,
    /// The genesis model this client derived itself.
    #[schemars(schema_with = "crate::schema::hash")]
    pub genesis_model: ModelHash,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub train_samples: u32,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub test_samples: u32,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub classes: u32,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// What was read of the data volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSummary>,
    /// The base model that was verified, if the task's module has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseModelSummary>,
}

/// A base model whose files hash to what its manifest says.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseModelSummary {
    #[schemars(schema_with = "crate::schema::hash")]
    pub manifest: ModelHash,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub files: u32,
    #[schemars(schema_with = "crate::schema::count")]
    pub bytes: u64,
    /// Over names, sizes and times of last change; while they stay the same, later Jobs do not read all of it again.
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub stamp: B256,
}

/// What the check read. Rejected records are named by file and line, never shown.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSummary {
    #[schemars(schema_with = "crate::schema::small_count")]
    pub files: u32,
    /// All that were found, the rejected ones included.
    #[schemars(schema_with = "crate::schema::small_count")]
    pub records: u32,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub rejected: u32,
    /// The first few of the rejected: file, line and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rejections: Vec<String>,
    /// In the definition's order; the first ones if there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub classes: Vec<ClassRecords>,
}

/// Accepted records of one class.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassRecords {
    pub name: String,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub train: u32,
    #[schemars(schema_with = "crate::schema::small_count")]
    pub test: u32,
}
