//! A process of the operator: its clock, what may happen to each of its calls, and its reconciles.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use crds::flchain::ConfirmationRule;
use futures::future::{Either, select};
use operator::{
    chain::{Chain as OperatorChain, ChainHub, ChainIdentity, Confirmations, HubConfig, Senders, transport::Transport},
    clock::Clock,
    cluster::Key,
    controller::{
        Context, Settings, TrustedManager,
        chain::{ChainConfig, OpenChain, Registry},
        client,
        keys::KeyRing,
        metrics::Metrics,
        task,
    },
    randomness::Randomness,
};
use protocol::types::Timestamp;
use tokio::sync::{Notify, mpsc};

use crate::{
    api::{CHAIN, Cached, Delivery, NAMESPACE, Wakes},
    contract::{CHAIN_ID, IMPLEMENTATION, MANAGER, TASK},
    endpoint::{self, Endpoint},
    faults::Fault,
    gateway::Port as GatewayPort,
    plan::{BLOCK, Bug},
    port::Port as ApiPort,
    ports,
    time::Millis,
    world::{Memory, Process, State, World},
};

/// Which process makes a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    pub(crate) id: usize,
}

/// The call did not come off, or its answer did not arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ok,
    DieBefore,
    DieAfter,
    Fail,
    Lose,
}

impl Caller {
    /// One call to the outside: `work` is its effect. Everything that can happen to a call happens here.
    pub(crate) async fn call<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State) -> T + Send,
    ) -> Result<T, Lost> {
        self.thaw().await;
        let (fate, before, after) = {
            let mut state = self.world.lock();
            self.fate(&mut state, name)
        };
        if before > 0 {
            self.world.time.sleep(before).await;
            self.thaw().await;
        }
        let answer = {
            let mut state = self.world.lock();
            if fate == Fate::DieBefore {
                self.die(&mut state, name, true);
                None
            } else if fate == Fate::Fail {
                return Err(Lost);
            } else {
                let answer = work(&mut state);
                if fate == Fate::DieAfter {
                    self.die(&mut state, name, false);
                    None
                } else {
                    Some(answer)
                }
            }
        };
        let Some(answer) = answer else {
            return std::future::pending().await;
        };
        if after > 0 {
            self.world.time.sleep(after).await;
            self.thaw().await;
        }
        if fate == Fate::Lose { Err(Lost) } else { Ok(answer) }
    }

    fn fate(&self, state: &mut State, name: &'static str) -> (Fate, u64, u64) {
        let (world, now) = (&self.world, self.world.now());
        state.calls += 1;
        *state.coverage.calls.entry(name.into()).or_default() += 1;
        let delay = |state: &mut State| {
            if world.strikes(state, Fault::CallSlow) {
                let millis = state.random.between(1_000, 10_000);
                state.disturb(now, now + millis);
                millis
            } else if state.random.chance(world.plan.latency) {
                state.random.between(1, 200)
            } else {
                0
            }
        };
        let (before, after) = (delay(state), delay(state));
        let planned = self.planned_death(state, name);
        let fate = if planned == Some(true) || world.strikes(state, Fault::CrashBefore) {
            Fate::DieBefore
        } else if planned == Some(false) || world.strikes(state, Fault::CrashAfter) {
            Fate::DieAfter
        } else if world.strikes(state, Fault::CallFails) {
            Fate::Fail
        } else if world.strikes(state, Fault::AnswerLost) {
            Fate::Lose
        } else {
            Fate::Ok
        };
        if fate != Fate::Ok {
            let parts = ["create_job", "create_secret", "delete_job", "delete_secret"].contains(&name);
            state.interrupted += u64::from(parts);
            let id = self.id;
            state.disturb(now, now + before + after + 1);
            state
                .trace
                .note(now, "fault", fate as u64, || format!("process {id}: {name}: {fate:?}"));
        }
        (fate, before, after)
    }

    /// Whether the process dies before or after this call because the plan says so.
    fn planned_death(&self, state: &mut State, name: &'static str) -> Option<bool> {
        let death = self.world.plan.death.filter(|death| death.call == name)?;
        if self.world.calm() {
            return None;
        }
        state.planned += 1;
        (state.planned == death.nth).then(|| {
            let fault = if death.before {
                Fault::CrashBefore
            } else {
                Fault::CrashAfter
            };
            state.coverage.struck(fault);
            death.before
        })
    }

    fn die(&self, state: &mut State, name: &'static str, before: bool) {
        let now = self.world.now();
        let deaths = state.coverage.deaths.entry(name.into()).or_default();
        if before {
            deaths.0 += 1;
        } else {
            deaths.1 += 1;
        }
        end(&self.world, state, self.id, now);
    }

    /// Waits while the process is frozen; for ever if it is dead.
    async fn thaw(&self) {
        loop {
            let wait = {
                let state = self.world.lock();
                let process = &state.processes[self.id];
                process
                    .alive
                    .then(|| process.frozen_until.saturating_sub(self.world.now()))
            };
            match wait {
                None => return std::future::pending().await,
                Some(0) => return,
                Some(millis) => self.world.time.sleep(millis).await,
            }
        }
    }
}

