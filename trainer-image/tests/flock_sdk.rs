//! The agent beside a container of FLock's SDK: the real package from PyPI (hack/flock-sdk.sh) with the sample of
//! samples/flock-sdk, and stand-ins for containers that misbehave.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use common::*;
use protocol::{
    definition::TaskDefinition,
    job::{DataFormat, JobInput, Seat, Step, StepResult, TrainResult, VoteResult},
    model::{Metadata, OpaqueHeader},
    types::{B256, ModelHash, Score, Timestamp},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TABLE: &str = include_str!("data/breast-cancer.csv");
const MIB: u64 = 1 << 20;

fn definition(max_model_bytes: u64) -> TaskDefinition {
    let cpu = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let document = json!({
        "schemaVersion": 1,
        "flockSdk": {"image": format!("sha256:{}", "5a".repeat(32)), "cpu": cpu},
        "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": "0.05"},
        "maxModelBytes": max_model_bytes,
    });
    TaskDefinition::parse(document.to_string().as_bytes()).unwrap()
}

fn site() -> Site {
    site_for(definition(65536))
}

fn site_for(definition: TaskDefinition) -> Site {
    Site::new(definition.canonical().to_owned())
}

fn genesis() -> ModelHash {
    definition(65536).genesis_hash().unwrap()
}

fn input(site: &Site, step: Step, number: u8, round: u32, start: ModelHash, seats: Vec<Seat>) -> JobInput {
    let mut input = JobInput {
        data_format: DataFormat::Json,
        genesis_model: genesis(),
        ..site.input(step, number, round, start, seats)
    };
    input.identity.definition = TaskDefinition::parse(site.definition.as_bytes()).unwrap().hash();
    input
}

/// Every fourth row for each of four participants.
fn write_records(site: &Site, number: u8) -> PathBuf {
    let mut lines = TABLE.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let records: Vec<Value> = lines
        .enumerate()
        .filter(|(i, _)| i % 4 == usize::from(number) - 1)
        .map(|(_, line)| {
            let cells = header.iter().zip(line.split(','));
            cells
                .map(|(name, cell)| {
                    let value = cell.parse::<f64>().map_or_else(|_| json!(cell), |number| json!(number));
                    ((*name).to_owned(), value)
                })
                .collect::<serde_json::Map<_, _>>()
                .into()
        })
        .collect();
    let folder = site.path(&format!("data-{number}"));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("dataset.json");
    fs::write(&path, json!(records).to_string()).unwrap();
    path
}

/// A process with the real SDK; ended when dropped.
struct Container {
    child: Child,
    address: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Container {
    fn start(dataset: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("../.build/flock-sdk/bin/python");
        assert!(
            python.exists(),
            "{} is not there: run hack/flock-sdk.sh",
            python.display()
        );
        let mut child = Command::new(python)
            .arg(root.join("tests/data/serve_flock_sdk.py"))
            .arg(root.join("../samples/flock-sdk"))
            .arg(dataset)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            child,
            address: format!("127.0.0.1:{}", port.trim()),
        }
    }
}

fn run(site: &Site, input: &JobInput, container: &str) -> Run {
    site.run_with(input, &["--flock-sdk", container])
}

fn trained(run: &Run) -> TrainResult {
    match run.result() {
        StepResult::Train(result) => result,
        other => panic!("{other:?}"),
    }
}

fn voted(run: &Run) -> VoteResult {
    match run.result() {
        StepResult::Vote(result) => result,
        other => panic!("{other:?}"),
    }
}

fn seat(number: u8, contribution: ModelHash) -> Seat {
    Seat {
        proposer: participant(number),
        sample_count: 100,
        contribution: Some(contribution),
    }
}

