//! Somebody else who has a client's key, and uses it.

use std::{collections::BTreeMap, sync::Arc};

use alloy::primitives::{B256, keccak256};
use crds::{conditions::reason, names};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use operator::cluster::Key;
use protocol::{
    action::Transaction,
    types::{Address, Commitment, Phase, Role, Round},
};

use crate::{
    api::{self, NAMESPACE},
    chain::{GAS, GWEI, Tx},
    faults::{Fault, Reached},
    plan::BLOCK,
    time::Millis,
    world::{Participant, State, World},
};

/// What was sent with our keys by somebody else.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// Not priced to be mined; forgotten by the pool at that time.
    stuck: Vec<(B256, Millis)>,
    pub(crate) commitments: Vec<(Address, Commitment)>,
    /// Up to which round a person ever said that the votes of a key were theirs.
    acknowledged: BTreeMap<Address, u32>,
    sent: u64,
}

impl Foreign {
    pub(crate) fn committed(&self, who: Address, commitment: Commitment) -> bool {
        self.commitments.contains(&(who, commitment))
    }

    /// Whether there is a commitment, and the client's own operator made it.
    pub(crate) fn is_own(&self, who: Address, commitment: Option<Commitment>) -> bool {
        commitment.is_some_and(|commitment| !self.committed(who, commitment))
    }

    pub(crate) fn ever(&self, who: Address) -> bool {
        self.commitments.iter().any(|(account, _)| *account == who)
    }
}

/// No further round is joined once somebody else has voted with the key, unless a person said that this was theirs.
pub(crate) fn joins(world: &World, state: &mut State, who: Address, now: Millis) {
    // What a reorg or a node that is behind shows is looked at as it was.
    if world.plan.rates.any(&Fault::OTHER_CHAIN) {
        return;
    }
    let tip = state.chain.tip().clone();
    let said = state.foreign.acknowledged.get(&who).copied();
    let unexplained = tip.state.rounds.iter().filter(|r| r.settled_at != 0).find(|round| {
        let seat = round.seat(who).and_then(|seat| seat.commitment);
        seat.is_some_and(|c| state.foreign.committed(who, c)) && said.is_none_or(|last| last < round.number)
    });
    if let Some(round) = unexplained {
        let text = format!(
            "{} joins round {} although somebody else voted with its key in round {}",
            world.name(who),
            tip.state.number(),
            round.number
        );
        state.violation(now, text);
    }
}

/// Somebody who finds a client stopped because of a vote that was cast elsewhere says that it was theirs.
fn acknowledge(world: &World, state: &mut State, us: &Participant, now: Millis) {
    let key = Key::new(NAMESPACE, &us.name);
    let Some(client) = state.api.objects.clients.get(&key) else {
        return;
    };
    let ledger = client.status.as_ref().and_then(|status| status.ledger.as_ref());
    let Some(round) = ledger.and_then(|ledger| ledger.foreign_round) else {
        return;
    };
    let text = round.to_string();
    let said = client.annotations().get(names::ANNOTATION_KEY_IS_MINE) == Some(&text);
    if said || !world.strikes(state, Fault::Acknowledged) {
        return;
    }
    if let Some(client) = state.api.objects.clients.get_mut(&key) {
        let annotations = Arc::make_mut(client).annotations_mut();
        annotations.insert(names::ANNOTATION_KEY_IS_MINE.to_owned(), text);
    }
    let said = state.foreign.acknowledged.entry(us.address).or_default();
    *said = round.max(*said);
    state
        .trace
        .note(now, "acknowledged", u64::from(round), || us.name.clone());
    state.disturb(now, now + 1);
    api::client_changed(world, state, &key);
}

/// After every block.
pub(crate) fn act(world: &World, state: &mut State, now: Millis) {
    let calm = world.calm();
    let forgotten: Vec<B256> = state
        .foreign
        .stuck
        .extract_if(.., |(_, until)| calm || *until <= now)
        .map(|(hash, _)| hash)
        .collect();
    state.chain.pool.retain(|p| !forgotten.contains(&p.tx.hash));
    for index in 0..world.clients.len() {
        acknowledge(world, state, &world.clients[index], now);
        let us = world.clients[index].address;
        if let Some(call) = commitment(state, us)
            && world.strikes(state, Fault::ForeignCommitment)
        {
            if let Transaction::CommitVote { commitment, .. } = call {
                state.foreign.commitments.push((us, commitment));
            }
            send(world, state, us, call, now);
        } else if world.strikes(state, Fault::ForeignTransaction) {
            // It reverts, and has used a nonce.
            let round = Round(u32::MAX);
            send(world, state, us, Transaction::FinishRound { round }, now);
        }
    }
}

