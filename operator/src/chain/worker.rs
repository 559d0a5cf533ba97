//! Carries out what [`SendState`] decides, one call after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy::primitives::{U64, U256};
use protocol::types::{Amount, B256};
use serde_json::json;

use super::{
    ChainError, Mined,
    broadcast::{self, Signed, Verdict},
    fees::Fees,
    next_nonce::NextNonce,
    probe,
    queue::{Answer, Job},
    rpc::Rpc,
    send_state::{Observation, SendState, Step, Waiting},
    sender::{Route, Shared},
    wire::Header,
};

mod words;

/// Nonces whose offers are remembered: reorgs deeper than this many transactions of one key are not met.
const REMEMBERED: usize = 64;
/// Failed looks at the chain in a row before a broadcast call is given up.
const LOOKS: u32 = 60;

pub(super) struct Worker {
    shared: Arc<Shared>,
    /// The highest offer ever broadcast by this process, by nonce.
    offers: BTreeMap<u64, Fees>,
    /// A pending transaction that is not ours: its nonce and the block at which it was first seen.
    foreign: Option<(u64, u64)>,
}

/// How a call left the worker.
enum Outcome {
    Over(Job, Answer),
    /// Nothing was broadcast, and something more urgent came or nobody waits any more.
    SteppedBack(Job),
}

