//! Tasks for containers of FLock's SDK: who may compute them, and what their pods are made of.

use crds::{
    conditions::{reason, types},
    flclient::{EnvValue, FlockSdkSpec, PullPolicy},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::PodSpec};
use kube::ResourceExt;
use protocol::{
    definition::TaskDefinition,
    job::{DataFormat, Step},
};
use serde_json::{Value, json};

use crate::{
    cluster::Key,
    testing::{World, checked},
};

const OURS: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

fn definition() -> Value {
    json!({
        "schemaVersion": 1,
        "flockSdk": {"image": format!("sha256:{OURS}"), "cpu": "arm64"},
        "evaluation": {"metric": "loss", "direction": "lowerIsBetter", "epsilon": "0.05"},
        "maxModelBytes": 1_000_000,
    })
}

/// The task's definition is for containers.
fn for_containers(world: &World) {
    let document = definition();
    let hash = TaskDefinition::parse(document.to_string().as_bytes()).unwrap().hash();
    world.cluster.edit(|state| {
        let task = state.tasks.get_mut(&Key::new("team", "digits")).unwrap();
        task.spec.definition = Some(crds::definition::DefinitionDocument(document));
    });
    world.chain.edit(|state| state.now.parameters.definition_hash = hash);
}

/// The client brings a container with this digest.
fn bring(world: &World, digest: &str) {
    world.cluster.edit(|state| {
        let client = state.clients.get_mut(&world.key).unwrap();
        client.spec.data.format = DataFormat::Json;
        client.spec.trainer.flock_sdk = Some(FlockSdkSpec {
            image: format!("registry.example:5000/model@sha256:{digest}"),
            image_pull_policy: Some(PullPolicy::Never),
            args: vec!["--conf".to_owned(), "small.yaml".to_owned()],
            env: vec![
                EnvValue {
                    name: "FLOCKIT_CONF".to_owned(),
                    value: "small".to_owned(),
                },
                EnvValue {
                    name: "HOME".to_owned(),
                    value: "/tmp/home".to_owned(),
                },
            ],
            ..FlockSdkSpec::default()
        });
    });
}

async fn refused(world: &World) -> (String, String) {
    world.reconcile().await.unwrap();
    assert!(world.jobs(Step::Check).is_empty(), "no Job is made");
    assert!(world.chain.sent().is_empty(), "nothing is spent");
    world.condition(types::READY, "False").expect("Ready=False")
}

async fn check_job() -> (World, Job) {
    let world = World::new();
    for_containers(&world);
    bring(&world, OURS);
    world.reconcile().await.unwrap();
    let job = world.job(Step::Check);
    (world, job)
}

fn pod(job: &Job) -> PodSpec {
    job.spec.clone().unwrap().template.spec.unwrap()
}

#[tokio::test]
async fn a_trainer_of_ours_cannot_enter_a_task_for_containers() {
    let world = World::new();
    for_containers(&world);
    let (why, message) = refused(&world).await;
    assert_eq!(why, reason::TRAINER_INCOMPATIBLE);
    assert!(
        message.contains("set spec.trainer.flockSdk.image to an image with digest sha256:5a5a"),
        "{message}"
    );
}

#[tokio::test]
async fn a_container_cannot_enter_a_task_for_our_trainer() {
    let world = World::new();
    bring(&world, OURS);
    let (why, message) = refused(&world).await;
    assert_eq!(why, reason::TRAINER_INCOMPATIBLE);
    assert!(message.contains("remove spec.trainer.flockSdk"), "{message}");
}

#[tokio::test]
async fn another_image_than_the_definitions_is_refused_before_a_job_is_made_and_the_right_one_goes_on() {
    let world = World::new();
    for_containers(&world);
    let other = OURS.replace("5a", "5b");
    bring(&world, &other);
    let (why, message) = refused(&world).await;
    assert_eq!(why, reason::TRAINER_INCOMPATIBLE);
    assert!(message.contains(OURS) && message.contains(&other), "{message}");
    bring(&world, OURS);
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
}

#[tokio::test]
async fn what_the_api_server_would_refuse_is_refused_here_too() {
    let world = World::new();
    for_containers(&world);
    bring(&world, OURS);
    world
        .cluster
        .edit(|state| state.clients.get_mut(&world.key).unwrap().spec.data.format = DataFormat::Csv);
    assert_eq!(refused(&world).await.0, reason::SPEC_INVALID);
    bring(&world, "latest");
    let (why, message) = refused(&world).await;
    assert_eq!(why, reason::SPEC_INVALID);
    assert!(message.contains("names no digest"), "{message}");
}

