//! Blocks, a pool and reorgs under the contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy::primitives::{B256, LogData, keccak256};
use protocol::{action::Transaction, types::Address};

use crate::{
    contract::{Env, Revert, TaskModel},
    random::Random,
};

pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const GAS: u64 = 100_000;
pub(crate) const FIRST: u64 = 100;

/// One transaction as a node sees it.
#[derive(Debug)]
pub(crate) struct Tx {
    pub(crate) hash: B256,
    pub(crate) from: Address,
    pub(crate) nonce: u64,
    pub(crate) call: Transaction,
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
    pub(crate) gas_limit: u64,
    /// The operator's process that sent it; `None`: another participant.
    pub(crate) process: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) tx: Arc<Tx>,
    /// Not mined below this block.
    pub(crate) not_before: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Mined {
    pub(crate) tx: Arc<Tx>,
    pub(crate) reverted: Option<Revert>,
    pub(crate) price: u128,
    pub(crate) logs: Vec<LogData>,
    pub(crate) first_log: u64,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    /// Seconds.
    pub(crate) time: u64,
    pub(crate) base_fee: u128,
    pub(crate) state: Arc<TaskModel>,
    pub(crate) mined: Vec<Mined>,
}

/// Why a node does not take a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Known,
    NonceTooLow,
    Underpriced,
    Funds,
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) canonical: Vec<Arc<Block>>,
    all: BTreeMap<B256, Arc<Block>>,
    pub(crate) pool: Vec<Pending>,
    /// Blocks, canonical or not, that hold a transaction.
    included: BTreeMap<B256, Vec<Arc<Block>>>,
    pub(crate) base_fee: u128,
    salt: u64,
}

impl Chain {
    pub(crate) fn new(state: TaskModel, time: u64, salt: u64) -> Self {
        let genesis = Arc::new(Block {
            number: FIRST,
            hash: B256::repeat_byte(0xee),
            parent: B256::ZERO,
            time,
            base_fee: GWEI,
            state: Arc::new(state),
            mined: Vec::new(),
        });
        Self {
            all: BTreeMap::from([(genesis.hash, genesis.clone())]),
            canonical: vec![genesis],
            pool: Vec::new(),
            included: BTreeMap::new(),
            base_fee: GWEI,
            salt,
        }
    }

    pub(crate) fn tip(&self) -> &Arc<Block> {
        self.canonical.last().expect("there is a first block")
    }

    pub(crate) fn by_hash(&self, hash: B256) -> Option<&Arc<Block>> {
        self.all.get(&hash)
    }

    pub(crate) fn is_canonical(&self, block: &Block) -> bool {
        self.at(block.number).is_some_and(|b| b.hash == block.hash)
    }

    /// The canonical block of this number.
    pub(crate) fn at(&self, number: u64) -> Option<&Arc<Block>> {
        self.canonical.get(number.checked_sub(FIRST)? as usize)
    }

    /// The block of this number on the branch that ends in `head`.
    pub(crate) fn ancestor(&self, head: &Arc<Block>, number: u64) -> Option<Arc<Block>> {
        if number > head.number {
            return None;
        }
        let mut block = head.clone();
        while block.number > number {
            if self.is_canonical(&block) {
                return self.at(number).cloned();
            }
            block = self.all.get(&block.parent)?.clone();
        }
        Some(block)
    }

    /// The block of `head`'s branch that holds the transaction.
    pub(crate) fn inclusion(&self, head: &Arc<Block>, hash: B256) -> Option<Arc<Block>> {
        let blocks = self.included.get(&hash)?;
        blocks
            .iter()
            .find(|b| self.ancestor(head, b.number).is_some_and(|a| a.hash == b.hash))
            .cloned()
    }

    pub(crate) fn ever_included(&self, hash: B256) -> Option<Arc<Block>> {
        self.included.get(&hash)?.last().cloned()
    }

