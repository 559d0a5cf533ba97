//! What came of the settled rounds for one participant, counted once per round when the settlement is confirmed.

use crds::flclient::ClientTotals;
use protocol::{
    snapshot::TaskSnapshot,
    types::{Address, Round},
};

use super::{ClientError, duty, events::Events, observe::Observed};
use crate::controller::context::Context;

/// Rounds counted in one reconcile: a client of a long task catches up over several.
const ROUNDS_AT_ONCE: u32 = 8;

/// Totals brought up to date, and whether rounds wait to be counted still. `None`: nothing to add.
pub(super) async fn catch_up(
    observed: &Observed,
    ctx: &Context,
    events: &Events<'_>,
) -> Result<(Option<ClientTotals>, bool), ClientError> {
    let snapshot = &observed.snapshot;
    let current = &snapshot.round;
    let mut totals = observed
        .object
        .status
        .as_ref()
        .and_then(|status| status.totals.clone())
        .unwrap_or_default();
    let end = current.round.0 + u32::from(current.settled);
    let address = observed.view.participant;
    let stop = totals.counted_rounds.saturating_add(ROUNDS_AT_ONCE).min(end);
    let mut changed = false;
    while totals.counted_rounds < stop {
        let round = Round(totals.counted_rounds);
        let settled = if round == current.round {
            snapshot.clone()
        } else {
            observed
                .chain
                .reader()
                .snapshot(snapshot.task, &snapshot.block, Some(round), &[])
                .await?
        };
        // A settlement that a reorg may still undo is counted later.
        if settled
            .round
            .settled_block
            .is_none_or(|block| block > observed.view.confirmed_block)
        {
            return Ok((changed.then_some(totals), false));
        }
        if let Some(kind) = add(&mut totals, &settled, address) {
            let key = &observed.client.key;
            ctx.metrics
                .duties_missed
                .with_label_values(&[&key.namespace, &key.name, kind])
                .inc();
            events.missed(round.0, kind).await;
        }
        changed = true;
    }
    Ok((changed.then_some(totals), stop < end))
}

/// Adds one settled round; returns the duty that was missed in it.
fn add(totals: &mut ClientTotals, settled: &TaskSnapshot, address: Address) -> Option<&'static str> {
    totals.counted_rounds = settled.round.round.0 + 1;
    let us = settled.participant(address)?;
    totals.rounds_joined += 1;
    totals.contributions += u32::from(us.contribution.is_some());
    totals.votes += u32::from(us.vote.is_some());
    totals.slashed = totals.slashed.saturating_add(us.slashed);
    totals.rewarded = totals.rewarded.saturating_add(us.rewarded);
    let missed = duty::missed(settled, address)?;
    totals.missed += 1;
    Some(missed.as_str())
}
