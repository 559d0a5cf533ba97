//! Votes: how a voter decides, how the contract counts, and what the result means for each participant.

use alloy_primitives::I256;

use crate::{
    definition::Direction,
    types::{Amount, IncludedMask, ModelHash, Outcome, Score, U256},
};

/// The vote rule: for the aggregate iff it is at most `epsilon` (relative) worse than the start model on the same test
/// split. NaN and infinite aggregates are voted against. `epsilon` is not negative.
pub fn rule(direction: Direction, start: f64, aggregate: f64, epsilon: f64) -> Score {
    let tolerance = epsilon * start.abs();
    let good_enough = match direction {
        Direction::HigherIsBetter => aggregate >= start - tolerance,
        Direction::LowerIsBetter => aggregate <= start + tolerance,
    };
    if aggregate.is_finite() && good_enough {
        Score::For
    } else {
        Score::Against
    }
}

/// One revealed vote as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    pub hash: ModelHash,
    pub mask: IncludedMask,
    pub score: Score,
    pub stake: Amount,
    /// Rank of the commitment among those of the round, 1 = first.
    pub order: u32,
}

/// A group of votes equal in hash and mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    pub hash: ModelHash,
    pub mask: IncludedMask,
    pub stake: Amount,
    /// Stake-weighted sum of the scores.
    pub score: I256,
    /// The earliest commitment in the group.
    pub order: u32,
}

/// The group with the most stake; a tie goes to the group with the earliest commitment. `None`: no votes.
pub fn tally(ballots: &[Ballot]) -> Option<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for ballot in ballots {
        // Stakes are below 2^128, so sums of a hundred fit.
        let stake = I256::from_raw(ballot.stake.0);
        let score = if ballot.score == Score::For { stake } else { -stake };
        match groups
            .iter_mut()
            .find(|g| g.hash == ballot.hash && g.mask == ballot.mask)
        {
            Some(group) => {
                group.stake = group.stake.saturating_add(ballot.stake);
                group.score = group.score.saturating_add(score);
                group.order = group.order.min(ballot.order);
            }
            None => groups.push(Group {
                hash: ballot.hash,
                mask: ballot.mask,
                stake: ballot.stake,
                score,
                order: ballot.order,
            }),
        }
    }
    groups
        .into_iter()
        .max_by(|a, b| a.stake.cmp(&b.stake).then(b.order.cmp(&a.order)))
}

/// The outcome of a round that has contributions. `drawn_voter_stake` is that of all drawn voters, whether or not they
/// voted; `quorum_bps` of 10000.
pub fn outcome(winner: Option<&Group>, drawn_voter_stake: Amount, quorum_bps: u16) -> Outcome {
    let Some(winner) = winner else {
        return Outcome::Inconclusive;
    };
    let share = winner.stake.0.saturating_mul(U256::from(10_000u32));
    if share <= drawn_voter_stake.0.saturating_mul(U256::from(quorum_bps)) {
        Outcome::Inconclusive
    } else if winner.score.is_positive() {
        Outcome::Accepted
    } else if winner.score.is_zero() {
        Outcome::Tie
    } else {
        Outcome::Rejected
    }
}

/// What settlement does to a participant's stake of the round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    None,
    /// Rewarded.
    Good,
    /// Slashed.
    Bad,
}

/// A proposer's column of the outcome table. `included`: the winning group's mask has its bit.
pub fn proposer_verdict(outcome: Outcome, contributed: bool, included: bool) -> Verdict {
    match outcome {
        Outcome::Accepted | Outcome::Tie if included => Verdict::Good,
        Outcome::Accepted | Outcome::Tie | Outcome::Rejected => Verdict::Bad,
        Outcome::Inconclusive | Outcome::Empty if !contributed => Verdict::Bad,
        Outcome::Inconclusive | Outcome::Empty | Outcome::Void | Outcome::None => Verdict::None,
    }
}

