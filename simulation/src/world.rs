//! One run's world: everything outside of the operator's processes, behind one lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use alloy::primitives::B256;
use protocol::types::{Address, Commitment, ModelHash, RoundDigest};

use crate::{
    api::ApiServer,
    chain::{Block, Chain},
    deletion::Deleted,
    faults::{Coverage, Fault, Reached},
    foreign::Foreign,
    gateway::Gateway,
    plan::{Bug, Plan},
    random::Random,
    time::{Millis, Time},
    trace::Trace,
};

/// Shared by all ports of all processes of a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) time: Arc<Time>,
    pub(crate) plan: Plan,
    pub(crate) bug: Option<Bug>,
    pub(crate) clients: Vec<Participant>,
    pub(crate) keeper: Participant,
    me: Weak<World>,
    state: Mutex<State>,
}

/// A key of ours.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) address: Address,
    pub(crate) key: String,
}

/// One process of the operator, dead or alive.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) alive: bool,
    pub(crate) frozen_until: Millis,
    pub(crate) fenced_until: Millis,
    pub(crate) skew: i64,
    pub(crate) tasks: Vec<tokio::task::AbortHandle>,
    /// Rounds whose reveal window it was shown open.
    pub(crate) shown_reveal: BTreeSet<u32>,
    /// Calls of its own that the chain refused when they were last tried.
    pub(crate) refused: BTreeSet<B256>,
    /// What a planted bug remembers.
    pub(crate) memory: Memory,
}

/// What planted bugs keep in a process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) secrets: BTreeMap<operator::cluster::Key, k8s_openapi::api::core::v1::Secret>,
    pub(crate) nonces: BTreeMap<Address, u64>,
    /// As an endpoint said last.
    pub(crate) counted: BTreeMap<Address, u64>,
    pub(crate) results: BTreeMap<String, String>,
}

/// Trouble of one endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) stuck: Option<(Arc<Block>, Millis)>,
    pub(crate) nonce_lie: Option<(i64, Millis)>,
}

/// A reorg to come: once block `at` is there, back to before block `from`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    pub(crate) at: u64,
    pub(crate) from: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) coverage: Coverage,
    pub(crate) violations: Vec<String>,
    pub(crate) chain: Chain,
    pub(crate) aimed: Option<Aim>,
    pub(crate) foreign: Foreign,
    pub(crate) deleted: Deleted,
    pub(crate) nodes: Vec<Node>,
    pub(crate) api: ApiServer,
    pub(crate) gateway: Gateway,
    pub(crate) processes: Vec<Process>,
    pub(crate) calls: u64,
    /// Of these, those at which the plan lets a process die.
    pub(crate) planned: u64,
    /// When something last kept, or may have kept, a process from acting. Ascending, merged.
    pub(crate) disturbed: Vec<(Millis, Millis)>,
    /// When the chain showed that a client can reveal its vote of a round, and for whom it does at this moment.
    pub(crate) openings: BTreeMap<(Address, u32), Vec<(Millis, Millis)>>,
    pub(crate) shown_open: BTreeSet<(Address, u32)>,
    pub(crate) no_funds_until: BTreeMap<Address, Millis>,
    pub(crate) spike_until: Millis,
    /// Every commitment that was ever broadcast.
    pub(crate) committed: BTreeMap<(Address, u32, RoundDigest), Commitment>,
    /// What trainers made, by participant and input.
    pub(crate) produced: BTreeSet<(Address, RoundDigest, ModelHash)>,
    /// Answers of the contract that were asked for lately.
    pub(crate) views: BTreeMap<(B256, u32, Option<Address>), String>,
    /// Rounds whose settlement was confirmed and then taken back by a deeper reorg.
    pub(crate) taken_back: BTreeSet<u32>,
    /// Stakes, refused or not, in blocks that were confirmed and then taken back by a deeper reorg.
    pub(crate) stakes_taken_back: BTreeMap<Address, BTreeSet<B256>>,
    /// When clients were last without an FLClient.
    pub(crate) away: BTreeMap<Address, Millis>,
    /// No process starts before.
    pub(crate) down_until: Millis,
    /// When two processes were last alive at once.
    pub(crate) two_led: Millis,
    /// Times that a Job and its input may have been parted.
    pub(crate) interrupted: u64,
    /// All there are.
    pub(crate) tokens: u128,
}

impl World {
    pub(crate) fn new(
        time: Arc<Time>,
        plan: Plan,
        bug: Option<Bug>,
        clients: Vec<Participant>,
        keeper: Participant,
        state: State,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            time,
            plan,
            bug,
            clients,
            keeper,
            state: Mutex::new(state),
        })
    }

    /// For what goes on by itself.
    pub(crate) fn shared(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Millis {
        self.time.now()
    }

    pub(crate) fn calm(&self) -> bool {
        self.now() >= self.plan.calm_at
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this fault strikes now; if so it is counted.
    pub(crate) fn strikes(&self, state: &mut State, fault: Fault) -> bool {
        let rate = self.plan.rate(fault, self.now());
        let struck = rate > 0 && state.random.chance(rate);
        if struck {
            state.coverage.struck(fault);
        }
        struck
    }

    pub(crate) fn ours(&self, address: Address) -> Option<&Participant> {
        self.clients.iter().chain([&self.keeper]).find(|p| p.address == address)
    }

    pub(crate) fn is_client(&self, address: Address) -> bool {
        self.clients.iter().any(|p| p.address == address)
    }

    pub(crate) fn name(&self, address: Address) -> String {
        self.ours(address)
            .map_or_else(|| format!("other-{}", address[0]), |p| p.name.clone())
    }
}

impl State {
    /// A promise is broken.
    pub(crate) fn violation(&mut self, now: Millis, text: String) {
        self.trace.note(now, "VIOLATION", 0, || text.clone());
        if self.violations.len() < 20 && !self.violations.contains(&text) {
            self.violations.push(text);
        }
    }

    pub(crate) fn reached(&mut self, what: Reached) {
        self.coverage.reached(what);
    }

    /// From `from` until `to` nobody can ask that the operator acts.
    pub(crate) fn disturb(&mut self, from: Millis, to: Millis) {
        match self.disturbed.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => self.disturbed.push((from, to)),
        }
    }

    pub(crate) fn living(&self) -> usize {
        self.processes.iter().filter(|p| p.alive).count()
    }

    /// Ends a process on the spot. Its tasks never run again.
    pub(crate) fn kill(&mut self, id: usize) {
        let process = &mut self.processes[id];
        process.alive = false;
        for task in process.tasks.drain(..) {
            task.abort();
        }
    }
}
