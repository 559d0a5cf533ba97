//! Sorting networks: the same exchanges whatever the values, so that many elements are sorted at once in the lanes of
//! vector registers.

use crate::element::STRIP;

/// Which of its two rows a later exchange or the result looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Both,
    Lower,
    Upper,
}

/// Puts the smaller value into row `low` and the greater one into row `high`, above it.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    low: usize,
    high: usize,
    wanted: Wanted,
}

/// Sorts `rows` values as far as some of their ranks are concerned: Batcher's merge exchange (Knuth, volume 3, 5.2.2,
/// algorithm M), without what the wanted ranks do not depend on.
#[derive(Debug)]
pub(crate) struct Network {
    rows: usize,
    exchanges: Vec<Exchange>,
}

impl Network {
    /// After it, rows `ranks` hold what they would hold if all rows were sorted in ascending order.
    pub(crate) fn new(rows: usize, ranks: std::ops::Range<usize>) -> Self {
        let mut needed = vec![false; rows];
        needed[ranks].fill(true);
        let mut exchanges = Vec::new();
        for (low, high) in batcher(rows).into_iter().rev() {
            let wanted = match (needed[low], needed[high]) {
                (true, true) => Wanted::Both,
                (true, false) => Wanted::Lower,
                (false, true) => Wanted::Upper,
                (false, false) => continue,
            };
            (needed[low], needed[high]) = (true, true);
            exchanges.push(Exchange { low, high, wanted });
        }
        exchanges.reverse();
        Self { rows, exchanges }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub(crate) fn apply<K: Ord + Copy>(&self, rows: &mut [[K; STRIP]]) {
        for exchange in &self.exchanges {
            let (front, back) = rows.split_at_mut(exchange.high);
            let (low, high) = (&mut front[exchange.low], &mut back[0]);
            match exchange.wanted {
                Wanted::Both => {
                    for (low, high) in low.iter_mut().zip(high) {
                        (*low, *high) = ((*low).min(*high), (*low).max(*high));
                    }
                }
                Wanted::Lower => {
                    for (low, high) in low.iter_mut().zip(high) {
                        *low = (*low).min(*high);
                    }
                }
                Wanted::Upper => {
                    for (low, high) in low.iter_mut().zip(high) {
                        *high = (*low).max(*high);
                    }
                }
            }
        }
    }
}

fn batcher(rows: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let top = rows.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            pairs.extend((0..rows.saturating_sub(d)).filter(|i| i & p == r).map(|i| (i, i + d)));
            if q == p {
                break;
            }
            d = q - p;
            q /= 2;
            r = p;
        }
        p /= 2;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_zeros_and_ones_is_sorted() {
        // The zero-one principle: a network that sorts these sorts everything.
        for rows in 1..=12usize {
            let network = Network::new(rows, 0..rows);
            for patterns in (0..1u32 << rows).collect::<Vec<_>>().chunks(STRIP) {
                let mut keys = vec![[0i16; STRIP]; rows];
                for (lane, pattern) in patterns.iter().enumerate() {
                    for (row, keys) in keys.iter_mut().enumerate() {
                        keys[lane] = (pattern >> row & 1) as i16;
                    }
                }
                network.apply(&mut keys);
                for lane in 0..STRIP {
                    assert!(
                        keys.windows(2).all(|pair| pair[0][lane] <= pair[1][lane]),
                        "{rows} rows"
                    );
                }
            }
        }
    }

    #[test]
    fn the_wanted_ranks_are_right_for_every_number_of_contributions() {
        let mut state = 1u32;
        for rows in 1..=50usize {
            for cut in 0..rows.div_ceil(2) {
                let network = Network::new(rows, cut..rows - cut);
                let mut keys = vec![[0i32; STRIP]; rows];
                for key in keys.as_flattened_mut() {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *key = (state >> 20) as i32;
                }
                let mut sorted = keys.clone();
                network.apply(&mut keys);
                for lane in 0..STRIP {
                    let mut column: Vec<i32> = sorted.iter().map(|row| row[lane]).collect();
                    column.sort_unstable();
                    for (row, key) in sorted.iter_mut().zip(column) {
                        row[lane] = key;
                    }
                }
                assert_eq!(keys[cut..rows - cut], sorted[cut..rows - cut], "{rows} rows, {cut} cut");
            }
        }
    }
}
