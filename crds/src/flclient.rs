//! FLClient: one participant of one task, run by this operator.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time},
};
use kube::{CustomResource, KubeSchema};
use protocol::{
    job::{DataFormat, Device},
    types::{Address, Amount, B256, DefinitionHash, ModelHash, Outcome, Role, Score},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, NameRef, SignerRef};

/// What a participant brings: a key, a stake, data, and how to run a trainer on it.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fl-alliance.io",
    version = "v1alpha1",
    kind = "FLClient",
    plural = "flclients",
    shortname = "flc",
    category = "fl-alliance",
    namespaced,
    status = "FLClientStatus",
    derive = "PartialEq",
    doc = "A participant in a task: its key, stake, data and trainer.",
    printcolumn(name = "TASK", type_ = "string", json_path = ".spec.taskRef.name"),
    printcolumn(name = "ROLE", type_ = "string", json_path = ".status.role"),
    printcolumn(name = "STEP", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "STAKE", type_ = "string", json_path = ".status.stake"),
    printcolumn(name = "CLAIMABLE", type_ = "string", json_path = ".status.claimable"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "ROUND", type_ = "integer", json_path = ".status.round", priority = "1"),
    printcolumn(name = "ADDRESS", type_ = "string", json_path = ".status.address", priority = "1"),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = "1"
    ),
    printcolumn(
        name = "MESSAGE",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = "1"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("the name may have at most 40 characters"),
    validation = Rule::new("has(self.spec.trainer.flockSdk) == (self.spec.data.format == 'json')")
        .message("trainer.flockSdk reads data of format json, and nothing else does")
)]
#[serde(rename_all = "camelCase")]
pub struct FLClientSpec {
    /// The FLTask, in the same namespace. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("taskRef is immutable: make another FLClient"))]
    pub task_ref: NameRef,
    /// The participant's key. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("signer is immutable: make another FLClient"))]
    pub signer: SignerRef,
    /// Staked once, in the token's smallest unit; never topped up by the operator.
    #[schemars(schema_with = "crate::schema::amount")]
    pub stake: Amount,
    /// The participant's own data. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("data is immutable: make another FLClient"))]
    pub data: DataSpec,
    pub trainer: TrainerSpec,
    /// Base models of tasks whose module has one: read-only volumes with a manifest in their root. A change is checked
    /// again before the next join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(one, self.filter(other, other.name == one.name).size() == 1)")
        .message("each of baseModels has a name of its own"))]
    pub base_models: Vec<BaseModelVolume>,
    /// Finish the running round and join no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
}

/// The data and how to read it. It is mounted read-only into trainer pods and goes nowhere else.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSpec {
    pub volume: DataVolume,
    #[schemars(schema_with = "data_format")]
    pub format: DataFormat,
}

/// A volume with a base model.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseModelVolume {
    #[schemars(schema_with = "base_model_name")]
    pub name: String,
    pub volume: DataVolume,
}

fn base_model_name(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 40 })
}

/// Where the data is: exactly one of. Host paths are not offered, they would reach other tenants' files.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.pvc) ? 1 : 0) + (has(self.csi) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1")
        .message("exactly one of pvc, csi and image must be set")
)]
pub struct DataVolume {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcVolume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiVolume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageVolume>,
}

/// A PersistentVolumeClaim in the same namespace.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PvcVolume {
    #[schemars(schema_with = "crate::schema::object_name")]
    pub claim_name: String,
    /// Folder inside the volume; its root if absent. Relative, without "..".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.split('/').exists(part, part == '..')")
        .message("subPath must be relative and without '..'"))]
    pub sub_path: Option<String>,
}

/// An inline CSI volume, read-only.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsiVolume {
    #[schemars(length(min = 1, max = 253))]
    pub driver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub fs_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "volume_attributes")]
    pub volume_attributes: BTreeMap<String, String>,
}

/// An OCI image or artifact mounted as a volume.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageVolume {
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How trainer pods run. A change is checked again (preflight) before the next join.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainerSpec {
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Plain container resources; a GPU is a limit such as `nvidia.com/gpu: 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub runtime_class_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub priority_class_name: Option<String>,
    /// Kueue queue: Jobs are then created suspended and admitted by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::object_name")]
    pub queue_name: Option<String>,
    /// Limit of the scratch volume (models and checkpoints); 2Gi if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch_size: Option<Quantity>,
    /// What a training that is interrupted (an eviction, a node that is drained) goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<CheckpointSpec>,
    /// Size of /dev/shm, for loaders with several processes; the runtime's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Quantity>,
    /// `auto` (default) uses a GPU if there is one; `cuda` fails without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "device")]
    pub device: Option<Device>,
    /// A container of FLock's SDK that trains, evaluates and aggregates; `image` is then only the agent between it and
    /// the gateway, and `resources` and `shmSize` are the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flock_sdk: Option<FlockSdkSpec>,
}

/// A container that answers `POST /call` on port 5000: train, evaluate, aggregate. It runs beside the agent in each Job,
/// finds the participant's data at /dataset.json and may write to /tmp.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlockSdkSpec {
    /// By digest, the one of the task's definition: `registry.example/model@sha256:...`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^.+@sha256:[0-9a-f]{64}$')")
        .message("image must name a digest: registry.example/model@sha256:..."))]
    pub image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// In place of the image's entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub command: Vec<String>,
    /// In place of the image's command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub args: Vec<String>,
    /// Environment of the container. Values only: no Secret is handed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvValue>,
}

/// An environment variable.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvValue {
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// How often a training leaves a checkpoint, and where.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointSpec {
    /// At least between two of them; 60 if absent. One more is made when the pod is told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 86400))]
    pub every_seconds: Option<u32>,
    /// Largest one that is kept at the gateway too, so that the Job can go on on another node: about three models with
    /// sgd and momentum, four with adam. Absent: none is kept there, and a pod that takes over from a lost one begins
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_size: Option<Quantity>,
}

fn data_format(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string", "enum": ["idx", "csv", "parquet", "imageFolder", "json"],
        "description": "idx: two files of the IDX format (optionally .gz), images-idx3-ubyte and labels-idx1-ubyte. \
                        csv: all *.csv files (optionally .gz), each with a header line; comma, semicolon or tab. \
                        parquet: all *.parquet files. imageFolder: a folder of PNG and JPEG files for each class, named \
                        as the class. json: one file dataset.json, an array of objects, for flockSdk."
    })
}

fn device(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["auto", "cpu", "cuda"] })
}

fn volume_attributes(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 512 }
    })
}

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
