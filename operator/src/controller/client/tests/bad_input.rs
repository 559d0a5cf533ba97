//! Each kind of bad input ends in a condition with a reason, costs nothing on chain, and recovers when mended.

use crds::conditions::{reason, types};
use k8s_openapi::{ByteString, apimachinery::pkg::api::resource::Quantity};
use kube::ResourceExt;
use protocol::{
    job::Step,
    types::{Role, Score, Timestamp},
};
use serde_json::json;

use crate::{
    cluster::Key,
    testing::{PRIVATE_KEY, START, World, checked, model, result_line, signing_secret, trained, voted},
};

fn key_secret() -> Key {
    Key::new("team", "alpha-key")
}

/// The reason on `Ready` and on `condition`; nothing was sent.
pub(super) fn held(world: &World, condition: Option<&str>) -> String {
    assert!(world.chain.sent().is_empty());
    let (why, message) = world.condition(types::READY, "False").expect("Ready=False");
    assert!(message.len() > 20, "{message}");
    if let Some(condition) = condition {
        assert_eq!(world.condition(condition, "False").expect("the condition").0, why);
    }
    why
}

/// From here on everything is well.
pub(super) async fn recovers(world: &World) {
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
    assert_eq!(world.condition(types::READY, "True").unwrap().0, reason::RUNNING);
    assert!(world.condition(types::STALLED, "True").is_none());
}

#[tokio::test]
async fn a_missing_secret() {
    let world = World::new();
    world.cluster.edit(|state| state.secrets.remove(&key_secret()));
    let next = world.reconcile().await.unwrap();
    assert!(next.is_some_and(|next| next.as_secs() <= 30));
    assert_eq!(held(&world, Some(types::SIGNER_AVAILABLE)), reason::SECRET_MISSING);
    assert_eq!(
        world.condition(types::STALLED, "True").unwrap().0,
        reason::SECRET_MISSING
    );
    world.cluster.put_secret(signing_secret("alpha-key", PRIVATE_KEY));
    recovers(&world).await;
}

#[tokio::test]
async fn a_secret_of_another_type_or_content() {
    let world = World::new();
    world
        .cluster
        .edit(|state| state.secrets.get_mut(&key_secret()).unwrap().type_ = Some("Opaque".to_owned()));
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, Some(types::SIGNER_AVAILABLE)), reason::SECRET_TYPE);
    let mut garbled = signing_secret("alpha-key", PRIVATE_KEY);
    garbled.data = Some([("privateKey".to_owned(), ByteString(b"not a key".to_vec()))].into());
    world.cluster.put_secret(garbled);
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, Some(types::SIGNER_AVAILABLE)), reason::SECRET_INVALID);
    world.cluster.put_secret(signing_secret("alpha-key", PRIVATE_KEY));
    recovers(&world).await;
}

#[tokio::test]
async fn another_key_in_the_secret_after_staking() {
    let world = World::new();
    recovers(&world).await;
    let other = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
    world.cluster.put_secret(signing_secret("alpha-key", other));
    world.reconcile().await.unwrap();
    let (why, message) = world.condition(types::SIGNER_AVAILABLE, "False").unwrap();
    assert_eq!(why, reason::SIGNER_CHANGED);
    assert!(message.contains(&world.address.to_string()), "{message}");
    assert_eq!(world.chain.sent().len(), 3);
}

#[tokio::test]
async fn a_task_that_is_not_there_or_not_ready() {
    let world = World::new();
    let task = Key::new("team", "digits");
    let object = world.cluster.edit(|state| state.tasks.remove(&task)).unwrap();
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::TASK_NOT_FOUND);
    let mut unresolved = object.clone();
    unresolved.status = None;
    world.cluster.put_task(unresolved);
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::TASK_NOT_READY);
    world.cluster.put_task(object);
    recovers(&world).await;
}

#[tokio::test]
async fn an_account_that_is_not_allowed() {
    let world = World::new();
    world.chain.edit(|state| state.now.accounts[0].allowed = false);
    let next = world.reconcile().await.unwrap();
    assert!(next.is_some());
    assert_eq!(held(&world, None), reason::NOT_ALLOWED);
    world.chain.edit(|state| state.now.accounts[0].allowed = true);
    recovers(&world).await;
}

