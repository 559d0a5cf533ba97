//! A small model of the contract and its chain: one task, blocks, reorgs. It shares draw, vote and money rules with the
//! crate (which are tested against the contract's vectors) and has the clock of its own.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use protocol::{
    action::Transaction,
    commitment::Vote,
    draw,
    snapshot::TaskParameters,
    types::{Address, Amount, B256, Commitment, ModelHash, Outcome, Phase, Round, RoundDigest},
};

use crate::round::{RoundModel, Seat};

pub(crate) const CHAIN_ID: u64 = 31337;
pub(crate) const SEED_DELAY: u64 = 4;

pub(crate) fn task() -> Address {
    Address::repeat_byte(0x7A)
}

pub(crate) fn manager() -> Address {
    Address::repeat_byte(0x7B)
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) staked: bool,
    pub(crate) removed: bool,
    pub(crate) claimed: bool,
    pub(crate) left: u128,
    pub(crate) claimable: u128,
    pub(crate) balance: u128,
    pub(crate) allowance: u128,
    pub(crate) rounds_joined: u32,
    pub(crate) nonce: u64,
}

/// Of two transactions with one nonce only one is ever mined, on whichever branch.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) from: Address,
    pub(crate) nonce: u64,
    pub(crate) transaction: Transaction,
}

/// What a settled round leaves behind for the tests to look at.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    pub(crate) slashed: Vec<Address>,
}

/// The state after one block.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) parameters: TaskParameters,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    /// Differs between branches, so that a reorg draws again.
    pub(crate) fork: u64,
    pub(crate) accounts: BTreeMap<Address, Account>,
    pub(crate) round: RoundModel,
    pub(crate) current_round: u32,
    pub(crate) pool: u128,
    pub(crate) last_settled_at: u64,
    pub(crate) ended: bool,
    pub(crate) settled: Vec<Settled>,
}

pub(crate) type Revert = &'static str;

fn require(ok: bool, why: Revert) -> Result<(), Revert> {
    if ok { Ok(()) } else { Err(why) }
}

pub(crate) fn u128_of(amount: Amount) -> u128 {
    amount.0.to()
}

impl Chain {
    pub(crate) fn new(parameters: TaskParameters, holders: &[Address], balance: u128) -> Self {
        let timestamp = 1_700_000_000;
        let start = parameters.genesis_model;
        let pool = u128_of(parameters.initial_reward_pool);
        let round = RoundModel::new(0, timestamp + u64::from(parameters.join_window), start, None);
        let account = Account {
            balance,
            ..Account::default()
        };
        Self {
            number: 100,
            timestamp,
            fork: 0,
            accounts: holders.iter().map(|&a| (a, account.clone())).collect(),
            round,
            current_round: 0,
            pool,
            last_settled_at: timestamp,
            ended: false,
            settled: Vec::new(),
            parameters,
        }
    }

    /// What `from` would send now: the nonce is the chain's, never remembered.
    pub(crate) fn sign(&self, from: Address, transaction: Transaction) -> Signed {
        let nonce = self.accounts.get(&from).map_or(0, |a| a.nonce);
        Signed {
            from,
            nonce,
            transaction,
        }
    }

    /// A new block, `seconds` later, with these transactions; returns which of them reverted.
    pub(crate) fn mine(&mut self, seconds: u64, transactions: &[Signed]) -> Vec<(Signed, Revert)> {
        self.number += 1;
        self.timestamp += seconds;
        let mut reverted = Vec::new();
        for signed in transactions {
            if self.account(signed.from).nonce != signed.nonce {
                continue;
            }
            let before = self.clone();
            if let Err(why) = self.apply(signed.from, &signed.transaction) {
                *self = before;
                reverted.push((signed.clone(), why));
            }
            self.account(signed.from).nonce += 1;
        }
        reverted
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.ended {
            Phase::Ended
        } else if self.round.outcome != Outcome::None {
            Phase::Settle
        } else {
            self.round.times(&self.parameters, self.timestamp).phase
        }
    }

