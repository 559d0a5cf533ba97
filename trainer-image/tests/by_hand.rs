//! The three steps as processes, with a folder in the gateway's place: what a participant without an operator does.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use common::*;
use protocol::{
    job::{CheckResult, JobInput, Seat, Step, StepResult, TrainResult, VoteResult},
    types::{ModelHash, Score, Timestamp},
};

fn check(site: &Site, number: u8) -> CheckResult {
    match site
        .run(&site.input(Step::Check, number, 0, ModelHash::ZERO, vec![]))
        .result()
    {
        StepResult::Check(result) => result,
        other => panic!("{other:?}"),
    }
}

fn trained(site: &Site, input: &JobInput) -> TrainResult {
    match site.run(input).result() {
        StepResult::Train(result) => result,
        other => panic!("{other:?}"),
    }
}

fn train(site: &Site, number: u8, round: u32, start: ModelHash) -> TrainResult {
    trained(site, &site.input(Step::Train, number, round, start, vec![]))
}

fn vote(site: &Site, number: u8, round: u32, start: ModelHash, seats: Vec<Seat>) -> VoteResult {
    match site.run(&site.input(Step::Vote, number, round, start, seats)).result() {
        StepResult::Vote(result) => result,
        other => panic!("{other:?}"),
    }
}

