//! Status, FLRounds and Events of an FLTask. Everything is compared first: what did not change is not written.

use crds::{
    Condition, FLTask, FLTaskStatus, Time,
    conditions::{self, NewCondition, reason, types},
    rfc3339,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use protocol::types::{Address, Phase, Timestamp};

use super::{clients_of, error::TaskError, mirror, observe::Observed, status};
use crate::{
    cluster::{ClusterError, EventKind, Key, Note},
    controller::context::Context,
};

/// After a reconcile that reached the chain.
pub(super) async fn success(key: &Key, task: &FLTask, observed: &Observed, ctx: &Context) -> Result<(), ClusterError> {
    let before = task.status.clone().unwrap_or_default();
    mirror_rounds(key, task, observed, ctx).await?;
    let summary = observed
        .rounds
        .iter()
        .rev()
        .find_map(|r| status::summary(&r.snapshot.round));
    let mut now = status::of_snapshot(&observed.current, summary, &before);
    now.clients = Some(u32::try_from(clients_of(key, ctx.cluster.as_ref()).await?.len()).unwrap_or(u32::MAX));
    now.mirrored_rounds = Some(mirrored(observed, &before));
    let mut set = Setter::new(task, &mut now, ctx.clock.now());
    set.condition(
        types::CONTRACT_VERIFIED,
        true,
        reason::SUCCEEDED,
        "registered at a trusted manager",
    );
    set.condition(
        types::DEFINITION_AVAILABLE,
        true,
        reason::SUCCEEDED,
        "the definition has the hash that is on chain",
    );
    if task.spec.create.is_some() {
        set.condition(types::CREATED, true, reason::SUCCEEDED, "the task exists on chain");
    }
    set.remove(&[types::STALLED, types::FUNDED, types::SIGNER_AVAILABLE]);
    let sentence = status::sentence(&observed.current);
    match (task.spec.suspend, observed.current.state.phase) {
        (_, Phase::Ended) => set.condition(types::READY, true, reason::COMPLETED, &sentence),
        (true, _) => {
            set.condition(
                types::READY,
                false,
                reason::SUSPENDED,
                &format!("Suspended; nothing is sent. {sentence}"),
            );
        }
        _ => set.condition(types::READY, true, reason::RUNNING, &sentence),
    }
    set.remove(&[types::RECONCILING]);
    announce(key, task, &before, &now, ctx).await?;
    write(key, &before, now, ctx).await
}

/// After a reconcile that did not: `Ready=False` with reason and what to do; what was known of the chain stays.
pub(super) async fn failure(key: &Key, task: &FLTask, error: &TaskError, ctx: &Context) -> Result<(), ClusterError> {
    let before = task.status.clone().unwrap_or_default();
    let mut now = before.clone();
    let message = error.to_string();
    let (type_, reason) = error.condition();
    let mut set = Setter::new(task, &mut now, ctx.clock.now());
    set.condition(types::READY, false, reason, &message);
    if type_ != types::READY {
        set.condition(type_, false, reason, &message);
    }
    if error.is_stalled() {
        set.condition(types::STALLED, true, reason, &message);
        set.remove(&[types::RECONCILING]);
    } else {
        set.condition(types::RECONCILING, true, reason, &message);
        set.remove(&[types::STALLED]);
    }
    let said = conditions::find(&before.conditions, types::READY).is_some_and(|c| c.reason == reason);
    if !said {
        let note = Note {
            kind: EventKind::Warning,
            reason: reason.to_owned(),
            action: "Reconcile".to_owned(),
            message,
        };
        ctx.cluster.publish(&reference(key, task), &note).await?;
    }
    write(key, &before, now, ctx).await
}

/// Before the transactions that create a task: they may take many blocks, and what is awaited must be visible.
pub(super) async fn creating(task: &FLTask, creator: Address, ctx: &Context) -> Result<(), ClusterError> {
    let key = Key::new(task.namespace().unwrap_or_default(), task.name_any());
    let before = task.status.clone().unwrap_or_default();
    let mut now = before.clone();
    let message = format!("{creator} is creating the task on chain; waiting for its transactions to be mined");
    let mut set = Setter::new(task, &mut now, ctx.clock.now());
    set.condition(types::READY, false, reason::CREATING, &message);
    set.condition(types::RECONCILING, true, reason::CREATING, &message);
    set.remove(&[types::STALLED]);
    write(&key, &before, now, ctx).await
}

/// While FLClients still refer to a task that is being deleted; with the contract that they act on, as far as it is known.
pub(super) async fn waiting_for_clients(
    key: &Key,
    task: &FLTask,
    contract: Result<Option<Address>, TaskError>,
    clients: &[String],
    ctx: &Context,
) -> Result<(), ClusterError> {
    let before = task.status.clone().unwrap_or_default();
    let mut now = before.clone();
    let mut message = format!("waiting for these FLClients to be deleted: {}", clients.join(", "));
    match contract {
        Ok(contract) => now.contract = contract,
        Err(error) => message += &format!("; which contract they act on is not known: {error}"),
    }
    Setter::new(task, &mut now, ctx.clock.now()).condition(types::READY, false, reason::DELETING, &message);
    write(key, &before, now, ctx).await
}

async fn write(key: &Key, before: &FLTaskStatus, now: FLTaskStatus, ctx: &Context) -> Result<(), ClusterError> {
    if *before == now {
        Ok(())
    } else {
        ctx.cluster.apply_task_status(key, &now).await
    }
}

/// FLRounds of what was read, and none beyond the history's limit.
async fn mirror_rounds(key: &Key, task: &FLTask, observed: &Observed, ctx: &Context) -> Result<(), ClusterError> {
    let existing = ctx.cluster.rounds(key).await?;
    // What is written again may only look lost, in a cache that is behind: nothing with less takes its place.
    let again = observed.again.iter().filter(|round| !round.awaits_logs());
    for round in again.chain(&observed.rounds) {
        let object = mirror::flround(
            &key.name,
            &key.namespace,
            task.controller_owner_ref(&()),
            &round.snapshot,
            &round.transactions,
            observed.confirmed_block,
        );
        let known = existing.iter().find(|e| e.name_any() == object.name_any());
        if known.is_none_or(|k| k.status != object.status) {
            ctx.cluster.apply_round(&object).await?;
        }
    }
    let current = observed.current.round.round.0;
    let oldest_kept = (current + 1).saturating_sub(task.spec.rounds_history_limit());
    // Later ones were taken back by a reorg deeper than the confirmations.
    for old in existing
        .iter()
        .filter(|e| !(oldest_kept..=current).contains(&e.spec.round))
    {
        ctx.cluster
            .delete_round(&Key::new(&key.namespace, old.name_any()))
            .await?;
    }
    Ok(())
}

/// Rounds below this are mirrored and final.
fn mirrored(observed: &Observed, before: &FLTaskStatus) -> u32 {
    let current = observed.current.round.round.0;
    let mut done = before.mirrored_rounds.unwrap_or(0).min(current);
    for observed_round in &observed.rounds {
        let round = &observed_round.snapshot.round;
        if round.round.0 > done
            && observed
                .rounds
                .first()
                .is_some_and(|r| r.snapshot.round.round == round.round)
        {
            // A task joined late starts where its history starts.
            done = round.round.0;
        }
        let complete = mirror::is_final(round, observed.confirmed_block) && !observed_round.awaits_logs();
        if round.round.0 == done && complete {
            done += 1;
        }
    }
    done
}

/// One Event per settled round and at the end.
async fn announce(
    key: &Key,
    task: &FLTask,
    before: &FLTaskStatus,
    now: &FLTaskStatus,
    ctx: &Context,
) -> Result<(), ClusterError> {
    let mut notes = Vec::new();
    if before.contract.is_none()
        && let Some(contract) = now.contract
    {
        let what = if task.spec.create.is_some() {
            "created"
        } else {
            "joined"
        };
        notes.push(("ContractVerified", format!("Task {contract} {what}")));
    }
    if let Some(last) = now
        .last_result
        .as_ref()
        .filter(|last| before.last_result.as_ref() != Some(last))
    {
        let model = last.model.map(|m| format!(", model {m}")).unwrap_or_default();
        notes.push((
            "RoundSettled",
            format!(
                "Round {} {:?}, score {}{model}",
                last.round, last.outcome, last.vote_score
            ),
        ));
    }
    if now.phase == Some(Phase::Ended) && before.phase != Some(Phase::Ended) {
        notes.push(("TaskEnded", "All rounds are settled; participants claim".to_owned()));
    }
    for (reason, message) in notes {
        let note = Note {
            kind: EventKind::Normal,
            reason: reason.to_owned(),
            action: "Mirror".to_owned(),
            message,
        };
        ctx.cluster.publish(&reference(key, task), &note).await?;
    }
    Ok(())
}

fn reference(key: &Key, task: &FLTask) -> ObjectReference {
    let mut reference = task.object_ref(&());
    reference.namespace = Some(key.namespace.clone());
    reference
}

/// Sets conditions of one status at one time and generation.
struct Setter<'a> {
    conditions: &'a mut Vec<Condition>,
    generation: Option<i64>,
    now: Time,
}

impl<'a> Setter<'a> {
    fn new(task: &FLTask, status: &'a mut FLTaskStatus, now: Timestamp) -> Self {
        let generation = task.metadata.generation;
        status.observed_generation = generation;
        let now = rfc3339(now).unwrap_or_else(|| Time(Default::default()));
        Self {
            conditions: &mut status.conditions,
            generation,
            now,
        }
    }

    fn condition(&mut self, type_: &'static str, status: bool, reason: &'static str, message: &str) {
        conditions::set(
            self.conditions,
            NewCondition::new(type_, status, reason, message),
            self.generation,
            &self.now,
        );
    }

    fn remove(&mut self, types: &[&str]) {
        for type_ in types {
            conditions::remove(self.conditions, type_);
        }
    }
}
