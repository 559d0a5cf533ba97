//! How far a training is: with parameters and optimizer, all that the next step depends on.

use protocol::definition::EarlyStop;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tch::{Device, TchError, Tensor};

/// A number that comes back from a document as it was, infinite or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exact(pub(crate) f64);

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_bits().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|bits| Self(f64::from_bits(bits)))
    }
}

/// Between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Position {
    /// The running epoch, from 0: so many are complete.
    pub(crate) epoch: u32,
    /// Its records that were trained on, in its order.
    pub(crate) at: i64,
    pub(crate) steps: u64,
    /// Records of all epochs.
    pub(crate) seen: u64,
    /// Over the running epoch's records, and how many they are.
    pub(crate) loss_sum: Exact,
    pub(crate) loss_records: i64,
    /// Mean of the epoch before.
    pub(crate) loss: Exact,
    pub(crate) patience: Patience,
    /// Of all processes that worked on it.
    pub(crate) seconds: Exact,
}

impl Position {
    pub(crate) fn start() -> Self {
        Self {
            epoch: 0,
            at: 0,
            steps: 0,
            seen: 0,
            loss_sum: Exact(0.0),
            loss_records: 0,
            loss: Exact(f64::NAN),
            patience: Patience {
                best: Exact(f64::INFINITY),
                waited: 0,
            },
            seconds: Exact(0.0),
        }
    }
}

/// Whether the training loss has stopped falling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Patience {
    best: Exact,
    pub(super) waited: u32,
}

impl Patience {
    /// Takes an epoch's mean training loss.
    pub(super) fn is_over(&mut self, settings: Option<&EarlyStop>, loss: f64) -> bool {
        let Some(settings) = settings else { return false };
        let best = self.best.0;
        if best.is_infinite() || loss < best - settings.min_improvement.to_f64() * best.abs() {
            self.best = Exact(loss);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited >= settings.patience
    }
}

/// Summed on the device: asking for a value would make it wait.
pub(super) struct MeanLoss {
    sum: Tensor,
    records: i64,
}

impl MeanLoss {
    pub(super) fn new(sum: Exact, records: i64, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            sum: Tensor::f_from_slice(&[sum.0])?.f_to_device(device)?,
            records,
        })
    }

    pub(super) fn add(&mut self, loss: &Tensor, records: i64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        let _ = self.sum.f_add_(&loss.f_detach()?.f_mul_scalar(records as f64)?)?;
        self.records += records;
        Ok(())
    }

    pub(super) fn add_value(&mut self, loss: f64, records: i64) -> Result<(), TchError> {
        let _ = self.sum.f_add_scalar_(loss * records as f64)?;
        self.records += records;
        Ok(())
    }

    pub(super) fn value(&self) -> Result<f64, TchError> {
        Ok(self.sum.f_double_value(&[0])? / self.records as f64)
    }

    pub(super) fn note(&self, position: &mut Position) -> Result<(), TchError> {
        position.loss_sum = Exact(self.sum.f_double_value(&[0])?);
        position.loss_records = self.records;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_epochs_without_a_relative_improvement() {
        let settings: EarlyStop = serde_json::from_str(r#"{"patience":2,"minImprovement":"0.1"}"#).unwrap();
        let mut patience = Position::start().patience;
        let over: Vec<bool> = [1.0, 0.95, 0.8, 0.75, 0.73]
            .map(|loss| patience.is_over(Some(&settings), loss))
            .to_vec();
        assert_eq!(over, [false, false, false, false, true]);
        assert!(!patience.is_over(None, f64::NAN));
    }

    #[test]
    fn a_position_comes_back_from_its_document_bit_for_bit() {
        let mut position = Position::start();
        position.loss_sum = Exact(0.1 + 0.2);
        position.seconds = Exact(f64::MIN_POSITIVE);
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
    }
}
