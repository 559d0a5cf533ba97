//! A node's JSON-RPC, with a view of the chain of its own.

mod text;

use std::sync::Arc;

use alloy::{
    primitives::{B256, Bytes, U256},
    sol_types::{SolCall, SolInterface, SolValue},
};
use async_trait::async_trait;
use operator::chain::{
    bindings::{
        FlockTask::{parametersCall, snapshotCall},
        manager::FlockTaskManager as M,
        token::FlockToken::allowanceCall,
    },
    transport::{CallError, Transport},
};
use protocol::types::Phase;
use serde_json::{Value, value::RawValue};

use self::text::{address, header, number, quoted, refused, reverted};
use crate::{
    calls::{Caller, Lost},
    chain::{Block, GAS, GWEI, Refusal},
    contract::{CHAIN_ID, IMPLEMENTATION, TASK, TOKEN},
    faults::{Fault, Reached},
    plan::{BLOCK, Bug},
    process::has_code,
    sent,
    trace::short,
    wire::{decode, read},
    world::State,
};

pub(crate) const GENESIS: B256 = B256::repeat_byte(0xee);

/// One process's way to one node.
pub(crate) struct Endpoint {
    caller: Caller,
    node: usize,
    host: String,
}

type Answer = Result<String, CallError>;

impl Endpoint {
    pub(crate) fn new(caller: Caller, node: usize) -> Self {
        Self {
            caller,
            node,
            host: format!("node-{node}"),
        }
    }
}

#[async_trait]
impl Transport for Endpoint {
    async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
        let name = name_of(method);
        let answer = self.caller.call(name, |state| self.answer(state, name, &params)).await;
        let answer = match answer {
            Err(Lost) if self.caller.world.has(Bug::LostAnswerIsFailure) && name == "eth_sendRawTransaction" => {
                let mut state = self.caller.world.lock();
                if let Some(tx) = read(&params) {
                    // Never mind: the next one goes out at once, behind it.
                    let memory = &mut state.processes[self.caller.id].memory;
                    memory.nonces.insert(tx.from, tx.nonce + 1);
                }
                Err(refused("internal error: the transaction was not taken"))
            }
            Err(Lost) => Err(CallError::Transport("no answer".to_owned())),
            Ok(answer) => answer,
        };
        let text = answer?;
        RawValue::from_string(text).map_err(|error| CallError::Garbled(error.to_string()))
    }

    fn host(&self) -> &str {
        &self.host
    }
}

fn name_of(method: &str) -> &'static str {
    const METHODS: [&str; 14] = [
        "eth_chainId",
        "eth_getBlockByNumber",
        "eth_getBlockByHash",
        "eth_call",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionCount",
        "eth_maxPriorityFeePerGas",
        "eth_gasPrice",
        "eth_estimateGas",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
        "eth_getBalance",
        "eth_blockNumber",
    ];
    METHODS.iter().find(|m| **m == method).copied().unwrap_or("eth_unknown")
}

impl Endpoint {
    /// The newest block of this node.
    fn head(&self, state: &State) -> Arc<Block> {
        match &state.nodes[self.node].stuck {
            Some((block, until)) if *until > self.caller.world.now() => block.clone(),
            _ => state.chain.tip().clone(),
        }
    }

    fn block_of(&self, state: &mut State, parameter: &Value) -> Result<Arc<Block>, CallError> {
        let Some(hash) = parameter.get("blockHash") else {
            return Ok(self.head(state));
        };
        let hash: B256 = hash
            .as_str()
            .and_then(|h| h.parse().ok())
            .ok_or_else(|| refused("invalid hash"))?;
        let gone = self.caller.world.strikes(state, Fault::RpcBlockGone);
        let block = state.chain.by_hash(hash).filter(|_| !gone).cloned();
        block.ok_or_else(|| refused("header not found"))
    }

