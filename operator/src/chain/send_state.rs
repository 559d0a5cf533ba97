//! One logical transaction from first offer to receipt, as a pure state machine.
//!
//! Observations of the chain go in, one [`Step`] comes out; signing, sending and waiting are the sender's. All
//! transactions with one nonce are one logical transaction: whichever of them is mined, it is done.

use alloy::primitives::B256;
use protocol::types::Timestamp;

use super::fees::{Fees, Market, OverCap};

/// Fixed for a chain.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Wei per gas; `None`: ten times the base fee of the first try.
    pub fee_cap: Option<u128>,
    pub bump_percent: u32,
    /// Blocks without our transaction before it is offered for more.
    pub bump_after: u64,
    /// Blocks to wait before a nonce that vanished or was used by somebody else is believed.
    pub grace: u64,
    /// Blocks to wait for a foreign pending transaction before saying so and leaving.
    pub foreign_patience: u64,
    /// Blocks after which a foreign pending transaction is stuck, and a call with a deadline takes its nonce.
    pub foreign_stuck: u64,
    /// Blocks without a receipt after which a call without deadline is given up.
    pub give_up: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fee_cap: None,
            bump_percent: 20,
            bump_after: 3,
            grace: 2,
            foreign_patience: 2,
            foreign_stuck: 6,
            give_up: 50,
        }
    }
}

/// The chain and the pool at one moment, all at the block `head`.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    pub head: u64,
    pub head_time: Timestamp,
    /// Transactions of the account in the canonical chain up to `head`.
    pub nonce: u64,
    /// The same with those waiting in the endpoint's pool.
    pub pending_nonce: u64,
    pub market: Market,
    /// One of our attempts that is in the canonical chain.
    pub mined: Option<B256>,
    /// What this process last offered at `nonce`, for this call or an earlier one.
    pub own_offer: Option<Fees>,
    /// The block at which a pending transaction that is not ours was first seen at `nonce`.
    pub foreign_since: Option<u64>,
    /// Nothing may be broadcast now (no lease).
    pub fenced: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Sign at this nonce, record it, broadcast it.
    Send {
        nonce: u64,
        fees: Fees,
    },
    /// Broadcast the newest attempt again: its answer was lost, or a node may have dropped it.
    Repeat,
    /// Look again later.
    Wait(Waiting),
    /// The nonce went to something else: look for the effect and begin anew.
    Restart,
    Done(B256),
    Fail(GiveUp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// In the pool.
    Mining,
    /// Nonce and receipts disagree: the endpoint is between two states, or a reorg is going on.
    Settling,
    Foreign {
        nonce: u64,
    },
    FeeCap {
        needed: u128,
        cap: u128,
    },
    Fenced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    Foreign {
        nonce: u64,
    },
    FeeCap {
        needed: u128,
        cap: u128,
    },
    Fenced,
    /// The deadline has passed, or too many blocks have.
    NotMined(Option<B256>),
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    hash: B256,
    nonce: u64,
    fees: Fees,
    /// Head when it was made.
    at: u64,
    /// The endpoint took it into its pool.
    accepted: bool,
}

/// State of one logical transaction.
#[derive(Debug, Clone)]
pub struct SendState {
    deadline: Option<Timestamp>,
    attempts: Vec<Attempt>,
    started: Option<u64>,
    cap: Option<u128>,
    /// Since when the nonce has been used by, or moved back behind, something else.
    odd_since: Option<u64>,
    /// The endpoint said that the offer is too low.
    too_low: bool,
}

impl SendState {
    /// After `deadline` (chain time) the call would only revert.
    pub fn new(deadline: Option<Timestamp>) -> Self {
        Self {
            deadline,
            attempts: Vec::new(),
            started: None,
            cap: None,
            odd_since: None,
            too_low: false,
        }
    }

