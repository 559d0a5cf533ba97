//! [`TaskSender`] over RPC: one worker per key, one transaction in flight.
//!
//! Callers put calls into a queue and wait for the answer; the worker alone signs and broadcasts. A caller that stops
//! waiting takes its call back only as long as it is queued: what was broadcast is followed to its end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use protocol::{
    action::Transaction,
    snapshot::TaskParameters,
    types::{Address, Amount, B256, Timestamp, U256},
};
use tokio::sync::Notify;

use super::{
    ChainError, ChainReader, Mined, SigningKey, TaskSender,
    bindings::{manager::FlockTaskManager as M, token::FlockToken},
    calls::{self, Call},
    convert,
    queue::Queue,
    reader::EvmReader,
    send_state::Policy,
    worker::Worker,
};

/// Whether this process may broadcast at this moment (it holds the Lease). Asked right before every broadcast.
pub type Fence = Arc<dyn Fn() -> bool + Send + Sync>;

/// How a chain is sent to. Replaced as a whole when its FLChain changes.
#[derive(Clone)]
pub struct SenderConfig {
    pub policy: Policy,
    /// Time between looks while a transaction is awaited.
    pub poll: Duration,
    pub fence: Fence,
}

impl std::fmt::Debug for SenderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SenderConfig")
            .field("policy", &self.policy)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

/// What worker and callers share.
pub(super) struct Shared {
    pub(super) key: SigningKey,
    pub(super) chain_id: u64,
    /// The way to the chain at present; it changes with the FLChain, the queue and the worker stay.
    pub(super) route: RwLock<Route>,
    pub(super) queue: Mutex<Queue>,
    pub(super) changed: Notify,
    pub(super) closed: std::sync::atomic::AtomicBool,
}

/// Through what, and how, to send.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) reader: Arc<EvmReader>,
    pub(super) config: SenderConfig,
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn route(&self) -> Route {
        self.route.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sender of one key on one chain. Its worker ends when this is dropped and nothing is in flight.
pub struct EvmSender {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for EvmSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvmSender")
            .field("address", &self.shared.key.address())
            .field("chain_id", &self.shared.chain_id)
            .finish_non_exhaustive()
    }
}

impl Drop for EvmSender {
    fn drop(&mut self) {
        self.shared.closed.store(true, std::sync::atomic::Ordering::Relaxed);
        self.shared.changed.notify_one();
    }
}

impl EvmSender {
    /// Starts the worker on the current runtime. There must be no other sender for the same chain and key: get yours
    /// from [`super::senders::Senders`].
    pub(super) fn start(key: SigningKey, chain_id: u64, reader: Arc<EvmReader>, config: SenderConfig) -> Self {
        let shared = Arc::new(Shared {
            key,
            chain_id,
            route: RwLock::new(Route { reader, config }),
            queue: Mutex::default(),
            changed: Notify::new(),
            closed: std::sync::atomic::AtomicBool::new(false),
        });
        tokio::spawn(Worker::new(shared.clone()).run());
        Self { shared }
    }

    /// From the next look on another way to the chain is used.
    pub(super) fn reroute(&self, reader: Arc<EvmReader>, config: SenderConfig) {
        *self.shared.route.write().unwrap_or_else(PoisonError::into_inner) = Route { reader, config };
    }

    /// Whether it sends through the endpoints of this FLChain.
    pub(super) fn goes_through(&self, name: &str) -> bool {
        self.shared.route().reader.rpc().chain() == name
    }

    /// Nobody waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.shared.queue().is_idle()
    }

    /// Sends any call; see [`TaskSender::send`]. `action` is a label of metrics and must be one of few.
    pub async fn send_call(
        &self,
        call: Call,
        action: &'static str,
        deadline: Option<Timestamp>,
    ) -> Result<Mined, ChainError> {
        let answer = self.shared.queue().push(call, action, deadline);
        self.shared.changed.notify_one();
        answer
            .await
            .unwrap_or_else(|_| Err(ChainError::Fenced("the sender was shut down".to_owned())))
    }

    /// Makes sure that `spender` may take exactly `amount` of ours.
    async fn allow(&self, token: Address, spender: Address, amount: U256) -> Result<(), ChainError> {
        let reader = self.shared.route().reader;
        let at = reader.rpc().head().await?.hash;
        let owner = self.address();
        let balance = reader
            .view(token, &FlockToken::balanceOfCall { account: owner }, at)
            .await?;
        if balance < amount {
            return Err(ChainError::Reverted {
                reason: format!("{owner} holds {balance} of the token, the reward pool needs {amount}"),
            });
        }
        let allowance = FlockToken::allowanceCall { owner, spender };
        if reader.view(token, &allowance, at).await? == amount {
            return Ok(());
        }
        let sent = self.send_call(calls::approve(token, spender, amount), "approve", None);
        let Err(error) = sent.await else {
            return Ok(());
        };
        // The allowance may be there all the same: an approval is refused if one was mined without being seen.
        let at = reader.rpc().head().await?.hash;
        if reader.view(token, &allowance, at).await? == amount {
            return Ok(());
        }
        Err(error)
    }

    /// Whether the manager would create this task, apart from the reward pool's transfer.
    async fn try_creation(&self, manager: Address, call: &M::createTaskCall) -> Result<(), ChainError> {
        let mut without_pool = call.clone();
        without_pool.parameters.initialRewardPool = 0;
        let call = calls::to_manager(manager, &without_pool);
        super::probe::estimate(self.shared.route().reader.rpc(), self.address(), &call)
            .await
            .map(drop)
    }
}

#[async_trait]
impl TaskSender for EvmSender {
    fn address(&self) -> Address {
        self.shared.key.address()
    }

    async fn price(&self) -> Result<u128, ChainError> {
        let route = self.shared.route();
        let rpc = route.reader.rpc();
        let head = rpc.head().await?;
        let market = super::probe::market(rpc, &head).await?;
        Ok(super::fees::Fees::offer(market, None).map_or_else(|over| over.needed, super::fees::Fees::most))
    }

    async fn send(
        &self,
        task: Address,
        transaction: &Transaction,
        deadline: Option<Timestamp>,
    ) -> Result<Mined, ChainError> {
        self.send_call(calls::call(task, transaction), transaction.name(), deadline)
            .await
    }

    async fn create_task(
        &self,
        manager: Address,
        salt: B256,
        parameters: &TaskParameters,
        allow_list: &[Address],
    ) -> Result<Address, ChainError> {
        let reader = self.shared.route().reader;
        if let Some(task) = reader.task_of(manager, self.address(), salt).await? {
            return Ok(task);
        }
        let call = M::createTaskCall {
            salt,
            parameters: convert::creation(parameters, allow_list)?,
        };
        // Refusals come before the approval, so that a wrong parameter costs nothing.
        self.try_creation(manager, &call).await?;
        let Amount(pool) = parameters.initial_reward_pool;
        if !pool.is_zero() {
            let at = reader.rpc().head().await?.hash;
            let token = reader.view(manager, &M::tokenCall {}, at).await?;
            self.allow(token, manager, pool).await?;
        }
        let sent = self
            .send_call(calls::to_manager(manager, &call), "createTask", None)
            .await;
        // Whatever became of this one, the task may be there: a lost answer, or the same call before a crash.
        match (reader.task_of(manager, self.address(), salt).await?, sent) {
            (Some(task), _) => Ok(task),
            (None, Err(error)) => Err(error),
            (None, Ok(mined)) => Err(ChainError::NotMined(mined.transaction.to_string())),
        }
    }
}
