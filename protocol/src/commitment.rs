//! Commitments and their salts.
//!
//! The salt is derived, not drawn: an operator that lost a ledger entry, but not its ledger seed, can rebuild it and
//! still reveal.

use alloy_primitives::{U256, keccak256};
use alloy_sol_types::SolValue;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    action::VoteToRecord,
    client::LedgerEntry,
    types::{Address, B256, Commitment, IncludedMask, ModelHash, Round, RoundDigest, Score},
};

/// keccak256 of this opens every commitment, so that it can be taken for nothing else.
pub const VOTE_DOMAIN: &[u8] = b"FLA_VOTE_V1";
const SALT_DOMAIN: &[u8] = b"FLA_SALT_V1";

/// One voter's vote in one round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub chain_id: u64,
    pub task: Address,
    pub round: Round,
    pub voter: Address,
    pub hash: ModelHash,
    pub score: Score,
    pub mask: IncludedMask,
}

impl std::fmt::Debug for Vote {
    /// What is voted stays out of logs until it is revealed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vote")
            .field("task", &self.task)
            .field("round", &self.round)
            .field("voter", &self.voter)
            .finish_non_exhaustive()
    }
}

impl Vote {
    /// keccak256(abi.encode(keccak256("FLA_VOTE_V1"), chainid, task, round, voter, hash, score, mask, salt)), as the
    /// contract computes it.
    pub fn commitment(&self, salt: B256) -> Commitment {
        let words = (
            keccak256(VOTE_DOMAIN),
            U256::from(self.chain_id),
            self.task,
            U256::from(self.round.0),
            self.voter,
            self.hash.0,
            i8::from(self.score),
            U256::from(self.mask.0),
            salt,
        );
        Commitment(keccak256(words.abi_encode()))
    }
}

/// What one ledger entry is for: there is at most one per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerKey {
    pub chain_id: u64,
    pub task: Address,
    pub round: Round,
    pub voter: Address,
    /// The inputs of the vote.
    pub round_digest: RoundDigest,
}

impl LedgerKey {
    /// HMAC-SHA256(seed, "FLA_SALT_V1" || chain id || task || round || voter || digest), integers big-endian.
    pub fn salt(&self, seed: &[u8; 32]) -> B256 {
        // A key of this length is always accepted; an HMAC pads or hashes any other as well.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(seed) else {
            return B256::ZERO;
        };
        mac.update(SALT_DOMAIN);
        mac.update(&self.chain_id.to_be_bytes());
        mac.update(self.task.as_slice());
        mac.update(&self.round.0.to_be_bytes());
        mac.update(self.voter.as_slice());
        mac.update(self.round_digest.0.as_slice());
        B256::from(<[u8; 32]>::from(mac.finalize().into_bytes()))
    }

    /// The entry to store for this vote.
    pub fn entry(&self, seed: &[u8; 32], hash: ModelHash, score: Score, mask: IncludedMask) -> LedgerEntry {
        let salt = self.salt(seed);
        let vote = Vote {
            chain_id: self.chain_id,
            task: self.task,
            round: self.round,
            voter: self.voter,
            hash,
            score,
            mask,
        };
        LedgerEntry {
            chain_id: self.chain_id,
            task: self.task,
            round: self.round,
            voter: self.voter,
            round_digest: self.round_digest,
            hash,
            score,
            mask,
            salt,
            commitment: vote.commitment(salt),
        }
    }

    /// Rebuilds a lost entry from the commitment on chain: the candidates (from Job results, or what others revealed) are
    /// tried in turn.
    pub fn rebuild(
        &self,
        seed: &[u8; 32],
        commitment: Commitment,
        candidates: impl IntoIterator<Item = (ModelHash, Score, IncludedMask)>,
    ) -> Option<LedgerEntry> {
        candidates
            .into_iter()
            .map(|(hash, score, mask)| self.entry(seed, hash, score, mask))
            .find(|entry| entry.commitment == commitment)
    }
}

impl VoteToRecord {
    /// The entry to store when [`crate::action::Action::RecordVote`] is carried out.
    pub fn entry(&self, chain_id: u64, task: Address, voter: Address, seed: &[u8; 32]) -> LedgerEntry {
        let key = LedgerKey {
            chain_id,
            task,
            round: self.round,
            voter,
            round_digest: self.round_digest,
        };
        key.entry(seed, self.hash, self.score, self.mask)
    }
}

impl LedgerEntry {
    pub fn key(&self) -> LedgerKey {
        LedgerKey {
            chain_id: self.chain_id,
            task: self.task,
            round: self.round,
            voter: self.voter,
            round_digest: self.round_digest,
        }
    }

