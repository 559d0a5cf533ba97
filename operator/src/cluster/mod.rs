//! Kubernetes as the controller sees it: a handful of verbs, so that a simulation can stand in for the API server.
//!
//! Every write is either create-only or a server-side apply by the one field manager [`FIELD_MANAGER`].

use std::sync::Arc;

use async_trait::async_trait;
use crds::{FLChain, FLClient, FLRound, FLTask};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ObjectReference, Pod, Secret},
};

mod error;
mod kube_cluster;
mod written;

pub use crds::names::{FIELD_MANAGER, FINALIZER};
pub use error::ClusterError;
pub use kube_cluster::{KubeCluster, Scope};

/// Namespaced name of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whether a create-only write made the object or found it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    Existed,
}

/// Severity of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Normal,
    Warning,
}

/// One Event, published once per transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub kind: EventKind,
    /// A documented constant (`crds::conditions::reason`).
    pub reason: String,
    /// What was being done, e.g. `JoinRound`.
    pub action: String,
    pub message: String,
}

/// Reads may come from a watch cache and be a little old, but a task, client or round is never older than this process's
/// own last write of it; writes go to the API server.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    async fn chain(&self, name: &str) -> Result<Option<Arc<FLChain>>, ClusterError>;
    async fn task(&self, key: &Key) -> Result<Option<Arc<FLTask>>, ClusterError>;
    async fn client(&self, key: &Key) -> Result<Option<Arc<FLClient>>, ClusterError>;
    /// All tasks of the namespaces this operator serves.
    async fn tasks(&self) -> Result<Vec<Arc<FLTask>>, ClusterError>;
    /// All clients of the namespaces this operator serves.
    async fn clients(&self) -> Result<Vec<Arc<FLClient>>, ClusterError>;
    /// FLRounds of one task, any order.
    async fn rounds(&self, task: &Key) -> Result<Vec<Arc<FLRound>>, ClusterError>;

    /// Server-side apply of `.status` alone. Callers compare first: an unchanged status is not written.
    async fn apply_chain_status(&self, name: &str, status: &crds::FLChainStatus) -> Result<(), ClusterError>;
    async fn apply_task_status(&self, key: &Key, status: &crds::FLTaskStatus) -> Result<(), ClusterError>;
    async fn apply_client_status(&self, key: &Key, status: &crds::FLClientStatus) -> Result<(), ClusterError>;
    /// Creates or updates an FLRound (its spec is fixed) and applies its status.
    async fn apply_round(&self, round: &FLRound) -> Result<(), ClusterError>;
    async fn delete_round(&self, key: &Key) -> Result<(), ClusterError>;

    async fn set_task_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError>;
    async fn set_client_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError>;

    /// Jobs labelled as belonging to this FLClient.
    async fn jobs(&self, client: &Key) -> Result<Vec<Arc<Job>>, ClusterError>;
    /// Pods of one Job, newest first.
    async fn pods(&self, job: &Key) -> Result<Vec<Arc<Pod>>, ClusterError>;
    async fn create_job(&self, namespace: &str, job: &Job) -> Result<Created, ClusterError>;
    /// Background propagation; gone already is success.
    async fn delete_job(&self, job: &Key) -> Result<(), ClusterError>;

    /// `None` if there is none by that name. Never listed.
    async fn secret(&self, key: &Key) -> Result<Option<Secret>, ClusterError>;
    async fn create_secret(&self, namespace: &str, secret: &Secret) -> Result<Created, ClusterError>;
    /// Gone already is success.
    async fn delete_secret(&self, key: &Key) -> Result<(), ClusterError>;

    async fn publish(&self, about: &ObjectReference, note: &Note) -> Result<(), ClusterError>;
}