/// A commitment to a vote that only that somebody knows, if the account may commit now.
fn commitment(state: &mut State, us: Address) -> Option<Transaction> {
    let tip = state.chain.tip().clone();
    let round = tip.state.current();
    let seat = round.seat(us)?;
    let may = tip.state.phase(tip.time) == Phase::Commit && seat.role == Role::Voter && seat.commitment.is_none();
    may.then(|| Transaction::CommitVote {
        round: Round(round.number),
        round_digest: round.round_digest,
        commitment: Commitment(keccak256(state.random.next().to_be_bytes())),
    })
}

fn send(world: &World, state: &mut State, from: Address, call: Transaction, now: Millis) {
    let nonce = state.chain.tip().state.accounts.get(&from).map_or(0, |a| a.nonce);
    let pending = state
        .chain
        .pool
        .iter()
        .find(|p| (p.tx.from, p.tx.nonce) == (from, nonce));
    let highest = pending.map_or((0, 0), |p| (p.tx.max_fee, p.tx.tip));
    let commits = matches!(call, Transaction::CommitVote { .. });
    let (nonce, max_fee, tip) = match state.random.below(3) {
        // In the place of what is pending.
        0 => (nonce, highest.0.max(10 * GWEI) * 2, highest.1 * 2),
        // Too cheap to be mined.
        1 if !commits => (state.chain.pending_nonce(from, nonce), GWEI / 2, 0),
        _ => (state.chain.pending_nonce(from, nonce), 10 * GWEI, 0),
    };
    state.foreign.sent += 1;
    let tx = Tx {
        hash: keccak256([from.as_slice(), b"foreign", &state.foreign.sent.to_be_bytes()].concat()),
        from,
        nonce,
        call,
        max_fee,
        tip,
        gas_limit: GAS,
        process: None,
    };
    let hash = tx.hash;
    let taken = state.chain.submit(tx, 0);
    state.trace.note(now, "foreign", nonce, || {
        format!(
            "somebody else sends with the key of {} at nonce {nonce}: {taken:?}",
            world.name(from)
        )
    });
    if taken.is_err() {
        return;
    }
    // A duty with a deadline waits for it for six blocks, and is mined later than it would have been.
    state.disturb(now, now + 10 * BLOCK * 1000);
    if max_fee < GWEI {
        let until = now + 1000 * state.random.between(10, 120);
        state.foreign.stuck.push((hash, until));
    }
}

/// A client stops at a commitment only if it is foreign, or if nothing is left that would show whose it is.
pub(crate) fn stops(world: &World, state: &mut State, key: &Key, status: &crds::FLClientStatus) {
    let us = world.clients.iter().find(|p| p.name == key.name);
    let Some(us) = us.filter(|_| status.stopped.as_deref() == Some(reason::FOREIGN_COMMITMENT)) else {
        return;
    };
    if state.foreign.ever(us.address) {
        state.reached(Reached::ForeignCommitment);
    } else if world.plan.rates.of(Fault::EntryLost) == 0 || is_known(state, us) {
        let text = format!("{} stops at a commitment of its own as if it were foreign", us.name);
        state.violation(world.now(), text);
    }
}

/// Whether what a client committed to in the present round is stored, or can be found with the result of its Job.
fn is_known(state: &State, us: &Participant) -> bool {
    let tip = state.chain.tip().clone();
    let round = tip.state.current();
    let Some(commitment) = round.seat(us.address).and_then(|seat| seat.commitment) else {
        return true;
    };
    let job = format!("{}-{}-vote-", us.name, round.number);
    state.api.secrets.values().any(|secret| holds(secret, commitment))
        || state.api.jobs.keys().any(|key| key.name.starts_with(&job))
}

/// A key is said to be used elsewhere only if it is, or if what would show the contrary was lost.
pub(crate) fn used_elsewhere(world: &World, state: &mut State, key: &Key, status: &crds::FLClientStatus) {
    let foreign = status.ledger.as_ref().and_then(|ledger| ledger.foreign_round);
    let us = world.clients.iter().find(|p| p.name == key.name);
    let (Some(round), Some(us)) = (foreign, us) else {
        return;
    };
    if state.foreign.ever(us.address) {
        state.reached(Reached::KeyUsedElsewhere);
    } else if world.plan.rates.of(Fault::EntryLost) == 0 {
        let text = format!("{} takes its own vote of round {round} for somebody else's", us.name);
        state.violation(world.now(), text);
    }
}

/// Whether it is the stored vote of this commitment.
pub(crate) fn holds(secret: &Secret, commitment: Commitment) -> bool {
    let vote = secret.data.as_ref().and_then(|data| data.get("vote.json"));
    vote.is_some_and(|vote| String::from_utf8_lossy(&vote.0).contains(&commitment.to_string()))
}
