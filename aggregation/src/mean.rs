//! `mean/v1`, plain and weighted.
//!
//! For every element, over the included contributions in seat order, with weights w (all 1 for the plain mean):
//!
//! 1. the accumulator is an IEEE 754 binary64; it starts as w_1 * x_1 (the product rounded to binary64);
//! 2. for each further contribution the product w_j * x_j is rounded to binary64 and added, and the sum is rounded to
//!    binary64 (no fused multiply-add);
//! 3. the sum is divided once by the sum of the weights (exact as binary64), and the quotient is rounded to binary64;
//! 4. that is rounded to the element's type as `combine.rs` says.
//!
//! The result of finite inputs is finite: a mean lies between its extremes, and at most 50 values of binary32 range
//! cannot overflow binary64.

use crate::{
    combine::Combination,
    element::{Element, STRIP, load},
    simd::{Divisor, Registers},
};

#[derive(Debug)]
pub(crate) struct Mean {
    weights: Vec<f64>,
    plain: bool,
    divisor: Divisor,
}

impl Mean {
    /// Weights are 1 for the plain mean and at most 2^33.
    pub(crate) fn new(weights: &[u64]) -> Self {
        Self {
            weights: weights.iter().map(|&w| w as f64).collect(),
            plain: weights.iter().all(|&w| w == 1),
            divisor: Divisor::new(weights.iter().sum()),
        }
    }

    /// If all weights are 1.
    pub(crate) fn plain(&self) -> Option<Strips<'_, impl Fn(f64, f64) -> f64>> {
        // A product with 1 is the value itself.
        self.plain.then_some(Strips(self, |value, _| value))
    }

    pub(crate) fn weighted(&self) -> Strips<'_, impl Fn(f64, f64) -> f64> {
        Strips(self, |value, weight| weight * value)
    }
}

/// Sums of so many elements stay in vector registers, 4 of AVX-512 or 8 of AVX2, while one input after the other is
/// added. More go back to memory with every input, which takes twice as long.
const HELD: usize = 32;

/// With what an input adds to the sum, of its value and its weight. Compiled once for each: a choice among the loops over
/// inputs keeps the compiler from using vector registers.
pub(crate) struct Strips<'a, A>(&'a Mean, A);

impl<E: Element, A: Fn(f64, f64) -> f64> Combination<E> for Strips<'_, A> {
    #[inline(always)]
    fn strip<R: Registers>(&mut self, registers: R, columns: &[&[[E::Raw; STRIP]]], strip: usize) -> [f64; STRIP] {
        let mut sums = [0.0; STRIP];
        for (part, sums) in sums.as_chunks_mut::<HELD>().0.iter_mut().enumerate() {
            // What x + -0 is for every x, also -0.
            let mut held = [-0.0; HELD];
            for (column, weight) in columns.iter().zip(&self.0.weights) {
                let part = &column[strip].as_chunks::<HELD>().0[part];
                if E::CONVERTED {
                    for (sum, value) in held.iter_mut().zip(load::<E, R, HELD>(registers, part)) {
                        *sum += self.1(value, *weight);
                    }
                } else {
                    for (sum, raw) in held.iter_mut().zip(part) {
                        *sum += self.1(f64::from(E::load(*raw)), *weight);
                    }
                }
            }
            *sums = held;
        }
        for sum in &mut sums {
            *sum = registers.quotient(*sum, self.0.divisor);
        }
        sums
    }
}

/// Weights of the opt-in weighted mean: the sample counts fixed when joining, clamped to [1, 2 x lower median] of the
/// included ones, so that an inflated count gains at most a factor of two. The lower median of n values is the
/// ceil(n/2)-th smallest.
pub fn clamped_weights(sample_counts: &[u32]) -> Vec<u64> {
    let mut sorted = sample_counts.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    let cap = (2 * u64::from(median)).max(1);
    sample_counts.iter().map(|&n| u64::from(n).clamp(1, cap)).collect()
}

#[cfg(test)]
mod tests {
    use protocol::architecture::Dtype;

    use super::*;
    use crate::{
        combine::{Formula, Job},
        options::Options,
        source::ReadAt,
        tensors::Segment,
    };

    #[test]
    fn weights_are_clamped_to_twice_the_lower_median() {
        assert_eq!(clamped_weights(&[10, 1_000_000, 12, 8]), [10, 20, 12, 8]);
        assert_eq!(clamped_weights(&[5, 100]), [5, 10]);
        assert_eq!(clamped_weights(&[100, 5]), [10, 5]);
        assert_eq!(clamped_weights(&[0, 0, 7]), [1, 1, 1]);
        assert_eq!(clamped_weights(&[u32::MAX]), [u64::from(u32::MAX)]);
        assert!(clamped_weights(&[]).is_empty());
    }

    /// The mean of one element.
    fn mean(values: &[f32], weights: &[u64]) -> f32 {
        let values: Vec<Vec<u8>> = values.iter().map(|x| x.to_le_bytes().to_vec()).collect();
        let readers: Vec<&dyn ReadAt> = values.iter().map(|v| v as &dyn ReadAt).collect();
        let segments = [Segment {
            dtype: Dtype::F32,
            output: 0..4,
            inputs: vec![0; values.len()],
        }];
        let job = Job {
            readers: &readers,
            segments: &segments,
            formula: &Formula::Mean(Mean::new(weights)),
            rate: None,
        };
        let mut out = Vec::new();
        let done = job.run(&Options::default(), |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        });
        assert!(done.is_ok());
        f32::from_le_bytes(out.try_into().unwrap())
    }

    #[test]
    fn a_mean_that_binary32_sums_would_get_wrong_is_right() {
        assert_eq!(mean(&[1.0e8, 1.0, -1.0e8, 1.0], &[1; 4]), 0.5);
    }

    #[test]
    fn the_greatest_finite_values_do_not_overflow() {
        assert_eq!(mean(&[f32::MAX; 50], &[1 << 32; 50]), f32::MAX);
        assert_eq!(mean(&[f32::MAX; 50], &[1; 50]), f32::MAX);
    }

    #[test]
    fn a_mean_of_minus_zeros_is_minus_zero() {
        assert!(mean(&[-0.0, -0.0], &[1, 1]).is_sign_negative());
        assert!(mean(&[-0.0, 0.0], &[1, 1]).is_sign_positive());
    }
}
