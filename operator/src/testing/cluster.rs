//! An API server in memory: create-only writes, status applies, finalizers, deletion that waits for them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use crds::{FLChain, FLClient, FLRound, FLTask, names};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ObjectReference, Pod, Secret},
};
use kube::ResourceExt;

use super::faults::{Dead, Faults};
use crate::cluster::{Cluster, ClusterError, Created, FINALIZER, Key, Note};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) chains: BTreeMap<String, FLChain>,
    pub(crate) tasks: BTreeMap<Key, FLTask>,
    pub(crate) clients: BTreeMap<Key, FLClient>,
    pub(crate) rounds: BTreeMap<Key, FLRound>,
    pub(crate) jobs: BTreeMap<Key, Job>,
    pub(crate) pods: BTreeMap<Key, Pod>,
    pub(crate) secrets: BTreeMap<Key, Secret>,
    pub(crate) notes: Vec<Note>,
    /// Writes of FLClient status.
    pub(crate) status_writes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct FakeCluster {
    faults: Faults,
    state: Mutex<State>,
}

fn key<K: ResourceExt>(object: &K) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

impl FakeCluster {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            faults,
            state: Mutex::default(),
        }
    }

    /// What a person, the scheduler or the kubelet does: not a call of the operator.
    pub(crate) fn edit<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.lock())
    }

    pub(crate) fn put_task(&self, task: FLTask) {
        self.edit(|state| state.tasks.insert(key(&task), task));
    }

    pub(crate) fn put_client(&self, client: FLClient) {
        self.edit(|state| state.clients.insert(key(&client), client));
    }

    pub(crate) fn put_secret(&self, secret: Secret) {
        self.edit(|state| state.secrets.insert(key(&secret), secret));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, name: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, ClusterError> {
        self.faults
            .call(name, || work(&mut self.lock()))
            .map_err(|Dead| ClusterError::Unreachable("the process died".to_owned()))
    }
}

fn set_finalizer<K: ResourceExt>(object: Option<&mut K>, present: bool) -> bool {
    let Some(object) = object else { return false };
    let finalizers = object.finalizers_mut();
    finalizers.retain(|f| f != FINALIZER);
    if present {
        finalizers.push(FINALIZER.to_owned());
    }
    finalizers.is_empty() && object.meta().deletion_timestamp.is_some()
}

fn create<K: ResourceExt + Clone>(into: &mut BTreeMap<Key, K>, object: &K) -> Created {
    let key = key(object);
    if into.contains_key(&key) {
        return Created::Existed;
    }
    into.insert(key, object.clone());
    Created::New
}

#[async_trait]
impl Cluster for FakeCluster {
    async fn chain(&self, name: &str) -> Result<Option<Arc<FLChain>>, ClusterError> {
        Ok(self.lock().chains.get(name).cloned().map(Arc::new))
    }

    async fn task(&self, key: &Key) -> Result<Option<Arc<FLTask>>, ClusterError> {
        Ok(self.lock().tasks.get(key).cloned().map(Arc::new))
    }

    async fn client(&self, key: &Key) -> Result<Option<Arc<FLClient>>, ClusterError> {
        Ok(self.lock().clients.get(key).cloned().map(Arc::new))
    }

    async fn tasks(&self) -> Result<Vec<Arc<FLTask>>, ClusterError> {
        Ok(self.lock().tasks.values().cloned().map(Arc::new).collect())
    }

    async fn clients(&self) -> Result<Vec<Arc<FLClient>>, ClusterError> {
        Ok(self.lock().clients.values().cloned().map(Arc::new).collect())
    }

    async fn rounds(&self, task: &Key) -> Result<Vec<Arc<FLRound>>, ClusterError> {
        let of_task = |round: &&FLRound| {
            round.namespace().as_deref() == Some(&task.namespace)
                && round.labels().get(names::LABEL_TASK) == Some(&task.name)
        };
        Ok(self
            .lock()
            .rounds
            .values()
            .filter(of_task)
            .cloned()
            .map(Arc::new)
            .collect())
    }

