//! The task's contract: its rules as `contracts/` has them, on a state that is cheap to keep once per block.
//!
//! Draw, tally, verdicts and money are the protocol crate's, which are tested against the contract's own vectors.

use std::{collections::BTreeMap, sync::Arc};

use alloy::{
    primitives::{B256, LogData, U256, keccak256},
    sol_types::SolEvent,
};
use operator::chain::bindings::FlockTask as T;
use protocol::{
    action::Transaction,
    commitment::Vote,
    draw,
    snapshot::TaskParameters,
    types::{Address, Amount, Commitment, ModelHash, Phase, Role, Round, RoundDigest},
};

use crate::round::{RoundModel, Seat};

pub(crate) const CHAIN_ID: u64 = 31337;
const SEED_DELAY: u64 = 4;
/// Blocks whose hash the contract can still read.
const SEED_AGE: u64 = 256;

pub(crate) const TASK: Address = Address::repeat_byte(0x7a);
pub(crate) const MANAGER: Address = Address::repeat_byte(0x7b);
pub(crate) const TOKEN: Address = Address::repeat_byte(0x7c);
pub(crate) const IMPLEMENTATION: Address = Address::repeat_byte(0x7d);

/// The name of the contract's error.
pub(crate) type Revert = &'static str;

#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) nonce: u64,
    /// Wei.
    pub(crate) native: u128,
    pub(crate) tokens: u128,
    pub(crate) allowance: u128,
    /// How often it staked.
    pub(crate) stakes: u32,
    pub(crate) removed: bool,
    pub(crate) claimed: bool,
    pub(crate) left: u128,
    pub(crate) claimable: u128,
    pub(crate) rounds_joined: u32,
}

/// The block a call is carried out in.
pub(crate) struct Env<'a> {
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) hash_of: &'a dyn Fn(u64) -> Option<B256>,
}

#[derive(Debug, Clone)]
pub(crate) struct TaskModel {
    pub(crate) parameters: Arc<TaskParameters>,
    pub(crate) accounts: BTreeMap<Address, Account>,
    /// All that were opened; the last one is the current one.
    pub(crate) rounds: Vec<Arc<RoundModel>>,
    pub(crate) pool: u128,
    pub(crate) created_at: u64,
    pub(crate) created_block: u64,
    pub(crate) last_settled_at: u64,
    pub(crate) ended: bool,
}

pub(crate) fn require(ok: bool, why: Revert) -> Result<(), Revert> {
    if ok { Ok(()) } else { Err(why) }
}

pub(crate) fn narrow(amount: Amount) -> u128 {
    amount.0.to()
}

fn r(round: Round) -> U256 {
    U256::from(round.0)
}

impl TaskModel {
    pub(crate) fn new(
        parameters: TaskParameters,
        accounts: BTreeMap<Address, Account>,
        number: u64,
        timestamp: u64,
    ) -> Self {
        let deadline = timestamp + u64::from(parameters.join_window);
        Self {
            accounts,
            rounds: vec![Arc::new(RoundModel::new(0, deadline, parameters.genesis_model, None))],
            pool: narrow(parameters.initial_reward_pool),
            created_at: timestamp,
            created_block: number,
            last_settled_at: timestamp,
            ended: false,
            parameters: Arc::new(parameters),
        }
    }

    pub(crate) fn current(&self) -> &RoundModel {
        self.rounds.last().expect("a task has a round")
    }

    pub(crate) fn current_mut(&mut self) -> &mut RoundModel {
        Arc::make_mut(self.rounds.last_mut().expect("a task has a round"))
    }

    pub(crate) fn number(&self) -> u32 {
        self.rounds.len() as u32 - 1
    }

    pub(crate) fn account(&mut self, address: Address) -> &mut Account {
        self.accounts.entry(address).or_default()
    }

    pub(crate) fn phase(&self, now: u64) -> Phase {
        if self.ended {
            return Phase::Ended;
        }
        self.current().phase(&self.parameters, now)
    }

    /// Every token there is, the pool included.
    pub(crate) fn total_tokens(&self) -> u128 {
        let of = |a: &Account| a.tokens + a.left + a.claimable;
        self.pool + self.accounts.values().map(of).sum::<u128>()
    }

