//! FLTask status from a snapshot: pure, and equal input gives equal output, so that an idle task writes nothing.

use crds::{FLTaskStatus, fltask::RoundSummary, rfc3339};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use protocol::{
    snapshot::{RoundState, TaskSnapshot},
    types::{Outcome, Phase, Timestamp},
};

/// Everything of the status that the chain decides; conditions and contract are the caller's.
pub fn of_snapshot(snapshot: &TaskSnapshot, last: Option<RoundSummary>, before: &FLTaskStatus) -> FLTaskStatus {
    let round = &snapshot.round;
    let voters = count_voters(snapshot);
    let drawn = round.drawn_at.is_some();
    let of = |done: u16, all: usize| drawn.then(|| format!("{done}/{all}"));
    let reveals_of = if round.reveal_open.is_some() {
        usize::from(round.committed)
    } else {
        voters
    };
    FLTaskStatus {
        contract: Some(snapshot.task),
        manager: Some(snapshot.state.manager),
        token: Some(snapshot.state.token),
        definition_hash: Some(snapshot.parameters.definition_hash),
        genesis_model: Some(snapshot.parameters.genesis_model),
        phase: Some(snapshot.state.phase),
        round: Some(round.round.0),
        rounds: Some(snapshot.parameters.total_rounds),
        participants: Some(u32::from(round.joined)),
        proposed: of(round.contributed, usize::from(round.proposers)),
        committed: of(round.committed, voters),
        revealed: of(round.revealed, reveals_of),
        deadline: deadline(snapshot).and_then(rfc3339),
        global_model: Some(round.next_hash.unwrap_or(round.start_model)),
        last_result: last.or_else(|| before.last_result.clone()),
        reward_pool: Some(snapshot.state.reward_pool),
        total_stakes: Some(snapshot.state.total_stakes),
        ..before.clone()
    }
}

fn count_voters(snapshot: &TaskSnapshot) -> usize {
    snapshot.voters().count()
}

/// End of the running window; absent where nothing runs against a clock.
pub fn deadline(snapshot: &TaskSnapshot) -> Option<Timestamp> {
    let round = &snapshot.round;
    match snapshot.state.phase {
        Phase::Join => Some(round.join_deadline),
        Phase::Propose => round.propose_deadline,
        Phase::Commit => round.commit_deadline,
        Phase::Reveal => round.reveal_deadline,
        Phase::Draw | Phase::Finish | Phase::Settle | Phase::Ended => None,
    }
}

/// How a settled round ended; `None` before.
pub fn summary(round: &RoundState) -> Option<RoundSummary> {
    (round.settled && round.outcome != Outcome::None).then_some(RoundSummary {
        round: round.round.0,
        outcome: round.outcome,
        vote_score: round.vote_score,
        model: round.next_hash,
    })
}

/// `Ready`'s sentence: what is awaited, from whom, until when, what to do.
pub fn sentence(snapshot: &TaskSnapshot) -> String {
    let round = &snapshot.round;
    let number = round.round;
    let voters = count_voters(snapshot);
    let until = |at: Option<Timestamp>| {
        at.and_then(rfc3339)
            .map(|Time(at)| format!(" until {at}"))
            .unwrap_or_default()
    };
    match snapshot.state.phase {
        Phase::Join => {
            let min = snapshot.parameters.min_participants;
            let missing = min.saturating_sub(round.joined);
            if missing > 0 {
                format!(
                    "Round {number}: waiting for {missing} more participants to join ({} of at least {min}; the window ends{})",
                    round.joined,
                    until(Some(round.join_deadline)).replace(" until", " at"),
                )
            } else {
                format!(
                    "Round {number}: {} of at most {} participants joined, others may join{}",
                    round.joined,
                    snapshot.parameters.max_participants,
                    until(Some(round.join_deadline))
                )
            }
        }
        Phase::Draw => format!(
            "Round {number}: {} participants, waiting for the draw (seed block {})",
            round.joined,
            round
                .seed_block
                .map_or_else(|| "not fixed".to_owned(), |b| b.to_string())
        ),
        Phase::Propose => format!(
            "Round {number}: {} of {} proposers contributed, the others have{}",
            round.contributed,
            round.proposers,
            until(round.propose_deadline)
        ),
        Phase::Commit => format!(
            "Round {number}: {} of {voters} voters committed, the others have{}",
            round.committed,
            until(round.commit_deadline)
        ),
        Phase::Reveal => format!(
            "Round {number}: {} of {} votes revealed, the others have{}",
            round.revealed,
            round.committed,
            until(round.reveal_deadline)
        ),
        Phase::Finish => format!("Round {number}: its windows are over, waiting for anyone to finish it"),
        Phase::Settle => format!("Round {number}: finished, waiting for anyone to settle it (slash)"),
        Phase::Ended => "The task has ended: participants claim what is theirs".to_owned(),
    }
}
