//! Jobs are named by what they compute.

use std::fmt::{self, Write};

use alloy_primitives::keccak256;

use crate::{job::JobIdentity, types::B256};

impl JobIdentity {
    /// keccak256 of the identity in RFC 8785 form: the same in controller, gateway and trainer.
    pub fn hash(&self) -> B256 {
        keccak256(self.canonical())
    }

    /// The identity as it is hashed. Chain ids beyond 2^53 are written exactly.
    pub fn canonical(&self) -> String {
        // In the order of the names, and without a document in between: every look at a client hashes several of them.
        let Self {
            chain_id,
            task,
            participant,
            step,
            definition,
            round,
            start_model,
            digest,
            seats,
            environment,
        } = self;
        let mut out = String::with_capacity(600 + 160 * seats.len());
        let mut put = |text: fmt::Arguments<'_>| out.write_fmt(text).expect("a string takes everything");
        put(format_args!(
            r#"{{"chainId":{chain_id},"definition":"{definition}","digest":"{digest}""#
        ));
        put(format_args!(
            r#","environment":"{environment:#x}","participant":"{participant:#x}""#
        ));
        put(format_args!(r#","round":{}"#, round.0));
        for (k, seat) in seats.iter().enumerate() {
            put(format_args!("{}", if k == 0 { r#","seats":["# } else { "," }));
            match seat.contribution {
                Some(model) => put(format_args!(r#"{{"contribution":"{model}""#)),
                None => put(format_args!(r#"{{"contribution":null"#)),
            }
            put(format_args!(
                r#","proposer":"{:#x}","sampleCount":{}}}"#,
                seat.proposer, seat.sample_count
            ));
        }
        if !seats.is_empty() {
            put(format_args!("]"));
        }
        put(format_args!(
            r#","startModel":"{start_model}","step":"{}","task":"{task:#x}"}}"#,
            step.as_str()
        ));
        out
    }

    /// `<client>-<round>-<step>-<first 8 hex of the identity's hash>`: at most 31 characters after the client's name.
    pub fn job_name(&self, client: &str) -> String {
        let hash = hex::encode(&self.hash()[..4]);
        format!("{client}-{}-{}-{hash}", self.round, self.step.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::{Seat, Step},
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
