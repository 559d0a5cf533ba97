//! Which bytes of which file belong to which elements of the result.

use std::{
    io::{self, Read},
    ops::Range,
};

use protocol::model::{Layout, ModelError, ModelHeader};

use crate::source::ReadAt;

/// A run of elements that is contiguous in the result and in every input.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Elements of the result's data section.
    pub(crate) output: Range<u64>,
    /// Per input the file offset of its first byte.
    pub(crate) inputs: Vec<u64>,
}

/// The segments of `layout` in order. Tensors that follow each other in every file are one segment, so that many small
/// tensors cost no more reads than one large one. The headers must have the layout's tensors.
pub(crate) fn segments(layout: &Layout, headers: &[&ModelHeader]) -> Result<Vec<Segment>, ModelError> {
    let mut segments: Vec<Segment> = Vec::new();
    for tensor in layout.tensors() {
        let inputs = headers
            .iter()
            .map(|header| {
                let entry = header.tensor(&tensor.spec.name);
                let entry = entry.ok_or_else(|| ModelError::Missing(tensor.spec.name.clone()))?;
                Ok(header.header_len() + entry.start)
            })
            .collect::<Result<Vec<u64>, ModelError>>()?;
        let output = tensor.start / 4..tensor.end / 4;
        match segments.last_mut() {
            Some(last)
                if last.output.end == output.start
                    && last
                        .inputs
                        .iter()
                        .zip(&inputs)
                        .all(|(before, here)| before + (last.output.end - last.output.start) * 4 == *here) =>
            {
                last.output.end = output.end;
            }
            _ => segments.push(Segment { output, inputs }),
        }
    }
    Ok(segments)
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
