//! Model files: safetensors, named by the SHA-256 of their bytes.
//!
//! Written in one canonical form, so that equal tensors are equal bytes. Read in any form that the safetensors format
//! allows and that has one meaning only: every voter must come to the same verdict about the same bytes.
//!
//! Canonical form: u64 little-endian header length; compact JSON with `__metadata__` first if there is any (keys
//! sorted), then the tensors in ascending byte order of their names, each `{"dtype":..,"shape":[..],"data_offsets":[a,b]}`;
//! spaces until 8 + header length is a multiple of 8; the data, contiguous, in the same order.

mod layout;
mod metadata;
mod opaque;
mod reader;
mod writer;

pub use layout::{Layout, TensorEntry};
pub use metadata::Metadata;
pub use opaque::{OpaqueHeader, write_genesis as write_opaque_genesis};
pub use reader::ModelHeader;
pub use writer::ModelWriter;

/// Largest header read, in bytes.
pub const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Why bytes are not a model of the expected kind, or a model could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("the file ends within its header")]
    Truncated,
    #[error("the header has {0} bytes; at most {MAX_HEADER_BYTES} are read")]
    HeaderTooLarge(u64),
    #[error("the header is not valid: {0}")]
    Header(String),
    #[error("the file has {actual} bytes, but its header describes {expected}")]
    Length { expected: u64, actual: u64 },
    #[error("tensor {name:?} has element type {dtype}, which is not what it should be")]
    Dtype { name: String, dtype: String },
    #[error("tensor {0:?} is missing")]
    Missing(String),
    #[error("tensor {0:?} is not part of the architecture")]
    Unexpected(String),
    #[error("tensor {name:?} has shape {actual:?}, expected {expected:?}")]
    Shape {
        name: String,
        expected: Vec<usize>,
        actual: Vec<usize>,
    },
    #[error("the metadata is {actual}, expected {expected}")]
    Metadata { expected: String, actual: String },
    #[error("the model is too large to be addressed")]
    Overflow,
    #[error("{written} bytes of tensor data were written, the header promises {promised}")]
    Incomplete { written: u64, promised: u64 },
    #[error("the genesis model of a TorchScript module is in its file; it cannot be derived from the definition")]
    NotDerived,
    #[error("the header is not the one that these parameters and this participant's metadata have")]
    Opaque,
    #[error("reading or writing failed: {0}")]
    Io(#[from] std::io::Error),
}

impl ModelError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::HeaderTooLarge(_) => "header-too-large",
            Self::Header(_) => "header",
            Self::Length { .. } => "length",
            Self::Dtype { .. } => "dtype",
            Self::Missing(_) => "missing-tensor",
            Self::Unexpected(_) => "unexpected-tensor",
            Self::Shape { .. } => "shape",
            Self::Metadata { .. } => "metadata",
            Self::Overflow => "overflow",
            Self::Incomplete { .. } => "incomplete",
            Self::NotDerived => "not-derived",
            Self::Opaque => "header",
            Self::Io(_) => "io",
        }
    }
}

#[cfg(test)]
mod tests;
