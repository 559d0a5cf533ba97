//! People who delete what they made in the middle of a round, and make it again a while later.

use std::{collections::BTreeMap, sync::Arc};

use crds::FLClient;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use operator::cluster::Key;
use protocol::types::{Address, Phase, Timestamp};

use crate::{
    api::{self, Change, NAMESPACE, TASK_NAME, Wakes},
    faults::{Fault, Reached},
    manifests,
    time::Millis,
    world::{State, World},
};

/// What is gone at present, and when somebody makes it again.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    clients: BTreeMap<Key, Millis>,
    task: Option<Millis>,
    made: u64,
}

impl Deleted {
    /// Nothing is gone.
    pub(crate) fn nothing(&self) -> bool {
        self.clients.is_empty() && self.task.is_none()
    }
}

/// After every block.
pub(crate) fn act(world: &World, state: &mut State, now: Millis) {
    let task = Key::new(NAMESPACE, TASK_NAME);
    if world.strikes(state, Fault::TaskDeleted) && is_there(&state.api.objects.tasks, &task) {
        // As `kubectl delete -f` does with one file of both. The task goes when its clients are gone.
        delete_task(world, state, &task);
        for key in keys(world) {
            delete_client(world, state, &key);
        }
    }
    for key in keys(world) {
        if world.strikes(state, Fault::ClientDeleted) {
            delete_client(world, state, &key);
        }
    }
    if !state.deleted.nothing() {
        state.disturb(now, now + 15_000);
    }
    if state.deleted.task.is_some_and(|at| at <= now) {
        state.deleted.task = None;
        state.deleted.made += 1;
        let mut object = manifests::task(&world.plan);
        object.metadata.uid = Some(format!("t-1-{}", state.deleted.made));
        state.api.objects.tasks.insert(task.clone(), Arc::new(object));
        api::task_changed(world, state, &task, true);
    }
    // Not while the old task waits for the last of its clients: it would wait for these too.
    let again = if is_there(&state.api.objects.tasks, &task) {
        due(&state.deleted.clients, now)
    } else {
        Vec::new()
    };
    for key in again {
        state.deleted.clients.remove(&key);
        state.deleted.made += 1;
        let mut object = manifests::client(&world.plan, &key.name);
        object.metadata.uid = Some(format!("c-{}-{}", key.name, state.deleted.made));
        state.api.objects.clients.insert(key.clone(), Arc::new(object));
        api::client_changed(world, state, &key);
    }
}

fn due(gone: &BTreeMap<Key, Millis>, now: Millis) -> Vec<Key> {
    gone.iter()
        .filter(|(_, at)| **at <= now)
        .map(|(key, _)| key.clone())
        .collect()
}

fn keys(world: &World) -> Vec<Key> {
    world.clients.iter().map(|p| Key::new(NAMESPACE, &p.name)).collect()
}

fn is_there<T: ResourceExt>(objects: &BTreeMap<Key, Arc<T>>, key: &Key) -> bool {
    objects
        .get(key)
        .is_some_and(|object| object.meta().deletion_timestamp.is_none())
}

fn mark(metadata: &mut ObjectMeta, now: Millis) {
    metadata.deletion_timestamp = crds::rfc3339(Timestamp(now / 1000));
    metadata.generation = metadata.generation.map(|generation| generation + 1);
}

fn delete_client(world: &World, state: &mut State, key: &Key) {
    let now = world.now();
    let Some(client) = state.api.objects.clients.get_mut(key) else {
        return;
    };
    if client.metadata.deletion_timestamp.is_some() {
        return;
    }
    state
        .trace
        .note(now, "deletion", 0, || format!("somebody deletes {}", key.name));
    mark(&mut Arc::make_mut(client).metadata, now);
    if client.finalizers().is_empty() {
        client_gone(world, state, key);
    } else {
        state.reached(Reached::DeletedWithFinalizer);
        api::client_changed(world, state, key);
    }
}

fn delete_task(world: &World, state: &mut State, key: &Key) {
    let now = world.now();
    let Some(task) = state.api.objects.tasks.get_mut(key) else {
        return;
    };
    state.trace.note(now, "deletion", 0, || {
        "somebody deletes the task and its clients".to_owned()
    });
    mark(&mut Arc::make_mut(task).metadata, now);
    if task.finalizers().is_empty() {
        task_gone(world, state, key);
    } else {
        api::task_changed(world, state, key, true);
    }
}

fn later(state: &mut State, now: Millis) -> Millis {
    now + 1000 * state.random.between(1, 60)
}

/// The last finalizer is off: the object goes, and what it owns goes with it.
pub(crate) fn client_gone(world: &World, state: &mut State, key: &Key) {
    let now = world.now();
    state.trace.note(now, "deletion", 1, || format!("{} is gone", key.name));
    if let Some(us) = world.clients.iter().find(|p| p.name == key.name) {
        owes_nothing(world, state, us.address, &us.name);
    }
    let gone = state.api.objects.clients.remove(key);
    let uid = gone.and_then(|client| client.metadata.uid.clone());
    api::tell(
        world,
        state,
        Some(Change::Client(key.clone(), None)),
        vec![Wakes::Client(key.clone())],
    );
    let owned = |meta: &ObjectMeta| {
        meta.owner_references
            .iter()
            .flatten()
            .any(|o| Some(&o.uid) == uid.as_ref())
    };
    state.api.secrets.retain(|_, secret| !owned(&secret.metadata));
    let jobs = state.api.jobs.iter().filter(|(_, job)| owned(&job.metadata));
    for job in jobs.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
        api::remove_job(world, state, &job);
    }
    let at = later(state, now);
    state.deleted.clients.insert(key.clone(), at);
    state.disturb(now, now + 15_000);
}

/// See [`client_gone`].
pub(crate) fn task_gone(world: &World, state: &mut State, key: &Key) {
    let now = world.now();
    state.trace.note(now, "deletion", 2, || "the task is gone".to_owned());
    state.reached(Reached::TaskGone);
    // A client that the watch has not told of yet has no finalizer, and without one it has staked nothing. Another process
    // may have given it one.
    let bound = |client: &&Arc<FLClient>| !client.finalizers().is_empty();
    let clients = state.api.objects.clients.values().filter(bound).count();
    if clients > 0 && state.two_led == 0 {
        state.violation(now, format!("the task is let go while {clients} clients refer to it"));
    }
    state.api.objects.tasks.remove(key);
    api::tell(
        world,
        state,
        Some(Change::Task(key.clone(), None)),
        vec![Wakes::Task(key.clone())],
    );
    for round in std::mem::take(&mut state.api.objects.rounds).into_keys() {
        api::tell(world, state, Some(Change::Round(round, None)), Vec::new());
    }
    state.deleted.task = Some(later(state, now));
    state.disturb(now, now + 15_000);
}

/// A client that is deleted finishes its duty first.
fn owes_nothing(world: &World, state: &mut State, us: Address, name: &str) {
    if world.plan.rates.any(&Fault::OTHER_CHAIN) {
        return;
    }
    let tip = state.chain.tip().clone();
    let round = tip.state.current();
    let open = matches!(tip.state.phase(tip.time), Phase::Commit | Phase::Reveal);
    let seat = round.seat(us);
    if open && seat.is_some_and(|seat| state.foreign.is_own(us, seat.commitment) && seat.vote.is_none()) {
        let text = format!("{name} is let go with the reveal of round {} undone", round.number);
        state.violation(world.now(), text);
    }
}