fn seat(number: u8, contribution: Option<ModelHash>) -> Seat {
    Seat {
        proposer: participant(number),
        sample_count: 100,
        contribution,
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

#[test]
fn check_counts_the_data_and_derives_the_genesis_model() {
    let site = Site::new(definition(MLP, 1));
    site.write_data(1, 200, |l| l);
    let result = check(&site, 1);
    assert_eq!(result.genesis_model, site.genesis());
    assert_eq!(result.train_samples + result.test_samples, 200);
    assert!((20..=80).contains(&result.test_samples), "{}", result.test_samples);
    assert_eq!((result.classes, &*result.device), (4, "cpu"));
}

#[test]
fn two_rounds_of_two_proposers_and_a_voter_raise_the_accuracy() {
    for architecture in [MLP, CNN] {
        let site = Site::new(definition(architecture, 3));
        for number in 1..=3 {
            site.write_data(number, 400, |l| l);
        }
        let mut start = site.genesis();
        let mut metrics = Vec::new();
        for round in 0..2 {
            let seats: Vec<Seat> = (1..=2)
                .map(|number| {
                    let result = train(&site, number, round, start);
                    assert!(!result.stopped_early);
                    assert_eq!(result.epochs, 3);
                    seat(number, Some(result.model))
                })
                .collect();
            let result = vote(&site, 3, round, start, seats);
            assert_eq!((result.score, result.mask.0), (Score::For, 0b11));
            assert!(result.excluded.is_empty());
            assert!(site.path("store").join(result.aggregate.to_string()).exists());
            metrics.extend([number(&result.start_metric), number(&result.aggregate_metric)]);
            start = result.aggregate;
        }
        assert!(metrics[0] < 0.5, "an untrained model guesses: {metrics:?}");
        assert!(metrics[1] > metrics[0] + 0.2, "{metrics:?}");
        assert_eq!(metrics[1], metrics[2], "the aggregate is the next start");
        assert!(metrics[3] > 0.9, "{metrics:?}");
    }
}

#[test]
fn the_same_input_gives_the_same_contribution() {
    let site = Site::new(definition(MLP, 2));
    site.write_data(1, 150, |l| l);
    let first = train(&site, 1, 0, site.genesis());
    assert_eq!(train(&site, 1, 0, site.genesis()).model, first.model);
    assert_eq!(size(&site.path("store").join(first.model.to_string())) % 8, 0);
}

#[test]
fn poisoned_contributions_are_voted_down() {
    let site = Site::new(definition(MLP, 3));
    for number in 1..=2 {
        site.write_data(number, 400, |l| l);
        site.write_data(number + 10, 400, |l| (l + 1) % 4);
    }
    let good = train(&site, 1, 0, site.genesis()).model;
    let start = vote(&site, 2, 0, site.genesis(), vec![seat(1, Some(good))]).aggregate;
    let bad = train(&site, 11, 1, start).model;
    let result = vote(&site, 2, 1, start, vec![seat(11, Some(bad))]);
    assert_eq!((result.score, result.mask.0), (Score::Against, 1));
    assert!(number(&result.aggregate_metric) < number(&result.start_metric) - 0.3);
}

#[test]
fn what_is_missing_stale_or_copied_loses_its_bit_and_is_named() {
    let site = Site::new(definition(MLP, 1));
    for number in 1..=2 {
        site.write_data(number, 200, |l| l);
    }
    let model = train(&site, 1, 0, site.genesis()).model;
    let damaged = ModelHash(
        "0x1111111111111111111111111111111111111111111111111111111111111111"
            .parse()
            .unwrap(),
    );
    fs::write(site.path("store").join(damaged.to_string()), b"not it").unwrap();
    let seats = vec![
        seat(5, Some(ModelHash::ZERO)),
        seat(1, Some(model)),
        seat(6, Some(model)),
        seat(7, None),
        seat(8, Some(damaged)),
    ];
    let result = vote(&site, 2, 0, site.genesis(), seats);
    assert_eq!(result.mask.0, 0b00010);
    let reasons: Vec<(u32, &str)> = result.excluded.iter().map(|e| (e.seat, &*e.reason)).collect();
    assert_eq!(reasons.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), [0, 2, 3, 4]);
    for ((_, reason), start) in reasons.iter().zip([
        "not fetched (not-found)",
        "invalid (metadata)",
        "no contribution",
        "not fetched (wrong-bytes)",
    ]) {
        assert!(reason.starts_with(start), "{reason}");
    }
}

#[test]
fn with_nothing_to_aggregate_the_vote_is_against_the_start_with_an_empty_mask() {
    let site = Site::new(definition(MLP, 1));
    site.write_data(2, 200, |l| l);
    let result = vote(&site, 2, 0, site.genesis(), vec![seat(1, None)]);
    assert_eq!(
        (result.aggregate, result.score, result.mask.0),
        (site.genesis(), Score::Against, 0)
    );
    assert_eq!(result.start_metric, result.aggregate_metric);
}

#[test]
fn after_finish_by_something_is_handed_in_all_the_same() {
    let site = Site::new(definition(MLP, 500));
    for number in 1..=2 {
        site.write_data(number, 3000, |l| l);
    }
    let mut input = site.input(Step::Train, 1, 0, site.genesis(), vec![]);
    input.finish_by = Timestamp(1);
    let result = trained(&site, &input);
    assert!(result.stopped_early);
    assert_eq!((result.epochs, result.steps), (0, 1));
    assert!(site.path("store").join(result.model.to_string()).exists());

    let mut input = site.input(Step::Vote, 2, 0, site.genesis(), vec![seat(1, Some(result.model))]);
    input.finish_by = Timestamp(1);
    let run = site.run(&input);
    let StepResult::Vote(result) = run.result() else {
        panic!("a vote is expected")
    };
    assert_eq!(result.mask.0, 1);
    assert!(run.stdout().contains("time is up"), "{}", run.stdout());
}

#[test]
fn bad_data_ends_with_64_and_names_the_file() {
    let site = Site::new(definition(MLP, 1));
    let folder = site.write_data(1, 50, |l| l);
    let input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    let images = fs::read(folder.join("images-idx3-ubyte")).unwrap();

    fs::write(folder.join("images-idx3-ubyte"), &images[..images.len() - 1]).unwrap();
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 64);
    assert!(
        line.contains("data-1/images-idx3-ubyte: its header declares 3200 bytes"),
        "{line}"
    );

    fs::write(folder.join("images-idx3-ubyte"), &images).unwrap();
    site.write_data(1, 50, |l| l + 4);
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 64);
    assert!(line.contains("data-1/labels-idx1-ubyte: record 0 has label "), "{line}");

    fs::remove_file(folder.join("labels-idx1-ubyte")).unwrap();
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 64);
    assert!(
        line.contains("data-1 has neither labels-idx1-ubyte nor labels-idx1-ubyte.gz"),
        "{line}"
    );

    site.write_data(1, 1, |l| l);
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 64);
    assert!(line.contains("of 1 records none falls into the"), "{line}");
}

#[test]
fn data_of_another_size_than_the_definition_says_ends_with_64() {
    let site = Site::new(definition(&MLP.replace("64", "784"), 1));
    site.write_data(1, 50, |l| l);
    let (code, line) = site
        .run(&site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]))
        .failure();
    assert_eq!(code, 64);
    assert!(
        line.contains("its images are 8 x 8 (64 pixels, 1 channel), but the definition expects 784"),
        "{line}"
    );
}

#[test]
fn a_definition_that_is_wrong_or_hashes_to_something_else_ends_with_65() {
    let site = Site::new(definition(MLP, 1));
    site.write_data(1, 50, |l| l);
    let mut input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    input.definition = input.definition.replace("\"seed\":5", "\"seed\":6");
    let (code, line) = site.run(&input).failure();
    assert_eq!(code, 65);
    assert!(line.contains("the definition hashes to"), "{line}");
    input.definition = "{}".into();
    assert_eq!(site.run(&input).failure().0, 65);
}

