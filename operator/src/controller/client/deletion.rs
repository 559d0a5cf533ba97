//! Deleting an FLClient: its duty is finished first, unless it cannot be or is given up.

use crds::{FLClient, conditions::reason, names};
use kube::ResourceExt;
use protocol::{
    action::{Action, Decision, Transaction},
    types::Amount,
};

use super::{ClientError, duty, events::Events, hold::Hold, observe::Observed};
use crate::{
    cluster::{FINALIZER, Key},
    controller::context::Context,
    gateway::Owner,
};

pub(super) fn is_deleting(client: &FLClient) -> bool {
    client.metadata.deletion_timestamp.is_some()
}

/// The annotation that gives up the running duty and what it may cost.
pub(super) fn is_abandoned(client: &FLClient) -> bool {
    client
        .annotations()
        .get(names::ANNOTATION_ABANDON)
        .is_some_and(|value| value == "true")
}

/// Whether nothing keeps the object any more: no duty in the running round, nothing that can still be sent. Waiting for
/// somebody else's draw or reveal is a duty as long as the round may still ask something of us.
pub(super) fn is_done(observed: &Observed, decision: &Decision) -> bool {
    let owes = duty::of(&observed.snapshot, observed.view.participant).is_some();
    let sends = decision.actions.iter().any(|action| match action {
        // Pokes are a service to the task, not a duty; others will.
        Action::Send(transaction) => !transaction.is_poke() && !matches!(transaction, Transaction::JoinRound { .. }),
        _ => false,
    });
    !owes && !sends
}

/// Whether what stands in the way also makes it impossible to do a duty: then waiting is of no use. A chain or task that
/// is only not ready at present may still be acted on later, if this client ever got as far as having an address.
pub(super) fn cannot_act(client: &FLClient, hold: &Hold) -> bool {
    let never = [
        reason::TASK_NOT_FOUND,
        reason::SPEC_INVALID,
        reason::SIGNER_IN_USE,
        reason::SIGNER_CHANGED,
    ];
    let untouched = client.status.as_ref().is_none_or(|status| status.address.is_none());
    hold.without_key || never.contains(&hold.problem.reason) || untouched
}

/// Lets the object go, with a last word.
pub(super) async fn release(client: &FLClient, abandoned: bool, ctx: &Context) -> Result<(), ClientError> {
    let key = Key::new(client.namespace().unwrap_or_default(), client.name_any());
    if !client.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(());
    }
    Events::new(ctx.cluster.as_ref(), client)
        .released(abandoned, last_word(client))
        .await;
    for gauge in [
        &ctx.metrics.duty_deadline,
        &ctx.metrics.key_balance_gwei,
        &ctx.metrics.key_used_elsewhere,
    ] {
        // Only fails if there was none.
        let _ = gauge.remove_label_values(&[&key.namespace, &key.name]);
    }
    tidy(client, ctx).await;
    ctx.cluster.set_client_finalizer(&key, false).await?;
    Ok(())
}

/// Removes what this client's Jobs left at the gateway and nobody else may read. What it has published stays: others may
/// train from it, and it is what the task was for. A gateway that does not answer holds no deletion up.
async fn tidy(client: &FLClient, ctx: &Context) {
    let Some(owner) = owner(client, ctx).await else {
        return;
    };
    if let Err(error) = ctx.store.remove_staged(owner).await {
        tracing::warn!(%owner, %error, "what this client staged is left at the gateway");
    }
}

/// `None` if it never got as far as having an account in a task, or has it not to itself.
async fn owner(client: &FLClient, ctx: &Context) -> Option<Owner> {
    let participant = client.status.as_ref()?.address?;
    // Somebody else with this account may have work of its own there.
    let clients = ctx.cluster.clients().await.ok()?;
    let shared = clients.iter().any(|other| {
        let address = other.status.as_ref().and_then(|status| status.address);
        address == Some(participant) && other.metadata.uid != client.metadata.uid
    });
    if shared {
        return None;
    }
    let task = Key::new(client.namespace()?, client.spec.task_ref.name.clone());
    let task = ctx.cluster.task(&task).await.ok()??;
    let chain = ctx.chains.get(&task.spec.chain_ref.name).await.ok()?;
    Some(Owner {
        chain: chain.chain_id(),
        task: task.status.as_ref()?.contract?,
        participant,
    })
}

fn last_word(client: &FLClient) -> String {
    let status = client.status.clone().unwrap_or_default();
    let Some(address) = status.address else {
        return "deleted; nothing was staked".to_owned();
    };
    let left = status.stake.unwrap_or(Amount::ZERO);
    let claimable = status.claimable.unwrap_or(Amount::ZERO);
    if left.is_zero() && claimable.is_zero() {
        return format!("{address} has nothing left in the task");
    }
    format!(
        "{address} has stake {left} and claimable {claimable} in the task's contract; once the task has ended, call \
         claimRewards() with its key, or make an FLClient with the same Secret again"
    )
}
