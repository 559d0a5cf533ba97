//! Aggregation of model files: safetensors in, safetensors out, the same bytes on every machine.
//!
//! Votes are grouped by the hash of the aggregate, so two honest voters with the same contributions must write the same
//! file. [`aggregate`] checks every contribution ([`Refusal`] says what is wrong with it), combines the valid ones in
//! seat order by the definition's rule, and writes the result in the canonical form of [`protocol::model`].
//!
//! The arithmetic of every rule is specified bit for bit where it is written: `mean.rs`, `order.rs` (median and trimmed
//! mean), `krum.rs` (on top of `distance.rs`) and `clipping.rs`; `combine.rs` says how a result is rounded to the
//! element's type and what a server learning rate does.
//!
//! Files are read in blocks at positions; no model is ever held in memory as a whole. No threads of a tensor library,
//! no fused operations, no library mathematics: the processor's correctly rounded +, -, *, / and square root only.
#![deny(unsafe_code)]

mod clipping;
mod columns;
mod combine;
mod distance;
mod element;
mod krum;
pub mod mean;
mod network;
mod options;
mod order;
mod pipeline;
mod refusal;
mod rules;
mod simd;
mod source;
mod tensors;
mod validity;

use std::{io, io::Write, sync::Mutex, sync::atomic::AtomicUsize, sync::atomic::Ordering, thread};

use protocol::{
    architecture::TensorSpec,
    definition::{self, Definition},
    model::{Layout, Metadata, ModelError, ModelHeader, ModelWriter},
    types::{Address, IncludedMask, ModelHash, Round},
};

pub use crate::{
    options::Options,
    refusal::Refusal,
    simd::Vectors,
    source::{ModelSource, ReadAt},
    tensors::read_header,
};

/// Why nothing could be said about the contributions: not their fault, so worth another try (all but `Start`).
#[derive(Debug, thiserror::Error)]
pub enum AggregationError {
    #[error("the start model is not one of this definition: {0}")]
    Start(ModelError),
    #[error("the start model cannot be read: {0}")]
    StartUnreadable(io::Error),
    #[error("the contribution of seat {seat} cannot be read: {error}")]
    Unreadable { seat: u32, error: io::Error },
    #[error("the aggregate cannot be written: {0}")]
    Output(io::Error),
    #[error("the aggregate cannot be written: {0}")]
    Model(ModelError),
    #[error("there are two contributions for seat {0}")]
    DuplicateSeat(u32),
    #[error("a worker stopped")]
    Lost,
}

impl AggregationError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::StartUnreadable(_) | Self::Unreadable { .. } => "unreadable",
            Self::Output(_) | Self::Model(_) => "output",
            Self::DuplicateSeat(_) => "duplicate-seat",
            Self::Lost => "lost",
        }
    }
}

/// What models of a task must look like, and how they are combined.
#[derive(Debug, Clone)]
pub struct Rule {
    /// In any order and of any element types.
    pub tensors: Vec<TensorSpec>,
    pub aggregation: definition::Aggregation,
    /// Largest valid contribution in bytes.
    pub max_model_bytes: u64,
    pub task: Address,
    pub round: Round,
}

impl Rule {
    pub fn new(definition: &Definition, task: Address, round: Round) -> Self {
        Self {
            tensors: definition.tensors(),
            aggregation: definition.aggregation.clone(),
            max_model_bytes: definition.max_model_bytes,
            task,
            round,
        }
    }
}

/// A proposer's contribution as fetched.
#[derive(Debug)]
pub struct Contribution {
    /// Position in the draw's order of proposers.
    pub seat: u32,
    pub proposer: Address,
    /// As declared when joining; used by the weighted mean only.
    pub sample_count: u32,
    pub source: ModelSource,
}

/// What was combined.
#[derive(Debug)]
pub struct Aggregate {
    /// Name of the written file. The start model's, and nothing written, if no contribution was valid.
    pub hash: ModelHash,
    /// Seats that are part of the aggregate.
    pub mask: IncludedMask,
    /// Seats that are not, in ascending order.
    pub excluded: Vec<(u32, Refusal)>,
    /// Seats that are in the mask though the rule made no use of them, in ascending order.
    pub unused: Vec<u32>,
    /// The rule that took the place of the definition's, because too few contributions are included for that one.
    pub fallback: Option<definition::Rule>,
}

