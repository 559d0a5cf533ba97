//! How trainer pods run, and what runs in them.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, LocalObjectReference, ResourceRequirements, Toleration},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use protocol::job::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

fn device(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["auto", "cpu", "cuda"] })
}
