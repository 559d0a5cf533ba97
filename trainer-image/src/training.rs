//! The training loop.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::{
    definition::{Definition, EarlyStop, Training},
    job::{DOCUMENT_VERSION, JobProgress, Stage},
    types::{Address, Round, Timestamp},
};
use tch::{Device, Reduction, TchError, Tensor};

use crate::{
    evaluate::decimal, examples::Examples, failure::Failure, loss, network::Network, optimizer::Optimizer,
    reporter::Reporter, schedule, shuffle::shuffle,
};

mod private;

use private::Private;

/// Between two lines of progress.
const REPORT_EVERY: Duration = Duration::from_secs(2);

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

struct Progress<'a> {
    started: Instant,
    reported: Instant,
    seen: u64,
    total: u64,
    finish_by: SystemTime,
    reporter: &'a Reporter,
}

impl Progress<'_> {
    fn line(&mut self, plan: &Plan, epoch: u32, step: u64, loss: f64) {
        self.reported = Instant::now();
        let rate = self.seen as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let needed = self.total.saturating_sub(self.seen) as f64 / rate.max(1e-9);
        let allowed = self
            .finish_by
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .as_secs_f64();
        let left = needed.min(allowed);
        println!(
            "train: epoch {} step {step} loss {loss:.4} {rate:.0} records/s {left:.0} s left",
            plan.place(epoch)
        );
        let end = SystemTime::now() + Duration::from_secs_f64(left);
        self.reporter.say(JobProgress {
            version: DOCUMENT_VERSION,
            stage: Stage::Training,
            epoch: Some(epoch + 1),
            epochs: plan.epochs,
            steps: Some(step),
            loss: Some(decimal(loss)),
            records_per_second: Some(format!("{rate:.0}")),
            expected_end: end.duration_since(UNIX_EPOCH).ok().map(|at| Timestamp(at.as_secs())),
        });
    }
}

/// How long a round's training is for so many records.
struct Plan {
    epochs: Option<u32>,
    steps: u64,
}

impl Plan {
    fn new(training: &Training, records: usize) -> Self {
        let per_epoch = (records as u64).div_ceil(u64::from(training.batch_size)).max(1);
        let steps = match (training.epochs, training.steps) {
            (Some(epochs), _) => per_epoch * u64::from(epochs),
            (None, steps) => steps.unwrap_or(1).into(),
        };
        Self {
            epochs: training.epochs,
            steps,
        }
    }

    /// Of how many epochs this is the one, as a person reads it.
    fn place(&self, epoch: u32) -> String {
        match self.epochs {
            Some(epochs) => format!("{}/{epochs}", epoch + 1),
            None => (epoch + 1).to_string(),
        }
    }
}

/// The chance of a record to be in a step, and the steps of a round, as a private training's accountant needs them.
pub fn sampling(training: &Training, records: usize) -> (f64, u64) {
    let rate = f64::from(training.batch_size) / records.max(1) as f64;
    (rate.min(1.0), Plan::new(training, records).steps)
}

/// Whether the training loss has stopped falling.
struct Patience<'a> {
    settings: Option<&'a EarlyStop>,
    best: f64,
    waited: u32,
}

impl<'a> Patience<'a> {
    fn new(settings: Option<&'a EarlyStop>) -> Self {
        Self {
            settings,
            best: f64::INFINITY,
            waited: 0,
        }
    }

