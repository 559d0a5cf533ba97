//! Trainings that are killed and go on, as processes: the model in the end is bit for bit that of an undisturbed one.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::*;
use protocol::{
    definition::Definition,
    job::{Checkpoints, JobInput, Step, StepResult, TrainResult},
    types::Round,
};
use serde_json::{Value, json};

const SHARED_NOISE: [u8; 32] = [42; 32];

/// The usual definition with other settings of training.
fn defined(architecture: &str, training: Value) -> String {
    let mut document: Value = serde_json::from_str(&definition(architecture, 1)).unwrap();
    document["training"] = training;
    let text = document.to_string();
    Definition::parse(text.as_bytes()).unwrap().canonical().to_owned()
}

fn sgd() -> Value {
    json!({
        "optimizer": {"sgd": {"learningRate": "0.05", "momentum": "0.9", "weightDecay": "0.0001", "nesterov": true}},
        "batchSize": 16, "epochs": 25, "schedule": {"cosine": {"finalFactor": "0.1"}}, "warmUpSteps": 50,
        "earlyStop": {"patience": 30, "minImprovement": "0.001"}
    })
}

fn adam(kind: &str, more: Value) -> Value {
    let settings = json!({"learningRate": "0.001", "beta1": "0.9", "beta2": "0.999", "epsilon": "0.00000001", "weightDecay": "0.01"});
    let mut training = json!({"optimizer": {kind: settings}, "batchSize": 16, "epochs": 30});
    for (key, value) in more.as_object().unwrap() {
        training[key] = value.clone();
    }
    training
}

fn site(definition: String) -> Site {
    let site = Site::new(definition);
    site.write_data(1, 800, |l| l);
    site
}

/// A training that leaves checkpoints as often as it may.
fn often(site: &Site) -> JobInput {
    let mut input = site.input(Step::Train, 1, 0, site.genesis(), vec![]);
    input.checkpoints = Some(Checkpoints {
        every_seconds: 0,
        ..Checkpoints::default()
    });
    input
}

fn checkpoint(site: &Site, input: &JobInput) -> PathBuf {
    let hash = input.identity.hash().to_string();
    let name = format!("fl-alliance-checkpoint-{:.16}", hash.trim_start_matches("0x"));
    site.path("scratch").join(name)
}

fn trained(run: &Run) -> TrainResult {
    match run.result() {
        StepResult::Train(result) => result,
        other => panic!("{other:?}"),
    }
}

