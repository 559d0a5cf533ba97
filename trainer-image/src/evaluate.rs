//! Metrics on the test split.

use std::time::SystemTime;

use protocol::definition::Metric;
use tch::{Kind, Reduction, TchError, Tensor};

use crate::{examples::Examples, network::Network};

/// Records per forward pass.
const BATCH: usize = 512;

/// What one network scored.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scores {
    pub records: usize,
    correct: i64,
    loss_sum: f64,
}

impl Scores {
    /// Share of records whose largest logit is their label's.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.records as f64
    }

    /// Mean cross-entropy; NaN or infinite if any record's is.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.records as f64
    }

    pub fn metric(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Accuracy if self.loss().is_finite() => self.accuracy(),
            // Logits that are not numbers have no largest one.
            Metric::Accuracy => f64::NAN,
            Metric::Loss => self.loss(),
        }
    }
}

/// Evaluates several networks side by side on the same records, so that they stay comparable when `stop` cuts it short
/// (after one batch at least).
pub fn evaluate(
    networks: &[&Network],
    examples: &Examples,
    records: &[i64],
    stop: SystemTime,
) -> Result<Vec<Scores>, TchError> {
    let _guard = tch::no_grad_guard();
    let mut scores = vec![Scores::default(); networks.len()];
    for batch in records.chunks(BATCH) {
        let (images, labels) = examples.batch(&examples.order(batch)?)?;
        for (network, scores) in networks.iter().zip(&mut scores) {
            let logits = network.forward(&images)?;
            scores.records += batch.len();
            scores.loss_sum += cross_entropy(&logits, &labels, Reduction::Sum)?.f_double_value(&[])?;
            let right = logits.f_argmax(1, false)?.f_eq_tensor(&labels)?;
            scores.correct += right.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        }
        if SystemTime::now() >= stop {
            break;
        }
    }
    Ok(scores)
}

pub fn cross_entropy(logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
    logits.f_cross_entropy_loss(labels, None::<&Tensor>, reduction, -100, 0.0)
}

/// As documents carry a metric: enough digits to compare by.
pub fn decimal(value: f64) -> String {
    format!("{value:.9}")
}
