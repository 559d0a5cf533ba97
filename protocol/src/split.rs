//! Which records are for testing: decided per record, so stable under re-ordering and added data.

use sha2::{Digest, Sha256};

use crate::types::Address;

/// Whether a participant keeps this record for testing: SHA-256(20 bytes of the address || record), read as a
/// big-endian number, modulo 100, is below `test_percent`.
pub fn is_test(participant: Address, record: &[u8], test_percent: u8) -> bool {
    let digest = Sha256::new().chain_update(participant).chain_update(record).finalize();
    let remainder = digest
        .iter()
        .fold(0u32, |rest, &byte| (rest * 256 + u32::from(byte)) % 100);
    remainder < u32::from(test_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_asked_share_is_for_testing_and_it_depends_on_the_participant() {
        let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let chosen = |who| {
            (0u32..2000)
                .filter(|i| is_test(who, &i.to_le_bytes(), 20))
                .collect::<Vec<_>>()
        };
        let (of_a, of_b) = (chosen(a), chosen(b));
        assert!((330..=470).contains(&of_a.len()), "{}", of_a.len());
        assert_ne!(of_a, of_b);
    }

    #[test]
    fn the_rule_is_the_digest_modulo_a_hundred() {
        // Python: int.from_bytes(hashlib.sha256(bytes([1] * 20) + b"record").digest(), "big") % 100
        let boundary = 22;
        assert!(!is_test(Address::repeat_byte(1), b"record", boundary));
        assert!(is_test(Address::repeat_byte(1), b"record", boundary + 1));
    }
}
