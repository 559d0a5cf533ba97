//! What happens with every block: weather, mining, and what can be checked of a block.

use std::sync::Arc;

use protocol::{
    action::Transaction,
    types::{Outcome, Role},
};

use crate::{
    api,
    chain::{Block, GWEI, Mined},
    checks, deletion,
    faults::{Fault, Reached},
    foreign, others,
    plan::{BLOCK, COIN},
    process, reorgs,
    trace::short,
    world::{State, World},
};

/// One block's worth of time has passed.
pub(crate) fn next(world: &Arc<World>) {
    let mut guard = world.lock();
    let state = &mut *guard;
    let now = world.now();
    weather(world, state, now);
    if let Some(depth) = reorgs::depth(world, state) {
        reorgs::strike(world, state, depth, now);
    } else {
        let mut random = state.random.fork();
        let block = state.chain.mine(now / 1000, |_| random.below(20) > 0);
        after(world, state, &block, now);
        reorgs::aim(world, state, &block);
    }
    checks::look_for_openings(world, state, now);
    others::act(world, state);
    foreign::act(world, state, now);
    deletion::act(world, state, now);
}

/// Trouble that lasts for a while.
fn weather(world: &Arc<World>, state: &mut State, now: u64) {
    let calm = world.calm();
    if state.spike_until <= now {
        let spike = world.strikes(state, Fault::GasSpike);
        if spike {
            state.spike_until = now + 1000 * state.random.between(5, 90);
        }
        let mut random = state.random.fork();
        state.chain.drift(&mut random, spike);
        if spike {
            let (until, fee) = (state.spike_until, state.chain.base_fee / GWEI);
            state.disturb(now, until + 15_000);
            state
                .trace
                .note(now, "gas", fee as u64, || format!("the base fee is {fee} gwei"));
        }
    }
    for index in 0..world.clients.len() {
        let us = world.clients[index].address;
        let until = state.no_funds_until.get(&us).copied();
        let coin = state.chain.tip().state.accounts.get(&us).map_or(0, |a| a.native);
        if until.is_none() && coin < COIN / 2 {
            // A reorg took back that it was sent.
            set_coin(state, us, COIN);
            state.disturb(now, now + 20_000);
        }
        if until.is_some_and(|until| until <= now) {
            state.no_funds_until.remove(&us);
            set_coin(state, us, COIN);
        } else if until.is_none() && world.strikes(state, Fault::NoFunds) {
            let until = now + 1000 * state.random.between(10, 90);
            state.no_funds_until.insert(us, until);
            set_coin(state, us, 100_000 * GWEI / 100);
            state.disturb(now, until + 20_000);
            state.trace.note(now, "no funds", 0, || world.name(us));
        }
    }
    for node in 0..state.nodes.len() {
        trouble(world, state, node, now);
    }
    for id in 0..state.processes.len() {
        if state.processes[id].alive {
            process_trouble(world, state, id, now);
        }
    }
    if state.living() > 1 {
        state.two_led = now;
    }
    if world.strikes(state, Fault::SecondLeader) && state.living() == 1 {
        let world = world.clone();
        tokio::spawn(async move { process::start_beside_another(&world) });
    } else if state.living() > 1 && (calm || state.random.chance(20)) {
        let first = state.processes.iter().position(|p| p.alive).unwrap_or_default();
        process::end(world, state, first, now);
    }
    if !state.chain.pool.is_empty() && world.strikes(state, Fault::PoolForgets) {
        let index = state.random.below(state.chain.pool.len() as u64) as usize;
        state.chain.pool.remove(index);
        // It is offered again when nothing was mined for some blocks.
        state.disturb(now, now + 4 * BLOCK * 1000);
    }
    if world.strikes(state, Fault::EntryLost) {
        lose_entry(state, now);
    }
    suspend(world, state, now);
}

fn trouble(world: &World, state: &mut State, node: usize, now: u64) {
    if world.calm() {
        state.nodes[node] = Default::default();
        return;
    }
    if world.strikes(state, Fault::RpcStale) {
        let back = state.random.below(4);
        let tip = state.chain.tip().clone();
        let block = state
            .chain
            .ancestor(&tip, tip.number.saturating_sub(back))
            .unwrap_or(tip);
        let until = now + 1000 * state.random.between(2, 60);
        state.disturb(now, until);
        state.trace.note(now, "node stuck", block.number, || {
            format!("node {node} at block {}", block.number)
        });
        state.nodes[node].stuck = Some((block, until));
    }
    let low = world.strikes(state, Fault::RpcNonceLow);
    let high = world.strikes(state, Fault::RpcNonceHigh);
    // The one call that could take effect twice is made once: chance hardly ever lies at that moment, and twice.
    let on_stake = staking(world, state) && world.strikes(state, Fault::RpcNonceOnStake);
    if low || high || on_stake {
        let by = if on_stake { 2 } else { state.random.between(1, 2) as i64 };
        let until = now + 1000 * state.random.between(1, if on_stake { 10 } else { 20 });
        state.disturb(now, until + 20_000);
        state.nodes[node].nonce_lie = Some((if low { -by } else { by }, until));
        state.trace.note(now, "nonce lie", by as u64, || {
            format!("node {node} is off by {by}, too low: {low}")
        });
    }
}

