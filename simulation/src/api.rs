//! The API server: objects, create-only writes, finalizers, watches; and the process's end of it with its watch cache.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use crds::{FLChain, FLClient, FLRound, FLTask, conditions::reason, names};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ObjectReference, Pod, Secret},
};
use kube::ResourceExt;
use operator::cluster::{Cluster, ClusterError, Created, FINALIZER, Key, Note};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    faults::{Fault, Reached},
    plan::Bug,
    process::{Caller, Lost},
    time::Millis,
    trainer,
    world::{State, World},
};

pub(crate) const NAMESPACE: &str = "team";
pub(crate) const TASK_NAME: &str = "digits";
pub(crate) const CHAIN: &str = "devnet";
pub(crate) const OPERATOR: &str = "fl-alliance";

/// Whose reconcile a change wakes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wakes {
    Client(Key),
    Task(Key),
}

/// What a watch tells.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Client(Key, Option<Arc<FLClient>>),
    Task(Key, Option<Arc<FLTask>>),
    Round(Key, Option<Arc<FLRound>>),
    /// A relist after a watch that broke.
    All(Cached),
}

#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) at: Millis,
    pub(crate) change: Option<Change>,
    pub(crate) wakes: Vec<Wakes>,
}

/// Watched objects, as the API server has them or as a process last heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cached {
    pub(crate) clients: BTreeMap<Key, Arc<FLClient>>,
    pub(crate) tasks: BTreeMap<Key, Arc<FLTask>>,
    pub(crate) rounds: BTreeMap<Key, Arc<FLRound>>,
}

fn put<T: ResourceExt>(map: &mut BTreeMap<Key, Arc<T>>, key: Key, value: Option<Arc<T>>) {
    let Some(value) = value else {
        map.remove(&key);
        return;
    };
    // As `operator::cluster` promises: never older than the process's own last write.
    if map
        .get(&key)
        .is_none_or(|known| version(known.as_ref()) <= version(value.as_ref()))
    {
        map.insert(key, value);
    }
}

/// The API server's answer to a write is known before the watch tells of it.
fn put_own<T: ResourceExt>(map: &mut BTreeMap<Key, Arc<T>>, key: &Key, written: Option<Arc<T>>) {
    if written.is_some() {
        put(map, key.clone(), written);
    }
}

fn version<T: ResourceExt>(object: &T) -> u64 {
    let version = object.resource_version().and_then(|v| v.parse().ok());
    version.unwrap_or_default()
}

impl Cached {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Client(key, object) => put(&mut self.clients, key, object),
            Change::Task(key, object) => put(&mut self.tasks, key, object),
            Change::Round(key, object) => put(&mut self.rounds, key, object),
            Change::All(cached) => {
                let Cached { clients, tasks, rounds } = cached;
                for (key, client) in clients {
                    put(&mut self.clients, key, Some(client));
                }
                for (key, task) in tasks {
                    put(&mut self.tasks, key, Some(task));
                }
                self.rounds = rounds;
            }
        }
    }
}

#[derive(Debug)]
struct Watcher {
    process: usize,
    send: UnboundedSender<Delivery>,
    /// Events come in order: none before this.
    not_before: Millis,
    /// Until then everything is missed; a relist follows.
    broken_until: Millis,
}

#[derive(Debug, Default)]
pub(crate) struct ApiServer {
    pub(crate) objects: Cached,
    pub(crate) jobs: BTreeMap<Key, Arc<Job>>,
    /// By Job.
    pub(crate) pods: BTreeMap<Key, Arc<Pod>>,
    pub(crate) secrets: BTreeMap<Key, Secret>,
    watchers: Vec<Watcher>,
    pub(crate) created: u64,
}

impl ApiServer {
    pub(crate) fn watch(&mut self, process: usize, send: UnboundedSender<Delivery>) -> Cached {
        self.watchers.push(Watcher {
            process,
            send,
            not_before: 0,
            broken_until: 0,
        });
        self.objects.clone()
    }

    pub(crate) fn unwatch(&mut self, process: usize) {
        self.watchers.retain(|w| w.process != process);
    }

    fn next_version(&mut self) -> Option<String> {
        self.created += 1;
        Some(self.created.to_string())
    }

    fn everything(&self) -> Vec<Wakes> {
        let clients = self.objects.clients.keys().cloned().map(Wakes::Client);
        clients
            .chain(self.objects.tasks.keys().cloned().map(Wakes::Task))
            .collect()
    }
}