    /// Takes an epoch's mean training loss.
    fn is_over(&mut self, loss: f64) -> bool {
        let Some(settings) = self.settings else { return false };
        if self.best.is_infinite() || loss < self.best - settings.min_improvement.to_f64() * self.best.abs() {
            self.best = loss;
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited >= settings.patience
    }
}

/// Trains as long as the definition says or until `finish_by`, whichever is first, but one step at least: a weak
/// contribution costs less than none. Ends with finite parameters: the latest, or if they are not finite the last that
/// were.
pub fn train(
    network: &mut Network,
    examples: &Examples,
    records: &[i64],
    definition: &Definition,
    terms: Terms<'_>,
) -> Result<Trained, Failure> {
    network.set_training(true)?;
    let trained = run(network, examples, records, definition, terms);
    network.set_training(false)?;
    trained
}

fn run(
    network: &mut Network,
    examples: &Examples,
    records: &[i64],
    definition: &Definition,
    terms: Terms<'_>,
) -> Result<Trained, Failure> {
    let Terms {
        seat,
        device,
        finish_by,
        reporter,
    } = terms;
    let settings = &definition.training;
    let mut optimizer = Optimizer::new(settings, network, device)?;
    let plan = Plan::new(settings, records.len());
    let batch = i64::from(settings.batch_size);
    let now = Instant::now();
    let mut progress = Progress {
        started: now,
        reported: now,
        seen: 0,
        total: match plan.epochs {
            Some(epochs) => records.len() as u64 * u64::from(epochs),
            None => plan.steps * batch.min(records.len() as i64) as u64,
        },
        finish_by,
        reporter,
    };
    let mut trained = Trained {
        epochs: 0,
        steps: 0,
        loss: f64::NAN,
        seconds: 0.0,
        stopped_early: false,
    };
    let mut private = settings
        .privacy
        .as_ref()
        .map(|privacy| Private::new(privacy, records, settings.batch_size));
    let mut good: Option<Vec<Tensor>> = None;
    let mut patience = Patience::new(settings.early_stop.as_ref());
    let mut order = records.to_vec();
    'training: for epoch in 0.. {
        order.copy_from_slice(records);
        shuffle(&mut order, definition.seed, seat.participant, seat.round, epoch);
        let order = examples.order(&order)?;
        let mut mean = MeanLoss::new(device)?;
        let mut at = 0;
        while at < records.len() as i64 {
            let over = good.is_some() && SystemTime::now() >= finish_by;
            if over || trained.steps >= plan.steps {
                trained.stopped_early = over && trained.steps < plan.steps;
                trained.loss = if at > 0 { mean.value()? } else { trained.loss };
                break 'training;
            }
            let length = batch.min(records.len() as i64 - at);
            let rate = schedule::rate(settings, seat.round, trained.steps, plan.steps);
            if let Some(private) = &mut private {
                let (gradients, loss, count) = private.step(network, examples, settings.loss(), device)?;
                optimizer.apply(network, gradients, rate)?;
                mean.add_value(loss, count)?;
            } else {
                let (features, labels) = examples.batch(&order.f_narrow(0, at, length)?)?;
                let loss = loss::compute(settings.loss(), &network.forward(&features)?, &labels, Reduction::Mean)?;
                optimizer.step(network, &loss, rate)?;
                mean.add(&loss, length)?;
            }
            at += length;
            trained.steps += 1;
            progress.seen += length as u64;
            if good.is_none() {
                if !network.is_finite()? {
                    return Err(Failure::Diverged);
                }
                good = Some(network.snapshot()?);
                println!("train: first step done, loss {:.4}", mean.value()?);
            }
            if progress.reported.elapsed() >= REPORT_EVERY {
                progress.line(&plan, epoch, trained.steps, mean.value()?);
            }
        }
        trained.epochs += 1;
        trained.loss = mean.value()?;
        progress.line(&plan, epoch, trained.steps, trained.loss);
        if !network.is_finite()? {
            println!(
                "train: values are not finite any more after epoch {}; going back to the last good ones",
                epoch + 1
            );
            trained.stopped_early = true;
            break;
        }
        good = Some(network.snapshot()?);
        if trained.steps >= plan.steps {
            break;
        }
        if patience.is_over(trained.loss) {
            println!(
                "train: the training loss has not improved for {} epochs; this round's training ends",
                patience.waited
            );
            break;
        }
    }
    if !network.is_finite()?
        && let Some(good) = &good
    {
        network.restore(good)?;
    }
    trained.seconds = progress.started.elapsed().as_secs_f64();
    Ok(trained)
}

/// Summed on the device: asking for a value would make it wait.
struct MeanLoss {
    sum: Tensor,
    records: i64,
}

impl MeanLoss {
    fn new(device: Device) -> Result<Self, TchError> {
        Ok(Self {
            sum: Tensor::f_zeros([1], (tch::Kind::Double, device))?,
            records: 0,
        })
    }

    fn add(&mut self, loss: &Tensor, records: i64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        let _ = self.sum.f_add_(&loss.f_detach()?.f_mul_scalar(records as f64)?)?;
        self.records += records;
        Ok(())
    }

    fn add_value(&mut self, loss: f64, records: i64) -> Result<(), TchError> {
        let _ = self.sum.f_add_scalar_(loss * records as f64)?;
        self.records += records;
        Ok(())
    }

    fn value(&self) -> Result<f64, TchError> {
        Ok(self.sum.f_double_value(&[0])? / self.records as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_epochs_without_a_relative_improvement() {
        let settings: EarlyStop = serde_json::from_str(r#"{"patience":2,"minImprovement":"0.1"}"#).unwrap();
        let mut patience = Patience::new(Some(&settings));
        let over: Vec<bool> = [1.0, 0.95, 0.8, 0.75, 0.73].map(|loss| patience.is_over(loss)).to_vec();
        assert_eq!(over, [false, false, false, false, true]);
        assert!(!Patience::new(None).is_over(f64::NAN));
    }
}
