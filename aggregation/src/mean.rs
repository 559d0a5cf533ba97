//! The arithmetic of `mean/v1`, streamed.
//!
//! For every element, over the included contributions in seat order, with weights w (all 1 for the plain mean):
//!
//! 1. the accumulator is an IEEE 754 binary64; it starts as w_1 * x_1 (the product rounded to binary64);
//! 2. for each further contribution the product w_j * x_j is rounded to binary64 and added, and the sum is rounded to
//!    binary64 (no fused multiply-add);
//! 3. the sum is divided once by the sum of the weights (exact as binary64), and the quotient is rounded to binary64;
//! 4. that is rounded to binary32.
//!
//! Every rounding is to nearest, ties to even. Elements do not influence each other, so neither the number of threads
//! nor the size of a block nor the width of a vector register can change a bit. The result of finite inputs is finite:
//! a mean lies between its extremes, and at most 50 values of binary32 range cannot overflow binary64.

use std::{io, num::NonZeroUsize, ops::Range, thread};

use crate::{source::ReadAt, tensors::Segment};

/// How much memory and how many threads aggregation may use; none of it changes the result.
///
/// Memory is at most `2 * output_block + threads * 3 * input_block` bytes, whatever the number and size of the models.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub threads: NonZeroUsize,
    /// Bytes of result computed between two writes.
    pub output_block: usize,
    /// Bytes read at once from one contribution by one thread.
    pub input_block: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            output_block: 4 << 20,
            input_block: 64 << 10,
        }
    }
}

/// One term of the mean.
pub(crate) struct Term<'a> {
    pub(crate) reader: &'a dyn ReadAt,
    /// 1 for the plain mean; at most 2^32.
    pub(crate) weight: u64,
}

/// Which input could not be read, or the output could not be written.
pub(crate) enum MeanError {
    Read { term: usize, error: io::Error },
    Write(io::Error),
}

struct Scratch {
    bytes: Vec<u8>,
    sums: Vec<f64>,
}

struct Job<'a> {
    terms: &'a [Term<'a>],
    segments: &'a [Segment],
    divisor: f64,
}

/// Computes the mean of `terms` element by element in the order of `segments`, and hands the bytes to `write` in order.
pub(crate) fn mean(
    terms: &[Term<'_>],
    segments: &[Segment],
    options: &Options,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), MeanError> {
    let threads = options.threads.get();
    let block = (options.output_block / 4).max(1);
    let tile = (options.input_block / 4).clamp(1, block);
    let total = segments.last().map_or(0, |s| s.output.end);
    let job = Job {
        terms,
        segments,
        divisor: terms.iter().map(|t| t.weight).sum::<u64>() as f64,
    };
    let mut scratch: Vec<Scratch> = (0..threads)
        .map(|_| Scratch {
            bytes: vec![0; tile * 4],
            sums: vec![0.0; tile],
        })
        .collect();
    let mut current = vec![0u8; block * 4];
    let mut previous = vec![0u8; if threads > 1 { block * 4 } else { 0 }];
    let mut pending = 0;
    let mut start = 0u64;
    while start < total {
        let elements = usize::try_from(total - start).unwrap_or(usize::MAX).min(block);
        let out = &mut current[..elements * 4];
        if threads == 1 {
            for scratch in &mut scratch {
                job.fill(start, out, scratch)?;
            }
            write(out).map_err(MeanError::Write)?;
        } else {
            // The block before is hashed and written while this one is computed.
            thread::scope(|scope| {
                let share = elements.div_ceil(threads);
                let workers: Vec<_> = out
                    .chunks_mut(share * 4)
                    .zip(&mut scratch)
                    .enumerate()
                    .map(|(i, (part, scratch))| {
                        let job = &job;
                        scope.spawn(move || job.fill(start + (i * share) as u64, part, scratch))
                    })
                    .collect();
                let written = write(&previous[..pending]).map_err(MeanError::Write);
                for worker in workers {
                    worker
                        .join()
                        .unwrap_or_else(|_| Err(MeanError::Write(io::Error::other("a worker panicked"))))?;
                }
                written
            })?;
            pending = elements * 4;
            std::mem::swap(&mut current, &mut previous);
        }
        start += elements as u64;
    }
    write(&previous[..pending]).map_err(MeanError::Write)
}

impl Job<'_> {
    /// Computes the elements from number `start` on that fill `out`.
    fn fill(&self, start: u64, out: &mut [u8], scratch: &mut Scratch) -> Result<(), MeanError> {
        let end = start + (out.len() / 4) as u64;
        let first = self.segments.partition_point(|s| s.output.end <= start);
        for segment in self.segments.iter().skip(first).take_while(|s| s.output.start < end) {
            let Range {
                start: mut from,
                end: to,
            } = start.max(segment.output.start)..end.min(segment.output.end);
            while from < to {
                let elements = usize::try_from(to - from).unwrap_or(usize::MAX).min(scratch.sums.len());
                let offset = (from - start) as usize * 4;
                self.tile(
                    segment,
                    from - segment.output.start,
                    scratch,
                    &mut out[offset..offset + elements * 4],
                )?;
                from += elements as u64;
            }
        }
        Ok(())
    }

    fn tile(&self, segment: &Segment, skip: u64, scratch: &mut Scratch, out: &mut [u8]) -> Result<(), MeanError> {
        let bytes = &mut scratch.bytes[..out.len()];
        let sums = &mut scratch.sums[..out.len() / 4];
        for (index, (term, offset)) in self.terms.iter().zip(&segment.inputs).enumerate() {
            term.reader
                .read_exact_at(bytes, offset + skip * 4)
                .map_err(|error| MeanError::Read { term: index, error })?;
            accumulate(sums, bytes, term.weight as f64, index == 0);
        }
        for (out, sum) in out.as_chunks_mut::<4>().0.iter_mut().zip(&*sums) {
            *out = ((sum / self.divisor) as f32).to_le_bytes();
        }
        Ok(())
    }
}

