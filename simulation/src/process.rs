//! A process of the operator: its clock, its chain, its watches and its reconciles, from start to end.

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
        pause, task,
    },
    randomness::Randomness,
};
use protocol::types::Timestamp;
use tokio::sync::{Notify, mpsc};

use crate::{
    api::{CHAIN, Cached, Delivery, NAMESPACE, Wakes},
    calls::Caller,
    contract::{CHAIN_ID, IMPLEMENTATION, MANAGER, TASK},
    endpoint::{self, Endpoint},
    faults::Fault,
    gateway::Port as GatewayPort,
    keys::{self, Service},
    plan::{BLOCK, Bug},
    port::Port as ApiPort,
    ports,
    time::Millis,
    world::{Memory, Process, State, World},
};

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
        loop {
            let down = world.lock().down_until.saturating_sub(world.now());
            if down == 0 {
                break;
            }
            world.time.sleep(down).await;
        }
        if world.lock().living() == 0 {
            start(&world);
        }
    });
}

/// The operator's node is lost, or somebody took the operator away: nothing of it runs before `until`.
pub(crate) fn outage(world: &Arc<World>, state: &mut State, now: Millis, until: Millis) {
    state.down_until = state.down_until.max(until);
    state.disturb(now, until);
    state
        .trace
        .note(now, "outage", until - now, || format!("for {} s", (until - now) / 1000));
    for id in 0..state.processes.len() {
        if state.processes[id].alive {
            end(world, state, id, now);
        }
    }
}

/// Starts a second process, unless the first has ended in the same moment: the next one comes in its own time.
pub(crate) fn start_beside_another(world: &Arc<World>) {
    let alone = world.lock().living() == 0;
    if !alone {
        start(world);
    }
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
        if state.living() > 1 {
            state.two_led = now;
        }
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
        keys: Arc::new(KeyRing::new(
            clock.clone(),
            Some(Arc::new(Service::new(caller.clone()))),
            keys::grants(&world),
        )),
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
            Ok(next) => pause(next),
            Err(error) => {
                let mut state = world.lock();
                state.trace.note(world.now(), "reconcile fails", caller.id as u64, || {
                    format!("process {}: {object:?}: {error}", caller.id)
                });
                Duration::from_secs(3)
            }
        };
        let millis = (next.as_millis() as u64).max(1);
        let sleep = world.time.sleep(millis);
        let notified = std::pin::pin!(woken.notified());
        if let Either::Left(_) = select(sleep, notified).await {}
    }
}

/// The longest pause between two looks of a reconcile at its object.
pub(crate) fn look() -> Millis {
    pause(None).as_millis() as Millis
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
