//! Copying a model into a file while hashing it.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use protocol::types::{B256, ModelHash};
use sha2::{Digest, Sha256};

use super::GatewayError;

/// Copies at most `limit` bytes into `path` and keeps the file only if it hashes to `hash`.
pub(super) fn receive(
    mut reader: impl Read,
    hash: ModelHash,
    path: &Path,
    limit: u64,
    read_error: impl Fn(std::io::Error) -> GatewayError,
) -> Result<(), GatewayError> {
    let received = copy(&mut reader, hash, path, limit, read_error);
    if received.is_err() {
        // Nothing half-written stays, and the error that matters is the first.
        let _ = fs::remove_file(path);
    }
    received
}

fn copy(
    reader: &mut impl Read,
    expected: ModelHash,
    path: &Path,
    limit: u64,
    read_error: impl Fn(std::io::Error) -> GatewayError,
) -> Result<(), GatewayError> {
    let io = |error| GatewayError::Io {
        path: path.to_owned(),
        error,
    };
    let mut file = File::create(path).map_err(io)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0u8; 256 << 10];
    let mut total = 0u64;
    loop {
        let n = reader.read(&mut buffer).map_err(&read_error)?;
        if n == 0 {
            break;
        }
        total += n as u64;
        if total > limit {
            return Err(GatewayError::TooLarge { hash: expected, limit });
        }
        digest.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(io)?;
    }
    let actual = ModelHash(B256::from(<[u8; 32]>::from(digest.finalize())));
    if actual == expected {
        Ok(())
    } else {
        Err(GatewayError::WrongBytes { expected, actual })
    }
}
