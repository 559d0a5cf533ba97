//! [`ChainReader`] over RPC.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::{
    primitives::{Bytes, U256, keccak256},
    sol_types::SolCall,
};
use async_trait::async_trait;
use protocol::{
    snapshot::{BlockRef, TaskParameters, TaskSnapshot, TaskState},
    types::{Address, B256, Round},
};
use serde_json::json;

use super::{
    ChainError, ChainIdentity, ChainReader, Registration, TaskLog,
    bindings::{FlockTask, manager::FlockTaskManager as M},
    convert,
    rpc::Rpc,
    wire::{Header, Log},
};

/// When a block counts as confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmations {
    /// So many blocks on top of it.
    Depth(u32),
    /// The chain's own `finalized` tag.
    Finalized,
}

/// Blocks asked for in one log query at first; halved where an endpoint finds that too much.
const LOG_CHUNK: u64 = 2_000;

/// Reads through one [`Rpc`].
#[derive(Debug)]
pub struct EvmReader {
    rpc: Arc<Rpc>,
    confirmations: Confirmations,
    tasks: Mutex<HashMap<Address, Known>>,
}

/// What does not change, or changes rarely, of a task.
#[derive(Debug, Clone)]
struct Known {
    parameters: TaskParameters,
    /// Block and time of creation: a reorg can put another task of the same creator and salt at this address.
    created: (u64, u64),
    current: Round,
}

impl EvmReader {
    pub fn new(rpc: Arc<Rpc>, confirmations: Confirmations) -> Self {
        Self {
            rpc,
            confirmations,
            tasks: Mutex::default(),
        }
    }

    pub fn rpc(&self) -> &Arc<Rpc> {
        &self.rpc
    }

    /// One call of a view at one block.
    pub async fn view<C: SolCall>(&self, to: Address, call: &C, at: B256) -> Result<C::Return, ChainError> {
        let data = Bytes::from(call.abi_encode());
        let answer: Bytes = self
            .rpc
            .call("eth_call", json!([{"to": to, "data": data}, Rpc::at(at)]))
            .await?;
        if answer.is_empty() {
            return Err(ChainError::NoCode(to.to_string()));
        }
        C::abi_decode_returns(&answer)
            .map_err(|e| ChainError::BadAnswer(format!("{} of {to} returned something else: {e}", C::SIGNATURE)))
    }

    async fn code_at(&self, account: Address, at: B256) -> Result<Option<B256>, ChainError> {
        let code: Bytes = self.rpc.call("eth_getCode", json!([account, Rpc::at(at)])).await?;
        Ok((!code.is_empty()).then(|| keccak256(&code)))
    }

    fn known(&self, task: Address) -> Option<Known> {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&task)
            .cloned()
    }

    async fn parameters_at(&self, task: Address, at: B256) -> Result<TaskParameters, ChainError> {
        Ok(convert::parameters(
            self.view(task, &FlockTask::parametersCall {}, at).await?,
        ))
    }

    async fn raw_snapshot(
        &self,
        task: Address,
        at: B256,
        round: Round,
        accounts: &[Address],
    ) -> Result<FlockTask::snapshotReturn, ChainError> {
        let call = FlockTask::snapshotCall {
            round: U256::from(round.0),
            accounts: accounts.to_vec(),
        };
        self.view(task, &call, at).await
    }

    /// The raw snapshot of the current round. The round is guessed from the last look, so that one call is the rule.
    async fn current_snapshot(
        &self,
        task: Address,
        at: B256,
        accounts: &[Address],
    ) -> Result<FlockTask::snapshotReturn, ChainError> {
        let mut asked = match self.known(task) {
            Some(known) => known.current,
            None => Round(0),
        };
        // After a reorg the guess may not exist yet; the contract then names no round, and the first one always exists.
        let mut raw = match self.raw_snapshot(task, at, asked, accounts).await {
            Err(ChainError::Reverted { .. }) if asked != Round(0) => {
                asked = Round(0);
                self.raw_snapshot(task, at, asked, accounts).await?
            }
            other => other?,
        };
        let total = self
            .parameters_of(task, &convert::state(&raw.state)?, at)
            .await?
            .total_rounds;
        let current = Round(raw.state.currentRound.min(total.saturating_sub(1)));
        if current != asked {
            raw = self.raw_snapshot(task, at, current, accounts).await?;
        }
        Ok(raw)
    }

    /// Parameters for the task as it is in `state`, fetched once per task.
    async fn parameters_of(&self, task: Address, state: &TaskState, at: B256) -> Result<TaskParameters, ChainError> {
        let created = (state.created_block, state.created_at.0);
        let current = state.current_round;
        if let Some(mut known) = self.known(task).filter(|known| known.created == created) {
            known.current = Round(current.0.min(known.parameters.total_rounds.saturating_sub(1)));
            let parameters = known.parameters.clone();
            self.tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(task, known);
            return Ok(parameters);
        }
        let parameters = self.parameters_at(task, at).await?;
        let current = Round(current.0.min(parameters.total_rounds.saturating_sub(1)));
        let known = Known {
            parameters: parameters.clone(),
            created,
            current,
        };
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(task, known);
        Ok(parameters)
    }

    /// Logs of several contracts in `[from, to]`, halving ranges that are too much for the endpoint.
    pub async fn logs(&self, addresses: &[Address], from: u64, to: u64) -> Result<Vec<Log>, ChainError> {
        let mut found = Vec::new();
        let mut next = from;
        let mut chunk = LOG_CHUNK;
        while next <= to {
            let end = to.min(next.saturating_add(chunk - 1));
            let filter = json!([{
                "address": addresses,
                "fromBlock": format!("{next:#x}"),
                "toBlock": format!("{end:#x}"),
            }]);
            match self.rpc.call::<Vec<Log>>("eth_getLogs", filter).await {
                Ok(logs) => {
                    found.extend(logs);
                    next = end + 1;
                }
                // Every provider words its limits differently, so any refusal of a range is met with a smaller one.
                Err(ChainError::BadAnswer(_)) if end > next => chunk = (end - next).div_ceil(2).max(1),
                Err(error) => return Err(error),
            }
        }
        found.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(found)
    }

    /// Logs of several contracts in one block. An endpoint without that block refuses, where a range of numbers is
    /// answered with those of the blocks it has.
    pub async fn logs_of(&self, addresses: &[Address], block: B256) -> Result<Vec<Log>, ChainError> {
        let filter = json!([{"address": addresses, "blockHash": block}]);
        self.rpc.call("eth_getLogs", filter).await
    }

    /// The canonical block of this number, if there is one.
    pub async fn header(&self, number: u64) -> Result<Option<Header>, ChainError> {
        self.rpc
            .call("eth_getBlockByNumber", json!([format!("{number:#x}"), false]))
            .await
    }

    /// The block of this hash.
    ///
    /// # Errors
    /// [`ChainError::BlockGone`] if the endpoint does not have it.
    pub async fn header_of(&self, block: B256) -> Result<Header, ChainError> {
        let header: Option<Header> = self.rpc.call("eth_getBlockByHash", json!([block, false])).await?;
        header.ok_or_else(|| ChainError::BlockGone(block.to_string()))
    }
}

