//! Which bytes of which file belong to which elements of the result.

use std::{
    io::{self, Read},
    ops::Range,
};

use protocol::{
    architecture::Dtype,
    model::{Layout, ModelError, ModelHeader},
};

use crate::source::ReadAt;

/// A run of elements of one type that is contiguous in the result and in every input.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) dtype: Dtype,
    /// Bytes of the result's data section.
    pub(crate) output: Range<u64>,
    /// Per input the file offset of its first byte.
    pub(crate) inputs: Vec<u64>,
}

impl Segment {
    pub(crate) fn size(&self) -> u64 {
        self.output.end - self.output.start
    }

    fn continues(&self, next: &Self) -> bool {
        let offsets = self.inputs.iter().zip(&next.inputs);
        self.dtype == next.dtype
            && self.output.end == next.output.start
            && offsets.into_iter().all(|(here, there)| here + self.size() == *there)
    }
}

/// One segment per tensor of `layout`, in order. The headers must have the layout's tensors.
pub(crate) fn tensors(layout: &Layout, headers: &[&ModelHeader]) -> Result<Vec<Segment>, ModelError> {
    let segment = |tensor: &protocol::model::TensorEntry| {
        let inputs = headers
            .iter()
            .map(|header| {
                let entry = header.tensor(&tensor.spec.name);
                let entry = entry.ok_or_else(|| ModelError::Missing(tensor.spec.name.clone()))?;
                Ok(header.header_len() + entry.start)
            })
            .collect::<Result<Vec<u64>, ModelError>>()?;
        Ok(Segment {
            dtype: tensor.spec.dtype,
            output: tensor.start..tensor.end,
            inputs,
        })
    };
    layout.tensors().iter().map(segment).collect()
}

/// Tensors that follow each other in every file are one segment, so that many small tensors cost no more reads than one
/// large one.
pub(crate) fn joined(tensors: Vec<Segment>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for tensor in tensors {
        match segments.last_mut() {
            Some(last) if last.continues(&tensor) => last.output.end = tensor.output.end,
            _ => segments.push(tensor),
        }
    }
    segments
}

/// Reads the header of a model file at positions.
pub fn read_header(reader: &dyn ReadAt) -> Result<ModelHeader, ModelError> {
    ModelHeader::read(&mut Cursor { reader, position: 0 }, reader.size()?)
}

struct Cursor<'a> {
    reader: &'a dyn ReadAt,
    position: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.reader.size()?.saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.reader.read_exact_at(&mut buffer[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}
