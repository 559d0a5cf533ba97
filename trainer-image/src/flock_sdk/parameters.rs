//! Parameters in a file: a model of the chain's kind, whose content is the container's own business.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use protocol::{
    model::{Metadata, ModelError, OpaqueHeader},
    types::{B256, ModelHash},
};
use sha2::{Digest, Sha256};

const BLOCK: usize = 256 << 10;

/// A file's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    path: PathBuf,
    /// 0: none at all, which a container is told as null.
    len: u64,
}

impl Parameters {
    /// What the genesis model has.
    pub(super) fn none() -> Self {
        Self {
            path: PathBuf::new(),
            len: 0,
        }
    }

    /// Of a model that voters made: it carries no metadata.
    pub(super) fn of_aggregate(path: &Path) -> Result<Self, ModelError> {
        Self::read(path, &Metadata::none())
    }

    /// Of a model file, whose header must be the one that belongs to it.
    pub(super) fn read(path: &Path, metadata: &Metadata) -> Result<Self, ModelError> {
        let file = File::open(path)?;
        let len = OpaqueHeader::read(&file, file.metadata()?.len(), metadata)?;
        Ok(Self {
            path: path.to_owned(),
            len,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Opened at the first byte.
    pub(super) fn open(&self) -> std::io::Result<impl Read + use<>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(OpaqueHeader::BYTES as u64))?;
        Ok(file.take(self.len))
    }

    /// SHA-256 of the parameters alone: equal parameters are equal whoever handed them in.
    pub(super) fn digest(&self) -> std::io::Result<[u8; 32]> {
        if self.len == 0 {
            return Ok(Sha256::digest([]).into());
        }
        hash(Sha256::new(), &mut self.open()?)
    }
}

/// A model file in the making: the parameters first, the header when their number is known.
#[derive(Debug)]
pub(super) struct Unsealed {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Unsealed {
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.write_all(&[0; OpaqueHeader::BYTES])?;
        Ok(Self {
            path: path.to_owned(),
            file,
            len: 0,
        })
    }

    /// Writes the header; the name is the hash of the whole file.
    pub(super) fn seal(mut self, metadata: &Metadata) -> Result<(Parameters, ModelHash), ModelError> {
        let header = OpaqueHeader::new(self.len, metadata)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header.as_bytes())?;
        let digest = hash(Sha256::new_with_prefix(header.as_bytes()), &mut self.file)?;
        let parameters = Parameters {
            path: self.path,
            len: self.len,
        };
        Ok((parameters, ModelHash(B256::from(digest))))
    }
}

impl Write for Unsealed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn hash(mut digest: Sha256, reader: &mut impl Read) -> std::io::Result<[u8; 32]> {
    let mut block = vec![0u8; BLOCK];
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(digest.finalize().into()),
            n => digest.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use protocol::types::{Address, Round};

    use super::*;

    #[test]
    fn what_is_sealed_is_read_back_and_named_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let metadata = Metadata::contribution(Address::repeat_byte(1), Round(2), Address::repeat_byte(3));
        let mut model = Unsealed::create(&path).unwrap();
        model.write_all(b"some ").unwrap();
        model.write_all(b"parameters").unwrap();
        let (parameters, name) = model.seal(&metadata).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(
            name.0,
            B256::from(<[u8; 32]>::from(Sha256::digest(&bytes))),
            "the whole file"
        );
        assert_eq!(Parameters::read(&path, &metadata).unwrap(), parameters);
        assert!(Parameters::of_aggregate(&path).is_err());
        let mut back = String::new();
        parameters.open().unwrap().read_to_string(&mut back).unwrap();
        assert_eq!((back.as_str(), parameters.len()), ("some parameters", 15));
        assert_eq!(
            parameters.digest().unwrap(),
            <[u8; 32]>::from(Sha256::digest(b"some parameters"))
        );
    }
}
