//! Metrics from what networks gave, without libtorch: plain sums in 64 bits.

/// Counts per class, from which F1 follows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Confusion {
    right: Vec<u64>,
    labelled: Vec<u64>,
    predicted: Vec<u64>,
}

impl Confusion {
    pub fn new(classes: usize) -> Self {
        Self {
            right: vec![0; classes],
            labelled: vec![0; classes],
            predicted: vec![0; classes],
        }
    }

    pub fn add(&mut self, label: usize, predicted: usize) {
        self.labelled[label] += 1;
        self.predicted[predicted] += 1;
        self.right[label] += u64::from(label == predicted);
    }

    /// 2 * right / (labelled + predicted): the harmonic mean of precision and recall. 0 where the class occurs but is
    /// never right; NaN where it neither occurs nor is predicted.
    fn f1_of(&self, class: usize) -> f64 {
        2.0 * self.right[class] as f64 / (self.labelled[class] + self.predicted[class]) as f64
    }

    /// F1 of the second of two classes; 0 if it neither occurs nor is predicted.
    pub fn f1(&self) -> f64 {
        let f1 = self.f1_of(1);
        if f1.is_nan() { 0.0 } else { f1 }
    }

    /// Unweighted mean of the F1 of the classes that occur among labels or predictions.
    pub fn macro_f1(&self) -> f64 {
        let all: Vec<f64> = (0..self.right.len())
            .map(|c| self.f1_of(c))
            .filter(|f| !f.is_nan())
            .collect();
        all.iter().sum::<f64>() / all.len() as f64
    }
}

/// Area under the ROC curve: the chance that a positive record scores above a negative one, ties counted half. NaN
/// without records of both kinds, or if a score is NaN.
pub fn auroc(mut scored: Vec<(f32, bool)>) -> f64 {
    if scored.iter().any(|(score, _)| score.is_nan()) {
        return f64::NAN;
    }
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scored.len() as f64 - positives;
    // Twice the number of pairs in the right order.
    let (mut pairs, mut below) = (0.0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let up = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let down = tied.len() as f64 - up;
        pairs += up * (2.0 * below + down);
        below += down;
    }
    pairs / (2.0 * positives * negatives)
}

/// Mean over the classes of each one's AUROC against the rest, by the rows of `scores` [records, classes]. Classes
/// without records of both kinds are left out.
pub fn auroc_one_against_rest(scores: &[f32], labels: &[i64], classes: usize) -> f64 {
    let mut all = Vec::new();
    for class in 0..classes {
        let positive = |label: &i64| *label == class as i64;
        let count = labels.iter().filter(|label| positive(label)).count();
        if count == 0 || count == labels.len() {
            continue;
        }
        let column = scores.iter().skip(class).step_by(classes);
        all.push(auroc(
            column
                .zip(labels)
                .map(|(&score, label)| (score, positive(label)))
                .collect(),
        ));
    }
    all.iter().sum::<f64>() / all.len() as f64
}

#[cfg(test)]
mod tests;
