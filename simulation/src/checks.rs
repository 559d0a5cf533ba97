//! What must hold when a run is over.

use std::{ops::RangeInclusive, sync::Arc};

use crds::{FLRoundStatus, names};
use kube::ResourceExt;
use operator::{
    chain::{
        ChainIdentity, ChainReader, Confirmations, EvmReader,
        rpc::{Rpc, RpcConfig},
        transport::Transport,
    },
    clock::SystemClock,
    cluster::Key,
    controller::task::{
        mirror::{RoundTransactions, flround},
        status,
    },
};
use protocol::{
    snapshot::TaskSnapshot,
    types::{Outcome, Phase, Role, Round},
};

use crate::{
    api::{NAMESPACE, OPERATOR, TASK_NAME},
    calls::Caller,
    contract::{CHAIN_ID, TASK},
    endpoint::{Endpoint, GENESIS},
    faults::Reached,
    plan::BLOCK,
    process::look,
    round::{RoundModel, Seat},
    time::Millis,
    world::{Memory, Participant, Process, State, World},
};

/// Undisturbed time in which a process that is able to act must have acted, in milliseconds: woken by the chain or after
/// the longest pause of its own (15 s), with a transaction of a process before it to be outbid (6 blocks), and mined.
const ABLE: Millis = 60_000;

/// The end of a run, in calm.
pub(crate) async fn at_the_end(world: &Arc<World>) {
    {
        let mut guard = world.lock();
        let state = &mut *guard;
        let now = world.now();
        duties(world, state, now);
        clean(world, state, now);
    }
    if let Err(error) = mirrored(world).await {
        let now = world.now();
        world
            .lock()
            .violation(now, format!("the auditor cannot read the chain: {error}"));
    }
}

/// Rounds that ran in calm have every duty done; commitments are revealed wherever that was possible.
fn duties(world: &World, state: &mut State, now: Millis) {
    let tip = state.chain.tip().clone();
    for round in &tip.state.rounds {
        let Some(drawn_at) = round.drawn_at else { continue };
        for client in &world.clients {
            let away = state.away.get(&client.address).copied().unwrap_or_default();
            let in_calm = drawn_at * 1000 > world.plan.calm_at.max(state.down_until).max(away) + 60_000;
            let Some(seat) = round.seat(client.address) else {
                continue;
            };
            if in_calm {
                state.reached(Reached::CalmRoundJudged);
                if let Some(missed) = missed(round, seat) {
                    let text = format!(
                        "{} did not {missed} in round {}, which ran in calm",
                        client.name, round.number
                    );
                    state.violation(now, text);
                }
            }
            revealed(state, client, round, seat, now);
        }
    }
}

fn missed(round: &RoundModel, seat: &Seat) -> Option<&'static str> {
    match seat.role {
        Role::Proposer if seat.contribution.is_none() => Some("contribute"),
        Role::Voter if round.contributed() > 0 && seat.commitment.is_none() => Some("commit"),
        Role::Voter if seat.commitment.is_some() && seat.vote.is_none() => Some("reveal"),
        _ => None,
    }
}

/// A commitment on the canonical chain is revealed if, while the chain showed the window open and the commitments
/// confirmed or its last quarter begun, some process was able to act for a while: alive, its endpoints and the API server
/// reachable and current, funds there, and the price below the cap.
fn revealed(state: &mut State, client: &Participant, round: &RoundModel, seat: &Seat, now: Millis) {
    let ours = state.foreign.is_own(client.address, seat.commitment);
    let judged = seat.role == Role::Voter && ours && round.finished_at != 0;
    if !judged || round.outcome == Outcome::Void {
        return;
    }
    if seat.vote.is_some() {
        state.reached(Reached::RevealJudged);
        return;
    }
    let openings = state.openings.get(&(client.address, round.number));
    let mut calm = openings
        .into_iter()
        .flatten()
        .map(|(from, to)| longest_calm(&state.disturbed, *from, *to));
    if calm.any(|calm| calm >= ABLE) {
        let text = format!(
            "{} committed in round {} and did not reveal, although it was able to",
            client.name, round.number
        );
        state.violation(now, text);
    } else {
        state.reached(Reached::RevealMissed);
    }
}