/// Tells the watchers, late, twice or not at all.
pub(crate) fn tell(world: &World, state: &mut State, change: Option<Change>, wakes: Vec<Wakes>) {
    let now = world.now();
    for index in 0..state.api.watchers.len() {
        if state.api.watchers[index].broken_until > now {
            continue;
        }
        if world.strikes(state, Fault::WatchBroken) {
            break_watch(world, state, index);
            continue;
        }
        let late = if world.strikes(state, Fault::EventLate) {
            let late = state.random.between(1_000, 30_000);
            state.disturb(now, now + late);
            late
        } else {
            state.random.between(0, 20)
        };
        let twice = world.strikes(state, Fault::EventTwice);
        let watcher = &mut state.api.watchers[index];
        // Events come in order.
        watcher.not_before = watcher.not_before.max(now + late);
        for _ in 0..=usize::from(twice) {
            // A watcher that is gone is taken off the list when its process ends.
            let _ = watcher.send.send(Delivery {
                at: watcher.not_before,
                change: change.clone(),
                wakes: wakes.clone(),
            });
        }
    }
}

/// A watch breaks: what happens meanwhile is never told, the relist at its end shows what is there by then.
fn break_watch(world: &World, state: &mut State, index: usize) {
    let now = world.now();
    let outage = state.random.between(2_000, 60_000);
    state.disturb(now, now + outage);
    let watcher = &mut state.api.watchers[index];
    watcher.broken_until = now + outage;
    let process = watcher.process;
    let Some(world) = world.shared() else { return };
    tokio::spawn(async move {
        world.time.sleep(outage).await;
        let mut state = world.lock();
        let delivery = Delivery {
            at: world.now(),
            change: Some(Change::All(state.api.objects.clone())),
            wakes: state.api.everything(),
        };
        if let Some(watcher) = state.api.watchers.iter_mut().find(|w| w.process == process) {
            let _ = watcher.send.send(delivery);
        }
    });
}

fn owner_of(labels: &BTreeMap<String, String>) -> Vec<Wakes> {
    let name = labels.get(names::LABEL_CLIENT);
    name.map(|name| Wakes::Client(Key::new(NAMESPACE, name)))
        .into_iter()
        .collect()
}

/// The Job or its pod changed.
pub(crate) fn job_changed(world: &World, state: &mut State, key: &Key) {
    if let Some(job) = state.api.jobs.get(key).cloned() {
        tell(world, state, None, owner_of(job.labels()));
    }
}

/// Removes a Job and its pods, as the API server does in the background.
pub(crate) fn remove_job(world: &World, state: &mut State, key: &Key) {
    if let Some(job) = state.api.jobs.remove(key) {
        state.api.pods.remove(key);
        tell(world, state, None, owner_of(job.labels()));
    }
}

/// A changed task wakes itself if its spec changed, and its clients in any case.
pub(crate) fn task_changed(world: &World, state: &mut State, key: &Key, spec: bool) {
    let version = state.api.next_version();
    if let Some(task) = state.api.objects.tasks.get_mut(key) {
        Arc::make_mut(task).metadata.resource_version = version;
    }
    let object = state.api.objects.tasks.get(key).cloned();
    let mut wakes: Vec<Wakes> = state.api.objects.clients.keys().cloned().map(Wakes::Client).collect();
    if spec {
        wakes.push(Wakes::Task(key.clone()));
    }
    tell(world, state, Some(Change::Task(key.clone(), object)), wakes);
}

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
            if status.stopped.as_deref() == Some(reason::FOREIGN_COMMITMENT) {
                let name = &key.name;
                state.violation(
                    now,
                    format!("{name} stops at a commitment of its own as if it were foreign"),
                );
            }
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
            let object = Arc::new(round.clone());
            state.api.objects.rounds.insert(key.clone(), object.clone());
            tell(self.world(), state, Some(Change::Round(key, Some(object))), Vec::new());
        })
        .await
    }

    async fn delete_round(&self, key: &Key) -> Result<(), ClusterError> {
        self.call("delete_round", |state| {
            state.api.objects.rounds.remove(key);
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
                task_changed(self.world(), state, key, true);
            }
        })
        .await
    }

    async fn set_client_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.call("set_client_finalizer", |state| {
            let version = state.api.next_version();
            let Some(client) = state.api.objects.clients.get_mut(key) else {
                return;
            };
            if set_finalizer(Arc::make_mut(client), present) {
                Arc::make_mut(client).metadata.resource_version = version;
                let object = client.clone();
                let wakes = vec![Wakes::Client(key.clone())];
                tell(
                    self.world(),
                    state,
                    Some(Change::Client(key.clone(), Some(object))),
                    wakes,
                );
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
            state.api.secrets.insert(key, secret.clone());
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
    let Some(vote) = secret.data.as_ref().and_then(|data| data.get("vote.json")) else {
        return false;
    };
    let text = String::from_utf8_lossy(&vote.0);
    let tip = state.chain.tip().clone();
    let mut seats = tip.state.current().seats.iter();
    seats.any(|s| s.commitment.is_some_and(|c| text.contains(&c.to_string())))
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
