//! The training loop.

use std::time::{Duration, Instant, SystemTime};

use protocol::{
    definition::{Definition, Optimizer},
    types::{Address, Round},
};
use tch::{Device, Reduction, TchError, Tensor};

use crate::{
    evaluate::cross_entropy, examples::Examples, failure::Failure, network::Network, sgd::Sgd, shuffle::shuffle,
};

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

struct Progress {
    started: Instant,
    reported: Instant,
    seen: u64,
    total: u64,
    finish_by: SystemTime,
}

impl Progress {
    fn line(&mut self, epoch: u32, epochs: u32, step: u64, loss: f64) {
        self.reported = Instant::now();
        let rate = self.seen as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let needed = self.total.saturating_sub(self.seen) as f64 / rate.max(1e-9);
        let allowed = self
            .finish_by
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .as_secs_f64();
        println!(
            "train: epoch {epoch}/{epochs} step {step} loss {loss:.4} {rate:.0} images/s {:.0} s left",
            needed.min(allowed)
        );
    }
}

/// Trains for the definition's epochs or until `finish_by`, whichever is first, but one step at least: a weak
/// contribution costs less than none. Ends with finite parameters: the latest, or if they are not finite the last that
/// were.
pub fn train(
    network: &mut Network,
    examples: &Examples,
    records: &[i64],
    definition: &Definition,
    seat: Seat,
    device: Device,
    finish_by: SystemTime,
) -> Result<Trained, Failure> {
    let Optimizer::Sgd(settings) = &definition.training.optimizer;
    let mut sgd = Sgd::new(settings, network, device)?;
    let epochs = definition.training.epochs;
    let batch = i64::from(definition.training.batch_size);
    let now = Instant::now();
    let total = records.len() as u64 * u64::from(epochs);
    let mut progress = Progress {
        started: now,
        reported: now,
        seen: 0,
        total,
        finish_by,
    };
    let mut trained = Trained {
        epochs: 0,
        steps: 0,
        loss: f64::NAN,
        seconds: 0.0,
        stopped_early: false,
    };
    let mut good: Option<Vec<Tensor>> = None;
    let mut order = records.to_vec();
    'training: for epoch in 0..epochs {
        order.copy_from_slice(records);
        shuffle(&mut order, definition.seed, seat.participant, seat.round, epoch);
        let order = examples.order(&order)?;
        let mut mean = MeanLoss::new(device)?;
        let mut at = 0;
        while at < records.len() as i64 {
            if good.is_some() && SystemTime::now() >= finish_by {
                trained.stopped_early = true;
                trained.loss = mean.value().unwrap_or(trained.loss);
                break 'training;
            }
            let length = batch.min(records.len() as i64 - at);
            let (images, labels) = examples.batch(&order.f_narrow(0, at, length)?)?;
            let loss = cross_entropy(&network.forward(&images)?, &labels, Reduction::Mean)?;
            sgd.step(network, &loss)?;
            mean.add(&loss, length)?;
            at += length;
            trained.steps += 1;
            progress.seen += length as u64;
            if good.is_none() {
                if !network.is_finite()? {
                    return Err(Failure::Diverged);
                }
                good = Some(network.snapshot()?);
            }
            if progress.reported.elapsed() >= REPORT_EVERY {
                progress.line(epoch + 1, epochs, trained.steps, mean.value()?);
            }
        }
        trained.epochs += 1;
        trained.loss = mean.value()?;
        progress.line(epoch + 1, epochs, trained.steps, trained.loss);
        if !network.is_finite()? {
            println!(
                "train: values are not finite any more after epoch {}; going back to the last good ones",
                epoch + 1
            );
            trained.stopped_early = true;
            break;
        }
        good = Some(network.snapshot()?);
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

    fn value(&self) -> Result<f64, TchError> {
        Ok(self.sum.f_double_value(&[0])? / self.records as f64)
    }
}
