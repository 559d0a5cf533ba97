use std::io::Write;

use sha2::{Digest, Sha256};

use super::{Layout, ModelError};
use crate::{
    architecture::Dtype,
    half,
    types::{B256, ModelHash},
};

/// Writes a canonical model file front to back and hashes it on the way. Give the tensors' bytes in
/// [`Layout::tensors`] order, in blocks of any size.
#[derive(Debug)]
pub struct ModelWriter<W> {
    out: W,
    hasher: Sha256,
    written: u64,
    promised: u64,
}

impl<W: Write> ModelWriter<W> {
    /// Writes the header. `out` should be buffered if blocks are small.
    pub fn new(layout: &Layout, mut out: W) -> Result<Self, ModelError> {
        out.write_all(layout.header())?;
        let mut hasher = Sha256::new();
        hasher.update(layout.header());
        Ok(Self {
            out,
            hasher,
            written: 0,
            promised: layout.data_len(),
        })
    }

    /// The next bytes of tensor data (little-endian elements).
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.promised {
            return Err(ModelError::Incomplete {
                written,
                promised: self.promised,
            });
        }
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.written = written;
        Ok(())
    }

    /// The next elements of tensor data.
    pub fn write_f32(&mut self, values: &[f32]) -> Result<(), ModelError> {
        let mut bytes = [0u8; 4096];
        for chunk in values.chunks(bytes.len() / 4) {
            for (slot, value) in bytes.chunks_exact_mut(4).zip(chunk) {
                slot.copy_from_slice(&value.to_le_bytes());
            }
            self.write_bytes(&bytes[..chunk.len() * 4])?;
        }
        Ok(())
    }

    /// The next elements of tensor data, rounded where the file has fewer bits.
    pub fn write_as(&mut self, dtype: Dtype, values: &[f32]) -> Result<(), ModelError> {
        let round = match dtype {
            Dtype::F32 => return self.write_f32(values),
            Dtype::Bf16 => half::bf16,
            Dtype::F16 => half::f16,
        };
        let mut bytes = [0u8; 4096];
        for chunk in values.chunks(bytes.len() / 2) {
            for (slot, value) in bytes.chunks_exact_mut(2).zip(chunk) {
                slot.copy_from_slice(&round(*value));
            }
            self.write_bytes(&bytes[..chunk.len() * 2])?;
        }
        Ok(())
    }

    /// Flushes and names the file; fails if data is missing.
    pub fn finish(mut self) -> Result<ModelHash, ModelError> {
        if self.written != self.promised {
            return Err(ModelError::Incomplete {
                written: self.written,
                promised: self.promised,
            });
        }
        self.out.flush()?;
        Ok(ModelHash(B256::from(<[u8; 32]>::from(self.hasher.finalize()))))
    }
}
