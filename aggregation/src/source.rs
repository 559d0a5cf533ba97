//! Where model bytes come from: anything that can be read at a position. Whole models are never held in memory.

use std::{fmt, fs::File, io, os::unix::fs::FileExt, path::Path};

use protocol::types::ModelHash;

/// Positioned reads, usable from several threads at once.
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`; an end of file before that is an error.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A model by the hash that names it and the bytes somebody says are it.
pub struct ModelSource {
    /// The SHA-256 the bytes must have.
    pub hash: ModelHash,
    reader: Box<dyn ReadAt>,
}

impl ModelSource {
    pub fn new(hash: ModelHash, reader: impl ReadAt + 'static) -> Self {
        Self {
            hash,
            reader: Box::new(reader),
        }
    }

    /// Opens a file; it stays open, so a file replaced under the same name changes nothing.
    pub fn open(hash: ModelHash, path: &Path) -> io::Result<Self> {
        Ok(Self::new(hash, File::open(path)?))
    }

    pub fn reader(&self) -> &dyn ReadAt {
        &*self.reader
    }
}

impl fmt::Debug for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSource")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
