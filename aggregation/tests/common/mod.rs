//! Small models with given values, in memory.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aggregation::{Aggregate, AggregationError, Contribution, ModelSource, Options, ReadAt, Rule, Vectors, aggregate};
use protocol::{
    architecture::{Architecture, Dtype, Mlp, TensorSpec},
    definition,
    model::{Layout, Metadata, ModelWriter},
    types::{Address, B256, ModelHash, Round},
};
use sha2::{Digest, Sha256};

pub(crate) const TASK: Address = Address::repeat_byte(0x7A);
pub(crate) const ROUND: Round = Round(3);

pub(crate) fn rule(inputs: u32, hidden: Vec<u32>, outputs: u32, weighted: bool) -> Rule {
    Rule {
        tensors: Architecture::Mlp(Mlp {
            inputs,
            hidden,
            outputs,
        })
        .tensors(),
        aggregation: definition::Aggregation {
            weighted,
            ..definition::Aggregation::plain(definition::Rule::MeanV1)
        },
        max_model_bytes: 1 << 20,
        task: TASK,
        round: ROUND,
    }
}

pub(crate) fn elements(rule: &Rule) -> usize {
    rule.tensors.iter().map(|t| t.elements().unwrap()).sum()
}

pub(crate) fn proposer(seat: u32) -> Address {
    Address::repeat_byte(seat as u8 + 1)
}

pub(crate) fn sha256(bytes: &[u8]) -> ModelHash {
    ModelHash(B256::from(<[u8; 32]>::from(Sha256::digest(bytes))))
}

/// A canonical file; `value` gives the element at each position of the data section.
pub(crate) fn file(rule: &Rule, metadata: &Metadata, value: impl Fn(usize) -> f32) -> Vec<u8> {
    let layout = Layout::new(&rule.tensors, metadata).unwrap();
    let mut out = Vec::new();
    let mut writer = ModelWriter::new(&layout, &mut out).unwrap();
    for i in 0..elements(rule) {
        writer.write_f32(&[value(i)]).unwrap();
    }
    writer.finish().unwrap();
    out
}

pub(crate) fn start(rule: &Rule) -> ModelSource {
    let bytes = file(rule, &Metadata::none(), |i| i as f32 * 0.25 - 1.0);
    ModelSource::new(sha256(&bytes), bytes)
}

pub(crate) fn contributed(rule: &Rule, seat: u32, value: impl Fn(usize) -> f32) -> Vec<u8> {
    file(
        rule,
        &Metadata::contribution(rule.task, rule.round, proposer(seat)),
        value,
    )
}

pub(crate) fn contribution(seat: u32, sample_count: u32, bytes: Vec<u8>) -> Contribution {
    Contribution {
        seat,
        proposer: proposer(seat),
        sample_count,
        source: ModelSource::new(sha256(&bytes), bytes),
    }
}

pub(crate) fn options(threads: usize, output_block: usize, input_block: usize) -> Options {
    Options {
        threads: NonZeroUsize::new(threads).unwrap(),
        output_block,
        input_block,
        vectors: Vectors::widest(),
    }
}

pub(crate) fn run(
    rule: &Rule,
    contributions: &[Contribution],
    options: &Options,
) -> Result<(Aggregate, Vec<u8>), AggregationError> {
    let mut out = Vec::new();
    let done = aggregate(rule, &start(rule), contributions, &mut out, options)?;
    Ok((done, out))
}

/// Remembers the largest read.
pub(crate) struct Counting {
    pub(crate) bytes: Vec<u8>,
    pub(crate) largest: Arc<AtomicUsize>,
}

impl ReadAt for Counting {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.largest.fetch_max(buffer.len(), Ordering::Relaxed);
        self.bytes.read_exact_at(buffer, offset)
    }
}

/// A canonical file of any element types: `element` appends the little-endian bytes of each element, by its number in
/// the file and its type.
pub(crate) fn raw_file(
    tensors: &[TensorSpec],
    metadata: &Metadata,
    mut element: impl FnMut(usize, Dtype, &mut Vec<u8>),
) -> Vec<u8> {
    let layout = Layout::new(tensors, metadata).unwrap();
    let mut data = Vec::new();
    let mut number = 0;
    for tensor in layout.tensors() {
        for _ in 0..tensor.spec.elements().unwrap() {
            element(number, tensor.spec.dtype, &mut data);
            number += 1;
        }
    }
    let mut out = Vec::new();
    let mut writer = ModelWriter::new(&layout, &mut out).unwrap();
    writer.write_bytes(&data).unwrap();
    writer.finish().unwrap();
    out
}

/// Thread counts, block sizes and instruction sets that must not matter.
pub(crate) fn many_options() -> Vec<Options> {
    let mut all = Vec::new();
    for vectors in Vectors::available() {
        for (threads, out, input) in [(1, 1 << 20, 1 << 16), (2, 1000, 60), (5, 100_000, 4), (3, 4100, 8192)] {
            all.push(Options {
                vectors,
                ..options(threads, out, input)
            });
        }
    }
    all
}