    /// Whether the commitment is that of the vote: false for an entry damaged in storage.
    pub fn is_consistent(&self) -> bool {
        let vote = Vote {
            chain_id: self.chain_id,
            task: self.task,
            round: self.round,
            voter: self.voter,
            hash: self.hash,
            score: self.score,
            mask: self.mask,
        };
        vote.commitment(self.salt) == self.commitment
    }
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
        chain_id: String,
        task: Address,
        round: u32,
        voter: Address,
        aggregate_hash: ModelHash,
        score: i8,
        included_mask: String,
        salt: B256,
        commitment: Commitment,
    }

    #[test]
    fn commitments_are_those_of_the_contract() {
        let vectors: Vectors =
            serde_json::from_str(include_str!("../../contracts/test/vectors/commitment.json")).unwrap();
        assert!(vectors.cases.len() >= 6);
        for case in vectors.cases {
            let vote = Vote {
                chain_id: case.chain_id.parse().unwrap(),
                task: case.task,
                round: Round(case.round),
                voter: case.voter,
                hash: case.aggregate_hash,
                score: Score::try_from(case.score).unwrap(),
                mask: IncludedMask(case.included_mask.parse().unwrap()),
            };
            assert_eq!(vote.commitment(case.salt), case.commitment);
        }
    }

    fn key() -> LedgerKey {
        LedgerKey {
            chain_id: 31337,
            task: Address::repeat_byte(1),
            round: Round(3),
            voter: Address::repeat_byte(2),
            round_digest: RoundDigest(B256::repeat_byte(3)),
        }
    }

    #[test]
    fn the_salt_is_the_hmac_of_the_key() {
        // Python: hmac.new(bytes([7] * 32), b"FLA_SALT_V1" + (31337).to_bytes(8, "big") + bytes([1] * 20)
        //   + (3).to_bytes(4, "big") + bytes([2] * 20) + bytes([3] * 32), "sha256").hexdigest()
        assert_eq!(
            hex::encode(key().salt(&[7; 32])),
            "4613d05a0bc2ff1a1d74827863798609787062a964445e22221003ac8de1d757"
        );
    }

    #[test]
    fn every_part_of_the_key_and_the_seed_change_the_salt() {
        let salts = [
            key().salt(&[7; 32]),
            key().salt(&[8; 32]),
            LedgerKey { chain_id: 1, ..key() }.salt(&[7; 32]),
            LedgerKey {
                task: Address::ZERO,
                ..key()
            }
            .salt(&[7; 32]),
            LedgerKey {
                round: Round(4),
                ..key()
            }
            .salt(&[7; 32]),
            LedgerKey {
                voter: Address::ZERO,
                ..key()
            }
            .salt(&[7; 32]),
            LedgerKey {
                round_digest: RoundDigest::ZERO,
                ..key()
            }
            .salt(&[7; 32]),
        ];
        let distinct: std::collections::HashSet<_> = salts.iter().collect();
        assert_eq!(distinct.len(), salts.len());
    }

    #[test]
    fn a_lost_entry_is_rebuilt_from_the_commitment_and_the_right_candidate_only() {
        let (a, b) = (ModelHash(B256::repeat_byte(4)), ModelHash(B256::repeat_byte(5)));
        let entry = key().entry(&[7; 32], b, Score::For, IncludedMask(3));
        let wrong = [(a, Score::For, IncludedMask(3)), (b, Score::Against, IncludedMask(3))];
        assert_eq!(key().rebuild(&[7; 32], entry.commitment, wrong), None);
        let right = wrong.into_iter().chain([(b, Score::For, IncludedMask(3))]);
        assert_eq!(key().rebuild(&[7; 32], entry.commitment, right), Some(entry.clone()));
        assert_eq!(entry.key(), key());
    }

    #[test]
    fn a_damaged_entry_is_noticed() {
        let entry = key().entry(&[7; 32], ModelHash::ZERO, Score::For, IncludedMask(1));
        assert!(entry.is_consistent());
        assert!(
            !LedgerEntry {
                score: Score::Against,
                ..entry.clone()
            }
            .is_consistent()
        );
        assert!(
            !LedgerEntry {
                salt: B256::ZERO,
                ..entry
            }
            .is_consistent()
        );
    }

    #[test]
    fn votes_and_salts_stay_out_of_debug_output() {
        let entry = key().entry(&[7; 32], ModelHash(B256::repeat_byte(9)), Score::For, IncludedMask(1));
        let shown = format!("{entry:?}");
        assert!(
            !shown.contains(&hex::encode(entry.salt)) && !shown.contains("0909"),
            "{shown}"
        );
    }
}
