//! The order of records in an epoch: the same for the same participant, round and epoch, whatever machine it runs on.

use protocol::types::{Address, Round};
use sha2::{Digest, Sha256};

/// Shuffles `records` (Fisher-Yates from the end). The random words are SplitMix64's, seeded with the first 8 bytes
/// (little-endian) of SHA-256("FLA_SHUFFLE_V1" || seed u64 || participant || round u32 || epoch u32), integers
/// little-endian.
pub fn shuffle(records: &mut [i64], seed: u64, participant: Address, round: Round, epoch: u32) {
    let digest = Sha256::new()
        .chain_update(b"FLA_SHUFFLE_V1")
        .chain_update(seed.to_le_bytes())
        .chain_update(participant)
        .chain_update(round.0.to_le_bytes())
        .chain_update(epoch.to_le_bytes())
        .finalize();
    let mut state = digest.iter().take(8).rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    for i in (1..records.len()).rev() {
        // The high word of a product: unbiased beyond anything that matters here, and no division.
        let j = (u128::from(split_mix(&mut state)) * (i as u128 + 1)) >> 64;
        records.swap(i, j as usize);
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(participant: u8, round: u32, epoch: u32) -> Vec<i64> {
        let mut records: Vec<i64> = (0..100).collect();
        shuffle(&mut records, 7, Address::repeat_byte(participant), Round(round), epoch);
        records
    }

    #[test]
    fn an_order_is_a_permutation_and_can_be_repeated() {
        assert_eq!(order(1, 2, 3), order(1, 2, 3));
        let mut sorted = order(1, 2, 3);
        assert_ne!(sorted, (0..100).collect::<Vec<_>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn participant_round_and_epoch_each_give_another_order() {
        let base = order(1, 2, 3);
        for other in [order(2, 2, 3), order(1, 3, 3), order(1, 2, 4)] {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn the_random_words_are_the_published_ones() {
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    }
}
