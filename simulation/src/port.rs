//! A process's end of the API server, with its watch cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use crds::{FLChain, FLClient, FLRound, FLTask, names};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ObjectReference, Pod, Secret},
};
use kube::ResourceExt;
use operator::cluster::{Cluster, ClusterError, Created, FINALIZER, Key, Note};

use crate::{
    api::{Cached, Change, NAMESPACE, OPERATOR, client_changed, job_changed, put_own, remove_job, task_changed, tell},
    calls::{Caller, Lost},
    deletion,
    faults::Reached,
    foreign,
    plan::Bug,
    trainer,
    world::{State, World},
};

/// A process's way to the API server.
pub(crate) struct Port {
    caller: Caller,
    cached: Arc<Mutex<Cached>>,
}

impl Port {
    pub(crate) fn new(caller: Caller, cached: Arc<Mutex<Cached>>) -> Self {
        Self { caller, cached }
    }

    fn cache(&self) -> MutexGuard<'_, Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn world(&self) -> &World {
        &self.caller.world
    }

    async fn call<T>(&self, name: &'static str, work: impl FnOnce(&mut State) -> T + Send) -> Result<T, ClusterError> {
        self.caller
            .call(name, work)
            .await
            .map_err(|Lost| ClusterError::Unreachable("no answer".to_owned()))
    }

    /// Planted bugs keep Secrets to themselves.
    fn kept_back(&self, secret: &Secret) -> bool {
        let world = self.world();
        let type_ = secret.type_.as_deref();
        let vote = type_ == Some(names::SECRET_TYPE_VOTE);
        let seed = type_ == Some(names::SECRET_TYPE_LEDGER_SEED);
        match world.bug {
            Some(Bug::LedgerWrittenAfterSending) => vote,
            Some(Bug::SaltNotStored) => vote || seed,
            _ => false,
        }
    }
}

#[async_trait]
impl Cluster for Port {
    async fn chain(&self, _name: &str) -> Result<Option<Arc<FLChain>>, ClusterError> {
        Ok(None)
    }

    async fn task(&self, key: &Key) -> Result<Option<Arc<FLTask>>, ClusterError> {
        Ok(self.cache().tasks.get(key).cloned())
    }

    async fn client(&self, key: &Key) -> Result<Option<Arc<FLClient>>, ClusterError> {
        Ok(self.cache().clients.get(key).cloned())
    }

    async fn tasks(&self) -> Result<Vec<Arc<FLTask>>, ClusterError> {
        Ok(self.cache().tasks.values().cloned().collect())
    }

    async fn clients(&self) -> Result<Vec<Arc<FLClient>>, ClusterError> {
        Ok(self.cache().clients.values().cloned().collect())
    }

    async fn rounds(&self, _task: &Key) -> Result<Vec<Arc<FLRound>>, ClusterError> {
        Ok(self.cache().rounds.values().cloned().collect())
    }

    async fn apply_chain_status(&self, _name: &str, _status: &crds::FLChainStatus) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn apply_task_status(&self, key: &Key, status: &crds::FLTaskStatus) -> Result<(), ClusterError> {
        self.call("apply_task_status", |state| {
            if let Some(task) = state.api.objects.tasks.get_mut(key) {
                Arc::make_mut(task).status = Some(status.clone());
                let (round, phase) = (status.round.unwrap_or_default(), status.phase);
                state.trace.note(self.world().now(), "FLTask", round.into(), || {
                    format!("round {round}, {phase:?}")
                });
                task_changed(self.world(), state, key, false);
            }
            state.api.objects.tasks.get(key).cloned()
        })
        .await
        .map(|written| put_own(&mut self.cache().tasks, key, written))
    }

    async fn apply_client_status(&self, key: &Key, status: &crds::FLClientStatus) -> Result<(), ClusterError> {
        self.call("apply_client_status", |state| {
            let now = self.world().now();
            foreign::stops(self.world(), state, key, status);
            foreign::used_elsewhere(self.world(), state, key, status);
            let version = state.api.next_version();
            if let Some(client) = state.api.objects.clients.get_mut(key) {
                let writable = Arc::make_mut(client);
                writable.status = Some(status.clone());
                writable.metadata.resource_version = version;
                let object = client.clone();
                let step = status.step.clone().unwrap_or_default();
                state.trace.note(now, "status", 0, || format!("{}: {step}", key.name));
                tell(
                    self.world(),
                    state,
                    Some(Change::Client(key.clone(), Some(object))),
                    Vec::new(),
                );
            }
            state.api.objects.clients.get(key).cloned()
        })
        .await
        .map(|written| put_own(&mut self.cache().clients, key, written))
    }