fn accumulate(sums: &mut [f64], bytes: &[u8], weight: f64, first: bool) {
    let values = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f64::from(f32::from_le_bytes(*b)));
    if first {
        for (sum, x) in sums.iter_mut().zip(values) {
            *sum = weight * x;
        }
    } else {
        for (sum, x) in sums.iter_mut().zip(values) {
            *sum += weight * x;
        }
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
    use super::*;

    #[test]
    fn weights_are_clamped_to_twice_the_lower_median() {
        assert_eq!(clamped_weights(&[10, 1_000_000, 12, 8]), [10, 20, 12, 8]);
        assert_eq!(clamped_weights(&[5, 100]), [5, 10]);
        assert_eq!(clamped_weights(&[100, 5]), [10, 5]);
        assert_eq!(clamped_weights(&[0, 0, 7]), [1, 1, 1]);
        assert_eq!(clamped_weights(&[u32::MAX]), [u64::from(u32::MAX)]);
        assert!(clamped_weights(&[]).is_empty());
    }

    #[test]
    fn a_mean_that_binary32_sums_would_get_wrong_is_right() {
        let values: Vec<Vec<u8>> = [1.0e8f32, 1.0, -1.0e8, 1.0]
            .iter()
            .map(|x| x.to_le_bytes().to_vec())
            .collect();
        let terms: Vec<_> = values.iter().map(|v| Term { reader: v, weight: 1 }).collect();
        let segments = [Segment {
            output: 0..1,
            inputs: vec![0; 4],
        }];
        let mut out = Vec::new();
        let done = mean(&terms, &segments, &Options::default(), |b| {
            out.extend_from_slice(b);
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(out, 0.5f32.to_le_bytes());
    }

    #[test]
    fn the_greatest_finite_values_do_not_overflow() {
        let value = f32::MAX.to_le_bytes().to_vec();
        let terms: Vec<_> = (0..50)
            .map(|_| Term {
                reader: &value,
                weight: 1 << 32,
            })
            .collect();
        let segments = [Segment {
            output: 0..1,
            inputs: vec![0; 50],
        }];
        let mut out = Vec::new();
        let done = mean(&terms, &segments, &Options::default(), |b| {
            out.extend_from_slice(b);
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(out, value);
    }
}
