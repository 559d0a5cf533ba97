//! FLTask: resolve the contract, mirror the task and its rounds, keep it moving if asked.

pub mod definition;
mod error;
mod keeper;
pub mod mirror;
mod observe;
mod record;
mod resolve;
pub mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crds::FLTask;
use kube::ResourceExt;
use protocol::types::{Address, Round};

pub use error::TaskError;

use self::observe::{Observed, ObservedRound};
use super::context::Context;
use crate::cluster::{Cluster, ClusterError, Key};

/// How soon a node that was behind is asked for logs again.
const LOGS: Duration = Duration::from_secs(15);

/// When to look again by ourselves; `None`: something will wake us.
pub type Next = Option<Duration>;

/// Observe the chain, decide what the status says and what is due, act as keeper, record.
///
/// # Errors
/// Only what a retry with backoff may cure; everything a person must act on ends in the status.
pub async fn reconcile(key: &Key, ctx: &Context) -> Result<Next, TaskError> {
    let Some(task) = ctx.cluster.task(key).await? else {
        return Ok(None);
    };
    if task.metadata.deletion_timestamp.is_some() {
        return Ok(release_if_unreferenced(key, &task, ctx).await?);
    }
    ctx.cluster.set_task_finalizer(key, true).await?;
    match follow(key, &task, ctx).await {
        Ok((observed, next)) => {
            record::success(key, &task, &observed, ctx).await?;
            Ok(next)
        }
        Err(TaskError::Cluster(error)) => Err(error.into()),
        Err(error) => {
            record::failure(key, &task, &error, ctx).await?;
            Ok(Some(error.retry_after()))
        }
    }
}

/// Everything that depends on the chain.
async fn follow(key: &Key, task: &FLTask, ctx: &Context) -> Result<(Observed, Next), TaskError> {
    if !ctx.settings.stores.iter().any(|store| store == task.spec.store()) {
        return Err(TaskError::UnknownStore(task.spec.store().to_owned()));
    }
    let chain = ctx.chains.get(&task.spec.chain_ref.name).await?;
    let contract = resolve::contract(task, &chain, ctx).await?;
    chain.watch(contract);
    let again = not_final(key, task, ctx).await?;
    let observed = observe::observe(&chain, contract, mirror_from(task), &again).await?;
    definition::ensure(task, &observed.current, ctx).await?;
    let kept = keeper::act(key, task, &chain, &observed, ctx).await?;
    let next = if observed.behind {
        Some(Duration::ZERO)
    } else if observed
        .again
        .iter()
        .chain(&observed.rounds)
        .any(ObservedRound::awaits_logs)
    {
        Some(kept.map_or(LOGS, |kept| kept.min(LOGS)))
    } else {
        kept
    };
    Ok((observed, next))
}

/// Mirrored and final rounds are not read again; of a task joined late only as many as are kept.
fn mirror_from(task: &FLTask) -> Round {
    let status = task.status.as_ref();
    let mirrored = status.and_then(|s| s.mirrored_rounds).unwrap_or(0);
    let current = status.and_then(|s| s.round).unwrap_or(0);
    Round(mirrored.max(current.saturating_sub(task.spec.rounds_history_limit())))
}

/// Rounds that count as mirrored and final, and whose FLRound is gone or says otherwise: a person deleted it, or another
/// process that led for a moment wrote what it knew over what this one knows.
async fn not_final(key: &Key, task: &FLTask, ctx: &Context) -> Result<Vec<Round>, ClusterError> {
    let status = task.status.as_ref();
    let mirrored = status.and_then(|s| s.mirrored_rounds).unwrap_or(0);
    let current = status.and_then(|s| s.round).unwrap_or(0);
    let oldest = (current + 1).saturating_sub(task.spec.rounds_history_limit());
    let existing = ctx.cluster.rounds(key).await?;
    let is_final = |number: u32| {
        let mut of_number = existing.iter().filter(|round| round.spec.round == number);
        of_number.any(|round| round.status.as_ref().is_some_and(|status| status.r#final))
    };
    let rounds = (oldest..mirrored).filter(|number| !is_final(*number));
    Ok(rounds.take(observe::ROUNDS_AT_ONCE as usize).map(Round).collect())
}

/// A task waits in deletion while clients refer to it: they still have stake and duties there, and need its contract
/// for them, which a status that was lost or overwritten names no more.
async fn release_if_unreferenced(key: &Key, task: &FLTask, ctx: &Context) -> Result<Next, ClusterError> {
    let referred = clients_of(key, ctx.cluster.as_ref()).await?;
    if referred.is_empty() {
        ctx.cluster.set_task_finalizer(key, false).await?;
        return Ok(None);
    }
    let contract = match existing_contract(task, ctx).await {
        Err(TaskError::Cluster(error)) => return Err(error),
        found => found,
    };
    record::waiting_for_clients(key, task, contract, &referred, ctx).await?;
    Ok(Some(Duration::from_secs(30)))
}

async fn existing_contract(task: &FLTask, ctx: &Context) -> Result<Option<Address>, TaskError> {
    if let Some(contract) = resolve::known(task) {
        return Ok(Some(contract));
    }
    let chain = ctx.chains.get(&task.spec.chain_ref.name).await?;
    resolve::existing(task, &chain, ctx).await
}

/// Names of the FLClients that refer to this task.
async fn clients_of(key: &Key, cluster: &dyn Cluster) -> Result<Vec<String>, ClusterError> {
    let clients = cluster.clients().await?;
    Ok(clients
        .iter()
        .filter(|c| c.namespace().as_deref() == Some(key.namespace.as_str()) && c.spec.task_ref.name == key.name)
        .map(|c| c.name_any())
        .collect())
}