fn start(site: &Site, input: &JobInput) -> Child {
    site.command(Step::Train, &serde_json::to_value(input).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Runs until a line of the log begins so, then sends the signal; what the process said until it ended, and its exit
/// code.
fn interrupt(site: &Site, input: &JobInput, line: &str, name: &str) -> (String, Option<i32>) {
    let mut child = start(site, input);
    let mut said = String::new();
    let mut sent = None;
    for text in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if sent.is_none() && text.starts_with(line) {
            signal(&child, name);
            sent = Some(Instant::now());
        }
        said += &text;
        said.push('\n');
    }
    let code = child.wait().unwrap().code();
    let sent = sent.unwrap_or_else(|| panic!("no line begins with {line:?}:\n{said}"));
    assert!(sent.elapsed() < Duration::from_secs(10), "{:?}", sent.elapsed());
    (said, code)
}

/// The model of one undisturbed training, and of one that is killed, told to stop, and killed again.
#[track_caller]
fn goes_on_bit_for_bit(site: &Site) {
    let input = often(site);
    let noise = checkpoint(site, &input).with_extension("key");
    let private = site.definition.contains("noiseMultiplier");
    let share_noise = || {
        if private {
            fs::write(&noise, SHARED_NOISE).unwrap();
        }
    };
    share_noise();
    let undisturbed = trained(&site.run(&often(site)));
    assert_eq!(undisturbed.resumed_from, None);

    share_noise();
    let mut before = 0;
    for (name, code) in [("-KILL", None), ("-TERM", Some(143)), ("-KILL", None)] {
        let (said, ended) = interrupt(site, &input, "checkpoint: step ", name);
        assert_eq!(ended, code, "{said}");
        let goes_on = said.lines().find_map(|l| l.strip_prefix("train: goes on after step "));
        let from: u64 = goes_on.map_or(0, |step| step.parse().unwrap());
        assert!(from >= before && (before == 0 || from > 0), "{said}");
        before = said
            .lines()
            .filter_map(|l| l.strip_prefix("checkpoint: step "))
            .filter_map(|rest| rest.split(' ').next()?.parse().ok())
            .max()
            .unwrap();
        assert!(checkpoint(site, &input).exists());
    }
    let resumed = trained(&site.run(&input));
    assert!(resumed.resumed_from >= Some(before), "{resumed:?}");
    assert_eq!(
        (resumed.model, resumed.steps, resumed.epochs, &resumed.loss),
        (
            undisturbed.model,
            undisturbed.steps,
            undisturbed.epochs,
            &undisturbed.loss
        )
    );
}

#[test]
fn sgd_with_momentum_schedule_and_early_stop_goes_on_bit_for_bit() {
    goes_on_bit_for_bit(&site(defined(MLP, sgd())));
}

#[test]
fn adam_goes_on_bit_for_bit() {
    goes_on_bit_for_bit(&site(defined(
        CNN,
        adam("adam", json!({"clipNorm": "1", "epochs": 12})),
    )));
}

#[test]
fn adamw_in_bfloat16_goes_on_bit_for_bit() {
    goes_on_bit_for_bit(&site(defined(
        MLP,
        adam("adamW", json!({"precision": "bf16", "epochs": 15})),
    )));
}

#[test]
fn a_private_training_that_has_its_key_goes_on_bit_for_bit() {
    let privacy = json!({"clipNorm": "1", "noiseMultiplier": "1.1", "delta": "0.00001"});
    goes_on_bit_for_bit(&site(defined(
        MLP,
        adam("adam", json!({"privacy": privacy, "epochs": 4})),
    )));
}

#[test]
fn a_module_with_dropout_goes_on_bit_for_bit() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/adapted.pt");
    let described = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"))
        .args(["describe", "--input-shape", "1,8,8", "--module"])
        .arg(&module)
        .output()
        .unwrap();
    let architecture = String::from_utf8(described.stdout).unwrap();
    let site = site(defined(&architecture, adam("adam", json!({"epochs": 8}))));
    let hash = serde_json::from_str::<Value>(&architecture).unwrap()["torchscript"]["module"].clone();
    fs::copy(&module, site.path("store").join(hash.as_str().unwrap())).unwrap();
    goes_on_bit_for_bit(&site);
}

