//! The trainer pod: Pod Security *restricted*, read-only root, data read-only, scratch of a fixed size.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference, PodSecurityContext, PodSpec,
        ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use protocol::{
    definition::Cpu,
    job::{BASE_DIRECTORY, DATA_DIRECTORY, INPUT_DIRECTORY, SCRATCH_DIRECTORY, Step},
};

use super::sdk;
use crate::controller::client::validate::TrainerTemplate;

/// Name of the trainer's container.
pub(crate) const CONTAINER: &str = "trainer";
/// The user every image of this project runs as.
const USER: i64 = 65532;
/// A check or a vote ends at once: a node drain need not wait.
const GRACE_SECONDS: i64 = 10;
/// A training leaves a checkpoint first; it takes at most 20 s for it.
const TRAINING_GRACE_SECONDS: i64 = 30;

/// Pod of one Job; `secret` is the per-Job Secret's name.
pub(super) fn spec(trainer: &TrainerTemplate, cpu: Option<Cpu>, step: Step, secret: &str) -> PodSpec {
    let mut volumes = vec![
        Volume {
            name: "input".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.to_owned()),
                // Readable by the trainer's user without an fsGroup, which would re-own the data volume.
                default_mode: Some(0o444),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "data".to_owned(),
            ..trainer.data.volume.clone()
        },
        empty_dir("scratch", None, &trainer.scratch_size),
    ];
    let mut mounts = vec![
        mount("input", INPUT_DIRECTORY, true),
        VolumeMount {
            sub_path: trainer.data.sub_path.clone(),
            ..mount("data", DATA_DIRECTORY, true)
        },
        mount("scratch", SCRATCH_DIRECTORY, false),
    ];
    for (name, base) in &trainer.base_models {
        let volume = format!("base-{name}");
        mounts.push(VolumeMount {
            sub_path: base.sub_path.clone(),
            ..mount(&volume, &format!("{BASE_DIRECTORY}/{name}"), true)
        });
        volumes.push(Volume {
            name: volume,
            ..base.volume.clone()
        });
    }
    let mut shm = Vec::new();
    if let Some(size) = &trainer.shm_size {
        volumes.push(empty_dir("shm", Some("Memory"), size));
        shm.push(mount("shm", "/dev/shm", false));
    }
    let mut node_selector = trainer.node_selector.clone();
    if let Some(cpu) = cpu {
        node_selector.insert("kubernetes.io/arch".to_owned(), cpu.as_str().to_owned());
    }
    let (resources, sidecar) = match &trainer.flock_sdk {
        None => {
            mounts.append(&mut shm);
            (trainer.resources.clone(), None)
        }
        Some(template) => {
            volumes.push(empty_dir(sdk::SCRATCH, None, &trainer.scratch_size));
            (
                sdk::agent_resources(),
                Some(vec![sdk::container(template, trainer, shm)]),
            )
        }
    };
    PodSpec {
        init_containers: sidecar,
        containers: vec![container(trainer, step, resources, mounts)],
        volumes: Some(volumes),
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        // Service variables would tell the pod the addresses of everything in the namespace, an RPC node included.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(match step {
            Step::Train => TRAINING_GRACE_SECONDS,
            Step::Check | Step::Vote => GRACE_SECONDS,
        }),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: (!trainer.pull_secrets.is_empty()).then(|| {
            trainer
                .pull_secrets
                .iter()
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect()
        }),
        node_selector: (!node_selector.is_empty()).then_some(node_selector),
        affinity: trainer.affinity.clone(),
        tolerations: (!trainer.tolerations.is_empty()).then(|| trainer.tolerations.clone()),
        runtime_class_name: trainer.runtime_class.clone(),
        priority_class_name: trainer.priority_class.clone(),
        ..PodSpec::default()
    }
}

fn container(
    trainer: &TrainerTemplate,
    step: Step,
    resources: ResourceRequirements,
    mounts: Vec<VolumeMount>,
) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(trainer.image.clone()),
        image_pull_policy: trainer.pull_policy.clone(),
        args: Some(vec![step.as_str().to_owned()]),
        // The root is read-only; libraries that want a home or a temporary directory find them in scratch.
        env: Some(vec![env("HOME", SCRATCH_DIRECTORY), env("TMPDIR", SCRATCH_DIRECTORY)]),
        resources: Some(resources),
        volume_mounts: Some(mounts),
        termination_message_path: Some("/dev/termination-log".to_owned()),
        termination_message_policy: Some("File".to_owned()),
        security_context: Some(confined()),
        ..Container::default()
    }
}

/// What every container of the pod may do: nothing beyond its own processes and what is mounted for writing.
pub(super) fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}

pub(super) fn env(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..EnvVar::default()
    }
}

pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

fn empty_dir(name: &str, medium: Option<&str>, size: &Quantity) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            size_limit: Some(size.clone()),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}