/// Keeps for how long the chain has shown that a commitment of ours can be revealed. A chain that a reorg took back
/// counts as it was: nobody can act on what only the chain after it shows.
pub(crate) fn look_for_openings(world: &World, state: &mut State, now: Millis) {
    let tip = state.chain.tip().clone();
    let round = tip.state.current();
    for client in &world.clients {
        let key = (client.address, round.number);
        let there = state
            .api
            .objects
            .clients
            .contains_key(&Key::new(NAMESPACE, &client.name));
        if !there {
            // Deleted when its duties were done. A deep reorg may bring them back, and there is nobody to do them.
            state.away.insert(client.address, now);
        }
        let Some(seat) = round.seat(client.address) else {
            continue;
        };
        if seat.vote.is_some() {
            // It acted in time. If that is undone, what counts is what can be done from then on.
            state.openings.remove(&key);
        }
        // What somebody else committed to, only they can reveal.
        let ours = state.foreign.is_own(client.address, seat.commitment);
        if !there || !ours || !can_reveal(world, state, round, seat) {
            state.shown_open.remove(&key);
            continue;
        }
        let openings = state.openings.entry(key).or_default();
        match openings.last_mut() {
            Some(opening) if state.shown_open.contains(&key) => opening.1 = now,
            _ => openings.push((now, now)),
        }
        state.shown_open.insert(key);
    }
}

fn can_reveal(world: &World, state: &State, round: &RoundModel, seat: &Seat) -> bool {
    let tip = state.chain.tip();
    if seat.vote.is_some() || tip.state.phase(tip.time) != Phase::Reveal {
        return false;
    }
    let times = round.times(&world.plan.parameters, tip.time);
    let commitments = round.seats.iter().filter(|s| s.commitment.is_some());
    let last = commitments.map(|s| s.acted_block).max().unwrap_or_default();
    let confirmed = last + u64::from(world.plan.depth) <= tip.number;
    let quarter = times.reveal_deadline - u64::from(world.plan.parameters.reveal_window) / 4;
    (confirmed || tip.time >= quarter) && tip.time + 2 * BLOCK <= times.reveal_deadline
}

/// The longest stretch of `[from, to)` that nothing disturbed.
fn longest_calm(disturbed: &[(Millis, Millis)], from: Millis, to: Millis) -> Millis {
    let mut longest = 0;
    let mut free_from = from;
    for (start, end) in disturbed {
        if *start >= to {
            break;
        }
        longest = longest.max(start.saturating_sub(free_from));
        free_from = free_from.max(*end);
    }
    longest.max(to.saturating_sub(free_from))
}

/// Nothing is left behind but what is meant to be.
fn clean(world: &World, state: &mut State, now: Millis) {
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for (key, job) in &state.api.jobs {
        let conditions = job.status.as_ref().and_then(|s| s.conditions.as_ref());
        // One that hangs although its result is known, from an earlier life of its client, ends by its own deadline.
        let answered = state.gateway.results.contains_key(&key.to_string());
        let runs = conditions.is_none_or(Vec::is_empty);
        if runs && !answered {
            found.push(format!("Job {} still runs", key.name));
        }
        // One that has ended needs none: a reorg may bring it back into use between the deletion of its input and its own.
        // One made again with its client while another process was still deleting what the first had left has none.
        let parted = answered && state.two_led > 0;
        if runs && !parted && !state.api.secrets.contains_key(key) {
            found.push(format!("Job {} has no input", key.name));
        }
    }
    for (key, secret) in &state.api.secrets {
        match secret.type_.as_deref() {
            Some(names::SECRET_TYPE_JOB_INPUT) if !state.api.jobs.contains_key(key) => {
                left.push(key.name.clone());
            }
            Some(names::SECRET_TYPE_VOTE | names::SECRET_TYPE_LEDGER_SEED) if key.namespace != OPERATOR => {
                found.push(format!("{key} is in a tenant's namespace"));
            }
            _ => {}
        }
    }
    // A process that ends between a Job and its input leaves the input, which then goes with the FLClient that owns it.
    // So does a Job that somebody else deleted. No more than that is left.
    if left.len() as u64 > state.interrupted {
        found.push(format!("the inputs of Jobs are left behind: {}", left.join(", ")));
    }
    for (key, client) in &state.api.objects.clients {
        let status = client.status.clone().unwrap_or_default();
        let Some(us) = world.clients.iter().find(|p| p.name == key.name) else {
            continue;
        };
        let account = state.chain.tip().state.accounts[&us.address].clone();
        if status.step.as_deref() != Some("Claimed") {
            found.push(format!(
                "{} is said to be {:?} when all is claimed",
                key.name, status.step
            ));
        }
        let said = (status.stake, status.claimable);
        if said != (Some(account.left.into()), Some(account.claimable.into())) {
            found.push(format!("{} is said to have {said:?}", key.name));
        }
    }
    for text in found {
        state.violation(now, text);
    }
}

