//! One run: a seed, a world, processes, and the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use alloy::primitives::keccak256;
use kube::ResourceExt;
use operator::{chain::SigningKey, cluster::Key};
use protocol::{
    definition::Definition,
    types::{Address, DefinitionHash},
};

use crate::{
    api::{ApiServer, NAMESPACE, TASK_NAME},
    blocks,
    chain::{Chain, FIRST},
    checks,
    contract::{Account, TaskModel},
    deletion::Deleted,
    faults::{Coverage, Reached},
    foreign::Foreign,
    gateway::Gateway,
    manifests, others,
    plan::{Bug, COIN, Plan, STAKE, START},
    process,
    random::Random,
    time::Time,
    trace::Trace,
    world::{Node, Participant, State, World},
};

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub plan: String,
    pub violations: Vec<String>,
    /// The same for the same seed, and for no other run.
    pub hash: u64,
    /// Events of the trace.
    pub events: u64,
    /// Calls of the operator to the outside.
    pub calls: u64,
    /// Virtual seconds.
    pub seconds: u64,
    pub lines: Vec<String>,
    pub(crate) coverage: Coverage,
}

impl Report {
    /// How often the faults and situations happened whose text contains this.
    pub fn reached(&self, text: &str) -> u64 {
        self.coverage.count(text)
    }
}

/// What is the same in every run and takes time to make.
struct Fixed {
    definition: DefinitionHash,
    clients: Vec<Participant>,
    keeper: Participant,
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| {
        let definition = Definition::parse(manifests::DEFINITION.as_bytes()).expect("the example is a definition");
        Fixed {
            definition: definition.hash(),
            clients: ["alpha", "beta"].map(participant).to_vec(),
            keeper: participant("keeper"),
        }
    })
}

fn participant(name: &str) -> Participant {
    let key = alloy::hex::encode(keccak256(name));
    let address = SigningKey::from_text(key.as_bytes())
        .expect("a hash is a key")
        .address();
    Participant {
        name: name.to_owned(),
        address,
        key,
    }
}

/// Runs one seed to its end.
pub fn run(seed: u64, bug: Option<Bug>, keep_trace: bool) -> Report {
    let fixed = fixed();
    let mut random = Random::new(seed);
    let plan = Plan::draw(&mut random, fixed.definition);
    let summary = plan.summary();
    let start = START * 1000;
    let time = Time::new(start, random.fork());
    let world = world(plan, bug, time.clone(), random, keep_trace);
    let (report, lines) = time.run(async {
        drive(&world).await;
        let mut state = world.lock();
        let coverage = std::mem::take(&mut state.coverage);
        let report = Report {
            seed,
            plan: summary,
            violations: std::mem::take(&mut state.violations),
            hash: state.trace.hash,
            events: state.trace.events,
            calls: state.calls,
            seconds: (world.now() - start) / 1000,
            lines: Vec::new(),
            coverage,
        };
        (report, state.trace.lines.take())
    });
    Report {
        lines: lines.unwrap_or_default(),
        ..report
    }
}

async fn drive(world: &Arc<World>) {
    let p = &world.plan.parameters;
    let windows = u64::from(p.join_window + p.propose_window + p.commit_window + p.reveal_window);
    let longest = u64::from(p.total_rounds) * (windows + 200) + 3 * u64::from(p.stall_timeout) + 600;
    process::start(world);
    let mut rest = None;
    loop {
        let pause = blocks::pause(world);
        world.time.sleep(pause).await;
        blocks::next(world);
        let now = world.now();
        let quiet_since = world.plan.calm_at.max(world.lock().down_until);
        if now > quiet_since + longest * 1000 {
            let mut state = world.lock();
            let tip = state.chain.tip().clone();
            let (round, phase) = (tip.state.number(), tip.state.phase(tip.time));
            state.violation(
                now,
                format!("it does not end: {longest} s after the last fault round {round} is in {phase:?}"),
            );
            return;
        }
        if !world.lock().violations.is_empty() {
            return;
        }
        if rest.is_none() && now >= quiet_since && over(world) {
            // Until the last block is confirmed and every reconcile has seen it; of two processes that lead one may write
            // an old status over the other's, and the one that is left sees that at its next look.
            let seen = now + 60_000 + u64::from(world.plan.depth) * 2_000;
            let two_led = world.lock().two_led;
            rest = Some(seen.max(if two_led > 0 {
                two_led + 60_000 + process::look()
            } else {
                0
            }));
        }
        if rest.is_some_and(|at| now >= at) {
            break;
        }
    }
    checks::at_the_end(world).await;
    let mut state = world.lock();
    blocks::outcomes(world, &mut state);
}

