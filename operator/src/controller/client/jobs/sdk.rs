//! The container of FLock's SDK: a sidecar of the agent. It starts before the agent and is ended when the agent ends, and
//! the Job's fate is the agent's alone.
//!
//! It is the user's own program and may have been fed a model that another participant made to take it over. So it gets
//! what it computes with (data, scratch, the resources of the spec) and nothing else: not the input document, not the
//! gateway's token, no Secret and no service-account token.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, ContainerPort, ContainerStateTerminated, Pod, ResourceRequirements, VolumeMount},
    apimachinery::pkg::api::resource::Quantity,
};
use protocol::job::{SDK_DATA_FILE, SDK_DATASET, SDK_PORT};

use super::pod::{confined, env, mount};
use crate::controller::client::validate::{SdkTemplate, TrainerTemplate};

/// Name of the sidecar.
pub(super) const CONTAINER: &str = "flock-sdk";
/// Name of its scratch volume.
pub(super) const SCRATCH: &str = "flock-sdk-scratch";
/// The agent passes models on block by block; most of this is libtorch, which it is linked to and does not use.
const AGENT_MEMORY: (&str, &str) = ("64Mi", "512Mi");
const AGENT_CPU: &str = "50m";

pub(super) fn agent_resources() -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), quantity(AGENT_CPU)),
            ("memory".to_owned(), quantity(AGENT_MEMORY.0)),
        ])),
        limits: Some(BTreeMap::from([("memory".to_owned(), quantity(AGENT_MEMORY.1))])),
        ..ResourceRequirements::default()
    }
}

pub(super) fn container(template: &SdkTemplate, trainer: &TrainerTemplate, mut mounts: Vec<VolumeMount>) -> Container {
    let file = match &trainer.data.sub_path {
        Some(folder) => format!("{}/{SDK_DATA_FILE}", folder.trim_end_matches('/')),
        None => SDK_DATA_FILE.to_owned(),
    };
    mounts.push(VolumeMount {
        sub_path: Some(file),
        ..mount("data", SDK_DATASET, true)
    });
    mounts.push(mount(SCRATCH, "/tmp", false));
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    // The root is read-only and the user has no name in most images: Python asks for both. The spec's own come last and
    // win.
    let mut variables = vec![
        env("HOME", "/tmp"),
        env("TMPDIR", "/tmp"),
        env("USER", "nonroot"),
        env("PYTHONUNBUFFERED", "1"),
    ];
    for (name, value) in &template.env {
        variables.retain(|variable| &variable.name != name);
        variables.push(env(name, value));
    }
    Container {
        name: CONTAINER.to_owned(),
        image: Some(template.image.clone()),
        image_pull_policy: template.pull_policy.clone(),
        restart_policy: Some("Always".to_owned()),
        command: given(&template.command),
        args: given(&template.args),
        env: Some(variables),
        ports: Some(vec![ContainerPort {
            name: Some("call".to_owned()),
            container_port: i32::from(SDK_PORT),
            ..ContainerPort::default()
        }]),
        resources: Some(trainer.resources.clone()),
        volume_mounts: Some(mounts),
        security_context: Some(confined()),
        ..Container::default()
    }
}

/// How the container ended last, if it ended by itself: the agent only sees a connection that breaks.
pub(super) fn last_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == CONTAINER)?;
    status.last_state.as_ref()?.terminated.as_ref()
}
