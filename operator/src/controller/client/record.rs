//! Writing down: status if it changed, one Event per transition, gauges.

use std::sync::Arc;

use crds::{FLClient, FLClientStatus};
use kube::ResourceExt;
use protocol::types::U256;

use super::{ClientError, duty, events::Events, observe::Observed};
use crate::{cluster::Key, controller::context::Context};

/// Writes the status if it differs, and says what is new in it. `object` then carries it, so that the next pass compares
/// with what was written and not with what the watch cache still shows.
pub(super) async fn write(
    object: &mut Arc<FLClient>,
    status: FLClientStatus,
    ctx: &Context,
) -> Result<(), ClientError> {
    let before = object.status.clone().unwrap_or_default();
    if before == status {
        return Ok(());
    }
    let key = Key::new(object.namespace().unwrap_or_default(), object.name_any());
    ctx.cluster.apply_client_status(&key, &status).await?;
    count_results(&key, &before, &status, ctx);
    Events::new(ctx.cluster.as_ref(), object)
        .transitions(&before, &status)
        .await;
    Arc::make_mut(object).status = Some(status);
    Ok(())
}

/// Results that are new in the status are Jobs that succeeded.
fn count_results(key: &Key, before: &FLClientStatus, now: &FLClientStatus, ctx: &Context) {
    let new = [
        ("check", now.preflight != before.preflight),
        ("train", now.last_training != before.last_training),
        ("vote", now.last_vote != before.last_vote),
    ];
    for (step, _) in new.into_iter().filter(|(_, new)| *new) {
        ctx.metrics
            .jobs
            .with_label_values(&[key.namespace.as_str(), step, "succeeded"])
            .inc();
    }
}

/// The next deadline, and what the key has left for gas.
pub(super) fn metrics(observed: &Observed, ctx: &Context) {
    let Key { namespace, name } = &observed.client.key;
    let address = observed.view.participant;
    let deadline = duty::of(&observed.snapshot, address)
        .and_then(|duty| duty.deadline)
        .map_or(0, |at| at.0);
    ctx.metrics
        .duty_deadline
        .with_label_values(&[namespace, name])
        .set(i64::try_from(deadline).unwrap_or(i64::MAX));
    ctx.metrics
        .key_used_elsewhere
        .with_label_values(&[namespace, name])
        .set(i64::from(observed.ledger.foreign_round.is_some()));
    if let Some(account) = observed.snapshot.account(address) {
        let gwei = account.native_balance.0 / U256::from(1_000_000_000u64);
        let gwei = i64::try_from(gwei).unwrap_or(i64::MAX);
        ctx.metrics
            .key_balance_gwei
            .with_label_values(&[namespace, name])
            .set(gwei);
    }
}
