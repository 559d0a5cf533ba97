//! How a round ends: by its windows, or because somebody ends the task.

use alloy::primitives::Address;
use operator::chain::bindings::FlockTask;
use protocol::{outlook, snapshot::TaskSnapshot, types::Amount};
use rand::Rng;

use crate::{
    Seen,
    books::{Ending, tied},
    history::{After, History},
    parameters::one_of,
    running::{Break, Running, Stage},
};

/// Finish and slash, each step looked at.
pub(crate) async fn settle(h: &mut History<'_>, r: &Running, seen: &mut Seen) -> After {
    let finish = FlockTask::finishRoundCall { round: r.round };
    let slash = FlockTask::slashCall { round: r.round };
    let over = r.over(h);
    if h.now < over {
        h.now = over - 1;
        h.refused(h.poker, &finish, seen).await;
    }
    h.block(h.now.max(over), &[]).await;
    let ending = h.books.ending(&h.p, r.number, &r.seats, r.proposers);
    let tied = ending
        .winner
        .is_some_and(|winner| tied(&r.seats[r.proposers..], &winner));
    seen.count("votes tied in stake", usize::from(tied));
    let before = h.snapshot(r.number).await;
    // A snapshot does not tell the order of two commitments in one block.
    if tied && outlook::of(&before).is_none() {
        seen.count("tie that hangs on a block's order", 1);
    } else {
        check_outlook(&before, &ending);
        seen.count("expected before the finish", 1);
    }
    h.refused(h.poker, &slash, seen).await;
    h.must(h.now, h.poker, h.node.task, &finish).await;
    let finished = h.snapshot(r.number).await;
    check_outlook(&finished, &ending);
    check_finished(&finished, &ending);
    if let Some(after) = break_off(h, r, Stage::Finished, seen).await {
        return after;
    }
    let anybody: Vec<Address> = h.accounts();
    let caller = one_of(&mut h.rng, &anybody);
    let time = h.now + h.rng.random_range(0..100);
    h.must(time, caller, h.node.task, &slash).await;
    h.since = h.now;
    h.books.settle(&ending, &r.seats, caller);
    h.check_settled(r.number, &r.seats, &ending, caller, seen).await;
    h.refused(h.poker, &slash, seen).await;
    let last = r.number + 1 == h.p.total_rounds;
    seen.count("finished early", usize::from(h.finish_requested && !last));
    if last || h.finish_requested {
        After::Ended
    } else {
        After::NextRound
    }
}

fn check_outlook(snapshot: &TaskSnapshot, ending: &Ending) {
    let expected = outlook::of(snapshot).expect("a round that is over has an outlook");
    assert_eq!(expected.outcome, ending.outcome);
    assert_eq!(expected.winner, ending.winner.map(|group| (group.hash, group.mask)));
    assert_eq!(expected.settlement, ending.settlement);
}

fn check_finished(snapshot: &TaskSnapshot, ending: &Ending) {
    let round = &snapshot.round;
    assert_eq!(round.outcome, ending.outcome);
    let winner = ending.winner;
    assert_eq!(round.popular_hash, winner.map(|group| group.hash));
    assert_eq!(round.popular_mask, winner.map_or(0, |group| group.mask.0));
    assert_eq!(round.winning_stake, winner.map_or(Amount::ZERO, |group| group.stake));
    assert_eq!(round.vote_score, ending.vote_score());
    assert_eq!(round.drawn_voter_stake, Amount(ending.drawn_voter_stake));
    let adopted = ending.outcome == protocol::types::Outcome::Accepted;
    let next = if adopted {
        winner.map(|group| group.hash)
    } else {
        Some(round.start_model)
    };
    assert_eq!(round.next_hash, next);
}

/// At this stage of a round without roles; whatever ends the task there makes the round void.
pub(crate) async fn break_before_the_draw(
    h: &mut History<'_>,
    number: u32,
    stage: Stage,
    planned: Option<(Stage, Break)>,
    seen: &mut Seen,
) -> Option<After> {
    match planned.filter(|(at, _)| *at == stage)?.1 {
        Break::FinishTask => {
            h.finish_request().await;
            if stage == Stage::Fixed {
                return None;
            }
        }
        Break::Terminate => terminate(h, seen).await,
    }
    h.check_void(number, seen).await;
    Some(After::Ended)
}

/// The same once roles are drawn: a round that is over is settled first.
pub(crate) async fn break_off(h: &mut History<'_>, r: &Running, stage: Stage, seen: &mut Seen) -> Option<After> {
    match r.planned.filter(|(at, _)| *at == stage)?.1 {
        Break::FinishTask => {
            h.finish_request().await;
            return None;
        }
        Break::Terminate => terminate(h, seen).await,
    }
    if stage == Stage::Finished || h.now >= r.over(h) {
        let ending = h.books.ending(&h.p, r.number, &r.seats, r.proposers);
        h.books.settle(&ending, &r.seats, h.poker);
        h.check_settled(r.number, &r.seats, &ending, h.poker, seen).await;
    } else {
        h.check_void(r.number, seen).await;
    }
    Some(After::Ended)
}

async fn terminate(h: &mut History<'_>, seen: &mut Seen) {
    let stalled = h.since + u64::from(h.p.stall_timeout);
    if h.now < stalled {
        h.now = stalled - 1;
        h.refused(h.poker, &FlockTask::terminateCall {}, seen).await;
    }
    let time = h.now.max(stalled);
    h.must(time, h.poker, h.node.task, &FlockTask::terminateCall {}).await;
    seen.count("terminated", 1);
}