/// A voter's column of the outcome table. `vote` is its score and whether it is in the winning group; `None`: not
/// revealed in time.
pub fn voter_verdict(outcome: Outcome, vote: Option<(Score, bool)>) -> Verdict {
    let wanted = match outcome {
        Outcome::Empty | Outcome::Void | Outcome::None => return Verdict::None,
        Outcome::Inconclusive => return if vote.is_some() { Verdict::None } else { Verdict::Bad },
        Outcome::Accepted | Outcome::Tie => Score::For,
        Outcome::Rejected => Score::Against,
    };
    match vote {
        Some((score, true)) if score == wanted => Verdict::Good,
        _ => Verdict::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::B256;

    #[test]
    fn a_loss_within_epsilon_is_voted_for_in_both_directions() {
        let higher = |start, new| rule(Direction::HigherIsBetter, start, new, 0.05);
        let lower = |start, new| rule(Direction::LowerIsBetter, start, new, 0.05);
        assert_eq!(higher(0.8, 0.9), Score::For);
        assert_eq!(higher(0.8, 0.77), Score::For);
        assert_eq!(higher(0.8, 0.75), Score::Against);
        assert_eq!(lower(0.8, 0.7), Score::For);
        assert_eq!(lower(0.8, 0.83), Score::For);
        assert_eq!(lower(0.8, 0.85), Score::Against);
        // A negative metric still tolerates in the direction of worse.
        assert_eq!(higher(-1.0, -1.04), Score::For);
        assert_eq!(higher(-1.0, -1.06), Score::Against);
        assert_eq!(rule(Direction::HigherIsBetter, 0.5, 0.5, 0.0), Score::For);
        assert_eq!(rule(Direction::HigherIsBetter, 0.0, 0.0, 0.05), Score::For);
    }

    #[test]
    fn an_aggregate_that_is_not_a_number_is_voted_against() {
        for direction in [Direction::HigherIsBetter, Direction::LowerIsBetter] {
            for new in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(rule(direction, 0.5, new, 0.05), Score::Against, "{direction:?} {new}");
            }
        }
    }

    fn ballot(hash: u8, mask: u64, score: Score, stake: u128, order: u32) -> Ballot {
        Ballot {
            hash: ModelHash(B256::repeat_byte(hash)),
            mask: IncludedMask(mask),
            score,
            stake: stake.into(),
            order,
        }
    }

    #[test]
    fn equal_hashes_with_different_masks_are_different_groups() {
        let winner = tally(&[
            ballot(1, 1, Score::For, 2, 1),
            ballot(1, 3, Score::For, 3, 2),
            ballot(2, 1, Score::For, 2, 3),
        ]);
        assert_eq!(winner.map(|g| (g.mask, g.stake)), Some((IncludedMask(3), 3.into())));
        assert_eq!(tally(&[]), None);
    }

    #[test]
    fn a_tie_in_stake_goes_to_the_earliest_commitment_whatever_the_seat_order() {
        let a = [
            ballot(1, 1, Score::For, 2, 4),
            ballot(2, 1, Score::For, 4, 2),
            ballot(1, 1, Score::For, 2, 1),
        ];
        assert_eq!(tally(&a).map(|g| g.hash), Some(a[0].hash));
        let mut reversed = a;
        reversed.reverse();
        assert_eq!(tally(&reversed), tally(&a));
    }

    #[test]
    fn quorum_is_of_all_drawn_stake_and_must_be_exceeded() {
        let votes = [ballot(1, 1, Score::For, 5, 1)];
        let of = |drawn: u128| outcome(tally(&votes).as_ref(), drawn.into(), 5000);
        assert_eq!((of(10), of(9)), (Outcome::Inconclusive, Outcome::Accepted));
        assert_eq!(outcome(None, 0.into(), 0), Outcome::Inconclusive);
    }

    #[test]
    fn the_score_of_the_winning_group_decides() {
        let of = |votes: &[Ballot]| outcome(tally(votes).as_ref(), 10.into(), 5000);
        assert_eq!(
            of(&[ballot(1, 1, Score::For, 6, 1), ballot(1, 1, Score::Against, 4, 2)]),
            Outcome::Accepted
        );
        assert_eq!(
            of(&[ballot(1, 1, Score::For, 5, 1), ballot(1, 1, Score::Against, 5, 2)]),
            Outcome::Tie
        );
        assert_eq!(
            of(&[ballot(1, 1, Score::For, 4, 1), ballot(1, 1, Score::Against, 6, 2)]),
            Outcome::Rejected
        );
    }
}
