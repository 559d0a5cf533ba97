//! The learning rate of a step.

use std::f64::consts::PI;

use protocol::{
    definition::{Schedule, Training},
    types::Round,
};

/// Learning rate of step `step` (from 0) of `planned` in a round.
pub fn rate(training: &Training, round: Round, step: u64, planned: u64) -> f64 {
    let mut rate = training.optimizer.learning_rate().to_f64();
    if let Some(decay) = &training.round_decay {
        rate *= decay.to_f64().powi(i32::try_from(round.0).unwrap_or(i32::MAX));
    }
    match &training.schedule {
        Some(Schedule::Step(schedule)) => {
            let times = step / u64::from(schedule.every_steps);
            rate *= schedule.factor.to_f64().powi(i32::try_from(times).unwrap_or(i32::MAX));
        }
        Some(Schedule::Cosine(schedule)) => {
            let last = schedule.final_factor.to_f64();
            let done = step as f64 / planned.max(1) as f64;
            rate *= last + (1.0 - last) * 0.5 * (1.0 + (PI * done).cos());
        }
        None => {}
    }
    match training.warm_up_steps {
        Some(steps) if step < u64::from(steps) => rate * (step + 1) as f64 / f64::from(steps),
        _ => rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(more: &str) -> Training {
        let json = format!(
            r#"{{"optimizer":{{"sgd":{{"learningRate":"0.8","momentum":"0","weightDecay":"0"}}}},"batchSize":1,"epochs":1{more}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_rate_is_constant_unless_something_is_said() {
        let plain = training("");
        assert_eq!(
            (rate(&plain, Round(0), 0, 10), rate(&plain, Round(7), 9, 10)),
            (0.8, 0.8)
        );
    }

    #[test]
    fn steps_cosine_warm_up_and_rounds_multiply() {
        let step = training(r#","schedule":{"step":{"everySteps":3,"factor":"0.5"}}"#);
        assert_eq!([2, 3, 6].map(|s| rate(&step, Round(0), s, 10)), [0.8, 0.4, 0.2]);
        let cosine = training(r#","schedule":{"cosine":{"finalFactor":"0.1"}},"roundDecay":"0.5""#);
        let of = |round, step| rate(&cosine, Round(round), step, 10);
        assert!((of(0, 0) - 0.8).abs() < 1e-12);
        assert!((of(0, 5) - 0.44).abs() < 1e-12);
        assert!((of(0, 10) - 0.08).abs() < 1e-12);
        assert!((of(2, 0) - 0.2).abs() < 1e-12);
        let warm = training(r#","warmUpSteps":4"#);
        assert_eq!([0, 1, 3, 4].map(|s| rate(&warm, Round(0), s, 10)), [0.2, 0.4, 0.8, 0.8]);
    }
}
