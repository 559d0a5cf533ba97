//! `krum/v1` and `multiKrum/v1`: keep the contributions that lie closest to the others.
//!
//! Of n included contributions up to f (`byzantine`) may be anything. With the squared distances of `distance.rs`
//! between all pairs:
//!
//! 1. the score of a contribution is the sum of its n - f - 2 smallest distances to others, added in ascending order, the
//!    accumulator a binary64 that starts as +0, every sum rounded to binary64;
//! 2. contributions are ordered by score, equal scores by seat;
//! 3. the first m are kept: one for `krum/v1`; `keep` of them for `multiKrum/v1`, or n - f if `keep` is not given;
//! 4. the result is the plain `mean/v1` of those kept, in seat order.
//!
//! It needs n >= 2f + 3 and n >= m + f; with fewer contributions `median/v1` takes its place, nothing is left out and
//! nobody loses a bit.
//!
//! **`slashOutliers`.** What is not kept is not therefore bad: somebody is always last. With the factor c of
//! `slashOutliers`, a contribution that is not kept is an *outlier*, and loses its bit in the mask, if its score is above
//! c times the lower median (the ceil(n/2)-th smallest) of all n scores, the product rounded to binary64. 0 makes outliers
//! of all that is not kept and does not equal the others.

use protocol::definition::{Aggregation, Rule};

use crate::refusal::Refusal;

/// What became of the contributions, by their index in seat order.
#[derive(Debug, PartialEq)]
pub(crate) struct Selection {
    /// Ascending.
    pub(crate) kept: Vec<usize>,
    pub(crate) outliers: Vec<(usize, Outlier)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outlier {
    score: f64,
    limit: f64,
}

impl From<Outlier> for Refusal {
    fn from(outlier: Outlier) -> Self {
        Self::Outlier {
            score: outlier.score,
            limit: outlier.limit,
        }
    }
}

/// How many of `n` contributions are kept; `None`: there are too few of them.
pub(crate) fn keeps(aggregation: &Aggregation, n: usize) -> Option<usize> {
    let f = byzantine(aggregation);
    let keep = match (aggregation.rule, aggregation.keep) {
        (Rule::KrumV1, _) => 1,
        (_, Some(keep)) => keep as usize,
        (_, None) => n.saturating_sub(f),
    };
    (n >= 2 * f + 3 && n >= keep + f).then_some(keep)
}

fn byzantine(aggregation: &Aggregation) -> usize {
    aggregation.byzantine.unwrap_or(0) as usize
}

/// `distances` are those of all pairs i < j in that order; `keep` is what [`keeps`] said.
pub(crate) fn select(aggregation: &Aggregation, n: usize, keep: usize, distances: &[f64]) -> Selection {
    let scores = scores(n, byzantine(aggregation), distances);
    let mut order: Vec<usize> = (0..n).collect();
    // Stable, so that equal scores stay in seat order.
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut outliers = Vec::new();
    if let Some(factor) = &aggregation.slash_outliers {
        let limit = factor.to_f64() * scores[order[(n - 1) / 2]];
        for &index in order[keep..].iter().filter(|&&index| scores[index] > limit) {
            let score = scores[index];
            outliers.push((index, Outlier { score, limit }));
        }
    }
    let mut kept = order[..keep].to_vec();
    kept.sort_unstable();
    Selection { kept, outliers }
}

fn scores(n: usize, f: usize, distances: &[f64]) -> Vec<f64> {
    let mut to_others = vec![Vec::with_capacity(n); n];
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    for ((i, j), distance) in pairs.zip(distances) {
        to_others[i].push(*distance);
        to_others[j].push(*distance);
    }
    let score = |mut distances: Vec<f64>| {
        distances.sort_by(f64::total_cmp);
        distances
            .iter()
            .take(n - f - 2)
            .fold(0.0, |sum, distance| sum + distance)
    };
    to_others.into_iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krum(rule: Rule, byzantine: u32, keep: Option<u32>, slash_outliers: Option<&str>) -> Aggregation {
        Aggregation {
            byzantine: Some(byzantine),
            keep,
            slash_outliers: slash_outliers.map(|factor| factor.parse().unwrap()),
            ..Aggregation::plain(rule)
        }
    }

    /// The squared distances of points on a line.
    fn line(points: &[f64]) -> Vec<f64> {
        let n = points.len();
        (0..n)
            .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
            .map(|(i, j)| (points[i] - points[j]).powi(2))
            .collect()
    }

    #[test]
    fn what_lies_far_from_the_others_is_left_out() {
        let points = [1.0, 1.3, 50.0, 0.8, 1.05];
        let chosen = |aggregation: &Aggregation| {
            let keep = keeps(aggregation, 5).unwrap();
            select(aggregation, 5, keep, &line(&points))
        };
        assert_eq!(chosen(&krum(Rule::MultiKrumV1, 1, None, None)).kept, [0, 1, 3, 4]);
        assert_eq!(chosen(&krum(Rule::MultiKrumV1, 1, Some(2), None)).kept, [0, 4]);
        assert_eq!(chosen(&krum(Rule::KrumV1, 1, None, None)).kept, [0]);
        assert!(chosen(&krum(Rule::KrumV1, 1, None, None)).outliers.is_empty());
    }

    #[test]
    fn only_what_is_far_beyond_the_median_score_is_an_outlier() {
        let outliers = |points: &[f64], factor| {
            let aggregation = krum(Rule::MultiKrumV1, 1, None, Some(factor));
            let selection = select(
                &aggregation,
                points.len(),
                keeps(&aggregation, points.len()).unwrap(),
                &line(points),
            );
            selection
                .outliers
                .into_iter()
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        };
        assert_eq!(outliers(&[1.0, 1.2, 50.0, 0.9, 1.1], "4"), [2]);
        assert!(outliers(&[1.0, 1.2, 1.3, 0.9, 1.1], "4").is_empty());
        assert_eq!(outliers(&[1.0, 1.2, 1.3, 0.9, 1.1], "0").len(), 1);
        assert!(outliers(&[1.0; 5], "0").is_empty());
        let krum = krum(Rule::KrumV1, 1, None, Some("4"));
        let far = select(&krum, 5, 1, &line(&[1.0, 1.2, 50.0, 0.9, 1.1])).outliers;
        assert_eq!(far.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn equal_scores_are_ordered_by_seat() {
        let aggregation = krum(Rule::KrumV1, 1, None, None);
        assert_eq!(select(&aggregation, 5, 1, &line(&[2.0; 5])).kept, [0]);
    }

    #[test]
    fn too_few_contributions_are_not_selected_from() {
        assert_eq!(keeps(&krum(Rule::KrumV1, 1, None, None), 4), None);
        assert_eq!(keeps(&krum(Rule::KrumV1, 1, None, None), 5), Some(1));
        assert_eq!(keeps(&krum(Rule::MultiKrumV1, 1, None, None), 7), Some(6));
        assert_eq!(keeps(&krum(Rule::MultiKrumV1, 2, Some(5), None), 7), Some(5));
        assert_eq!(keeps(&krum(Rule::MultiKrumV1, 2, Some(6), None), 7), None);
    }
}