/// A process ends, and after a while another one starts.
pub(crate) fn end(world: &Arc<World>, state: &mut State, id: usize, now: Millis) {
    state.kill(id);
    state.interrupted += 1;
    state.api.unwatch(id);
    state
        .trace
        .note(now, "process ends", id as u64, || format!("process {id}"));
    if state.living() > 0 {
        return;
    }
    let pause = if world.calm() {
        1_000
    } else {
        state.random.between(500, 30_000)
    };
    state.disturb(now, now + pause);
    let world = world.clone();
    tokio::spawn(async move {
        world.time.sleep(pause).await;
        if world.lock().living() == 0 {
            start(&world);
        }
    });
}

/// The clock of one process.
struct ProcessClock(Caller);

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        let skew = self.0.world.lock().processes[self.0.id].skew;
        Timestamp((self.0.world.now() / 1000).saturating_add_signed(skew))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let caller = self.0.clone();
        let sleep = caller.world.time.sleep(duration.as_millis() as u64);
        Box::pin(async move {
            sleep.await;
            caller.thaw().await;
        })
    }
}

struct SeededRandomness(Caller);

impl Randomness for SeededRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), String> {
        let mut state = self.0.world.lock();
        for byte in bytes {
            *byte = state.random.next() as u8;
        }
        Ok(())
    }
}

/// Opens the one chain over the simulated endpoints.
struct Opener {
    caller: Caller,
    clock: Arc<dyn Clock>,
}

impl OpenChain for Opener {
    fn open(&self, config: &ChainConfig) -> Result<Arc<dyn OperatorChain>, String> {
        let hub = HubConfig {
            name: config.name.clone(),
            identity: ChainIdentity {
                chain_id: config.chain_id,
                genesis_hash: config.genesis_hash,
            },
            urls: Vec::new(),
            confirmations: match config.confirmations {
                ConfirmationRule::Depth(depth) => Confirmations::Depth(depth),
                ConfirmationRule::Finalized => Confirmations::Finalized,
            },
            max_fee_per_gas: config.max_fee_per_gas,
            block_time: config.block_time_seconds.map(u64::from),
        };
        let transports = (0..self.caller.world.plan.endpoints)
            .map(|node| Arc::new(Endpoint::new(self.caller.clone(), node)) as Arc<dyn Transport>)
            .collect();
        let caller = self.caller.clone();
        let fence = Arc::new(move || {
            let now = caller.world.now();
            caller.world.lock().processes[caller.id].fenced_until <= now
        });
        let hub = ChainHub::over(hub, transports, Senders::default(), fence, self.clock.clone(), None);
        Ok(Arc::new(hub))
    }
}

/// Starts a process: it lists, watches and reconciles until it is killed.
pub(crate) fn start(world: &Arc<World>) {
    let now = world.now();
    let (send, deliveries) = mpsc::unbounded_channel();
    let (caller, cached) = {
        let mut state = world.lock();
        let id = state.processes.len();
        let skew = if world.strikes(&mut state, Fault::ClockSkew) {
            state.random.between(0, 90) as i64 - 30
        } else {
            0
        };
        state.processes.push(Process {
            alive: true,
            frozen_until: 0,
            fenced_until: 0,
            skew,
            tasks: Vec::new(),
            shown_reveal: Default::default(),
            refused: Default::default(),
            memory: Memory::default(),
        });
        state.two_led |= state.living() > 1;
        state.disturb(now, now + 2_000);
        state.trace.note(now, "process starts", id as u64, || {
            format!("process {id}, its clock is off by {skew} s")
        });
        let cached = state.api.watch(id, send);
        let world = world.clone();
        (Caller { world, id }, cached)
    };
    let work = tokio::spawn(run(caller.clone(), cached, deliveries)).abort_handle();
    world.lock().processes[caller.id].tasks.push(work);
}

