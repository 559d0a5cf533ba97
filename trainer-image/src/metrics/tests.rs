//! Against scikit-learn 1.9.1; each expected value is what the line above it prints there:
//! `from sklearn.metrics import roc_auc_score, f1_score`.

use super::*;

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

fn confusion(classes: usize, labels: &[usize], predicted: &[usize]) -> Confusion {
    let mut confusion = Confusion::new(classes);
    for (&label, &predicted) in labels.iter().zip(predicted) {
        confusion.add(label, predicted);
    }
    confusion
}

#[test]
fn auroc_is_scikit_learns_ties_included() {
    let labels = [0, 0, 1, 1, 0, 1, 1, 0, 1, 0];
    let scores = [0.1, 0.4, 0.35, 0.8, 0.35, 0.9, 0.4, 0.4, 0.7, 0.2];
    let scored = |sign: f32| {
        scores
            .iter()
            .zip(labels)
            .map(|(&s, l)| (sign * s, l == 1))
            .collect::<Vec<_>>()
    };
    // roc_auc_score(labels, scores)
    close(auroc(scored(1.0)), 0.86);
    close(auroc(scored(-1.0)), 0.14);
}

#[test]
fn auroc_of_one_class_or_of_no_number_is_no_number() {
    assert!(auroc(vec![(0.1, true), (0.2, true)]).is_nan());
    assert!(auroc(vec![(0.1, true), (f32::NAN, false)]).is_nan());
    assert!(auroc_one_against_rest(&[0.1, 0.9], &[0], 2).is_nan());
}

#[test]
fn auroc_of_three_classes_is_the_mean_of_each_against_the_rest() {
    let labels = [0, 1, 2, 2, 1, 0, 2, 1];
    let scores = [
        0.7, 0.2, 0.1, 0.2, 0.5, 0.3, 0.1, 0.3, 0.6, 0.2, 0.2, 0.6, 0.3, 0.4, 0.3, 0.4, 0.5, 0.1, 0.5, 0.25, 0.25, 0.1,
        0.6, 0.3,
    ];
    // roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    close(auroc_one_against_rest(&scores, &labels, 3), 0.872_222_222_222_222_3);
}

#[test]
fn f1_is_of_the_second_class_and_macro_f1_the_mean_over_those_that_occur() {
    let two = confusion(2, &[0, 0, 1, 1, 0, 1, 1, 0, 1, 0], &[0, 1, 1, 1, 0, 1, 0, 0, 1, 1]);
    // f1_score(labels, predicted), f1_score(labels, predicted, average="macro")
    close(two.f1(), 0.727_272_727_272_727_3);
    close(two.macro_f1(), 0.696_969_696_969_697);
    let three = confusion(3, &[0, 1, 2, 2, 1, 0, 2, 1], &[0, 2, 2, 2, 1, 1, 2, 0]);
    close(three.macro_f1(), 0.585_714_285_714_285_7);
    // Class 2 neither occurs nor is predicted, class 3 is predicted only.
    let four = confusion(4, &[0, 0, 1, 1], &[0, 3, 1, 1]);
    close(four.macro_f1(), 0.555_555_555_555_555_5);
    assert_eq!(confusion(2, &[0, 0], &[0, 0]).f1(), 0.0);
}
