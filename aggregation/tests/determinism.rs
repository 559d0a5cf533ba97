//! The same bytes whatever the number of threads, the size of blocks and the form of the inputs; and bounded reads.

mod common;

use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use aggregation::{Contribution, ModelSource, Options, Rule, aggregate};
use common::*;
use proptest::prelude::*;
use protocol::model::Metadata;
use safetensors::tensor::{Dtype, TensorView};

/// The definition of `mean/v1`, one element at a time.
fn reference(values: &[f32], weights: &[u64]) -> f32 {
    let mut sum = weights[0] as f64 * f64::from(values[0]);
    for (x, w) in values.iter().zip(weights).skip(1) {
        let product = *w as f64 * f64::from(*x);
        sum += product;
    }
    (sum / weights.iter().sum::<u64>() as f64) as f32
}

fn finite() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("finite", |x| x.is_finite())
}

fn layouts() -> impl Strategy<Value = Options> {
    (1usize..5, 1usize..200, 1usize..200).prop_map(|(threads, out, input)| options(threads, out, input))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_element_is_the_reference_whatever_the_threads_and_blocks(
        inputs in 1u32..5,
        hidden in proptest::collection::vec(1u32..5, 0..3),
        columns in proptest::collection::vec(proptest::collection::vec(finite(), 120), 1..6),
        counts in proptest::collection::vec(any::<u32>(), 6),
        weighted in any::<bool>(),
        options in layouts(),
    ) {
        let rule = rule(inputs, hidden, 2, weighted);
        let n = elements(&rule);
        prop_assert!(n <= 120);
        let contributions: Vec<Contribution> = columns
            .iter()
            .enumerate()
            .map(|(seat, column)| {
                contribution(seat as u32, counts[seat], contributed(&rule, seat as u32, |i| column[i]))
            })
            .collect();
        let (done, out) = run(&rule, &contributions, &options).unwrap();
        let weights = if weighted {
            aggregation::mean::clamped_weights(&counts[..columns.len()])
        } else {
            vec![1; columns.len()]
        };
        let expected = file(&rule, &Metadata::none(), |i| {
            reference(&columns.iter().map(|c| c[i]).collect::<Vec<_>>(), &weights)
        });
        prop_assert_eq!(done.mask.count() as usize, columns.len());
        prop_assert_eq!(done.hash, sha256(&out));
        prop_assert!(out == expected);
    }

    #[test]
    fn the_order_in_which_contributions_arrive_does_not_matter(
        columns in proptest::collection::vec(proptest::collection::vec(finite(), 24), 5),
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let rule = rule(3, vec![3], 2, true);
        let make = |seat: usize| {
            contribution(seat as u32, seat as u32 * 7, contributed(&rule, seat as u32, |i| columns[seat][i]))
        };
        let straight = run(&rule, &(0..5).map(make).collect::<Vec<_>>(), &Options::default()).unwrap();
        let shuffled = run(&rule, &order.into_iter().map(make).collect::<Vec<_>>(), &Options::default()).unwrap();
        prop_assert_eq!(straight.0.hash, shuffled.0.hash);
        prop_assert_eq!(straight.1, shuffled.1);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_included_but_never_crash(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in 0usize..600,
        value in any::<u8>(),
    ) {
        let rule = rule(3, vec![2], 2, false);
        let mut damaged = contributed(&rule, 0, |i| i as f32);
        let at = at % damaged.len();
        damaged[at] = value;
        for bytes in [bytes, damaged] {
            let (done, out) = run(&rule, &[contribution(0, 1, bytes)], &Options::default()).unwrap();
            prop_assert_eq!(done.mask.count() as usize + done.excluded.len(), 1);
            prop_assert_eq!(out.is_empty(), done.mask.count() == 0);
        }
    }
}

/// The same tensors as other writers put them: unpadded header, tensors in another order.
fn other_form(rule: &Rule, seat: u32, bytes: &[u8]) -> Vec<u8> {
    let read = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let mut names: Vec<String> = rule.tensors.iter().map(|t| t.name.clone()).collect();
    names.reverse();
    let metadata = Metadata::contribution(rule.task, rule.round, proposer(seat));
    let mut header = format!(
        r#"{{"__metadata__":{{"task":"{}","round":"{}","proposer":"{}"}}"#,
        metadata.get("task").unwrap(),
        metadata.get("round").unwrap(),
        metadata.get("proposer").unwrap()
    );
    let mut data = Vec::new();
    for name in &names {
        let view: TensorView<'_> = read.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::F32);
        let start = data.len();
        data.extend_from_slice(view.data());
        let shape = serde_json::to_string(view.shape()).unwrap();
        header += &format!(
            r#", "{name}" : {{"shape":{shape},"dtype":"F32","data_offsets":[{start},{}]}}"#,
            data.len()
        );
    }
    header.push('}');
    if header.len().is_multiple_of(4) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&data);
    file
}

#[test]
fn files_in_other_forms_give_the_same_aggregate() {
    let rule = rule(5, vec![4, 3], 2, false);
    let files: Vec<Vec<u8>> = (0..3)
        .map(|seat| contributed(&rule, seat, |i| (i as f32 + seat as f32).sin()))
        .collect();
    let canonical: Vec<Contribution> = files
        .iter()
        .enumerate()
        .map(|(s, f)| contribution(s as u32, 1, f.clone()))
        .collect();
    let mixed: Vec<Contribution> = files
        .iter()
        .enumerate()
        .map(|(s, f)| {
            let bytes = if s == 1 { other_form(&rule, 1, f) } else { f.clone() };
            contribution(s as u32, 1, bytes)
        })
        .collect();
    for options in [Options::default(), options(3, 40, 12)] {
        let (a, a_bytes) = run(&rule, &canonical, &options).unwrap();
        let (b, b_bytes) = run(&rule, &mixed, &options).unwrap();
        assert_eq!((b.mask.0, b.excluded.len()), (0b111, 0));
        assert_eq!(a.hash, b.hash);
        assert_eq!(a_bytes, b_bytes);
    }
}

#[test]
fn no_read_is_larger_than_a_block_and_no_write_larger_than_an_output_block() {
    struct Largest(usize);
    impl std::io::Write for Largest {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.max(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut rule = rule(300, vec![200], 10, false);
    rule.max_model_bytes = 1 << 24;
    let largest = Arc::new(AtomicUsize::new(0));
    let contributions: Vec<Contribution> = (0..4)
        .map(|seat| {
            let bytes = contributed(&rule, seat, |i| (i % 97) as f32 + seat as f32);
            let hash = sha256(&bytes);
            let source = ModelSource::new(
                hash,
                Counting {
                    bytes,
                    largest: largest.clone(),
                },
            );
            Contribution {
                seat,
                proposer: proposer(seat),
                sample_count: 1,
                source,
            }
        })
        .collect();
    for threads in [1, 3] {
        let mut out = Largest(0);
        let options = options(threads, 8192, 2048);
        let done = aggregate(&rule, &start(&rule), &contributions, &mut out, &options).unwrap();
        assert_eq!(done.mask.count(), 4);
        assert_eq!(largest.swap(0, Ordering::Relaxed), 2048);
        assert_eq!(out.0, 8192);
    }
}
