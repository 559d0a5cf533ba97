//! How a proposer trains: loss, optimizer, schedule, how long, and what keeps it in bounds.
//!
//! Every round starts with a fresh optimizer: its state is private to a participant and does not travel, so that a
//! contribution depends on the start model, the data and the definition alone.

use serde::{Deserialize, Serialize};

use super::{
    DefinitionError,
    checks::{count, number, only_true, present},
};
use crate::decimal::Decimal;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Training {
    pub optimizer: Optimizer,
    /// 1..=65536.
    pub batch_size: u32,
    /// 1..=10000 passes over the training split per round. Either this or `steps`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// 1..=10000000 batches per round: the same work for everybody, whatever they have of data.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Absent: cross-entropy.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Absent: the learning rate is constant within a round.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// 1..=1000000: in the first steps of a round the learning rate grows linearly to what it should be.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub warm_up_steps: Option<u32>,
    /// Above 0, at most 1: the learning rate of round r is multiplied by this to the power r.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub round_decay: Option<Decimal>,
    /// Above 0, at most 1000000: gradients are scaled down to this norm, over all tensors together.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<Decimal>,
    /// Absent: 32-bit floats throughout.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<EarlyStop>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
}

/// Differentially private training: every record's gradient is clipped and noise is added to their sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Privacy {
    /// Above 0, at most 1000000: of one record's gradient, over all tensors together.
    pub clip_norm: Decimal,
    /// 0.1 to 1000: standard deviation of the noise on the sum, in clipping norms.
    pub noise_multiplier: Decimal,
    /// Above 0, at most 0.01: the delta at which the spent epsilon is reported.
    pub delta: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    /// Of the softmax of as many outputs as there are classes.
    CrossEntropy,
    /// Of the sigmoid of one output, for two classes.
    BinaryCrossEntropy,
    /// Of one output and a label that is a number.
    MeanSquaredError,
}

impl Loss {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossEntropy => "crossEntropy",
            Self::BinaryCrossEntropy => "binaryCrossEntropy",
            Self::MeanSquaredError => "meanSquaredError",
        }
    }
}

/// One of, so that a new optimizer is a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Optimizer {
    Sgd(Sgd),
    /// Weight decay is added to the gradient.
    Adam(Adam),
    /// Weight decay shrinks the weights beside the step.
    AdamW(Adam),
}