#[async_trait]
impl ChainReader for EvmReader {
    async fn identity(&self) -> Result<ChainIdentity, ChainError> {
        self.rpc.identity().await
    }

    async fn head(&self) -> Result<BlockRef, ChainError> {
        Ok(self.rpc.head().await?.block())
    }

    async fn confirmed_block(&self, head: &BlockRef) -> Result<u64, ChainError> {
        match self.confirmations {
            Confirmations::Depth(depth) => Ok(head.number.saturating_sub(u64::from(depth))),
            Confirmations::Finalized => {
                let header: Option<Header> = self
                    .rpc
                    .call("eth_getBlockByNumber", json!(["finalized", false]))
                    .await?;
                Ok(header.map_or(0, |h| h.number.to::<u64>()).min(head.number))
            }
        }
    }

    async fn code_hash(&self, account: Address) -> Result<Option<B256>, ChainError> {
        let head = self.rpc.head().await?;
        self.code_at(account, head.hash).await
    }

    async fn registration(&self, manager: Address, task: Address) -> Result<Registration, ChainError> {
        let at = self.rpc.head().await?.hash;
        let Some(manager_code_hash) = self.code_at(manager, at).await? else {
            return Err(ChainError::NoCode(manager.to_string()));
        };
        let implementation = self.view(manager, &M::implementationCall {}, at).await?;
        Ok(Registration {
            registered: self.view(manager, &M::isTaskCall { task }, at).await?,
            manager_code_hash: Some(manager_code_hash),
            token: self.view(manager, &M::tokenCall {}, at).await?,
            implementation_code_hash: self.code_at(implementation, at).await?,
            implementation,
        })
    }

    async fn is_creator_allowed(&self, manager: Address, creator: Address) -> Result<bool, ChainError> {
        let at = self.rpc.head().await?.hash;
        self.view(manager, &M::isCreatorAllowedCall { creator }, at).await
    }

    async fn task_of(&self, manager: Address, creator: Address, salt: B256) -> Result<Option<Address>, ChainError> {
        let at = self.rpc.head().await?.hash;
        let task = self.view(manager, &M::taskOfCall { creator, salt }, at).await?;
        Ok((!task.is_zero()).then_some(task))
    }

    async fn parameters(&self, task: Address) -> Result<TaskParameters, ChainError> {
        let at = self.rpc.head().await?.hash;
        self.parameters_at(task, at).await
    }

    async fn snapshot(
        &self,
        task: Address,
        block: &BlockRef,
        round: Option<Round>,
        accounts: &[Address],
    ) -> Result<TaskSnapshot, ChainError> {
        let chain_id = self.rpc.identity_known().await?.chain_id;
        let raw = match round {
            Some(round) => self.raw_snapshot(task, block.hash, round, accounts).await?,
            None => self.current_snapshot(task, block.hash, accounts).await?,
        };
        let state = convert::state(&raw.state)?;
        Ok(TaskSnapshot {
            chain_id,
            task,
            block: *block,
            parameters: self.parameters_of(task, &state, block.hash).await?,
            state,
            round: convert::round_state(&raw.head, &raw.tail)?,
            participants: raw
                .participants
                .iter()
                .map(convert::participant)
                .collect::<Result<_, _>>()?,
            accounts: raw.accounts.iter().map(convert::account).collect(),
        })
    }

    async fn task_logs(&self, task: Address, from: u64, to: u64) -> Result<Vec<TaskLog>, ChainError> {
        let logs = self.logs(&[task], from, to).await?;
        logs.iter()
            .filter_map(|log| convert::task_log(log).transpose())
            .collect()
    }
}