/// Puts a model file into the store by hand.
fn stored(site: &Site, parameters: &[u8], metadata: &Metadata) -> ModelHash {
    let header = OpaqueHeader::new(parameters.len() as u64, metadata).unwrap();
    let file = [header.as_bytes(), parameters].concat();
    let name = ModelHash(B256::from(<[u8; 32]>::from(Sha256::digest(&file))));
    fs::write(site.path("store").join(name.to_string()), file).unwrap();
    name
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn weights(site: &Site, model: ModelHash) -> Vec<f64> {
    let file = fs::read(site.path("store").join(model.to_string())).unwrap();
    let model: Value = serde_json::from_slice(&file[OpaqueHeader::BYTES..]).unwrap();
    let weights = model["weights"].as_array().unwrap();
    weights.iter().map(|w| w.as_f64().unwrap()).collect()
}

#[test]
fn a_container_of_the_real_sdk_trains_and_two_voters_get_the_same_aggregate() {
    let site = site();
    let containers: Vec<Container> = (1..=4).map(|n| Container::start(&write_records(&site, n))).collect();
    let at = |number: u8| containers[usize::from(number) - 1].address.as_str();

    let check = run(&site, &input(&site, Step::Check, 1, 0, ModelHash::ZERO, vec![]), at(1));
    let StepResult::Check(check) = check.result() else {
        panic!("a check is expected")
    };
    assert_eq!(check.genesis_model, genesis());
    assert_eq!((check.train_samples, check.device.as_str()), (143, "container"));

    let mut start = genesis();
    let mut metrics = Vec::new();
    for round in 0..2 {
        let seats: Vec<Seat> = (1..=2)
            .map(|n| {
                let result = trained(&run(&site, &input(&site, Step::Train, n, round, start, vec![]), at(n)));
                assert!(number(&result.test_metric) > 0.5, "{}", result.test_metric);
                seat(n, result.model)
            })
            .collect();
        let votes: Vec<VoteResult> = (3..=4)
            .map(|n| {
                voted(&run(
                    &site,
                    &input(&site, Step::Vote, n, round, start, seats.clone()),
                    at(n),
                ))
            })
            .collect();
        for vote in &votes {
            assert_eq!((vote.aggregate, vote.mask.0), (votes[0].aggregate, 0b11));
            assert_eq!(vote.score, Score::For, "{vote:?}");
        }
        let made = [0, 1].map(|i| weights(&site, seats[i].contribution.unwrap()));
        let mean = made[0].iter().zip(&made[1]).map(|(a, b)| (a + b) / 2.0);
        // Python's numbers are read here to the last digit but one.
        for (found, expected) in weights(&site, votes[0].aggregate).into_iter().zip(mean) {
            assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        }
        metrics.extend([number(&votes[0].start_metric), number(&votes[0].aggregate_metric)]);
        start = votes[0].aggregate;
    }
    // The second round starts from what the first one gave.
    assert_eq!(metrics[1], metrics[2]);
    assert!(metrics[1] > metrics[0] && metrics[3] > 0.8, "{metrics:?}");
}

#[test]
fn a_contribution_that_the_container_cannot_read_does_not_keep_the_others_out() {
    let site = site();
    let container = Container::start(&write_records(&site, 3));
    let start = genesis();
    let good = |n: u8, weight: f64| {
        let model = json!({"bias": 0.0, "weights": vec![weight; 30]}).to_string();
        let metadata = Metadata::contribution(TASK, protocol::types::Round(0), participant(n));
        seat(n, stored(&site, model.as_bytes(), &metadata))
    };
    let metadata = |n: u8| Metadata::contribution(TASK, protocol::types::Round(0), participant(n));
    let copied = Seat {
        proposer: participant(8),
        ..good(1, 0.5)
    };
    let seats = vec![
        seat(5, stored(&site, b"not a model", &metadata(5))),
        good(1, 0.5),
        seat(6, stored(&site, br#"{"bias": 0.0, "weights": [1.0]}"#, &metadata(6))),
        good(2, 1.5),
        copied,
        seat(7, stored(&site, b"", &metadata(7))),
    ];
    let vote = voted(&run(
        &site,
        &input(&site, Step::Vote, 3, 0, start, seats),
        &container.address,
    ));
    assert_eq!(vote.mask.0, 0b1010, "{:?}", vote.excluded);
    assert_eq!(weights(&site, vote.aggregate), vec![1.0; 30]);
    let reasons: Vec<(u32, &str)> = vote.excluded.iter().map(|e| (e.seat, e.reason.as_str())).collect();
    assert_eq!(reasons[0], (0, "invalid (failed): the container cannot aggregate it"));
    assert_eq!(reasons[1], (2, "invalid (failed): the container cannot aggregate it"));
    assert!(reasons[2].1.starts_with("invalid (header): "), "{reasons:?}");
    assert_eq!(reasons[3], (5, "invalid (unchanged): it is the start model"));

    // Nothing but garbage: a vote against, with an empty mask.
    let garbage = vec![seat(5, stored(&site, b"not a model", &metadata(5)))];
    let vote = voted(&run(
        &site,
        &input(&site, Step::Vote, 3, 0, start, garbage),
        &container.address,
    ));
    assert_eq!((vote.aggregate, vote.mask.0, vote.score), (start, 0, Score::Against));
}

#[test]
fn data_of_another_table_fails_the_check_by_the_exceptions_name_and_quotes_no_record() {
    let site = site();
    let dataset = write_records(&site, 1);
    let container = Container::start(&dataset);
    // The agent counts what is there; the container was started with the same file.
    let model = json!({"bias": 0.0, "weights": [1.0]}).to_string();
    let start = stored(&site, model.as_bytes(), &Metadata::none());
    let failed = run(
        &site,
        &input(&site, Step::Train, 1, 3, start, vec![]),
        &container.address,
    );
    let (code, line) = failed.failure();
    assert_eq!(code, 1, "{line}");
    assert!(
        line.starts_with("error: container: it answered train with status 500"),
        "{line}"
    );

    fs::write(&dataset, r#"[{"name": "Ada"}, "Grace"]"#).unwrap();
    let failed = run(
        &site,
        &input(&site, Step::Check, 1, 0, ModelHash::ZERO, vec![]),
        &container.address,
    );
    let (code, line) = failed.failure();
    assert_eq!(code, 64);
    assert!(
        line.contains("dataset.json: line 1") && !line.contains("Grace"),
        "{line}"
    );
}

/// Answers connections one after the other; those that only look whether somebody listens are not counted.
fn stand_in(answer: impl Fn(usize, &mut TcpStream, u64) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut calls = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let Some((_, rest)) = head.split_once("content-length: ") else {
                continue;
            };
            assert!(head.starts_with("post /call "), "{head}");
            let length = rest.lines().next().unwrap().parse().unwrap();
            answer(calls, &mut stream, length);
            calls += 1;
        }
    });
    address
}

/// Reads a body without keeping it.
fn drain(stream: &mut TcpStream, length: u64) {
    let copied = std::io::copy(&mut stream.take(length), &mut std::io::sink()).unwrap();
    assert_eq!(copied, length);
}

fn says(status: &'static str, body: &'static str) -> String {
    stand_in(move |_, stream, length| {
        drain(stream, length);
        let answer = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

#[test]
fn what_a_check_finds_wrong_with_a_container_is_an_exit_code_and_a_sentence() {
    let page = "<title>KeyError: 'secret of a record' // Werkzeug Debugger</title>";
    let ended = stand_in(|_, _, _| {});
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let silent = stand_in(|_, stream, length| {
        drain(stream, length);
        // Until the agent gives up.
        let _ = stream.read(&mut [0]);
    });
    for (container, seconds, code, sentence) in [
        (
            says("500 INTERNAL SERVER ERROR", page),
            600,
            65,
            "it cannot evaluate here: status 500 (KeyError); see its log",
        ),
        (
            says("404 NOT FOUND", "nothing"),
            600,
            65,
            "it cannot evaluate here: status 404 (no reason given); see its log",
        ),
        (
            says("200 OK", "{\"loss\": 1}"),
            600,
            65,
            "its answer to evaluate cannot be used: it has no number as accuracy",
        ),
        (
            says("200 OK", "{\"accuracy\": NaN}"),
            600,
            65,
            "its answer to evaluate cannot be used: the accuracy of a fresh model is not a finite number",
        ),
        (
            ended,
            600,
            1,
            "it ended or closed the connection during evaluate; see its log",
        ),
        (
            nobody,
            0,
            1,
            "it did not listen on port 5000 in the time there was; see its log",
        ),
        (silent, 2, 1, "it did not answer evaluate in the time there was"),
    ] {
        let site = site();
        write_records(&site, 1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let check = JobInput {
            finish_by: Timestamp(now + seconds),
            ..input(&site, Step::Check, 1, 0, ModelHash::ZERO, vec![])
        };
        let failed = run(&site, &check, &container);
        assert_eq!(failed.failure(), (code, format!("error: container: {sentence}")));
    }
}

#[test]
fn a_model_above_the_limit_or_without_parameters_is_no_contribution() {
    for (answer, sentence) in [
        (
            "{\"parameters\": \"\"}",
            "its answer to train cannot be used: it has no parameters",
        ),
        (
            "{\"accuracy\": 1}",
            "its answer to train cannot be used: it has no parameters",
        ),
        (
            "{\"parameters\": \"QUJDQUJDQUJDQUJDQUJD\"}",
            "its answer to train cannot be used: it is larger than the definition's maxModelBytes, 520",
        ),
    ] {
        let site = site_for(definition(520));
        write_records(&site, 1);
        let train = input(&site, Step::Train, 1, 0, genesis(), vec![]);
        let failed = run(&site, &train, &says("200 OK", answer));
        assert_eq!(failed.failure(), (65, format!("error: container: {sentence}")));
    }
}

#[test]
fn a_contribution_that_ends_the_container_is_found_and_left_out() {
    let site = site();
    write_records(&site, 3);
    let metadata = |n: u8| Metadata::contribution(TASK, protocol::types::Round(0), participant(n));
    let seats = vec![
        seat(1, stored(&site, b"good", &metadata(1))),
        seat(2, stored(&site, b"deadly", &metadata(2))),
    ];
    let container = stand_in(|_, stream, length| {
        let mut body = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut body).unwrap();
        let call: Value = serde_json::from_slice(&body).unwrap();
        let list = call["parameters_list"].as_array().cloned().unwrap_or_default();
        let answer = match call["method"].as_str().unwrap() {
            // The connection is closed without a word.
            "aggregate" if list.contains(&json!("ZGVhZGx5")) => return,
            "aggregate" => json!({"parameters": list[0]}),
            _ => json!({"accuracy": 0.5}),
        };
        let answer = answer.to_string();
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).unwrap();
    });
    let vote = voted(&run(
        &site,
        &input(&site, Step::Vote, 3, 0, genesis(), seats),
        &container,
    ));
    assert_eq!((vote.mask.0, vote.score), (0b01, Score::For));
    assert_eq!(vote.excluded.len(), 1);
    assert_eq!(
        (vote.excluded[0].seat, vote.excluded[0].reason.as_str()),
        (1, "invalid (ended): the container cannot aggregate it")
    );
    let aggregate = fs::read(site.path("store").join(vote.aggregate.to_string())).unwrap();
    assert_eq!(&aggregate[OpaqueHeader::BYTES..], b"good");
}

/// In KiB, from the process's own counters.
fn memory(process: u32, counter: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(counter)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Trains from a model of `start` bytes to one of `made` bytes with a stand-in; gives by how much the agent's memory grew
/// at most after its first call began.
fn growth(start: u64, made: u64) -> u64 {
    let site = site_for(definition(made + OpaqueHeader::BYTES as u64));
    write_records(&site, 1);
    let start = stored(&site, &vec![7; start as usize], &Metadata::none());
    let train = input(&site, Step::Train, 1, 3, start, vec![]);
    let (process, known) = mpsc::channel::<u32>();
    let (tell, told) = mpsc::channel::<u64>();
    let state = Mutex::new((0, 0));
    let container = stand_in(move |call, stream, length| {
        static BLOCK: [u8; 1 << 16] = [b'Q'; 1 << 16];
        let mut state = state.lock().unwrap();
        if call == 0 {
            let process = known.recv().unwrap();
            *state = (process, memory(process, "VmRSS:"));
            drain(stream, length);
            let text = made / 3 * 4;
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", text + 18);
            stream
                .write_all(format!("{head}{{\"parameters\": \"").as_bytes())
                .unwrap();
            let mut left = text as usize;
            while left > 0 {
                let n = left.min(BLOCK.len());
                stream.write_all(&BLOCK[..n]).unwrap();
                left -= n;
            }
            stream.write_all(b"\"}").unwrap();
        } else {
            // The model was handed in and is sent back to be evaluated: nothing larger is to come.
            drain(stream, length);
            let (process, before) = *state;
            tell.send(memory(process, "VmHWM:").saturating_sub(before) * 1024)
                .unwrap();
            stream
                .write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 17\r\n\r\n{\"accuracy\": 0.5}")
                .unwrap();
        }
    });
    let document = serde_json::to_value(&train).unwrap();
    let agent = site
        .command(Step::Train, &document)
        .args(["--flock-sdk", &container])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.send(agent.id()).unwrap();
    let output = agent.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line: protocol::job::JobResult =
        serde_json::from_slice(output.stdout.trim_ascii_end().rsplit(|&b| b == b'\n').next().unwrap()).unwrap();
    let StepResult::Train(result) = line.outcome else {
        panic!("a training is expected")
    };
    assert_eq!(
        size(&site.path("store").join(result.model.to_string())),
        made + OpaqueHeader::BYTES as u64
    );
    told.try_recv().unwrap()
}

#[test]
fn a_model_passes_through_the_agent_in_blocks() {
    let (start, made) = (24 * MIB, 48 * MIB);
    let growth = growth(start, made);
    println!(
        "{} MiB in, {} MiB out: {} KiB more",
        start / MIB,
        made / MIB,
        growth / 1024
    );
    assert!(growth < 8 * MIB, "{growth} bytes more");
}

/// The same with models of the size that matters: `cargo test --workspace --test flock_sdk -- --ignored --nocapture`.
#[test]
#[ignore = "hundreds of megabytes take too long in a debug build"]
fn a_model_of_hundreds_of_megabytes_passes_through_the_agent_in_blocks() {
    let (start, made) = (384 * MIB, 384 * MIB);
    let growth = growth(start, made);
    println!(
        "{} MiB in, {} MiB out: {} KiB more",
        start / MIB,
        made / MIB,
        growth / 1024
    );
    assert!(growth < 8 * MIB, "{growth} bytes more");
}
