//! One round of the model: its clock, and what participants did in it.

use alloy_primitives::keccak256;
use protocol::{
    commitment::Vote,
    draw,
    money::{self, Entry, Settlement, Terms},
    snapshot::TaskParameters,
    types::{Address, Amount, B256, Commitment, ModelHash, Outcome, Phase, Role, Round, RoundDigest, Score},
    vote::{self, Ballot, Group, Verdict},
};

use crate::chain::Revert;

#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) account: Address,
    pub(crate) role: Role,
    pub(crate) sample_count: u32,
    pub(crate) stake: u128,
    pub(crate) contribution: Option<ModelHash>,
    pub(crate) commitment: Option<Commitment>,
    pub(crate) acted_block: Option<u64>,
    pub(crate) commit_order: u32,
    pub(crate) vote: Option<Vote>,
    pub(crate) revealed_block: Option<u64>,
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
            acted_block: None,
            commit_order: 0,
            vote: None,
            revealed_block: None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RoundModel {
    pub(crate) number: u32,
    pub(crate) join_deadline: u64,
    pub(crate) seed_block: Option<u64>,
    pub(crate) drawn_at: Option<u64>,
    pub(crate) drawn_block: Option<u64>,
    pub(crate) proposers: usize,
    pub(crate) seats: Vec<Seat>,
    pub(crate) all_contributed_at: Option<u64>,
    pub(crate) all_committed_at: Option<u64>,
    pub(crate) finished_at: Option<u64>,
    pub(crate) finished_block: Option<u64>,
    pub(crate) outcome: Outcome,
    pub(crate) winner: Option<Group>,
    pub(crate) start_model: ModelHash,
    pub(crate) start_round: Option<Round>,
    pub(crate) draw_digest: RoundDigest,
    pub(crate) round_digest: RoundDigest,
}

pub(crate) struct Times {
    pub(crate) phase: Phase,
    pub(crate) propose_deadline: Option<u64>,
    pub(crate) commit_open: Option<u64>,
    pub(crate) commit_deadline: Option<u64>,
    pub(crate) reveal_open: Option<u64>,
    pub(crate) reveal_deadline: Option<u64>,
}

fn digest(parts: &[&[u8]]) -> RoundDigest {
    RoundDigest(keccak256(parts.concat()))
}