/// Some client has not staked yet.
fn staking(world: &World, state: &State) -> bool {
    let accounts = &state.chain.tip().state.accounts;
    world
        .clients
        .iter()
        .any(|client| accounts.get(&client.address).is_none_or(|account| account.stakes == 0))
}

fn process_trouble(world: &Arc<World>, state: &mut State, id: usize, now: u64) {
    if world.calm() {
        let process = &mut state.processes[id];
        (process.frozen_until, process.fenced_until, process.skew) = (0, 0, 0);
        return;
    }
    if world.strikes(state, Fault::Frozen) {
        let until = now + 1000 * state.random.between(1, 60);
        state.disturb(now, until);
        state.processes[id].frozen_until = until;
        state
            .trace
            .note(now, "frozen", id as u64, || format!("process {id} stands still"));
    }
    if world.strikes(state, Fault::FenceClosed) {
        let until = now + 1000 * state.random.between(1, 40);
        state.disturb(now, until);
        state.processes[id].fenced_until = until;
        state
            .trace
            .note(now, "fence", id as u64, || format!("process {id} may not send"));
    }
}

fn set_coin(state: &mut State, address: protocol::types::Address, wei: u128) {
    // As if somebody had taken it, or sent it: in the newest block.
    let tip = state.chain.tip().clone();
    let mut task = (*tip.state).clone();
    task.account(address).native = wei;
    state.chain.amend(task);
    state.views.clear();
}

fn lose_entry(state: &mut State, now: u64) {
    let votes: Vec<_> = state
        .api
        .secrets
        .keys()
        .filter(|key| key.name.starts_with("fl-alliance-vote-"))
        .cloned()
        .collect();
    if votes.is_empty() {
        return;
    }
    let key = state.random.pick(&votes).clone();
    state.api.secrets.remove(&key);
    state.trace.note(now, "entry lost", 0, || key.to_string());
    state.disturb(now, now + 1);
}

fn suspend(world: &World, state: &mut State, now: u64) {
    let key = operator::cluster::Key::new(api::NAMESPACE, api::TASK_NAME);
    let Some(task) = state.api.objects.tasks.get(&key) else {
        return;
    };
    let suspended = task.spec.suspend;
    let change = if suspended {
        world.calm() || state.random.chance(100)
    } else {
        world.strikes(state, Fault::Suspended)
    };
    if suspended || change {
        state.disturb(now, now + 15_000);
    }
    if change && let Some(task) = state.api.objects.tasks.get_mut(&key) {
        Arc::make_mut(task).spec.suspend = !suspended;
        state.trace.note(now, "suspend", u64::from(!suspended), || {
            format!("suspend: {}", !suspended)
        });
        api::task_changed(world, state, &key, true);
    }
}

/// Looks at a new block.
pub(crate) fn after(world: &World, state: &mut State, block: &Arc<Block>, now: u64) {
    state.trace.note(now, "block", short(block.hash.as_slice()), || {
        let calls: Vec<String> = block
            .mined
            .iter()
            .map(|m| {
                let name = m.tx.call.name();
                format!(
                    "{} {name}{}",
                    world.name(m.tx.from),
                    m.reverted.map(|r| format!(" REVERTED {r}")).unwrap_or_default()
                )
            })
            .collect();
        format!(
            "{} round {} {:?}: {}",
            block.number,
            block.state.number(),
            block.state.phase(block.time),
            calls.join(", ")
        )
    });
    for mined in &block.mined {
        if mined.tx.process.is_some() {
            own(world, state, block, mined, now);
        } else if world.is_client(mined.tx.from) {
            state.reached(Reached::ForeignNonce);
        }
    }
    if block.state.total_tokens() != state.tokens {
        state.violation(
            now,
            "tokens were made or lost: the model of the contract is wrong".to_owned(),
        );
    }
}

