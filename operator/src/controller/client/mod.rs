//! FLClient: one participant of one task. Observe, decide, act, record; nothing is remembered between two reconciles.
//!
//! What was done is read from the chain, from Jobs and from the vote ledger, so that a reconcile may be killed at any
//! call and the next one goes on. Sending waits for blocks: each client's reconcile is a task of its own, and never runs
//! twice at once.

mod act;
mod audit;
mod deletion;
mod duplicates;
mod duty;
mod error;
mod events;
mod hold;
mod jobs;
pub mod ledger;
mod observe;
mod pokes;
mod problem;
mod record;
mod results;
mod running;
mod status;
mod stored_vote;
#[cfg(test)]
mod tests;
mod totals;
mod validate;
mod wake;

use std::{sync::Arc, time::Duration};

use crds::{FLClient, conditions::reason, names};
use kube::ResourceExt;
use protocol::decide::decide;

pub use error::ClientError;

use self::{
    hold::Hold,
    observe::{Observation, Observed},
};
use super::context::Context;
use crate::cluster::{ClusterError, FINALIZER, Key};

/// When to look again by ourselves; `None`: something will wake us.
pub type Next = Option<Duration>;

/// Decisions in one reconcile: approve, stake, join and what follows happen without waiting to be woken.
const MAX_PASSES: usize = 8;

/// One pass's end.
enum Pass {
    /// Something changed that the next decision must see.
    Again {
        mined_block: u64,
    },
    Done(Next),
}

/// Brings one FLClient as far as it can go now.
///
/// # Errors
/// Only what a retry with backoff may cure; everything a person must act on ends in the status.
pub async fn reconcile(key: &Key, ctx: &Context) -> Result<Next, ClientError> {
    let Some(mut object) = ctx.cluster.client(key).await? else {
        return Ok(None);
    };
    let mut mined_block = 0;
    for _ in 0..MAX_PASSES {
        let outcome = match pass(&mut object, mined_block, ctx).await {
            Err(error) => held_by_error(&mut object, error, ctx).await?,
            Ok(outcome) => outcome,
        };
        match outcome {
            Pass::Again { mined_block: block } => mined_block = mined_block.max(block),
            Pass::Done(next) => return Ok(next),
        }
    }
    Ok(Some(Duration::from_secs(1)))
}

async fn pass(object: &mut Arc<FLClient>, mined_block: u64, ctx: &Context) -> Result<Pass, ClientError> {
    if deletion::is_deleting(object) && !object.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Pass::Done(None));
    }
    if deletion::is_deleting(object) && deletion::is_abandoned(object) {
        deletion::release(object, true, ctx).await?;
        return Ok(Pass::Done(None));
    }
    match observe::observe(object, ctx).await? {
        Observation::Held(hold) => held(object, &hold, ctx).await,
        Observation::Ready(observed) if observed.snapshot.block.number < mined_block => {
            // Never decide on a state older than our own last transaction.
            Ok(Pass::Done(Some(wake::block(&observed))))
        }
        Observation::Ready(observed) => follow(object, &observed, ctx).await,
    }
}

/// Something stands in the way: say so, and look again when it may be mended.
async fn held(object: &mut Arc<FLClient>, hold: &Hold, ctx: &Context) -> Result<Pass, ClientError> {
    if deletion::is_deleting(object) && deletion::cannot_act(object, hold) {
        deletion::release(object, true, ctx).await?;
        return Ok(Pass::Done(None));
    }
    let mut hold = hold.clone();
    if deletion::is_deleting(object) {
        hold.problem.message += "; being deleted: to let it go without its duty, annotate it with ";
        hold.problem.message += &format!("{}=true", names::ANNOTATION_ABANDON);
    }
    record::write(object, status::held(object, &hold, ctx.clock.now()), ctx).await?;
    Ok(Pass::Done(Some(hold.retry)))
}

/// Errors that no retry cures are said; the others are for the retry.
async fn held_by_error(object: &mut Arc<FLClient>, error: ClientError, ctx: &Context) -> Result<Pass, ClientError> {
    let reason = match &error {
        ClientError::Ledger(_) => reason::LEDGER_INVALID,
        ClientError::Cluster(ClusterError::Forbidden(_)) => reason::OPERATOR_FORBIDDEN,
        ClientError::Cluster(_) | ClientError::Chain(_) => return Err(error),
    };
    held(object, &Hold::new(reason, error.to_string()).stalled(), ctx).await
}

async fn follow(object: &mut Arc<FLClient>, observed: &Observed, ctx: &Context) -> Result<Pass, ClientError> {
    let decision = decide(&observed.snapshot, &observed.view);
    if deletion::is_deleting(object) {
        if deletion::is_done(observed, &decision) {
            record::write(object, status::following(observed, &decision, None, None), ctx).await?;
            deletion::release(object, false, ctx).await?;
            return Ok(Pass::Done(None));
        }
    } else if !object.finalizers().iter().any(|f| f == FINALIZER) {
        // Before anything is staked: from here on the object does not vanish with a duty open.
        ctx.cluster.set_client_finalizer(&observed.client.key, true).await?;
    }
    let events = events::Events::new(ctx.cluster.as_ref(), object);
    let acted = act::locally(observed, &decision, ctx, &events).await?;
    let (totals, behind) = totals::catch_up(observed, ctx, &events).await?;
    record::metrics(observed, ctx);
    // Before sending, which may take several blocks: what is being done must be visible meanwhile.
    let now = status::following(observed, &decision, acted.problem.as_ref(), totals.as_ref());
    record::write(object, now, ctx).await?;
    if acted.again {
        return Ok(Pass::Again { mined_block: 0 });
    }
    let events = events::Events::new(ctx.cluster.as_ref(), object);
    let sent = act::send(observed, &decision, ctx, &events).await?;
    if sent.problem.is_some() {
        let problem = acted.problem.as_ref().or(sent.problem.as_ref());
        record::write(
            object,
            status::following(observed, &decision, problem, totals.as_ref()),
            ctx,
        )
        .await?;
    }
    if sent.again {
        return Ok(Pass::Again {
            mined_block: sent.mined_block.unwrap_or(0),
        });
    }
    let pauses = [
        acted.wait,
        sent.wait,
        behind.then_some(Duration::ZERO),
        wake::after(observed, &decision),
    ];
    Ok(Pass::Done(pauses.into_iter().flatten().min()))
}