    /// What would come of a call in the block after `head`.
    pub(crate) fn attempt(
        &self,
        head: &Arc<Block>,
        from: Address,
        call: &Transaction,
        seconds: u64,
    ) -> Result<(), Revert> {
        let hash_of = |number: u64| self.ancestor(head, number).map(|b| b.hash);
        let env = Env {
            number: head.number + 1,
            timestamp: head.time + seconds,
            hash_of: &hash_of,
        };
        let mut state = TaskModel::clone(&head.state);
        state.apply(from, call, &env).map(drop)
    }

    /// A node takes a transaction into its pool.
    pub(crate) fn submit(&mut self, tx: Tx, not_before: u64) -> Result<(), Refusal> {
        let account = self.tip().state.accounts.get(&tx.from).cloned().unwrap_or_default();
        if tx.nonce < account.nonce {
            return Err(Refusal::NonceTooLow);
        }
        if account.native < u128::from(tx.gas_limit).saturating_mul(tx.max_fee) {
            return Err(Refusal::Funds);
        }
        let same = self
            .pool
            .iter()
            .position(|p| (p.tx.from, p.tx.nonce) == (tx.from, tx.nonce));
        let pending = Pending {
            tx: Arc::new(tx),
            not_before,
        };
        match same {
            None => self.pool.push(pending),
            Some(index) => {
                let old = &self.pool[index].tx;
                if old.hash == pending.tx.hash {
                    return Err(Refusal::Known);
                }
                let enough = |old: u128, new: u128| new * 10 >= old * 11;
                if !enough(old.max_fee, pending.tx.max_fee) || !enough(old.tip, pending.tx.tip) {
                    return Err(Refusal::Underpriced);
                }
                self.pool[index] = pending;
            }
        }
        Ok(())
    }

    /// The nonce after everything of this account in the pool that follows on.
    pub(crate) fn pending_nonce(&self, from: Address, nonce: u64) -> u64 {
        let waiting: BTreeSet<u64> = self
            .pool
            .iter()
            .filter(|p| p.tx.from == from)
            .map(|p| p.tx.nonce)
            .collect();
        (nonce..).find(|n| !waiting.contains(n)).unwrap_or(nonce)
    }

    /// The next block on the canonical chain, with what `take` lets in.
    pub(crate) fn mine(&mut self, time: u64, mut take: impl FnMut(&Pending) -> bool) -> Arc<Block> {
        let parent = self.tip().clone();
        let number = parent.number + 1;
        let mut chosen = Vec::new();
        let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
        let candidates: Vec<Pending> = self.pool.iter().filter(|p| take(p)).cloned().collect();
        loop {
            let next = candidates.iter().find(|p| {
                let account = parent.state.accounts.get(&p.tx.from);
                let nonce = *nonces
                    .entry(p.tx.from)
                    .or_insert_with(|| account.map_or(0, |a| a.nonce));
                let balance = account.map_or(0, |a| a.native);
                p.tx.nonce == nonce
                    && p.tx.max_fee >= self.base_fee
                    && p.not_before <= number
                    && balance >= u128::from(p.tx.gas_limit).saturating_mul(p.tx.max_fee)
            });
            let Some(next) = next else { break };
            nonces.insert(next.tx.from, next.tx.nonce + 1);
            chosen.push(next.tx.clone());
        }
        self.salt = self.salt.wrapping_add(1);
        let hash = keccak256(
            [
                parent.hash.as_slice(),
                &number.to_be_bytes(),
                &time.to_be_bytes(),
                &self.salt.to_be_bytes(),
            ]
            .concat(),
        );
        let (state, mined) = self.carry_out(&parent, number, time, chosen);
        let block = Arc::new(Block {
            number,
            hash,
            parent: parent.hash,
            time,
            base_fee: self.base_fee,
            state,
            mined,
        });
        for mined in &block.mined {
            self.included.entry(mined.tx.hash).or_default().push(block.clone());
        }
        self.all.insert(hash, block.clone());
        self.canonical.push(block.clone());
        let state = &block.state;
        self.pool
            .retain(|p| state.accounts.get(&p.tx.from).is_none_or(|a| a.nonce <= p.tx.nonce));
        block
    }

