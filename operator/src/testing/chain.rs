//! A chain with one task, in memory: the contract's rules as far as a client's own calls go. Tests set the draw, the
//! other participants and the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use protocol::{
    action::Transaction,
    snapshot::{AccountState, BlockRef, ParticipantState, RevealedVote, TaskParameters, TaskSnapshot},
    types::{Address, Amount, B256, Phase, Role, Round, Timestamp},
};

use super::faults::{Dead, Faults};
use crate::{
    chain::{ChainError, ChainIdentity, ChainReader, Mined, Registration, SigningKey, TaskEvent, TaskLog, TaskSender},
    controller::{ChainAccess, ChainProblem, Chains, TrustedManager},
};

#[derive(Debug)]
pub(crate) struct State {
    /// All accounts; a snapshot shows those asked for.
    pub(crate) now: TaskSnapshot,
    /// Settled rounds.
    pub(crate) past: Vec<TaskSnapshot>,
    /// Blocks at or below this are confirmed.
    pub(crate) confirmed: u64,
    /// Wei per unit of gas.
    pub(crate) price: u128,
    /// The contract refuses everything with this reason.
    pub(crate) refuse: Option<&'static str>,
    /// Above it nothing is sent.
    pub(crate) fee_cap: u128,
    /// What is sent waits for ever.
    pub(crate) stuck: bool,
    /// Of later blocks the node has no logs yet.
    pub(crate) log_head: u64,
    /// The FLChain names the task's manager.
    pub(crate) trusted: bool,
    /// What was mined with success, in order.
    pub(crate) sent: Vec<(Address, Transaction)>,
}

/// One chain, one task. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FakeChain {
    faults: Faults,
    state: Arc<Mutex<State>>,
}

