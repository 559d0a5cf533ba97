//! Wider registers where the processor has them.
//!
//! The arithmetic is written once, in plain Rust on arrays, and compiled once per instruction set: the compiler makes
//! vector instructions of it. What it computes is the same, because elements do not influence each other, Rust neither
//! reorders nor fuses floating-point operations, and +, -, *, /, square root and conversions are correctly rounded in
//! scalar and in vector registers alike. `benches/aggregation.rs` measures what the wider ones are worth.
#![allow(
    unsafe_code,
    reason = "calling a function compiled for an instruction set is sound only on a processor that has it"
)]

/// Work that is worth compiling for several instruction sets. `run` and everything it calls must be
/// `#[inline(always)]`: what is not inlined is compiled for the baseline.
pub(crate) trait Kernel {
    fn run(self);
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
            if is_x86_feature_detected!("avx2") {
                widths.push(Self(Width::Avx2));
            }
            if is_x86_feature_detected!("avx2")
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
            Width::Baseline => kernel.run(),
            // SAFETY: a `Vectors` of this width is made by `available` alone, after asking the processor for every
            // feature that the function is compiled with.
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => unsafe { avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => unsafe { avx512(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(kernel: impl Kernel) {
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512(kernel: impl Kernel) {
    kernel.run();
}
