//! What became of a Job: from the Job, its pods and the result line the gateway keeps.

use crds::{conditions::reason, names};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, Pod},
};
use protocol::{
    client::JobState,
    job::{DOCUMENT_VERSION, ExitCode, JobIdentity, JobProgress, JobResult, MAX_RESULT_BYTES, Step, StepResult},
    types::Timestamp,
};

use super::{pending::pending_problem, pod::CONTAINER, sdk};
use crate::controller::client::problem::Problem;

/// A Job as observed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedJob {
    pub(crate) name: String,
    pub(crate) identity: JobIdentity,
    pub(crate) state: JobState,
    /// Why it failed or does not start.
    pub(crate) problem: Option<Problem>,
    /// Unix seconds at which it failed for good.
    pub(crate) failed_at: Option<Timestamp>,
    /// What it said last, if it is running.
    pub(crate) progress: Option<JobProgress>,
}

/// The identity a Job of this client carries; `None` if it is not one this operator made (its name says what its
/// identity hashes to, so an edited annotation is noticed).
pub(crate) fn identity_of(client: &str, job: &Job) -> Option<JobIdentity> {
    let name = job.metadata.name.as_deref()?;
    let text = job.metadata.annotations.as_ref()?.get(names::ANNOTATION_IDENTITY)?;
    let identity: JobIdentity = serde_json::from_str(text).ok()?;
    (identity.job_name(client) == name).then_some(identity)
}

/// Whether the Job has ended, well or not.
pub(crate) fn is_finished(job: &Job) -> bool {
    ["Complete", "Failed"]
        .iter()
        .any(|kind| condition_time(job, kind).is_some())
}

/// What is known of a Job. The gateway's line counts first; the pods' termination messages are for the case that the
/// gateway lost it. `gateway_answered`: an ended Job without a result is given up only if the gateway said it has none.
pub(crate) fn observe(
    job: &Job,
    identity: JobIdentity,
    pods: &[impl AsRef<Pod>],
    gateway_result: Option<&str>,
    gateway_answered: bool,
    now: Timestamp,
) -> ObservedJob {
    let name = job.metadata.name.clone().unwrap_or_default();
    let done = |state, problem, failed_at| ObservedJob {
        name: name.clone(),
        identity: identity.clone(),
        state,
        problem,
        failed_at,
        progress: None,
    };
    let lines = gateway_result
        .into_iter()
        .chain(pods.iter().filter_map(|pod| success_line(pod.as_ref())));
    let mut discarded = None;
    for line in lines {
        match accept(line, &identity) {
            Ok(result) => return done(JobState::Succeeded(Box::new(result)), None, None),
            Err(why) => discarded = Some(why),
        }
    }
    if let Some(at) = condition_time(job, "Failed") {
        let (problem, retry) = failure(job, pods);
        return done(JobState::Failed { retry }, Some(problem), Some(at));
    }
    if let Some(at) = condition_time(job, "Complete") {
        if !gateway_answered && discarded.is_none() {
            return done(JobState::Running, None, None);
        }
        let why = discarded.unwrap_or("neither the gateway nor a pod has it");
        let problem = Problem::new(
            reason::TRAINER_INCOMPATIBLE,
            format!(
                "Job {name} ended well but its result cannot be used: {why}; is the trainer image of this version?"
            ),
        );
        return done(JobState::Failed { retry: true }, Some(problem), Some(at));
    }
    if pods.iter().any(|pod| phase(pod.as_ref()) == "Running") {
        return done(JobState::Running, None, None);
    }
    done(JobState::Pending, pending_problem(job, pods, now), None)
}

/// A result counts only if it answers this very identity, in a version we know.
pub(crate) fn accept(line: &str, identity: &JobIdentity) -> Result<JobResult, &'static str> {
    if line.len() > MAX_RESULT_BYTES {
        return Err("it is longer than a result may be");
    }
    let result: JobResult = serde_json::from_str(line.trim()).map_err(|_| "it is not a result document")?;
    // The version before the current one is accepted too; there is none before the first.
    if result.version == 0 || result.version > DOCUMENT_VERSION || result.version + 1 < DOCUMENT_VERSION {
        return Err("its version is not one this operator knows");
    }
    if result.identity_hash != identity.hash() {
        return Err("it answers another input");
    }
    let step = match result.outcome {
        StepResult::Check(_) => Step::Check,
        StepResult::Train(_) => Step::Train,
        StepResult::Vote(_) => Step::Vote,
    };
    if step == identity.step {
        Ok(result)
    } else {
        Err("it is the result of another step")
    }
}

