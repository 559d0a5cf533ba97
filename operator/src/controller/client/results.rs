//! What Jobs came to, as the status shows it.

use crds::flclient::{
    BaseModelSummary, ClassRecords, DataSummary, LastTraining, LastVote, PreflightStatus, SpentPrivacy,
};
use protocol::{
    client::JobState,
    job::{BaseReport, ClassCount, DataReport, StepResult},
};

use super::{
    jobs::state::ObservedJob,
    observe::{Observed, check_identity},
};

/// The check that passed, if its Job is still there.
pub(super) fn preflight(observed: &Observed) -> Option<PreflightStatus> {
    let identity = check_identity(&observed.snapshot, &observed.view);
    let job = observed.jobs.iter().find(|job| job.identity == identity)?;
    let JobState::Succeeded(result) = &job.state else {
        return None;
    };
    let StepResult::Check(check) = &result.outcome else {
        return None;
    };
    Some(PreflightStatus {
        job: job.name.clone(),
        identity: result.identity_hash,
        environment: identity.environment,
        definition: identity.definition,
        genesis_model: check.genesis_model,
        train_samples: check.train_samples,
        test_samples: check.test_samples,
        classes: check.classes,
        device: check.device.clone(),
        data: check.data.as_ref().map(data_summary),
        base_model: check.base_model.map(|base| BaseModelSummary {
            manifest: base.manifest,
            files: base.files,
            bytes: base.bytes,
            stamp: base.stamp,
        }),
    })
}

fn data_summary(report: &DataReport) -> DataSummary {
    DataSummary {
        files: report.files,
        records: report.records,
        rejected: report.rejected,
        rejections: report.rejections.clone(),
        classes: report
            .classes
            .iter()
            .map(|class| ClassRecords {
                name: class.name.clone(),
                train: class.train,
                test: class.test,
            })
            .collect(),
    }
}

/// The same back, for a check whose Job is gone.
pub(super) fn base_report(summary: &BaseModelSummary) -> BaseReport {
    BaseReport {
        manifest: summary.manifest,
        files: summary.files,
        bytes: summary.bytes,
        stamp: summary.stamp,
    }
}

/// The same back, for a check whose Job is gone.
pub(super) fn data_report(summary: &DataSummary) -> DataReport {
    DataReport {
        files: summary.files,
        records: summary.records,
        rejected: summary.rejected,
        rejections: summary.rejections.clone(),
        classes: summary
            .classes
            .iter()
            .map(|class| ClassCount {
                name: class.name.clone(),
                train: class.train,
                test: class.test,
            })
            .collect(),
    }
}

/// The vote computed in the running round.
pub(super) fn last_vote(jobs: &[ObservedJob]) -> Option<LastVote> {
    jobs.iter().find_map(|job| match &job.state {
        JobState::Succeeded(result) => match &result.outcome {
            StepResult::Vote(vote) => Some(LastVote {
                round: job.identity.round.0,
                aggregate: vote.aggregate,
                score: vote.score,
                mask: vote.mask.0,
                start_metric: vote.start_metric.clone(),
                aggregate_metric: vote.aggregate_metric.clone(),
            }),
            StepResult::Check(_) | StepResult::Train(_) => None,
        },
        _ => None,
    })
}

/// A number that somebody has measured.
fn known(number: &str) -> Option<String> {
    let finite = number.parse::<f64>().is_ok_and(f64::is_finite);
    finite.then(|| number.to_owned())
}

/// The model trained in the running round.
pub(super) fn last_training(jobs: &[ObservedJob]) -> Option<LastTraining> {
    jobs.iter().find_map(|job| match &job.state {
        JobState::Succeeded(result) => match &result.outcome {
            StepResult::Train(train) => Some(LastTraining {
                round: job.identity.round.0,
                model: train.model,
                loss: known(&train.loss),
                test_metric: known(&train.test_metric),
                seconds: train.seconds.clone(),
                stopped_early: train.stopped_early,
                privacy: train.privacy.as_ref().map(|spent| SpentPrivacy {
                    epsilon: spent.epsilon.clone(),
                    delta: spent.delta.clone(),
                }),
                resumed_from: train.resumed_from,
            }),
            StepResult::Check(_) | StepResult::Vote(_) => None,
        },
        _ => None,
    })
}
