use std::{num::NonZeroUsize, thread};

use crate::simd::Vectors;

/// How much memory and how many threads aggregation may use; none of it changes the result.
///
/// Memory is about `threads * (3 * output_block + (inputs + 1) * input_block)` bytes, whatever the size of the models.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub threads: NonZeroUsize,
    /// Bytes of result computed between two writes.
    pub output_block: usize,
    /// Most bytes read at once from one contribution by one thread; with many contributions less is read, so that a
    /// block of each fits into the processor's cache together.
    pub input_block: usize,
    pub vectors: Vectors,
}

/// A thread's blocks of all contributions together: a server's second-level cache. With half of it 32 contributions are
/// read 16 KiB at a time, and the mean loses a tenth to a seventh of its rate.
const CACHE: usize = 1 << 20;

impl Options {
    /// Bytes read at once from each of so many inputs.
    pub(crate) fn tile(&self, inputs: usize) -> usize {
        let share = (CACHE / inputs.max(1)).max(4 << 10);
        (self.input_block.min(share) & !3).max(4)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            output_block: 512 << 10,
            input_block: 64 << 10,
            vectors: Vectors::widest(),
        }
    }
}