    /// Whether nothing was broadcast yet: the call can still step back for a more urgent one.
    pub fn untouched(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Hashes of all attempts, newest first.
    pub fn hashes(&self) -> impl Iterator<Item = B256> {
        self.attempts.iter().rev().map(|a| a.hash)
    }

    pub fn nonce(&self) -> Option<u64> {
        self.attempts.last().map(|a| a.nonce)
    }

    /// A transaction was signed for [`Step::Send`]. Recorded before the broadcast, whose answer may get lost.
    pub fn signed(&mut self, hash: B256, nonce: u64, fees: Fees, head: u64) {
        self.too_low = false;
        self.attempts.push(Attempt {
            hash,
            nonce,
            fees,
            at: head,
            accepted: false,
        });
    }

    /// The endpoint has the newest attempt in its pool.
    pub fn accepted(&mut self, head: u64) {
        self.too_low = false;
        if let Some(last) = self.attempts.last_mut() {
            last.accepted = true;
            last.at = last.at.max(head);
        }
    }

    /// The endpoint wants a higher price for this nonce.
    pub fn priced_too_low(&mut self) {
        self.too_low = true;
        if let Some(last) = self.attempts.last_mut() {
            last.accepted = true;
        }
    }

    /// What to do about this observation.
    pub fn next(&mut self, policy: &Policy, seen: &Observation) -> Step {
        if let Some(hash) = seen.mined {
            return Step::Done(hash);
        }
        let started = *self.started.get_or_insert(seen.head);
        let cap = *self
            .cap
            .get_or_insert(policy.fee_cap.unwrap_or(default_cap(seen.market)));
        let last = self.attempts.last().copied();

        if let Some(last) = last
            && last.nonce != seen.nonce
        {
            // Mined by another, or un-mined below us. Believed only after some blocks: endpoints lie for a moment.
            let since = *self.odd_since.get_or_insert(seen.head);
            if seen.head.saturating_sub(since) < policy.grace {
                return Step::Wait(Waiting::Settling);
            }
            self.attempts.clear();
            self.odd_since = None;
            self.too_low = false;
            return Step::Restart;
        }
        self.odd_since = None;

        let late = match self.deadline {
            Some(deadline) => seen.head_time >= deadline,
            None => seen.head.saturating_sub(started) >= policy.give_up,
        };
        match last {
            Some(last) => self.pursue(policy, seen, last, cap, late),
            None => self.begin(policy, seen, cap, late),
        }
    }

    fn begin(&self, policy: &Policy, seen: &Observation, cap: u128, late: bool) -> Step {
        let fail_or_wait = |late: bool, fail: GiveUp, wait: Waiting| {
            if late { Step::Fail(fail) } else { Step::Wait(wait) }
        };
        if seen.fenced {
            return fail_or_wait(late, GiveUp::Fenced, Waiting::Fenced);
        }
        let mut replaces = seen.own_offer;
        if let (Some(since), None) = (seen.foreign_since, seen.own_offer)
            && seen.pending_nonce > seen.nonce
        {
            let waited = seen.head.saturating_sub(since);
            let nonce = seen.nonce;
            if self.deadline.is_none() || waited < policy.foreign_stuck {
                let leave = late || waited >= policy.foreign_patience && self.deadline.is_none();
                return fail_or_wait(leave, GiveUp::Foreign { nonce }, Waiting::Foreign { nonce });
            }
            // Most likely our own from before a restart, priced too low; a duty with a deadline goes first.
            replaces = Fees::offer(seen.market, Some(cap)).ok();
        }
        let offer = match replaces {
            Some(old) => match old.bump(seen.market, policy.bump_percent, Some(cap)) {
                Some(fees) => Ok(fees),
                // Made when everything was dearer, and no longer in the pool: there is nothing to outbid.
                None if seen.pending_nonce <= seen.nonce => Fees::offer(seen.market, Some(cap)),
                None => Err(OverCap {
                    needed: old.most(),
                    cap,
                }),
            },
            None => Fees::offer(seen.market, Some(cap)),
        };
        match offer {
            Ok(_) if late => Step::Fail(GiveUp::NotMined(None)),
            Ok(fees) => Step::Send {
                nonce: seen.nonce,
                fees,
            },
            // What is in the pool may be mined at its own price.
            Err(OverCap { needed, cap }) if !late && seen.pending_nonce > seen.nonce => {
                Step::Wait(Waiting::FeeCap { needed, cap })
            }
            // Said at once, while the caller can still be helped; it comes again.
            Err(OverCap { needed, cap }) => Step::Fail(GiveUp::FeeCap { needed, cap }),
        }
    }

    fn pursue(&mut self, policy: &Policy, seen: &Observation, last: Attempt, cap: u128, late: bool) -> Step {
        if late {
            return Step::Fail(GiveUp::NotMined(Some(last.hash)));
        }
        if seen.fenced {
            return Step::Wait(Waiting::Fenced);
        }
        if !last.accepted {
            return Step::Repeat;
        }
        if !self.too_low && seen.head.saturating_sub(last.at) < policy.bump_after {
            return Step::Wait(Waiting::Mining);
        }
        match last.fees.bump(seen.market, policy.bump_percent, Some(cap)) {
            Some(fees) => Step::Send {
                nonce: last.nonce,
                fees,
            },
            // The node refused the highest offer there is: it is made again when it would be enough, and not at once.
            None if self.too_low
                && (seen.market.least() > last.fees.most()
                    || seen.head.saturating_sub(last.at) < policy.bump_after) =>
            {
                Step::Wait(Waiting::FeeCap {
                    needed: seen.market.least().max(last.fees.most()),
                    cap,
                })
            }
            None => {
                // No higher offer is allowed, but a node may have dropped this one.
                if let Some(last) = self.attempts.last_mut() {
                    last.at = seen.head;
                }
                Step::Repeat
            }
        }
    }
}

/// Without a cap of its own a chain's fees stop at ten times what it asked when we began.
fn default_cap(market: Market) -> u128 {
    const TIMES: u128 = 10;
    const LEAST: u128 = 1_000_000_000;
    match market {
        Market::Legacy { gas_price } => gas_price.saturating_mul(TIMES).max(LEAST),
        Market::Dynamic { base_fee, tip } => base_fee.saturating_add(tip).saturating_mul(TIMES).max(LEAST),
    }
}

#[cfg(test)]
#[path = "send_state_tests.rs"]
mod tests;
