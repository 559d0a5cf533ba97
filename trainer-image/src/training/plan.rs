//! How long a round's training is, and how far it is said to be.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::{
    definition::Training,
    job::{DOCUMENT_VERSION, JobProgress, Stage},
    types::Timestamp,
};

use super::Position;
use crate::{evaluate::decimal, reporter::Reporter};

/// Between two lines of progress.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// How long a round's training is for so many records.
pub(super) struct Plan {
    pub(super) epochs: Option<u32>,
    pub(super) steps: u64,
    /// Records of all of it.
    total: u64,
}

impl Plan {
    pub(super) fn new(training: &Training, records: usize) -> Self {
        let batch = u64::from(training.batch_size);
        let records = records as u64;
        let per_epoch = records.div_ceil(batch).max(1);
        let steps = match (training.epochs, training.steps) {
            (Some(epochs), _) => per_epoch * u64::from(epochs),
            (None, steps) => steps.unwrap_or(1).into(),
        };
        Self {
            epochs: training.epochs,
            steps,
            total: match training.epochs {
                Some(epochs) => records * u64::from(epochs),
                None => steps * batch.min(records),
            },
        }
    }

    /// Of how many epochs this is the one, as a person reads it.
    fn place(&self, epoch: u32) -> String {
        match self.epochs {
            Some(epochs) => format!("{}/{epochs}", epoch + 1),
            None => (epoch + 1).to_string(),
        }
    }
}

/// Says how far training is, in the log and to whoever asks the gateway.
pub(super) struct Progress<'a> {
    started: Instant,
    reported: Instant,
    /// Records that an earlier process has seen.
    before: u64,
    resumed_from: Option<u64>,
    finish_by: SystemTime,
    reporter: &'a Reporter,
}

impl<'a> Progress<'a> {
    pub(super) fn new(position: &Position, finish_by: SystemTime, reporter: &'a Reporter) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            reported: now,
            before: position.seen,
            resumed_from: (position.steps > 0).then_some(position.steps),
            finish_by,
            reporter,
        }
    }

    pub(super) fn resumed_from(&self) -> Option<u64> {
        self.resumed_from
    }

    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub(super) fn is_due(&self) -> bool {
        self.reported.elapsed() >= REPORT_EVERY
    }

    pub(super) fn line(&mut self, plan: &Plan, position: &Position, loss: f64) {
        self.reported = Instant::now();
        let rate = (position.seen - self.before) as f64 / self.seconds().max(1e-9);
        let needed = plan.total.saturating_sub(position.seen) as f64 / rate.max(1e-9);
        let allowed = self
            .finish_by
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .as_secs_f64();
        let left = needed.min(allowed);
        println!(
            "train: epoch {} step {} loss {loss:.4} {rate:.0} records/s {left:.0} s left",
            plan.place(position.epoch),
            position.steps
        );
        let end = SystemTime::now() + Duration::from_secs_f64(left);
        self.reporter.say(JobProgress {
            version: DOCUMENT_VERSION,
            stage: Stage::Training,
            epoch: Some(position.epoch + 1),
            epochs: plan.epochs,
            steps: Some(position.steps),
            loss: Some(decimal(loss)),
            records_per_second: Some(format!("{rate:.0}")),
            expected_end: end.duration_since(UNIX_EPOCH).ok().map(|at| Timestamp(at.as_secs())),
            resumed_from: self.resumed_from,
        });
    }
}