fn success_line(pod: &Pod) -> Option<&str> {
    let ended = terminated(pod)?;
    (ended.exit_code == 0).then_some(ended.message.as_deref()?.trim().lines().last()?)
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses
        .iter()
        .find(|status| status.name == CONTAINER)?
        .state
        .as_ref()?
        .terminated
        .as_ref()
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// When the Job got this condition; `None` if it has not.
fn condition_time(job: &Job, kind: &str) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|c| c.type_ == kind && c.status == "True")?;
    let at = condition
        .last_transition_time
        .as_ref()
        .map_or(0, |time| time.0.as_second());
    Some(Timestamp(u64::try_from(at).unwrap_or(0)))
}

/// The newest pod that says how it ended decides what is said; the trainer's own line goes with it.
fn failure(job: &Job, pods: &[impl AsRef<Pod>]) -> (Problem, bool) {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if let Some(ended) = pods
        .iter()
        .filter_map(|pod| terminated(pod.as_ref()))
        .find(|t| t.exit_code != 0)
    {
        let (mut problem, retry) = exit_problem(name, ended);
        let beside = pods.iter().find_map(|pod| sdk::last_end(pod.as_ref()));
        return match beside {
            Some(beside) if ended.exit_code == ExitCode::Transient as i32 => {
                tell_of_the_container(&mut problem, beside);
                (problem, retry)
            }
            _ => (problem, retry),
        };
    }
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let failed = conditions.into_iter().find(|c| c.type_ == "Failed");
    let why = failed.and_then(|c| c.reason.as_deref()).unwrap_or("unknown reason");
    let message = failed
        .and_then(|c| c.message.as_deref())
        .unwrap_or("no pod is left to tell");
    match why {
        "DeadlineExceeded" => (
            Problem::new(
                reason::JOB_FAILED,
                format!("Job {name} was ended at its deadline: {message}; give the trainer more resources"),
            ),
            false,
        ),
        _ => (
            Problem::new(reason::JOB_FAILED, format!("Job {name} failed ({why}): {message}")),
            true,
        ),
    }
}

/// The container of FLock's SDK was restarted: why it ended is worth more than that its connection broke.
fn tell_of_the_container(problem: &mut Problem, ended: &ContainerStateTerminated) {
    let name = sdk::CONTAINER;
    if ended.reason.as_deref() == Some("OOMKilled") {
        problem.reason = reason::MEMORY;
        problem.message +=
            &format!("; container {name} used more memory than it may: raise spec.trainer.resources.limits.memory");
    } else {
        problem.message += &format!(
            "; container {name} had ended with exit code {}: see `kubectl logs --previous -c {name}`",
            ended.exit_code
        );
    }
}

fn exit_problem(job: &str, ended: &ContainerStateTerminated) -> (Problem, bool) {
    let line = ended.message.as_deref().map(str::trim).filter(|m| !m.is_empty());
    let said = line
        .and_then(|m| m.lines().last())
        .unwrap_or("the trainer left no message");
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let code = ended.exit_code;
    let oom = ended.reason.as_deref() == Some("OOMKilled");
    let (reason, what, retry) = match ExitCode::from_code(code) {
        Some(ExitCode::Data) => (
            reason::DATA_INVALID,
            "mend the volume; it is checked again by itself after a while",
            false,
        ),
        Some(ExitCode::Definition) => (
            reason::DEFINITION_INVALID,
            "this trainer cannot run the task's definition: use another image",
            false,
        ),
        Some(ExitCode::Memory) => {
            // 137 is also how a pod ends that somebody killed.
            (
                reason::MEMORY,
                "raise spec.trainer.resources.limits.memory",
                code == 137 && !oom,
            )
        }
        Some(ExitCode::Input) => (
            reason::TRAINER_INCOMPATIBLE,
            "operator and trainer image are of versions that do not fit: use the same",
            false,
        ),
        Some(ExitCode::Device) => (
            reason::DEVICE_MISSING,
            "request the device in spec.trainer.resources, or ask for another device",
            false,
        ),
        Some(ExitCode::Refused) => (reason::UPLOAD_REFUSED, "see the gateway's log for this Job", false),
        Some(ExitCode::Transient | ExitCode::Stopped) => (reason::JOB_FAILED, "it is tried again", true),
        Some(ExitCode::Ok) | None => (
            reason::JOB_FAILED,
            "that is no exit code of the trainer: is the image one?",
            true,
        ),
    };
    (
        Problem::new(reason, format!("Job {job}: {said} (exit code {code}); {what}")),
        retry,
    )
}
