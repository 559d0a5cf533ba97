//! What interrupted trainings go on from: the newest checkpoint of each Job, until its result is there or its token has
//! ended. It is the Job's own; nobody else can read it.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::IntoResponse,
};
use protocol::types::Timestamp;
use tokio_util::io::ReaderStream;

use super::{
    error::GatewayError,
    files::BLOCK,
    object::JobKey,
    routes::{Answer, Shared, authorize_job, parse_hash, with_body},
    state::Gateway,
    token::JobClaims,
    upload::{declared_length, receive},
};

/// Seconds at least between two of one Job: they are large, and the one before is thrown away.
const EVERY: u64 = 5;

/// Which Jobs have one.
#[derive(Debug, Default)]
pub(super) struct Checkpoints(Mutex<HashMap<JobKey, Kept>>);

#[derive(Debug, Clone, Copy)]
struct Kept {
    expires: Timestamp,
    /// `None`: by an earlier run of this gateway.
    at: Option<Timestamp>,
}

impl Checkpoints {
    pub(super) fn new(found: Vec<(JobKey, Timestamp)>) -> Self {
        let kept = |(job, expires)| (job, Kept { expires, at: None });
        Self(Mutex::new(found.into_iter().map(kept).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobKey, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_too_soon(&self, job: &JobKey, now: Timestamp) -> bool {
        let before = self.lock().get(job).and_then(|kept| kept.at);
        before.is_some_and(|at| now < at.saturating_add(EVERY))
    }

    fn note(&self, job: JobKey, expires: Timestamp, now: Timestamp) {
        self.lock().insert(job, Kept { expires, at: Some(now) });
    }

    fn expired(&self, now: Timestamp) -> Vec<JobKey> {
        let kept = self.lock();
        let over = kept.iter().filter(|(_, kept)| kept.expires <= now);
        over.map(|(job, _)| job.clone()).collect()
    }

    fn forget(&self, job: &JobKey) -> bool {
        self.lock().remove(job).is_some()
    }
}

impl Gateway {
    /// The Job has handed in its result, or may not any more.
    pub(super) async fn drop_checkpoint(&self, job: &JobKey) -> Result<(), GatewayError> {
        if self.checkpoints.forget(job) {
            self.staging.remove_checkpoint(job).await?;
            self.metrics.checkpoints.set(self.checkpoints.lock().len() as i64);
        }
        Ok(())
    }

    /// Removes those whose rounds are over.
    pub(super) async fn sweep_checkpoints(&self) {
        for job in self.checkpoints.expired(self.now()) {
            match self.drop_checkpoint(&job).await {
                Ok(()) => tracing::info!(%job, "removed the checkpoint of a Job whose time is over"),
                Err(error) => tracing::error!(%job, %error, "a checkpoint that is not needed cannot be removed"),
            }
        }
    }
}

fn limit(gateway: &Gateway, claims: &JobClaims) -> Result<u64, GatewayError> {
    match claims.checkpoint_bytes {
        0 => Err(GatewayError::Forbidden("this Job keeps no checkpoints here")),
        bytes => Ok(bytes.min(gateway.config.max_checkpoint_bytes)),
    }
}

pub(super) async fn put(State(gateway): Shared, Path(hash): Path<String>, request: Request) -> Answer {
    with_body(request, async |parts, body| {
        let (claims, job, owner) = authorize_job(&gateway, &parts.headers).await?;
        let length = declared_length(&parts.headers, limit(&gateway, &claims)?)?;
        let hash = parse_hash(&hash)?;
        if gateway.checkpoints.is_too_soon(&job, gateway.now()) {
            return Err(GatewayError::TooSoon(EVERY));
        }
        let file = receive(&gateway, body, length, hash).await?;
        gateway.staging.keep_checkpoint(&job, owner, claims.exp, file).await?;
        gateway.checkpoints.note(job.clone(), claims.exp, gateway.now());
        gateway.metrics.checkpoints.set(gateway.checkpoints.lock().len() as i64);
        tracing::info!(%job, length, "checkpoint kept");
        Ok(Json(serde_json::json!({})).into_response())
    })
    .await
}

pub(super) async fn get(State(gateway): Shared, headers: HeaderMap) -> Answer {
    let (claims, job, _) = authorize_job(&gateway, &headers).await?;
    limit(&gateway, &claims)?;
    let path: PathBuf = gateway.staging.checkpoint(&job);
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(GatewayError::NotFound("this Job has no checkpoint here"));
        }
        Err(error) => return Err(GatewayError::staging(error)),
    };
    let length = file.metadata().await.map_err(GatewayError::staging)?.len();
    let mut response = Body::from_stream(ReaderStream::with_capacity(file, BLOCK)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(response)
}
