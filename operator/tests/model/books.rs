//! What everybody ought to have, by the rules of `protocol` and by nothing that the contract says.

use std::collections::BTreeMap;

use alloy::primitives::{Address, I256, U256};
use protocol::{
    money::{self, Entry, Settlement, Terms},
    snapshot::TaskParameters,
    types::{Amount, IncludedMask, ModelHash, Outcome, Score},
    vote::{self, Ballot, Group, Verdict},
};

/// One account of the task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) left: U256,
    pub(crate) claimable: U256,
    pub(crate) removed: bool,
    pub(crate) staked: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    members: BTreeMap<Address, Member>,
    pub(crate) pool: U256,
}

/// A vote as it was revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revealed {
    pub(crate) hash: ModelHash,
    pub(crate) score: Score,
    pub(crate) mask: IncludedMask,
}

/// One drawn participant and what it did, in the order of the draw.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) account: Address,
    pub(crate) stake: U256,
    pub(crate) contribution: Option<ModelHash>,
    /// Rank of its commitment, 1 = first.
    pub(crate) committed: Option<u32>,
    pub(crate) revealed: Option<Revealed>,
}

/// How a round ends.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) winner: Option<Group>,
    pub(crate) drawn_voter_stake: U256,
    /// By seat.
    pub(crate) settlement: Settlement,
    pub(crate) removed: Vec<Address>,
}

impl Ending {
    pub(crate) fn vote_score(&self) -> I256 {
        self.winner.map_or(I256::ZERO, |group| group.score)
    }
}

impl Books {
    pub(crate) fn member(&self, account: Address) -> Member {
        self.members.get(&account).copied().unwrap_or_default()
    }

    pub(crate) fn stake(&mut self, account: Address, amount: U256) {
        let member = self.members.entry(account).or_default();
        member.left += amount;
        member.staked = true;
    }

    pub(crate) fn total(&self, of: impl Fn(&Member) -> U256) -> U256 {
        self.members.values().map(of).sum()
    }

    /// Everything at the end: stake and credits.
    pub(crate) fn claim(&mut self, account: Address) -> U256 {
        let member = self.members.entry(account).or_default();
        std::mem::take(&mut member.left) + std::mem::take(&mut member.claimable)
    }

    /// The end of a drawn round with what its seats have done; `proposers` of them are proposers.
    pub(crate) fn ending(&self, p: &TaskParameters, round: u32, seats: &[Seat], proposers: usize) -> Ending {
        let voters = &seats[proposers..];
        let drawn_voter_stake = voters.iter().map(|seat| seat.stake).sum();
        let winner = vote::tally(&ballots(voters));
        let outcome = if seats.iter().all(|seat| seat.contribution.is_none()) {
            Outcome::Empty
        } else {
            vote::outcome(winner.as_ref(), Amount(drawn_voter_stake), p.quorum_bps)
        };
        let entries: Vec<Entry> = seats
            .iter()
            .enumerate()
            .map(|(k, seat)| Entry {
                verdict: verdict(outcome, winner.as_ref(), k, proposers, seat),
                voter: k >= proposers,
                stake: Amount(seat.stake),
                left: Amount(self.member(seat.account).left),
            })
            .collect();
        let terms = Terms {
            pool: Amount(self.pool),
            rounds_left: p.total_rounds - round,
            slashed_per_stake: p.slashed_per_stake,
            bonus_ratio: p.bonus_ratio,
            rejected: outcome == Outcome::Rejected,
        };
        let settlement = money::settle(&terms, &entries);
        let removed = seats.iter().zip(&settlement.slashed).filter(|(seat, slash)| {
            !slash.is_zero() && self.member(seat.account).left - slash.0 < p.min_stake_threshold.0
        });
        Ending {
            outcome,
            winner,
            drawn_voter_stake,
            removed: removed.map(|(seat, _)| seat.account).collect(),
            settlement,
        }
    }

    /// Moves the money of an ending.
    pub(crate) fn settle(&mut self, ending: &Ending, seats: &[Seat], caller: Address) {
        let money = &ending.settlement;
        for ((seat, slash), reward) in seats.iter().zip(&money.slashed).zip(&money.rewarded) {
            let member = self.members.entry(seat.account).or_default();
            member.left -= slash.0;
            member.claimable += reward.0;
            member.removed |= ending.removed.contains(&seat.account);
        }
        self.members.entry(caller).or_default().claimable += money.bonus.0;
        self.pool = money.pool.0;
    }
}

fn ballots(voters: &[Seat]) -> Vec<Ballot> {
    voters
        .iter()
        .filter_map(|seat| {
            let vote = seat.revealed?;
            Some(Ballot {
                hash: vote.hash,
                mask: vote.mask,
                score: vote.score,
                stake: Amount(seat.stake),
                order: seat.committed?,
            })
        })
        .collect()
}

fn verdict(outcome: Outcome, winner: Option<&Group>, k: usize, proposers: usize, seat: &Seat) -> Verdict {
    if k < proposers {
        let included = winner.is_some_and(|group| group.mask.contains(k));
        vote::proposer_verdict(outcome, seat.contribution.is_some(), included)
    } else {
        let wins = |vote: Revealed| winner.is_some_and(|group| (group.hash, group.mask) == (vote.hash, vote.mask));
        vote::voter_verdict(outcome, seat.revealed.map(|vote| (vote.score, wins(vote))))
    }
}

/// Whether two groups share the most stake, so that only the order of commitments decides.
pub(crate) fn tied(seats: &[Seat], winner: &Group) -> bool {
    let others: Vec<Ballot> = ballots(seats)
        .into_iter()
        .filter(|ballot| (ballot.hash, ballot.mask) != (winner.hash, winner.mask))
        .collect();
    vote::tally(&others).is_some_and(|second| second.stake == winner.stake)
}
