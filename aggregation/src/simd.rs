//! Wider registers where the processor has them.
//!
//! The arithmetic is written once, in plain Rust on arrays, and compiled once per instruction set: the compiler makes
//! vector instructions of it. What it computes is the same, because elements do not influence each other, Rust neither
//! reorders nor fuses floating-point operations, and +, -, *, /, square root and conversions are correctly rounded in
//! scalar and in vector registers alike. `benches/aggregation.rs` measures what the wider ones are worth.
//!
//! Two things the compiler does not find by itself: the instruction that converts halves, without which the mean of f16 runs
//! at two thirds of its speed; and that a fused multiply-add can divide by a whole number as a division does.
#![allow(
    unsafe_code,
    reason = "calling a function compiled for an instruction set is sound only on a processor that has it"
)]

use crate::element::half_to_single;

/// Work that is worth compiling for several instruction sets. `run` and everything it calls must be
/// `#[inline(always)]`: what is not inlined is compiled for the baseline.
pub(crate) trait Kernel {
    fn run<R: Registers>(self, registers: R);
}

/// Elements that are converted at a time.
pub(crate) const GROUP: usize = 8;

/// Instructions that this processor has.
pub(crate) trait Registers: Copy {
    /// Halves as what they are. Exact; of infinities and NaN it may make any number.
    fn halves(self, raw: &[[u8; 2]; GROUP]) -> [f32; GROUP];

    /// The quotient, rounded to nearest.
    fn quotient(self, sum: f64, divisor: Divisor) -> f64;
}

/// A whole number from 1 to 2^39, by which sums of binary32 range are divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Divisor {
    value: f64,
    /// Rounded to nearest.
    reciprocal: f64,
}

