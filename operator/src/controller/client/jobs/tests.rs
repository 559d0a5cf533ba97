use crds::flclient::CheckpointSpec;
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::api::resource::Quantity};
use protocol::{
    job::Step,
    types::{Address, Role, Score},
};

use super::claims;
use crate::{
    cluster::Key,
    gateway::JobClaims,
    testing::{PRIVATE_KEY, World, model, voted},
};

/// Every Job a client runs in its life: check, train, vote.
async fn jobs() -> Vec<(World, Job)> {
    let mut all = Vec::new();
    let world = World::new();
    world.reconcile().await.unwrap();
    let job = world.job(Step::Check);
    all.push((world, job));
    for (role, step) in [(Role::Proposer, Step::Train), (Role::Voter, Step::Vote)] {
        let world = World::drawn(role);
        if role == Role::Voter {
            world.open_commit();
        }
        world.reconcile().await.unwrap();
        let job = world.job(step);
        all.push((world, job));
    }
    all
}

#[tokio::test]
async fn no_pod_can_hold_a_key_an_rpc_address_a_credential_or_a_service_account_token() {
    for (world, job) in jobs().await {
        let pod = job.spec.clone().unwrap().template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.enable_service_links, Some(false));
        assert_eq!(
            (pod.service_account_name.as_ref(), pod.host_network, pod.host_pid),
            (None, None, None)
        );
        for volume in pod.volumes.as_ref().unwrap() {
            assert!(volume.projected.is_none() && volume.host_path.is_none() && volume.config_map.is_none());
            let secret = volume
                .secret
                .as_ref()
                .map(|secret| secret.secret_name.as_deref().unwrap());
            assert!(
                secret.is_none_or(|name| Some(name) == job.metadata.name.as_deref()),
                "{volume:?}"
            );
        }
        let container = &pod.containers[0];
        assert!(container.env_from.is_none());
        for variable in container.env.as_ref().unwrap() {
            assert!(variable.value_from.is_none());
            assert_eq!(variable.value.as_deref(), Some("/scratch"));
        }
        // What the mounted Secret says: neither the key, nor where the chain is, nor any other Secret.
        let key = Key::new("team", job.metadata.name.clone().unwrap());
        let secret = world.cluster.edit(|state| state.secrets[&key].clone());
        let data = secret.data.unwrap();
        let names: Vec<_> = data.keys().map(String::as_str).collect();
        assert_eq!(names, ["ca.crt", "input.json", "token"]);
        let everything: String = data
            .values()
            .map(|value| String::from_utf8_lossy(&value.0).into_owned())
            .collect();
        let everything = everything + &serde_json::to_string(&job).unwrap();
        for secret in [PRIVATE_KEY, "rpc", "alpha-key", "ledger"] {
            assert!(!everything.contains(secret), "{secret} in {everything}");
        }
    }
}

#[tokio::test]
async fn pods_meet_pod_security_restricted() {
    for (_, job) in jobs().await {
        let pod = job.spec.unwrap().template.spec.unwrap();
        let context = pod.security_context.unwrap();
        assert_eq!(
            (context.run_as_non_root, context.run_as_user),
            (Some(true), Some(65532))
        );
        assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
        for container in &pod.containers {
            let context = container.security_context.as_ref().unwrap();
            assert_eq!(context.allow_privilege_escalation, Some(false));
            assert_eq!(context.read_only_root_filesystem, Some(true));
            let capabilities = context.capabilities.as_ref().unwrap();
            assert_eq!(
                (capabilities.drop.as_deref(), &capabilities.add),
                (Some(&["ALL".to_owned()][..]), &None)
            );
        }
    }
}

#[tokio::test]
async fn the_data_is_mounted_read_only_and_scratch_has_its_size() {
    for (_, job) in jobs().await {
        let pod = job.spec.unwrap().template.spec.unwrap();
        let mounts = pod.containers[0].volume_mounts.clone().unwrap();
        let mount = |name: &str| mounts.iter().find(|mount| mount.name == name).unwrap();
        assert_eq!(mount("data").mount_path, "/var/run/fl-alliance-data");
        assert_eq!(mount("data").sub_path.as_deref(), Some("client-0"));
        assert_eq!(
            (mount("data").read_only, mount("input").read_only),
            (Some(true), Some(true))
        );
        let volumes = pod.volumes.unwrap();
        let volume = |name: &str| volumes.iter().find(|volume| volume.name == name).unwrap();
        let claim = volume("data").persistent_volume_claim.as_ref().unwrap();
        assert_eq!((claim.claim_name.as_str(), claim.read_only), ("images", Some(true)));
        assert_eq!(
            volume("scratch")
                .empty_dir
                .as_ref()
                .unwrap()
                .size_limit
                .as_ref()
                .unwrap()
                .0,
            "4Gi"
        );
        let shm = volume("shm").empty_dir.as_ref().unwrap();
        assert_eq!(
            (shm.medium.as_deref(), shm.size_limit.as_ref().unwrap().0.as_str()),
            (Some("Memory"), "1Gi")
        );
        assert_eq!(mount("shm").mount_path, "/dev/shm");
    }
}