#[tokio::test]
async fn the_container_is_a_sidecar_with_the_data_and_the_resources_and_nothing_of_the_agents() {
    let (world, job) = check_job().await;
    let pod = pod(&job);
    let sidecars = pod.init_containers.as_ref().unwrap();
    assert_eq!(sidecars.len(), 1);
    let container = &sidecars[0];
    assert_eq!(container.restart_policy.as_deref(), Some("Always"));
    assert_eq!(
        container.image.as_deref(),
        Some(format!("registry.example:5000/model@sha256:{OURS}").as_str())
    );
    assert_eq!(container.image_pull_policy.as_deref(), Some("Never"));
    assert_eq!(
        (container.command.as_ref(), container.args.as_ref().map(Vec::len)),
        (None, Some(2))
    );
    let mounts: Vec<(&str, &str, Option<&str>, Option<bool>)> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|m| {
            (
                m.name.as_str(),
                m.mount_path.as_str(),
                m.sub_path.as_deref(),
                m.read_only,
            )
        })
        .collect();
    assert_eq!(
        mounts,
        [
            ("shm", "/dev/shm", None, Some(false)),
            ("data", "/dataset.json", Some("client-0/dataset.json"), Some(true)),
            ("flock-sdk-scratch", "/tmp", None, Some(false)),
        ]
    );
    let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
    assert_eq!(
        (limits["nvidia.com/gpu"].0.as_str(), limits["memory"].0.as_str()),
        ("1", "2Gi")
    );
    let variables: Vec<(&str, &str)> = container
        .env
        .iter()
        .flatten()
        .map(|variable| {
            assert!(variable.value_from.is_none());
            (variable.name.as_str(), variable.value.as_deref().unwrap())
        })
        .collect();
    assert!(container.env_from.is_none());
    assert_eq!(variables.iter().filter(|(name, _)| *name == "HOME").count(), 1);
    assert!(variables.contains(&("HOME", "/tmp/home")) && variables.contains(&("FLOCKIT_CONF", "small")));
    // Only the agent has the token, and it is no larger than passing things on needs.
    let agent = &pod.containers[0];
    assert_eq!(agent.name, "trainer");
    let limits = agent.resources.as_ref().unwrap().limits.as_ref().unwrap();
    assert_eq!((limits["memory"].0.as_str(), limits.len()), ("512Mi", 1));
    let agents: Vec<&str> = agent
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| mount.name.as_str())
        .collect();
    assert_eq!(agents, ["input", "data", "scratch"]);
    assert_eq!(world.input(&job).data_format, DataFormat::Json);
}

#[tokio::test]
async fn the_container_is_as_confined_as_the_agent_and_runs_where_the_definition_says() {
    let (_, job) = check_job().await;
    let pod = pod(&job);
    let selector = pod.node_selector.as_ref().unwrap();
    assert_eq!(
        (selector["kubernetes.io/arch"].as_str(), selector["pool"].as_str()),
        ("arm64", "gpu")
    );
    assert_eq!(pod.automount_service_account_token, Some(false));
    let sidecar = pod.init_containers.as_ref().unwrap()[0]
        .security_context
        .clone()
        .unwrap();
    assert_eq!(Some(&sidecar), pod.containers[0].security_context.as_ref());
    assert_eq!(
        (sidecar.read_only_root_filesystem, sidecar.allow_privilege_escalation),
        (Some(true), Some(false))
    );
    assert_eq!(sidecar.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]));
    // The Job's fate is the agent's: how the sidecar is ended must not fail it.
    let rules = job.spec.unwrap().pod_failure_policy.unwrap().rules;
    let names: Vec<_> = rules.iter().filter_map(|rule| rule.on_exit_codes.as_ref()).collect();
    assert!(
        names
            .iter()
            .all(|codes| codes.container_name.as_deref() == Some("trainer"))
    );
}

#[tokio::test]
async fn a_container_that_was_killed_for_its_memory_or_cannot_be_pulled_is_named() {
    let (world, job) = check_job().await;
    let name = job.name_any();
    world.put_pod(
        &name,
        json!({
            "phase": "Pending",
            "initContainerStatuses": [{
                "name": "flock-sdk", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ErrImageNeverPull", "message": "not present" } },
            }],
            "containerStatuses": [{
                "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "PodInitializing" } },
            }],
        }),
    );
    world.reconcile().await.unwrap();
    let (why, message) = world.condition(types::READY, "False").expect("Ready=False");
    assert_eq!(why, reason::IMAGE_PULL);
    assert!(message.contains("check spec.trainer.flockSdk.image"), "{message}");

    world.put_pod(
        &name,
        json!({
            "phase": "Failed",
            "initContainerStatuses": [{
                "name": "flock-sdk", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
            }],
            "containerStatuses": [{
                "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 1, "message": "error: container: it ended" } },
            }],
        }),
    );
    world.set_job_condition(&name, "Failed", Some("BackoffLimitExceeded"));
    world.reconcile().await.unwrap();
    let (why, message) = world.condition(types::READY, "False").expect("Ready=False");
    assert_eq!(why, reason::MEMORY);
    assert!(
        message.contains("raise spec.trainer.resources.limits.memory"),
        "{message}"
    );
}