#[tokio::test]
async fn data_in_the_wrong_format_is_said_with_the_trainers_words_and_checked_again_after_a_while() {
    let world = World::new();
    world.reconcile().await.unwrap();
    world.fail(Step::Check, 64, "epoch 0\nerror: images-idx3-ubyte has magic 0x1f8b");
    let next = world.reconcile().await.unwrap();
    assert_eq!(held(&world, Some(types::PREFLIGHT)), reason::DATA_INVALID);
    let message = world.condition(types::PREFLIGHT, "False").unwrap().1;
    assert!(message.contains("images-idx3-ubyte has magic 0x1f8b"), "{message}");
    assert!(next.is_some_and(|next| next.as_secs() <= 60));
    world.clock.set(START + 30);
    world.reconcile().await.unwrap();
    assert_eq!(world.jobs(Step::Check).len(), 1);

    world.clock.set(START + 61);
    world.reconcile().await.unwrap();
    assert!(world.jobs(Step::Check).is_empty(), "the failed Job goes");
    world.reconcile().await.unwrap();
    assert_eq!(world.jobs(Step::Check).len(), 1, "and is made again");
    assert_eq!(held(&world, None), reason::CHECKING);
    assert_eq!(
        world.condition(types::PREFLIGHT, "False").unwrap().0,
        reason::DATA_INVALID,
        "until the new one is through"
    );
    world.cluster.edit(|state| state.pods.clear());
    recovers(&world).await;
}

#[tokio::test]
async fn a_changed_spec_is_checked_at_once() {
    let world = World::new();
    world.reconcile().await.unwrap();
    let failed = world.job(Step::Check).name_any();
    world.fail(Step::Check, 66, "error: out of memory");
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, Some(types::PREFLIGHT)), reason::MEMORY);
    world.cluster.edit(|state| {
        let client = state.clients.get_mut(&world.key).unwrap();
        let limits = client.spec.trainer.resources.as_mut().unwrap().limits.as_mut().unwrap();
        limits.insert("memory".to_owned(), Quantity("8Gi".to_owned()));
        client.metadata.generation = Some(2);
    });
    world.reconcile().await.unwrap();
    assert_ne!(world.job(Step::Check).name_any(), failed);
    recovers(&world).await;
}

#[tokio::test]
async fn a_quantity_that_is_none() {
    let world = World::new();
    let scratch = |world: &World, size: &str| {
        let size = Some(Quantity(size.to_owned()));
        world
            .cluster
            .edit(|state| state.clients.get_mut(&world.key).unwrap().spec.trainer.scratch_size = size);
    };
    scratch(&world, "4 gigabytes");
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::SPEC_INVALID);
    scratch(&world, "4Gi");
    recovers(&world).await;
}

#[tokio::test]
async fn a_definition_that_does_not_hash_to_the_chains() {
    let world = World::new();
    let task = Key::new("team", "digits");
    let right = world.cluster.edit(|state| {
        let definition = &mut state.tasks.get_mut(&task).unwrap().spec.definition;
        let right = definition.clone();
        definition.as_mut().unwrap().0["seed"] = json!(2);
        right
    });
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::DEFINITION_MISMATCH);
    assert!(world.jobs(Step::Check).is_empty());
    world
        .cluster
        .edit(|state| state.tasks.get_mut(&task).unwrap().spec.definition = right);
    recovers(&world).await;
}

#[tokio::test]
async fn another_genesis_model_than_the_chains_is_not_joined() {
    let world = World::new();
    world.reconcile().await.unwrap();
    world
        .chain
        .edit(|state| state.now.parameters.genesis_model = model(0x61));
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::GENESIS_MISMATCH);
}

#[tokio::test]
async fn pods_that_do_not_start_are_reported_with_their_reason() {
    let unschedulable = |message: &str| {
        json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }
        ] })
    };
    let waiting = |reason: &str| {
        json!({ "phase": "Pending", "containerStatuses": [{
            "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": "Back-off pulling image" } },
        }] })
    };
    let cases = [
        (waiting("ImagePullBackOff"), reason::IMAGE_PULL),
        (waiting("ErrImageNeverPull"), reason::IMAGE_PULL),
        (
            unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
            reason::UNSCHEDULABLE,
        ),
        (
            unschedulable("persistentvolumeclaim \"images\" not found"),
            reason::VOLUME,
        ),
    ];
    for (status, expected) in cases {
        let world = World::new();
        world.reconcile().await.unwrap();
        let name = world.job(Step::Check).name_any();
        world.put_pod(&name, status);
        let next = world.reconcile().await.unwrap();
        assert!(next.is_some_and(|next| next.as_secs() <= 30));
        assert_eq!(held(&world, Some(types::PREFLIGHT)), expected);
        assert_eq!(world.condition(types::JOB_PENDING, "True").unwrap().0, expected);
        world.cluster.edit(|state| state.pods.clear());
        recovers(&world).await;
        assert!(world.condition(types::JOB_PENDING, "True").is_none());
    }
}

