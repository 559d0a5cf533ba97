//! Planted bugs that sit between a reconcile and the chain's state.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use operator::{
    chain::{ChainError, ChainIdentity, ChainReader, Registration, SigningKey, TaskLog, TaskSender},
    controller::{ChainAccess, ChainProblem, Chains, TrustedManager, chain::Registry},
};
use protocol::{
    snapshot::{BlockRef, TaskParameters, TaskSnapshot},
    types::{Address, B256, Phase, Round},
};

use crate::{calls::Caller, plan::Bug};

/// [`Registry`] whose snapshots are not what the chain said.
pub(crate) struct BuggyChains {
    registry: Registry,
    bug: Option<Bug>,
    caller: Caller,
    old: Arc<Mutex<Vec<TaskSnapshot>>>,
}

impl BuggyChains {
    pub(crate) fn new(registry: Registry, bug: Option<Bug>, caller: Caller) -> Self {
        Self {
            registry,
            bug,
            caller,
            old: Arc::default(),
        }
    }
}

#[async_trait]
impl Chains for BuggyChains {
    async fn get(&self, name: &str) -> Result<Arc<dyn ChainAccess>, ChainProblem> {
        let chain = self.registry.get(name).await?;
        Ok(Arc::new(Buggy {
            chain,
            bug: self.bug,
            caller: self.caller.clone(),
            old: self.old.clone(),
        }))
    }
}

#[derive(Clone)]
struct Buggy {
    chain: Arc<dyn ChainAccess>,
    bug: Option<Bug>,
    caller: Caller,
    old: Arc<Mutex<Vec<TaskSnapshot>>>,
}

impl ChainAccess for Buggy {
    fn chain_id(&self) -> u64 {
        self.chain.chain_id()
    }

    fn block_time(&self) -> u64 {
        self.chain.block_time()
    }

    fn reader(&self) -> Arc<dyn ChainReader> {
        Arc::new(self.clone())
    }

    fn sender(&self, key: SigningKey) -> Arc<dyn TaskSender> {
        self.chain.sender(key)
    }

    fn trusted_managers(&self) -> Vec<TrustedManager> {
        self.chain.trusted_managers()
    }

    fn watch(&self, task: Address) {
        self.chain.watch(task);
    }
}

impl Buggy {
    fn bend(&self, snapshot: TaskSnapshot, accounts: &[Address]) -> TaskSnapshot {
        match self.bug {
            Some(Bug::RevealBeforeWindow) => reveal_now(snapshot, accounts),
            Some(Bug::EffectNotLookedFor) => blind(snapshot, accounts),
            Some(Bug::StaleSnapshot) => self.stale(snapshot, accounts),
            _ => snapshot,
        }
    }

    /// Now and then what was read some blocks ago, under the present block's name.
    fn stale(&self, snapshot: TaskSnapshot, accounts: &[Address]) -> TaskSnapshot {
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        old.push(snapshot.clone());
        if old.len() > 64 {
            old.remove(0);
        }
        let mut state = self.caller.world.lock();
        if !state.random.chance(300) {
            return snapshot;
        }
        let fits = |s: &&TaskSnapshot| {
            s.block.number + 4 >= snapshot.block.number
                && s.accounts.iter().map(|a| a.account).eq(accounts.iter().copied())
        };
        let mut stale = old.iter().find(fits).cloned().unwrap_or_else(|| snapshot.clone());
        stale.block = snapshot.block;
        stale
    }
}

fn reveal_now(mut snapshot: TaskSnapshot, accounts: &[Address]) -> TaskSnapshot {
    let us = accounts.first().and_then(|a| snapshot.participant(*a));
    if snapshot.state.phase == Phase::Commit && us.is_some_and(|us| us.commitment.is_some()) {
        let now = snapshot.block.timestamp;
        snapshot.state.phase = Phase::Reveal;
        snapshot.round.phase = Phase::Reveal;
        snapshot.round.reveal_open = Some(now);
        snapshot.round.reveal_deadline = Some(now.saturating_add(20));
    }
    snapshot
}

fn blind(mut snapshot: TaskSnapshot, accounts: &[Address]) -> TaskSnapshot {
    let phase = snapshot.state.phase;
    for us in &mut snapshot.participants {
        if accounts.contains(&us.account) && phase == Phase::Commit {
            us.commitment = None;
        }
        if accounts.contains(&us.account) && phase == Phase::Propose {
            us.contribution = None;
        }
    }
    snapshot
}

#[async_trait]
impl ChainReader for Buggy {
    async fn identity(&self) -> Result<ChainIdentity, ChainError> {
        self.chain.reader().identity().await
    }

    async fn head(&self) -> Result<BlockRef, ChainError> {
        self.chain.reader().head().await
    }

    async fn confirmed_block(&self, head: &BlockRef) -> Result<u64, ChainError> {
        self.chain.reader().confirmed_block(head).await
    }

    async fn code_hash(&self, account: Address) -> Result<Option<B256>, ChainError> {
        self.chain.reader().code_hash(account).await
    }

    async fn registration(&self, manager: Address, task: Address) -> Result<Registration, ChainError> {
        self.chain.reader().registration(manager, task).await
    }

    async fn is_creator_allowed(&self, manager: Address, creator: Address) -> Result<bool, ChainError> {
        self.chain.reader().is_creator_allowed(manager, creator).await
    }

    async fn task_of(&self, manager: Address, creator: Address, salt: B256) -> Result<Option<Address>, ChainError> {
        self.chain.reader().task_of(manager, creator, salt).await
    }

    async fn parameters(&self, task: Address) -> Result<TaskParameters, ChainError> {
        self.chain.reader().parameters(task).await
    }

    async fn snapshot(
        &self,
        task: Address,
        block: &BlockRef,
        round: Option<Round>,
        accounts: &[Address],
    ) -> Result<TaskSnapshot, ChainError> {
        let snapshot = self.chain.reader().snapshot(task, block, round, accounts).await?;
        let ours = round.is_none() && !accounts.is_empty();
        Ok(if ours { self.bend(snapshot, accounts) } else { snapshot })
    }

    async fn task_logs(&self, task: Address, from: u64, to: u64) -> Result<Vec<TaskLog>, ChainError> {
        self.chain.reader().task_logs(task, from, to).await
    }
}