/// Validates the contributions and writes the aggregate of the valid ones to `out`, in seat order whatever the order in
/// `contributions`.
///
/// On an error `out` may hold a part of a file. `start` must hash to its name already (the trainer verifies what it
/// fetches); its tensors are checked here.
pub fn aggregate(
    rule: &Rule,
    start: &ModelSource,
    contributions: &[Contribution],
    out: &mut dyn Write,
    options: &Options,
) -> Result<Aggregate, AggregationError> {
    let verdicts = validate(rule, start, contributions, options)?;
    let mut valid = Vec::new();
    let mut excluded = Vec::new();
    for (contribution, verdict) in contributions.iter().zip(verdicts) {
        match verdict {
            Ok(header) => valid.push((contribution, header)),
            Err(refusal) => excluded.push((contribution.seat, refusal)),
        }
    }
    if valid.is_empty() {
        excluded.sort_by_key(|(seat, _)| *seat);
        return Ok(Aggregate {
            hash: start.hash,
            mask: IncludedMask::default(),
            excluded,
            unused: Vec::new(),
            fallback: None,
        });
    }
    let seats: Vec<u32> = valid.iter().map(|(contribution, _)| contribution.seat).collect();
    let (hash, combined) = combine(rule, start, valid, out, options)?;
    excluded.extend(combined.outliers);
    excluded.sort_by_key(|(seat, _)| *seat);
    let included = seats
        .into_iter()
        .filter(|seat| excluded.iter().all(|(other, _)| other != seat));
    Ok(Aggregate {
        hash,
        mask: included.fold(IncludedMask::default(), |mask, seat| mask.with(seat as usize)),
        excluded,
        unused: combined.unused,
        fallback: combined.fallback,
    })
}

/// The verdict on each contribution, in the order given: its header if it is valid. One pass over every file, several
/// files at once.
pub fn validate(
    rule: &Rule,
    start: &ModelSource,
    contributions: &[Contribution],
    options: &Options,
) -> Result<Vec<Result<ModelHeader, Refusal>>, AggregationError> {
    let mut seats: Vec<u32> = contributions.iter().map(|c| c.seat).collect();
    seats.sort_unstable();
    if let Some(twice) = seats.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(AggregationError::DuplicateSeat(twice[0]));
    }
    let start = validity::Start::open(rule, start)?;
    let next = AtomicUsize::new(0);
    let verdicts: Vec<Mutex<Option<_>>> = contributions.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        let mut scratch = validity::Scratch::new(options);
        while let Some((i, contribution)) = {
            let i = next.fetch_add(1, Ordering::Relaxed);
            contributions.get(i).map(|c| (i, c))
        } {
            let verdict = validity::judge(rule, &start, contribution, &mut scratch);
            *verdicts[i].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(verdict);
        }
    };
    thread::scope(|scope| {
        for _ in 1..options.threads.get().min(contributions.len()) {
            scope.spawn(work);
        }
        work();
    });
    verdicts
        .into_iter()
        .map(|slot| {
            slot.into_inner()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .unwrap_or(Err(AggregationError::Lost))
        })
        .collect()
}

/// A result computed, and what became of the contributions.
#[derive(Debug)]
pub struct Combined {
    /// Seats that the rule takes out of the mask, in ascending order.
    pub outliers: Vec<(u32, Refusal)>,
    /// Seats that keep their bit though the rule made no use of them, in ascending order.
    pub unused: Vec<u32>,
    /// The rule that took the place of the named one, because too few contributions are included for it.
    pub fallback: Option<definition::Rule>,
}

/// Combines contributions that [`validate`] found valid, with their headers, and writes the file; there must be one at
/// least. Returns its name.
pub fn combine(
    rule: &Rule,
    start: &ModelSource,
    valid: Vec<(&Contribution, ModelHeader)>,
    out: &mut dyn Write,
    options: &Options,
) -> Result<(ModelHash, Combined), AggregationError> {
    let layout = Layout::new(&rule.tensors, &Metadata::none()).map_err(AggregationError::Model)?;
    let mut writer = ModelWriter::new(&layout, out).map_err(output)?;
    let combined = combine_with(rule, start, valid, options, |block| {
        writer.write_bytes(block).map_err(io::Error::other)
    })?;
    Ok((writer.finish().map_err(output)?, combined))
}

/// [`combine`] without a file: hands the bytes of the tensors in [`Layout::tensors`] order to `write`.
pub fn combine_with(
    rule: &Rule,
    start: &ModelSource,
    valid: Vec<(&Contribution, ModelHeader)>,
    options: &Options,
    write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Combined, AggregationError> {
    let start = validity::Start::open(rule, start)?;
    rules::Inputs::new(rule, &start, valid)?.combine(options, write)
}

fn output(error: ModelError) -> AggregationError {
    match error {
        ModelError::Io(error) => AggregationError::Output(error),
        other => AggregationError::Model(other),
    }
}