    /// Carries a call out. A caller that gets an error throws this state away.
    pub(crate) fn apply(
        &mut self,
        from: Address,
        transaction: &Transaction,
        env: &Env<'_>,
    ) -> Result<Vec<LogData>, Revert> {
        let mut logs = Vec::new();
        match *transaction {
            Transaction::Approve { amount, .. } => self.account(from).allowance = narrow(amount),
            Transaction::Stake { amount } => self.stake(from, narrow(amount), &mut logs)?,
            Transaction::JoinRound { round, sample_count } => self.join(from, round, sample_count, &mut logs)?,
            Transaction::SelectRoundParticipants { round } => self.select(round, env, &mut logs)?,
            Transaction::Contribute {
                round,
                draw_digest,
                model,
            } => {
                self.running(round)?;
                require(self.phase(env.timestamp) == Phase::Propose, "WrongPhase")?;
                let seat = self.current().position(from).ok_or("NotProposer")?;
                require(seat < self.current().proposers, "NotProposer")?;
                require(self.current().seats[seat].contribution.is_none(), "AlreadyContributed")?;
                require(draw_digest == self.current().draw_digest, "StaleDigest")?;
                let start = self.current().start_model;
                require(!model.is_zero() && model != start, "InvalidModelHash")?;
                self.current_mut().contribute(seat, model, env);
                let event = T::Contributed {
                    round: r(round),
                    account: from,
                    seat: U256::from(seat),
                    modelHash: model.0,
                };
                logs.push(event.encode_log_data());
            }
            Transaction::CommitVote {
                round,
                round_digest,
                commitment,
            } => {
                self.running(round)?;
                self.commit(from, round, round_digest, commitment, env, &mut logs)?;
            }
            Transaction::RevealVote {
                round,
                hash,
                score,
                mask,
                salt,
            } => {
                self.running(round)?;
                let vote = Vote {
                    chain_id: CHAIN_ID,
                    task: TASK,
                    round,
                    voter: from,
                    hash,
                    score,
                    mask,
                };
                self.reveal(&vote, salt, env, &mut logs)?;
            }
            Transaction::FinishRound { round } => {
                self.running(round)?;
                require(self.phase(env.timestamp) == Phase::Finish, "WrongPhase")?;
                self.finish(env, &mut logs);
            }
            Transaction::Slash { round } => {
                self.running(round)?;
                require(self.phase(env.timestamp) == Phase::Settle, "WrongPhase")?;
                self.settle(from, env, &mut logs);
            }
            Transaction::Terminate => self.terminate(from, env, &mut logs)?,
            Transaction::ClaimRewards => self.claim(from, &mut logs)?,
        }
        Ok(logs)
    }

    fn running(&self, round: Round) -> Result<(), Revert> {
        require(!self.ended, "TaskOver")?;
        require(round.0 == self.number(), "WrongRound")
    }

    fn stake(&mut self, from: Address, amount: u128, logs: &mut Vec<LogData>) -> Result<(), Revert> {
        require(!self.ended, "TaskOver")?;
        let entry = narrow(self.parameters.entry_stake);
        let account = self.account(from);
        require(!account.removed, "AccountIsRemoved")?;
        require(amount > 0 && (account.stakes > 0 || amount >= entry), "StakeTooSmall")?;
        require(
            account.allowance >= amount && account.tokens >= amount,
            "ERC20InsufficientAllowance",
        )?;
        account.allowance -= amount;
        account.tokens -= amount;
        account.left += amount;
        account.stakes += 1;
        let event = T::Staked {
            proposer: from,
            amount: U256::from(amount),
        };
        logs.push(event.encode_log_data());
        Ok(())
    }

    fn join(&mut self, from: Address, round: Round, sample_count: u32, logs: &mut Vec<LogData>) -> Result<(), Revert> {
        self.running(round)?;
        require(self.current().seed_block.is_none(), "WrongPhase")?;
        let threshold = narrow(self.parameters.min_stake_threshold);
        let max = usize::from(self.parameters.max_participants);
        let account = self.accounts.get(&from).cloned().unwrap_or_default();
        require(!account.removed, "AccountIsRemoved")?;
        require(account.left >= threshold, "StakeTooSmall")?;
        require(self.current().position(from).is_none(), "AlreadyJoined")?;
        require(self.current().seats.len() < max, "RosterFull")?;
        self.account(from).rounds_joined += 1;
        self.current_mut()
            .seats
            .push(Seat::new(from, account.left, sample_count));
        let event = T::Joined {
            round: r(round),
            account: from,
            stake: U256::from(account.left),
            sampleCount: sample_count,
        };
        logs.push(event.encode_log_data());
        Ok(())
    }