impl Divisor {
    pub(crate) fn new(value: u64) -> Self {
        debug_assert!((1..=1 << 39).contains(&value));
        let value = value as f64;
        Self {
            value,
            reciprocal: 1.0 / value,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Baseline;

impl Registers for Baseline {
    #[inline(always)]
    fn halves(self, raw: &[[u8; 2]; GROUP]) -> [f32; GROUP] {
        raw.map(half_to_single)
    }

    #[inline(always)]
    fn quotient(self, sum: f64, divisor: Divisor) -> f64 {
        sum / divisor.value
    }
}

/// An instruction set that this processor has. There is no way to make one that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vectors(Width);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Vectors {
    /// What every processor of the target has: SSE2 on x86-64, NEON on AArch64.
    pub fn baseline() -> Self {
        Self(Width::Baseline)
    }

    /// All that this processor has, narrowest first.
    pub fn available() -> Vec<Self> {
        let mut widths = vec![Self::baseline()];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") && is_x86_feature_detected!("fma");
            if avx2 {
                widths.push(Self(Width::Avx2));
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                widths.push(Self(Width::Avx512));
            }
        }
        widths
    }

    /// The widest that this processor has.
    pub fn widest() -> Self {
        Self::available().pop().unwrap_or_else(Self::baseline)
    }

    pub fn name(self) -> &'static str {
        match self.0 {
            Width::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => "AVX-512",
        }
    }

    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.0 {
            Width::Baseline => kernel.run(Baseline),
            // SAFETY: a `Vectors` of this width is made by `available` alone, after asking the processor for every
            // feature that the function is compiled with.
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => unsafe { x86::avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => unsafe { x86::avx512(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{
        arch::x86_64::{__m128i, _mm256_cvtph_ps},
        mem::transmute,
    };

    use super::{Divisor, GROUP, Kernel, Registers};

    /// Made by the functions below alone, so where there is one the processor has F16C and FMA.
    #[derive(Debug, Clone, Copy)]
    struct ConvertingFusing(());

    impl Registers for ConvertingFusing {
        #[inline(always)]
        fn halves(self, raw: &[[u8; 2]; GROUP]) -> [f32; GROUP] {
            // SAFETY: the processor has F16C; arrays and vectors are plain bits of the same sizes.
            unsafe { transmute(_mm256_cvtph_ps(transmute::<[[u8; 2]; GROUP], __m128i>(*raw))) }
        }

        /// By a multiplication with the reciprocal y of the divisor b and one step of Newton (Markstein, IBM Journal of
        /// Research and Development 34(1), 1990).
        ///
        /// Why it is the same number for every sum a: scale a by a power of two, so that 1 <= a/b < 2. Then a is a multiple
        /// of 2^-52, since it is at least b >= 1 and has 53 bits.
        ///
        /// * The estimate q = RN(a y) is off by at most 1.5 * 2^-52, and is a multiple of 2^-53. So is the remainder a - b q,
        ///   at most 1.5 b 2^-52 < 2^41 2^-53: it has fewer than 53 bits, and the fused operation computes it exactly.
        /// * q + (a - b q) y = a/b + (a - b q) (y - 1/b) is off by at most 1.5 * 2^-52 * 2^-53 < 2^-104, since y is
        ///   correctly rounded.
        /// * A point halfway between two numbers is M 2^-53 with M odd (below 2^-53 M = 2, where the quotient is). a/b is
        ///   none: a = b M 2^-53 would need the 54 bits of M. So a - b M 2^-53 is at least 2^-53, and a/b is at least 2^-53/b
        ///   >= 2^-92 from it. What is off by 2^-104 is rounded to the same number.
        ///
        /// The remainder is computed with the opposite sign, so that -0 stays -0. Sums of binary32 range, multiples of
        /// 2^-149, neither overflow nor lose bits to subnormals on the way.
        #[inline(always)]
        fn quotient(self, sum: f64, divisor: Divisor) -> f64 {
            let estimate = sum * divisor.reciprocal;
            let excess = estimate.mul_add(divisor.value, -sum);
            (-excess).mul_add(divisor.reciprocal, estimate)
        }
    }

    #[target_feature(enable = "avx2,f16c,fma")]
    pub(super) fn avx2(kernel: impl Kernel) {
        kernel.run(ConvertingFusing(()));
    }

    #[target_feature(enable = "avx2,f16c,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn avx512(kernel: impl Kernel) {
        kernel.run(ConvertingFusing(()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Sums in, quotients out.
    struct Divide<'a>(&'a mut [f64], Divisor);

    impl Kernel for Divide<'_> {
        #[inline(always)]
        fn run<R: Registers>(self, registers: R) {
            for sum in self.0 {
                *sum = registers.quotient(*sum, self.1);
            }
        }
    }

    /// Sums whose quotients are as near as can be to the middle of two numbers, any others, and the ends of the range.
    fn sums(divisor: u64, middles: &[u64], scale: f64) -> Vec<f64> {
        let mut sums = vec![0.0, -0.0, f64::from(f32::MAX) * divisor as f64, (-149f64).exp2()];
        for middle in middles {
            let product = u128::from(middle | 1 << 53 | 1) * u128::from(divisor);
            let excess = (128 - product.leading_zeros()) - 53;
            let below = (product >> excess) as f64;
            sums.extend([below, below + 1.0, f64::from_bits(middle >> 1 | 1023 << 52)]);
        }
        let negative: Vec<f64> = sums.iter().map(|sum| -sum * scale).collect();
        sums.extend(negative);
        sums
    }

    proptest! {
        #[test]
        fn every_instruction_set_divides_as_a_division_does(
            middles in vec(0..1u64 << 53, 20),
            any in (0..39u32).prop_flat_map(|bits| 1..=1u64 << bits),
            exponent in -150..150i32,
        ) {
            for divisor in (1..=50).chain([any, (1 << 39) - 1, 1 << 39, 50 << 33]) {
                let sums = sums(divisor, &middles, f64::from(exponent).exp2());
                for vectors in Vectors::available() {
                    let mut quotients = sums.clone();
                    vectors.run(Divide(&mut quotients, Divisor::new(divisor)));
                    for (sum, quotient) in sums.iter().zip(quotients) {
                        let expected = sum / divisor as f64;
                        prop_assert_eq!(
                            quotient.to_bits(),
                            expected.to_bits(),
                            "{:e} / {} with {}", sum, divisor, vectors.name()
                        );
                    }
                }
            }
        }
    }
}