async fn run(caller: Caller, cached: Cached, deliveries: mpsc::UnboundedReceiver<Delivery>) {
    let world = caller.world.clone();
    let clock: Arc<dyn Clock> = Arc::new(ProcessClock(caller.clone()));
    let (wakes, woken) = mpsc::unbounded_channel();
    let opener = Opener {
        caller: caller.clone(),
        clock: clock.clone(),
    };
    let registry = Registry::new(Box::new(opener), wakes);
    registry.open(config(&world)).expect("nothing is parsed");
    let chains: Arc<dyn operator::controller::Chains> = match world.bug {
        Some(Bug::RevealBeforeWindow | Bug::StaleSnapshot | Bug::EffectNotLookedFor) => {
            Arc::new(ports::BuggyChains::new(registry, world.bug, caller.clone()))
        }
        _ => Arc::new(registry),
    };
    let cached = Arc::new(std::sync::Mutex::new(cached));
    let ctx = Context {
        cluster: Arc::new(ApiPort::new(caller.clone(), cached.clone())),
        chains,
        store: Arc::new(GatewayPort::new(caller.clone())),
        keys: Arc::new(KeyRing::of_secrets(clock.clone())),
        clock,
        randomness: Arc::new(SeededRandomness(caller.clone())),
        settings: Arc::new(Settings {
            namespace: "fl-alliance".to_owned(),
            tenant_namespaces: vec![NAMESPACE.to_owned()],
            gateway_url: "http://gateway.fl-alliance:8080".to_owned(),
            gateway_ca: None,
            stores: vec!["default".to_owned()],
        }),
        metrics: Arc::new(Metrics::new().expect("metrics register")),
    };
    let mut objects: BTreeMap<Wakes, Arc<Notify>> = BTreeMap::new();
    let clients = world
        .clients
        .iter()
        .map(|p| Wakes::Client(Key::new(NAMESPACE, &p.name)));
    for object in clients.chain([Wakes::Task(Key::new(NAMESPACE, crate::api::TASK_NAME))]) {
        let notify = Arc::new(Notify::new());
        let work = tokio::spawn(reconciles(caller.clone(), object.clone(), ctx.clone(), notify.clone()));
        world.lock().processes[caller.id].tasks.push(work.abort_handle());
        objects.insert(object, notify);
    }
    let by_chain = objects.clone();
    let from_chain = tokio::spawn(async move {
        let mut woken = woken;
        while woken.recv().await.is_some() {
            by_chain.values().for_each(|notify| notify.notify_one());
        }
    });
    world.lock().processes[caller.id].tasks.push(from_chain.abort_handle());
    watch(&caller, &cached, &objects, deliveries).await;
}

/// Applies what the API server sends to the cache, and wakes whom it concerns.
async fn watch(
    caller: &Caller,
    cached: &std::sync::Mutex<Cached>,
    objects: &BTreeMap<Wakes, Arc<Notify>>,
    mut deliveries: mpsc::UnboundedReceiver<Delivery>,
) {
    while let Some(delivery) = deliveries.recv().await {
        let wait = delivery.at.saturating_sub(caller.world.now());
        if wait > 0 {
            caller.world.time.sleep(wait).await;
        }
        caller.thaw().await;
        if let Some(change) = delivery.change {
            cached
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .apply(change);
        }
        for object in &delivery.wakes {
            if let Some(notify) = objects.get(object) {
                notify.notify_one();
            }
        }
    }
}

/// As kube's controller runs reconciles: one at a time per object, again when woken, when asked to, or after an error.
async fn reconciles(caller: Caller, object: Wakes, ctx: Context, woken: Arc<Notify>) {
    let world = caller.world.clone();
    loop {
        caller.thaw().await;
        let outcome = match &object {
            Wakes::Client(key) => client::reconcile(key, &ctx).await.map_err(|e| e.to_string()),
            Wakes::Task(key) => task::reconcile(key, &ctx).await.map_err(|e| e.to_string()),
        };
        let next = match outcome {
            Ok(next) => next,
            Err(error) => {
                let mut state = world.lock();
                state.trace.note(world.now(), "reconcile fails", caller.id as u64, || {
                    format!("process {}: {object:?}: {error}", caller.id)
                });
                Some(Duration::from_secs(3))
            }
        };
        match next {
            Some(pause) => {
                let millis = (pause.as_millis() as u64).max(1);
                let sleep = world.time.sleep(millis);
                let notified = std::pin::pin!(woken.notified());
                if let Either::Left(_) = select(sleep, notified).await {}
            }
            None => woken.notified().await,
        }
    }
}

fn config(world: &World) -> ChainConfig {
    ChainConfig {
        name: CHAIN.to_owned(),
        chain_id: CHAIN_ID,
        genesis_hash: endpoint::GENESIS,
        urls: Vec::new(),
        confirmations: ConfirmationRule::Depth(world.plan.depth),
        max_fee_per_gas: world.plan.fee_cap,
        block_time_seconds: Some(BLOCK as u32),
        trusted_managers: vec![TrustedManager {
            address: MANAGER,
            code_hash: None,
            implementation_code_hash: None,
        }],
    }
}

/// What is not code of the task has none.
pub(crate) fn has_code(account: protocol::types::Address) -> bool {
    [TASK, MANAGER, IMPLEMENTATION].contains(&account)
}