    pub(crate) fn block_hash(&self, number: u64) -> B256 {
        keccak256([self.fork.to_be_bytes(), number.to_be_bytes()].concat())
    }

    /// Every token there is: nothing but `balance`s, stakes, credits and the pool.
    pub(crate) fn total_tokens(&self) -> u128 {
        self.pool
            + self
                .accounts
                .values()
                .map(|a| a.balance + a.left + a.claimable)
                .sum::<u128>()
    }

    fn apply(&mut self, from: Address, transaction: &Transaction) -> Result<(), Revert> {
        match *transaction {
            Transaction::Approve { amount, .. } => {
                self.account(from).allowance = u128_of(amount);
                Ok(())
            }
            Transaction::Stake { amount } => self.stake(from, u128_of(amount)),
            Transaction::JoinRound { round, sample_count } => self.join(from, round, sample_count),
            Transaction::SelectRoundParticipants { round } => self.select(round),
            Transaction::Contribute {
                round,
                draw_digest,
                model,
            } => self.contribute(from, round, draw_digest, model),
            Transaction::CommitVote {
                round,
                round_digest,
                commitment,
            } => self.commit(from, round, round_digest, commitment),
            Transaction::RevealVote {
                round,
                hash,
                score,
                mask,
                salt,
            } => {
                let vote = Vote {
                    chain_id: CHAIN_ID,
                    task: task(),
                    round,
                    voter: from,
                    hash,
                    score,
                    mask,
                };
                self.reveal(&vote, salt)
            }
            Transaction::FinishRound { round } => {
                self.current(round)?;
                require(self.phase() == Phase::Finish, "WrongPhase")?;
                self.round.finish(&self.parameters, self.timestamp, self.number);
                Ok(())
            }
            Transaction::Slash { round } => {
                self.current(round)?;
                require(self.phase() == Phase::Settle, "WrongPhase")?;
                self.settle(from);
                Ok(())
            }
            Transaction::Terminate => self.terminate(from),
            Transaction::ClaimRewards => self.claim(from),
        }
    }

    fn account(&mut self, address: Address) -> &mut Account {
        self.accounts.entry(address).or_default()
    }

    fn current(&self, round: Round) -> Result<(), Revert> {
        require(!self.ended, "TaskOver")?;
        require(round.0 == self.current_round, "WrongRound")
    }

    fn stake(&mut self, from: Address, amount: u128) -> Result<(), Revert> {
        require(!self.ended, "TaskOver")?;
        let entry = u128_of(self.parameters.entry_stake);
        let account = self.account(from);
        require(!account.removed && (account.staked || amount >= entry), "StakeTooSmall")?;
        require(account.allowance >= amount && account.balance >= amount, "ERC20")?;
        account.allowance -= amount;
        account.balance -= amount;
        account.left += amount;
        account.staked = true;
        Ok(())
    }

    fn join(&mut self, from: Address, round: Round, sample_count: u32) -> Result<(), Revert> {
        self.current(round)?;
        require(self.phase() == Phase::Join, "WrongPhase")?;
        let threshold = u128_of(self.parameters.min_stake_threshold);
        let max = usize::from(self.parameters.max_participants);
        require(self.round.seat(from).is_none(), "AlreadyJoined")?;
        require(self.round.seats.len() < max, "RosterFull")?;
        let account = self.account(from);
        require(!account.removed && account.left >= threshold, "StakeTooSmall")?;
        account.rounds_joined += 1;
        let stake = account.left;
        self.round.seats.push(Seat::new(from, stake, sample_count));
        Ok(())
    }