    fn answer(&self, state: &mut State, method: &str, params: &Value) -> Answer {
        let world = &self.caller.world;
        if method != "eth_sendRawTransaction" && world.strikes(state, Fault::RpcGarbled) {
            let now = world.now();
            state.disturb(now, now + 1);
            return Ok("{\"what\":1}".to_owned());
        }
        match method {
            "eth_chainId" => Ok(format!("\"{CHAIN_ID:#x}\"")),
            "eth_getBlockByNumber" => Ok(self.block_by_number(state, &params[0])),
            "eth_getBlockByHash" => {
                let block = self.block_there(state, &params[0]);
                Ok(block.map_or_else(|| "null".to_owned(), |block| header(&block)))
            }
            "eth_getCode" => {
                let code = address(&params[0]).is_some_and(has_code);
                Ok(if code { "\"0x6001\"" } else { "\"0x\"" }.to_owned())
            }
            "eth_call" => self.view(state, params),
            "eth_getLogs" => self.logs(state, &params[0]),
            "eth_getTransactionCount" => self.nonce(state, params),
            "eth_maxPriorityFeePerGas" => Ok(format!("\"{:#x}\"", GWEI / 10)),
            "eth_gasPrice" => Ok(format!("\"{:#x}\"", state.chain.base_fee)),
            "eth_getBalance" => {
                let block = self.block_of(state, &params[1])?;
                let account = address(&params[0]).and_then(|a| block.state.accounts.get(&a));
                Ok(format!("\"{:#x}\"", account.map_or(0, |a| a.native)))
            }
            "eth_estimateGas" => self.estimate(state, &params[0]),
            "eth_sendRawTransaction" => self.send(state, params),
            "eth_getTransactionReceipt" => Ok(self.receipt(state, &params[0])),
            _ => Err(refused("the method does not exist")),
        }
    }

    fn block_by_number(&self, state: &State, parameter: &Value) -> String {
        let head = self.head(state);
        match parameter.as_str() {
            Some("0x0") => format!(
                r#"{{"number":"0x0","hash":"{GENESIS}","parentHash":"{}","timestamp":"0x1"}}"#,
                B256::ZERO
            ),
            Some("latest") => header(&head),
            _ => {
                let block = number(parameter).and_then(|n| state.chain.ancestor(&head, n));
                block.map_or_else(|| "null".to_owned(), |block| header(&block))
            }
        }
    }

    fn view(&self, state: &mut State, params: &Value) -> Answer {
        let block = self.block_of(state, &params[1])?;
        if params[0].get("to").is_none() {
            // A contract that would be made: its code is its address, and that depends on the nonce the state has.
            let from = address(&params[0]["from"]).ok_or_else(|| refused("invalid from"))?;
            let mut nonce = block.state.accounts.get(&from).map_or(0, |a| a.nonce);
            if self.caller.world.has(Bug::StakeAtMadeUpNonce) {
                // As if nobody compared the two.
                let counted = &state.processes[self.caller.id].memory.counted;
                nonce = counted.get(&from).copied().unwrap_or(nonce);
            }
            return Ok(quoted(from.create(nonce).into_word().as_slice()));
        }
        let data: Bytes = params[0]["data"]
            .as_str()
            .and_then(|d| d.parse().ok())
            .ok_or_else(|| refused("invalid data"))?;
        if let Ok(call) = snapshotCall::abi_decode(&data) {
            let round = u32::try_from(call.round).unwrap_or(u32::MAX);
            let phase = block.state.phase(block.time);
            if phase == Phase::Reveal {
                let shown = block.state.number();
                state.processes[self.caller.id].shown_reveal.insert(shown);
            }
            let key = (block.hash, round, call.accounts.first().copied());
            if let Some(answer) = state.views.get(&key) {
                return Ok(answer.clone());
            }
            let answer = block.state.snapshot(round, &call.accounts, block.time);
            let answer = answer
                .map(|bytes| quoted(&bytes))
                .ok_or_else(|| reverted("UnknownRound"))?;
            if state.views.len() > 32 {
                state.views.clear();
            }
            state.views.insert(key, answer.clone());
            return Ok(answer);
        }
        if let Ok(call) = allowanceCall::abi_decode(&data) {
            let account = block.state.accounts.get(&call.owner).filter(|_| call.spender == TASK);
            let allowance = U256::from(account.map_or(0, |account| account.allowance));
            return Ok(quoted(&allowance.abi_encode()));
        }
        if parametersCall::abi_decode(&data).is_ok() {
            return Ok(quoted(&block.state.parameters_answer()));
        }
        let bytes = match M::FlockTaskManagerCalls::abi_decode(&data) {
            Ok(M::FlockTaskManagerCalls::implementation(_)) => IMPLEMENTATION.abi_encode(),
            Ok(M::FlockTaskManagerCalls::token(_)) => TOKEN.abi_encode(),
            Ok(M::FlockTaskManagerCalls::isTask(call)) => (call.task == TASK).abi_encode(),
            _ => return Err(reverted("unknown function")),
        };
        Ok(quoted(&bytes))
    }