impl FakeChain {
    pub(crate) fn new(faults: Faults, now: TaskSnapshot) -> Self {
        let confirmed = now.block.number;
        let state = State {
            now,
            past: Vec::new(),
            confirmed,
            price: 1_000_000_000,
            fee_cap: u128::MAX,
            refuse: None,
            stuck: false,
            log_head: u64::MAX,
            trusted: true,
            sent: Vec::new(),
        };
        Self {
            faults,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What others do on this chain.
    pub(crate) fn edit<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names of what this account sent with success.
    pub(crate) fn sent(&self) -> Vec<&'static str> {
        self.edit(|state| state.sent.iter().map(|(_, transaction)| transaction.name()).collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, name: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, ChainError> {
        self.faults
            .call(name, || work(&mut self.lock()))
            .map_err(|Dead| ChainError::Unreachable("the process died".to_owned()))
    }
}

#[async_trait]
impl ChainReader for FakeChain {
    async fn identity(&self) -> Result<ChainIdentity, ChainError> {
        Ok(ChainIdentity {
            chain_id: self.lock().now.chain_id,
            genesis_hash: B256::repeat_byte(0xee),
        })
    }

    async fn head(&self) -> Result<BlockRef, ChainError> {
        self.call("head", |state| state.now.block)
    }

    async fn confirmed_block(&self, head: &BlockRef) -> Result<u64, ChainError> {
        Ok(self.lock().confirmed.min(head.number))
    }

    async fn code_hash(&self, _account: Address) -> Result<Option<B256>, ChainError> {
        Ok(Some(B256::repeat_byte(0xcc)))
    }

    async fn registration(&self, _manager: Address, _task: Address) -> Result<Registration, ChainError> {
        Ok(Registration {
            registered: true,
            manager_code_hash: None,
            token: Default::default(),
            implementation: Address::ZERO,
            implementation_code_hash: None,
        })
    }

    async fn is_creator_allowed(&self, _manager: Address, _creator: Address) -> Result<bool, ChainError> {
        Ok(true)
    }

    async fn task_of(&self, _manager: Address, _creator: Address, _salt: B256) -> Result<Option<Address>, ChainError> {
        Ok(Some(self.lock().now.task))
    }

    async fn parameters(&self, _task: Address) -> Result<TaskParameters, ChainError> {
        Ok(self.lock().now.parameters.clone())
    }

    async fn snapshot(
        &self,
        _task: Address,
        block: &BlockRef,
        round: Option<Round>,
        accounts: &[Address],
    ) -> Result<TaskSnapshot, ChainError> {
        self.call("snapshot", |state| {
            let current = state.now.round.round;
            let of_round = |round: Round| state.past.iter().find(|past| past.round.round == round);
            let mut snapshot = match round.filter(|&round| round != current) {
                Some(round) => of_round(round)
                    .cloned()
                    .ok_or_else(|| ChainError::BadAnswer("no such round".to_owned()))?,
                None => state.now.clone(),
            };
            snapshot.block = *block;
            snapshot.accounts = accounts.iter().filter_map(|&a| state.now.account(a).cloned()).collect();
            Ok(snapshot)
        })?
    }

    /// Settlements alone.
    async fn task_logs(&self, _task: Address, from: u64, to: u64) -> Result<Vec<TaskLog>, ChainError> {
        Ok(self.edit(|state| {
            let settled = state.past.iter().filter_map(|past| {
                let block = past.round.settled_block?;
                let round = past.round.round;
                (from..=to.min(state.log_head)).contains(&block).then(|| TaskLog {
                    transaction: B256::repeat_byte(0x5e),
                    block,
                    log_index: 0,
                    event: TaskEvent::RoundSettled {
                        round,
                        caller: Address::ZERO,
                    },
                })
            });
            settled.collect()
        }))
    }
}

/// The sender of one key.
struct FakeSender {
    chain: FakeChain,
    address: Address,
}

#[async_trait]
impl TaskSender for FakeSender {
    fn address(&self) -> Address {
        self.address
    }

    async fn price(&self) -> Result<u128, ChainError> {
        self.chain.call("price", |state| state.price)
    }

    async fn send(
        &self,
        _task: Address,
        transaction: &Transaction,
        _deadline: Option<Timestamp>,
    ) -> Result<Mined, ChainError> {
        if self.chain.edit(|state| state.stuck) {
            return std::future::pending().await;
        }
        self.chain.call(transaction.name(), |state| {
            if state.price > state.fee_cap {
                return Err(ChainError::FeeCap {
                    needed: state.price,
                    cap: state.fee_cap,
                });
            }
            let outcome = match state.refuse {
                Some(reason) => Err(reason),
                None => apply(&mut state.now, self.address, transaction),
            };
            outcome.map_err(|reason| ChainError::Reverted {
                reason: reason.to_owned(),
            })?;
            state.now.block.number += 1;
            state.now.block.timestamp.0 += 1;
            state.sent.push((self.address, transaction.clone()));
            Ok(Mined {
                transaction: B256::repeat_byte(state.sent.len() as u8),
                block: state.now.block.number,
                success: true,
                gas_used: 100_000,
                fee: Amount::ZERO,
            })
        })?
    }

    async fn create_task(
        &self,
        _manager: Address,
        _salt: B256,
        _parameters: &TaskParameters,
        _allow_list: &[Address],
    ) -> Result<Address, ChainError> {
        Err(ChainError::Reverted {
            reason: "this chain has its one task".to_owned(),
        })
    }
}

fn apply(task: &mut TaskSnapshot, from: Address, transaction: &Transaction) -> Result<(), &'static str> {
    let block = task.block.number + 1;
    match transaction {
        Transaction::Approve { amount, .. } => account(task, from)?.allowance = *amount,
        Transaction::Stake { amount } => {
            let account = account(task, from)?;
            account.allowance = account.allowance.checked_sub(*amount).ok_or("InsufficientAllowance")?;
            account.token_balance = account
                .token_balance
                .checked_sub(*amount)
                .ok_or("InsufficientBalance")?;
            account.stake_left = account.stake_left.saturating_add(*amount);
            account.ever_staked = true;
        }
        Transaction::JoinRound { round, sample_count } => {
            if task.state.phase != Phase::Join || *round != task.round.round || task.participant(from).is_some() {
                return Err("CannotJoin");
            }
            let stake = account(task, from)?.stake_left;
            task.participants
                .push(participant(from, Role::None, stake, *sample_count));
            task.round.joined += 1;
        }
        Transaction::Contribute { draw_digest, model, .. } => {
            if *draw_digest != task.round.draw_digest || task.state.phase != Phase::Propose {
                return Err("StaleDigest");
            }
            let us = row(task, from, Role::Proposer)?;
            if us.contribution.is_some() {
                return Err("AlreadyContributed");
            }
            us.contribution = Some(*model);
            us.contributed_block = Some(block);
            task.round.contributed += 1;
        }
        Transaction::CommitVote {
            round_digest,
            commitment,
            ..
        } => {
            if *round_digest != task.round.round_digest || task.state.phase != Phase::Commit {
                return Err("StaleDigest");
            }
            let us = row(task, from, Role::Voter)?;
            if us.commitment.is_some() {
                return Err("AlreadyCommitted");
            }
            us.commitment = Some(*commitment);
            us.committed_block = Some(block);
            task.round.committed += 1;
        }
        Transaction::RevealVote {
            hash,
            score,
            mask,
            salt,
            ..
        } => {
            let commitment = super::world::commitment(task, from, *hash, *score, *mask, *salt);
            let open = task.state.phase == Phase::Reveal;
            let us = row(task, from, Role::Voter)?;
            if !open || us.vote.is_some() || us.commitment != Some(commitment) {
                return Err("CannotReveal");
            }
            us.vote = Some(RevealedVote {
                hash: *hash,
                score: *score,
                mask: *mask,
            });
            us.revealed_block = Some(block);
            task.round.revealed += 1;
        }
        Transaction::ClaimRewards => {
            let ended = task.state.phase == Phase::Ended;
            let account = account(task, from)?;
            if !ended || account.claimed {
                return Err("CannotClaim");
            }
            account.claimed = true;
        }
        Transaction::SelectRoundParticipants { .. }
        | Transaction::FinishRound { .. }
        | Transaction::Slash { .. }
        | Transaction::Terminate => return Err("NotDue"),
    }
    Ok(())
}

fn account(task: &mut TaskSnapshot, address: Address) -> Result<&mut AccountState, &'static str> {
    task.accounts
        .iter_mut()
        .find(|account| account.account == address)
        .ok_or("UnknownAccount")
}

fn row(task: &mut TaskSnapshot, address: Address, role: Role) -> Result<&mut ParticipantState, &'static str> {
    task.participants
        .iter_mut()
        .find(|p| p.account == address && p.role == role)
        .ok_or("NotYourRole")
}

