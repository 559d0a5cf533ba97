//! When a failed `check` Job is run again: data may have been repaired in place, which nothing tells us.

use protocol::types::Timestamp;

/// Shortest and longest pause, in seconds.
const FIRST: u64 = 60;
const LONGEST: u64 = 600;

/// The next try comes as long after the last failure as that came after the first: 1, 2, 4, 8, then every 10 minutes.
/// Nothing needs to be stored besides since when the check has been failing.
pub(crate) fn next_try(failing_since: Timestamp, failed_at: Timestamp) -> Timestamp {
    failed_at.saturating_add(failing_since.until(failed_at).clamp(FIRST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_minute_up_to_ten() {
        let since = Timestamp(1_000);
        let mut failed = since;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let next = next_try(since, failed);
            pauses.push(failed.until(next));
            failed = next;
        }
        assert_eq!(pauses, [60, 60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn a_failure_from_before_the_first_one_noticed_waits_a_minute() {
        assert_eq!(next_try(Timestamp(500), Timestamp(400)), Timestamp(460));
    }
}