#[test]
fn a_start_model_that_the_definition_does_not_give_ends_with_65() {
    let site = Site::new(definition(MLP, 1));
    site.write_data(1, 50, |l| l);
    let (code, line) = site
        .run(&site.input(Step::Train, 1, 0, ModelHash::ZERO, vec![]))
        .failure();
    assert_eq!(code, 65);
    assert!(line.contains(&site.genesis().to_string()), "{line}");
}

#[test]
fn training_that_diverges_hands_in_the_last_values_that_were_finite() {
    let wild = definition(MLP, 2)
        .replace("\"learningRate\":\"0.05\"", "\"learningRate\":\"1000\"")
        .replace("\"std\":\"0.25\"", "\"std\":\"0.000001\"");
    let site = Site::new(wild);
    for number in 1..=2 {
        site.write_data(number, 200, |l| l);
    }
    let result = train(&site, 1, 0, site.genesis());
    assert!(result.stopped_early);
    let result = vote(&site, 2, 0, site.genesis(), vec![seat(1, Some(result.model))]);
    assert_eq!(result.mask.0, 1, "what was handed in is valid: {:?}", result.excluded);
}

#[test]
fn an_input_document_of_another_version_or_step_ends_with_67() {
    let site = Site::new(definition(MLP, 1));
    site.write_data(1, 50, |l| l);
    let input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    let mut document = serde_json::to_value(&input).unwrap();
    document["version"] = 0.into();
    let (code, line) = site.run_document(Step::Check, &document).failure();
    assert_eq!(code, 67);
    assert!(
        line.contains("input.json: version 0 of the input document; this trainer reads version 1"),
        "{line}"
    );

    let document = serde_json::to_value(&input).unwrap();
    assert_eq!(site.run_document(Step::Train, &document).failure().0, 67);
    let mut document = serde_json::to_value(&input).unwrap();
    document["gateway"] = "ftp://somewhere".into();
    assert_eq!(site.run_document(Step::Check, &document).failure().0, 67);
}

#[test]
fn a_gpu_that_is_not_there_ends_with_68() {
    let site = Site::new(definition(MLP, 1));
    site.write_data(1, 50, |l| l);
    let mut input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    input.device = protocol::job::Device::Cuda;
    let mut command = site.command(Step::Check, &serde_json::to_value(&input).unwrap());
    // On a machine with one, hidden.
    let output = command.env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(68),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn devices_are_listed_with_the_reason_why_there_is_no_gpu() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"));
    let output = command.arg("devices").env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.starts_with("cpu: "), "{said}");
    // Without the CUDA libraries the first, in the GPU image the second.
    assert!(
        said.contains("cuda: none (library: ") || said.contains("cuda: none (no-gpu: "),
        "{said}"
    );
}