    /// The block of this hash, if this node is that far.
    fn block_there(&self, state: &mut State, hash: &Value) -> Option<Arc<Block>> {
        let gone = self.caller.world.strikes(state, Fault::RpcBlockGone);
        let block = state.chain.by_hash(hash.as_str()?.parse().ok()?)?;
        (block.number <= self.head(state).number && !gone).then(|| block.clone())
    }

    /// Of one block that must be there, or of those of a range that are.
    fn logs(&self, state: &mut State, filter: &Value) -> Answer {
        let (from, mut block) = if let Some(hash) = filter.get("blockHash") {
            let block = self.block_there(state, hash).ok_or_else(|| refused("unknown block"))?;
            (block.number, Some(block))
        } else {
            let head = self.head(state);
            let to = number(&filter["toBlock"]).unwrap_or(0).min(head.number);
            (
                number(&filter["fromBlock"]).unwrap_or(0),
                state.chain.ancestor(&head, to),
            )
        };
        let mut found = Vec::new();
        while let Some(this) = block.filter(|b| b.number >= from) {
            for mined in &this.mined {
                for (k, log) in mined.logs.iter().enumerate() {
                    let topics: Vec<String> = log.topics().iter().map(|t| format!("\"{t}\"")).collect();
                    found.push(format!(
                        r#"{{"address":"{TASK}","topics":[{}],"data":{},"blockNumber":"{:#x}","transactionHash":"{}","logIndex":"{:#x}"}}"#,
                        topics.join(","),
                        quoted(&log.data),
                        this.number,
                        mined.tx.hash,
                        mined.first_log + k as u64
                    ));
                }
            }
            block = state.chain.by_hash(this.parent).cloned();
        }
        Ok(format!("[{}]", found.join(",")))
    }

    fn nonce(&self, state: &mut State, params: &Value) -> Answer {
        let Some(account) = address(&params[0]) else {
            return Err(refused("invalid address"));
        };
        let pending = params[1].as_str() == Some("pending");
        let block = self.block_of(state, &params[1])?;
        let at_block = block.state.accounts.get(&account).map_or(0, |a| a.nonce);
        let mut nonce = if pending {
            state.chain.pending_nonce(account, at_block)
        } else {
            at_block
        };
        nonce = nonce.saturating_add_signed(self.lie(state));
        let bug = self.caller.world.bug;
        let memory = &mut state.processes[self.caller.id].memory;
        if bug == Some(Bug::NonceCachedAcrossReorg) && !pending {
            let highest = memory.nonces.entry(account).or_default();
            nonce = nonce.max(*highest);
            *highest = nonce;
        }
        if bug == Some(Bug::StakeAtMadeUpNonce) {
            memory.counted.insert(account, nonce);
        }
        if bug == Some(Bug::LostAnswerIsFailure) {
            nonce = nonce.max(memory.nonces.get(&account).copied().unwrap_or_default());
        }
        Ok(format!("\"{nonce:#x}\""))
    }