    async fn apply_round(&self, round: &FLRound) -> Result<(), ClusterError> {
        self.call("apply_round", |state| {
            let key = Key::new(round.namespace().unwrap_or_default(), round.name_any());
            let mut object = round.clone();
            object.metadata.resource_version = state.api.next_version();
            let object = Arc::new(object);
            state.api.objects.rounds.insert(key.clone(), object.clone());
            let status = round.status.as_ref();
            let (phase, is_final) = (status.and_then(|s| s.phase), status.is_some_and(|s| s.r#final));
            state
                .trace
                .note(self.world().now(), "FLRound", round.spec.round.into(), || {
                    format!("{}: {phase:?}, final: {is_final}", round.spec.round)
                });
            let change = Change::Round(key.clone(), Some(object.clone()));
            tell(self.world(), state, Some(change), Vec::new());
            (key, object)
        })
        .await
        .map(|(key, object)| put_own(&mut self.cache().rounds, &key, Some(object)))
    }

    async fn delete_round(&self, key: &Key) -> Result<(), ClusterError> {
        self.call("delete_round", |state| {
            state.api.objects.rounds.remove(key);
            state.reached(Reached::HistoryCut);
            tell(self.world(), state, Some(Change::Round(key.clone(), None)), Vec::new());
        })
        .await
    }

    async fn set_task_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.call("set_task_finalizer", |state| {
            let Some(task) = state.api.objects.tasks.get_mut(key) else {
                return;
            };
            if set_finalizer(Arc::make_mut(task), present) {
                let gone = !present && task.metadata.deletion_timestamp.is_some();
                if gone {
                    deletion::task_gone(self.world(), state, key);
                } else {
                    task_changed(self.world(), state, key, true);
                }
            }
        })
        .await
    }

    async fn set_client_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.call("set_client_finalizer", |state| {
            let Some(client) = state.api.objects.clients.get_mut(key) else {
                return;
            };
            if set_finalizer(Arc::make_mut(client), present) {
                let gone = !present && client.metadata.deletion_timestamp.is_some();
                if gone {
                    deletion::client_gone(self.world(), state, key);
                } else {
                    client_changed(self.world(), state, key);
                }
            }
        })
        .await
    }

    async fn jobs(&self, client: &Key) -> Result<Vec<Arc<Job>>, ClusterError> {
        self.call("jobs", |state| {
            let ours = |job: &&Arc<Job>| job.labels().get(names::LABEL_CLIENT) == Some(&client.name);
            state.api.jobs.values().filter(ours).cloned().collect()
        })
        .await
    }

    async fn pods(&self, job: &Key) -> Result<Vec<Arc<Pod>>, ClusterError> {
        self.call("pods", |state| state.api.pods.get(job).cloned().into_iter().collect())
            .await
    }

    async fn create_job(&self, _namespace: &str, job: &Job) -> Result<Created, ClusterError> {
        self.call("create_job", |state| {
            let key = Key::new(NAMESPACE, job.name_any());
            if state.api.jobs.contains_key(&key) {
                return Created::Existed;
            }
            state.api.created += 1;
            let number = state.api.created;
            let mut job = job.clone();
            job.metadata.uid = Some(number.to_string());
            state
                .trace
                .note(self.world().now(), "Job", number, || format!("{} is created", key.name));
            state.api.jobs.insert(key.clone(), Arc::new(job));
            job_changed(self.world(), state, &key);
            tokio::spawn(trainer::run(self.caller.world.clone(), key, number));
            Created::New
        })
        .await
    }

    async fn delete_job(&self, job: &Key) -> Result<(), ClusterError> {
        self.call("delete_job", |state| {
            state
                .trace
                .note(self.world().now(), "Job", 0, || format!("{} is deleted", job.name));
            remove_job(self.world(), state, job);
        })
        .await
    }

    async fn secret(&self, key: &Key) -> Result<Option<Secret>, ClusterError> {
        let id = self.caller.id;
        let forgets = self.world().has(Bug::LedgerOverwritten);
        self.call("secret", |state| {
            let ledger = key.namespace == OPERATOR;
            if forgets && ledger && state.random.chance(300) {
                return None;
            }
            let memory = state.processes[id].memory.secrets.get(key).cloned();
            memory.or_else(|| state.api.secrets.get(key).cloned())
        })
        .await
    }

    async fn create_secret(&self, namespace: &str, secret: &Secret) -> Result<Created, ClusterError> {
        let id = self.caller.id;
        let key = Key::new(namespace, secret.name_any());
        if self.kept_back(secret) {
            let memory = secret.clone();
            return self
                .call("create_secret", |state| {
                    state.processes[id].memory.secrets.insert(key, memory);
                    Created::New
                })
                .await;
        }
        self.call("create_secret", |state| {
            let vote = secret.type_.as_deref() == Some(names::SECRET_TYPE_VOTE);
            let overwrites = self.world().has(Bug::LedgerOverwritten) && key.namespace == OPERATOR;
            if state.api.secrets.contains_key(&key) && !overwrites {
                if vote {
                    state.reached(Reached::VoteFound);
                }
                return Created::Existed;
            }
            if vote && is_on_chain(state, secret) {
                state.reached(Reached::VoteRebuilt);
            }
            state
                .trace
                .note(self.world().now(), "Secret", 0, || format!("{key} is created"));
            state.api.put_secret(key, secret.clone());
            Created::New
        })
        .await
    }

    async fn delete_secret(&self, key: &Key) -> Result<(), ClusterError> {
        self.call("delete_secret", |state| {
            if !self.world().has(Bug::SecretsLeft) {
                state.api.secrets.remove(key);
            }
        })
        .await
    }

    async fn publish(&self, _about: &ObjectReference, note: &Note) -> Result<(), ClusterError> {
        self.call("publish_event", |state| {
            if note.action == "Missed" {
                state.reached(Reached::DutyMissed);
            }
            state.trace.note(self.world().now(), "Event", 0, || {
                format!("{}: {}", note.reason, note.message)
            });
        })
        .await
    }
}

/// Whether the commitment of this stored vote stands on the chain already.
fn is_on_chain(state: &State, secret: &Secret) -> bool {
    let tip = state.chain.tip().clone();
    let mut seats = tip.state.current().seats.iter();
    seats.any(|s| s.commitment.is_some_and(|c| foreign::holds(secret, c)))
}

fn set_finalizer<K: ResourceExt>(object: &mut K, present: bool) -> bool {
    let finalizers = object.finalizers_mut();
    let before = finalizers.len();
    finalizers.retain(|f| f != FINALIZER);
    if present {
        finalizers.push(FINALIZER.to_owned());
    }
    finalizers.len() != before
}