    fn carry_out(
        &self,
        parent: &Arc<Block>,
        number: u64,
        time: u64,
        chosen: Vec<Arc<Tx>>,
    ) -> (Arc<TaskModel>, Vec<Mined>) {
        if chosen.is_empty() {
            return (parent.state.clone(), Vec::new());
        }
        let hash_of = |n: u64| self.at(n).map(|b| b.hash);
        let env = Env {
            number,
            timestamp: time,
            hash_of: &hash_of,
        };
        let mut state = TaskModel::clone(&parent.state);
        let mut mined = Vec::new();
        let mut first_log = 0;
        for tx in chosen {
            let price = tx.max_fee.min(self.base_fee + tx.tip);
            let mut next = state.clone();
            let (reverted, logs) = match next.apply(tx.from, &tx.call, &env) {
                Ok(logs) => {
                    state = next;
                    (None, logs)
                }
                Err(why) => (Some(why), Vec::new()),
            };
            let account = state.account(tx.from);
            account.nonce += 1;
            account.native = account.native.saturating_sub(price * u128::from(GAS));
            let count = logs.len() as u64;
            mined.push(Mined {
                tx,
                reverted,
                price,
                logs,
                first_log,
            });
            first_log += count;
        }
        (Arc::new(state), mined)
    }

    /// Takes the newest `depth` blocks back. What they held waits again, unless `drop` says that it is forgotten.
    pub(crate) fn unwind(&mut self, depth: u64, mut drop: impl FnMut(&Tx) -> bool) -> Vec<Arc<Block>> {
        let keep = (self.canonical.len() as u64).saturating_sub(depth).max(1) as usize;
        let orphans = self.canonical.split_off(keep);
        for orphan in &orphans {
            for mined in &orphan.mined {
                let twin = self
                    .pool
                    .iter()
                    .any(|p| (p.tx.from, p.tx.nonce) == (mined.tx.from, mined.tx.nonce));
                if !twin && !drop(&mined.tx) {
                    self.pool.push(Pending {
                        tx: mined.tx.clone(),
                        not_before: 0,
                    });
                }
            }
        }
        orphans
    }

    /// Changes the newest block's state from outside of any transaction.
    pub(crate) fn amend(&mut self, state: TaskModel) {
        let Some(tip) = self.canonical.pop() else { return };
        let block = Arc::new(Block {
            state: Arc::new(state),
            mined: tip.mined.clone(),
            ..*tip
        });
        for mined in &block.mined {
            for held in self.included.entry(mined.tx.hash).or_default() {
                if held.hash == block.hash {
                    *held = block.clone();
                }
            }
        }
        self.all.insert(block.hash, block.clone());
        self.canonical.push(block);
    }

    /// A time for the price of gas.
    pub(crate) fn drift(&mut self, random: &mut Random, spike: bool) {
        self.base_fee = if spike {
            GWEI * u128::from(random.between(5, 300))
        } else {
            GWEI * u128::from(random.between(9, 12)) / 10
        };
    }

    /// A participant that is not the operator's: always paid, always at the right nonce.
    pub(crate) fn submit_other(&mut self, from: Address, call: Transaction) {
        let nonce = self.tip().state.accounts.get(&from).map_or(0, |a| a.nonce);
        if self.pool.iter().any(|p| p.tx.from == from) {
            return;
        }
        self.salt = self.salt.wrapping_add(1);
        let hash = keccak256([from.as_slice(), &nonce.to_be_bytes(), &self.salt.to_be_bytes()].concat());
        let tx = Tx {
            hash,
            from,
            nonce,
            call,
            max_fee: 1_000 * GWEI,
            tip: 0,
            gas_limit: GAS,
            process: None,
        };
        // Such an account has what it needs.
        let _ = self.submit(tx, 0);
    }
}