#[test]
fn sigterm_ends_a_training_between_two_steps_with_a_message() {
    let site = Site::new(definition(MLP, 10_000));
    site.write_data(1, 2000, |l| l);
    let input = site.input(Step::Train, 1, 0, site.genesis(), vec![]);
    let mut child = site
        .command(Step::Train, &serde_json::to_value(&input).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It stays open: the process says something about its end.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.starts_with("train: epoch "));
    assert!(running);
    assert!(
        Command::new("kill")
            .arg("-TERM")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let line = fs::read_to_string(site.path("termination-log")).unwrap();
    assert!(line.starts_with("error: stopped by SIGTERM after step "), "{line}");
    assert!(
        line.ends_with("; the scratch volume has what this training goes on from"),
        "{line}"
    );
}

#[test]
fn help_says_what_the_exit_codes_mean() {
    let output = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"))
        .arg("--help")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in ["check", "train", "vote", "64  the data", "file:///"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"))
        .arg("dance")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(67));
}

/// The scores by which an outlier is told apart: what the report says of it.
fn outlier(result: &VoteResult) -> Vec<u32> {
    let outlier = |excluded: &&protocol::job::ExcludedSeat| excluded.reason.starts_with("outlier: its score");
    result
        .excluded
        .iter()
        .filter(outlier)
        .map(|excluded| excluded.seat)
        .collect()
}

#[test]
fn a_poisoner_among_honest_proposers_loses_its_bit_and_honest_ones_never_do() {
    let rule = r#""aggregation":{"rule":"multiKrum/v1","byzantine":1,"slashOutliers":"7","weighted":false}"#;
    let plain = r#""aggregation":{"rule":"mean/v1","weighted":false}"#;
    let site = Site::new(definition(MLP, 1).replace(plain, rule));
    assert!(site.definition.contains("slashOutliers"), "{}", site.definition);
    for number in 1..=6 {
        site.write_data(number, 400, |l| l);
        site.write_data(number + 10, 400, |l| (l + 1) % 4);
    }
    let mut start = site.genesis();
    for round in 0..3u32 {
        // Another seat is the poisoner's each round.
        let place = (round * 2) as usize;
        let model = |number: u8| train(&site, number, round, start).model;
        let honest: Vec<Seat> = (1..=5).map(|number| seat(number, Some(model(number)))).collect();
        let poisoner = 11 + place as u8;
        let mut poisoned = honest.clone();
        poisoned[place] = seat(poisoner, Some(model(poisoner)));

        let result = vote(&site, 6, round, start, poisoned.clone());
        assert_eq!(result.mask.0, 0b11111 & !(1 << place), "round {round}: {result:?}");
        assert_eq!(outlier(&result), [place as u32]);
        assert_eq!((result.score, result.fallback), (Score::For, None));
        assert!(result.unused.is_empty());

        let calm = vote(&site, 6, round, start, honest);
        assert_eq!(
            (calm.mask.0, calm.unused.len()),
            (0b11111, 1),
            "round {round}: {calm:?}"
        );
        assert!(calm.excluded.is_empty());

        // Four are too few for Krum with one that may be anything.
        poisoned[(place + 1) % 5].contribution = None;
        let few = vote(&site, 6, round, start, poisoned);
        assert_eq!(few.fallback.as_deref(), Some("median/v1"));
        assert!(outlier(&few).is_empty());
        assert_eq!(few.mask.count(), 4);
        start = result.aggregate;
    }
}

#[test]
fn a_residual_network_in_either_precision_learns() {
    let resnet = r#"{"resnet":{"channels":1,"height":8,"width":8,"filters":[8,16],"blocks":1,"groups":4,"outputs":4}}"#;
    for precision in ["", r#","precision":"bf16""#] {
        let json = definition(resnet, 4).replace(r#""epochs":4"#, &format!(r#""epochs":4{precision}"#));
        let site = Site::new(
            protocol::definition::Definition::parse(json.as_bytes())
                .unwrap()
                .canonical()
                .to_owned(),
        );
        site.write_data(1, 300, |l| l);
        let result = train(&site, 1, 0, site.genesis());
        assert!(number(&result.test_metric) > 0.85, "{precision}: {result:?}");
    }
}

#[test]
fn weights_of_sixteen_bits_travel_in_half_the_bytes_and_learn_as_well() {
    for weights in ["bf16", "f16"] {
        let json = definition(MLP, 6).replacen('{', &format!(r#"{{"weights":"{weights}","#), 1);
        let definition = protocol::definition::Definition::parse(json.as_bytes()).unwrap();
        let site = Site::new(definition.canonical().to_owned());
        for number in 1..=3 {
            site.write_data(number, 400, |l| l);
        }
        assert_eq!(check(&site, 1).genesis_model, site.genesis());
        let mut start = site.genesis();
        let mut last = 0.0;
        for round in 0..2 {
            let model = |proposer: u8| train(&site, proposer, round, start).model;
            let seats: Vec<Seat> = (1..=2).map(|proposer| seat(proposer, Some(model(proposer)))).collect();
            let parameters = 64 * 16 + 16 + 16 * 4 + 4;
            let bytes = size(&site.path("store").join(seats[0].contribution.unwrap().to_string()));
            assert!((2 * parameters..2 * parameters + 1000).contains(&bytes), "{bytes}");
            let result = vote(&site, 3, round, start, seats);
            assert_eq!((result.score, result.mask.0), (Score::For, 0b11), "{result:?}");
            start = result.aggregate;
            last = number(&result.aggregate_metric);
        }
        assert!(last > 0.9, "{weights}: {last}");
    }
}

#[test]
fn threads_follow_what_the_process_may_use_and_not_the_machines_cores() {
    // Work enough for many threads: 6 * 256 * 256 operations for each of 4096 records.
    let json = definition(&MLP.replace("[16]", "[256,256]"), 1).replace(r#""batchSize":16"#, r#""batchSize":4096"#);
    let site = Site::new(json);
    site.write_data(1, 50, |l| l);
    let input = site.input(Step::Check, 1, 0, ModelHash::ZERO, vec![]);
    let plain = site.command(Step::Check, &serde_json::to_value(&input).unwrap());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let first = allowed.trim().split([',', '-']).next().unwrap();
    let output = Command::new("taskset")
        .args(["-c", first])
        .arg(plain.get_program())
        .args(plain.get_args())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("device: cpu, 1 threads"), "{text}");
}
