use std::fmt::Write as _;

use super::{Metadata, ModelError};
use crate::{architecture::TensorSpec, canonical::write_string};

/// One tensor and where its bytes lie within the data section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    pub spec: TensorSpec,
    /// First byte, counted from the end of the header.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl TensorEntry {
    /// Bytes.
    pub fn size(&self) -> u64 {
        self.end - self.start
    }
}

/// The canonical form of a file with these tensors, known before any data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    header: Vec<u8>,
    tensors: Vec<TensorEntry>,
}

impl Layout {
    /// Fails only if sizes overflow; `specs` may be in any order.
    pub fn new(specs: &[TensorSpec], metadata: &Metadata) -> Result<Self, ModelError> {
        let mut sorted: Vec<&TensorSpec> = specs.iter().collect();
        sorted.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let mut tensors = Vec::with_capacity(sorted.len());
        let mut start = 0u64;
        for spec in sorted {
            let size = spec
                .elements()
                .and_then(|n| n.checked_mul(spec.dtype.size()))
                .and_then(|n| u64::try_from(n).ok())
                .ok_or(ModelError::Overflow)?;
            let end = start
                .checked_add(size)
                .filter(|&n| n < 1 << 62)
                .ok_or(ModelError::Overflow)?;
            tensors.push(TensorEntry {
                spec: spec.clone(),
                start,
                end,
            });
            start = end;
        }
        let header = write_header(&tensors, metadata);
        Ok(Self { header, tensors })
    }

    /// The first bytes of the file: length, JSON and padding.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The tensors in file order.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    /// Bytes after the header.
    pub fn data_len(&self) -> u64 {
        self.tensors.last().map_or(0, |t| t.end)
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.header.len() as u64 + self.data_len()
    }
}

fn write_header(tensors: &[TensorEntry], metadata: &Metadata) -> Vec<u8> {
    let mut json = String::from("{");
    if !metadata.is_empty() {
        json.push_str("\"__metadata__\":");
        json.push_str(&metadata.to_json());
    }
    for tensor in tensors {
        if json.len() > 1 {
            json.push(',');
        }
        write_string(&tensor.spec.name, &mut json);
        let shape: Vec<String> = tensor.spec.shape.iter().map(usize::to_string).collect();
        // Writing into a String cannot fail.
        let _ = write!(
            json,
            r#":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}}"#,
            tensor.spec.dtype.as_str(),
            shape.join(","),
            tensor.start,
            tensor.end
        );
    }
    json.push('}');
    while !json.len().is_multiple_of(8) {
        json.push(' ');
    }
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend_from_slice(json.as_bytes());
    header
}
