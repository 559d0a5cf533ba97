//! How far the running Job is, for whoever looks at the status: asked of the gateway, written at a bounded rate.

use std::time::Duration;

use crds::{FLClientStatus, flclient::RunningJob, rfc3339};
use protocol::{client::JobState, job::JobProgress};

use super::{jobs::state::ObservedJob, observe::Observed};
use crate::{cluster::Key, controller::context::Context};

/// Between two looks at a running Job, and at least between two writes of its progress: with what the trainer waits
/// between two words (5 s), news reaches the status within ten seconds.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// What a Job said last. Progress is a courtesy: an error is no reason to do anything else differently.
pub(super) async fn ask(job: &Key, ctx: &Context) -> Option<JobProgress> {
    match ctx.store.progress(&job.namespace, &job.name).await {
        Ok(word) => serde_json::from_str(&word?).ok(),
        Err(error) => {
            tracing::debug!(job = %job.name, category = error.category(), "no progress to be had");
            None
        }
    }
}

/// The status' word on the running Job; nothing while none runs. What was said less than [`EVERY`] ago stays.
pub(super) fn of(observed: &Observed, before: &FLClientStatus) -> Option<RunningJob> {
    let running = |job: &&ObservedJob| job.state == JobState::Running && job.progress.is_some();
    let job = observed.jobs.iter().find(running)?;
    let progress = job.progress.as_ref()?;
    let now = observed.view.now;
    let word = RunningJob {
        job: job.name.clone(),
        stage: progress.stage.as_str().to_owned(),
        epoch: progress.epoch,
        epochs: progress.epochs,
        steps: progress.steps,
        loss: progress.loss.clone(),
        records_per_second: progress.records_per_second.clone(),
        expected_end: progress.expected_end.and_then(rfc3339),
        resumed_from: progress.resumed_from,
        reported_at: rfc3339(now),
    };
    let Some(last) = before.running.as_ref().filter(|last| last.job == word.job) else {
        return Some(word);
    };
    let same = RunningJob {
        reported_at: last.reported_at.clone(),
        ..word.clone()
    } == *last;
    let written = last.reported_at.as_ref().map_or(0, |at| at.0.as_second());
    let age = i64::try_from(now.0).unwrap_or(i64::MAX).saturating_sub(written);
    let young = age < i64::try_from(EVERY.as_secs()).unwrap_or(i64::MAX);
    Some(if same || young { last.clone() } else { word })
}
