//! Every way a contribution can be wrong has its own reason, and none of them is an error of the aggregation.

mod common;

use aggregation::{Contribution, ModelSource, Options, Refusal, Rule};
use common::*;
use protocol::{
    model::{Metadata, ModelError},
    types::{ModelHash, Round},
};

fn small() -> Rule {
    rule(3, vec![2], 2, false)
}

fn good(rule: &Rule, seat: u32) -> Contribution {
    contribution(seat, 10, contributed(rule, seat, |i| i as f32))
}

/// The refusal of `bytes` at seat 0; a good contribution at seat 1 must not suffer.
fn refusal(rule: &Rule, bytes: Vec<u8>) -> Refusal {
    let (aggregate, out) = run(rule, &[contribution(0, 10, bytes), good(rule, 1)], &Options::default()).unwrap();
    assert_eq!(aggregate.mask.0, 0b10);
    assert_eq!(aggregate.hash, sha256(&out));
    let [(0, refusal)] = <[_; 1]>::try_from(aggregate.excluded).unwrap() else {
        panic!("seat 0 is expected")
    };
    refusal
}

#[test]
fn a_good_contribution_is_included() {
    let rule = small();
    let (aggregate, out) = run(&rule, &[good(&rule, 0)], &Options::default()).unwrap();
    assert_eq!(aggregate.mask.0, 1);
    assert!(aggregate.excluded.is_empty());
    assert_eq!(out, file(&rule, &Metadata::none(), |i| i as f32));
}

#[test]
fn bytes_that_are_not_what_was_contributed_are_refused() {
    let rule = small();
    let mut bad = good(&rule, 0);
    bad.source = ModelSource::new(ModelHash::ZERO, contributed(&rule, 0, |i| i as f32));
    let (aggregate, _) = run(&rule, &[bad, good(&rule, 1)], &Options::default()).unwrap();
    assert!(matches!(aggregate.excluded[..], [(0, Refusal::Hash { .. })]));
}

#[test]
fn the_hash_is_judged_before_the_contents() {
    let rule = small();
    for bytes in [
        vec![1, 2, 3],
        contributed(&rule, 0, |_| f32::NAN),
        contributed(&rule, 5, |_| 1.0),
    ] {
        let mut bad = good(&rule, 0);
        let actual = sha256(&bytes);
        bad.source = ModelSource::new(ModelHash::ZERO, bytes);
        let (aggregate, _) = run(&rule, &[bad], &Options::default()).unwrap();
        assert!(matches!(aggregate.excluded[..], [(0, Refusal::Hash { actual: found })] if found == actual));
    }
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let mut rule = small();
    let bytes = contributed(&rule, 0, |i| i as f32);
    rule.max_model_bytes = bytes.len() as u64 - 1;
    let (aggregate, out) = run(&rule, &[contribution(0, 10, bytes)], &Options::default()).unwrap();
    assert!(matches!(aggregate.excluded[..], [(0, Refusal::TooLarge { .. })]));
    assert!(out.is_empty());
}

#[test]
fn not_a_model_at_all_is_refused() {
    let rule = small();
    for bytes in [vec![], b"<html>not found</html>".to_vec(), vec![0xff; 64]] {
        assert!(matches!(refusal(&rule, bytes), Refusal::Tensors(_)));
    }
}

#[test]
fn missing_foreign_misshapen_and_truncated_tensors_are_refused() {
    let ours = small();
    let of = |inputs, hidden, outputs| {
        let other = rule(inputs, hidden, outputs, false);
        refusal(&ours, contributed(&other, 0, |i| i as f32))
    };
    assert!(matches!(
        of(3, vec![], 2),
        Refusal::Tensors(ModelError::Shape { .. } | ModelError::Missing(_))
    ));
    assert!(matches!(
        of(3, vec![2, 2], 2),
        Refusal::Tensors(ModelError::Unexpected(_))
    ));
    assert!(matches!(of(4, vec![2], 2), Refusal::Tensors(ModelError::Shape { .. })));
    let mut cut = contributed(&ours, 0, |i| i as f32);
    cut.truncate(cut.len() - 4);
    assert!(matches!(
        refusal(&ours, cut),
        Refusal::Tensors(ModelError::Length { .. })
    ));
    let mut long = contributed(&ours, 0, |i| i as f32);
    long.extend([0; 4]);
    assert!(matches!(
        refusal(&ours, long),
        Refusal::Tensors(ModelError::Length { .. })
    ));
}

