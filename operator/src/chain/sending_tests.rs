//! The sender in every kind of weather, a row each. Queue, worker, fees and the choice of endpoints are the real ones; the
//! node and the clock are not: a sleep is a block of twelve seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes, U64, U256, keccak256},
};
use async_trait::async_trait;
use protocol::types::Timestamp;
use serde_json::{Value, json, value::RawValue};

use super::{
    ChainError, Confirmations, EvmReader, Mined, SigningKey,
    calls::Call,
    rpc::{Rpc, RpcConfig},
    send_state::Policy,
    sender::{EvmSender, SenderConfig},
    transport::{CallError, Transport},
};
use crate::clock::Clock;

const GWEI: u128 = 1_000_000_000;
/// The account's transactions before each row.
const NONCE: u64 = 5;
/// The head at the beginning of each row.
const HEAD: u64 = 100;
const START: u64 = 1_800_000_000;
/// Nothing takes this long.
const MOST_BLOCKS: u64 = 150;

#[derive(Debug, Clone)]
struct Tx {
    hash: B256,
    nonce: u64,
    most: u128,
    tip: u128,
    legacy: bool,
    ours: bool,
}

/// What an endpoint does instead of answering.
#[derive(Debug, Clone, Copy)]
enum Trouble {
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
enum Broadcast {
    /// It arrives, its answer does not.
    AnswerLost,
    /// It does not arrive.
    Lost,
    Refused(&'static str),
}

#[derive(Debug)]
struct Chain {
    head: u64,
    /// `None`: a chain from before EIP-1559.
    base_fee: Option<u128>,
    gas_price: u128,
    balance: U256,
    reverts: bool,
    leader: bool,
    /// Blocks have no room for this account.
    full: bool,
    mined: Vec<(Tx, u64)>,
    pool: BTreeMap<u64, Tx>,
    /// Everything this process broadcast that arrived, in order.
    offers: Vec<Tx>,
    next_broadcasts: VecDeque<Broadcast>,
    trouble: BTreeMap<usize, Trouble>,
    /// Done once, when a receipt is asked for.
    at_receipt: Option<fn(&mut Chain)>,
    fork: u8,
    forked_at: u64,
    most_pending: usize,
}

impl Chain {
    fn new() -> Self {
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

    fn nonce(&self) -> u64 {
        NONCE + self.mined.len() as u64
    }

    fn header(&self, number: u64) -> Value {
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
    fn mine(&mut self) {
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
    fn reorg(&mut self, blocks: u64) {
        self.forked_at = self.head + 1 - blocks;
        self.fork += 1;
        while self.mined.last().is_some_and(|(_, block)| *block >= self.forked_at) {
            if let Some((tx, _)) = self.mined.pop() {
                self.pool.insert(tx.nonce, tx);
            }
        }
    }

    /// Somebody else with the key.
    fn foreign(&mut self, nonce: u64, most: u128) {
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

    fn broadcast(&mut self, raw: &[u8]) -> Result<Value, CallError> {
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

    fn receipt(&mut self, hash: &Value) -> Value {
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

    fn answer(&mut self, endpoint: usize, method: &str, params: &Value) -> Result<Value, CallError> {
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
struct Endpoint {
    number: usize,
    chain: Arc<Mutex<Chain>>,
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
struct Blocks {
    chain: Arc<Mutex<Chain>>,
    each: fn(&mut Chain, u64),
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

type Answer = Result<Mined, ChainError>;

/// One kind of weather.
struct Row {
    says: &'static str,
    /// Before anything is sent.
    given: fn(&mut Chain),
    /// Before the first, second, ... block.
    each: fn(&mut Chain, u64),
    fee_cap: Option<u128>,
    /// Seconds from the start.
    deadline: Option<u64>,
    calls: u8,
    holds: fn(&Chain, &[Answer]),
}

impl Default for Row {
    fn default() -> Self {
        Self {
            says: "",
            given: |_| {},
            each: |_, _| {},
            fee_cap: None,
            deadline: None,
            calls: 1,
            holds: mined_once,
        }
    }
}

/// The call succeeded, as one transaction of ours.
fn mined_once(chain: &Chain, answers: &[Answer]) {
    assert!(
        answers.iter().all(|a| a.as_ref().is_ok_and(|m| m.success)),
        "{answers:?}"
    );
    let ours = chain.mined.iter().filter(|(tx, _)| tx.ours).count();
    assert_eq!(ours, answers.len(), "one transaction a call: {:?}", chain.mined);
}

fn fails_as(answers: &[Answer], category: &str) {
    let error = answers[0].as_ref().expect_err("a failure");
    assert_eq!(error.category(), category, "{error}");
}

/// Nonces of what was offered, and how the price rose.
fn raised_at_one_nonce(chain: &Chain) {
    assert!(chain.offers.len() >= 2, "{:?}", chain.offers);
    assert!(chain.offers.iter().all(|tx| tx.nonce == NONCE), "{:?}", chain.offers);
    let enough = |pair: &[Tx]| pair[1].most * 10 >= pair[0].most * 11;
    assert!(chain.offers.windows(2).all(enough), "{:?}", chain.offers);
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    vec![
        Row {
            says: "a call is one transaction at the chain's nonce",
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!((chain.offers.len(), chain.offers[0].nonce), (1, NONCE));
                assert!(!chain.offers[0].legacy);
            },
            ..Row::default()
        },
        Row {
            says: "five calls of one key are never two transactions at once",
            calls: 5,
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.most_pending, 1);
                let nonces: Vec<u64> = chain.offers.iter().map(|tx| tx.nonce).collect();
                assert_eq!(nonces, [5, 6, 7, 8, 9]);
            },
            ..Row::default()
        },
        Row {
            says: "what blocks pass over is offered for more, at the same nonce, until one takes it",
            each: |chain, block| chain.full = block < 10,
            holds: |chain, answers| { mined_once(chain, answers); raised_at_one_nonce(chain); },
            ..Row::default()
        },
        Row {
            says: "a base fee that rises above the offer is followed up to the cap and no further, and paid when it falls",
            fee_cap: Some(50 * GWEI),
            each: |chain, block| chain.base_fee = Some(if block < 30 { 200 * GWEI } else { 40 * GWEI }),
            holds: |chain, answers| {
                mined_once(chain, answers);
                raised_at_one_nonce(chain);
                let highest = chain.offers.iter().map(|tx| tx.most).max().unwrap();
                assert!((45 * GWEI..=50 * GWEI).contains(&highest), "{highest}");
            },
            ..Row::default()
        },
        Row {
            says: "an offer at the cap that the node refuses is made again when the chain asks for less",
            fee_cap: Some(21 * GWEI),
            deadline: Some(600),
            given: |chain| chain.next_broadcasts.push_back(Broadcast::Refused("max fee per gas less than block base fee")),
            each: |chain, block| chain.base_fee = Some(if block < 8 { 30 * GWEI } else { 15 * GWEI }),
            ..Row::default()
        },
        Row {
            says: "without a cap of its own an offer stops at ten times what the chain asked at first",
            each: |chain, _| chain.base_fee = Some(1_000 * GWEI),
            deadline: Some(12 * 60),
            holds: |chain, answers| {
                fails_as(answers, "not-mined");
                assert!(chain.offers.iter().all(|tx| tx.most <= 110 * GWEI), "{:?}", chain.offers);
            },
            ..Row::default()
        },
        Row {
            says: "a chain that asks for more than the cap from the start is sent nothing",
            fee_cap: Some(5 * GWEI),
            deadline: Some(60),
            holds: |chain, answers| { fails_as(answers, "fee-cap"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "a price above the cap that falls before the deadline is paid",
            fee_cap: Some(5 * GWEI),
            deadline: Some(600),
            each: |chain, block| if block == 4 { chain.base_fee = Some(GWEI) },
            ..Row::default()
        },
        Row {
            says: "a chain without EIP-1559 is offered a gas price, and a higher one after some blocks",
            given: |chain| chain.base_fee = None,
            each: |chain, block| chain.full = block < 6,
            holds: |chain, answers| {
                mined_once(chain, answers);
                raised_at_one_nonce(chain);
                assert!(chain.offers.iter().all(|tx| tx.legacy));
                assert_eq!(chain.offers[0].most, 7 * GWEI);
            },
            ..Row::default()
        },
        Row {
            says: "a transaction that the node's pool dropped is sent again",
            each: |chain, block| match block {
                1 => { chain.full = true; chain.pool.clear(); }
                2 => chain.full = false,
                _ => {}
            },
            ..Row::default()
        },
        Row {
            says: "at the cap a dropped transaction is sent again as it was",
            fee_cap: Some(21 * GWEI),
            each: |chain, block| if block == 1 { chain.pool.clear() },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.offers[0].hash, chain.offers[1].hash, "the very same");
            },
            ..Row::default()
        },
        Row {
            says: "a transaction replaced by somebody else's is sent anew at the next nonce",
            each: |chain, block| if block == 1 { chain.foreign(NONCE, 500 * GWEI) },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert!(!chain.mined[0].0.ours);
                assert_eq!(chain.mined[1].0.nonce, NONCE + 1);
            },
            ..Row::default()
        },
        Row {
            says: "somebody else's pending transaction is waited for",
            given: |chain| chain.foreign(NONCE, 100 * GWEI),
            each: |chain, block| chain.full = block < 2,
            deadline: Some(600),
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.offers.iter().map(|tx| tx.nonce).collect::<Vec<_>>(), [NONCE + 1]);
            },
            ..Row::default()
        },
        Row {
            says: "somebody else's transaction that stays pending is said to who can wait",
            given: |chain| { chain.foreign(NONCE, 100 * GWEI); chain.full = true; },
            holds: |chain, answers| { fails_as(answers, "foreign-pending"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "a duty takes the nonce of a foreign transaction that no block takes",
            given: |chain| chain.foreign(NONCE, 5 * GWEI),
            deadline: Some(3600),
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.mined.len(), 1, "theirs is gone");
                assert!(chain.mined[0].1 >= HEAD + 6, "not before it was stuck");
            },
            ..Row::default()
        },
        Row {
            says: "an answer that got lost makes no second transaction",
            given: |chain| chain.next_broadcasts.push_back(Broadcast::AnswerLost),
            holds: |chain, answers| { mined_once(chain, answers); assert_eq!(chain.offers.len(), 1); },
            ..Row::default()
        },
        Row {
            says: "a broadcast that got lost is made again, with the same transaction",
            given: |chain| chain.next_broadcasts.extend([Broadcast::Lost, Broadcast::Lost]),
            holds: |chain, answers| { mined_once(chain, answers); assert_eq!(chain.offers.len(), 1); },
            ..Row::default()
        },
        Row {
            says: "an offer that the node finds too low is raised at once",
            given: |chain| chain.next_broadcasts.push_back(Broadcast::Refused("max fee per gas less than block base fee")),
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert!(chain.offers[0].most > 21 * GWEI && chain.mined[0].1 == HEAD + 1);
            },
            ..Row::default()
        },
        Row {
            says: "a nonce that somebody else used while we signed is found out and the next one taken",
            given: |chain| chain.next_broadcasts.push_back(Broadcast::Refused("nonce too low")),
            each: |chain, block| if block == 1 { chain.foreign(NONCE, 100 * GWEI) },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.mined.last().unwrap().0.nonce, NONCE + 1);
            },
            ..Row::default()
        },
        Row {
            says: "a reorg that takes our transaction out again is waited out, and nothing is reported that is not there",
            given: |chain| chain.at_receipt = Some(|chain| { chain.reorg(1); chain.full = true; }),
            each: |chain, block| if block == 5 { chain.full = false },
            holds: |chain, answers| {
                mined_once(chain, answers);
                let told = answers[0].as_ref().unwrap();
                assert_eq!((told.transaction, told.block), (chain.mined[0].0.hash, chain.mined[0].1));
                assert!(told.block >= HEAD + 5);
            },
            ..Row::default()
        },
        Row {
            says: "a reorg that takes an earlier nonce away has the call sent at that one",
            given: |chain| { chain.foreign(NONCE, 100 * GWEI); chain.mine(); },
            each: |chain, block| match block {
                2 => { chain.reorg(2); chain.pool.clear(); chain.full = true; }
                3.. => chain.full = false,
                _ => chain.full = true,
            },
            holds: |chain, answers| {
                assert!(answers[0].is_ok(), "{answers:?}");
                assert_eq!((chain.mined[0].0.nonce, chain.mined[0].0.ours), (NONCE, true));
            },
            ..Row::default()
        },
        Row {
            says: "an endpoint that lies about the nonce for a block or two changes nothing",
            each: |chain, block| {
                chain.full = block < 4;
                match block {
                    1 => { chain.trouble.insert(0, Trouble::Lying(3)); }
                    2 => { chain.trouble.insert(0, Trouble::Lying(-2)); }
                    _ => { chain.trouble.clear(); }
                }
            },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert!(chain.offers.iter().all(|tx| tx.nonce == NONCE), "{:?}", chain.offers);
            },
            ..Row::default()
        },
        Row {
            says: "a head that goes back is not believed, and the transaction is followed when it comes on",
            each: |chain, block| match block {
                1..4 => { chain.full = true; chain.trouble.extend([(0, Trouble::Behind(20)), (1, Trouble::Behind(20))]); }
                _ => { chain.full = false; chain.trouble.clear(); }
            },
            ..Row::default()
        },
        Row {
            says: "an endpoint that lags is left for one that does not",
            each: |chain, block| if block >= 1 { chain.trouble.insert(0, Trouble::Behind(20)); },
            ..Row::default()
        },
        Row {
            says: "a rate limit sends us to the other endpoint",
            given: |chain| { chain.trouble.insert(0, Trouble::RateLimited); },
            ..Row::default()
        },
        Row {
            says: "an endpoint that pruned the block it announced is left for one that has it",
            given: |chain| { chain.trouble.insert(0, Trouble::Pruned); },
            ..Row::default()
        },
        Row {
            says: "endpoints that are all away after the broadcast are waited for",
            each: |chain, block| match block {
                1..10 => { chain.trouble.extend([(0, Trouble::Down), (1, Trouble::RateLimited)]); }
                _ => chain.trouble.clear(),
            },
            ..Row::default()
        },
        Row {
            says: "endpoints that are all away before the broadcast are told at once",
            given: |chain| { chain.trouble.extend([(0, Trouble::Down), (1, Trouble::Down)]); },
            holds: |chain, answers| { fails_as(answers, "unreachable"); assert_eq!(chain.head, HEAD); },
            ..Row::default()
        },
        Row {
            says: "a call that would revert is not sent",
            given: |chain| chain.reverts = true,
            holds: |chain, answers| { fails_as(answers, "reverted"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "a key that cannot pay for the whole limit is told before anything is sent",
            given: |chain| chain.balance = U256::from(1000),
            holds: |chain, answers| { fails_as(answers, "low-funds"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "nothing is broadcast without the lease, and all is with it",
            given: |chain| chain.leader = false,
            each: |chain, block| if block == 5 { chain.leader = true },
            holds: |chain, answers| { mined_once(chain, answers); assert!(chain.mined[0].1 > HEAD + 5); },
            ..Row::default()
        },
        Row {
            says: "a lease that is lost after the broadcast raises nothing, and what is mined is still told",
            each: |chain, block| { chain.leader = block < 1; chain.full = block < 12; },
            holds: |chain, answers| { mined_once(chain, answers); assert_eq!(chain.offers.len(), 1); },
            ..Row::default()
        },
        Row {
            says: "a deadline that passes ends it and names what was left behind",
            each: |chain, _| chain.full = true,
            deadline: Some(120),
            holds: |chain, answers| {
                fails_as(answers, "not-mined");
                let last = chain.offers.last().unwrap().hash.to_string();
                assert!(answers[0].as_ref().unwrap_err().to_string().contains(&last));
            },
            ..Row::default()
        },
    ]
}

async fn play(row: &Row) -> (Arc<Mutex<Chain>>, Vec<Answer>) {
    let chain = Arc::new(Mutex::new(Chain::new()));
    (row.given)(&mut chain.lock().unwrap());
    let clock = Arc::new(Blocks {
        chain: chain.clone(),
        each: row.each,
    });
    let endpoint = |number| -> Arc<dyn Transport> {
        let chain = chain.clone();
        Arc::new(Endpoint { number, chain })
    };
    let config = RpcConfig {
        chain: "test".to_owned(),
        expected: None,
        stale_after: 3600,
    };
    let rpc = Arc::new(Rpc::new(config, vec![endpoint(0), endpoint(1)], clock, None));
    let reader = Arc::new(EvmReader::new(rpc, Confirmations::Depth(1)));
    let leader = chain.clone();
    let sending = SenderConfig {
        policy: Policy {
            fee_cap: row.fee_cap,
            ..Policy::default()
        },
        poll: Duration::from_secs(1),
        fence: Arc::new(move || leader.lock().unwrap().leader),
    };
    let key = SigningKey::from_text(&[b'1'; 64]).unwrap();
    let sender = EvmSender::start(key, 7, reader, sending);
    let deadline = row.deadline.map(|seconds| Timestamp(START + seconds));
    let calls = (0..row.calls).map(|n| {
        let call = Call {
            to: Address::repeat_byte(7),
            data: vec![n],
        };
        sender.send_call(call, "test", deadline)
    });
    let answers = futures::future::join_all(calls).await;
    (chain, answers)
}

#[tokio::test]
async fn the_sender_does_what_each_row_says() {
    let rows = rows();
    let mut names: Vec<&str> = rows.iter().map(|row| row.says).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows.len(), "two rows say the same");
    let mut failed = Vec::new();
    for row in &rows {
        let (chain, answers) = play(row).await;
        let chain = chain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let holds = std::panic::AssertUnwindSafe(|| {
            (row.holds)(&chain, &answers);
            assert!(chain.most_pending <= 1, "two of ours were pending at once");
        });
        if std::panic::catch_unwind(holds).is_err() {
            failed.push(format!("{}: {answers:?}, offered {:?}", row.says, chain.offers));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} rows fail:\n{}",
        failed.len(),
        rows.len(),
        failed.join("\n")
    );
}
