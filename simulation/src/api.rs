//! The API server: objects, create-only writes, finalizers, watches.

use std::{collections::BTreeMap, sync::Arc};

use crds::{FLClient, FLRound, FLTask, names};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, Secret},
};
use kube::ResourceExt;
use operator::cluster::Key;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    faults::Fault,
    time::Millis,
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

/// The API server's answer to a write is known before the watch tells of it. Of what is gone the watch knows better.
pub(crate) fn put_own<T: ResourceExt>(map: &mut BTreeMap<Key, Arc<T>>, key: &Key, written: Option<Arc<T>>) {
    if written.is_some() && map.contains_key(key) {
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
                self.clients.retain(|key, _| clients.contains_key(key));
                self.tasks.retain(|key, _| tasks.contains_key(key));
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

    pub(crate) fn next_version(&mut self) -> Option<String> {
        self.created += 1;
        Some(self.created.to_string())
    }

    /// As every write, with a uid and a version of its own.
    pub(crate) fn put_secret(&mut self, key: Key, mut secret: Secret) {
        let version = self.next_version();
        secret.metadata.uid.clone_from(&version);
        secret.metadata.resource_version = version;
        self.secrets.insert(key, secret);
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

/// A client changed in a way that its own reconcile must see.
pub(crate) fn client_changed(world: &World, state: &mut State, key: &Key) {
    let version = state.api.next_version();
    if let Some(client) = state.api.objects.clients.get_mut(key) {
        Arc::make_mut(client).metadata.resource_version = version;
    }
    let object = state.api.objects.clients.get(key).cloned();
    let wakes = vec![Wakes::Client(key.clone())];
    tell(world, state, Some(Change::Client(key.clone(), object)), wakes);
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
