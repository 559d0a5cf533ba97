//! One round of the contract: its clock, and what participants did in it.

use protocol::{
    commitment::Vote,
    draw,
    money::{Entry, Settlement},
    snapshot::{RevealedVote, TaskParameters},
    types::{Address, Amount, B256, Commitment, ModelHash, Outcome, Phase, Role, Round, RoundDigest},
    vote::{self, Ballot, Group, Verdict},
};

use crate::contract::{Env, digest};

#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) account: Address,
    pub(crate) role: Role,
    pub(crate) sample_count: u32,
    pub(crate) stake: u128,
    pub(crate) contribution: Option<ModelHash>,
    pub(crate) commitment: Option<Commitment>,
    /// Of the contribution or the commitment.
    pub(crate) acted_block: u64,
    order: u32,
    pub(crate) vote: Option<RevealedVote>,
    pub(crate) revealed_block: u64,
    pub(crate) slashed: Amount,
    pub(crate) rewarded: Amount,
}

impl Seat {
    pub(crate) fn new(account: Address, stake: u128, sample_count: u32) -> Self {
        Self {
            account,
            role: Role::None,
            sample_count,
            stake,
            contribution: None,
            commitment: None,
            acted_block: 0,
            order: 0,
            vote: None,
            revealed_block: 0,
            slashed: Amount::ZERO,
            rewarded: Amount::ZERO,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RoundModel {
    pub(crate) number: u32,
    pub(crate) join_deadline: u64,
    pub(crate) seed_block: Option<u64>,
    pub(crate) drawn_at: Option<u64>,
    pub(crate) drawn_block: u64,
    pub(crate) proposers: usize,
    pub(crate) seats: Vec<Seat>,
    all_contributed_at: Option<u64>,
    all_committed_at: Option<u64>,
    pub(crate) finished_at: u64,
    pub(crate) finished_block: u64,
    pub(crate) outcome: Outcome,
    pub(crate) winner: Option<Group>,
    pub(crate) drawn_voter_stake: u128,
    pub(crate) settled_at: u64,
    pub(crate) settled_block: u64,
    pub(crate) money: Option<Settlement>,
    pub(crate) slash_caller: Address,
    pub(crate) start_model: ModelHash,
    pub(crate) start_round: Option<Round>,
    pub(crate) draw_digest: RoundDigest,
    pub(crate) round_digest: RoundDigest,
}

/// 0 while not known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) phase: Phase,
    pub(crate) propose_deadline: u64,
    pub(crate) commit_open: u64,
    pub(crate) commit_deadline: u64,
    pub(crate) reveal_open: u64,
    pub(crate) reveal_deadline: u64,
}

impl RoundModel {
    pub(crate) fn new(number: u32, join_deadline: u64, start_model: ModelHash, start_round: Option<Round>) -> Self {
        Self {
            number,
            join_deadline,
            seed_block: None,
            drawn_at: None,
            drawn_block: 0,
            proposers: 0,
            seats: Vec::new(),
            all_contributed_at: None,
            all_committed_at: None,
            finished_at: 0,
            finished_block: 0,
            outcome: Outcome::None,
            winner: None,
            drawn_voter_stake: 0,
            settled_at: 0,
            settled_block: 0,
            money: None,
            slash_caller: Address::ZERO,
            start_model,
            start_round,
            draw_digest: RoundDigest::ZERO,
            round_digest: RoundDigest::ZERO,
        }
    }

    pub(crate) fn position(&self, account: Address) -> Option<usize> {
        self.seats.iter().position(|s| s.account == account)
    }

    pub(crate) fn seat(&self, account: Address) -> Option<&Seat> {
        self.seats.iter().find(|s| s.account == account)
    }

    pub(crate) fn contributed(&self) -> usize {
        self.seats.iter().filter(|s| s.contribution.is_some()).count()
    }

    pub(crate) fn committed(&self) -> usize {
        self.seats.iter().filter(|s| s.commitment.is_some()).count()
    }

    pub(crate) fn revealed(&self) -> usize {
        self.seats.iter().filter(|s| s.vote.is_some()).count()
    }

    pub(crate) fn contributed_mask(&self) -> u64 {
        let bits = self.seats.iter().enumerate().filter(|(_, s)| s.contribution.is_some());
        bits.map(|(k, _)| 1u64 << k).sum()
    }

    pub(crate) fn phase(&self, p: &TaskParameters, now: u64) -> Phase {
        if self.outcome == Outcome::None {
            self.times(p, now).phase
        } else {
            Phase::Settle
        }
    }

    /// The phases from Join to Finish; windows are half-open. A finished round's clock stands still.
    pub(crate) fn times(&self, p: &TaskParameters, now: u64) -> Times {
        let at = if self.finished_at == 0 { now } else { self.finished_at };
        let mut t = Times {
            phase: Phase::Join,
            propose_deadline: 0,
            commit_open: 0,
            commit_deadline: 0,
            reveal_open: 0,
            reveal_deadline: 0,
        };
        if self.seed_block.is_none() {
            return t;
        }
        t.phase = Phase::Draw;
        let Some(drawn_at) = self.drawn_at else { return t };
        t.propose_deadline = drawn_at + u64::from(p.propose_window);
        t.phase = Phase::Propose;
        t.commit_open = match self.all_contributed_at {
            Some(open) => open,
            None if at < t.propose_deadline => return t,
            None if self.contributed() == 0 => {
                t.phase = Phase::Finish;
                return t;
            }
            None => t.propose_deadline,
        };
        t.commit_deadline = t.commit_open + u64::from(p.commit_window);
        t.phase = Phase::Commit;
        t.reveal_open = match self.all_committed_at {
            Some(open) => open,
            None if at < t.commit_deadline => return t,
            None if self.committed() == 0 => {
                t.phase = Phase::Finish;
                return t;
            }
            None => t.commit_deadline,
        };
        t.reveal_deadline = t.reveal_open + u64::from(p.reveal_window);
        let open = self.revealed() < self.committed() && at < t.reveal_deadline;
        t.phase = if open { Phase::Reveal } else { Phase::Finish };
        t
    }

    pub(crate) fn draw(&mut self, seed: B256, rate: u64, env: &Env<'_>) {
        let n = self.seats.len();
        let order = draw::shuffle(seed, n);
        self.seats = order.into_iter().map(|i| self.seats[i].clone()).collect();
        self.proposers = draw::proposer_count(n, rate);
        for (k, seat) in self.seats.iter_mut().enumerate() {
            let proposes = k < self.proposers;
            seat.role = if proposes { Role::Proposer } else { Role::Voter };
        }
        self.drawn_at = Some(env.timestamp);
        self.drawn_block = env.number;
        let number = self.number.to_be_bytes();
        self.draw_digest = digest(&[seed.as_slice(), &number, self.start_model.0.as_slice()]);
        self.round_digest = self.draw_digest;
    }

    pub(crate) fn contribute(&mut self, seat: usize, model: ModelHash, env: &Env<'_>) {
        self.seats[seat].contribution = Some(model);
        self.seats[seat].acted_block = env.number;
        self.round_digest = digest(&[self.round_digest.0.as_slice(), &[seat as u8], model.0.as_slice()]);
        if self.contributed() == self.proposers {
            self.all_contributed_at = Some(env.timestamp);
        }
    }

    pub(crate) fn commit(&mut self, seat: usize, commitment: Commitment, env: &Env<'_>) {
        let order = self.committed() as u32 + 1;
        let seat = &mut self.seats[seat];
        (seat.commitment, seat.acted_block, seat.order) = (Some(commitment), env.number, order);
        if self.committed() == self.seats.len() - self.proposers {
            self.all_committed_at = Some(env.timestamp);
        }
    }

    pub(crate) fn reveal(&mut self, seat: usize, vote: &Vote, block: u64) {
        self.seats[seat].vote = Some(RevealedVote {
            hash: vote.hash,
            score: vote.score,
            mask: vote.mask,
        });
        self.seats[seat].revealed_block = block;
    }

    pub(crate) fn finish(&mut self, quorum: u16, env: &Env<'_>) {
        let ballots: Vec<Ballot> = self
            .seats
            .iter()
            .filter_map(|s| {
                s.vote.map(|v| Ballot {
                    hash: v.hash,
                    mask: v.mask,
                    score: v.score,
                    stake: s.stake.into(),
                    order: s.order,
                })
            })
            .collect();
        self.drawn_voter_stake = self.seats[self.proposers..].iter().map(|s| s.stake).sum();
        self.winner = vote::tally(&ballots);
        self.outcome = match self.contributed() {
            0 => Outcome::Empty,
            _ => vote::outcome(self.winner.as_ref(), Amount::from(self.drawn_voter_stake), quorum),
        };
        (self.finished_at, self.finished_block) = (env.timestamp, env.number);
    }

    pub(crate) fn void(&mut self, env: &Env<'_>) {
        self.outcome = Outcome::Void;
        (self.finished_at, self.finished_block) = (env.timestamp, env.number);
    }

    pub(crate) fn entries(&self, left: impl Fn(Address) -> u128) -> Vec<Entry> {
        let entry = |(k, seat): (usize, &Seat)| Entry {
            verdict: self.verdict(k, seat),
            voter: k >= self.proposers,
            stake: seat.stake.into(),
            left: left(seat.account).into(),
        };
        self.seats.iter().enumerate().map(entry).collect()
    }

    fn verdict(&self, k: usize, seat: &Seat) -> Verdict {
        if k < self.proposers {
            let included = self.winner.is_some_and(|w| w.mask.contains(k));
            vote::proposer_verdict(self.outcome, seat.contribution.is_some(), included)
        } else {
            let won = |v: RevealedVote| self.winner.is_some_and(|w| w.hash == v.hash && w.mask == v.mask);
            vote::voter_verdict(self.outcome, seat.vote.map(|v| (v.score, won(v))))
        }
    }

    pub(crate) fn settle(&mut self, money: &Settlement, caller: Address, env: &Env<'_>) {
        for (k, seat) in self.seats.iter_mut().enumerate() {
            (seat.slashed, seat.rewarded) = (money.slashed[k], money.rewarded[k]);
        }
        self.money = Some(money.clone());
        self.slash_caller = caller;
        (self.settled_at, self.settled_block) = (env.timestamp, env.number);
    }

    pub(crate) fn next_start(&self) -> (ModelHash, Option<Round>) {
        match (self.outcome, self.winner) {
            (Outcome::Accepted, Some(winner)) => (winner.hash, Some(Round(self.number))),
            _ => (self.start_model, self.start_round),
        }
    }
}
