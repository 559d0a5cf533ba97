//! Who becomes proposer, who voter: the same draw as the contract's, to check it and to simulate it.

use alloy_primitives::{U256, keccak256};
use alloy_sol_types::SolValue;

use crate::types::{Address, B256, Round};

/// 1.0 in the contract's fixed-point ratios.
pub const RATE_ONE: u64 = 1_000_000_000_000_000_000;

/// keccak256(abi.encode(seed block's hash, chain id, task, round)).
pub fn seed(seed_block_hash: B256, chain_id: u64, task: Address, round: Round) -> B256 {
    keccak256((seed_block_hash, U256::from(chain_id), task, U256::from(round.0)).abi_encode())
}

/// Fisher-Yates over join order: element k is the join index of the participant drawn into seat k.
pub fn shuffle(seed: B256, participants: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..participants).collect();
    for i in (1..participants).rev() {
        let random = U256::from_be_bytes(keccak256((seed, U256::from(i)).abi_encode()).0);
        let j = (random % U256::from(i + 1)).as_limbs()[0] as usize;
        order.swap(i, j);
    }
    order
}

/// How many of `participants` become proposers: max(1, min(n - 1, floor(n * rate / 1e18))). `rate` is 1e18-scaled.
pub fn proposer_count(participants: usize, rate: u64) -> usize {
    let share = (participants as u128).saturating_mul(rate.into()) / u128::from(RATE_ONE);
    usize::try_from(share)
        .unwrap_or(usize::MAX)
        .min(participants.saturating_sub(1))
        .max(1)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Case {
        seed_block_hash: B256,
        chain_id: String,
        task: Address,
        round: u32,
        seed: B256,
        n: usize,
        rate: String,
        proposers: usize,
        order: Vec<usize>,
    }

    #[test]
    fn draws_are_those_of_the_contract() {
        let vectors: Vectors = serde_json::from_str(include_str!("../../contracts/test/vectors/draw.json")).unwrap();
        assert!(vectors.cases.len() >= 6);
        for case in vectors.cases {
            let chain_id = case.chain_id.parse().unwrap();
            assert_eq!(
                seed(case.seed_block_hash, chain_id, case.task, Round(case.round)),
                case.seed
            );
            assert_eq!(shuffle(case.seed, case.n), case.order);
            assert_eq!(proposer_count(case.n, case.rate.parse().unwrap()), case.proposers);
        }
    }

    #[test]
    fn there_is_always_a_proposer_and_a_voter() {
        for n in 2..=100 {
            for rate in [1, RATE_ONE / 10, RATE_ONE / 2] {
                let proposers = proposer_count(n, rate);
                assert!((1..n).contains(&proposers), "{n} at {rate}");
            }
        }
        assert_eq!(
            (proposer_count(6, RATE_ONE / 2), proposer_count(6, RATE_ONE / 3)),
            (3, 1)
        );
    }

    #[test]
    fn small_rosters_do_not_break_the_shuffle() {
        assert_eq!(shuffle(B256::ZERO, 0), Vec::<usize>::new());
        assert_eq!(shuffle(B256::ZERO, 1), [0]);
    }
}
