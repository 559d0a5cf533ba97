//! Outside of the round: getting in. Inside, before the draw: waiting for the others.

use super::{
    context::{Context, Plan},
    preflight,
};
use crate::{
    action::{ClientStep, Transaction},
    types::{Phase, Timestamp},
};

/// This participant is not in the current round.
pub(super) fn outside(cx: &Context<'_>, plan: &mut Plan) {
    if cx.account.removed {
        plan.step(ClientStep::Removed);
        plan.awaiting("the end of the task, to claim what is left", None);
        return;
    }
    if cx.view.draining {
        plan.step(ClientStep::Drained);
        if cx.account.ever_staked {
            plan.awaiting("the end of the task, to claim stake and rewards", None);
        }
        return;
    }
    if !cx.can_join_later() {
        plan.step(ClientStep::Waiting);
        plan.awaiting(
            "the end of the task: its last round runs without this participant",
            None,
        );
        return;
    }
    if let Some(reason) = preflight::obstacle(cx) {
        plan.stop(reason);
        return;
    }
    let Some(check) = preflight::passed(cx, plan) else {
        return;
    };
    if !preflight::staked(cx, plan) {
        return;
    }
    plan.step(ClientStep::Joining);
    let round = &cx.snapshot.round;
    let threshold = cx.snapshot.parameters.min_stake_threshold;
    if cx.account.stake_left < threshold {
        plan.awaiting(
            format!("a stake of at least {threshold}; {} is left", cx.account.stake_left),
            None,
        );
    } else if cx.phase() != Phase::Join {
        plan.awaiting(
            format!("the end of round {}, to join the next one", round.round),
            deadline(cx),
        );
    } else if round.joined >= cx.snapshot.parameters.max_participants {
        plan.awaiting(
            format!("the next round: all seats of round {} are taken", round.round),
            None,
        );
    } else {
        plan.send(Transaction::JoinRound {
            round: round.round,
            sample_count: check.train_samples,
        });
        plan.awaiting(format!("joinRound of round {} to be on chain", round.round), None);
    }
}

/// Joined, not drawn yet.
pub(super) fn joined(cx: &Context<'_>, plan: &mut Plan) {
    plan.step(ClientStep::Joined);
    let round = &cx.snapshot.round;
    let missing = cx.snapshot.parameters.min_participants.saturating_sub(round.joined);
    if cx.phase() == Phase::Draw {
        match round.seed_block {
            Some(block) if block >= cx.snapshot.block.number => {
                plan.awaiting(format!("the draw's seed block {block}"), None);
            }
            _ => plan.awaiting("anyone to complete the draw", None),
        }
    } else if missing > 0 {
        let noun = if missing == 1 { "participant" } else { "participants" };
        plan.awaiting(format!("{missing} more {noun} to join"), Some(stalled_at(cx)));
    } else if round.joined < cx.snapshot.parameters.max_participants && cx.clock.head() < round.join_deadline {
        plan.awaiting("the join window to close", Some(round.join_deadline));
    } else {
        plan.awaiting("anyone to start the draw", None);
    }
}

/// When the task counts as stalled and may be terminated.
fn stalled_at(cx: &Context<'_>) -> Timestamp {
    cx.snapshot
        .state
        .last_settled_at
        .saturating_add(cx.snapshot.parameters.stall_timeout.into())
}

/// When the current phase ends at the latest.
fn deadline(cx: &Context<'_>) -> Option<Timestamp> {
    let round = &cx.snapshot.round;
    match cx.phase() {
        Phase::Propose => round.propose_deadline,
        Phase::Commit => round.commit_deadline,
        Phase::Reveal => round.reveal_deadline,
        Phase::Join | Phase::Draw | Phase::Finish | Phase::Settle | Phase::Ended => None,
    }
}
