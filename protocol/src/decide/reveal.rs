//! A voter that has committed: publish the aggregate, reveal the vote.

use super::{
    clock::last_quarter_of,
    context::{Context, Plan},
    settle,
};
use crate::{
    action::{Action, ClientStep, StopReason, Transaction},
    client::LedgerEntry,
    snapshot::ParticipantState,
    types::{Commitment, Phase, Timestamp},
};

pub(super) fn duty(cx: &Context<'_>, me: &ParticipantState, commitment: Commitment, plan: &mut Plan) {
    let entry = cx.ledger().find(|entry| entry.commitment == commitment);
    if me.vote.is_some() {
        plan.step(ClientStep::Revealed);
        if let Some(entry) = entry {
            // Revealed in haste, or killed before publishing: the hash is public by now.
            publish(cx, plan, entry);
        }
        settle::await_others(cx, plan);
        return;
    }
    let Some(entry) = entry else {
        plan.stop(StopReason::ForeignCommitment { commitment });
        return;
    };
    plan.step(ClientStep::Committed);
    // Earlier, others could copy the hash instead of computing it.
    if cx.confirmed(me.committed_block) {
        publish(cx, plan, entry);
    } else {
        cx.wake_when_confirmed(plan, [me.committed_block]);
    }
    match (
        cx.phase(),
        cx.snapshot.round.reveal_open,
        cx.snapshot.round.reveal_deadline,
    ) {
        (Phase::Reveal, Some(open), Some(deadline)) if open <= cx.clock.head() => reveal(cx, me, entry, deadline, plan),
        _ => settle::await_others(cx, plan),
    }
}

/// A reveal must not become a hint: while a reorg could re-open the commit window, it waits, unless time is short.
fn reveal(cx: &Context<'_>, me: &ParticipantState, entry: &LedgerEntry, deadline: Timestamp, plan: &mut Plan) {
    plan.step(ClientStep::Revealing);
    let window = cx.snapshot.parameters.reveal_window;
    let confirmed = cx
        .snapshot
        .voters()
        .filter(|v| v.commitment.is_some())
        .all(|v| cx.confirmed(v.committed_block));
    if !confirmed && !cx.clock.last_quarter(deadline, window) {
        let at = last_quarter_of(deadline, window);
        plan.awaiting("the commitments to be confirmed, before the vote is revealed", Some(at));
        plan.wake(at);
        return;
    }
    plan.awaiting("the reveal to be on chain", Some(deadline));
    if !cx.clock.can_meet(deadline) {
        return;
    }
    if !cx.confirmed(me.committed_block) {
        publish(cx, plan, entry);
    }
    plan.send(Transaction::RevealVote {
        round: entry.round,
        hash: entry.hash,
        score: entry.score,
        mask: entry.mask,
        salt: entry.salt,
    });
}

/// Makes the aggregate readable. There is none of ours when nothing was included: the vote names the start model then.
fn publish(cx: &Context<'_>, plan: &mut Plan, entry: &LedgerEntry) {
    if entry.hash != cx.snapshot.round.start_model {
        plan.act(Action::Publish { model: entry.hash });
    }
}