/// Every FLRound and the FLTask say what the chain says.
async fn mirrored(world: &Arc<World>) -> Result<(), operator::chain::ChainError> {
    let reader = auditor(world);
    let head = reader.head().await?;
    let confirmed = reader.confirmed_block(&head).await?;
    let current = reader.snapshot(TASK, &head, None, &[]).await?;
    let last = current.round.round.0;
    let oldest = world.plan.history.map_or(0, |kept| (last + 1).saturating_sub(kept));
    let numbers = oldest..=last;
    history(world, &numbers);
    for number in numbers {
        let snapshot = reader.snapshot(TASK, &head, Some(Round(number)), &[]).await?;
        let transactions = match snapshot.round.drawn_block {
            Some(drawn) => {
                let to = snapshot.round.settled_block.unwrap_or(head.number);
                RoundTransactions::of(snapshot.round.round, &reader.task_logs(TASK, drawn, to).await?)
            }
            None => RoundTransactions::default(),
        };
        round(world, &snapshot, &transactions, confirmed);
    }
    task(world, &current);
    Ok(())
}

/// No more FLRounds are there than are to be kept. One that a late watch hid is seen at the next look.
fn history(world: &World, numbers: &RangeInclusive<u32>) {
    let mut state = world.lock();
    let now = world.now();
    let disturbed = state.disturbed.last().map_or(0, |(_, until)| *until);
    let kept = state.api.objects.rounds.values().map(|round| round.spec.round);
    let more: Vec<u32> = kept.filter(|number| !numbers.contains(number)).collect();
    if !more.is_empty() && now > disturbed + look() + 30_000 {
        let text = format!("FLRounds {more:?} are kept, although only {numbers:?} are to be");
        state.violation(now, text);
    }
}

fn round(world: &World, snapshot: &TaskSnapshot, transactions: &RoundTransactions, confirmed: u64) {
    let number = snapshot.round.round.0;
    let mut state = world.lock();
    let now = world.now();
    if state.taken_back.contains(&number) {
        return;
    }
    let expected = flround(TASK_NAME, NAMESPACE, None, snapshot, transactions, confirmed);
    let key = Key::new(NAMESPACE, expected.name_any());
    let said = state.api.objects.rounds.get(&key).and_then(|r| r.status.clone());
    if said == expected.status {
        return;
    }
    let text = match said {
        None => format!("round {number} has no FLRound"),
        Some(said) => format!(
            "FLRound {number} differs from the chain: {}",
            difference(&said, expected.status.as_ref())
        ),
    };
    state.violation(now, text);
}

/// The first field that differs, for people.
fn difference(said: &FLRoundStatus, expected: Option<&FLRoundStatus>) -> String {
    let (said, expected) = (serde_json::json!(said), serde_json::json!(expected));
    let empty = serde_json::Map::new();
    let fields = expected.as_object().unwrap_or(&empty);
    fields
        .iter()
        .find(|(name, value)| said.get(*name) != Some(value))
        .map_or_else(
            || "it says more than there is".to_owned(),
            |(name, value)| format!("{name}: {:?} instead of {value}", said.get(name)),
        )
}

fn task(world: &World, current: &TaskSnapshot) {
    let mut state = world.lock();
    let now = world.now();
    let key = Key::new(NAMESPACE, TASK_NAME);
    let said = state.api.objects.tasks[&key].status.clone().unwrap_or_default();
    let expected = status::of_snapshot(current, None, &said);
    if said != expected {
        state.violation(
            now,
            format!("FLTask differs from the chain: {said:?} instead of {expected:?}"),
        );
    }
}

/// A reader of its own that nothing happens to.
fn auditor(world: &Arc<World>) -> EvmReader {
    let id = {
        let mut state = world.lock();
        state.processes.push(Process {
            alive: true,
            frozen_until: 0,
            fenced_until: 0,
            skew: 0,
            tasks: Vec::new(),
            shown_reveal: Default::default(),
            refused: Default::default(),
            memory: Memory::default(),
        });
        state.processes.len() - 1
    };
    let caller = Caller {
        world: world.clone(),
        id,
    };
    let config = RpcConfig {
        chain: "audit".to_owned(),
        expected: Some(ChainIdentity {
            chain_id: CHAIN_ID,
            genesis_hash: GENESIS,
        }),
        stale_after: u64::MAX,
    };
    let transports: Vec<Arc<dyn Transport>> = vec![Arc::new(Endpoint::new(caller, 0))];
    let rpc = Rpc::new(config, transports, Arc::new(SystemClock), None);
    EvmReader::new(Arc::new(rpc), Confirmations::Depth(world.plan.depth))
}
