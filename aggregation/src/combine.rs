//! One pass over all inputs: a block of each is read, a block of the result is computed and handed on in order.
//!
//! A rule gives the value of each element as a binary64. If there is a server learning rate r, the way from the start
//! model's element s to that value a is gone in part: s + r * (a - s), each of the three operations rounded to binary64.
//! The value is then rounded to binary32, and that to the element's type if it is another. Every rounding is to nearest,
//! ties to even. Elements do not influence each other, so neither the number of threads nor the size of a block nor the
//! width of a vector register can change a bit.

use std::io;

use protocol::architecture::Dtype;

use crate::{
    clipping::Clipped,
    columns::{Blocks, Failed},
    element::{Bf16, Element, F16, F32, STRIP, load},
    mean::Mean,
    options::Options,
    order::{Median, TrimmedMean},
    pipeline::in_order,
    simd::{Kernel, Registers},
    source::ReadAt,
    tensors::Segment,
};

/// What is computed of the inputs' elements, strip by strip.
pub(crate) trait Combination<E: Element> {
    fn strip<R: Registers>(&mut self, registers: R, columns: &[&[[E::Raw; STRIP]]], strip: usize) -> [f64; STRIP];
}

/// A rule with everything that was found out about its inputs.
#[derive(Debug)]
pub(crate) enum Formula {
    Mean(Mean),
    /// Its last input is the start model.
    Clipped(Clipped),
    Median(Median),
    TrimmedMean(TrimmedMean),
}

pub(crate) struct Job<'a> {
    /// The contributions that are combined; then the start model, if it is needed.
    pub(crate) readers: &'a [&'a dyn ReadAt],
    pub(crate) segments: &'a [Segment],
    pub(crate) formula: &'a Formula,
    /// The server learning rate; the last input is then the start model.
    pub(crate) rate: Option<f64>,
}

impl Job<'_> {
    /// Computes all elements in the order of the segments and hands their bytes to `write`.
    pub(crate) fn run(&self, options: &Options, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failed> {
        let total = self.segments.last().map_or(0, |s| s.output.end);
        let block = (options.output_block as u64 & !3).max(4);
        let tile = options.tile(self.readers.len()).min(block as usize);
        in_order(
            total.div_ceil(block),
            options.threads.get(),
            || Vec::with_capacity(block as usize + 4),
            || Blocks::new(self.readers.len(), tile),
            |number, blocks, out: &mut Vec<u8>| {
                let (start, end) = (self.boundary(number * block), self.boundary((number + 1) * block));
                out.resize((end - start) as usize, 0);
                self.fill(start, out, blocks, tile, options)
            },
            |out| write(out).map_err(Failed::Write),
            || Failed::Lost,
        )
    }

    /// The last end of an element at or before a position: a block never ends within one.
    fn boundary(&self, position: u64) -> u64 {
        let next = self.segments.partition_point(|s| s.output.end <= position);
        self.segments.get(next).map_or_else(
            || self.segments.last().map_or(0, |s| s.output.end),
            |s| position - position.saturating_sub(s.output.start) % s.dtype.size() as u64,
        )
    }

    /// Computes the bytes of the result from `start` on that fill `out`.
    fn fill(
        &self,
        start: u64,
        out: &mut [u8],
        blocks: &mut Blocks,
        tile: usize,
        options: &Options,
    ) -> Result<(), Failed> {
        let end = start + out.len() as u64;
        let first = self.segments.partition_point(|s| s.output.end <= start);
        for segment in self.segments.iter().skip(first).take_while(|s| s.output.start < end) {
            let (mut from, to) = (start.max(segment.output.start), end.min(segment.output.end));
            while from < to {
                let length = usize::try_from(to - from).unwrap_or(usize::MAX).min(tile);
                let skip = from - segment.output.start;
                blocks.read(self.readers, segment.inputs.iter().map(|offset| offset + skip), length)?;
                let offset = (from - start) as usize;
                let out = &mut out[offset..offset + length];
                match segment.dtype {
                    Dtype::F32 => self.compute::<F32>(blocks, out, options),
                    Dtype::Bf16 => self.compute::<Bf16>(blocks, out, options),
                    Dtype::F16 => self.compute::<F16>(blocks, out, options),
                }
                from += length as u64;
            }
        }
        Ok(())
    }

    fn compute<E: Element>(&self, blocks: &Blocks, out: &mut [u8], options: &Options) {
        let columns = &*blocks.columns::<E>();
        let (out, rate) = (Out(out), self.rate);
        match self.formula {
            Formula::Mean(rule) => match rule.plain() {
                Some(strips) => run::<E, _>(options, columns, out, rate, strips),
                None => run::<E, _>(options, columns, out, rate, rule.weighted()),
            },
            Formula::Clipped(rule) => run::<E, _>(options, columns, out, rate, rule.strips()),
            Formula::Median(rule) => run::<E, _>(options, columns, out, rate, rule.strips::<E>()),
            Formula::TrimmedMean(rule) => run::<E, _>(options, columns, out, rate, rule.strips::<E>()),
        }
    }
}

struct Out<'a>(&'a mut [u8]);

fn run<E: Element, C: Combination<E>>(
    options: &Options,
    columns: &[&[[E::Raw; STRIP]]],
    out: Out<'_>,
    rate: Option<f64>,
    combination: C,
) {
    options.vectors.run(Pass {
        columns,
        out: out.0,
        rate,
        combination,
    });
}

struct Pass<'a, E: Element, C> {
    columns: &'a [&'a [[E::Raw; STRIP]]],
    out: &'a mut [u8],
    rate: Option<f64>,
    combination: C,
}

impl<E: Element, C: Combination<E>> Kernel for Pass<'_, E, C> {
    #[inline(always)]
    fn run<R: Registers>(mut self, registers: R) {
        for (strip, out) in self.out.chunks_mut(STRIP * E::SIZE).enumerate() {
            let mut values = self.combination.strip(registers, self.columns, strip);
            if let (Some(rate), Some(start)) = (self.rate, self.columns.last()) {
                for (value, start) in values.iter_mut().zip(load::<E, R, STRIP>(registers, &start[strip])) {
                    *value = start + rate * (*value - start);
                }
            }
            let mut raw = [E::Raw::default(); STRIP];
            for (raw, value) in raw.iter_mut().zip(&values) {
                *raw = E::store(*value as f32);
            }
            let bytes = E::bytes(&raw);
            match out.len() == bytes.len() {
                true => out.copy_from_slice(bytes),
                false => out.copy_from_slice(&bytes[..out.len()]),
            }
        }
    }
}
