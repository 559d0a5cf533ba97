//! Jobs are named by what they compute.

use alloy_primitives::keccak256;
use serde_json::{Map, Value};

use crate::{
    canonical::write_value,
    job::{JobIdentity, Seat},
    types::B256,
};

impl JobIdentity {
    /// keccak256 of the identity in RFC 8785 form: the same in controller, gateway and trainer.
    pub fn hash(&self) -> B256 {
        keccak256(self.canonical())
    }

    /// The identity as it is hashed. Chain ids beyond 2^53 are written exactly.
    pub fn canonical(&self) -> String {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("chainId", self.chain_id.into());
        put("task", format!("{:#x}", self.task).into());
        put("participant", format!("{:#x}", self.participant).into());
        put("step", self.step.as_str().into());
        put("definition", self.definition.to_string().into());
        put("round", self.round.0.into());
        put("startModel", self.start_model.to_string().into());
        put("digest", self.digest.to_string().into());
        put("environment", format!("{:#x}", self.environment).into());
        if !self.seats.is_empty() {
            put("seats", self.seats.iter().map(seat).collect());
        }
        write_value(&Value::Object(object))
    }

    /// `<client>-<round>-<step>-<first 8 hex of the identity's hash>`: at most 31 characters after the client's name.
    pub fn job_name(&self, client: &str) -> String {
        let hash = hex::encode(&self.hash()[..4]);
        format!("{client}-{}-{}-{hash}", self.round, self.step.as_str())
    }
}

fn seat(seat: &Seat) -> Value {
    let mut object = Map::new();
    object.insert("proposer".into(), format!("{:#x}", seat.proposer).into());
    object.insert("sampleCount".into(), seat.sample_count.into());
    object.insert(
        "contribution".into(),
        seat.contribution.map_or(Value::Null, |hash| hash.to_string().into()),
    );
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::Step,
        types::{Address, DefinitionHash, ModelHash, Round, RoundDigest},
    };

    fn identity() -> JobIdentity {
        JobIdentity {
            chain_id: 31337,
            task: Address::repeat_byte(0xAA),
            participant: Address::repeat_byte(0xBB),
            step: Step::Vote,
            definition: DefinitionHash(B256::repeat_byte(1)),
            round: Round(12),
            start_model: ModelHash(B256::repeat_byte(2)),
            digest: RoundDigest(B256::repeat_byte(3)),
            seats: vec![
                Seat {
                    proposer: Address::repeat_byte(0xCC),
                    sample_count: 9,
                    contribution: Some(ModelHash(B256::repeat_byte(4))),
                },
                Seat {
                    proposer: Address::repeat_byte(0xDD),
                    sample_count: 1,
                    contribution: None,
                },
            ],
            environment: B256::repeat_byte(5),
        }
    }

    #[test]
    fn the_hashed_form_is_the_document_the_trainer_reads() {
        let check = JobIdentity {
            step: Step::Check,
            seats: vec![],
            ..identity()
        };
        for identity in [identity(), check] {
            assert_eq!(identity.canonical(), crate::canonical::to_string(&identity).unwrap());
            let read: JobIdentity = serde_json::from_str(&identity.canonical()).unwrap();
            assert_eq!(read, identity);
        }
    }

    #[test]
    fn every_part_of_the_identity_changes_the_name() {
        let base = identity();
        let mut others = vec![
            JobIdentity {
                chain_id: 1,
                ..base.clone()
            },
            JobIdentity {
                task: Address::ZERO,
                ..base.clone()
            },
            JobIdentity {
                participant: Address::ZERO,
                ..base.clone()
            },
            JobIdentity {
                definition: DefinitionHash::ZERO,
                ..base.clone()
            },
            JobIdentity {
                start_model: ModelHash::ZERO,
                ..base.clone()
            },
            JobIdentity {
                digest: RoundDigest::ZERO,
                ..base.clone()
            },
            JobIdentity {
                environment: B256::ZERO,
                ..base.clone()
            },
            JobIdentity {
                seats: base.seats[..1].to_vec(),
                ..base.clone()
            },
        ];
        let mut swapped = base.clone();
        swapped.seats.swap(0, 1);
        others.push(swapped);
        for other in others {
            assert_ne!(other.job_name("c"), base.job_name("c"), "{other:?}");
        }
    }

    #[test]
    fn a_job_name_fits_kubernetes_for_a_client_of_forty_characters() {
        let name = JobIdentity {
            round: Round(9999),
            step: Step::Check,
            ..identity()
        }
        .job_name(&"c".repeat(40));
        assert!(name.len() <= 63, "{name}");
        assert!(name.starts_with(&format!("{}-9999-check-", "c".repeat(40))), "{name}");
    }

    #[test]
    fn a_chain_id_beyond_a_double_is_hashed_exactly() {
        let a = JobIdentity {
            chain_id: u64::MAX,
            ..identity()
        };
        let b = JobIdentity {
            chain_id: u64::MAX - 1,
            ..identity()
        };
        assert_ne!(a.hash(), b.hash());
    }
}
