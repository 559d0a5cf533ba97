//! Golden vectors of all rules and element types, computed by another implementation (`vectors/rules_v1.py`), and what
//! must not change a bit of any of them.

mod common;

use aggregation::{Contribution, ModelSource, Options, Refusal, Rule, aggregate};
use common::*;
use proptest::prelude::*;
use protocol::{
    architecture::{Dtype, TensorSpec},
    definition::{self, Aggregation},
    model::Metadata,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    tensors: Vec<Tensor>,
    aggregation: Aggregation,
    mode: String,
    far: Vec<usize>,
    sample_counts: Vec<u32>,
    start: String,
    contributions: Vec<String>,
    aggregate: String,
    unused: Vec<u32>,
    outliers: Vec<u32>,
    fallback: Option<definition::Rule>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

impl Vector {
    fn rule(&self) -> Rule {
        let dtype = |name: &str| match name {
            "F32" => Dtype::F32,
            "BF16" => Dtype::Bf16,
            "F16" => Dtype::F16,
            other => panic!("element type {other}"),
        };
        let spec = |tensor: &Tensor| TensorSpec {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: dtype(&tensor.dtype),
        };
        Rule {
            tensors: self.tensors.iter().map(spec).collect(),
            aggregation: self.aggregation.clone(),
            max_model_bytes: 1 << 20,
            task: TASK,
            round: ROUND,
        }
    }

    fn file(&self, rule: &Rule, metadata: &Metadata, input: &str, far: bool) -> Vec<u8> {
        let mut block = (usize::MAX, Default::default());
        raw_file(&rule.tensors, metadata, |e, dtype, out| {
            if block.0 != e / 8 {
                block = (e / 8, Sha256::digest(format!("{}/{input}/{}", self.name, e / 8)));
            }
            let word = u32::from_le_bytes(block.1[e % 8 * 4..][..4].try_into().unwrap());
            match (&*self.mode, dtype) {
                ("bits", Dtype::F32) => out.extend(finite(word, 0x7f80_0000, 0x4000_0000).to_le_bytes()),
                ("bits", Dtype::Bf16) => out.extend((finite(word & 0xffff, 0x7f80, 0x4000) as u16).to_le_bytes()),
                ("bits", Dtype::F16) => out.extend((finite(word & 0xffff, 0x7c00, 0x4000) as u16).to_le_bytes()),
                ("unit", dtype) => unit(word, dtype, if far { 8.0 } else { 1.0 }, out),
                (other, _) => panic!("mode {other}"),
            }
        })
    }

    fn start(&self, rule: &Rule) -> ModelSource {
        let bytes = self.file(rule, &Metadata::none(), "start", false);
        ModelSource::new(sha256(&bytes), bytes)
    }

    fn contributions(&self, rule: &Rule) -> Vec<Contribution> {
        (0..self.sample_counts.len())
            .map(|seat| {
                let metadata = Metadata::contribution(rule.task, rule.round, proposer(seat as u32));
                let bytes = self.file(rule, &metadata, &seat.to_string(), self.far.contains(&seat));
                contribution(seat as u32, self.sample_counts[seat], bytes)
            })
            .collect()
    }
}

fn finite(bits: u32, exponent: u32, cleared: u32) -> u32 {
    if bits & exponent == exponent {
        bits & !cleared
    } else {
        bits
    }
}

/// A number of [-1, 1) with as many bits as the type keeps, times a power of two; appended by its definition.
fn unit(word: u32, dtype: Dtype, factor: f32, out: &mut Vec<u8>) {
    let value = |bits: u32| ((word >> (32 - bits)) as f32 / (bits as f32 - 1.0).exp2() - 1.0) * factor;
    match dtype {
        Dtype::F32 => out.extend(value(24).to_le_bytes()),
        Dtype::Bf16 => {
            let bits = value(8).to_bits();
            assert_eq!(bits & 0xffff, 0);
            out.extend(((bits >> 16) as u16).to_le_bytes());
        }
        Dtype::F16 => {
            let bits = value(11).to_bits();
            // No subnormals among them.
            let magnitude = match bits & 0x7fff_ffff {
                0 => 0,
                magnitude => (magnitude >> 13) - (112 << 10),
            };
            assert_eq!(bits & 0x1fff, 0);
            out.extend(((bits >> 16 & 0x8000 | magnitude) as u16).to_le_bytes());
        }
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/rules_v1.json")).unwrap()
}

#[test]
fn the_golden_vectors_hold_with_any_threads_blocks_and_instruction_sets() {
    let vectors = vectors();
    assert!(vectors.len() >= 60);
    for rule in definition::Rule::ALL {
        assert!(vectors.iter().any(|v| v.aggregation.rule == rule), "{rule:?}");
    }
    for vector in vectors {
        let rule = vector.rule();
        let start = vector.start(&rule);
        let contributions = vector.contributions(&rule);
        assert_eq!(start.hash.to_string(), vector.start, "{}", vector.name);
        let names: Vec<String> = contributions.iter().map(|c| c.source.hash.to_string()).collect();
        assert_eq!(names, vector.contributions, "{}", vector.name);
        for options in many_options() {
            let mut out = Vec::new();
            let done = aggregate(&rule, &start, &contributions, &mut out, &options).unwrap();
            let outliers: Vec<u32> = done.excluded.iter().map(|(seat, _)| *seat).collect();
            assert!(
                done.excluded
                    .iter()
                    .all(|(_, why)| matches!(why, Refusal::Outlier { .. }))
            );
            assert_eq!(outliers, vector.outliers, "{} with {options:?}", vector.name);
            assert_eq!(done.unused, vector.unused, "{} with {options:?}", vector.name);
            assert_eq!(done.fallback, vector.fallback, "{} with {options:?}", vector.name);
            assert_eq!(
                done.hash.to_string(),
                vector.aggregate,
                "{} with {options:?}",
                vector.name
            );
            assert_eq!(sha256(&out), done.hash);
            let included = contributions.len() - outliers.len();
            assert_eq!(done.mask.count() as usize, included);
            assert!(outliers.iter().all(|seat| done.mask.0 >> seat & 1 == 0));
        }
    }
}

fn aggregations() -> impl Strategy<Value = Aggregation> {
    let with = |rule| Aggregation::plain(rule);
    let decimal = |text: &str| Some(text.parse().unwrap());
    prop_oneof![
        Just(with(definition::Rule::MeanV1)),
        Just(with(definition::Rule::MedianV1)),
        (1u32..4).prop_map(move |trim| Aggregation {
            trim: Some(trim),
            ..with(definition::Rule::TrimmedMeanV1)
        }),
        (1u32..3).prop_map(move |byzantine| Aggregation {
            byzantine: Some(byzantine),
            slash_outliers: decimal("1.5"),
            ..with(definition::Rule::KrumV1)
        }),
        (1u32..3).prop_map(move |byzantine| Aggregation {
            byzantine: Some(byzantine),
            server_learning_rate: decimal("0.25"),
            ..with(definition::Rule::MultiKrumV1)
        }),
        any::<bool>().prop_map(move |weighted| Aggregation {
            weighted,
            clip_norm: decimal("1000000000000"),
            ..with(definition::Rule::ClippedMeanV1)
        }),
    ]
}

fn dtypes() -> impl Strategy<Value = Dtype> {
    prop_oneof![Just(Dtype::F32), Just(Dtype::Bf16), Just(Dtype::F16)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn neither_threads_nor_blocks_nor_registers_change_a_bit_of_any_rule(
        aggregation in aggregations(),
        shapes in proptest::collection::vec((1usize..70, dtypes()), 1..5),
        seats in 1usize..9,
        seed in any::<u32>(),
        threads in 1usize..5,
        output in 1usize..300,
        input in 1usize..300,
    ) {
        let vector = Vector {
            name: seed.to_string(),
            tensors: vec![],
            aggregation: aggregation.clone(),
            mode: "bits".into(),
            far: vec![],
            sample_counts: (0..seats as u32).map(|seat| 10 + seat * 17).collect(),
            start: String::new(),
            contributions: vec![],
            aggregate: String::new(),
            unused: vec![],
            outliers: vec![],
            fallback: None,
        };
        let spec = |(i, (length, dtype)): (usize, (usize, Dtype))| TensorSpec { name: i.to_string(), shape: vec![length], dtype };
        let rule = Rule {
            tensors: shapes.into_iter().enumerate().map(spec).collect(),
            ..vector.rule()
        };
        let start = vector.start(&rule);
        let contributions = vector.contributions(&rule);
        let run = |options: &Options| {
            let mut out = Vec::new();
            let done = aggregate(&rule, &start, &contributions, &mut out, options).unwrap();
            (done.hash, done.mask, done.unused, done.fallback, out)
        };
        let expected = run(&Options { vectors: aggregation::Vectors::baseline(), ..options(1, 1 << 20, 1 << 16) });
        for vectors in aggregation::Vectors::available() {
            let again = run(&Options { vectors, ..options(threads, output, input) });
            prop_assert!(again == expected);
        }
        let mut shuffled = contributions;
        shuffled.rotate_left(seed as usize % seats);
        let mut out = Vec::new();
        let done = aggregate(&rule, &start, &shuffled, &mut out, &Options::default()).unwrap();
        prop_assert!(done.hash == expected.0 && done.mask == expected.1 && out == expected.4);
    }
}

#[test]
fn values_that_are_not_finite_are_found_in_every_element_type() {
    for (dtype, infinite, greatest) in [
        (Dtype::F32, vec![0, 0, 0x80, 0x7f], vec![0xff, 0xff, 0x7f, 0x7f]),
        (Dtype::Bf16, vec![0x80, 0xff], vec![0x7f, 0x7f]),
        (Dtype::F16, vec![1, 0x7c], vec![0xff, 0x7b]),
    ] {
        let spec = TensorSpec {
            name: "a".into(),
            shape: vec![100],
            dtype,
        };
        let rule = Rule {
            tensors: vec![spec],
            ..rule(1, vec![], 2, false)
        };
        let bytes = raw_file(&rule.tensors, &Metadata::none(), |_, dtype, out| {
            out.extend(vec![0; dtype.size()]);
        });
        let start = ModelSource::new(sha256(&bytes), bytes);
        let metadata = Metadata::contribution(TASK, ROUND, proposer(0));
        for place in 0..100 {
            let with = |value: &[u8]| {
                let bytes = raw_file(&rule.tensors, &metadata, |e, _, out| {
                    out.extend(if e == place {
                        value.to_vec()
                    } else {
                        vec![1; dtype.size()]
                    });
                });
                aggregate(
                    &rule,
                    &start,
                    &[contribution(0, 1, bytes)],
                    &mut Vec::new(),
                    &Options::default(),
                )
                .unwrap()
            };
            let refused = with(&infinite).excluded;
            assert!(
                matches!(&refused[..], [(0, Refusal::NotFinite { index, .. })] if *index == place as u64),
                "{dtype:?} {place}: {refused:?}"
            );
            assert_eq!(with(&greatest).mask.0, 1);
        }
    }
}

#[test]
fn a_file_of_another_element_type_is_refused() {
    let rule = rule(3, vec![2], 2, false);
    let start = start(&rule);
    let mut halves = rule.tensors.clone();
    halves.iter_mut().for_each(|spec| spec.dtype = Dtype::Bf16);
    let metadata = Metadata::contribution(TASK, ROUND, proposer(0));
    let bytes = raw_file(&halves, &metadata, |_, _, out| out.extend([1, 1]));
    let done = aggregate(
        &rule,
        &start,
        &[contribution(0, 1, bytes)],
        &mut Vec::new(),
        &Options::default(),
    )
    .unwrap();
    assert!(
        matches!(&done.excluded[..], [(0, Refusal::Tensors(error))] if error.category() == "dtype"),
        "{:?}",
        done.excluded
    );
}