/// A participant that has done nothing yet.
pub(crate) fn participant(account: Address, role: Role, stake: Amount, sample_count: u32) -> ParticipantState {
    ParticipantState {
        account,
        role,
        sample_count,
        stake,
        contribution: None,
        contributed_block: None,
        commitment: None,
        committed_block: None,
        vote: None,
        revealed_block: None,
        slashed: Amount::ZERO,
        rewarded: Amount::ZERO,
    }
}

impl ChainAccess for FakeChain {
    fn chain_id(&self) -> u64 {
        self.lock().now.chain_id
    }

    fn block_time(&self) -> u64 {
        2
    }

    fn reader(&self) -> Arc<dyn ChainReader> {
        Arc::new(self.clone())
    }

    fn sender(&self, key: SigningKey) -> Arc<dyn TaskSender> {
        Arc::new(FakeSender {
            chain: self.clone(),
            address: key.address(),
        })
    }

    fn trusted_managers(&self) -> Vec<TrustedManager> {
        let (trusted, address) = self.edit(|state| (state.trusted, state.now.state.manager));
        if !trusted {
            return Vec::new();
        }
        vec![TrustedManager {
            address,
            code_hash: None,
            implementation_code_hash: None,
        }]
    }

    fn watch(&self, _task: Address) {}
}

/// The chains of this operator: one, of any name.
#[derive(Debug, Clone)]
pub(crate) struct FakeChains(pub(crate) FakeChain);

#[async_trait]
impl Chains for FakeChains {
    async fn get(&self, _name: &str) -> Result<Arc<dyn ChainAccess>, ChainProblem> {
        Ok(Arc::new(self.0.clone()))
    }
}
