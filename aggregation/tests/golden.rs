//! Golden vectors, computed by another implementation (`vectors/mean_v1.py`).

mod common;

use aggregation::{Contribution, Options};
use common::*;
use protocol::model::Metadata;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    mlp: protocol::architecture::Mlp,
    weighted: bool,
    sample_counts: Vec<u32>,
    contributions: Vec<String>,
    aggregate: String,
}

fn value(case: &str, input: &str, e: usize) -> f32 {
    let block = Sha256::digest(format!("{case}/{input}/{}", e / 8));
    let word = u32::from_le_bytes(block[e % 8 * 4..][..4].try_into().unwrap());
    f32::from_bits(if word & 0x7f80_0000 == 0x7f80_0000 {
        word & !0x4000_0000
    } else {
        word
    })
}

#[test]
fn the_golden_vectors_hold_with_any_threads_and_blocks() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/mean_v1.json")).unwrap();
    assert!(vectors.len() >= 6);
    for vector in vectors {
        let rule = rule(
            vector.mlp.inputs,
            vector.mlp.hidden,
            vector.mlp.outputs,
            vector.weighted,
        );
        let make = |seat: usize| -> Contribution {
            let name = seat.to_string();
            let bytes = contributed(&rule, seat as u32, |e| value(&vector.name, &name, e));
            contribution(seat as u32, vector.sample_counts[seat], bytes)
        };
        let contributions: Vec<Contribution> = (0..vector.sample_counts.len()).map(make).collect();
        let names: Vec<String> = contributions.iter().map(|c| c.source.hash.to_string()).collect();
        assert_eq!(names, vector.contributions, "{}", vector.name);
        for options in [
            Options::default(),
            options(1, 4096, 4096),
            options(2, 1000, 60),
            options(5, 100_000, 4),
        ] {
            let (done, out) = run(&rule, &contributions, &options).unwrap();
            assert_eq!(
                done.mask.count() as usize,
                contributions.len(),
                "{}: {:?}",
                vector.name,
                done.excluded
            );
            assert_eq!(
                done.hash.to_string(),
                vector.aggregate,
                "{} with {options:?}",
                vector.name
            );
            assert_eq!(sha256(&out), done.hash);
            assert_eq!(out.len(), file(&rule, &Metadata::none(), |_| 0.0).len());
        }
    }
}