#[test]
fn what_is_damaged_or_of_another_training_is_passed_over() {
    let site = site(defined(MLP, sgd()).replace("\"epochs\":25", "\"epochs\":8"));
    let input = often(&site);
    let undisturbed = trained(&site.run(&input)).model;
    let path = checkpoint(&site, &input);
    interrupt(&site, &input, "checkpoint: step ", "-KILL");
    let good = fs::read(&path).unwrap();

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let garbage = b"something else that is long enough".repeat(9);
    let mut cases = vec![
        (flipped, "it is damaged".to_owned()),
        (good[..good.len() - 1].to_vec(), "it is damaged".to_owned()),
        (good[..20].to_vec(), "it is not a checkpoint".to_owned()),
        (garbage, "it is not a checkpoint".to_owned()),
        (Vec::new(), "it is not a checkpoint".to_owned()),
    ];
    // Trainings that differ in one thing each; what they leave is put into the place of this one's.
    let other = Site::new(site.definition.replace("\"seed\":5", "\"seed\":6"));
    for number in [1, 2] {
        other.write_data(number, 800, |l| l);
    }
    for what in ["definition", "round", "participant", "start model"] {
        let mut foreign = often(&other);
        foreign.identity.participant = participant(if what == "participant" { 2 } else { 1 });
        if what != "definition" {
            foreign.definition = input.definition.clone();
            foreign.identity.definition = input.identity.definition;
            foreign.identity.start_model = input.identity.start_model;
            foreign.genesis_model = input.genesis_model;
        }
        if what == "round" {
            foreign.identity.round = Round(1);
        }
        if what == "start model" {
            let start = site.path("store").join(undisturbed.to_string());
            fs::copy(start, other.path("store").join(undisturbed.to_string())).unwrap();
            foreign.identity.start_model = undisturbed;
            foreign.identity.round = Round(1);
        }
        interrupt(&other, &foreign, "checkpoint: step ", "-KILL");
        let left = fs::read(checkpoint(&other, &foreign)).unwrap();
        cases.push((left, format!("it is of another {what}")));
    }
    for (bytes, part) in cases {
        fs::write(&path, bytes).unwrap();
        let run = site.run(&input);
        assert!(run.stdout().contains(&part), "{part}: {}", run.stdout());
        assert_eq!(trained(&run).model, undisturbed, "{part}");
        assert_eq!(trained(&run).resumed_from, None, "{part}");
    }
    // The same training on other data.
    fs::write(&path, &good).unwrap();
    site.write_data(1, 801, |l| l);
    let run = site.run(&input);
    assert!(run.stdout().contains("the data have changed"), "{}", run.stdout());
    // A folder in its place can be neither read nor replaced.
    fs::create_dir_all(path.join("in the way")).unwrap();
    let output = site
        .command(Step::Train, &serde_json::to_value(&input).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("cannot be written, training goes on"),
        "{text}"
    );
}

#[test]
fn what_is_at_the_gateway_goes_on_on_another_node() {
    let site = site(defined(MLP, sgd()));
    let mut input = often(&site);
    input.checkpoints = Some(Checkpoints {
        every_seconds: 0,
        scratch_bytes: Some(1 << 30),
        gateway_bytes: Some(1 << 20),
    });
    let undisturbed = trained(&site.run(&input)).model;
    let (said, code) = interrupt(&site, &input, "checkpoint: the gateway has step ", "-KILL");
    assert_eq!(code, None, "{said}");
    let lose_node = || {
        fs::remove_dir_all(site.path("scratch")).unwrap();
        fs::create_dir(site.path("scratch")).unwrap();
    };
    lose_node();
    let (said, code) = interrupt(&site, &input, "train: goes on after step ", "-TERM");
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("checkpoint: one at the gateway is of step "), "{said}");
    let line = fs::read_to_string(site.path("termination-log")).unwrap();
    assert!(
        line.ends_with("the gateway has what another pod goes on from"),
        "{line}"
    );
    lose_node();
    let run = site.run(&input);
    assert!(trained(&run).resumed_from.is_some());
    assert_eq!(trained(&run).model, undisturbed);
    // What is not needed any more is gone.
    let name = checkpoint(&site, &input).file_name().unwrap().to_owned();
    assert!(!site.path("store").join(name).exists());
}

#[test]
fn a_checkpoint_that_would_overfill_the_scratch_volume_is_not_made() {
    let site = site(defined(MLP, sgd()));
    let mut input = often(&site);
    input.checkpoints = Some(Checkpoints {
        every_seconds: 0,
        scratch_bytes: Some(10_000),
        gateway_bytes: None,
    });
    let run = site.run(&input);
    let text = run.stdout();
    assert_eq!(text.matches("raise spec.trainer.scratchSize").count(), 1, "{text}");
    assert!(!text.contains("kept,"), "{text}");
    assert_eq!(trained(&run).resumed_from, None);
    let (said, code) = interrupt(&site, &input, "train: first step done", "-TERM");
    assert_eq!(code, Some(143), "{said}");
    let line = fs::read_to_string(site.path("termination-log")).unwrap();
    assert!(line.ends_with("nothing of it could be kept"), "{line}");
}
