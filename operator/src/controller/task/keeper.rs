//! The keeper: draw, finish and slash as soon as they are due, with a key of its own.

use std::{sync::Arc, time::Duration};

use crds::FLTask;
use protocol::{
    action::{Action, Transaction},
    pokes,
    types::Timestamp,
};

use super::{Next, error::TaskError, observe::Observed};
use crate::{
    chain::ChainError,
    cluster::Key,
    controller::{
        context::{ChainAccess, Context},
        patience::poke,
    },
};

/// Keepers go first: no delay of their own. Clients wait longer, by rank.
const KEEPER_DELAY: u64 = 0;

/// Sends what anyone may send, if it is due and this task has a keeper here.
pub(super) async fn act(
    key: &Key,
    task: &FLTask,
    chain: &Arc<dyn ChainAccess>,
    observed: &Observed,
    ctx: &Context,
) -> Result<Next, TaskError> {
    let Some(signer) = task
        .spec
        .keeper
        .as_ref()
        .filter(|k| k.enabled)
        .and_then(|k| k.signer.as_ref())
    else {
        return Ok(None);
    };
    if task.spec.suspend {
        return Ok(None);
    }
    let now = ctx.clock.now();
    let block = Duration::from_secs(chain.block_time().max(1));
    let mut wake: Option<Timestamp> = None;
    for action in pokes::task_pokes(&observed.current, now, KEEPER_DELAY) {
        match action {
            Action::Send(transaction) => {
                let key = ctx.keys.load(ctx.cluster.as_ref(), &key.namespace, signer).await?;
                if !send(chain, key, observed, &transaction, ctx, task).await? {
                    return Ok(Some(block));
                }
                // The send itself logs something, and that wakes us.
            }
            Action::WaitUntil(at) => wake = Some(wake.map_or(at, |w| w.min(at))),
            _ => {}
        }
    }
    Ok(wake.map(|at| Duration::from_secs(now.until(at).max(1))))
}

/// Whether the call is over.
async fn send(
    chain: &Arc<dyn ChainAccess>,
    key: crate::chain::SigningKey,
    observed: &Observed,
    transaction: &Transaction,
    ctx: &Context,
    task: &FLTask,
) -> Result<bool, TaskError> {
    let sender = chain.sender(key);
    let block = Duration::from_secs(chain.block_time().max(1));
    let task_address = observed.current.task;
    let Some(outcome) = poke(sender.as_ref(), task_address, transaction, ctx.clock.as_ref(), block).await else {
        return Ok(false);
    };
    let label = match &outcome {
        Ok(mined) if mined.success => "mined",
        Ok(_) => "failed",
        Err(error) => error.category(),
    };
    ctx.metrics
        .transactions
        .with_label_values(&[&task.spec.chain_ref.name, transaction.name(), label])
        .inc();
    match outcome {
        // Somebody else was quicker: the next snapshot shows it.
        Ok(_) | Err(ChainError::Reverted { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