#[test]
fn another_element_type_is_refused() {
    let rule = small();
    let bytes = contributed(&rule, 0, |i| i as f32);
    let at = bytes.windows(3).position(|w| w == b"F32").unwrap();
    let mut other = bytes;
    other[at] = b'I';
    assert!(matches!(
        refusal(&rule, other),
        Refusal::Tensors(ModelError::Dtype { .. })
    ));
}

#[test]
fn every_value_that_is_not_finite_is_found_and_named() {
    let rule = small();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xffc0_0001)] {
        for place in 0..elements(&rule) {
            let bytes = contributed(&rule, 0, |i| if i == place { value } else { i as f32 });
            let Refusal::NotFinite { tensor, index } = refusal(&rule, bytes) else {
                panic!("{value} at {place}")
            };
            let layout = protocol::model::Layout::new(&rule.tensors, &Metadata::none()).unwrap();
            let entry = layout.tensors().iter().find(|t| t.spec.name == tensor).unwrap();
            assert_eq!(entry.start / 4 + index, place as u64);
        }
    }
}

#[test]
fn the_start_model_itself_is_refused_and_one_bit_of_difference_is_enough() {
    let rule = small();
    let same = |i: usize| i as f32 * 0.25 - 1.0;
    assert!(matches!(
        refusal(&rule, contributed(&rule, 0, same)),
        Refusal::EqualsStart
    ));
    let last = elements(&rule) - 1;
    let nearly = |i: usize| {
        if i == last {
            f32::from_bits(same(i).to_bits() ^ 1)
        } else {
            same(i)
        }
    };
    let (aggregate, _) = run(
        &rule,
        &[contribution(0, 1, contributed(&rule, 0, nearly))],
        &Options::default(),
    )
    .unwrap();
    assert_eq!(aggregate.mask.0, 1);
}

#[test]
fn metadata_of_somebody_else_another_round_task_or_none_is_refused() {
    let rule = small();
    let wrong = [
        Metadata::contribution(rule.task, rule.round, proposer(1)),
        Metadata::contribution(rule.task, Round(rule.round.0 + 1), proposer(0)),
        Metadata::contribution(proposer(0), rule.round, proposer(0)),
        Metadata::none(),
    ];
    for metadata in wrong {
        assert!(matches!(
            refusal(&rule, file(&rule, &metadata, |i| i as f32)),
            Refusal::Metadata(_)
        ));
    }
}

#[test]
fn a_copied_contribution_is_refused() {
    let rule = small();
    let original = contributed(&rule, 1, |i| i as f32 + 1.0);
    assert!(matches!(refusal(&rule, original), Refusal::Metadata(_)));
}

#[test]
fn without_a_valid_contribution_the_start_stands_and_nothing_is_written() {
    let rule = small();
    let (aggregate, out) = run(&rule, &[], &Options::default()).unwrap();
    assert_eq!((aggregate.hash, aggregate.mask.0), (start(&rule).hash, 0));
    assert!(out.is_empty());
}

#[test]
fn two_contributions_for_one_seat_are_an_error_of_the_caller() {
    let rule = small();
    let error = run(&rule, &[good(&rule, 0), good(&rule, 0)], &Options::default()).unwrap_err();
    assert_eq!(error.category(), "duplicate-seat");
}

#[test]
fn a_start_model_of_another_architecture_is_an_error() {
    let ours = small();
    let other = start(&rule(4, vec![], 2, false));
    let error =
        aggregation::aggregate(&ours, &other, &[good(&ours, 0)], &mut Vec::new(), &Options::default()).unwrap_err();
    assert_eq!(error.category(), "start");
}
