//! `check`, `train` and `vote` with a container.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use protocol::{
    job::{CheckResult, ExcludedSeat, Stage, StepResult, TrainResult, VoteResult},
    model::{Metadata, ModelError, write_opaque_genesis},
    types::{IncludedMask, ModelHash, Score},
    vote,
};

use super::{Agent, ContainerError, container::Target, dataset, parameters::Parameters};
use crate::{
    evaluate::decimal,
    failure::Failure,
    gateway::retry,
    steps::{
        fetch::{Fetched, fetch_all},
        hand_in,
    },
};

/// How long `check` waits for the gateway.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(30);
/// What the metric of a trained model may take of a round at least; otherwise a quarter of the training.
const SHORTEST_EVALUATION: Duration = Duration::from_secs(30);

/// Whether everything a round needs is there, before anything is staked.
pub(super) fn check(agent: &Agent) -> Result<StepResult, Failure> {
    agent.reporter.stage(Stage::Reading);
    let data = dataset::count(Path::new(&agent.input.document.data_directory))?;
    println!("check: {} records", data.records);
    let until = agent.input.finish_by();
    agent.container.wait(until)?;
    agent.reporter.stage(Stage::Evaluating);
    let metric = agent.container.evaluate(&Parameters::none(), until).map_err(unfit)?;
    let name = agent.definition.evaluation().metric.as_str();
    if !metric.is_finite() {
        return Err(ContainerError::Wrong {
            method: "evaluate",
            problem: format!("the {name} of a fresh model is not a finite number"),
        }
        .into());
    }
    println!("check: the container gives a fresh model {name} {}", decimal(metric));
    retry(SystemTime::now() + GATEWAY_PATIENCE, "gateway", || {
        agent.gateway.ready()
    })?;
    println!("check: gateway reached");
    Ok(StepResult::Check(CheckResult {
        genesis_model: write_opaque_genesis(std::io::sink())?,
        // How it splits them is the container's business: the chain is told of all.
        train_samples: data.records,
        test_samples: 0,
        classes: 0,
        device: "container".to_owned(),
        data: Some(data),
        base_model: None,
    }))
}

fn unfit(error: ContainerError) -> ContainerError {
    match error {
        ContainerError::Failed {
            method,
            status,
            exception,
        } => ContainerError::Unfit {
            method,
            status,
            exception,
        },
        other => other,
    }
}

/// A contribution from the round's start model.
pub(super) fn train(agent: &Agent) -> Result<StepResult, Failure> {
    let identity = agent.identity();
    let start = agent.start_model()?;
    let path = agent.scratch.path().join("contribution");
    let metadata = Metadata::contribution(identity.task, identity.round, identity.participant);
    let target = Target {
        path: &path,
        metadata: &metadata,
        max_bytes: agent.definition.max_model_bytes(),
    };
    let until = agent.input.finish_by();
    agent.reporter.stage(Stage::Training);
    let began = Instant::now();
    let (trained, model) = agent.container.train(&start, &target, until)?;
    let took = began.elapsed();
    let io = |error| Failure::Io {
        path: path.clone(),
        error,
    };
    if trained.digest().map_err(io)? == start.digest().map_err(io)? {
        return Err(ContainerError::Wrong {
            method: "train",
            problem: "it gave back what it was given, which nobody accepts as a contribution".to_owned(),
        }
        .into());
    }
    println!("train: {} bytes of parameters", trained.len());
    let uploaded = agent.upload(model, &path);
    let model = hand_in(uploaded, model, &agent.input, &*agent.gateway)?;
    agent.reporter.stage(Stage::Evaluating);
    let test_metric = shown_metric(
        agent,
        &trained,
        until.min(SystemTime::now() + SHORTEST_EVALUATION.max(took / 4)),
    );
    Ok(StepResult::Train(TrainResult {
        model,
        // What happens within a training is not said by a container.
        epochs: 0,
        steps: 0,
        loss: decimal(f64::NAN),
        test_metric: decimal(test_metric),
        seconds: format!("{:.3}", took.as_secs_f64()),
        stopped_early: false,
        privacy: None,
        resumed_from: None,
    }))
}

/// For people to look at: the contribution is handed in, and no number is worth losing it.
fn shown_metric(agent: &Agent, trained: &Parameters, until: SystemTime) -> f64 {
    match agent.container.evaluate(trained, until) {
        Ok(metric) => {
            let name = agent.definition.evaluation().metric.as_str();
            println!("train: {name} {}", decimal(metric));
            metric
        }
        Err(error) => {
            println!("train: the trained model was not evaluated: {error}");
            f64::NAN
        }
    }
}

/// One contribution that was fetched and is well-formed.
struct Valid {
    seat: u32,
    parameters: Parameters,
}

