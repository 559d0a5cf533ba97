//! How far running Jobs are: the newest word of each, in memory. It is a courtesy to whoever looks at the status; a
//! gateway that restarts has forgotten it, and the next word comes within seconds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, header},
    response::IntoResponse,
};
use protocol::job::{JobProgress, MAX_PROGRESS_BYTES};
use tokio::time::Instant;

use super::{
    error::GatewayError,
    object::JobKey,
    routes::{Answer, Shared, authorize_admin, authorize_job, with_body},
    upload::receive_small,
};

/// A word older than this says nothing about now.
const FRESH: Duration = Duration::from_secs(60);
/// More Jobs than any one gateway serves; a limit on memory, not on use.
const MAX_JOBS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct ProgressBoard {
    words: Mutex<HashMap<String, (Instant, String)>>,
}

impl ProgressBoard {
    fn put(&self, job: &JobKey, word: String, now: Instant) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() >= MAX_JOBS {
            words.retain(|_, (at, _)| now.duration_since(*at) < FRESH);
        }
        if words.len() < MAX_JOBS {
            words.insert(job.to_string(), (now, word));
        }
    }

    fn get(&self, job: &JobKey, now: Instant) -> Option<String> {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.retain(|_, (at, _)| now.duration_since(*at) < FRESH);
        words.get(&job.to_string()).map(|(_, word)| word.clone())
    }
}

pub(super) async fn put(State(gateway): Shared, request: Request) -> Answer {
    with_body(request, async |parts, body| {
        let (_, job, _) = authorize_job(&gateway, &parts.headers).await?;
        let bytes = receive_small(&gateway, body, MAX_PROGRESS_BYTES as u64).await?;
        let progress: JobProgress =
            serde_json::from_slice(&bytes).map_err(|error| GatewayError::BadRequest(error.to_string()))?;
        // Written anew: what a Job sends beside the known fields goes no further.
        let word = serde_json::to_string(&progress).map_err(|error| GatewayError::BadRequest(error.to_string()))?;
        gateway.progress.put(&job, word, Instant::now());
        Ok(Json(serde_json::json!({})).into_response())
    })
    .await
}

pub(super) async fn get(
    State(gateway): Shared,
    Path((namespace, job)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    authorize_admin(&gateway, &headers).await?;
    let job = JobKey::new(&namespace, &job)?;
    let word = gateway.progress.get(&job, Instant::now());
    let word = word.ok_or(GatewayError::NotFound("this Job has said nothing lately"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], word).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_of_a_job_is_kept_for_a_minute() {
        let board = ProgressBoard::default();
        let (one, other) = (
            JobKey::new("a", "one").expect("valid"),
            JobKey::new("a", "other").expect("valid"),
        );
        let start = Instant::now();
        board.put(&one, "first".to_owned(), start);
        board.put(&one, "second".to_owned(), start + Duration::from_secs(30));
        assert_eq!(
            board.get(&one, start + Duration::from_secs(89)).as_deref(),
            Some("second")
        );
        assert_eq!(board.get(&other, start), None);
        assert_eq!(board.get(&one, start + Duration::from_secs(90)), None);
    }

    #[test]
    fn a_flood_of_jobs_takes_no_more_than_its_room() {
        let board = ProgressBoard::default();
        let start = Instant::now();
        for n in 0..=MAX_JOBS {
            board.put(
                &JobKey::new("a", &format!("job-{n}")).expect("valid"),
                String::new(),
                start,
            );
        }
        let late = JobKey::new("a", "late").expect("valid");
        assert_eq!(board.get(&late, start), None);
        board.put(&late, "here".to_owned(), start + FRESH);
        assert_eq!(board.get(&late, start + FRESH).as_deref(), Some("here"));
    }
}
