//! When this client sends what anyone may send: keepers go first, then clients one after the other, so that not all of
//! them pay for the same call.

use protocol::{snapshot::TaskSnapshot, types::Address};

/// Seconds keepers are given.
const KEEPERS_FIRST_BLOCKS: u64 = 2;
/// Blocks between one client and the next.
const STEP_BLOCKS: u64 = 2;
/// However many participants there are, all have tried by then (in steps).
const MAX_RANK: u64 = 15;

/// Seconds this participant waits with a poke that is due: by rank among the round's participants, in an order that
/// changes with each round.
pub(super) fn delay(snapshot: &TaskSnapshot, participant: Address, block_time: u64) -> u64 {
    let mine = lot(snapshot, participant);
    let before = snapshot
        .participants
        .iter()
        .filter(|other| lot(snapshot, other.account) < mine)
        .count();
    let rank = u64::try_from(before).unwrap_or(MAX_RANK).min(MAX_RANK);
    block_time.max(1) * (KEEPERS_FIRST_BLOCKS + rank * STEP_BLOCKS)
}

fn lot(snapshot: &TaskSnapshot, participant: Address) -> [u8; 32] {
    let mut bytes = [0u8; 44];
    bytes[..20].copy_from_slice(snapshot.task.as_slice());
    bytes[20..24].copy_from_slice(&snapshot.round.round.0.to_be_bytes());
    bytes[24..].copy_from_slice(participant.as_slice());
    alloy::primitives::keccak256(bytes).0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::types::Role;

    use super::*;
    use crate::testing::World;

    #[test]
    fn no_two_participants_poke_at_the_same_time_and_the_order_changes_with_the_round() {
        let world = World::drawn(Role::Voter);
        let mut snapshot = world.chain.edit(|state| state.now.clone());
        let delays = |snapshot: &TaskSnapshot| -> Vec<u64> {
            snapshot
                .participants
                .iter()
                .map(|p| delay(snapshot, p.account, 2))
                .collect()
        };
        let first = delays(&snapshot);
        assert_eq!(
            first.iter().copied().collect::<BTreeSet<_>>(),
            [4, 8, 12, 16, 20].into()
        );
        let mut orders = BTreeSet::from([first]);
        for round in 1..6 {
            snapshot.round.round.0 = round;
            orders.insert(delays(&snapshot));
        }
        assert!(orders.len() > 2, "{orders:?}");
    }
}
