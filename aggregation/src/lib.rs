//! Aggregation of model files: safetensors in, safetensors out, the same bytes on every machine.
//!
//! Votes are grouped by the hash of the aggregate, so two honest voters with the same contributions must write the same
//! file. [`aggregate`] checks every contribution ([`Refusal`] says what is wrong with it), combines the valid ones in
//! seat order by the definition's rule (the arithmetic of `mean/v1` is specified in [`mean`]), and writes the result in
//! the canonical form of [`protocol::model`].
//!
//! Files are read in blocks at positions; no model is ever held in memory as a whole. No threads of a tensor library,
//! no fused operations, no library mathematics: the processor's correctly rounded +, * and / only.
#![forbid(unsafe_code)]

pub mod mean;
mod refusal;
mod source;
mod tensors;
mod validity;

use std::{io, io::Write, sync::Mutex, sync::atomic::AtomicUsize, sync::atomic::Ordering, thread};

use protocol::{
    architecture::Architecture,
    definition::{self, Definition},
    model::{Layout, Metadata, ModelError, ModelHeader, ModelWriter},
    types::{Address, IncludedMask, ModelHash, Round},
};

pub use crate::{
    mean::Options,
    refusal::Refusal,
    source::{ModelSource, ReadAt},
    tensors::read_header,
};
use crate::{
    mean::{MeanError, Term, clamped_weights},
    tensors::segments,
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
}

impl AggregationError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::StartUnreadable(_) | Self::Unreadable { .. } => "unreadable",
            Self::Output(_) | Self::Model(_) => "output",
            Self::DuplicateSeat(_) => "duplicate-seat",
        }
    }
}

/// What models of a task must look like, and how they are combined.
#[derive(Debug, Clone)]
pub struct Rule {
    pub architecture: Architecture,
    pub aggregation: definition::Aggregation,
    /// Largest valid contribution in bytes.
    pub max_model_bytes: u64,
    pub task: Address,
    pub round: Round,
}

impl Rule {
    pub fn new(definition: &Definition, task: Address, round: Round) -> Self {
        Self {
            architecture: definition.architecture.clone(),
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
    excluded.sort_by_key(|(seat, _)| *seat);
    if valid.is_empty() {
        return Ok(Aggregate {
            hash: start.hash,
            mask: IncludedMask::default(),
            excluded,
        });
    }
    let mask = valid
        .iter()
        .fold(IncludedMask::default(), |mask, (c, _)| mask.with(c.seat as usize));
    let hash = combine(rule, valid, out, options)?;
    Ok(Aggregate { hash, mask, excluded })
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
                .unwrap_or_else(|| Err(AggregationError::Output(io::Error::other("a worker stopped"))))
        })
        .collect()
}

/// Combines contributions that [`validate`] found valid, with their headers; there must be one at least.
pub fn combine(
    rule: &Rule,
    mut valid: Vec<(&Contribution, ModelHeader)>,
    out: &mut dyn Write,
    options: &Options,
) -> Result<ModelHash, AggregationError> {
    valid.sort_by_key(|(contribution, _)| contribution.seat);
    let layout = Layout::new(&rule.architecture.tensors(), &Metadata::none()).map_err(AggregationError::Model)?;
    let headers: Vec<&ModelHeader> = valid.iter().map(|(_, header)| header).collect();
    let segments = segments(&layout, &headers).map_err(AggregationError::Model)?;
    let definition::Rule::MeanV1 = rule.aggregation.rule;
    let weights = if rule.aggregation.weighted {
        clamped_weights(&valid.iter().map(|(c, _)| c.sample_count).collect::<Vec<_>>())
    } else {
        vec![1; valid.len()]
    };
    let terms: Vec<Term<'_>> = valid
        .iter()
        .zip(weights)
        .map(|((contribution, _), weight)| Term {
            reader: contribution.source.reader(),
            weight,
        })
        .collect();
    let mut writer = ModelWriter::new(&layout, out).map_err(output)?;
    mean::mean(&terms, &segments, options, |block| {
        writer.write_bytes(block).map_err(io::Error::other)
    })
    .map_err(|error| match error {
        MeanError::Write(error) => AggregationError::Output(error),
        MeanError::Read { term, error } => AggregationError::Unreadable {
            seat: valid[term].0.seat,
            error,
        },
    })?;
    writer.finish().map_err(output)
}

fn output(error: ModelError) -> AggregationError {
    match error {
        ModelError::Io(error) => AggregationError::Output(error),
        other => AggregationError::Model(other),
    }
}