    /// What this node adds to nonces at present.
    fn lie(&self, state: &State) -> i64 {
        let now = self.caller.world.now();
        let lie = state.nodes[self.node].nonce_lie;
        lie.filter(|(_, until)| *until > now).map_or(0, |(lie, _)| lie)
    }

    fn estimate(&self, state: &mut State, call: &Value) -> Answer {
        let from = address(&call["from"]).ok_or_else(|| refused("invalid from"))?;
        let to = address(&call["to"]).ok_or_else(|| refused("invalid to"))?;
        let data: Bytes = call["data"]
            .as_str()
            .and_then(|d| d.parse().ok())
            .ok_or_else(|| refused("invalid data"))?;
        let transaction = decode(to, &data).ok_or_else(|| refused("unknown call"))?;
        sent::looked_at(&self.caller, state, from, &transaction);
        let head = self.head(state);
        let outcome = state.chain.attempt(&head, from, &transaction, BLOCK);
        sent::tried(&self.caller, state, from, &transaction, outcome);
        match outcome {
            Err(why) if !self.caller.world.has(Bug::EffectNotLookedFor) => Err(reverted(why)),
            _ => Ok(format!("\"{GAS:#x}\"")),
        }
    }

    fn send(&self, state: &mut State, params: &Value) -> Answer {
        let world = &self.caller.world;
        let mut tx = read(params).ok_or_else(|| refused("transaction cannot be read"))?;
        tx.process = Some(self.caller.id);
        let (hash, from, nonce) = (tx.hash, tx.from, tx.nonce);
        let name = tx.call.name();
        sent::broadcast(&self.caller, state, &tx);
        let not_before = if world.strikes(state, Fault::Congestion) {
            let blocks = state.random.between(2, 12);
            let now = world.now();
            state.disturb(now, now + blocks * BLOCK * 1000);
            state.chain.tip().number + blocks
        } else {
            0
        };
        let replaced = state
            .chain
            .pool
            .iter()
            .any(|p| (p.tx.from, p.tx.nonce) == (from, nonce) && p.tx.hash != hash);
        let outcome = state.chain.submit(tx, not_before);
        if replaced && outcome.is_ok() {
            state.reached(Reached::FeeRaised);
        }
        let id = self.caller.id;
        state.trace.note(world.now(), "broadcast", short(hash.as_slice()), || {
            format!(
                "process {id}: {name} of {} at nonce {nonce}: {outcome:?}",
                world.name(from)
            )
        });
        match outcome {
            Ok(()) => Ok(format!("\"{hash}\"")),
            Err(Refusal::Known) => Err(refused("already known")),
            Err(Refusal::NonceTooLow) => Err(refused("nonce too low")),
            Err(Refusal::Underpriced) => Err(refused("replacement transaction underpriced")),
            Err(Refusal::Funds) => Err(refused("insufficient funds for gas * price + value")),
        }
    }

    fn receipt(&self, state: &mut State, hash: &Value) -> String {
        let world = &self.caller.world;
        let Some(hash) = hash.as_str().and_then(|h| h.parse::<B256>().ok()) else {
            return "null".to_owned();
        };
        if world.strikes(state, Fault::RpcReceiptMissing) {
            return "null".to_owned();
        }
        let head = self.head(state);
        // A node may still answer with a block that a reorg has taken back.
        let block = state.chain.inclusion(&head, hash).or_else(|| {
            let stale = world.plan.rate(Fault::RpcStale, world.now()) > 0;
            stale.then(|| state.chain.ever_included(hash)).flatten()
        });
        let Some(block) = block else {
            return "null".to_owned();
        };
        let mined = block.mined.iter().find(|m| m.tx.hash == hash);
        let Some(mined) = mined else {
            return "null".to_owned();
        };
        format!(
            r#"{{"transactionHash":"{hash}","blockNumber":"{:#x}","blockHash":"{}","status":"{:#x}","gasUsed":"{GAS:#x}","effectiveGasPrice":"{:#x}"}}"#,
            block.number,
            block.hash,
            u8::from(mined.reverted.is_none()),
            mined.price
        )
    }
}
