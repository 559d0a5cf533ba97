//! Whether a contribution counts: one pass over its bytes, hashing and looking at every value.

use std::io;

use protocol::{
    architecture::{Dtype, TensorSpec},
    model::{Metadata, ModelError, ModelHeader, TensorEntry},
    types::{B256, ModelHash},
};
use sha2::{Digest, Sha256};

use crate::{
    AggregationError, Contribution, Rule,
    element::{Bf16, Element, F16, F32},
    options::Options,
    refusal::Refusal,
    source::{ModelSource, ReadAt},
    tensors::read_header,
};

/// The start model, opened and checked once for all contributions.
pub(crate) struct Start<'a> {
    reader: &'a dyn ReadAt,
    header: ModelHeader,
    specs: &'a [TensorSpec],
}

impl<'a> Start<'a> {
    pub(crate) fn open(rule: &'a Rule, source: &'a ModelSource) -> Result<Self, AggregationError> {
        let specs = &rule.tensors;
        let header = read_header(source.reader())
            .and_then(|header| header.require(specs, &Metadata::none()).map(|()| header))
            .map_err(|error| match error {
                ModelError::Io(error) => AggregationError::StartUnreadable(error),
                other => AggregationError::Start(other),
            })?;
        Ok(Self {
            reader: source.reader(),
            header,
            specs,
        })
    }

    pub(crate) fn reader(&self) -> &'a dyn ReadAt {
        self.reader
    }

    pub(crate) fn header(&self) -> &ModelHeader {
        &self.header
    }
}

/// The two blocks one thread reads into.
pub(crate) struct Scratch {
    file: Vec<u8>,
    start: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new(options: &Options) -> Self {
        let length = (options.input_block / 4).max(1) * 4;
        Self {
            file: vec![0; length],
            start: vec![0; length],
        }
    }
}

enum Flaw {
    Refused(Refusal),
    Failed(AggregationError),
}

/// Judges one contribution. Errors are of the machine, refusals of the contribution.
pub(crate) fn judge(
    rule: &Rule,
    start: &Start<'_>,
    contribution: &Contribution,
    scratch: &mut Scratch,
) -> Result<Result<ModelHeader, Refusal>, AggregationError> {
    match examine(rule, start, contribution, scratch) {
        Ok(header) => Ok(Ok(header)),
        Err(Flaw::Refused(refusal)) => Ok(Err(refusal)),
        Err(Flaw::Failed(error)) => Err(error),
    }
}

fn examine(
    rule: &Rule,
    start: &Start<'_>,
    contribution: &Contribution,
    scratch: &mut Scratch,
) -> Result<ModelHeader, Flaw> {
    let reader = contribution.source.reader();
    let unreadable = |error: io::Error| {
        Flaw::Failed(AggregationError::Unreadable {
            seat: contribution.seat,
            error,
        })
    };
    let size = reader.size().map_err(unreadable)?;
    if size > rule.max_model_bytes {
        return Err(Flaw::Refused(Refusal::TooLarge {
            actual: size,
            limit: rule.max_model_bytes,
        }));
    }
    let header = match read_header(reader) {
        Err(ModelError::Io(error)) => return Err(unreadable(error)),
        other => other,
    };
    let expected = Metadata::contribution(rule.task, rule.round, contribution.proposer);
    let header = header.and_then(|header| header.require(start.specs, &expected).map(|()| header));

    // The hash first: of bytes that are not what was contributed, nothing else should be said.
    let mut digest = Sha256::new();
    let data = header.as_ref().map_or(size, ModelHeader::header_len);
    hash_range(reader, 0..data, &mut scratch.file, &mut digest).map_err(unreadable)?;
    let mut pass = Pass {
        reader,
        start,
        seat: contribution.seat,
        scratch,
        digest,
        non_finite: None,
        differs: false,
    };
    if let Ok(header) = &header {
        for tensor in header.tensors() {
            pass.tensor(header.header_len(), tensor)?;
        }
    }
    let Pass {
        digest,
        non_finite,
        differs,
        ..
    } = pass;
    let actual = ModelHash(B256::from(<[u8; 32]>::from(digest.finalize())));
    if actual != contribution.source.hash {
        return Err(Flaw::Refused(Refusal::Hash { actual }));
    }
    let header = header.map_err(|error| {
        Flaw::Refused(match error {
            ModelError::Metadata { .. } => Refusal::Metadata(error),
            other => Refusal::Tensors(other),
        })
    })?;
    if let Some((tensor, index)) = non_finite {
        return Err(Flaw::Refused(Refusal::NotFinite { tensor, index }));
    }
    if !differs {
        return Err(Flaw::Refused(Refusal::EqualsStart));
    }
    Ok(header)
}

