//! `check`, `train` and `vote`.

use std::time::{Duration, SystemTime};

use protocol::{
    job::{CheckResult, SpentPrivacy, Stage, StepResult, TrainResult},
    model::Metadata,
    types::{ModelHash, Round},
};
use tch::Reduction;

use crate::{
    checkpoint::Keeper,
    device,
    evaluate::{decimal, evaluate},
    failure::Failure,
    gateway::{Gateway, GatewayError, retry},
    input::Input,
    job::Job,
    loss,
    optimizer::Optimizer,
    privacy, schedule,
    training::{self, Seat, Terms},
};

pub(crate) mod fetch;
pub mod vote;

/// How long `check` waits for the gateway.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(30);
/// How long the test split may take once training was cut short.
const LATE_EVALUATION: Duration = Duration::from_secs(2);

/// Whether everything a round needs is there, before anything is staked.
pub fn check(job: &Job) -> Result<StepResult, Failure> {
    let (path, genesis_model) = job.genesis()?;
    println!(
        "check: definition {} gives genesis model {genesis_model}",
        job.definition.hash()
    );
    let mut network = job.load(&path)?;
    let size = usize::try_from(job.definition.training.batch_size).unwrap_or(usize::MAX);
    let batch = job.examples.order(&job.data.train[..size.min(job.data.train.len())])?;
    let (features, labels) = job.examples.batch(&batch)?;
    network.check_module(&features)?;
    let training = &job.definition.training;
    network.set_training(true)?;
    let loss = loss::compute(training.loss(), &network.forward(&features)?, &labels, Reduction::Mean)?;
    let rate = schedule::rate(training, Round(0), 0, 1);
    Optimizer::new(training, &network, job.device)?.step(&mut network, &loss, rate)?;
    network.set_training(false)?;
    if !network.is_finite()? {
        return Err(Failure::Diverged);
    }
    println!(
        "check: one batch of {} ran, loss {:.4}",
        features.size()[0],
        loss.f_double_value(&[])?
    );
    retry(SystemTime::now() + GATEWAY_PATIENCE, "gateway", || job.gateway.ready())?;
    println!("check: gateway reached");
    Ok(StepResult::Check(CheckResult {
        genesis_model,
        train_samples: u32::try_from(job.data.train.len()).unwrap_or(u32::MAX),
        test_samples: u32::try_from(job.data.test.len()).unwrap_or(u32::MAX),
        classes: job.data.classes,
        device: device::name(job.device),
        data: Some(job.data.report.clone()),
        base_model: job.base_report(),
    }))
}

/// A contribution from the round's start model and the training split.
pub fn train(job: &Job) -> Result<StepResult, Failure> {
    let start = job.start_model()?;
    let mut network = job.load(&start)?;
    // Of a large model it would be room that a checkpoint needs.
    let _ = std::fs::remove_file(&start);
    let identity = job.identity();
    let seat = Seat {
        participant: identity.participant,
        round: identity.round,
    };
    let finish_by = job.input.finish_by();
    // From here on until the end of the process: what is nearly done is finished.
    std::mem::forget(job.termination.answer());
    let mut keeper = Keeper::new(job);
    let trained = training::train(
        &mut network,
        &job.examples,
        &job.data.train,
        &job.definition,
        Terms {
            seat,
            device: job.device,
            finish_by,
            reporter: &job.reporter,
        },
        &mut keeper,
    )?;
    let metadata = Metadata::contribution(identity.task, identity.round, identity.participant);
    let (path, model) = job.write("contribution", |out| network.save(&metadata, out))?;
    let model = hand_in(job.upload(model, &path), model, &job.input, &*job.gateway)?;
    keeper.forget();
    job.reporter.stage(Stage::Evaluating);
    let stop = finish_by.max(SystemTime::now() + LATE_EVALUATION);
    let scores = evaluate(&[&network], &job.examples, &job.data.test, &job.definition, stop)?;
    let scores = &scores[0];
    let metric = job.definition.evaluation.metric;
    println!(
        "train: test {} {}, loss {:.4}",
        metric.as_str(),
        decimal(scores.metric(metric)),
        scores.loss()
    );
    Ok(StepResult::Train(TrainResult {
        model,
        epochs: trained.epochs,
        steps: trained.steps,
        loss: decimal(trained.loss),
        test_metric: decimal(scores.metric(metric)),
        seconds: format!("{:.3}", trained.seconds),
        stopped_early: trained.stopped_early,
        privacy: spent(job),
        resumed_from: trained.resumed_from,
    }))
}

/// What training has cost up to this round, had this participant trained in all of them for as long as planned.
fn spent(job: &Job) -> Option<SpentPrivacy> {
    let training = &job.definition.training;
    let settings = training.privacy.as_ref()?;
    let rounds = u64::from(job.identity().round.0) + 1;
    let (rate, steps) = training::sampling(training, job.data.train.len());
    let noise = settings.noise_multiplier.to_f64();
    let epsilon = privacy::epsilon(rate, noise, steps.saturating_mul(rounds), settings.delta.to_f64());
    println!(
        "train: epsilon at most {epsilon:.3} at delta {} after {rounds} rounds",
        settings.delta
    );
    Some(SpentPrivacy {
        epsilon: decimal(epsilon),
        delta: settings.delta.to_string(),
    })
}

/// Which contribution counts after an upload. If an earlier pod of this job handed one in and was lost before its result,
/// that one stands: it was trained from the same input.
pub(crate) fn hand_in(
    uploaded: Result<(), GatewayError>,
    model: ModelHash,
    input: &Input,
    gateway: &dyn Gateway,
) -> Result<ModelHash, Failure> {
    let refused = match uploaded {
        Ok(()) => return Ok(model),
        Err(error @ GatewayError::Refused { status: 409, .. }) => error,
        Err(error) => return Err(error.into()),
    };
    let earlier = retry(input.hand_in_by(), "earlier model", || gateway.earlier())?;
    let model = earlier.model.ok_or(refused)?;
    println!("model {model} was handed in by an earlier pod of this job and stands");
    Ok(model)
}