    fn select(&mut self, round: Round, env: &Env<'_>, logs: &mut Vec<LogData>) -> Result<(), Revert> {
        self.running(round)?;
        let joined = self.current().seats.len();
        let next_seed = env.number + SEED_DELAY;
        let Some(seed_block) = self.current().seed_block else {
            let full = joined == usize::from(self.parameters.max_participants);
            let due = env.timestamp >= self.current().join_deadline
                && joined >= usize::from(self.parameters.min_participants);
            require(full || due, "RosterNotReady")?;
            self.current_mut().seed_block = Some(next_seed);
            let event = T::DrawFixed {
                round: r(round),
                seedBlock: U256::from(next_seed),
                participants: U256::from(joined),
            };
            logs.push(event.encode_log_data());
            return Ok(());
        };
        require(self.current().drawn_at.is_none(), "WrongPhase")?;
        require(env.number > seed_block, "SeedBlockPending")?;
        let known = (env.number - seed_block <= SEED_AGE).then(|| (env.hash_of)(seed_block));
        let Some(hash) = known.flatten() else {
            self.current_mut().seed_block = Some(next_seed);
            let event = T::DrawReset {
                round: r(round),
                seedBlock: U256::from(next_seed),
            };
            logs.push(event.encode_log_data());
            return Ok(());
        };
        let seed = draw::seed(hash, CHAIN_ID, TASK, round);
        let rate = self.parameters.distribution_rate;
        self.current_mut().draw(seed, rate, env);
        let of = |role: Role| {
            let seats = self.current().seats.iter().filter(|s| s.role == role);
            seats.map(|s| s.account).collect()
        };
        let event = T::RolesDrawn {
            round: r(round),
            seed,
            proposers: of(Role::Proposer),
            voters: of(Role::Voter),
        };
        logs.push(event.encode_log_data());
        Ok(())
    }

    fn commit(
        &mut self,
        from: Address,
        round: Round,
        digest: RoundDigest,
        commitment: Commitment,
        env: &Env<'_>,
        logs: &mut Vec<LogData>,
    ) -> Result<(), Revert> {
        let position = self.current().position(from);
        if let Some(seat) = position.map(|p| &self.current().seats[p])
            && seat.role == Role::Voter
        {
            require(seat.commitment.is_none(), "AlreadyCommitted")?;
        }
        require(self.phase(env.timestamp) == Phase::Commit, "WrongPhase")?;
        let seat = position.filter(|&p| p >= self.current().proposers).ok_or("NotVoter")?;
        require(digest == self.current().round_digest, "StaleDigest")?;
        require(!commitment.is_zero(), "InvalidCommitment")?;
        self.current_mut().commit(seat, commitment, env);
        let event = T::VoteCommitted {
            round: r(round),
            account: from,
            commitment: commitment.0,
        };
        logs.push(event.encode_log_data());
        Ok(())
    }

    fn reveal(&mut self, vote: &Vote, salt: B256, env: &Env<'_>, logs: &mut Vec<LogData>) -> Result<(), Revert> {
        let position = self.current().position(vote.voter);
        if let Some(seat) = position {
            require(self.current().seats[seat].vote.is_none(), "AlreadyRevealed")?;
        }
        require(self.phase(env.timestamp) == Phase::Reveal, "WrongPhase")?;
        let seat = position.filter(|&p| p >= self.current().proposers).ok_or("NotVoter")?;
        let current = self.current();
        let commitment = current.seats[seat].commitment.ok_or("NotCommitted")?;
        require(commitment == vote.commitment(salt), "CommitmentMismatch")?;
        let nothing = vote.mask.0 == 0 && (vote.hash != current.start_model || i8::from(vote.score) != -1);
        require(
            vote.mask.0 & !current.contributed_mask() == 0 && !nothing,
            "InvalidMask",
        )?;
        self.current_mut().reveal(seat, vote, env.number);
        let event = T::VoteRevealed {
            round: r(vote.round),
            account: vote.voter,
            aggregateHash: vote.hash.0,
            score: i8::from(vote.score),
            includedMask: U256::from(vote.mask.0),
        };
        logs.push(event.encode_log_data());
        Ok(())
    }
}

/// The next value of a rolling digest.
pub(crate) fn digest(parts: &[&[u8]]) -> RoundDigest {
    RoundDigest(keccak256(parts.concat()))
}

/// The model a training run of `participant` gives: another draw or start, another model.
pub(crate) fn trained(participant: Address, draw: RoundDigest, run: u64) -> ModelHash {
    ModelHash(keccak256(
        [
            b"model".as_slice(),
            participant.as_slice(),
            draw.0.as_slice(),
            &run.to_be_bytes(),
        ]
        .concat(),
    ))
}

/// The aggregate of a round's contributions: the same for every voter.
pub(crate) fn aggregated(round: RoundDigest, run: u64) -> ModelHash {
    ModelHash(keccak256(
        [b"aggregate".as_slice(), round.0.as_slice(), &run.to_be_bytes()].concat(),
    ))
}