#[tokio::test]
async fn a_job_carries_what_the_spec_says_about_running_it() {
    for (world, job) in jobs().await {
        let metadata = &job.metadata;
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!(labels["fl-alliance.io/client"], "alpha");
        assert_eq!(labels["fl-alliance.io/task"], "digits");
        assert_eq!(labels["kueue.x-k8s.io/queue-name"], "research");
        let owner = &metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.name.as_str(), owner.controller),
            ("FLClient", "alpha", Some(true))
        );
        assert_eq!(
            metadata.name.as_deref(),
            Some(world.input(&job).identity.job_name("alpha").as_str())
        );
        let spec = job.spec.as_ref().unwrap();
        assert_eq!(spec.backoff_limit, Some(2));
        assert!(spec.active_deadline_seconds.unwrap() > 60);
        assert_eq!(spec.ttl_seconds_after_finished, None);
        let pod = spec.template.spec.as_ref().unwrap();
        assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
        assert_eq!(pod.node_selector.as_ref().unwrap()["pool"], "gpu");
        assert_eq!(pod.tolerations.as_ref().unwrap()[0].key.as_deref(), Some("gpu"));
        assert_eq!(pod.runtime_class_name.as_deref(), Some("nvidia"));
        assert_eq!(pod.priority_class_name.as_deref(), Some("training"));
        assert_eq!(pod.image_pull_secrets.as_ref().unwrap()[0].name, "registry");
        let container = &pod.containers[0];
        assert_eq!(
            (container.name.as_str(), container.image.as_deref()),
            ("trainer", Some("fl-alliance/trainer:dev"))
        );
        assert_eq!(
            container.args,
            Some(vec![world.input(&job).identity.step.as_str().to_owned()])
        );
        let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
        assert_eq!(limits["nvidia.com/gpu"].0, "1");
    }
}

#[tokio::test]
async fn disruptions_do_not_count_and_final_exit_codes_fail_at_once() {
    for (_, job) in jobs().await {
        let rules = job.spec.unwrap().pod_failure_policy.unwrap().rules;
        assert_eq!(rules[0].action, "Ignore");
        assert_eq!(
            rules[0].on_pod_conditions.as_ref().unwrap()[0].type_,
            "DisruptionTarget"
        );
        let stopped = rules[1].on_exit_codes.as_ref().unwrap();
        assert_eq!(
            (rules[1].action.as_str(), stopped.values.as_slice()),
            ("Ignore", &[143][..])
        );
        assert_eq!(rules[2].action, "FailJob");
        let codes = rules[2].on_exit_codes.as_ref().unwrap();
        assert_eq!(
            (codes.operator.as_str(), codes.values.as_slice()),
            ("In", &[64, 65, 66, 67, 68, 69][..])
        );
    }
}

/// What a Job's token and pod allow an interrupted training: bytes at the gateway, and seconds to answer SIGTERM.
fn leave(world: &World, job: &Job) -> (u64, i64) {
    let key = Key::new("team", job.metadata.name.clone().unwrap());
    let secret = world.cluster.edit(|state| state.secrets[&key].clone());
    let claims: JobClaims = serde_json::from_slice(&secret.data.unwrap()["token"].0).unwrap();
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    (claims.checkpoint_bytes, pod.termination_grace_period_seconds.unwrap())
}

#[tokio::test]
async fn a_training_keeps_checkpoints_at_the_gateway_only_if_its_client_says_so() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    let job = world.job(Step::Train);
    let terms = world.input(&job).checkpoints.unwrap();
    assert_eq!((terms.every_seconds, terms.gateway_bytes), (60, None));
    assert_eq!(terms.scratch_bytes, Some(4 << 30));
    assert_eq!(leave(&world, &job), (0, 30));

    for (role, step) in [(Role::Proposer, Step::Train), (Role::Voter, Step::Vote)] {
        let world = World::drawn(role);
        if role == Role::Voter {
            world.open_commit();
        }
        world.cluster.edit(|state| {
            let spec = &mut state.clients.get_mut(&world.key).unwrap().spec;
            spec.trainer.checkpoints = Some(CheckpointSpec {
                every_seconds: Some(30),
                gateway_size: Some(Quantity("1.5Gi".to_owned())),
            });
        });
        world.reconcile().await.unwrap();
        let job = world.job(step);
        let terms = world.input(&job).checkpoints;
        if step == Step::Vote {
            assert_eq!((terms, leave(&world, &job)), (None, (0, 10)));
        } else {
            let terms = terms.unwrap();
            assert_eq!((terms.every_seconds, terms.gateway_bytes), (30, Some(3 << 29)));
            assert_eq!(leave(&world, &job), (3 << 29, 30));
        }
    }
}

#[tokio::test]
async fn the_holders_of_an_accepted_model_are_those_who_revealed_it_ourselves_first() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    world.open_reveal();
    world.reconcile().await.unwrap();
    let settled = world.chain.edit(|state| {
        let vote = state.now.participant(world.address).unwrap().vote;
        for voter in state
            .now
            .participants
            .iter_mut()
            .filter(|p| p.account == Address::repeat_byte(5))
        {
            voter.vote = vote;
        }
        state.now.clone()
    });
    let holders = claims::holders(&settled, model(0x77), world.address);
    assert_eq!(holders, [world.address, Address::repeat_byte(5)]);
    assert!(claims::holders(&settled, model(0x78), world.address).is_empty());
}
