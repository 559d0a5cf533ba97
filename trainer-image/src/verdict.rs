//! The vote rule.

use protocol::{
    definition::{Direction, Evaluation},
    types::Score,
};

/// +1 iff the aggregate is not worse than the start model by more than eps * |start|; a metric that is not finite never
/// is good enough.
pub(crate) fn score(evaluation: &Evaluation, old: f64, new: f64) -> Score {
    let slack = evaluation.epsilon.to_f64() * old.abs();
    let good = match evaluation.direction {
        Direction::HigherIsBetter => new >= old - slack,
        Direction::LowerIsBetter => new <= old + slack,
    };
    if new.is_finite() && good {
        Score::For
    } else {
        Score::Against
    }
}

#[cfg(test)]
mod tests {
    use protocol::definition::Metric;

    use super::*;

    fn vote(metric: Metric, old: f64, new: f64) -> i8 {
        let epsilon = serde_json::from_str("\"0.05\"").unwrap();
        score(
            &Evaluation {
                metric,
                direction: metric.direction(),
                epsilon,
            },
            old,
            new,
        )
        .into()
    }

    #[test]
    fn a_loss_of_up_to_epsilon_is_tolerated_in_either_direction() {
        assert_eq!(vote(Metric::Accuracy, 0.8, 0.761), 1);
        assert_eq!(vote(Metric::Accuracy, 0.8, 0.759), -1);
        assert_eq!(vote(Metric::Loss, 1.0, 1.049), 1);
        assert_eq!(vote(Metric::Loss, 1.0, 1.051), -1);
        assert_eq!(vote(Metric::Accuracy, 0.0, 0.0), 1);
    }

    #[test]
    fn what_is_not_a_number_is_voted_down() {
        for new in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(vote(Metric::Accuracy, 0.5, new), -1);
            assert_eq!(vote(Metric::Loss, 0.5, new), -1);
        }
    }
}