fn own(world: &World, state: &mut State, block: &Arc<Block>, mined: &Mined, now: u64) {
    let (from, call) = (mined.tx.from, &mined.tx.call);
    if mined.reverted.is_some() {
        state.reached(Reached::OwnReverted);
        sent_twice(world, state, mined, now);
        return;
    }
    if call.is_poke() {
        state.reached(Reached::PokedByUs);
    }
    let round = |number: u32| block.state.rounds.get(number as usize).cloned();
    let broken = match call {
        Transaction::JoinRound { .. } => {
            state.reached(Reached::Joined);
            None
        }
        Transaction::Contribute {
            round: number, model, ..
        } => {
            state.reached(Reached::Contributed);
            let known = round(number.0).is_some_and(|r| state.produced.contains(&(from, r.draw_digest, *model)));
            (!known).then_some("contributes a model that was not trained for this draw")
        }
        Transaction::CommitVote { .. } => {
            state.reached(Reached::Committed);
            outage(world, state, now);
            None
        }
        Transaction::RevealVote {
            round: number,
            hash,
            mask,
            ..
        } => {
            state.reached(Reached::Revealed);
            let known = round(number.0).is_some_and(|r| {
                mask.0 == 0
                    || (mask.0 == r.contributed_mask() && state.produced.contains(&(from, r.round_digest, *hash)))
            });
            (!known).then_some("voted on something else than the round's contributions")
        }
        Transaction::Stake { .. } => {
            let back = state.stakes_taken_back.get(&from).map_or(0, |stakes| stakes.len());
            let again = block.state.accounts[&from].stakes as usize > 1 + back;
            again.then_some("staked more than once")
        }
        _ => None,
    };
    if let Some(what) = broken {
        let who = world.name(from);
        state.violation(now, format!("{who} {what}"));
    }
}

/// Chance hardly ever keeps all processes from acting for a whole window. This may.
fn outage(world: &World, state: &mut State, now: u64) {
    if world.strikes(state, Fault::Outage)
        && let Some(world) = world.shared()
    {
        let until = now + 1000 * state.random.between(60, 900);
        process::outage(&world, state, now, until);
    }
}

/// A process that knows what it did does not pay for the same call twice.
fn sent_twice(world: &World, state: &mut State, mined: &Mined, now: u64) {
    // What a reorg drops comes back above the nonces sent since, and costs what a call costs that the contract refuses.
    let nonces = [Fault::RpcNonceHigh, Fault::RpcNonceOnStake, Fault::RpcNonceLow];
    let rates = &world.plan.rates;
    if rates.any(&Fault::OTHER_CHAIN) || rates.any(&nonces) || mined.tx.call.is_poke() {
        return;
    }
    let twin = state.chain.canonical.iter().flat_map(|b| &b.mined).any(|other| {
        other.reverted.is_none()
            && other.tx.from == mined.tx.from
            && other.tx.process == mined.tx.process
            && other.tx.call == mined.tx.call
    });
    if twin {
        let (who, call) = (world.name(mined.tx.from), &mined.tx.call);
        state.violation(now, format!("{who} sent {call:?} twice and paid for both"));
    }
}

/// What the whole run came to, for the coverage.
pub(crate) fn outcomes(world: &World, state: &mut State) {
    let tip = state.chain.tip().clone();
    for round in &tip.state.rounds {
        match round.outcome {
            Outcome::Accepted => state.reached(Reached::Accepted),
            Outcome::Rejected => state.reached(Reached::Rejected),
            Outcome::Inconclusive => state.reached(Reached::Inconclusive),
            Outcome::Empty => state.reached(Reached::Empty),
            Outcome::Void => state.reached(Reached::Terminated),
            Outcome::Tie | Outcome::None => {}
        }
        for seat in round.seats.iter().filter(|s| world.is_client(s.account)) {
            match seat.role {
                Role::Proposer => state.reached(Reached::Proposer),
                Role::Voter => state.reached(Reached::Voter),
                Role::None => {}
            }
        }
    }
    for client in &world.clients {
        if tip.state.accounts.get(&client.address).is_some_and(|a| a.removed) {
            state.reached(Reached::Removed);
        }
    }
}

/// Milliseconds until the next block.
pub(crate) fn pause(world: &World) -> u64 {
    let mut state = world.lock();
    let slow = world.strikes(&mut state, Fault::SlowBlock);
    if slow {
        let seconds = state.random.between(4, 40);
        let now = world.now();
        state.disturb(now, now + 1000 * seconds);
        1000 * seconds
    } else {
        1000 * BLOCK
    }
}
