//! The node and the clock of the rows: a chain of one account, two endpoints to it, and blocks that pass by sleeping.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718,
    primitives::{B256, Bytes, U64, U256, keccak256},
};
use async_trait::async_trait;
use protocol::types::Timestamp;
use serde_json::{Value, json, value::RawValue};

use crate::{
    chain::transport::{CallError, Transport},
    clock::Clock,
};

pub(super) const GWEI: u128 = 1_000_000_000;
/// The account's transactions before each row.
pub(super) const NONCE: u64 = 5;
/// The head at the beginning of each row.
pub(super) const HEAD: u64 = 100;
pub(super) const START: u64 = 1_800_000_000;
/// Nothing takes this long.
const MOST_BLOCKS: u64 = 150;

#[derive(Debug, Clone)]
pub(super) struct Tx {
    pub(super) hash: B256,
    pub(super) nonce: u64,
    pub(super) most: u128,
    pub(super) tip: u128,
    pub(super) legacy: bool,
    pub(super) ours: bool,
}

/// What an endpoint does instead of answering.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    Down,
    RateLimited,
    /// Its head is so many blocks behind.
    Behind(u64),
    /// It has no state at the block asked for.
    Pruned,
    /// It counts so many transactions of the account too many.
    Lying(i64),
}

/// What happens to the next broadcast.
#[derive(Debug, Clone, Copy)]
pub(super) enum Broadcast {
    /// It arrives, its answer does not.
    AnswerLost,
    /// It does not arrive.
    Lost,
    Refused(&'static str),
}

#[derive(Debug)]
pub(super) struct Chain {
    pub(super) head: u64,
    /// `None`: a chain from before EIP-1559.
    pub(super) base_fee: Option<u128>,
    pub(super) gas_price: u128,
    pub(super) balance: U256,
    pub(super) reverts: bool,
    pub(super) leader: bool,
    /// Blocks have no room for this account.
    pub(super) full: bool,
    pub(super) mined: Vec<(Tx, u64)>,
    pub(super) pool: BTreeMap<u64, Tx>,
    /// Everything this process broadcast that arrived, in order.
    pub(super) offers: Vec<Tx>,
    pub(super) next_broadcasts: VecDeque<Broadcast>,
    pub(super) trouble: BTreeMap<usize, Trouble>,
    /// Done once, when a receipt is asked for.
    pub(super) at_receipt: Option<fn(&mut Chain)>,
    pub(super) fork: u8,
    pub(super) forked_at: u64,
    pub(super) most_pending: usize,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self {
            head: HEAD,
            base_fee: Some(10 * GWEI),
            gas_price: 7 * GWEI,
            balance: U256::MAX,
            reverts: false,
            leader: true,
            full: false,
            mined: Vec::new(),
            pool: BTreeMap::new(),
            offers: Vec::new(),
            next_broadcasts: VecDeque::new(),
            trouble: BTreeMap::new(),
            at_receipt: None,
            fork: 0,
            forked_at: 0,
            most_pending: 0,
        }
    }

    pub(super) fn nonce(&self) -> u64 {
        NONCE + self.mined.len() as u64
    }

    pub(super) fn header(&self, number: u64) -> Value {
        let mut hash = [0u8; 32];
        hash[24..].copy_from_slice(&number.to_be_bytes());
        hash[0] = if number >= self.forked_at { self.fork } else { 0 };
        let mut header = json!({
            "number": U64::from(number), "hash": B256::from(hash), "parentHash": B256::ZERO,
            "timestamp": U64::from(START + 12 * number.saturating_sub(HEAD)), "gasLimit": "0x1c9c380",
        });
        if let Some(base_fee) = self.base_fee {
            header["baseFeePerGas"] = json!(U256::from(base_fee));
        }
        header
    }

    /// One block: what can be paid and fits is mined.
    pub(super) fn mine(&mut self) {
        self.head += 1;
        while let Some(tx) = self.pool.get(&self.nonce()).cloned() {
            if self.full || tx.most < self.base_fee.unwrap_or(self.gas_price) {
                return;
            }
            self.pool.remove(&tx.nonce);
            self.mined.push((tx, self.head));
        }
    }

    /// The last `blocks` are others now. What was in them waits again.
    pub(super) fn reorg(&mut self, blocks: u64) {
        self.forked_at = self.head + 1 - blocks;
        self.fork += 1;
        while self.mined.last().is_some_and(|(_, block)| *block >= self.forked_at) {
            if let Some((tx, _)) = self.mined.pop() {
                self.pool.insert(tx.nonce, tx);
            }
        }
    }

    /// Somebody else with the key.
    pub(super) fn foreign(&mut self, nonce: u64, most: u128) {
        let tx = Tx {
            hash: keccak256(nonce.to_be_bytes()),
            nonce,
            most,
            tip: most.min(GWEI),
            legacy: false,
            ours: false,
        };
        self.pool.insert(nonce, tx);
    }

