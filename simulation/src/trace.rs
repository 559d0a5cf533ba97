//! What happened, in order: lines for people, and a hash that says whether two runs were the same.

use crate::time::Millis;

#[derive(Debug)]
pub(crate) struct Trace {
    start: Millis,
    pub(crate) lines: Option<Vec<String>>,
    pub(crate) hash: u64,
    pub(crate) events: u64,
}

impl Trace {
    pub(crate) fn new(start: Millis, keep: bool) -> Self {
        Self {
            start,
            lines: keep.then(Vec::new),
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
        }
    }

    /// `what` and `detail` tell events apart; `text` is made only if lines are kept.
    pub(crate) fn note(&mut self, now: Millis, what: &str, detail: u64, text: impl FnOnce() -> String) {
        self.events += 1;
        self.mix(now);
        self.mix(detail);
        for chunk in what.as_bytes().chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        if let Some(lines) = &mut self.lines {
            let at = now.saturating_sub(self.start);
            lines.push(format!("{:5}.{:03}  {what:<16} {}", at / 1000, at % 1000, text()));
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
}

/// The first eight bytes of a hash.
pub(crate) fn short(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}
