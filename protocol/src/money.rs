//! The money of one round: slashes, bonus, pool, pot, rewards, in this order, to the last unit as the contract moves it.

use alloy_primitives::U512;

use crate::{
    draw::RATE_ONE,
    types::{Amount, U256},
    vote::Verdict,
};

/// One drawn participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub verdict: Verdict,
    pub voter: bool,
    /// Of the round.
    pub stake: Amount,
    /// What the account still has: a slash takes no more.
    pub left: Amount,
}

/// What the task says about money at this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Before the round.
    pub pool: Amount,
    /// This one included, at least 1.
    pub rounds_left: u32,
    /// 1e18 = all.
    pub slashed_per_stake: u64,
    /// Of 10000.
    pub bonus_ratio: u16,
    pub rejected: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// By entry.
    pub slashed: Vec<Amount>,
    /// By entry.
    pub rewarded: Vec<Amount>,
    pub slashed_total: Amount,
    pub bonus: Amount,
    pub pot: Amount,
    pub rewarded_total: Amount,
    /// After the round.
    pub pool: Amount,
}

/// Conserves: pool before + slashed = pool after + bonus + rewarded. Amounts are below 2^128 on chain.
pub fn settle(terms: &Terms, entries: &[Entry]) -> Settlement {
    let sum = |keep: &dyn Fn(&Entry) -> bool| {
        entries
            .iter()
            .filter(|e| keep(e))
            .fold(U256::ZERO, |total, e| total.saturating_add(e.stake.0))
    };
    let slashed: Vec<U256> = entries
        .iter()
        .map(|e| match e.verdict {
            Verdict::Bad => mul_div(e.stake.0, U256::from(terms.slashed_per_stake), U256::from(RATE_ONE)).min(e.left.0),
            Verdict::Good | Verdict::None => U256::ZERO,
        })
        .collect();
    let slashed_total = total(&slashed);
    let bonus = mul_div(slashed_total, U256::from(terms.bonus_ratio), U256::from(10_000u32));
    let pool = terms.pool.0.saturating_add(slashed_total).saturating_sub(bonus);
    let mut pot = pool.checked_div(U256::from(terms.rounds_left)).unwrap_or_default();
    if terms.rejected {
        // Otherwise voting a round down would pay its voters more than accepting it.
        pot = mul_div(pot, sum(&|e| e.voter), sum(&|_| true));
    }
    let good = sum(&|e| e.verdict == Verdict::Good);
    let rewarded: Vec<U256> = entries
        .iter()
        .map(|e| match e.verdict {
            Verdict::Good => mul_div(pot, e.stake.0, good),
            Verdict::Bad | Verdict::None => U256::ZERO,
        })
        .collect();
    let rewarded_total = total(&rewarded);
    Settlement {
        slashed: slashed.into_iter().map(Amount).collect(),
        rewarded: rewarded.into_iter().map(Amount).collect(),
        slashed_total: Amount(slashed_total),
        bonus: Amount(bonus),
        pot: Amount(pot),
        rewarded_total: Amount(rewarded_total),
        pool: Amount(pool.saturating_sub(rewarded_total)),
    }
}

fn total(amounts: &[U256]) -> U256 {
    amounts.iter().fold(U256::ZERO, |sum, a| sum.saturating_add(*a))
}

/// floor(a * b / c) with the product in full width; 0 where nothing is shared out (c = 0).
fn mul_div(a: U256, b: U256, c: U256) -> U256 {
    let quotient = U512::from(a)
        .checked_mul(U512::from(b))
        .and_then(|product| product.checked_div(U512::from(c)));
    quotient.map_or(U256::ZERO, U256::saturating_from)
}

#[cfg(test)]
mod tests;
