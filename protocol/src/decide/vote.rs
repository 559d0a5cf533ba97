//! A voter: compute a vote, store it, commit to it.

use super::{
    clock::last_quarter_of,
    context::{Context, Plan},
    jobs::{Progress, require},
    reveal, settle,
};
use crate::{
    action::{Action, ClientStep, Transaction, VoteToRecord},
    client::LedgerEntry,
    job::{JobResult, StepResult, VoteResult},
    snapshot::ParticipantState,
    types::{Phase, Score, Timestamp},
};

pub(super) fn duty(cx: &Context<'_>, me: &ParticipantState, plan: &mut Plan) {
    let round = &cx.snapshot.round;
    if let Some(commitment) = me.commitment {
        plan.want(cx.vote_identity());
        reveal::duty(cx, me, commitment, plan);
        return;
    }
    let (Phase::Commit, Some(open), Some(deadline)) = (cx.phase(), round.commit_open, round.commit_deadline) else {
        plan.step(ClientStep::Waiting);
        settle::await_others(cx, plan);
        return;
    };
    // A stored vote wins over every re-run, as long as it was computed from the round as it is now.
    if let Some(entry) = cx.ledger().find(|entry| entry.round_digest == round.round_digest) {
        plan.want(cx.vote_identity());
        commit(cx, plan, entry, deadline);
        return;
    }
    let window = cx.snapshot.parameters.commit_window;
    let finish_by = cx.clock.finish_by(deadline, window);
    let fetch_until = open.saturating_add(u64::from(window) / 4).min(finish_by);
    plan.step(ClientStep::Evaluating);
    match require(cx, plan, cx.vote_identity(), finish_by, fetch_until) {
        Progress::Running => plan.awaiting("the vote Job", Some(finish_by)),
        Progress::TooLate => {
            plan.awaiting(
                "the end of the commit window: too little of it is left to vote",
                Some(deadline),
            );
        }
        Progress::Failed => {
            plan.awaiting(
                "the end of the commit window: the vote Job failed for good",
                Some(deadline),
            );
        }
        Progress::Done(result) => match usable(cx, result) {
            Some(vote) => record(cx, plan, vote, deadline),
            None => plan.awaiting(
                "the end of the commit window: the contract would refuse to have the vote Job's result revealed",
                Some(deadline),
            ),
        },
    }
}

/// Only what `revealVote` takes: bits of contributors, and (start, -1) exactly when nothing is included. Anything else
/// would be a commitment that can never be revealed.
fn usable<'a>(cx: &Context<'_>, result: &'a JobResult) -> Option<&'a VoteResult> {
    let StepResult::Vote(vote) = &result.outcome else {
        return None;
    };
    let start = cx.snapshot.round.start_model;
    let contributed = cx
        .snapshot
        .proposers()
        .enumerate()
        .filter(|(_, proposer)| proposer.contribution.is_some())
        .fold(crate::types::IncludedMask::default(), |mask, (seat, _)| mask.with(seat));
    let nobody = vote.mask.0 == 0;
    let legal = !vote.aggregate.is_zero()
        && vote.mask.0 & !contributed.0 == 0
        && (!nobody || (vote.aggregate == start && vote.score == Score::Against));
    legal.then_some(vote)
}

fn record(cx: &Context<'_>, plan: &mut Plan, vote: &VoteResult, deadline: Timestamp) {
    plan.step(ClientStep::Committing);
    plan.awaiting("the vote to be stored", Some(deadline));
    let round = &cx.snapshot.round;
    if cx.clock.can_meet(deadline) {
        plan.act(Action::RecordVote(VoteToRecord {
            round: round.round,
            round_digest: round.round_digest,
            hash: vote.aggregate,
            score: vote.score,
            mask: vote.mask,
        }));
        // Nothing announces that it is stored.
        plan.wake(cx.clock.late());
    }
}

/// A commitment is final, so it waits until its inputs cannot be taken back, or until waiting costs more than it saves.
fn commit(cx: &Context<'_>, plan: &mut Plan, entry: &LedgerEntry, deadline: Timestamp) {
    plan.step(ClientStep::Committing);
    let round = &cx.snapshot.round;
    let window = cx.snapshot.parameters.commit_window;
    let inputs_confirmed = cx.confirmed(round.drawn_block)
        && cx
            .snapshot
            .proposers()
            .filter(|p| p.contribution.is_some())
            .all(|p| cx.confirmed(p.contributed_block));
    if !inputs_confirmed && !cx.clock.last_quarter(deadline, window) {
        let at = last_quarter_of(deadline, window);
        plan.awaiting(
            "the contributions to be confirmed, before the vote is committed",
            Some(at),
        );
        plan.wake(at);
        let inputs = cx.snapshot.proposers().map(|p| p.contributed_block);
        cx.wake_when_confirmed(plan, inputs.chain([round.drawn_block]));
        return;
    }
    plan.awaiting("the commitment to be on chain", Some(deadline));
    if cx.clock.can_meet(deadline) {
        plan.send(Transaction::CommitVote {
            round: round.round,
            round_digest: entry.round_digest,
            commitment: entry.commitment,
        });
    }
}
