//! FLClient: one participant of one task, run by this operator.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use kube::{CustomResource, KubeSchema};
use protocol::types::Amount;
use serde::{Deserialize, Serialize};

use crate::{NameRef, SignerRef};

mod data;
mod status;
mod trainer;

pub use data::*;
pub use status::*;
pub use trainer::*;

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
