//! The chain as the controller sees it: state at a block, wake-ups, and one sender per key.
//!
//! Other FL Alliance contracts exist; all the controller needs of one is [`ChainReader`] and [`TaskSender`].

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{
    action::Transaction,
    snapshot::{BlockRef, TaskParameters, TaskSnapshot},
    types::{Address, Amount, B256, Round},
};

pub mod bindings;
mod broadcast;
pub mod calls;
mod convert;
mod error;
pub mod fees;
mod heads;
mod health;
pub mod hub;
pub mod keystore;
#[cfg(feature = "aws-kms")]
pub mod kms;
mod metrics;
mod next_nonce;
mod probe;
mod queue;
pub mod reader;
mod refusals;
pub mod remote;
mod revert;
pub mod rpc;
pub mod send_state;
pub mod sender;
pub mod senders;
#[cfg(test)]
mod sending_tests;
pub(crate) mod signer;
pub mod transport;
pub mod wire;
mod worker;

pub use error::ChainError;
pub use health::{ChainHealth, Wake};
pub use hub::{ChainHub, HubConfig};
pub use keystore::KeystoreError;
pub use metrics::ChainMetrics;
pub use reader::{Confirmations, EvmReader};
pub use senders::Senders;
pub use signer::{Encrypted, Held, SignerError, SigningKey};

/// One chain as configured by an FLChain: its reads, its senders, what happens on it, and how it fares.
pub trait Chain: Send + Sync + 'static {
    fn reader(&self) -> Arc<dyn ChainReader>;

    /// The one sender of this key on this chain in this process: asking twice gives the same one.
    fn sender(&self, key: &SigningKey) -> Arc<dyn TaskSender>;

    /// Host of the endpoint in use, never its URL; `None` until one answered.
    fn endpoint(&self) -> Option<String>;

    /// From now on new blocks are searched for logs of `task`.
    fn watch(&self, task: Address);

    fn unwatch(&self, task: Address);

    /// Wakes from now on. A receiver that fell behind must treat that as [`Wake::All`].
    fn wakes(&self) -> tokio::sync::broadcast::Receiver<Wake>;

    /// Changes are notified; the value is the newest.
    fn health(&self) -> tokio::sync::watch::Receiver<ChainHealth>;
}

/// Reads of one chain. Every read is pinned to a block hash that the endpoint in use announced itself.
#[async_trait]
pub trait ChainReader: Send + Sync + 'static {
    /// Chain id and genesis hash of the endpoint in use.
    async fn identity(&self) -> Result<ChainIdentity, ChainError>;

    /// The newest block. Never older than one already returned.
    async fn head(&self) -> Result<BlockRef, ChainError>;

    /// Number of the newest block that counts as confirmed by the chain's `confirmations`.
    async fn confirmed_block(&self, head: &BlockRef) -> Result<u64, ChainError>;

    /// keccak256 of the account's code; `None` if it has none.
    async fn code_hash(&self, account: Address) -> Result<Option<B256>, ChainError>;

    /// What a manager says of a task: registered or not, and its implementation's code hash.
    async fn registration(&self, manager: Address, task: Address) -> Result<Registration, ChainError>;

    async fn is_creator_allowed(&self, manager: Address, creator: Address) -> Result<bool, ChainError>;

    /// The address `createTask` gave (or `None`) for this creator and salt.
    async fn task_of(&self, manager: Address, creator: Address, salt: B256) -> Result<Option<Address>, ChainError>;

    async fn parameters(&self, task: Address) -> Result<TaskParameters, ChainError>;

    /// The task at `block`: `round` (or the current one), and the named accounts.
    async fn snapshot(
        &self,
        task: Address,
        block: &BlockRef,
        round: Option<Round>,
        accounts: &[Address],
    ) -> Result<TaskSnapshot, ChainError>;

    /// Everything the task's contract logged in `[from, to]`, in order, with transaction hashes. Only enriches
    /// FLRound and wakes; state is never rebuilt from it.
    async fn task_logs(&self, task: Address, from: u64, to: u64) -> Result<Vec<TaskLog>, ChainError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainIdentity {
    pub chain_id: u64,
    pub genesis_hash: B256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    pub registered: bool,
    pub manager_code_hash: Option<B256>,
    pub implementation: Address,
    /// The token its tasks stake.
    pub token: Address,
    pub implementation_code_hash: Option<B256>,
}

/// One event of a task's contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLog {
    pub transaction: B256,
    pub block: u64,
    pub log_index: u64,
    pub event: TaskEvent,
}

/// The events that FLRound shows with their transaction. `round` is the event's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEvent {
    Joined {
        round: Round,
        account: Address,
    },
    DrawFixed {
        round: Round,
    },
    DrawReset {
        round: Round,
    },
    RolesDrawn {
        round: Round,
    },
    Contributed {
        round: Round,
        account: Address,
    },
    VoteCommitted {
        round: Round,
        account: Address,
    },
    VoteRevealed {
        round: Round,
        account: Address,
    },
    RoundFinished {
        round: Round,
    },
    Slashed {
        round: Round,
        account: Address,
        amount: Amount,
        slasher: Address,
        role: String,
    },
    Rewarded {
        round: Round,
        account: Address,
        amount: Amount,
        role: String,
    },
    RoundSettled {
        round: Round,
        caller: Address,
    },
    Removed {
        round: Round,
        account: Address,
    },
    Staked {
        account: Address,
        amount: Amount,
    },
    TaskEnded {
        round: Round,
        terminated: bool,
    },
    Claimed {
        account: Address,
        amount: Amount,
    },
}

/// Sends for one key on one chain. One transaction in flight; the nonce is the chain's.
#[async_trait]
pub trait TaskSender: Send + Sync + 'static {
    fn address(&self) -> Address;

    /// What a first offer is at present, in wei per unit of gas: to see early whether a key can pay for a round.
    async fn price(&self) -> Result<u128, ChainError>;

    /// Sends one call to `task` and waits until it is mined, replacing it with a higher fee after some blocks, up to
    /// the cap. Returns early with [`ChainError::Reverted`] when `estimateGas` says it would revert: nothing is paid.
    /// If another call of the same key is in flight, waits for it, by urgency (`deadline`, reveals first).
    async fn send(
        &self,
        task: Address,
        transaction: &Transaction,
        deadline: Option<protocol::types::Timestamp>,
    ) -> Result<Mined, ChainError>;

    /// `createTask` on a manager (approving the initial reward pool exactly, first). Idempotent by salt.
    async fn create_task(
        &self,
        manager: Address,
        salt: B256,
        parameters: &TaskParameters,
        allow_list: &[Address],
    ) -> Result<Address, ChainError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    pub transaction: B256,
    pub block: u64,
    pub success: bool,
    pub gas_used: u64,
    /// Wei.
    pub fee: Amount,
}