    fn select(&mut self, round: Round) -> Result<(), Revert> {
        self.current(round)?;
        let joined = self.round.seats.len();
        let Some(seed_block) = self.round.seed_block else {
            let full = joined == usize::from(self.parameters.max_participants);
            let due =
                self.timestamp >= self.round.join_deadline && joined >= usize::from(self.parameters.min_participants);
            require(full || due, "RosterNotReady")?;
            self.round.seed_block = Some(self.number + SEED_DELAY);
            return Ok(());
        };
        require(self.phase() == Phase::Draw, "WrongPhase")?;
        require(self.number > seed_block, "SeedBlockPending")?;
        if self.number - seed_block > 20 {
            // Aged out (sooner than on a real chain, so that histories reach it).
            self.round.seed_block = Some(self.number + SEED_DELAY);
            return Ok(());
        }
        let seed = draw::seed(self.block_hash(seed_block), CHAIN_ID, task(), round);
        self.round
            .draw(seed, self.parameters.distribution_rate, self.timestamp, self.number);
        Ok(())
    }

    fn contribute(&mut self, from: Address, round: Round, digest: RoundDigest, model: ModelHash) -> Result<(), Revert> {
        self.current(round)?;
        require(self.phase() == Phase::Propose, "WrongPhase")?;
        require(digest == self.round.draw_digest, "StaleDigest")?;
        require(!model.is_zero() && model != self.round.start_model, "InvalidModelHash")?;
        self.round.contribute(from, model, self.timestamp, self.number)
    }

    fn commit(&mut self, from: Address, round: Round, digest: RoundDigest, value: Commitment) -> Result<(), Revert> {
        self.current(round)?;
        require(self.phase() == Phase::Commit, "WrongPhase")?;
        require(digest == self.round.round_digest, "StaleDigest")?;
        self.round.commit(from, value, self.timestamp, self.number)
    }

    fn reveal(&mut self, vote: &Vote, salt: B256) -> Result<(), Revert> {
        self.current(vote.round)?;
        require(self.phase() == Phase::Reveal, "WrongPhase")?;
        self.round.reveal(vote, salt, self.number)
    }

    fn settle(&mut self, caller: Address) {
        let rounds_left = self.parameters.total_rounds - self.current_round;
        let accounts = &self.accounts;
        let settlement = self
            .round
            .settle(&self.parameters, self.pool, rounds_left, |a| accounts[&a].left);
        self.pool = u128_of(settlement.pool);
        self.account(caller).claimable += u128_of(settlement.bonus);
        let threshold = u128_of(self.parameters.min_stake_threshold);
        let mut slashed = Vec::new();
        let seats: Vec<Address> = self.round.seats.iter().map(|s| s.account).collect();
        for (k, address) in seats.into_iter().enumerate() {
            let account = self.account(address);
            account.claimable += u128_of(settlement.rewarded[k]);
            if !settlement.slashed[k].is_zero() {
                account.left -= u128_of(settlement.slashed[k]);
                account.removed |= account.left < threshold;
                slashed.push(address);
            }
        }
        self.settled.push(Settled {
            outcome: self.round.outcome,
            slashed,
        });
        let next = self.current_round + 1;
        let (start, start_round) = self.round.next_start();
        self.current_round = next;
        self.last_settled_at = self.timestamp;
        self.ended = next == self.parameters.total_rounds;
        let deadline = self.timestamp + u64::from(self.parameters.join_window);
        self.round = RoundModel::new(next, deadline, start, start_round);
    }

    fn terminate(&mut self, from: Address) -> Result<(), Revert> {
        require(!self.ended, "TaskOver")?;
        let until = self.last_settled_at + u64::from(self.parameters.stall_timeout);
        require(self.timestamp >= until, "NotStalled")?;
        if self.phase() == Phase::Finish {
            self.round.finish(&self.parameters, self.timestamp, self.number);
        }
        if self.phase() == Phase::Settle {
            self.settle(from);
        }
        self.ended = true;
        Ok(())
    }

    fn claim(&mut self, from: Address) -> Result<(), Revert> {
        require(self.ended, "TaskNotOver")?;
        let account = self.account(from);
        let amount = account.left + account.claimable;
        require(amount > 0, "NothingToClaim")?;
        account.balance += amount;
        (account.left, account.claimable, account.claimed) = (0, 0, true);
        Ok(())
    }
}
