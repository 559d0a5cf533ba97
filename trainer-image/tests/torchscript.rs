//! Networks that come as TorchScript files (tests/data/modules.py writes them), from description to vote, as processes.

mod common;

use std::{fs, path::PathBuf, process::Command};

use common::*;
use protocol::{
    definition::Definition,
    job::{JobInput, Seat, Step, StepResult},
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
    let options: Vec<&str> = patterns.iter().flat_map(|pattern| ["--train", pattern]).collect();
    describe_with(name, &[&options[..], &["--dtype", dtype]].concat())
}

fn describe_with(name: &str, options: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"));
    command
        .args(["describe", "--input-shape", "1,8,8", "--module"])
        .arg(file(name))
        .args(options);
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

/// The same network as adapted.pt, but its frozen layer is on a volume.
fn hollow() -> Value {
    let base = file("base");
    let base = base.to_str().unwrap();
    let trained = ["--train", "lora_*", "--train", "head.*", "--train", "norm.*"];
    describe_with(
        "hollow.pt",
        &[&trained[..], &["--base-model", base, "--base-prefix", "base."]].concat(),
    )
}

/// A copy of the volume that a test may spoil.
fn volume(site: &Site) -> PathBuf {
    let folder = site.path("base");
    fs::create_dir_all(&folder).unwrap();
    for name in ["model.safetensors", "manifest.json"] {
        fs::copy(file("base").join(name), folder.join(name)).unwrap();
    }
    folder
}

#[test]
fn a_base_model_on_a_volume_makes_the_same_models_as_one_in_the_file() {
    let patterns = ["lora_*", "head.*", "norm.*"];
    let (whole, split) = (describe("adapted.pt", &patterns), hollow());
    assert_eq!(
        split["torchscript"]["initialModel"],
        whole["torchscript"]["initialModel"]
    );
    assert_eq!(split["torchscript"]["baseModel"]["prefix"], "base.");
    let models: Vec<ModelHash> = [("adapted.pt", &whole), ("hollow.pt", &split)]
        .map(|(name, architecture)| {
            let site = site(name, architecture);
            site.write_data(1, 200, |l| l);
            let mut input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
            input.base_directories = vec![volume(&site).display().to_string()];
            let StepResult::Check(checked) = site.run(&input).result() else {
                panic!("a check is expected")
            };
            assert_eq!(checked.base_model.is_some(), name == "hollow.pt");
            let mut input = site.input(Step::Train, 1, 0, site.genesis(), vec![]);
            input.base_directories = vec![volume(&site).display().to_string()];
            let StepResult::Train(trained) = site.run(&input).result() else {
                panic!("a training is expected")
            };
            let bytes = fs::read(site.path("store").join(trained.model.to_string())).unwrap();
            // The task's address is in the metadata, the definition's hash is not.
            assert!(!String::from_utf8_lossy(&bytes).contains("base.weight"));
            let seats = vec![Seat {
                proposer: participant(1),
                sample_count: 100,
                contribution: Some(trained.model),
            }];
            let mut input = site.input(Step::Vote, 1, 0, site.genesis(), seats);
            input.base_directories = vec![volume(&site).display().to_string()];
            let StepResult::Vote(vote) = site.run(&input).result() else {
                panic!("a vote is expected")
            };
            assert_eq!((vote.score, vote.mask.0), (Score::For, 1));
            assert_ne!(vote.start_metric, vote.aggregate_metric);
            trained.model
        })
        .to_vec();
    assert_eq!(models[0], models[1]);
}

#[test]
fn a_wrong_base_model_ends_with_64_and_the_files_name_and_a_verified_one_is_not_read_again() {
    let site = site("hollow.pt", &hollow());
    site.write_data(1, 100, |l| l);
    let mut input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 64);
    assert!(line.contains("no volume with one is mounted"), "{line}");

    let folder = volume(&site);
    input.base_directories = vec![folder.display().to_string()];
    let run = site.run(&input);
    assert!(
        run.stdout().contains("base model: 8512 bytes verified"),
        "{}",
        run.stdout()
    );
    let StepResult::Check(checked) = run.result() else {
        panic!("a check is expected")
    };
    let base = checked.base_model.unwrap();
    assert_eq!((base.files, base.bytes), (1, 8512));
    input.base_verified = Some(base.stamp);
    let run = site.run(&input);
    assert!(run.stdout().contains("as the check verified them"), "{}", run.stdout());

    let path = folder.join("model.safetensors");
    let right = fs::read(&path).unwrap();
    let mut wrong = right.clone();
    *wrong.last_mut().unwrap() ^= 1;
    fs::write(&path, wrong).unwrap();
    refused(&site, &input, "model.safetensors hashes to ");
    fs::write(&path, &right[1..]).unwrap();
    refused(
        &site,
        &input,
        "model.safetensors has 8511 bytes, its manifest says 8512",
    );
    fs::remove_file(&path).unwrap();
    refused(&site, &input, "model.safetensors: No such file");
    fs::write(&path, right).unwrap();
    fs::write(folder.join("manifest.json"), r#"{"files": []}"#).unwrap();
    refused(&site, &input, "no manifest with SHA-256 ");
}

/// It ends with the exit code that is not tried again, and the message names what is wrong and where.
fn refused(site: &Site, input: &JobInput, problem: &str) {
    let (code, line) = site.run(input).failure();
    assert_eq!(code, 64, "{line}");
    assert!(
        line.starts_with("error: base model: ") && line.contains(&input.base_directories[0]) && line.contains(problem),
        "{line}"
    );
}

#[test]
fn a_parameter_that_is_in_no_file_of_the_base_model_is_refused_by_name() {
    let mut architecture = hollow();
    architecture["torchscript"]["baseModel"]["prefix"] = json!("elsewhere.");
    let site = site("hollow.pt", &architecture);
    site.write_data(1, 100, |l| l);
    let mut input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    input.base_directories = vec![volume(&site).display().to_string()];
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 65, "{line}");
    assert!(
        line.contains("its parameter \"base.bias\" is to come from a base model, and is not in one"),
        "{line}"
    );
}