fn hash_range(
    reader: &dyn ReadAt,
    range: std::ops::Range<u64>,
    block: &mut [u8],
    digest: &mut Sha256,
) -> io::Result<()> {
    let mut position = range.start;
    while position < range.end {
        let length = usize::try_from(range.end - position)
            .unwrap_or(usize::MAX)
            .min(block.len());
        reader.read_exact_at(&mut block[..length], position)?;
        digest.update(&block[..length]);
        position += length as u64;
    }
    Ok(())
}

/// One contribution's bytes going by.
struct Pass<'a> {
    reader: &'a dyn ReadAt,
    start: &'a Start<'a>,
    seat: u32,
    scratch: &'a mut Scratch,
    digest: Sha256,
    /// Tensor and position of the first value, in file order, that is NaN or infinite.
    non_finite: Option<(String, u64)>,
    /// Whether any bit differs from the start model.
    differs: bool,
}

impl Pass<'_> {
    fn tensor(&mut self, header_len: u64, tensor: &TensorEntry) -> Result<(), Flaw> {
        let name = &tensor.spec.name;
        let same = self.start.header.tensor(name);
        let same = same.ok_or_else(|| Flaw::Failed(AggregationError::Start(ModelError::Missing(name.clone()))))?;
        let from = header_len + tensor.start;
        let start_from = self.start.header.header_len() + same.start;
        let mut done = 0u64;
        while done < tensor.size() {
            let length = usize::try_from(tensor.size() - done)
                .unwrap_or(usize::MAX)
                .min(self.scratch.file.len());
            let block = &mut self.scratch.file[..length];
            self.reader
                .read_exact_at(block, from + done)
                .map_err(|error| Flaw::Failed(AggregationError::Unreadable { seat: self.seat, error }))?;
            self.digest.update(&*block);
            if self.non_finite.is_none()
                && let Some(within) = first_not_finite(tensor.spec.dtype, block)
            {
                let before = done / tensor.spec.dtype.size() as u64;
                self.non_finite = Some((name.clone(), before + within as u64));
            }
            if !self.differs {
                let other = &mut self.scratch.start[..length];
                self.start
                    .reader
                    .read_exact_at(other, start_from + done)
                    .map_err(|error| Flaw::Failed(AggregationError::StartUnreadable(error)))?;
                self.differs = *block != *other;
            }
            done += length as u64;
        }
        Ok(())
    }
}

/// Position of the first value that is NaN or infinite.
fn first_not_finite(dtype: Dtype, block: &[u8]) -> Option<usize> {
    fn find<E: Element>(block: &[u8]) -> Option<usize> {
        let values = E::raw(block);
        // Without an early exit, so that it is one pass of vector instructions.
        let finite = values.iter().fold(true, |all, raw| all & E::is_finite(*raw));
        (!finite).then(|| values.iter().position(|raw| !E::is_finite(*raw)))?
    }
    match dtype {
        Dtype::F32 => find::<F32>(block),
        Dtype::Bf16 => find::<Bf16>(block),
        Dtype::F16 => find::<F16>(block),
    }
}