/// The task has ended and everybody of ours took what is theirs.
fn over(world: &World) -> bool {
    let mut state = world.lock();
    let tip = state.chain.tip().clone();
    let claimed = |p: &Participant| {
        let account = tip.state.accounts.get(&p.address);
        account.is_none_or(|a| a.left + a.claimable == 0)
    };
    let over = tip.state.ended && world.clients.iter().all(claimed) && all_there(world, &state);
    if over {
        state.reached(Reached::AllClaimed);
    }
    over
}

/// What somebody deleted was made again.
fn all_there(world: &World, state: &State) -> bool {
    let objects = &state.api.objects;
    let clients = objects
        .clients
        .values()
        .filter(|c| c.metadata.deletion_timestamp.is_none());
    let tasks = objects
        .tasks
        .values()
        .filter(|t| t.metadata.deletion_timestamp.is_none());
    (clients.count(), tasks.count()) == (world.clients.len(), 1)
}

fn world(plan: Plan, bug: Option<Bug>, time: Arc<Time>, mut random: Random, keep_trace: bool) -> Arc<World> {
    let fixed = fixed();
    let clients: Vec<Participant> = fixed.clients[..plan.clients].to_vec();
    let account = |native: u128, tokens: u128| Account {
        native,
        tokens,
        ..Account::default()
    };
    let mut accounts: BTreeMap<Address, Account> = BTreeMap::new();
    for index in 0..plan.others {
        accounts.insert(others::address(index), account(1_000 * COIN, 3 * STAKE));
    }
    for client in &clients {
        accounts.insert(client.address, account(COIN, 3 * STAKE));
    }
    accounts.insert(fixed.keeper.address, account(COIN, 0));
    let task = TaskModel::new(plan.parameters.clone(), accounts, FIRST, START);
    let tokens = task.total_tokens();
    let mut api = ApiServer::default();
    let object = manifests::task(&plan);
    api.objects
        .tasks
        .insert(Key::new(NAMESPACE, TASK_NAME), Arc::new(object));
    for client in &clients {
        let object = manifests::client(&plan, &client.name);
        api.objects
            .clients
            .insert(Key::new(NAMESPACE, object.name_any()), Arc::new(object));
    }
    for participant in clients.iter().chain([&fixed.keeper]) {
        let secret = manifests::signing_secret(participant);
        api.put_secret(Key::new(NAMESPACE, secret.name_any()), secret);
    }
    let state = State {
        trace: Trace::new(START * 1000, keep_trace),
        coverage: Coverage::new(),
        violations: Vec::new(),
        chain: Chain::new(task, START, random.next()),
        aimed: None,
        foreign: Foreign::default(),
        deleted: Deleted::default(),
        nodes: vec![Node::default(); plan.endpoints],
        api,
        gateway: Gateway::default(),
        processes: Vec::new(),
        calls: 0,
        planned: 0,
        disturbed: Vec::new(),
        openings: BTreeMap::new(),
        shown_open: BTreeSet::new(),
        no_funds_until: BTreeMap::new(),
        spike_until: 0,
        committed: BTreeMap::new(),
        produced: BTreeSet::new(),
        views: BTreeMap::new(),
        taken_back: BTreeSet::new(),
        stakes_taken_back: BTreeMap::new(),
        away: BTreeMap::new(),
        down_until: 0,
        two_led: 0,
        interrupted: 0,
        tokens,
        random,
    };
    World::new(time, plan, bug, clients, fixed.keeper.clone(), state)
}
