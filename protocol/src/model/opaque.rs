//! Models that are bytes to us: what a container of FLock's SDK calls its parameters.
//!
//! They travel as safetensors all the same: one tensor `parameters` of type U8, and the metadata of a contribution, so
//! that a copied file is nobody else's contribution and every rule about files, hashes and sizes holds. The header has
//! one form and one length, [`OpaqueHeader::BYTES`] with its padding: the parameters can be written behind it before
//! their number is known.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use super::{Metadata, ModelError};
use crate::types::{B256, ModelHash};

/// The header of a file that carries opaque parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueHeader {
    bytes: [u8; Self::BYTES],
}

impl OpaqueHeader {
    /// Of the header in the file: its length, JSON and padding. The parameters begin here.
    pub const BYTES: usize = 512;

    /// Fails only if the metadata is longer than that of a contribution can be.
    pub fn new(parameters: u64, metadata: &Metadata) -> Result<Self, ModelError> {
        let mut json = String::from("{");
        if !metadata.is_empty() {
            json.push_str("\"__metadata__\":");
            json.push_str(&metadata.to_json());
            json.push(',');
        }
        json.push_str(&format!(
            r#""parameters":{{"dtype":"U8","shape":[{parameters}],"data_offsets":[0,{parameters}]}}}}"#
        ));
        let mut bytes = [b' '; Self::BYTES];
        bytes[..8].copy_from_slice(&(Self::BYTES as u64 - 8).to_le_bytes());
        bytes
            .get_mut(8..8 + json.len())
            .ok_or(ModelError::Overflow)?
            .copy_from_slice(json.as_bytes());
        Ok(Self { bytes })
    }

    /// Reads the header of a file of `file_len` bytes; it must be the one that these parameters and this metadata have.
    /// Returns how many bytes of parameters follow.
    pub fn read(mut file: impl Read, file_len: u64, metadata: &Metadata) -> Result<u64, ModelError> {
        let parameters = file_len.checked_sub(Self::BYTES as u64).ok_or(ModelError::Truncated)?;
        let mut found = [0u8; Self::BYTES];
        file.read_exact(&mut found)?;
        if found == Self::new(parameters, metadata)?.bytes {
            Ok(parameters)
        } else {
            Err(ModelError::Opaque)
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The genesis model of every task of opaque models: no parameters at all. A container makes its own beginning of them.
pub fn write_genesis(mut out: impl Write) -> Result<ModelHash, ModelError> {
    let header = OpaqueHeader::new(0, &Metadata::none())?;
    out.write_all(header.as_bytes())?;
    Ok(ModelHash(B256::from(<[u8; 32]>::from(Sha256::digest(
        header.as_bytes(),
    )))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, Round};

    fn contribution() -> Metadata {
        Metadata::contribution(Address::repeat_byte(1), Round(7), Address::repeat_byte(2))
    }

    fn file(parameters: &[u8], metadata: &Metadata) -> Vec<u8> {
        let header = OpaqueHeader::new(parameters.len() as u64, metadata).unwrap();
        [header.as_bytes(), parameters].concat()
    }

    #[test]
    fn the_file_is_safetensors_to_others() {
        let file = file(b"pickled", &contribution());
        let read = safetensors::SafeTensors::deserialize(&file).unwrap();
        let tensor = read.tensor("parameters").unwrap();
        assert_eq!((tensor.data(), tensor.shape()), (&b"pickled"[..], &[7][..]));
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        assert_eq!((metadata.len(), metadata["round"].as_str()), (3, "7"));
    }

    #[test]
    fn only_the_header_that_belongs_to_the_parameters_is_read() {
        let good = file(b"pickled", &contribution());
        let read = |bytes: &[u8], metadata| OpaqueHeader::read(bytes, bytes.len() as u64, &metadata);
        assert_eq!(read(&good, contribution()).unwrap(), 7);
        let another = Metadata::contribution(Address::repeat_byte(1), Round(7), Address::repeat_byte(3));
        assert!(matches!(read(&good, another), Err(ModelError::Opaque)));
        assert!(matches!(read(&good, Metadata::none()), Err(ModelError::Opaque)));
        let longer = [&good[..], b"x"].concat();
        assert!(matches!(read(&longer, contribution()), Err(ModelError::Opaque)));
        assert!(matches!(read(&good[..511], contribution()), Err(ModelError::Truncated)));
    }

    #[test]
    fn the_longest_header_there_can_be_fits() {
        OpaqueHeader::new(u64::MAX, &Metadata::widest()).unwrap();
    }

    #[test]
    fn the_genesis_model_never_changes() {
        let mut bytes = Vec::new();
        let name = write_genesis(&mut bytes).unwrap();
        assert_eq!(name.to_string(), hex::encode(Sha256::digest(&bytes)));
        assert_eq!(name.to_string(), GOLDEN);
    }
    /// Also what Python's struct and hashlib give for the header spelled out.
    const GOLDEN: &str = "b1f784e300fa9cd568ad6a21efb952ace3d73c18d314cf873423df404be4ba0c";
}
