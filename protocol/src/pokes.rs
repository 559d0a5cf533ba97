//! Calls that anyone may send and somebody must: draw, finish, settle, terminate.
//!
//! They are staggered, so that twenty sites do not pay nineteen reverts: a keeper goes at once, a client after its delay
//! since the call became due. Whoever sends one asks `estimateGas` first.

use crate::{
    action::{Action, Transaction},
    decide::Clock,
    snapshot::TaskSnapshot,
    types::{Phase, Timestamp},
};

/// Where the moment of becoming due is not on record, a client with a delay takes every so-many-th block only.
const SLOTS: u64 = 8;

/// Due now, or worth a look later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Poke {
    Send(Transaction),
    Later(Timestamp),
}

/// Since when a call is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Since(Timestamp),
    /// Since the block after this one.
    AfterBlock(u64),
    /// Since some block that nothing on chain names.
    Now,
}

/// Where nobody says how long a block takes, in seconds: how often a keeper looks for a head that is late.
const NOMINAL_BLOCK_TIME: u64 = 2;

/// What a keeper without a client does for a task: pokes that are due and `delay` seconds old, and when to look again.
/// Only the current round's snapshot is of use.
pub fn task_pokes(snapshot: &TaskSnapshot, now: Timestamp, delay: u64) -> Vec<Action> {
    let clock = Clock::new(snapshot.block.timestamp, now, NOMINAL_BLOCK_TIME);
    let mut actions = Vec::new();
    let mut wakes: Vec<Timestamp> = clock.next_look(snapshot).into_iter().collect();
    match due(snapshot, clock, delay, true) {
        Some(Poke::Send(transaction)) => actions.push(Action::Send(transaction)),
        Some(Poke::Later(at)) => wakes.push(at),
        None => {}
    }
    actions.extend(wakes.into_iter().min().map(Action::WaitUntil));
    actions
}

/// At most one poke: each phase needs one.
pub(crate) fn due(snapshot: &TaskSnapshot, clock: Clock, delay: u64, terminate: bool) -> Option<Poke> {
    let (transaction, due) = next(snapshot, terminate)?;
    let (head, block_time) = (snapshot.block.number, clock.block_time());
    let wait = match due {
        _ if delay == 0 => None,
        Due::Since(since) => {
            let at = since.saturating_add(delay);
            (at > clock.late()).then_some(at)
        }
        Due::AfterBlock(block) => {
            let from = block.saturating_add(1).saturating_add(delay.div_ceil(block_time));
            let blocks = from.saturating_sub(head);
            (blocks > 0).then(|| clock.late().saturating_add(blocks.saturating_mul(block_time)))
        }
        Due::Now => {
            let mine = delay.div_ceil(block_time) % SLOTS;
            (head % SLOTS != mine).then(|| clock.late().saturating_add(block_time))
        }
    };
    Some(wait.map_or(Poke::Send(transaction), Poke::Later))
}

fn next(snapshot: &TaskSnapshot, terminate: bool) -> Option<(Transaction, Due)> {
    let (round, parameters) = (&snapshot.round, &snapshot.parameters);
    let name = round.round;
    match snapshot.state.phase {
        Phase::Join => {
            let full = round.joined >= parameters.max_participants;
            let closed = snapshot.block.timestamp >= round.join_deadline && round.joined >= parameters.min_participants;
            if full || closed {
                return Some((Transaction::SelectRoundParticipants { round: name }, Due::Now));
            }
            // In every later phase the windows end by themselves, and settling serves everybody better than an end that
            // voids a running round.
            let stalled = snapshot
                .state
                .last_settled_at
                .saturating_add(parameters.stall_timeout.into());
            (terminate && snapshot.block.timestamp >= stalled).then_some((Transaction::Terminate, Due::Since(stalled)))
        }
        Phase::Draw => {
            let block = round.seed_block?;
            (snapshot.block.number > block).then_some((
                Transaction::SelectRoundParticipants { round: name },
                Due::AfterBlock(block),
            ))
        }
        Phase::Finish => Some((Transaction::FinishRound { round: name }, finish_due(snapshot))),
        Phase::Settle => Some((
            Transaction::Slash { round: name },
            round.finished_at.map_or(Due::Now, Due::Since),
        )),
        Phase::Propose | Phase::Commit | Phase::Reveal | Phase::Ended => None,
    }
}

fn finish_due(snapshot: &TaskSnapshot) -> Due {
    let round = &snapshot.round;
    let deadline = if round.contributed == 0 {
        round.propose_deadline
    } else if round.committed == 0 {
        round.commit_deadline
    } else if round.revealed < round.committed {
        round.reveal_deadline
    } else {
        let last = snapshot.participants.iter().filter_map(|p| p.revealed_block).max();
        return last.map_or(Due::Now, Due::AfterBlock);
    };
    deadline.map_or(Due::Now, Due::Since)
}