impl RoundModel {
    pub(crate) fn new(number: u32, join_deadline: u64, start_model: ModelHash, start_round: Option<Round>) -> Self {
        Self {
            number,
            join_deadline,
            seed_block: None,
            drawn_at: None,
            drawn_block: None,
            proposers: 0,
            seats: Vec::new(),
            all_contributed_at: None,
            all_committed_at: None,
            finished_at: None,
            finished_block: None,
            outcome: Outcome::None,
            winner: None,
            start_model,
            start_round,
            draw_digest: RoundDigest::ZERO,
            round_digest: RoundDigest::ZERO,
        }
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

    /// The phases from Join to Finish, windows half-open.
    pub(crate) fn times(&self, p: &TaskParameters, at: u64) -> Times {
        let mut t = Times {
            phase: Phase::Join,
            propose_deadline: None,
            commit_open: None,
            commit_deadline: None,
            reveal_open: None,
            reveal_deadline: None,
        };
        if self.seed_block.is_none() {
            return t;
        }
        t.phase = Phase::Draw;
        let Some(drawn_at) = self.drawn_at else { return t };
        let propose_deadline = drawn_at + u64::from(p.propose_window);
        t.propose_deadline = Some(propose_deadline);
        t.phase = Phase::Propose;
        let open = match self.all_contributed_at {
            Some(open) => open,
            None if at < propose_deadline => return t,
            None => propose_deadline,
        };
        t.phase = Phase::Finish;
        if self.contributed() == 0 {
            return t;
        }
        let commit_deadline = open + u64::from(p.commit_window);
        (t.commit_open, t.commit_deadline) = (Some(open), Some(commit_deadline));
        t.phase = Phase::Commit;
        let reveal_open = match self.all_committed_at {
            Some(open) => open,
            None if at < commit_deadline => return t,
            None => commit_deadline,
        };
        t.phase = Phase::Finish;
        if self.committed() == 0 {
            return t;
        }
        let reveal_deadline = reveal_open + u64::from(p.reveal_window);
        (t.reveal_open, t.reveal_deadline) = (Some(reveal_open), Some(reveal_deadline));
        if self.revealed() < self.committed() && at < reveal_deadline {
            t.phase = Phase::Reveal;
        }
        t
    }

    pub(crate) fn draw(&mut self, seed: B256, rate: u64, now: u64, block: u64) {
        let n = self.seats.len();
        let drawn: Vec<Seat> = draw::shuffle(seed, n)
            .into_iter()
            .map(|i| self.seats[i].clone())
            .collect();
        self.seats = drawn;
        self.proposers = draw::proposer_count(n, rate);
        for (k, seat) in self.seats.iter_mut().enumerate() {
            seat.role = if k < self.proposers {
                Role::Proposer
            } else {
                Role::Voter
            };
        }
        self.drawn_at = Some(now);
        self.drawn_block = Some(block);
        self.draw_digest = digest(&[
            seed.as_slice(),
            &self.number.to_be_bytes(),
            self.start_model.0.as_slice(),
        ]);
        self.round_digest = self.draw_digest;
    }

    pub(crate) fn contribute(&mut self, from: Address, model: ModelHash, now: u64, block: u64) -> Result<(), Revert> {
        let position = self.seats[..self.proposers]
            .iter()
            .position(|s| s.account == from)
            .ok_or("NotProposer")?;
        let seat = &mut self.seats[position];
        if seat.contribution.is_some() {
            return Err("AlreadyContributed");
        }
        (seat.contribution, seat.acted_block) = (Some(model), Some(block));
        self.round_digest = digest(&[self.round_digest.0.as_slice(), &[position as u8], model.0.as_slice()]);
        if self.contributed() == self.proposers {
            self.all_contributed_at = Some(now);
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self, from: Address, commitment: Commitment, now: u64, block: u64) -> Result<(), Revert> {
        let order = self.committed() as u32 + 1;
        let seat = self.seats[self.proposers..]
            .iter_mut()
            .find(|s| s.account == from)
            .ok_or("NotVoter")?;
        if seat.commitment.is_some() {
            return Err("AlreadyCommitted");
        }
        (seat.commitment, seat.acted_block, seat.commit_order) = (Some(commitment), Some(block), order);
        if self.committed() == self.seats.len() - self.proposers {
            self.all_committed_at = Some(now);
        }
        Ok(())
    }

    pub(crate) fn reveal(&mut self, vote: &Vote, salt: B256, block: u64) -> Result<(), Revert> {
        let contributed = self.contributed_mask();
        let start = self.start_model;
        let seat = self.seats[self.proposers..]
            .iter_mut()
            .find(|s| s.account == vote.voter)
            .ok_or("NotVoter")?;
        if seat.vote.is_some() {
            return Err("AlreadyRevealed");
        }
        if seat.commitment.ok_or("NotCommitted")? != vote.commitment(salt) {
            return Err("CommitmentMismatch");
        }
        let nothing = vote.mask.0 == 0 && (vote.hash != start || vote.score == Score::For);
        if vote.mask.0 & !contributed != 0 || nothing {
            return Err("InvalidMask");
        }
        (seat.vote, seat.revealed_block) = (Some(*vote), Some(block));
        Ok(())
    }

    fn contributed_mask(&self) -> u64 {
        self.seats
            .iter()
            .enumerate()
            .filter(|(_, s)| s.contribution.is_some())
            .map(|(k, _)| 1 << k)
            .sum()
    }

    pub(crate) fn finish(&mut self, p: &TaskParameters, now: u64, block: u64) {
        let ballots: Vec<Ballot> = self
            .seats
            .iter()
            .filter_map(|s| {
                s.vote.map(|v| Ballot {
                    hash: v.hash,
                    mask: v.mask,
                    score: v.score,
                    stake: s.stake.into(),
                    order: s.commit_order,
                })
            })
            .collect();
        let drawn: u128 = self.seats[self.proposers..].iter().map(|s| s.stake).sum();
        self.winner = vote::tally(&ballots);
        self.outcome = match self.contributed() {
            0 => Outcome::Empty,
            _ => vote::outcome(self.winner.as_ref(), Amount::from(drawn), p.quorum_bps),
        };
        (self.finished_at, self.finished_block) = (Some(now), Some(block));
    }

    pub(crate) fn settle(
        &self,
        p: &TaskParameters,
        pool: u128,
        rounds_left: u32,
        left: impl Fn(Address) -> u128,
    ) -> Settlement {
        let entries: Vec<Entry> = self
            .seats
            .iter()
            .enumerate()
            .map(|(k, seat)| Entry {
                verdict: self.verdict(k, seat),
                voter: k >= self.proposers,
                stake: seat.stake.into(),
                left: left(seat.account).into(),
            })
            .collect();
        let terms = Terms {
            pool: pool.into(),
            rounds_left,
            slashed_per_stake: p.slashed_per_stake,
            bonus_ratio: p.bonus_ratio,
            rejected: self.outcome == Outcome::Rejected,
        };
        money::settle(&terms, &entries)
    }

    fn verdict(&self, k: usize, seat: &Seat) -> Verdict {
        if k < self.proposers {
            let included = self.winner.is_some_and(|w| w.mask.contains(k));
            vote::proposer_verdict(self.outcome, seat.contribution.is_some(), included)
        } else {
            let won = |v: Vote| self.winner.is_some_and(|w| w.hash == v.hash && w.mask == v.mask);
            vote::voter_verdict(self.outcome, seat.vote.map(|v| (v.score, won(v))))
        }
    }

    pub(crate) fn next_start(&self) -> (ModelHash, Option<Round>) {
        match (self.outcome, self.winner) {
            (Outcome::Accepted, Some(winner)) => (winner.hash, Some(Round(self.number))),
            _ => (self.start_model, self.start_round),
        }
    }
}
