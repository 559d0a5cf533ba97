//! One task from its creation to the last claim.

use alloy::{
    primitives::{Address, U256, keccak256},
    sol_types::SolCall,
};
use operator::chain::{
    ChainReader, EvmReader,
    bindings::{FlockTask, manager::FlockTaskManager as Manager},
};
use protocol::{
    snapshot::{TaskParameters, TaskSnapshot},
    types::{Amount, Outcome, Round},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    Seen,
    books::{Books, Ending, Seat},
    node::{CROWD, Call, Done, Node, SALT},
    parameters::{self, any_amount, on_chain, one_of},
    round,
};

/// Rounds played of a task that has thousands.
const ENOUGH: u32 = 3;
/// No amount has more bits, so that all of a task's together fit 128.
const AMOUNT_BITS: u32 = 110;

pub(crate) struct History<'a> {
    pub(crate) node: &'a Node,
    pub(crate) rng: StdRng,
    pub(crate) p: TaskParameters,
    pub(crate) books: Books,
    /// Time of the newest block.
    pub(crate) now: u64,
    /// Creation or the last settlement: what the next deadlines count from.
    pub(crate) since: u64,
    pub(crate) members: Vec<Address>,
    /// Sends what anybody may.
    pub(crate) poker: Address,
    pub(crate) finish_requested: bool,
    reader: EvmReader,
}

/// Whether the task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    NextRound,
    Ended,
}

impl<'a> History<'a> {
    pub(crate) async fn new(node: &'a Node, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let p = parameters::random(&mut rng);
        let (least, most) = (usize::from(p.min_participants), usize::from(p.max_participants));
        let count = rng.random_range(least..=most + 2).min(CROWD);
        let now = node.head().await.time;
        Self {
            node,
            rng,
            books: Books::default(),
            now,
            since: now,
            members: node.crowd[..count].to_vec(),
            poker: Address::from_word(keccak256("poker")),
            finish_requested: false,
            reader: node.reader(),
            p,
        }
    }

    pub(crate) async fn play(&mut self, seen: &mut Seen) {
        self.create().await;
        self.stake(seen).await;
        for number in 0.. {
            self.between_rounds(number).await;
            if number == ENOUGH && self.p.total_rounds > ENOUGH + 1 {
                self.finish_request().await;
                self.check_void(number, seen).await;
                break;
            }
            if round::play(self, number, seen).await == After::Ended {
                break;
            }
        }
        self.claim(seen).await;
    }

    async fn create(&mut self) {
        let call = Manager::createTaskCall {
            salt: SALT,
            parameters: on_chain(&self.p, &self.members),
        };
        self.must(self.now + 5, self.node.owner, self.node.manager, &call).await;
        self.since = self.now;
        self.books.pool = self.p.initial_reward_pool.0;
    }

    async fn stake(&mut self, seen: &mut Seen) {
        let entry = self.p.entry_stake.0;
        let even = self.rng.random_bool(0.5);
        let mut calls = Vec::new();
        for account in self.members.clone() {
            let more = if even {
                0
            } else {
                any_amount(&mut self.rng, AMOUNT_BITS)
            };
            // Small differences matter as much as large ones.
            let more = one_of(&mut self.rng, &[more, more, more % (entry.to::<u128>() + 1)]);
            let amount = entry + U256::from(more);
            self.books.stake(account, amount);
            calls.push(self.call(account, &FlockTask::stakeCall { amount }));
        }
        let done = self.block(self.now + 1, &calls).await;
        assert!(done.iter().all(|done| done.succeeded), "{:?}", self.p);
        if let Some(outsider) = self.node.crowd.get(self.members.len()).copied() {
            let too_little = entry - U256::from(u8::from(!self.p.allow_list_enabled));
            self.refused(outsider, &FlockTask::stakeCall { amount: too_little }, seen)
                .await;
        }
    }

    /// Some put in more, somebody adds to the pool.
    async fn between_rounds(&mut self, number: u32) {
        if number == 0 || self.rng.random_bool(0.6) {
            return;
        }
        let mut calls = Vec::new();
        for account in self.members.clone() {
            if self.books.member(account).removed || self.rng.random_bool(0.8) {
                continue;
            }
            let amount = U256::from(1 + any_amount(&mut self.rng, AMOUNT_BITS));
            self.books.stake(account, amount);
            calls.push(self.call(account, &FlockTask::stakeCall { amount }));
        }
        if self.rng.random_bool(0.5) {
            let amount = U256::from(1 + any_amount(&mut self.rng, AMOUNT_BITS));
            self.books.pool += amount;
            calls.push(self.call(self.node.owner, &FlockTask::fundRewardPoolCall { amount }));
        }
        let done = self.block(self.now, &calls).await;
        assert!(done.iter().all(|done| done.succeeded));
    }

    /// The manager's owner asks the task to end early.
    pub(crate) async fn finish_request(&mut self) {
        let call = Manager::finishTaskCall { task: self.node.task };
        self.must(self.now, self.node.owner, self.node.manager, &call).await;
        self.finish_requested = true;
    }

