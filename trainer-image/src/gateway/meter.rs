//! Says how far a long transfer is.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

/// Between two lines; what takes less says nothing.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Meter {
    what: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
    said: Instant,
    every: Duration,
}

impl Meter {
    /// `what`: "fetching 1234abcd", for instance.
    pub(crate) fn new(what: String, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            what,
            total,
            done: 0,
            began: now,
            said: now,
            every: EVERY,
        }
    }

    /// So many more are done; a line if it is time for one.
    pub(crate) fn add(&mut self, bytes: u64) -> Option<String> {
        self.done += bytes;
        if self.said.elapsed() < self.every {
            return None;
        }
        self.said = Instant::now();
        let rate = self.done as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        let (what, done, rate_shown) = (&self.what, megabytes(self.done), megabytes(rate as u64));
        Some(match self.total {
            Some(total) => {
                let left = total.saturating_sub(self.done) as f64 / rate.max(1.0);
                format!(
                    "{what}: {done} of {} MB, {rate_shown} MB/s, {left:.0} s left",
                    megabytes(total)
                )
            }
            None => format!("{what}: {done} MB, {rate_shown} MB/s"),
        })
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// A reader whose bytes are counted.
#[derive(Debug)]
pub(super) struct Metered<R> {
    reader: R,
    meter: Meter,
}

impl<R> Metered<R> {
    pub(super) fn new(reader: R, what: String, total: Option<u64>) -> Self {
        Self {
            reader,
            meter: Meter::new(what, total),
        }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        if let Some(line) = self.meter.add(n as u64) {
            println!("{line}");
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_bytes_rate_and_time_left_and_comes_at_a_bounded_rate() {
        let mut meter = Meter::new("fetching 12ab".to_owned(), Some(4_000_000));
        assert_eq!(meter.add(600_000), None);
        meter.every = Duration::ZERO;
        let line = meter.add(400_000).unwrap();
        assert!(line.starts_with("fetching 12ab: 1.0 of 4.0 MB, "), "{line}");
        assert!(line.ends_with(" s left") && line.contains(" MB/s, "), "{line}");
        meter.total = None;
        assert!(meter.add(0).unwrap().ends_with(" MB/s"));
    }
}
