//! Wider registers where the processor has them.
//!
//! The arithmetic is written once, in plain Rust on arrays, and compiled once per instruction set: the compiler makes
//! vector instructions of it. What it computes is the same, because elements do not influence each other, Rust neither
//! reorders nor fuses floating-point operations, and +, -, *, /, square root and conversions are correctly rounded in
//! scalar and in vector registers alike. `benches/aggregation.rs` measures what the wider ones are worth.
//!
//! One thing the compiler does not find by itself: the instruction that converts halves. Without it the mean of f16 runs
//! at two thirds of its speed.
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
}

#[derive(Debug, Clone, Copy)]
struct Baseline;

impl Registers for Baseline {
    #[inline(always)]
    fn halves(self, raw: &[[u8; 2]; GROUP]) -> [f32; GROUP] {
        raw.map(half_to_single)
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
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c");
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

    use super::{GROUP, Kernel, Registers};

    /// Made by the functions below alone, so where there is one the processor has F16C.
    #[derive(Debug, Clone, Copy)]
    struct Converting(());

    impl Registers for Converting {
        #[inline(always)]
        fn halves(self, raw: &[[u8; 2]; GROUP]) -> [f32; GROUP] {
            // SAFETY: the processor has F16C; arrays and vectors are plain bits of the same sizes.
            unsafe { transmute(_mm256_cvtph_ps(transmute::<[[u8; 2]; GROUP], __m128i>(*raw))) }
        }
    }

    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn avx2(kernel: impl Kernel) {
        kernel.run(Converting(()));
    }

    #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn avx512(kernel: impl Kernel) {
        kernel.run(Converting(()));
    }
}
