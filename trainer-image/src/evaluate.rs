//! Metrics on the test split.

use std::time::SystemTime;

use protocol::definition::{Definition, Loss, Metric};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::{
    examples::Examples,
    loss,
    metrics::{Confusion, auroc, auroc_one_against_rest},
    network::Network,
};

/// Records per forward pass.
const BATCH: usize = 512;

/// What one network scored.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    pub records: usize,
    correct: i64,
    loss_sum: f64,
    confusion: Confusion,
    /// For AUROC: a probability, or one for each class, of every record.
    probabilities: Vec<f32>,
    labels: Vec<i64>,
    /// Of scaled labels.
    squares: f64,
    label_unit: f64,
    classes: usize,
}

impl Scores {
    /// Share of records whose most likely class is their label's; NaN if the label is a number.
    pub fn accuracy(&self) -> f64 {
        if self.classes == 0 {
            return f64::NAN;
        }
        self.correct as f64 / self.records as f64
    }

    /// Mean of the definition's loss; NaN or infinite if any record's is.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.records as f64
    }

    pub fn metric(&self, metric: Metric) -> f64 {
        // Outputs that are not numbers have no largest one.
        if !self.loss().is_finite() {
            return if metric == Metric::Loss { self.loss() } else { f64::NAN };
        }
        match metric {
            Metric::Accuracy => self.accuracy(),
            Metric::Loss => self.loss(),
            Metric::F1 => self.confusion.f1(),
            Metric::MacroF1 => self.confusion.macro_f1(),
            Metric::Rmse => (self.squares / self.records as f64).sqrt() * self.label_unit,
            Metric::Auroc if self.classes == 2 => {
                let scored = self.probabilities.iter().zip(&self.labels);
                auroc(scored.map(|(&p, &label)| (p, label == 1)).collect())
            }
            Metric::Auroc => auroc_one_against_rest(&self.probabilities, &self.labels, self.classes),
        }
    }
}

/// Evaluates several networks side by side on the same records, so that they stay comparable when `stop` cuts it short
/// (after one batch at least).
pub fn evaluate(
    networks: &[&Network],
    examples: &Examples,
    records: &[i64],
    definition: &Definition,
    stop: SystemTime,
) -> Result<Vec<Scores>, TchError> {
    let _guard = tch::no_grad_guard();
    let classes = definition.classes().unwrap_or(0) as usize;
    let empty = Scores {
        confusion: Confusion::new(classes),
        label_unit: examples.label_unit(),
        classes,
        ..Scores::default()
    };
    let mut scores = vec![empty; networks.len()];
    for batch in records.chunks(BATCH) {
        let (features, labels) = examples.batch(&examples.order(batch)?)?;
        for (network, scores) in networks.iter().zip(&mut scores) {
            let outputs = network.forward(&features)?;
            scores.records += batch.len();
            scores.add(&outputs, &labels, definition)?;
        }
        if SystemTime::now() >= stop {
            break;
        }
    }
    Ok(scores)
}

impl Scores {
    fn add(&mut self, outputs: &Tensor, labels: &Tensor, definition: &Definition) -> Result<(), TchError> {
        let (loss, metric) = (definition.training.loss(), definition.evaluation.metric);
        self.loss_sum += loss::compute(loss, outputs, labels, Reduction::Sum)?.f_double_value(&[])?;
        if self.classes == 0 {
            let squares = loss::compute(Loss::MeanSquaredError, outputs, labels, Reduction::Sum)?;
            self.squares += squares.f_double_value(&[])?;
            return Ok(());
        }
        let predicted = if loss == Loss::BinaryCrossEntropy {
            outputs.f_squeeze_dim(1)?.f_gt(0.0)?.f_to_kind(Kind::Int64)?
        } else {
            outputs.f_argmax(1, false)?
        };
        let right = predicted.f_eq_tensor(labels)?;
        self.correct += right.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        match metric {
            Metric::F1 | Metric::MacroF1 => {
                let (labels, predicted) = (integers(labels)?, integers(&predicted)?);
                for (&label, &predicted) in labels.iter().zip(&predicted) {
                    self.confusion.add(label as usize, predicted as usize);
                }
            }
            Metric::Auroc => {
                let scores = match (loss, self.classes) {
                    // A logit orders records as its probability does, and does not saturate.
                    (Loss::BinaryCrossEntropy, _) => outputs.f_squeeze_dim(1)?,
                    (_, 2) => outputs.f_select(1, 1)?.f_sub(&outputs.f_select(1, 0)?)?,
                    _ => outputs.f_softmax(1, Kind::Float)?,
                };
                self.probabilities.extend(floats(&scores)?);
                self.labels.extend(integers(labels)?);
            }
            Metric::Accuracy | Metric::Loss | Metric::Rmse => {}
        }
        Ok(())
    }
}

fn integers(tensor: &Tensor) -> Result<Vec<i64>, TchError> {
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0i64; tensor.numel()];
    tensor.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0f32; tensor.numel()];
    tensor.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

/// As documents carry a metric: nine decimals, and nine digits that count where it is small.
pub fn decimal(value: f64) -> String {
    let small = value != 0.0 && value.abs() < 0.1 && value.is_finite();
    let decimals = if small {
        8 - value.abs().log10().floor() as i32
    } else {
        9
    };
    format!("{value:.*}", usize::try_from(decimals.clamp(9, 24)).unwrap_or(9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_keeps_nine_digits() {
        assert_eq!(decimal(0.8), "0.800000000");
        assert_eq!(decimal(12_345.678_9), "12345.678900000");
        assert_eq!(decimal(0.000_012_345_678_912), "0.0000123456789");
        assert_eq!(decimal(0.0), "0.000000000");
        assert_eq!(decimal(f64::NAN), "NaN");
        assert!(decimal(1e-300).len() <= 32);
    }
}
