//! Squared Euclidean distances between whole models, bit for bit the same everywhere.
//!
//! A sum of many terms depends on their order, so the order is fixed, and it is one that vector registers and threads can
//! follow:
//!
//! 1. Every tensor, in ascending byte order of the names, is cut into blocks of 4096 elements in the order of its bytes;
//!    the last block of a tensor may be shorter.
//! 2. A block has 16 accumulators, binary64, that start as +0. Element number i of the block belongs to accumulator i mod
//!    16: the difference of the two values is rounded to binary64, its square is rounded to binary64 and added, the sum
//!    rounded to binary64 (no fused multiply-add), in ascending order of i.
//! 3. The accumulators become one value: 0 + 8, 1 + 9, ... 7 + 15; of those eight 0 + 4 ... 3 + 7; then 0 + 2, 1 + 3;
//!    then 0 + 1; each sum rounded to binary64.
//! 4. The values of the blocks are added one after the other in their order, starting from +0, each sum rounded to
//!    binary64.
//!
//! All values are finite: differences of binary32 values are below 2^129, and 2^36 squares of them stay below the greatest
//! binary64. All pairs are computed in one pass: a block of every input is read once, and stays in the cache while all
//! its pairs are computed.

use protocol::architecture::Dtype;

use crate::{
    columns::{Blocks, Failed},
    element::{Bf16, Element, F16, F32, STRIP, load},
    options::Options,
    pipeline::in_order,
    simd::{Kernel, Registers},
    source::ReadAt,
    tensors::Segment,
};

/// Elements of a block.
const BLOCK: usize = 4096;
const LANES: usize = 16;
/// Distances to one input that are computed at a time, so that it is converted once for all of them.
const GROUP: usize = 4;

/// An input and those whose distances to it are wanted.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) first: usize,
    pub(crate) seconds: Vec<usize>,
}

/// All pairs i < j of so many inputs, in that order.
pub(crate) fn all_pairs(inputs: usize) -> Vec<Pairs> {
    (0..inputs)
        .map(|first| Pairs {
            first,
            seconds: (first + 1..inputs).collect(),
        })
        .collect()
}

/// The squared distances of the pairs, in order. `tensors` are the segments of the single tensors.
pub(crate) fn squared(
    readers: &[&dyn ReadAt],
    tensors: &[Segment],
    pairs: &[Pairs],
    options: &Options,
) -> Result<Vec<f64>, Failed> {
    let count = pairs.iter().map(|p| p.seconds.len()).sum();
    let read = Reads::new(tensors, (options.tile(readers.len()) / 4 / BLOCK).max(1) * BLOCK);
    let mut totals = vec![0.0; count];
    in_order(
        read.count(),
        options.threads.get(),
        Vec::new,
        || Blocks::new(readers.len(), read.elements * 4),
        |number, blocks, sums: &mut Vec<f64>| {
            let (tensor, from, elements) = read.get(number);
            let size = tensor.dtype.size();
            let offsets = tensor.inputs.iter().map(|offset| offset + from * size as u64);
            blocks.read(readers, offsets, elements * size)?;
            // Equal elements add +0 to a sum that is not negative, which changes nothing.
            blocks.pad(elements * size);
            sums.clear();
            sums.resize(elements.div_ceil(BLOCK) * count, 0.0);
            match tensor.dtype {
                Dtype::F32 => compute::<F32>(blocks, elements, pairs, sums, options),
                Dtype::Bf16 => compute::<Bf16>(blocks, elements, pairs, sums, options),
                Dtype::F16 => compute::<F16>(blocks, elements, pairs, sums, options),
            }
            Ok(())
        },
        |sums| {
            for block in sums.chunks_exact(count.max(1)) {
                for (total, sum) in totals.iter_mut().zip(block) {
                    *total += sum;
                }
            }
            Ok(())
        },
        || Failed::Lost,
    )?;
    Ok(totals)
}

