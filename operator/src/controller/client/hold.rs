//! What stands in the way before anything can be decided about a client.

use std::time::Duration;

use super::problem::Problem;

/// How soon to look again at what only a person can mend and nothing wakes us about.
const RETRY: Duration = Duration::from_secs(10);
const RETRY_STALLED: Duration = Duration::from_secs(30);

/// Why a client is not decided about now, and how that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) problem: Problem,
    /// The condition it shows on beside `Ready`.
    pub(super) condition: Option<&'static str>,
    /// Only a change of some object helps.
    pub(super) stalled: bool,
    pub(super) retry: Duration,
    /// The key is gone: a duty cannot be finished.
    pub(super) without_key: bool,
}

impl Hold {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            problem: Problem::new(reason, message),
            condition: None,
            stalled: false,
            retry: RETRY,
            without_key: false,
        }
    }

    pub(super) fn stalled(self) -> Self {
        Self {
            stalled: true,
            retry: RETRY_STALLED,
            ..self
        }
    }
}
