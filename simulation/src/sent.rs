//! Promises about what the operator hands to a node, checked at that very moment.

use alloy::primitives::{B256, keccak256};
use protocol::{action::Transaction, types::Address};

use crate::{
    api::OPERATOR, calls::Caller, chain::Tx, contract::Revert, faults::Reached, foreign, plan::STAKE, world::State,
};

/// What tells one call of one account from another.
fn call_id(from: Address, call: &Transaction) -> B256 {
    let mut text = from.as_slice().to_vec();
    text.extend_from_slice(call.name().as_bytes());
    match call {
        Transaction::JoinRound { round, .. }
        | Transaction::SelectRoundParticipants { round }
        | Transaction::FinishRound { round }
        | Transaction::Slash { round }
        | Transaction::RevealVote { round, .. } => text.extend_from_slice(&round.0.to_be_bytes()),
        Transaction::Contribute {
            round,
            draw_digest: digest,
            ..
        }
        | Transaction::CommitVote {
            round,
            round_digest: digest,
            ..
        } => {
            text.extend_from_slice(&round.0.to_be_bytes());
            text.extend_from_slice(digest.0.as_slice());
        }
        Transaction::Approve { .. }
        | Transaction::Stake { .. }
        | Transaction::Terminate
        | Transaction::ClaimRewards => {}
    }
    keccak256(text)
}

/// A node was shown the call, so that whoever runs the node knows what is in it.
pub(crate) fn looked_at(caller: &Caller, state: &mut State, from: Address, call: &Transaction) {
    if let Transaction::RevealVote { round, .. } = call
        && !state.processes[caller.id].shown_reveal.contains(&round.0)
    {
        let text = format!(
            "{} shows a vote of round {round} before its reveal window was ever open",
            caller.world.name(from)
        );
        state.violation(caller.world.now(), text);
    }
}

/// The chain told what would come of the call.
pub(crate) fn tried(
    caller: &Caller,
    state: &mut State,
    from: Address,
    call: &Transaction,
    outcome: Result<(), Revert>,
) {
    let id = call_id(from, call);
    let refused = &mut state.processes[caller.id].refused;
    if outcome.is_ok() {
        refused.remove(&id);
    } else {
        refused.insert(id);
    }
}

/// A transaction is handed to a node.
pub(crate) fn broadcast(caller: &Caller, state: &mut State, tx: &Tx) {
    let world = &caller.world;
    let (now, who) = (world.now(), world.name(tx.from));
    if world.ours(tx.from).is_none() {
        state.violation(
            now,
            format!("a transaction signed by a key that is not ours: {:?}", tx.call),
        );
        return;
    }
    looked_at(caller, state, tx.from, &tx.call);
    if state.processes[caller.id].refused.contains(&call_id(tx.from, &tx.call)) {
        state.violation(
            now,
            format!(
                "{who} sends {:?} although the chain refused it when it was last tried",
                tx.call
            ),
        );
    }
    let pending = state
        .chain
        .pool
        .iter()
        .find(|p| p.tx.from == tx.from && p.tx.nonce == tx.nonce);
    if pending.is_some_and(|p| p.tx.process.is_some_and(|process| process != caller.id)) {
        state.reached(Reached::ForeignPending);
    } else if pending.is_some_and(|p| p.tx.process.is_none()) {
        state.reached(Reached::ForeignReplaced);
    }
    match &tx.call {
        Transaction::CommitVote {
            round,
            round_digest,
            commitment,
        } => {
            let key = (tx.from, round.0, *round_digest);
            let first = *state.committed.entry(key).or_insert(*commitment);
            if first != *commitment {
                state.violation(
                    now,
                    format!("{who} sends a second commitment for the same round and inputs"),
                );
            }
            let mut secrets = state.api.secrets.iter();
            let stored = secrets.any(|(key, secret)| key.namespace == OPERATOR && foreign::holds(secret, *commitment));
            let lost = world.plan.rates.of(crate::faults::Fault::EntryLost) > 0;
            if !stored && !lost {
                state.violation(now, format!("{who} commits to a vote that is not stored"));
            }
        }
        Transaction::JoinRound { .. } => foreign::joins(world, state, tx.from, now),
        Transaction::Stake { amount } if amount.0 != alloy::primitives::U256::from(STAKE) => {
            state.violation(now, format!("{who} stakes {amount}"));
        }
        _ => {}
    }
}
