//! Waiting on conditions, never on time alone.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What one look found.
#[derive(Debug)]
pub enum Look<T> {
    Done(T),
    /// Not yet: what was seen instead, for the message if time runs out.
    Not(String),
}

impl<T> Look<T> {
    /// `Done(value)` if `condition`, else what was seen.
    pub fn when(condition: bool, value: T, seen: impl Debug) -> Self {
        if condition {
            Self::Done(value)
        } else {
            Self::Not(format!("{seen:?}"))
        }
    }
}

/// Looks until done or `limit` has passed. An error of a look counts as not yet: API servers restart in some scenarios.
///
/// # Errors
/// Says what was waited for and what was seen last.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Look<T>>>,
{
    until_every(PAUSE, what, limit, look).await
}

/// The same with another time between two looks.
pub async fn until_every<T, F, Fut>(pause: Duration, what: &str, limit: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Look<T>>>,
{
    let started = Instant::now();
    loop {
        let seen = match look().await {
            Ok(Look::Done(value)) => return Ok(value),
            Ok(Look::Not(seen)) => seen,
            Err(error) => format!("error: {error:#}"),
        };
        if started.elapsed() > limit {
            bail!("waited {} s for {what}; last seen: {seen}", limit.as_secs());
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_never_holds_says_what_was_seen() {
        let error = until("rain", Duration::ZERO, || async {
            Ok(Look::<()>::Not("sun".to_owned()))
        })
        .await
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("rain") && text.contains("sun"), "{text}");
    }

    #[tokio::test]
    async fn a_condition_that_holds_gives_its_value() {
        let value = until("four", Duration::from_secs(5), || async { Ok(Look::when(true, 4, ())) })
            .await
            .unwrap();
        assert_eq!(value, 4);
    }
}
