//! Reorgs: at any moment, and aimed at what was just done.

use std::sync::Arc;

use protocol::action::Transaction;

use crate::{
    blocks,
    chain::{Block, FIRST, Mined},
    faults::{Fault, Reached},
    world::{Aim, State, World},
};

const REORGS: [u64; 14] = [1, 1, 1, 2, 2, 3, 4, 6, 8, 12, 20, 32, 48, 64];

/// How many blocks a reorg takes back now, if there is one.
pub(crate) fn depth(world: &World, state: &mut State) -> Option<u64> {
    if world.calm() {
        return None;
    }
    let tip = state.chain.tip().number;
    let aimed = state.aimed.filter(|aim| aim.at <= tip);
    let depth = if let Some(aim) = aimed {
        state.aimed = None;
        tip + 1 - aim.from
    } else if world.strikes(state, Fault::Reorg) {
        *state.random.pick(&REORGS)
    } else {
        return None;
    };
    Some(depth.min(tip - FIRST)).filter(|depth| *depth > 0)
}

/// What was just mined can be what a reorg takes back, in the next blocks.
pub(crate) fn aim(world: &World, state: &mut State, block: &Block) {
    if state.aimed.is_some() {
        return;
    }
    let done = |m: &&Mined| m.tx.process.is_some() && m.reverted.is_none() && world.is_client(m.tx.from);
    let round = block.state.current();
    let ours = block.mined.iter().filter(done).count();
    let drawn = round.drawn_block == block.number;
    let settled = block.state.rounds.iter().any(|r| r.settled_block == block.number);
    let from = if (drawn || settled) && world.strikes(state, Fault::ReorgOnDraw) {
        round.seed_block.filter(|_| drawn).unwrap_or(block.number)
    } else if ours > 0 && world.strikes(state, Fault::ReorgOnUs) {
        block.number
    } else {
        return;
    };
    let at = block.number + state.random.below(4);
    state.aimed = Some(Aim { at, from });
}

/// Takes blocks back, and mines others in their place.
pub(crate) fn strike(world: &Arc<World>, state: &mut State, depth: u64, now: u64) {
    *state.coverage.reorg_depths.entry(depth).or_default() += 1;
    state.disturb(now, now + 15_000);
    let before = state.chain.tip().clone();
    let mut random = state.random.fork();
    let forget = world.plan.rate(Fault::PoolForgets, now);
    let mut forgotten = 0;
    let orphans = state.chain.unwind(depth, |_| {
        let drop = random.chance(forget);
        forgotten += u64::from(drop);
        drop
    });
    for _ in 0..forgotten {
        state.coverage.struck(Fault::PoolForgets);
    }
    stakes_taken_back(world, state, &before, &orphans);
    let base = state.chain.tip().clone();
    let blocks = depth + random.below(2);
    state.trace.note(now, "reorg", depth, || {
        format!("{depth} blocks back to {}, {blocks} new ones", base.number)
    });
    for k in 1..=blocks {
        let span = (now / 1000).saturating_sub(base.time).max(blocks);
        let time = (base.time + span * k / blocks).max(base.time + k);
        let block = state.chain.mine(time, |_| random.below(10) < 7);
        blocks::after(world, state, &block, now);
    }
    undone(world, state, &before, &base, &orphans);
}

/// Whatever became of a stake, that was beyond doubt, and another may be sent when it is not so any more. Each of these may then
/// succeed beside that: see docs/decisions/0008.
fn stakes_taken_back(world: &World, state: &mut State, before: &Block, orphans: &[Arc<Block>]) {
    let confirmed = |block: &&Arc<Block>| before.number - block.number >= u64::from(world.plan.depth);
    for mined in orphans.iter().filter(confirmed).flat_map(|block| &block.mined) {
        if matches!(mined.tx.call, Transaction::Stake { .. }) {
            let stakes = state.stakes_taken_back.entry(mined.tx.from).or_default();
            stakes.insert(mined.tx.hash);
        }
    }
}

/// What the reorg did to us.
fn undone(world: &World, state: &mut State, before: &Arc<Block>, base: &Arc<Block>, orphans: &[Arc<Block>]) {
    let tip = state.chain.tip().clone();
    for (old, new) in before.state.rounds.iter().zip(&tip.state.rounds) {
        if old.drawn_at.is_some() && new.drawn_at.is_some() && old.draw_digest != new.draw_digest {
            state.reached(Reached::RolesRedrawn);
        }
        let voted = state
            .committed
            .keys()
            .any(|(_, round, digest)| *round == old.number && *digest == old.round_digest);
        if voted && old.round_digest != new.round_digest {
            state.reached(Reached::InputsReplaced);
        }
    }
    for old in &before.state.rounds {
        let was_final = old.settled_at != 0
            && old.settled_block > base.number
            && before.number - old.settled_block >= u64::from(world.plan.depth);
        // Nobody need have seen it open in between: see docs/decisions/0008.
        if was_final {
            state.taken_back.insert(old.number);
        }
    }
    for mined in orphans.iter().flat_map(|b| &b.mined).filter(|m| m.tx.process.is_some()) {
        let again = state.chain.inclusion(&tip, mined.tx.hash).is_some();
        let waits = state.chain.pool.iter().any(|p| p.tx.hash == mined.tx.hash);
        if again {
            state.reached(Reached::OwnIncludedAgain);
        } else if !waits {
            state.reached(Reached::OwnDropped);
        }
        match mined.tx.call {
            Transaction::CommitVote { .. } if !again => state.reached(Reached::CommitUndone),
            Transaction::RevealVote { .. } if !again => state.reached(Reached::RevealUndone),
            _ => {}
        }
    }
}
