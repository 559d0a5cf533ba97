//! What the current round comes to if it ends with what is on chain: outcome, and everybody's slash and reward.
//!
//! The same numbers as the contract's `finishRound` and `slash`, from a snapshot alone. A test plays random histories on
//! the real contract and compares.

use crate::{
    money::{self, Entry, Settlement, Terms},
    snapshot::{ParticipantState, TaskSnapshot},
    types::{Address, Amount, IncludedMask, ModelHash, Outcome, Phase, Role},
    vote::{self, Ballot, Verdict},
};

/// What a round comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    pub outcome: Outcome,
    /// The winning group's hash and mask.
    pub winner: Option<(ModelHash, IncludedMask)>,
    /// Per participant, in the snapshot's order.
    pub settlement: Settlement,
}

impl Outlook {
    /// Slash and reward of one participant.
    pub fn of(&self, snapshot: &TaskSnapshot, account: Address) -> Option<(Amount, Amount)> {
        let seat = snapshot.participants.iter().position(|p| p.account == account)?;
        let money = &self.settlement;
        Some((*money.slashed.get(seat)?, *money.rewarded.get(seat)?))
    }
}

/// From the first moment at which votes can be revealed until the round is settled. `None` before and after, for a round
/// that is void, and where a tie of votes hangs on the order of two commitments in one block, which a snapshot does not
/// tell (once the round is finished, the contract has said who won).
pub fn of(snapshot: &TaskSnapshot) -> Option<Outlook> {
    let round = &snapshot.round;
    let current = round.round == snapshot.state.current_round && !round.settled;
    if !current || !matches!(round.phase, Phase::Reveal | Phase::Finish | Phase::Settle) {
        return None;
    }
    let (outcome, winner) = match round.outcome {
        Outcome::Void => return None,
        Outcome::None => expected_outcome(snapshot)?,
        outcome => {
            let mask = IncludedMask(round.popular_mask);
            (outcome, round.popular_hash.map(|hash| (hash, mask)))
        }
    };
    let entries: Vec<Entry> = snapshot
        .participants
        .iter()
        .enumerate()
        .map(|(seat, participant)| entry(seat, participant, outcome, winner))
        .collect();
    let parameters = &snapshot.parameters;
    let terms = Terms {
        pool: snapshot.state.reward_pool,
        rounds_left: parameters.total_rounds.saturating_sub(round.round.0),
        slashed_per_stake: parameters.slashed_per_stake,
        bonus_ratio: parameters.bonus_ratio,
        rejected: outcome == Outcome::Rejected,
    };
    Some(Outlook {
        outcome,
        winner,
        settlement: money::settle(&terms, &entries),
    })
}

type Winner = Option<(ModelHash, IncludedMask)>;

/// Of a round that is not finished.
fn expected_outcome(snapshot: &TaskSnapshot) -> Option<(Outcome, Winner)> {
    if snapshot.round.contributed == 0 {
        return Some((Outcome::Empty, None));
    }
    let ballots = ballots(snapshot);
    let winner = vote::tally(&ballots);
    if let Some(winner) = &winner {
        let others: Vec<Ballot> = ballots
            .into_iter()
            .filter(|ballot| (ballot.hash, ballot.mask) != (winner.hash, winner.mask))
            .collect();
        let second = vote::tally(&others);
        if second.is_some_and(|second| (second.stake, second.order) == (winner.stake, winner.order)) {
            return None;
        }
    }
    let drawn = snapshot
        .voters()
        .fold(Amount::ZERO, |sum, voter| sum.saturating_add(voter.stake));
    let outcome = vote::outcome(winner.as_ref(), drawn, snapshot.parameters.quorum_bps);
    Some((outcome, winner.map(|group| (group.hash, group.mask))))
}

/// The votes revealed so far. Commitments of one block have the same rank.
fn ballots(snapshot: &TaskSnapshot) -> Vec<Ballot> {
    let mut blocks: Vec<u64> = snapshot.voters().filter_map(|voter| voter.committed_block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    let rank = |block| blocks.iter().zip(1..).find(|(b, _)| **b == block).map(|(_, rank)| rank);
    snapshot
        .voters()
        .filter_map(|voter| {
            let vote = voter.vote?;
            Some(Ballot {
                hash: vote.hash,
                mask: vote.mask,
                score: vote.score,
                stake: voter.stake,
                order: rank(voter.committed_block?)?,
            })
        })
        .collect()
}

fn entry(seat: usize, participant: &ParticipantState, outcome: Outcome, winner: Winner) -> Entry {
    let voter = participant.role != Role::Proposer;
    let verdict = match participant.role {
        Role::Proposer => {
            let included = winner.is_some_and(|(_, mask)| mask.contains(seat));
            vote::proposer_verdict(outcome, participant.contribution.is_some(), included)
        }
        Role::Voter => {
            let vote = participant.vote.map(|v| (v.score, winner == Some((v.hash, v.mask))));
            vote::voter_verdict(outcome, vote)
        }
        Role::None => Verdict::None,
    };
    Entry {
        verdict,
        voter,
        stake: participant.stake,
        // Stake leaves an account by settlements and at the end only, so it still has what it joined this round with.
        left: participant.stake,
    }
}