    async fn apply_chain_status(&self, name: &str, status: &crds::FLChainStatus) -> Result<(), ClusterError> {
        self.call("apply_chain_status", |state| {
            if let Some(chain) = state.chains.get_mut(name) {
                chain.status = Some(status.clone());
            }
        })
    }

    async fn apply_task_status(&self, key: &Key, status: &crds::FLTaskStatus) -> Result<(), ClusterError> {
        self.call("apply_task_status", |state| {
            state.status_writes += 1;
            if let Some(task) = state.tasks.get_mut(key) {
                task.status = Some(status.clone());
            }
        })
    }

    async fn apply_client_status(&self, key: &Key, status: &crds::FLClientStatus) -> Result<(), ClusterError> {
        self.call("apply_client_status", |state| {
            state.status_writes += 1;
            if let Some(client) = state.clients.get_mut(key) {
                client.status = Some(status.clone());
            }
        })
    }

    async fn apply_round(&self, round: &FLRound) -> Result<(), ClusterError> {
        self.call("apply_round", |state| {
            state.status_writes += 1;
            state.rounds.insert(key(round), round.clone());
        })
    }

    async fn delete_round(&self, key: &Key) -> Result<(), ClusterError> {
        self.call("delete_round", |state| {
            state.rounds.remove(key);
        })
    }

    async fn set_task_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.call("set_task_finalizer", |state| {
            if set_finalizer(state.tasks.get_mut(key), present) {
                state.tasks.remove(key);
            }
        })
    }

    async fn set_client_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.call("set_client_finalizer", |state| {
            if set_finalizer(state.clients.get_mut(key), present) {
                state.clients.remove(key);
            }
        })
    }

    async fn jobs(&self, client: &Key) -> Result<Vec<Arc<Job>>, ClusterError> {
        let ours = |job: &&Job| {
            job.namespace().as_deref() == Some(&client.namespace)
                && job.labels().get(names::LABEL_CLIENT) == Some(&client.name)
        };
        self.call("jobs", |state| {
            state.jobs.values().filter(ours).cloned().map(Arc::new).collect()
        })
    }

    async fn pods(&self, job: &Key) -> Result<Vec<Arc<Pod>>, ClusterError> {
        let of_job = |pod: &&Pod| {
            pod.namespace().as_deref() == Some(&job.namespace)
                && pod.labels().get("batch.kubernetes.io/job-name") == Some(&job.name)
        };
        self.call("pods", |state| {
            state.pods.values().filter(of_job).cloned().map(Arc::new).collect()
        })
    }

    async fn create_job(&self, _namespace: &str, job: &Job) -> Result<Created, ClusterError> {
        self.call("create_job", |state| create(&mut state.jobs, job))
    }

    async fn delete_job(&self, job: &Key) -> Result<(), ClusterError> {
        self.call("delete_job", |state| {
            state.jobs.remove(job);
            state
                .pods
                .retain(|_, pod| pod.labels().get("batch.kubernetes.io/job-name") != Some(&job.name));
        })
    }

    async fn secret(&self, key: &Key) -> Result<Option<Secret>, ClusterError> {
        self.call("secret", |state| state.secrets.get(key).cloned())
    }

    async fn create_secret(&self, _namespace: &str, secret: &Secret) -> Result<Created, ClusterError> {
        self.call("create_secret", |state| create(&mut state.secrets, secret))
    }

    async fn delete_secret(&self, key: &Key) -> Result<(), ClusterError> {
        self.call("delete_secret", |state| {
            state.secrets.remove(key);
        })
    }

    async fn publish(&self, _about: &ObjectReference, note: &Note) -> Result<(), ClusterError> {
        self.call("publish_event", |state| state.notes.push(note.clone()))
    }
}
