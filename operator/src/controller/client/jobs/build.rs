//! From a checked client and a job's identity to the objects in the cluster. Building cannot fail.
//!
//! A trainer pod knows its input document, a token for this one Job and the gateway's address: no key, no RPC
//! address, no bucket credential, no service-account token.

use std::collections::BTreeMap;

use crds::names;
use k8s_openapi::{
    ByteString,
    api::{
        batch::v1::{
            Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
            PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
        },
        core::v1::{PodTemplateSpec, Secret},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use protocol::{
    definition::Cpu,
    job::{CA_FILE, ExitCode, INPUT_FILE, JobInput, TOKEN_FILE},
};

use super::pod;
use crate::{cluster::Key, controller::client::validate::TrainerTemplate};

/// Pods that may fail before the Job does, disruptions not counted.
const BACKOFF_LIMIT: i32 = 2;
/// Seconds past `finishBy` after which Kubernetes ends what should have ended by itself.
const BACKSTOP_SECONDS: u64 = 120;

/// Everything a Job is made of.
#[derive(Debug)]
pub(crate) struct JobPlan<'a> {
    pub(crate) client: &'a Key,
    pub(crate) owner: &'a OwnerReference,
    /// Name of the FLTask.
    pub(crate) task: &'a str,
    pub(crate) trainer: &'a TrainerTemplate,
    /// What a container of FLock's SDK must run on.
    pub(crate) cpu: Option<Cpu>,
    pub(crate) input: JobInput,
    pub(crate) token: String,
    /// The gateway's CA certificate (PEM).
    pub(crate) gateway_ca: Option<&'a str>,
    /// Unix seconds.
    pub(crate) now: u64,
}

/// What is created together, the Secret first. Both carry the Job's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobObjects {
    pub(crate) secret: Secret,
    pub(crate) job: Job,
}

/// The objects of one Job.
pub(crate) fn build(plan: JobPlan<'_>) -> JobObjects {
    let identity = &plan.input.identity;
    let name = identity.job_name(&plan.client.name);
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "fl-alliance-trainer".to_owned()),
        (names::LABEL_COMPONENT.to_owned(), names::COMPONENT_TRAINER.to_owned()),
        (names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned()),
        (names::LABEL_CLIENT.to_owned(), plan.client.name.clone()),
        (names::LABEL_TASK.to_owned(), plan.task.to_owned()),
        (names::LABEL_ROUND.to_owned(), identity.round.to_string()),
        (names::LABEL_STEP.to_owned(), identity.step.as_str().to_owned()),
    ]);
    let metadata = |labels: &BTreeMap<String, String>| ObjectMeta {
        name: Some(name.clone()),
        namespace: Some(plan.client.namespace.clone()),
        labels: Some(labels.clone()),
        owner_references: Some(vec![plan.owner.clone()]),
        ..ObjectMeta::default()
    };
    let secret = Secret {
        metadata: metadata(&labels),
        immutable: Some(true),
        type_: Some(names::SECRET_TYPE_JOB_INPUT.to_owned()),
        data: Some(secret_data(&plan)),
        string_data: None,
    };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod::spec(plan.trainer, plan.cpu, identity.step, &name)),
    };
    if let Some(queue) = &plan.trainer.queue {
        labels.insert(names::LABEL_QUEUE.to_owned(), queue.clone());
    }
    let mut job_metadata = metadata(&labels);
    job_metadata.annotations = Some(BTreeMap::from([(
        names::ANNOTATION_IDENTITY.to_owned(),
        identity.canonical(),
    )]));
    let allowed = plan
        .input
        .finish_by
        .0
        .saturating_sub(plan.now)
        .saturating_add(BACKSTOP_SECONDS);
    let job = Job {
        metadata: job_metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            active_deadline_seconds: Some(i64::try_from(allowed).unwrap_or(i64::MAX)),
            pod_failure_policy: Some(failure_policy()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    };
    JobObjects { secret, job }
}

fn secret_data(plan: &JobPlan<'_>) -> BTreeMap<String, ByteString> {
    let mut data = BTreeMap::from([
        (
            INPUT_FILE.to_owned(),
            ByteString(serde_json::json!(plan.input).to_string().into_bytes()),
        ),
        (TOKEN_FILE.to_owned(), ByteString(plan.token.clone().into_bytes())),
    ]);
    if let Some(ca) = plan.gateway_ca {
        data.insert(CA_FILE.to_owned(), ByteString(ca.as_bytes().to_vec()));
    }
    data
}

/// A disruption (drain, preemption, eviction) does not count, and neither does a trainer that was told to stop: nobody
/// does that from inside. What another try cannot mend fails at once. The order matters: a disrupted pod also has an
/// exit code.
fn failure_policy() -> PodFailurePolicy {
    let on_exit = |action: &str, values: Vec<i32>| PodFailurePolicyRule {
        action: action.to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(pod::CONTAINER.to_owned()),
            operator: "In".to_owned(),
            values,
        }),
        on_pod_conditions: None,
    };
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_exit_codes: None,
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: Some("True".to_owned()),
                }]),
            },
            on_exit("Ignore", vec![ExitCode::Stopped as i32]),
            on_exit("FailJob", ExitCode::FINAL.to_vec()),
        ],
    }
}
