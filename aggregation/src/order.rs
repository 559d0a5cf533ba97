//! `median/v1` and `trimmedMean/v1`: order statistics of every element by itself.
//!
//! Of each element the values of the n included contributions are sorted as numbers, -0 before +0. Seats do not matter,
//! and neither rule is weighted.
//!
//! * `median/v1`: for odd n the value in the middle. For even n the two in the middle are added as binary64, the sum
//!   rounded to binary64, and halved (exact).
//! * `trimmedMean/v1` with `trim` k: the k smallest and the k greatest are dropped; the others are added in ascending
//!   order, the accumulator a binary64 that starts as the smallest of them, every sum rounded to binary64; the sum is
//!   divided by n - 2k, and the quotient rounded to binary64. It needs n >= 2k + 1; with fewer contributions
//!   `median/v1` takes its place.
//!
//! The binary64 is rounded to the element's type as `combine.rs` says. Both results lie between the extremes of
//! what was put in, so they are finite.

use crate::{
    combine::Combination,
    element::{Element, STRIP},
    network::Network,
    simd::Registers,
};

#[derive(Debug)]
pub(crate) struct Median {
    network: Network,
}

impl Median {
    pub(crate) fn new(inputs: usize) -> Self {
        let ranks = inputs.saturating_sub(1) / 2..inputs / 2 + 1;
        Self {
            network: Network::new(inputs, ranks),
        }
    }

    pub(crate) fn strips<E: Element>(&self) -> MedianStrips<'_, E> {
        MedianStrips {
            network: &self.network,
            rows: rows::<E>(&self.network),
        }
    }
}

#[derive(Debug)]
pub(crate) struct TrimmedMean {
    network: Network,
    trim: usize,
}

impl TrimmedMean {
    pub(crate) fn new(inputs: usize, trim: usize) -> Self {
        Self {
            network: Network::new(inputs, trim..inputs - trim),
            trim,
        }
    }

    pub(crate) fn strips<E: Element>(&self) -> TrimmedMeanStrips<'_, E> {
        TrimmedMeanStrips {
            rule: self,
            rows: rows::<E>(&self.network),
        }
    }
}

type Rows<E> = Vec<[<E as Element>::Key; STRIP]>;

fn rows<E: Element>(network: &Network) -> Rows<E> {
    vec![[E::Key::default(); STRIP]; network.rows()]
}

#[inline(always)]
fn sort<E: Element>(network: &Network, rows: &mut Rows<E>, columns: &[&[[E::Raw; STRIP]]], strip: usize) {
    for (row, column) in rows.iter_mut().zip(columns) {
        for (key, raw) in row.iter_mut().zip(&column[strip]) {
            *key = E::key(*raw);
        }
    }
    network.apply(rows);
}

pub(crate) struct MedianStrips<'a, E: Element> {
    network: &'a Network,
    rows: Rows<E>,
}

impl<E: Element> Combination<E> for MedianStrips<'_, E> {
    #[inline(always)]
    fn strip<R: Registers>(&mut self, _: R, columns: &[&[[E::Raw; STRIP]]], strip: usize) -> [f64; STRIP] {
        sort::<E>(self.network, &mut self.rows, columns, strip);
        let n = self.network.rows();
        let (low, high) = (&self.rows[(n - 1) / 2], &self.rows[n / 2]);
        let mut values = [0.0; STRIP];
        if n.is_multiple_of(2) {
            for ((value, low), high) in values.iter_mut().zip(low).zip(high) {
                *value = (f64::from(E::value(*low)) + f64::from(E::value(*high))) * 0.5;
            }
        } else {
            for (value, key) in values.iter_mut().zip(low) {
                *value = f64::from(E::value(*key));
            }
        }
        values
    }
}

pub(crate) struct TrimmedMeanStrips<'a, E: Element> {
    rule: &'a TrimmedMean,
    rows: Rows<E>,
}

impl<E: Element> Combination<E> for TrimmedMeanStrips<'_, E> {
    #[inline(always)]
    fn strip<R: Registers>(&mut self, _: R, columns: &[&[[E::Raw; STRIP]]], strip: usize) -> [f64; STRIP] {
        let TrimmedMean { network, trim } = self.rule;
        sort::<E>(network, &mut self.rows, columns, strip);
        let kept = &self.rows[*trim..network.rows() - trim];
        // What x + -0 is for every x, also -0.
        let mut sums = [-0.0; STRIP];
        for row in kept {
            for (sum, key) in sums.iter_mut().zip(row) {
                *sum += f64::from(E::value(*key));
            }
        }
        let divisor = kept.len() as f64;
        for sum in &mut sums {
            *sum /= divisor;
        }
        sums
    }
}
