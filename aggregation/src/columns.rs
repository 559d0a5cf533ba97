//! One block of every input, side by side.

use std::io;

use crate::{
    element::{Element, STRIP},
    source::ReadAt,
};

/// Which input could not be read, or the output could not be written.
#[derive(Debug)]
pub(crate) enum Failed {
    Read {
        input: usize,
        error: io::Error,
    },
    Write(io::Error),
    /// A worker panicked.
    Lost,
}

/// The blocks of one thread. Each has room for whole strips, so that kernels know strips only; what stands behind the
/// last element read is of no interest.
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    stride: usize,
}

impl Blocks {
    pub(crate) fn new(inputs: usize, tile: usize) -> Self {
        // Room for a strip of the largest element; and one more, so that strips of the same number do not all fall into
        // the same few lines of the first-level cache, as they do at distances that are powers of two.
        let stride = tile.next_multiple_of(4 * STRIP) + 4 * STRIP;
        Self {
            bytes: vec![0; inputs * stride],
            stride,
        }
    }

    /// Reads `length` bytes of every input.
    pub(crate) fn read(
        &mut self,
        readers: &[&dyn ReadAt],
        offsets: impl Iterator<Item = u64>,
        length: usize,
    ) -> Result<(), Failed> {
        let blocks = self.bytes.chunks_exact_mut(self.stride);
        for (input, ((reader, offset), block)) in readers.iter().zip(offsets).zip(blocks).enumerate() {
            reader
                .read_exact_at(&mut block[..length], offset)
                .map_err(|error| Failed::Read { input, error })?;
        }
        Ok(())
    }

    /// Sets what stands behind `length` bytes to zero, up to the next whole strip.
    pub(crate) fn pad(&mut self, length: usize) {
        let end = length.next_multiple_of(4 * STRIP).min(self.stride);
        for block in self.bytes.chunks_exact_mut(self.stride) {
            block[length..end].fill(0);
        }
    }

    pub(crate) fn columns<E: Element>(&self) -> Vec<&[[E::Raw; STRIP]]> {
        self.bytes
            .chunks_exact(self.stride)
            .map(|block| E::raw(block).as_chunks::<STRIP>().0)
            .collect()
    }
}