    /// Everybody takes what the books say, and nothing is left.
    async fn claim(&mut self, seen: &mut Seen) {
        self.refused(self.poker, &FlockTask::finishRoundCall { round: U256::ZERO }, seen)
            .await;
        let accounts = self.accounts();
        let before = self.node.balances(&accounts).await;
        let calls: Vec<Call> = accounts
            .iter()
            .map(|account| self.call(*account, &FlockTask::claimRewardsCall {}))
            .collect();
        let done = self.block(self.now + 1, &calls).await;
        let after = self.node.balances(&accounts).await;
        for (k, account) in accounts.iter().enumerate() {
            let due = self.books.claim(*account);
            assert_eq!(done[k].succeeded, !due.is_zero(), "{account} claims {due}");
            assert_eq!(after[k] - before[k], due, "{account}");
        }
        let remainder = self.call(self.node.owner, &FlockTask::withdrawRemainderCall {});
        let done = self.block(self.now + 1, &[remainder]).await;
        assert_eq!(done[0].succeeded, !self.books.pool.is_zero());
        let owner = accounts.iter().position(|account| *account == self.node.owner).unwrap();
        let last = self.node.balances(&[self.node.owner, self.node.task]).await;
        assert_eq!(last, [after[owner] + self.books.pool, U256::ZERO]);
    }

    /// Everybody whom the task may owe something.
    pub(crate) fn accounts(&self) -> Vec<Address> {
        self.members
            .iter()
            .copied()
            .chain([self.poker, self.node.owner])
            .collect()
    }

    pub(crate) fn call<C: SolCall>(&self, from: Address, call: &C) -> Call {
        Call::new(from, self.node.task, call)
    }

    pub(crate) async fn block(&mut self, time: u64, calls: &[Call]) -> Vec<Done> {
        assert!(time >= self.now, "{time} is before {}", self.now);
        let done = self.node.block(time, calls).await;
        self.now = time;
        done
    }

    pub(crate) async fn must<C: SolCall>(&mut self, time: u64, from: Address, to: Address, call: &C) {
        let done = self.block(time, &[Call::new(from, to, call)]).await;
        assert!(done[0].succeeded, "{} by {from} at {time}", C::SIGNATURE);
    }

    /// The contract must say no, at the time it is.
    pub(crate) async fn refused<C: SolCall>(&mut self, from: Address, call: &C, seen: &mut Seen) {
        let done = self.block(self.now, &[self.call(from, call)]).await;
        assert!(!done[0].succeeded, "{} by {from} was not refused", C::SIGNATURE);
        seen.count("refused", 1);
    }

    /// Any time from `least` on, before `end`; `None` if there is none left.
    pub(crate) fn time_in(&mut self, least: u64, end: u64) -> Option<u64> {
        let least = least.max(self.now);
        if least >= end {
            return None;
        }
        // The first and the last moment as often as all others.
        let any = self.rng.random_range(least..end);
        Some(one_of(&mut self.rng, &[least, least, any, any, end - 1]))
    }

    pub(crate) fn shuffled<T: Clone>(&mut self, values: &[T]) -> Vec<T> {
        let mut values = values.to_vec();
        values.shuffle(&mut self.rng);
        values
    }

    pub(crate) async fn snapshot(&self, number: u32) -> TaskSnapshot {
        let head = self.reader.head().await.unwrap();
        assert_eq!(head.timestamp.0, self.now);
        let accounts = self.accounts();
        self.reader
            .snapshot(self.node.task, &head, Some(Round(number)), &accounts)
            .await
            .unwrap()
    }

    /// The task's money and every account are as the books have them.
    pub(crate) fn check_books(&self, snapshot: &TaskSnapshot) {
        let state = &snapshot.state;
        assert_eq!(state.reward_pool, Amount(self.books.pool));
        assert_eq!(state.total_stakes, Amount(self.books.total(|m| m.left)));
        assert_eq!(state.total_claimable, Amount(self.books.total(|m| m.claimable)));
        for (found, account) in snapshot.accounts.iter().zip(self.accounts()) {
            let member = self.books.member(account);
            assert_eq!(found.account, account);
            let theirs = (found.stake_left.0, found.claimable.0, found.removed, found.ever_staked);
            assert_eq!(
                theirs,
                (member.left, member.claimable, member.removed, member.staked),
                "{account}"
            );
        }
    }

    /// A round that ended without moving anything.
    pub(crate) async fn check_void(&mut self, number: u32, seen: &mut Seen) {
        let snapshot = self.snapshot(number).await;
        assert_eq!(snapshot.round.outcome, Outcome::Void);
        assert_eq!(protocol::outlook::of(&snapshot), None);
        assert!(
            snapshot
                .participants
                .iter()
                .all(|p| p.slashed.is_zero() && p.rewarded.is_zero())
        );
        self.check_books(&snapshot);
        seen.count(Outcome::Void, 1);
    }

    /// A settled round is what the ending says, seat by seat.
    pub(crate) async fn check_settled(
        &mut self,
        number: u32,
        seats: &[Seat],
        ending: &Ending,
        caller: Address,
        seen: &mut Seen,
    ) {
        let snapshot = self.snapshot(number).await;
        let (round, money) = (&snapshot.round, &ending.settlement);
        assert!(round.settled);
        assert_eq!(round.slash_caller, Some(caller));
        assert_eq!(
            (round.slashed_total, round.bonus, round.pot, round.rewarded_total),
            (money.slashed_total, money.bonus, money.pot, money.rewarded_total)
        );
        assert_eq!(snapshot.participants.len(), seats.len());
        for (k, found) in snapshot.participants.iter().enumerate() {
            assert_eq!(found.account, seats[k].account, "seat {k}");
            assert_eq!(
                (found.slashed, found.rewarded),
                (money.slashed[k], money.rewarded[k]),
                "seat {k}"
            );
        }
        self.check_books(&snapshot);
        let some = |amounts: &[Amount]| amounts.iter().filter(|amount| !amount.is_zero()).count();
        seen.count(ending.outcome, 1);
        seen.count("slashes", some(&money.slashed));
        seen.count("rewards", some(&money.rewarded));
        seen.count("removed", ending.removed.len());
    }
}
