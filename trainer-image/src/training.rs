//! The training loop.

use std::time::SystemTime;

use protocol::{
    architecture::Architecture,
    definition::{Definition, Training},
    types::{Address, Round},
};
use sha2::{Digest, Sha256};
use tch::{Device, Reduction};

use crate::{
    checkpoint::{Keeper, Part},
    examples::Examples,
    failure::Failure,
    loss,
    network::Network,
    optimizer::Optimizer,
    reporter::Reporter,
    schedule,
    shuffle::shuffle,
    tensors,
};

mod good;
mod plan;
mod position;
mod private;

use good::Good;
use plan::{Plan, Progress};
use position::MeanLoss;
pub(crate) use position::{Exact, Position};
use private::Private;

/// Whose training this is; with the definition's seed it fixes the order of records.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    pub participant: Address,
    pub round: Round,
}

/// How far training came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trained {
    /// Complete ones.
    pub epochs: u32,
    pub steps: u64,
    /// Mean over the last epoch's records so far.
    pub loss: f64,
    pub seconds: f64,
    pub stopped_early: bool,
    /// The step after which an earlier process was interrupted.
    pub resumed_from: Option<u64>,
}

/// Under what terms one round's training runs.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    pub seat: Seat,
    pub device: Device,
    pub finish_by: SystemTime,
    /// Hears how far it is.
    pub reporter: &'a Reporter,
}

/// The chance of a record to be in a step, and the steps of a round, as a private training's accountant needs them.
pub fn sampling(training: &Training, records: usize) -> (f64, u64) {
    let rate = f64::from(training.batch_size) / records.max(1) as f64;
    (rate.min(1.0), Plan::new(training, records).steps)
}

/// The tensors that go with a [`Position`].
#[derive(Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) optimizer: &'a Optimizer,
    network: &'a Network,
    good: &'a Good,
}

impl Snapshot<'_> {
    /// Parameters, the optimizer's state, the last good parameters.
    pub(crate) fn parts(&self) -> [Part<'_>; 3] {
        [
            Part::Tensors(self.network.parameters().iter().collect()),
            Part::Tensors(self.optimizer.state()),
            self.good.part(),
        ]
    }
}

/// Trains as long as the definition says or until `finish_by`, whichever is first, but one step at least: a weak
/// contribution costs less than none. Ends with finite parameters: the latest, or if they are not finite the last that
/// were. Goes on where an earlier process was interrupted, if the keeper has a checkpoint of it.
pub(crate) fn train(
    network: &mut Network,
    examples: &Examples,
    records: &[i64],
    definition: &Definition,
    terms: Terms<'_>,
    keeper: &mut Keeper<'_>,
) -> Result<Trained, Failure> {
    network.set_training(true)?;
    let trained = run(network, examples, records, definition, terms, keeper);
    network.set_training(false)?;
    trained
}