#[tokio::test]
async fn a_job_without_a_pod_and_a_pod_without_a_container_are_reported_after_a_while() {
    let world = World::new();
    world.reconcile().await.unwrap();
    let name = world.job(Step::Check).name_any();
    world.cluster.edit(|state| {
        let job = state.jobs.get_mut(&Key::new("team", &name)).unwrap();
        job.metadata.creation_timestamp = crds::rfc3339(Timestamp(START));
    });
    world.reconcile().await.unwrap();
    assert!(world.condition(types::JOB_PENDING, "True").is_none());
    world.clock.set(START + 25);
    world.reconcile().await.unwrap();
    assert_eq!(
        world.condition(types::JOB_PENDING, "True").unwrap().0,
        reason::POD_NOT_ADMITTED
    );
    let scheduled = crds::rfc3339(Timestamp(START));
    world.put_pod(
        &name,
        json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled }
    ] }),
    );
    world.reconcile().await.unwrap();
    assert_eq!(world.condition(types::JOB_PENDING, "True").unwrap().0, reason::VOLUME);
}

#[tokio::test]
async fn a_result_of_another_input_version_or_step_is_not_used() {
    let world = World::new();
    world.reconcile().await.unwrap();
    let job = world.job(Step::Check);
    let identity = world.input(&job).identity;
    let mut other = identity.clone();
    other.round.0 = 3;
    let foreign = result_line(&other, checked());
    let newer = result_line(&identity, checked()).replace("\"version\":1", "\"version\":9");
    let step = result_line(&identity, trained());
    for line in [foreign, newer, step, "{}".to_owned(), "x".repeat(4096)] {
        world.store.put_result("team", &job.name_any(), line);
        world.set_job_condition(&job.name_any(), "Complete", None);
        world.reconcile().await.unwrap();
        assert_eq!(held(&world, Some(types::PREFLIGHT)), reason::TRAINER_INCOMPATIBLE);
    }
    world
        .store
        .put_result("team", &job.name_any(), result_line(&identity, checked()));
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
}

#[tokio::test]
async fn a_result_that_the_gateway_lost_is_taken_from_the_termination_message() {
    let world = World::new();
    world.reconcile().await.unwrap();
    let job = world.job(Step::Check);
    let line = result_line(&world.input(&job).identity, checked());
    world.put_pod(
        &job.name_any(),
        json!({ "phase": "Succeeded", "containerStatuses": [{
        "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 0, "message": line } },
    }] }),
    );
    world.set_job_condition(&job.name_any(), "Complete", None);
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
}

#[tokio::test]
async fn a_damaged_ledger_stops_the_client_before_the_next_vote() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.cluster.edit(|state| {
        let mut seed = signing_secret("fl-alliance-ledger-seed", "short");
        seed.metadata.namespace = Some("fl-alliance".to_owned());
        state
            .secrets
            .insert(Key::new("fl-alliance", "fl-alliance-ledger-seed"), seed);
    });
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::LEDGER_INVALID);
    world.cluster.edit(|state| {
        state
            .secrets
            .remove(&Key::new("fl-alliance", "fl-alliance-ledger-seed"))
    });
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote"]);
}

#[tokio::test]
async fn a_refused_transaction_is_said_and_decided_anew() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    world.succeed(Step::Train, trained());
    world.chain.edit(|state| state.refuse = Some("WindowClosed"));
    let next = world.reconcile().await.unwrap();
    assert!(next.is_some_and(|next| next.as_secs() <= 2), "at the next block");
    assert_eq!(held(&world, None), reason::TRANSACTION_REVERTED);
    let message = world.condition(types::DUTY_AT_RISK, "True").unwrap().1;
    assert!(
        message.contains("contribute") && message.contains("WindowClosed"),
        "{message}"
    );
    world.chain.edit(|state| state.refuse = None);
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    assert!(world.condition(types::DUTY_AT_RISK, "True").is_none());
}
