//! Networks that come as TorchScript files (tests/data/modules.py writes them), from description to vote, as processes.

mod common;

use std::{fs, path::PathBuf, process::Command};

use common::*;
use protocol::{
    definition::Definition,
    job::{Seat, Step, StepResult},
    types::{ModelHash, Score},
};
use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// What `describe` prints.
fn describe(name: &str, patterns: &[&str]) -> Value {
    describe_as(name, patterns, "F32")
}

fn describe_as(name: &str, patterns: &[&str], dtype: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"));
    command
        .args(["describe", "--input-shape", "1,8,8", "--dtype", dtype, "--module"])
        .arg(file(name));
    for pattern in patterns {
        command.args(["--train", pattern]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A site whose store has the file, and its definition with this architecture.
fn site(name: &str, architecture: &Value) -> Site {
    let mut document: Value = serde_json::from_str(&definition(MLP, 4)).unwrap();
    document["architecture"] = architecture.clone();
    let site = Site::new(
        Definition::parse(document.to_string().as_bytes())
            .unwrap()
            .canonical()
            .to_owned(),
    );
    let hash = architecture["torchscript"]["module"].as_str().unwrap();
    fs::copy(file(name), site.path("store").join(hash)).unwrap();
    site
}

#[test]
fn a_description_lists_what_is_trained_and_is_a_definitions_architecture() {
    let all = describe("adapted.pt", &[]);
    let names = |described: &Value| {
        let tensors = described["torchscript"]["tensors"].as_array().unwrap().clone();
        tensors
            .iter()
            .map(|t| t["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&all).len(), 8);
    let some = describe("adapted.pt", &["lora_*", "head.*"]);
    assert_eq!(names(&some), ["head.bias", "head.weight", "lora_a", "lora_b"]);
    assert_eq!(
        (&some["torchscript"]["outputs"], &some["torchscript"]["inputShape"]),
        (&json!(4), &json!([1, 8, 8]))
    );
    assert_ne!(some["torchscript"]["initialModel"], all["torchscript"]["initialModel"]);
    let short = describe_as("adapted.pt", &["lora_*", "head.*"], "BF16");
    assert_eq!(short["torchscript"]["tensors"][0]["dtype"], "BF16");
    assert_ne!(
        short["torchscript"]["initialModel"],
        some["torchscript"]["initialModel"]
    );
}

#[test]
fn two_rounds_of_a_module_and_of_its_adapter_raise_the_accuracy() {
    let adapter: &[&str] = &["lora_*", "head.*", "norm.*"];
    for (patterns, dtype) in [(&[][..], "F32"), (adapter, "F32"), (adapter, "BF16")] {
        let site = site("adapted.pt", &describe_as("adapted.pt", patterns, dtype));
        for number in 1..=3 {
            site.write_data(number, 400, |l| l);
        }
        let run = site.run(&site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]));
        let StepResult::Check(checked) = run.result() else {
            panic!("a check is expected")
        };
        assert_eq!(checked.genesis_model, site.genesis());
        let mut start = site.genesis();
        let mut metrics = Vec::new();
        for round in 0..2 {
            let seats: Vec<Seat> = (1..=2)
                .map(|number| {
                    let StepResult::Train(result) = site
                        .run(&site.input(Step::Train, number, round, start, vec![]))
                        .result()
                    else {
                        panic!("a training is expected")
                    };
                    Seat {
                        proposer: participant(number),
                        sample_count: 100,
                        contribution: Some(result.model),
                    }
                })
                .collect();
            let StepResult::Vote(vote) = site.run(&site.input(Step::Vote, 3, round, start, seats)).result() else {
                panic!("a vote is expected")
            };
            assert_eq!((vote.score, vote.mask.0), (Score::For, 0b11), "{:?}", vote.excluded);
            metrics.push(vote.aggregate_metric.parse::<f64>().unwrap());
            start = vote.aggregate;
        }
        assert!(metrics[1] > 0.9, "{patterns:?}: {metrics:?}");
        // What travels is what is listed.
        let model = fs::read(site.path("store").join(start.to_string())).unwrap();
        let header = String::from_utf8_lossy(&model[8..800]).into_owned();
        assert_eq!(header.contains("base.weight"), patterns.is_empty(), "{header}");
    }
}

#[test]
fn a_module_that_keeps_state_is_refused_before_anything_is_staked() {
    let site = site("batch-norm.pt", &describe("batch-norm.pt", &[]));
    site.write_data(1, 100, |l| l);
    let (code, line) = site
        .run(&site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]))
        .failure();
    assert_eq!(code, 65);
    assert!(
        line.contains("it keeps state beside its parameters (batch normalisation?)"),
        "{line}"
    );
}

#[test]
fn a_definition_that_says_something_else_of_the_file_is_refused() {
    let right = describe("adapted.pt", &["head.*"]);
    let cases = [
        (
            "/torchscript/tensors/0/name",
            json!("tail.bias"),
            "it has no parameter \"tail.bias\"",
        ),
        (
            "/torchscript/tensors/0/shape",
            json!([5]),
            "its parameter \"head.bias\" is [4] of Float",
        ),
        (
            "/torchscript/initialModel",
            json!("ab".repeat(32)),
            "the definition's initialModel is abab",
        ),
    ];
    for (pointer, value, part) in cases {
        let mut wrong = right.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        let site = site("adapted.pt", &wrong);
        site.write_data(1, 100, |l| l);
        let (code, line) = site
            .run(&site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]))
            .failure();
        assert_eq!(code, 65, "{line}");
        assert!(line.contains(part), "{pointer}: {line}");
    }
}
