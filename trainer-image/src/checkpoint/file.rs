//! The file of a checkpoint: `FLACKPT1`, the header's length (u64, little-endian), the header (JSON), the bytes of all
//! tensors, and the SHA-256 of everything before it.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use protocol::types::{B256, ModelHash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Tensor;

use super::{Key, Machine};
use crate::{failure::Failure, tensors, training::Position};

const MAGIC: &[u8; 8] = b"FLACKPT1";
const MAX_HEADER_BYTES: u64 = 1 << 20;
const BUFFER: usize = 1 << 20;

/// What is known of the tensors that follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) key: Key,
    pub(crate) machine: Machine,
    pub(crate) position: Position,
    pub(crate) optimizer_steps: i32,
    /// Bytes of the parameters, of the optimizer's state, and of the last parameters that were known to be good.
    pub(crate) parts: [u64; 3],
}

/// Where the bytes of a part are.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    Tensors(Vec<&'a Tensor>),
    File { path: &'a Path, bytes: u64 },
}

impl Part<'_> {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Tensors(all) => tensors::size(all.iter().copied()),
            Self::File { bytes, .. } => *bytes,
        }
    }
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is not a checkpoint of this trainer")]
    Format,
    #[error("it is damaged: its bytes do not hash to what it says")]
    Damaged,
    #[error("it is of another {0}")]
    Foreign(&'static str),
    #[error("its tensors are not those of this training")]
    Tensors,
}

/// A written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Of the whole file.
    pub(crate) hash: ModelHash,
    pub(crate) bytes: u64,
}

struct Hashing<W> {
    out: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// Writes a file whose bytes are on the disk when this returns; it has no name that anybody looks for yet.
pub(crate) fn write(path: &Path, header: &Header, parts: &[Part<'_>]) -> Result<Written, Failure> {
    let io = |error| Failure::Io {
        path: path.to_owned(),
        error,
    };
    let mut out = Hashing {
        out: BufWriter::with_capacity(BUFFER, File::create(path).map_err(io)?),
        digest: Sha256::new(),
        bytes: 0,
    };
    let text = serde_json::to_vec(header).map_err(io::Error::from).map_err(io)?;
    out.write(MAGIC).map_err(io)?;
    out.write(&(text.len() as u64).to_le_bytes()).map_err(io)?;
    out.write(&text).map_err(io)?;
    let mut buffer = Vec::new();
    for part in parts {
        match part {
            Part::Tensors(all) => {
                for tensor in all {
                    tensors::read(tensor, tensor.kind(), &mut buffer, |piece| out.write(piece).map_err(io))?;
                }
            }
            Part::File { path: source, .. } => {
                let mut source = File::open(source).map_err(io)?;
                buffer.resize(BUFFER, 0);
                loop {
                    let n = source.read(&mut buffer).map_err(io)?;
                    if n == 0 {
                        break;
                    }
                    out.write(&buffer[..n]).map_err(io)?;
                }
            }
        }
    }
    let inner: [u8; 32] = out.digest.clone().finalize().into();
    out.write(&inner).map_err(io)?;
    let file = out.out.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    Ok(Written {
        hash: ModelHash(B256::from(<[u8; 32]>::from(out.digest.finalize()))),
        bytes: out.bytes,
    })
}

/// A file whose bytes were found right, before the first tensor.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) header: Header,
    file: BufReader<File>,
}

impl Opened {
    /// Reads all of the file once to see whether it is whole.
    pub(crate) fn open(path: &Path) -> Result<Self, Unusable> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let hashed = length.checked_sub(32).ok_or(Unusable::Format)?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let mut start = [0u8; 16];
        file.read_exact(&mut start)?;
        let (magic, size) = start.split_at(8);
        let size = u64::from_le_bytes(size.try_into().unwrap_or_default());
        if magic != MAGIC || size > MAX_HEADER_BYTES || size > hashed.saturating_sub(16) {
            return Err(Unusable::Format);
        }
        let mut text = vec![0u8; size as usize];
        file.read_exact(&mut text)?;
        let mut digest = Sha256::new();
        digest.update(start);
        digest.update(&text);
        let mut left = hashed - 16 - size;
        let mut buffer = vec![0u8; BUFFER];
        while left > 0 {
            let most = left.min(BUFFER as u64) as usize;
            file.read_exact(&mut buffer[..most])?;
            digest.update(&buffer[..most]);
            left -= most as u64;
        }
        let mut said = [0u8; 32];
        file.read_exact(&mut said)?;
        if said != <[u8; 32]>::from(digest.finalize()) {
            return Err(Unusable::Damaged);
        }
        let header: Header = serde_json::from_slice(&text).map_err(|_| Unusable::Format)?;
        if header.parts.iter().sum::<u64>() != hashed - 16 - size {
            return Err(Unusable::Format);
        }
        let mut file = file.into_inner();
        io::Seek::seek(&mut file, io::SeekFrom::Start(16 + size))?;
        Ok(Self {
            header,
            file: BufReader::with_capacity(BUFFER, file),
        })
    }

    /// The next bytes into these tensors.
    pub(crate) fn fill<'t>(&mut self, all: impl IntoIterator<Item = &'t Tensor>) -> Result<(), Failure> {
        let mut buffer = Vec::new();
        for tensor in all {
            tensors::fill(tensor, tensor.kind(), &mut buffer, |piece| {
                self.file.read_exact(piece).map_err(failed)
            })?;
        }
        Ok(())
    }

    /// The next bytes into a file.
    pub(crate) fn copy(&mut self, bytes: u64, path: &Path) -> Result<(), Failure> {
        let io = |error| Failure::Io {
            path: path.to_owned(),
            error,
        };
        let mut out = File::create(path).map_err(io)?;
        io::copy(&mut (&mut self.file).take(bytes), &mut out).map_err(io)?;
        Ok(())
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::Io {
        path: "checkpoint".into(),
        error,
    }
}
