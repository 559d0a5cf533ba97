use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    io::Read,
};

use safetensors::tensor as upstream;
use serde::{
    Deserialize,
    de::{self, MapAccess, Visitor},
};

use super::{MAX_HEADER_BYTES, Metadata, ModelError, TensorEntry};
use crate::architecture::{Dtype, TensorSpec};

/// What a model file's header says, checked against itself and the file's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelHeader {
    header_len: u64,
    tensors: Vec<TensorEntry>,
    metadata: Metadata,
}

impl ModelHeader {
    /// Reads the header from the start of a file of `file_len` bytes. The reader then stands at the first tensor.
    pub fn read(reader: &mut impl Read, file_len: u64) -> Result<Self, ModelError> {
        let mut length = [0u8; 8];
        read_exact(reader, &mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES {
            return Err(ModelError::HeaderTooLarge(length));
        }
        if length.saturating_add(8) > file_len {
            return Err(ModelError::Truncated);
        }
        let mut json = vec![0u8; length as usize];
        read_exact(reader, &mut json)?;
        Self::parse(&json, file_len)
    }

    /// `json` is the header without its length.
    fn parse(json: &[u8], file_len: u64) -> Result<Self, ModelError> {
        if json.first() != Some(&b'{') {
            return Err(ModelError::Header("it does not start with '{'".into()));
        }
        let invalid = |e: serde_json::Error| ModelError::Header(e.to_string());
        // A key that stands there twice means different things to different readers.
        serde_json::from_slice::<UniqueKeys>(json).map_err(invalid)?;
        // Checks that tensors are contiguous, do not overlap and are as large as their shapes say.
        let header: upstream::Metadata = serde_json::from_slice(json).map_err(invalid)?;
        let mut tensors = Vec::new();
        for name in header.offset_keys() {
            let Some(info) = header.info(&name) else { continue };
            let dtype = match info.dtype {
                upstream::Dtype::F32 => Dtype::F32,
                upstream::Dtype::BF16 => Dtype::Bf16,
                upstream::Dtype::F16 => Dtype::F16,
                other => {
                    return Err(ModelError::Dtype {
                        name,
                        dtype: format!("{other:?}"),
                    });
                }
            };
            let (start, end) = info.data_offsets;
            tensors.push(TensorEntry {
                spec: TensorSpec {
                    name,
                    shape: info.shape.clone(),
                    dtype,
                },
                start: start as u64,
                end: end as u64,
            });
        }
        let metadata: BTreeMap<String, String> = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let header_len = 8 + json.len() as u64;
        let expected = header_len
            .checked_add(header.data_len() as u64)
            .ok_or(ModelError::Overflow)?;
        if expected != file_len {
            return Err(ModelError::Length {
                expected,
                actual: file_len,
            });
        }
        Ok(Self {
            header_len,
            tensors,
            metadata: Metadata::from_map(metadata),
        })
    }

    /// Bytes before the first tensor.
    pub fn header_len(&self) -> u64 {
        self.header_len
    }

    /// The tensors in the order of their bytes in the file.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.iter().find(|t| t.spec.name == name)
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The file must have exactly these tensors and this metadata; the error names the first difference.
    pub fn require(&self, specs: &[TensorSpec], metadata: &Metadata) -> Result<(), ModelError> {
        for spec in specs {
            let found = self
                .tensor(&spec.name)
                .ok_or_else(|| ModelError::Missing(spec.name.clone()))?;
            if found.spec.shape != spec.shape {
                return Err(ModelError::Shape {
                    name: spec.name.clone(),
                    expected: spec.shape.clone(),
                    actual: found.spec.shape.clone(),
                });
            }
            if found.spec.dtype != spec.dtype {
                return Err(ModelError::Dtype {
                    name: spec.name.clone(),
                    dtype: found.spec.dtype.as_str().to_owned(),
                });
            }
        }
        let expected: HashSet<&str> = specs.iter().map(|s| s.name.as_str()).collect();
        if let Some(extra) = self.tensors.iter().find(|t| !expected.contains(t.spec.name.as_str())) {
            return Err(ModelError::Unexpected(extra.spec.name.clone()));
        }
        if &self.metadata != metadata {
            return Err(ModelError::Metadata {
                expected: metadata.to_json(),
                actual: self.metadata.to_json(),
            });
        }
        Ok(())
    }
}

fn read_exact(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), ModelError> {
    reader.read_exact(buffer).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => ModelError::Truncated,
        _ => ModelError::Io(e),
    })
}

/// Any JSON value, on the condition that no object in it has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<UniqueKeys>()?;
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format_args!("key {key:?} stands there twice")));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<UniqueKeys>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}