/// Fetches the contributions, has the container aggregate the valid ones and judge the aggregate.
pub(super) fn vote(agent: &Agent) -> Result<StepResult, Failure> {
    let until = agent.input.finish_by();
    let start = agent.start_model()?;
    let mut excluded = Vec::new();
    let valid = contributions(agent, &start, &mut excluded)?;
    agent.reporter.stage(Stage::Aggregating);
    let path = agent.scratch.path().join("aggregate");
    let combined = combine(agent, &start, valid, &path, &mut excluded)?;
    excluded.sort();
    for (seat, reason) in &excluded {
        println!("vote: seat {seat} is left out: {reason}");
    }
    let seats = agent.identity().seats.len();
    agent.reporter.stage(Stage::Evaluating);
    let start_metric = agent.container.evaluate(&start, until)?;
    let (aggregate, mask, score, aggregate_metric) = match combined {
        Some((parameters, hash, mask)) => {
            println!("vote: {} of {seats} seats are included", mask.count());
            let metric = judged(agent, &parameters, until)?;
            let evaluation = agent.definition.evaluation();
            let score = vote::rule(evaluation.direction, start_metric, metric, evaluation.epsilon.to_f64());
            agent.upload(hash, &path)?;
            (hash, mask, score, metric)
        }
        // As the protocol says.
        None => {
            println!("vote: none of {seats} seats is included");
            let start = agent.identity().start_model;
            (start, IncludedMask::default(), Score::Against, start_metric)
        }
    };
    println!(
        "vote: start {}, aggregate {}, score {:+}",
        decimal(start_metric),
        decimal(aggregate_metric),
        i8::from(score)
    );
    Ok(StepResult::Vote(VoteResult {
        aggregate,
        score,
        mask,
        start_metric: decimal(start_metric),
        aggregate_metric: decimal(aggregate_metric),
        excluded: excluded
            .into_iter()
            .map(|(seat, reason)| ExcludedSeat { seat, reason })
            .collect(),
        fallback: None,
        unused: Vec::new(),
    }))
}

/// An aggregate that its own container cannot evaluate is not worth having.
fn judged(agent: &Agent, aggregate: &Parameters, until: SystemTime) -> Result<f64, Failure> {
    match agent.container.evaluate(aggregate, until) {
        Err(error @ ContainerError::Failed { .. }) => {
            println!("vote: the aggregate cannot be evaluated: {error}");
            Ok(f64::NAN)
        }
        other => Ok(other?),
    }
}

/// The contributions that have the form of one and are something else than the start model.
fn contributions(agent: &Agent, start: &Parameters, excluded: &mut Vec<(u32, String)>) -> Result<Vec<Valid>, Failure> {
    let identity = agent.identity();
    let fetched = fetch_all(
        &agent.input,
        &*agent.gateway,
        agent.scratch.path(),
        agent.definition.max_model_bytes(),
    )?;
    let io = |error| Failure::Io {
        path: agent.scratch.path().to_owned(),
        error,
    };
    let start = start.digest().map_err(io)?;
    let mut valid = Vec::new();
    for ((number, seat), fetched) in identity.seats.iter().enumerate().zip(fetched) {
        let number = number as u32;
        let path = match fetched {
            Fetched::File(path) => path,
            Fetched::Failed(reason) => {
                excluded.push((number, reason));
                continue;
            }
            Fetched::NoContribution => {
                excluded.push((number, "no contribution".to_owned()));
                continue;
            }
        };
        let metadata = Metadata::contribution(identity.task, identity.round, seat.proposer);
        match Parameters::read(&path, &metadata) {
            Ok(parameters) if parameters.digest().map_err(io)? == start => {
                excluded.push((number, "invalid (unchanged): it is the start model".to_owned()));
            }
            Ok(parameters) => valid.push(Valid {
                seat: number,
                parameters,
            }),
            Err(ModelError::Io(error)) => return Err(io(error)),
            Err(error) => excluded.push((number, format!("invalid ({}): {error}", error.category()))),
        }
    }
    Ok(valid)
}

type Combined = (Parameters, ModelHash, IncludedMask);

/// The container's aggregate of as many contributions as it takes. One that it cannot read must not keep the others from
/// being counted: if all together fail, each is tried alone, beside the start model if that has parameters.
fn combine(
    agent: &Agent,
    start: &Parameters,
    mut valid: Vec<Valid>,
    path: &Path,
    excluded: &mut Vec<(u32, String)>,
) -> Result<Option<Combined>, Failure> {
    let metadata = Metadata::none();
    let until = agent.input.finish_by();
    let aggregate = |list: &[&Parameters]| {
        let target = Target {
            path,
            metadata: &metadata,
            max_bytes: agent.definition.max_model_bytes(),
        };
        agent.container.aggregate(list, &target, until)
    };
    let all = |valid: &[Valid]| {
        let list: Vec<&Parameters> = valid.iter().map(|one| &one.parameters).collect();
        let (parameters, hash) = aggregate(&list)?;
        let mask = valid
            .iter()
            .fold(IncludedMask::default(), |mask, one| mask.with(one.seat as usize));
        Ok(Some((parameters, hash, mask)))
    };
    if valid.is_empty() {
        return Ok(None);
    }
    let error = match all(&valid) {
        Err(Failure::Container(error)) if error.blames_input() => error,
        done => return done,
    };
    println!("vote: the container cannot aggregate all contributions: {error}; each is tried alone");
    let mut taken = Vec::new();
    for one in valid.drain(..) {
        let alone: &[&Parameters] = match start.len() {
            0 => &[&one.parameters],
            _ => &[start, &one.parameters],
        };
        match aggregate(alone) {
            Ok(_) => taken.push(one),
            Err(Failure::Container(error)) if error.blames_input() => {
                excluded.push((
                    one.seat,
                    format!("invalid ({}): the container cannot aggregate it", error.category()),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    if taken.is_empty() {
        return Ok(None);
    }
    // What fails together but not alone may be for want of memory: another try is worth more than a vote against all.
    all(&taken)
}