impl Optimizer {
    pub fn learning_rate(&self) -> &Decimal {
        match self {
            Self::Sgd(sgd) => &sgd.learning_rate,
            Self::Adam(adam) | Self::AdamW(adam) => &adam.learning_rate,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sgd {
    /// Above 0, at most 1000.
    pub learning_rate: Decimal,
    /// 0 to below 1.
    pub momentum: Decimal,
    /// 0 to 1.
    pub weight_decay: Decimal,
    /// Nesterov's momentum; absent: no.
    #[serde(default, deserialize_with = "only_true", skip_serializing_if = "std::ops::Not::not")]
    pub nesterov: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adam {
    /// Above 0, at most 1000.
    pub learning_rate: Decimal,
    /// 0 to below 1.
    pub beta1: Decimal,
    /// 0 to below 1.
    pub beta2: Decimal,
    /// Above 0, at most 1.
    pub epsilon: Decimal,
    /// 0 to 1.
    pub weight_decay: Decimal,
}

/// How the learning rate changes within a round. One of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Schedule {
    /// Multiplied by `factor` after every so many steps.
    Step(StepSchedule),
    /// Half a cosine from 1 down to `final_factor` over the round's steps.
    Cosine(CosineSchedule),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepSchedule {
    /// 1..=1000000.
    pub every_steps: u32,
    /// Above 0, at most 1.
    pub factor: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CosineSchedule {
    /// 0 to 1.
    pub final_factor: Decimal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Precision {
    /// Forward and backward in bfloat16; weights, gradients and the optimizer stay in 32 bits.
    Bf16,
}

/// End a round's training when an epoch's mean training loss has not come below the best one by the relative
/// `min_improvement` for `patience` epochs. It looks at the training split alone: a rule that looked at the test split
/// would let test records choose the model that is judged by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlyStop {
    /// 1..=1000 epochs.
    pub patience: u32,
    /// 0 to 1.
    pub min_improvement: Decimal,
}

impl Training {
    /// Cross-entropy unless said otherwise.
    pub fn loss(&self) -> Loss {
        self.loss.unwrap_or(Loss::CrossEntropy)
    }

    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        self.optimizer.check()?;
        count(
            "training.batchSize",
            self.batch_size.into(),
            1..=65_536,
            "between 1 and 65536",
        )?;
        self.check_length()?;
        self.check_privacy()?;
        match &self.schedule {
            Some(Schedule::Step(step)) => {
                count(
                    "training.schedule.step.everySteps",
                    step.every_steps.into(),
                    1..=1_000_000,
                    "between 1 and 1000000",
                )?;
                share("training.schedule.step.factor", &step.factor)?;
            }
            Some(Schedule::Cosine(cosine)) => number(
                "training.schedule.cosine.finalFactor",
                &cosine.final_factor,
                "between 0 and 1",
                |x| (0.0..=1.0).contains(&x),
            )?,
            None => {}
        }
        if let Some(steps) = self.warm_up_steps {
            count(
                "training.warmUpSteps",
                steps.into(),
                1..=1_000_000,
                "between 1 and 1000000",
            )?;
        }
        if let Some(decay) = &self.round_decay {
            share("training.roundDecay", decay)?;
        }
        if let Some(norm) = &self.clip_norm {
            number("training.clipNorm", norm, "above 0 and at most 1000000", |x| {
                x > 0.0 && x <= 1e6
            })?;
        }
        Ok(())
    }

    fn check_privacy(&self) -> Result<(), DefinitionError> {
        let Some(privacy) = &self.privacy else {
            return Ok(());
        };
        number(
            "training.privacy.clipNorm",
            &privacy.clip_norm,
            "above 0 and at most 1000000",
            |x| x > 0.0 && x <= 1e6,
        )?;
        number(
            "training.privacy.noiseMultiplier",
            &privacy.noise_multiplier,
            "between 0.1 and 1000",
            |x| (0.1..=1000.0).contains(&x),
        )?;
        number(
            "training.privacy.delta",
            &privacy.delta,
            "above 0 and at most 0.01",
            |x| x > 0.0 && x <= 0.01,
        )?;
        if self.clip_norm.is_some() {
            return Err(DefinitionError::Fit(
                "training.clipNorm and training.privacy do not go together: privacy clips every record's gradient"
                    .into(),
            ));
        }
        if self.early_stop.is_some() {
            return Err(DefinitionError::Fit(
                "training.earlyStop and training.privacy do not go together: when training stops would tell of the records, \
                 and the accountant does not count it"
                    .into(),
            ));
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), DefinitionError> {
        match (self.epochs, self.steps) {
            (Some(epochs), None) => count("training.epochs", epochs.into(), 1..=10_000, "between 1 and 10000")?,
            (None, Some(steps)) => count("training.steps", steps.into(), 1..=10_000_000, "between 1 and 10000000")?,
            (epochs, _) => {
                return Err(DefinitionError::Range {
                    field: "training",
                    value: if epochs.is_some() {
                        "given both epochs and steps".into()
                    } else {
                        "given neither epochs nor steps".into()
                    },
                    expected: "given exactly one of epochs and steps",
                });
            }
        }
        let Some(stop) = &self.early_stop else {
            return Ok(());
        };
        if self.epochs.is_none() {
            return Err(DefinitionError::Fit(
                "training.earlyStop compares epochs: it needs training.epochs".into(),
            ));
        }
        count(
            "training.earlyStop.patience",
            stop.patience.into(),
            1..=1000,
            "between 1 and 1000",
        )?;
        number(
            "training.earlyStop.minImprovement",
            &stop.min_improvement,
            "between 0 and 1",
            |x| (0.0..=1.0).contains(&x),
        )
    }
}

impl Optimizer {
    fn check(&self) -> Result<(), DefinitionError> {
        match self {
            Self::Sgd(sgd) => sgd.check(),
            Self::Adam(adam) => adam.check([
                "training.optimizer.adam.learningRate",
                "training.optimizer.adam.beta1",
                "training.optimizer.adam.beta2",
                "training.optimizer.adam.epsilon",
                "training.optimizer.adam.weightDecay",
            ]),
            Self::AdamW(adam) => adam.check([
                "training.optimizer.adamW.learningRate",
                "training.optimizer.adamW.beta1",
                "training.optimizer.adamW.beta2",
                "training.optimizer.adamW.epsilon",
                "training.optimizer.adamW.weightDecay",
            ]),
        }
    }
}

impl Sgd {
    fn check(&self) -> Result<(), DefinitionError> {
        rate("training.optimizer.sgd.learningRate", &self.learning_rate)?;
        below_one("training.optimizer.sgd.momentum", &self.momentum)?;
        decay("training.optimizer.sgd.weightDecay", &self.weight_decay)?;
        if self.nesterov && self.momentum.to_f64() == 0.0 {
            return Err(DefinitionError::Fit(
                "training.optimizer.sgd.nesterov needs a momentum above 0".into(),
            ));
        }
        Ok(())
    }
}

impl Adam {
    fn check(&self, names: [&'static str; 5]) -> Result<(), DefinitionError> {
        rate(names[0], &self.learning_rate)?;
        below_one(names[1], &self.beta1)?;
        below_one(names[2], &self.beta2)?;
        number(names[3], &self.epsilon, "above 0 and at most 1", |x| {
            x > 0.0 && x <= 1.0
        })?;
        decay(names[4], &self.weight_decay)
    }
}

fn rate(field: &'static str, value: &Decimal) -> Result<(), DefinitionError> {
    number(field, value, "above 0 and at most 1000", |x| x > 0.0 && x <= 1000.0)
}

fn below_one(field: &'static str, value: &Decimal) -> Result<(), DefinitionError> {
    number(field, value, "at least 0 and below 1", |x| (0.0..1.0).contains(&x))
}

fn decay(field: &'static str, value: &Decimal) -> Result<(), DefinitionError> {
    number(field, value, "between 0 and 1", |x| (0.0..=1.0).contains(&x))
}

fn share(field: &'static str, value: &Decimal) -> Result<(), DefinitionError> {
    number(field, value, "above 0 and at most 1", |x| x > 0.0 && x <= 1.0)
}