/// What is known of the call in hand.
struct InHand {
    job: Job,
    state: SendState,
    gas_limit: Option<u64>,
    newest: Option<Signed>,
    /// Wei that the first offer can cost at most.
    cost: U256,
    /// What an earlier call had offered at the nonce of the first attempt.
    outbid: Option<Fees>,
    next: NextNonce,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            offers: BTreeMap::new(),
            foreign: None,
        }
    }

    /// Until the sender is dropped. A call in flight is finished first.
    pub(super) async fn run(mut self) {
        loop {
            let job = self.shared.queue().take();
            let Some(job) = job else {
                if self.shared.closed.load(Ordering::Relaxed) {
                    return;
                }
                self.shared.changed.notified().await;
                continue;
            };
            match self.carry_out(job).await {
                Outcome::SteppedBack(job) => self.shared.queue().put_back(job),
                Outcome::Over(job, answer) => {
                    self.count(&job, &answer);
                    self.shared.queue().finish(job, &answer);
                }
            }
        }
    }

    async fn carry_out(&mut self, job: Job) -> Outcome {
        let state = SendState::new(job.deadline);
        let mut hand = InHand {
            job,
            state,
            gas_limit: None,
            newest: None,
            cost: U256::ZERO,
            outbid: None,
            next: NextNonce::default(),
        };
        let mut failed_looks = 0;
        loop {
            let route = self.shared.route();
            let looked = self.look(&route, &hand).await;
            let (head, seen) = match looked {
                Ok(looked) => {
                    failed_looks = 0;
                    looked
                }
                // Nothing of it is out: the caller may as well know at once.
                Err(error) if hand.state.untouched() => return Outcome::Over(hand.job, Err(error)),
                Err(error) => {
                    failed_looks += 1;
                    if failed_looks >= LOOKS {
                        return Outcome::Over(hand.job, Err(error));
                    }
                    self.pause(&route, route.config.poll).await;
                    continue;
                }
            };
            // Until something is out the call can make room, for a more urgent one or because nobody waits for it.
            if hand.state.untouched() && (hand.job.abandoned() || self.shared.queue().more_urgent_than(&hand.job)) {
                return Outcome::SteppedBack(hand.job);
            }
            let step = hand.state.next(&route.config.policy, &seen);
            let result = match step {
                Step::Done(hash) => {
                    let answer = self.receipt_of(&route, hash).await;
                    match answer {
                        Ok(Some(mined)) => return Outcome::Over(hand.job, Ok(mined)),
                        // It was there a moment ago.
                        Ok(None) | Err(_) => Ok(true),
                    }
                }
                Step::Fail(why) => return Outcome::Over(hand.job, Err(self.reason(why))),
                Step::Restart => {
                    hand.gas_limit = None;
                    Ok(false)
                }
                Step::Wait(waiting) => {
                    self.say(&hand.job, waiting);
                    Ok(true)
                }
                Step::Send { nonce, fees } => self.offer(&route, &mut hand, &head, nonce, fees).await,
                Step::Repeat => {
                    let signed = hand.newest.clone();
                    match signed {
                        Some(signed) => self.broadcast(&route, &mut hand, &head, &signed).await,
                        None => Ok(true),
                    }
                }
            };
            match result {
                Err(error) => return Outcome::Over(hand.job, Err(error)),
                Ok(false) => {}
                Ok(true) => self.next_block(&route, &head, &step).await,
            }
        }
    }

    /// The chain at its head, as far as this key is concerned.
    async fn look(&mut self, route: &Route, hand: &InHand) -> Result<(Header, Observation), ChainError> {
        let rpc = route.reader.rpc();
        let address = self.shared.key.address();
        let head = rpc.head().await?;
        let nonce: U64 = rpc
            .call("eth_getTransactionCount", json!([address, Rpc::at(head.hash)]))
            .await?;
        let nonce = nonce.to::<u64>();
        let pending_nonce = if hand.state.untouched() {
            // Not every endpoint has a pool to look into.
            rpc.call::<U64>("eth_getTransactionCount", json!([address, "pending"]))
                .await
                .map_or(nonce, |n| n.to())
        } else {
            nonce
        };
        let head_number = head.number.to::<u64>();
        let own_offer = self.offers.get(&nonce).copied();
        self.foreign = match self.foreign {
            _ if pending_nonce <= nonce || own_offer.is_some() => None,
            Some((at, since)) if at == nonce => Some((at, since)),
            _ => Some((nonce, head_number)),
        };
        let mined = match hand.state.nonce() {
            Some(own) if nonce > own => probe::mined_of(&route.reader, hand.state.hashes(), head_number).await?,
            _ => None,
        };
        let seen = Observation {
            head: head_number,
            head_time: head.block().timestamp,
            nonce,
            pending_nonce,
            market: probe::market(rpc, &head).await?,
            mined,
            own_offer,
            foreign_since: self.foreign.map(|(_, since)| since),
            fenced: !(route.config.fence)(),
        };
        Ok((head, seen))
    }

    /// Signs and broadcasts. The first time, whether the call would succeed is tried before anything is paid.
    /// `Ok(true)`: look again at the next block; `Ok(false)`: at once.
    async fn offer(
        &mut self,
        route: &Route,
        hand: &mut InHand,
        head: &Header,
        nonce: u64,
        fees: Fees,
    ) -> Result<bool, ChainError> {
        let rpc = route.reader.rpc();
        let gas_limit = match hand.gas_limit {
            Some(gas_limit) => gas_limit,
            None => {
                let estimate = probe::estimate(rpc, self.shared.key.address(), &hand.job.call).await?;
                let limit = probe::with_margin(estimate, head);
                // The whole limit at the whole price must be there, or nodes refuse.
                hand.cost = U256::from(limit).saturating_mul(U256::from(fees.most()));
                let balance = self.balance(rpc, head).await?;
                if balance < hand.cost {
                    return Err(self.short(balance, hand.cost));
                }
                hand.gas_limit = Some(limit);
                limit
            }
        };
        let first = hand.state.untouched();
        if first {
            let (address, job) = (self.shared.key.address(), &hand.job);
            let next = hand
                .next
                .allows(job.action, &route.reader, &job.call, address, nonce, head);
            if !next.await? {
                return Ok(true);
            }
        }
        let signed = broadcast::sign(
            &self.shared.key,
            self.shared.chain_id,
            nonce,
            gas_limit,
            fees,
            &hand.job.call,
        )
        .await;
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) if first => return Err(error),
            // What was offered before is in the pool still, and followed.
            Err(error) => {
                tracing::warn!(action = hand.job.action, nonce, %error, "no higher offer could be signed");
                return Ok(true);
            }
        };
        // Asked last: a lease may have been lost while the estimate was under way.
        if !(route.config.fence)() {
            return Ok(true);
        }
        hand.state.signed(signed.hash, nonce, fees, head.number.to());
        hand.newest = Some(signed.clone());
        let before = self.offers.insert(nonce, fees);
        if first {
            hand.outbid = before;
        }
        while self.offers.len() > REMEMBERED {
            self.offers.pop_first();
        }
        self.record(hand.job.action, if first { "sent" } else { "bumped" });
        tracing::debug!(action = hand.job.action, nonce, hash = %signed.hash, ?fees, "broadcasting");
        self.broadcast(route, hand, head, &signed).await
    }

    async fn broadcast(
        &mut self,
        route: &Route,
        hand: &mut InHand,
        head: &Header,
        signed: &Signed,
    ) -> Result<bool, ChainError> {
        let rpc = route.reader.rpc();
        let only = hand.state.hashes().count() == 1;
        match broadcast::verdict(rpc.call("eth_sendRawTransaction", json!([signed.raw])).await) {
            Verdict::Accepted => hand.state.accepted(head.number.to()),
            Verdict::TooLow => {
                hand.state.priced_too_low();
                return Ok(false);
            }
            Verdict::NonceUsed | Verdict::Unknown(_) => {}
            Verdict::Funds if only => {
                self.withdraw(hand);
                // The node's own count differs from ours: a rollup adds a fee for its data.
                let balance = self.balance(rpc, head).await?;
                return Err(self.short(balance, hand.cost));
            }
            Verdict::Refused(text) if only => {
                self.withdraw(hand);
                return Err(ChainError::BadAnswer(text));
            }
            // A raise was refused; the offers before it are still in the pool.
            Verdict::Funds | Verdict::Refused(_) => hand.state.accepted(head.number.to()),
        }
        Ok(true)
    }

    /// The only attempt never reached a pool: what was offered at its nonce before still stands.
    fn withdraw(&mut self, hand: &InHand) {
        if let Some(nonce) = hand.state.nonce() {
            match hand.outbid {
                Some(fees) => self.offers.insert(nonce, fees),
                None => self.offers.remove(&nonce),
            };
        }
    }

    async fn balance(&self, rpc: &Rpc, head: &Header) -> Result<U256, ChainError> {
        rpc.call("eth_getBalance", json!([self.shared.key.address(), Rpc::at(head.hash)]))
            .await
    }

    async fn receipt_of(&self, route: &Route, hash: B256) -> Result<Option<Mined>, ChainError> {
        let Some(receipt) = probe::receipt(&route.reader, hash).await? else {
            return Ok(None);
        };
        let Some(block) = receipt.block_number.map(|n| n.to::<u64>()) else {
            return Ok(None);
        };
        route.reader.rpc().observe(block);
        let price = receipt.effective_gas_price.unwrap_or_default();
        let fee = receipt
            .gas_used
            .saturating_mul(price)
            .saturating_add(receipt.l1_fee.unwrap_or_default());
        Ok(Some(Mined {
            transaction: receipt.transaction_hash,
            block,
            success: receipt.status.is_none_or(|s| s.to::<u64>() == 1),
            gas_used: u64::try_from(receipt.gas_used).unwrap_or(u64::MAX),
            fee: Amount(fee),
        }))
    }

    /// Returns at the next block, or after one pause where the chain's next block is not what is waited for. Asks by the
    /// way to the chain at that moment: the one before may stand still, which can be why it was replaced.
    async fn next_block(&self, route: &Route, head: &Header, step: &Step) {
        let any_moment = matches!(step, Step::Repeat | Step::Done(_) | Step::Wait(Waiting::Fenced));
        loop {
            self.pause(route, route.config.poll).await;
            if any_moment {
                return;
            }
            match self.shared.route().reader.rpc().head().await {
                Ok(now) if now.hash == head.hash => {}
                _ => return,
            }
        }
    }

    async fn pause(&self, route: &Route, duration: Duration) {
        route.reader.rpc().clock().sleep(duration).await;
    }
}
