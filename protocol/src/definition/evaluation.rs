//! How a voter judges.

use serde::{Deserialize, Serialize};

use super::{DefinitionError, checks::number};
use crate::decimal::Decimal;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluation {
    pub metric: Metric,
    /// Must be the metric's own direction; written out so that a reader need not know it.
    pub direction: Direction,
    /// Tolerated relative loss of the metric in one round, 0 to 1.
    pub epsilon: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Share of correctly classified test records.
    Accuracy,
    /// Mean of the training's loss over the test records.
    Loss,
    /// Area under the ROC curve, ties counted half. With more than two classes: the mean over the classes that have
    /// records, each against the rest.
    Auroc,
    /// Two classes: F1 of the second one, the positive.
    F1,
    /// Unweighted mean of every class's F1, over the classes that occur among labels or predictions.
    MacroF1,
    /// Root of the mean squared error, in the label's own unit.
    Rmse,
}

impl Metric {
    pub fn direction(self) -> Direction {
        match self {
            Self::Accuracy | Self::Auroc | Self::F1 | Self::MacroF1 => Direction::HigherIsBetter,
            Self::Loss | Self::Rmse => Direction::LowerIsBetter,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
            Self::Auroc => "auroc",
            Self::F1 => "f1",
            Self::MacroF1 => "macroF1",
            Self::Rmse => "rmse",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    HigherIsBetter,
    LowerIsBetter,
}

impl Evaluation {
    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        number("evaluation.epsilon", &self.epsilon, "between 0 and 1", |x| {
            (0.0..=1.0).contains(&x)
        })?;
        if self.direction != self.metric.direction() {
            return Err(DefinitionError::Range {
                field: "evaluation.direction",
                value: format!("{:?} for {}", self.direction, self.metric.as_str()),
                expected: "higherIsBetter for accuracy, auroc, f1 and macroF1, lowerIsBetter for loss and rmse",
            });
        }
        Ok(())
    }
}