fn run(
    network: &mut Network,
    examples: &Examples,
    records: &[i64],
    definition: &Definition,
    terms: Terms<'_>,
    keeper: &mut Keeper<'_>,
) -> Result<Trained, Failure> {
    let Terms {
        seat,
        device,
        finish_by,
        reporter,
    } = terms;
    let settings = &definition.training;
    let mut optimizer = Optimizer::new(settings, network, device)?;
    let mut good = Good::new(keeper.good_path());
    let mut position = resume(network, &mut optimizer, &mut good, keeper)?;
    let plan = Plan::new(settings, records.len());
    let batch = i64::from(settings.batch_size);
    let mut progress = Progress::new(&position, finish_by, reporter);
    let before = position.seconds.0;
    let mut stopped_early = false;
    let mut private = settings
        .privacy
        .as_ref()
        .map(|privacy| Private::new(privacy, records, settings.batch_size, keeper.noise_key()));
    let mut order = records.to_vec();
    'training: loop {
        order.copy_from_slice(records);
        shuffle(
            &mut order,
            definition.seed,
            seat.participant,
            seat.round,
            position.epoch,
        );
        let order = examples.order(&order)?;
        let mut mean = MeanLoss::new(position.loss_sum, position.loss_records, device)?;
        while position.at < records.len() as i64 {
            let over = good.is_some() && SystemTime::now() >= finish_by;
            if over || position.steps >= plan.steps {
                stopped_early = over && position.steps < plan.steps;
                if position.at > 0 {
                    position.loss = Exact(mean.value()?);
                }
                break 'training;
            }
            let length = batch.min(records.len() as i64 - position.at);
            let rate = schedule::rate(settings, seat.round, position.steps, plan.steps);
            if let Architecture::Torchscript(_) = definition.architecture {
                tch::manual_seed(step_seed(definition.seed, seat, position.steps));
            }
            if let Some(private) = &mut private {
                let (gradients, loss, count) =
                    private.step(position.steps, network, examples, settings.loss(), device)?;
                optimizer.apply(network, gradients, rate)?;
                mean.add_value(loss, count)?;
            } else {
                let (features, labels) = examples.batch(&order.f_narrow(0, position.at, length)?)?;
                let loss = loss::compute(settings.loss(), &network.forward(&features)?, &labels, Reduction::Mean)?;
                optimizer.step(network, &loss, rate)?;
                mean.add(&loss, length)?;
            }
            position.at += length;
            position.steps += 1;
            position.seen += length as u64;
            if !good.is_some() {
                if !network.is_finite()? {
                    return Err(Failure::Diverged);
                }
                good.keep(network)?;
                println!("train: first step done, loss {:.4}", mean.value()?);
            }
            if progress.is_due() {
                progress.line(&plan, &position, mean.value()?);
            }
            if keeper.is_due() {
                mean.note(&mut position)?;
                position.seconds = Exact(before + progress.seconds());
                let snapshot = Snapshot {
                    optimizer: &optimizer,
                    network,
                    good: &good,
                };
                keeper.keep(&position, &snapshot)?;
            }
        }
        let loss = mean.value()?;
        position.loss = Exact(loss);
        progress.line(&plan, &position, loss);
        position.epoch += 1;
        if !network.is_finite()? {
            println!(
                "train: values are not finite any more after epoch {}; going back to the last good ones",
                position.epoch
            );
            stopped_early = true;
            break;
        }
        good.keep(network)?;
        if position.steps >= plan.steps {
            break;
        }
        if position.patience.is_over(settings.early_stop.as_ref(), loss) {
            println!(
                "train: the training loss has not improved for {} epochs; this round's training ends",
                position.patience.waited
            );
            break;
        }
        (position.at, position.loss_sum, position.loss_records) = (0, Exact(0.0), 0);
    }
    if !network.is_finite()? {
        good.restore(network)?;
    }
    Ok(Trained {
        epochs: position.epoch,
        steps: position.steps,
        loss: position.loss.0,
        seconds: before + progress.seconds(),
        stopped_early,
        resumed_from: progress.resumed_from(),
    })
}

/// Where an earlier process was interrupted, with the tensors it had; the start if there is no checkpoint of it.
fn resume(
    network: &mut Network,
    optimizer: &mut Optimizer,
    good: &mut Good,
    keeper: &Keeper<'_>,
) -> Result<Position, Failure> {
    let Some(mut opened) = keeper.find() else {
        return Ok(Position::start());
    };
    let model = tensors::size(network.parameters());
    let state = Part::Tensors(optimizer.state()).size();
    if opened.header.parts != [model, state, model] {
        keeper.pass_over();
        return Ok(Position::start());
    }
    opened.fill(network.parameters().iter())?;
    opened.fill(optimizer.state())?;
    good.resume(&mut opened, network)?;
    optimizer.set_steps(opened.header.optimizer_steps);
    let position = opened.header.position;
    println!("train: goes on after step {}", position.steps);
    Ok(position)
}

/// What a module draws in a step (dropout) depends on the step alone and not on what was drawn before.
fn step_seed(seed: u64, seat: Seat, step: u64) -> i64 {
    let digest = Sha256::new()
        .chain_update(b"FLA_STEP_V1")
        .chain_update(seed.to_le_bytes())
        .chain_update(seat.participant)
        .chain_update(seat.round.0.to_le_bytes())
        .chain_update(step.to_le_bytes())
        .finalize();
    digest.iter().take(8).fold(0, |n, &b| n << 8 | i64::from(b))
}
