//! The contract's books: what came in, less what went out, is what is there, for everybody and together.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use protocol::types::Amount;

use super::{facts::Facts, findings::Findings};
use crate::chain::bindings::FlockTask::FlockTaskEvents as Event;

/// What the log says of one account.
#[derive(Debug, Default, Clone, Copy)]
struct Book {
    staked: U256,
    slashed: U256,
    rewarded: U256,
    claimed: U256,
}

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    let task = facts.snapshot.task;
    let mut books: BTreeMap<Address, Book> = BTreeMap::new();
    let mut pool = facts.snapshot.parameters.initial_reward_pool.0;
    let (mut funded, mut withdrawn) = (pool, U256::ZERO);
    for event in &facts.log {
        match event {
            Event::Staked(e) => books.entry(e.proposer).or_default().staked += e.amount,
            Event::Slashed(e) => {
                books.entry(e.contributor).or_default().slashed += e.amount;
                pool += e.amount;
            }
            Event::Rewarded(e) => {
                books.entry(e.contributor).or_default().rewarded += e.amount;
                pool = pool.wrapping_sub(e.amount);
            }
            Event::Claimed(e) => books.entry(e.account).or_default().claimed += e.amount,
            Event::RewardPoolFunded(e) => {
                funded += e.amount;
                pool += e.amount;
            }
            Event::RemainderWithdrawn(e) => {
                withdrawn += e.amount;
                pool = pool.wrapping_sub(e.amount);
            }
            _ => {}
        }
    }
    let mut equal = |what: String, by_log: U256, in_contract: Amount| {
        findings.checked += 1;
        if by_log != in_contract.0 {
            findings.differ(format!(
                "{task}: {what}: the events add up to {by_log}, the contract says {in_contract}"
            ));
        }
    };

    let state = &facts.snapshot.state;
    equal("the reward pool".to_owned(), pool, state.reward_pool);
    let (mut stakes, mut claimable) = (U256::ZERO, U256::ZERO);
    for account in &facts.snapshot.accounts {
        let Book {
            staked,
            slashed,
            rewarded,
            claimed,
        } = books.remove(&account.account).unwrap_or_default();
        // A claim takes both, so before it each is checked by itself and after it their sum is.
        if claimed.is_zero() {
            equal(
                format!("stake of {}", account.account),
                staked.wrapping_sub(slashed),
                account.stake_left,
            );
            equal(format!("claimable of {}", account.account), rewarded, account.claimable);
        } else {
            let held = account.stake_left.saturating_add(account.claimable);
            let left = staked
                .wrapping_sub(slashed)
                .wrapping_add(rewarded)
                .wrapping_sub(claimed);
            equal(format!("what is left to claim for {}", account.account), left, held);
        }
        stakes += account.stake_left.0;
        claimable += account.claimable.0;
    }
    equal("all stakes".to_owned(), stakes, state.total_stakes);
    equal("all claims".to_owned(), claimable, state.total_claimable);

    let total = |pick: fn(&Event) -> Option<U256>| facts.log.iter().filter_map(pick).fold(U256::ZERO, |a, b| a + b);
    let staked = total(|event| {
        if let Event::Staked(e) = event {
            Some(e.amount)
        } else {
            None
        }
    });
    let claimed = total(|event| {
        if let Event::Claimed(e) = event {
            Some(e.amount)
        } else {
            None
        }
    });
    let accounted = state
        .total_stakes
        .saturating_add(state.total_claimable)
        .saturating_add(state.reward_pool);
    equal(
        "paid in less paid out".to_owned(),
        (funded + staked).wrapping_sub(claimed + withdrawn),
        accounted,
    );

    findings.checked += 1;
    match facts.balance.checked_sub(accounted) {
        None => findings.differ(format!(
            "{task}: it holds {} tokens and owes {accounted}",
            facts.balance
        )),
        Some(gift) if !gift.is_zero() => {
            findings.note(format!(
                "{task}: it holds {gift} more than it owes: sent to it, owned by nobody"
            ));
        }
        Some(_) => {}
    }
}
