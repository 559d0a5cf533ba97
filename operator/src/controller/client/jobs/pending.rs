//! Why a pod does not start, in words a person can act on.

use crds::conditions::reason;
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ContainerStateWaiting, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use protocol::types::Timestamp;

use super::sdk;
use crate::controller::client::problem::Problem;

/// A container may be "creating" this long before it is worth a word: pulling an image says nothing while it goes well.
const CREATING_SECONDS: u64 = 20;

/// What holds up a Job that has not started running, if it is more than the usual few seconds.
pub(crate) fn pending_problem(job: &Job, pods: &[impl AsRef<Pod>], now: Timestamp) -> Option<Problem> {
    let Some(pod) = pods.iter().map(AsRef::as_ref).find(|pod| phase(pod) == "Pending") else {
        return without_pod(job, pods.is_empty(), now);
    };
    unschedulable(pod)
        .or_else(|| waiting(pod))
        .or_else(|| creating(pod, now))
}

fn without_pod(job: &Job, no_pods: bool, now: Timestamp) -> Option<Problem> {
    let spec = job.spec.as_ref()?;
    if spec.suspend == Some(true) {
        let queue = job
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(crds::names::LABEL_QUEUE));
        return Some(Problem::new(
            reason::QUEUED,
            match queue {
                Some(queue) => format!("the Job waits to be admitted by queue {queue:?}"),
                None => "the Job is suspended by somebody else; resume or delete it".to_owned(),
            },
        ));
    }
    let old = older_than(job.metadata.creation_timestamp.as_ref(), now, CREATING_SECONDS);
    (no_pods && old).then(|| {
        Problem::new(
            reason::POD_NOT_ADMITTED,
            "no pod is created for the Job: a quota, an admission policy or a missing priority or runtime class \
             stands in the way; see `kubectl describe job`",
        )
    })
}

/// No node takes the pod. The scheduler's own words are the best there are.
fn unschedulable(pod: &Pod) -> Option<Problem> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"))?;
    let message = condition.message.as_deref().unwrap_or("no node fits");
    if message.contains("persistentvolumeclaim") || message.contains("PersistentVolumeClaim") {
        return Some(Problem::new(
            reason::VOLUME,
            format!(
                "a volume is not there: {message}; create the claim named in spec.data or spec.baseModels, or bind it"
            ),
        ));
    }
    Some(Problem::new(
        reason::UNSCHEDULABLE,
        format!(
            "no node can run the trainer: {message}; change spec.trainer (resources, nodeSelector, tolerations) or add \
             a node"
        ),
    ))
}

/// The kubelet tried and says why not.
fn waiting(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    // What runs beside the trainer starts first.
    let mut statuses = [&status.init_container_statuses, &status.container_statuses]
        .into_iter()
        .flatten()
        .flatten();
    let (container, waiting): (&str, &ContainerStateWaiting) =
        statuses.find_map(|s| Some((s.name.as_str(), s.state.as_ref()?.waiting.as_ref()?)))?;
    let field = if container == sdk::CONTAINER {
        "spec.trainer.flockSdk"
    } else {
        "spec.trainer"
    };
    let why = waiting.reason.as_deref()?;
    let said = waiting.message.as_deref().unwrap_or(why);
    match why {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Some(Problem::new(
            reason::IMAGE_PULL,
            format!(
                "the {container}'s image cannot be pulled ({why}): {said}; check {field}.image, imagePullPolicy and \
                 imagePullSecrets"
            ),
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some(Problem::new(
            reason::JOB_FAILED,
            format!("the {container}'s container cannot be started ({why}): {said}"),
        )),
        _ => None,
    }
}

/// Scheduled, but neither running nor refused: most often a volume that does not mount, which only Events tell.
fn creating(pod: &Pod, now: Timestamp) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let scheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "True")?;
    older_than(scheduled.last_transition_time.as_ref(), now, CREATING_SECONDS).then(|| {
        Problem::new(
            reason::VOLUME,
            format!(
                "pod {} is on its node and does not start: an image is still being pulled or a volume cannot be \
                 mounted; see `kubectl describe pod`",
                pod.metadata.name.as_deref().unwrap_or("of the Job")
            ),
        )
    })
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

fn older_than(time: Option<&Time>, now: Timestamp, seconds: u64) -> bool {
    time.and_then(|time| u64::try_from(time.0.as_second()).ok())
        .is_some_and(|time| now.0 >= time.saturating_add(seconds))
}