    pub(super) fn broadcast(&mut self, raw: &[u8]) -> Result<Value, CallError> {
        let fate = self.next_broadcasts.pop_front();
        match fate {
            Some(Broadcast::Lost) => return Err(CallError::Transport("timed out".to_owned())),
            Some(Broadcast::Refused(text)) => return Err(refused(-32000, text)),
            Some(Broadcast::AnswerLost) | None => {}
        }
        let envelope = TxEnvelope::decode_2718(&mut &raw[..]).expect("a transaction");
        let tx = Tx {
            hash: *envelope.tx_hash(),
            nonce: envelope.nonce(),
            most: envelope.max_fee_per_gas(),
            tip: envelope
                .max_priority_fee_per_gas()
                .unwrap_or_else(|| envelope.max_fee_per_gas()),
            legacy: envelope.is_legacy(),
            ours: true,
        };
        if tx.nonce < self.nonce() {
            return Err(refused(-32000, "nonce too low"));
        }
        if let Some(old) = self.pool.get(&tx.nonce) {
            if old.hash == tx.hash {
                return Err(refused(-32000, "already known"));
            }
            if tx.most * 10 < old.most * 11 || tx.tip * 10 < old.tip * 11 {
                return Err(refused(-32000, "replacement transaction underpriced"));
            }
        }
        let hash = tx.hash;
        self.offers.push(tx.clone());
        self.pool.insert(tx.nonce, tx);
        let pending = self.pool.values().filter(|tx| tx.ours).count();
        self.most_pending = self.most_pending.max(pending);
        match fate {
            Some(_) => Err(CallError::Transport("timed out".to_owned())),
            None => Ok(json!(hash)),
        }
    }

    pub(super) fn receipt(&mut self, hash: &Value) -> Value {
        if let Some(surprise) = self.at_receipt.take() {
            surprise(self);
        }
        let found = self.mined.iter().find(|(tx, _)| json!(tx.hash) == *hash);
        found.map_or(Value::Null, |(tx, block)| {
            json!({
                "transactionHash": tx.hash, "blockNumber": U64::from(*block), "blockHash": self.header(*block)["hash"],
                "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": U256::from(tx.most),
            })
        })
    }

    pub(super) fn answer(&mut self, endpoint: usize, method: &str, params: &Value) -> Result<Value, CallError> {
        let trouble = self.trouble.get(&endpoint).copied();
        match trouble {
            Some(Trouble::Down) => return Err(CallError::Transport("cannot connect".to_owned())),
            Some(Trouble::RateLimited) => return Err(CallError::RateLimited),
            _ => {}
        }
        let head = match trouble {
            Some(Trouble::Behind(blocks)) => self.head - blocks,
            _ => self.head,
        };
        Ok(match method {
            "eth_chainId" => json!("0x7"),
            "eth_getBlockByNumber" => match params[0].as_str() {
                Some("latest") => self.header(head),
                Some(number) => self.header(u64::from_str_radix(number.trim_start_matches("0x"), 16).expect("hex")),
                None => Value::Null,
            },
            "eth_getTransactionCount" if params[1] == "pending" => {
                let mut next = self.nonce();
                while self.pool.contains_key(&next) {
                    next += 1;
                }
                json!(U64::from(next))
            }
            "eth_getTransactionCount" | "eth_getBalance" if matches!(trouble, Some(Trouble::Pruned)) => {
                return Err(refused(-32000, "missing trie node 12ab (path ) <nil>"));
            }
            "eth_getTransactionCount" => {
                let lie = match trouble {
                    Some(Trouble::Lying(by)) => by,
                    _ => 0,
                };
                json!(U64::from(self.nonce().saturating_add_signed(lie)))
            }
            "eth_getBalance" => json!(self.balance),
            "eth_maxPriorityFeePerGas" => json!(U256::from(GWEI)),
            "eth_gasPrice" => json!(U256::from(self.gas_price)),
            "eth_estimateGas" if self.reverts => return Err(refused(3, "execution reverted: WrongPhase")),
            "eth_estimateGas" => json!("0x5208"),
            "eth_getTransactionReceipt" => self.receipt(&params[0]),
            "eth_sendRawTransaction" => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).expect("bytes");
                self.broadcast(&raw)?
            }
            other => panic!("{other} is not a call of the sender"),
        })
    }
}

fn refused(code: i64, message: &str) -> CallError {
    CallError::Rpc {
        code,
        message: message.to_owned(),
        data: None,
    }
}

/// One of the chain's two endpoints.
pub(super) struct Endpoint {
    pub(super) number: usize,
    pub(super) chain: Arc<Mutex<Chain>>,
}

#[async_trait]
impl Transport for Endpoint {
    async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
        let answer = self.chain.lock().unwrap().answer(self.number, method, &params)?;
        Ok(RawValue::from_string(answer.to_string()).unwrap())
    }

    fn host(&self) -> &str {
        if self.number == 0 { "first" } else { "second" }
    }
}

/// Time passes by sleeping alone, a block each time.
pub(super) struct Blocks {
    pub(super) chain: Arc<Mutex<Chain>>,
    pub(super) each: fn(&mut Chain, u64),
}

impl Clock for Blocks {
    fn now(&self) -> Timestamp {
        Timestamp(START + 12 * (self.chain.lock().unwrap().head - HEAD))
    }

    fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut chain = self.chain.lock().unwrap();
        let block = chain.head + 1 - HEAD;
        assert!(block < MOST_BLOCKS, "the sender never comes to an end");
        (self.each)(&mut chain, block);
        chain.mine();
        Box::pin(tokio::task::yield_now())
    }
}
