//! `clippedMean/v1`: the mean of contributions none of which is farther from the start model than a given norm.
//!
//! 1. The length l_j of a contribution's difference to the start model is the square root, rounded to binary64, of their
//!    squared distance as specified in `distance.rs`.
//! 2. With the definition's `clipNorm` c, read as the nearest binary64: where l_j <= c the contribution counts as it is,
//!    y = x. Where it is longer, with the factor q_j = c / l_j rounded to binary64, y = s + q_j * (x - s) for every
//!    element x and the start model's element s, each of the three operations rounded to binary64.
//! 3. The result is the `mean/v1` of the y, weighted or not.
//!
//! It needs one contribution. Its result is finite: every y lies between a contribution's value and the start's.

use crate::{
    combine::Combination,
    element::{Element, STRIP, load},
    simd::Registers,
};

#[derive(Debug)]
pub(crate) struct Clipped {
    terms: Vec<Term>,
    divisor: f64,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    weight: f64,
    /// `None`: as it is.
    factor: Option<f64>,
}

impl Clipped {
    pub(crate) fn new(weights: &[u64], squared_lengths: &[f64], clip_norm: f64) -> Self {
        let term = |(&weight, squared): (&u64, &f64)| {
            let length = squared.sqrt();
            Term {
                weight: weight as f64,
                factor: (length > clip_norm).then(|| clip_norm / length),
            }
        };
        Self {
            terms: weights.iter().zip(squared_lengths).map(term).collect(),
            divisor: weights.iter().sum::<u64>() as f64,
        }
    }

    pub(crate) fn strips(&self) -> Strips<'_> {
        Strips(self)
    }
}

pub(crate) struct Strips<'a>(&'a Clipped);

impl<E: Element> Combination<E> for Strips<'_> {
    #[inline(always)]
    fn strip<R: Registers>(&mut self, registers: R, columns: &[&[[E::Raw; STRIP]]], strip: usize) -> [f64; STRIP] {
        // What x + -0 is for every x, also -0.
        let mut sums = [-0.0; STRIP];
        let Some((start, columns)) = columns.split_last() else {
            return sums;
        };
        let from = load::<E, R, STRIP>(registers, &start[strip]);
        for (column, term) in columns.iter().zip(&self.0.terms) {
            let weight = term.weight;
            let values = load::<E, R, STRIP>(registers, &column[strip]);
            match term.factor {
                None => {
                    for (sum, value) in sums.iter_mut().zip(&values) {
                        *sum += weight * value;
                    }
                }
                Some(factor) => {
                    for ((sum, value), from) in sums.iter_mut().zip(&values).zip(&from) {
                        let clipped = from + factor * (value - from);
                        *sum += weight * clipped;
                    }
                }
            }
        }
        for sum in &mut sums {
            *sum /= self.0.divisor;
        }
        sums
    }
}