/// What is read at once: some whole blocks of one tensor.
struct Reads<'a> {
    tensors: &'a [Segment],
    elements: usize,
    /// Number of the first read of each tensor, and the number of all.
    firsts: Vec<u64>,
}

impl<'a> Reads<'a> {
    fn new(tensors: &'a [Segment], elements: usize) -> Self {
        let mut firsts = vec![0];
        let mut count = 0;
        for tensor in tensors {
            count += (tensor.size() / tensor.dtype.size() as u64).div_ceil(elements as u64);
            firsts.push(count);
        }
        Self {
            tensors,
            elements,
            firsts,
        }
    }

    fn count(&self) -> u64 {
        self.firsts.last().copied().unwrap_or(0)
    }

    /// The tensor, the number of the first element, and how many.
    fn get(&self, number: u64) -> (&'a Segment, u64, usize) {
        let tensor = self.firsts.partition_point(|&first| first <= number) - 1;
        let from = (number - self.firsts[tensor]) * self.elements as u64;
        let tensor = &self.tensors[tensor];
        let left = tensor.size() / tensor.dtype.size() as u64 - from;
        (
            tensor,
            from,
            usize::try_from(left).unwrap_or(usize::MAX).min(self.elements),
        )
    }
}

fn compute<E: Element>(blocks: &Blocks, elements: usize, pairs: &[Pairs], sums: &mut [f64], options: &Options) {
    let strips = elements.div_ceil(STRIP);
    let columns: Vec<&[[E::Raw; STRIP]]> = blocks.columns::<E>().iter().map(|column| &column[..strips]).collect();
    options.vectors.run(Pass::<E> {
        columns: &columns,
        pairs,
        sums,
    });
}

struct Pass<'a, E: Element> {
    columns: &'a [&'a [[E::Raw; STRIP]]],
    pairs: &'a [Pairs],
    /// Block by block, all pairs.
    sums: &'a mut [f64],
}

impl<E: Element> Kernel for Pass<'_, E> {
    #[inline(always)]
    fn run<R: Registers>(self, registers: R) {
        let strips = self.columns.first().map_or(0, |column| column.len());
        let mut sums = self.sums.iter_mut();
        for from in (0..strips).step_by(BLOCK / STRIP) {
            let range = from..strips.min(from + BLOCK / STRIP);
            for pairs in self.pairs {
                let first = &self.columns[pairs.first][range.clone()];
                let (groups, rest) = pairs.seconds.as_chunks::<GROUP>();
                for group in groups {
                    let seconds = group.map(|second| &self.columns[second][range.clone()]);
                    for (sum, slot) in distances::<E, R, GROUP>(registers, first, seconds)
                        .into_iter()
                        .zip(&mut sums)
                    {
                        *slot = sum;
                    }
                }
                for second in rest {
                    let [sum] = distances::<E, R, 1>(registers, first, [&self.columns[*second][range.clone()]]);
                    if let Some(slot) = sums.next() {
                        *slot = sum;
                    }
                }
            }
        }
    }
}

/// One block's sums for one input and `N` others.
#[inline(always)]
fn distances<E: Element, R: Registers, const N: usize>(
    registers: R,
    first: &[[E::Raw; STRIP]],
    seconds: [&[[E::Raw; STRIP]]; N],
) -> [f64; N] {
    let mut lanes = [[0.0f64; LANES]; N];
    for (strip, first) in first.iter().enumerate() {
        for (part, first) in first.as_chunks::<LANES>().0.iter().enumerate() {
            let x = load::<E, R, LANES>(registers, first);
            for (lanes, second) in lanes.iter_mut().zip(&seconds) {
                let second = load::<E, R, LANES>(registers, &second[strip].as_chunks().0[part]);
                for ((lane, x), y) in lanes.iter_mut().zip(&x).zip(second) {
                    let difference = x - y;
                    *lane += difference * difference;
                }
            }
        }
    }
    lanes.map(fold)
}

#[inline(always)]
fn fold(mut lanes: [f64; LANES]) -> f64 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}
