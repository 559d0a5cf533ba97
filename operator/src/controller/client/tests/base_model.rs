//! Tasks whose module leaves its frozen weights to a base model: where its volumes go, and that it is verified once.

use crds::{
    conditions::{reason, types},
    flclient::{BaseModelVolume, DataVolume, PvcVolume},
};
use protocol::{
    definition::TaskDefinition,
    job::{BaseReport, JobInput, Step, StepResult},
    types::{B256, ModelHash, Role},
};
use serde_json::{Value, json};

use crate::{
    cluster::Key,
    testing::{World, checked},
};

const MANIFEST: u8 = 0xcd;
const STAMP: B256 = B256::repeat_byte(0x51);

fn definition() -> Value {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../../../protocol/src/definition/example.json")).unwrap();
    document["architecture"] = json!({ "torchscript": {
        "module": "ab".repeat(32), "moduleBytes": 100, "initialModel": "60".repeat(32),
        "inputShape": [1, 28, 28], "outputs": 10,
        "tensors": [{ "name": "head.bias", "shape": [10], "dtype": "F32" }],
        "baseModel": { "manifest": "cd".repeat(32), "prefix": "base." },
    }});
    document
}

/// The task's module has a base model.
fn with_base(world: &World) {
    let document = definition();
    let hash = TaskDefinition::parse(document.to_string().as_bytes()).unwrap().hash();
    world.cluster.edit(|state| {
        let task = state.tasks.get_mut(&Key::new("team", "digits")).unwrap();
        task.spec.definition = Some(crds::definition::DefinitionDocument(document));
    });
    world.chain.edit(|state| state.now.parameters.definition_hash = hash);
}

/// The client names a claim that holds it.
fn bring(world: &World, claim: &str) {
    world.cluster.edit(|state| {
        let spec = &mut state.clients.get_mut(&world.key).unwrap().spec;
        spec.base_models = vec![BaseModelVolume {
            name: "llama".to_owned(),
            volume: DataVolume {
                pvc: Some(PvcVolume {
                    claim_name: claim.to_owned(),
                    sub_path: Some("llama-8b".to_owned()),
                }),
                ..DataVolume::default()
            },
        }];
    });
}

fn verified() -> StepResult {
    let StepResult::Check(mut check) = checked() else {
        panic!("a check is expected")
    };
    check.base_model = Some(BaseReport {
        manifest: ModelHash(B256::repeat_byte(MANIFEST)),
        files: 4,
        bytes: 16_060_556_376,
        stamp: STAMP,
    });
    StepResult::Check(check)
}

#[tokio::test]
async fn a_client_without_the_base_model_is_told_to_name_a_volume_before_anything_is_spent() {
    let world = World::new();
    with_base(&world);
    world.reconcile().await.unwrap();
    assert!(world.jobs(Step::Check).is_empty() && world.chain.sent().is_empty());
    let (why, message) = world.condition(types::READY, "False").unwrap();
    assert_eq!(why, reason::VOLUME);
    assert!(
        message.contains(&"cd".repeat(32)) && message.contains("spec.baseModels"),
        "{message}"
    );
    bring(&world, "models");
    world.reconcile().await.unwrap();
    assert_eq!(world.jobs(Step::Check).len(), 1);
}

#[tokio::test]
async fn base_models_are_mounted_read_only_where_the_trainer_looks() {
    let world = World::new();
    with_base(&world);
    bring(&world, "models");
    world.reconcile().await.unwrap();
    let job = world.job(Step::Check);
    let pod = job.spec.as_ref().unwrap().template.spec.clone().unwrap();
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == "base-llama").unwrap();
    assert_eq!(
        (mount.sub_path.as_deref(), mount.read_only),
        (Some("llama-8b"), Some(true))
    );
    assert_eq!(world.input(&job).base_directories, [mount.mount_path.as_str()]);
    let volumes = pod.volumes.unwrap();
    let volume = volumes.iter().find(|volume| volume.name == "base-llama").unwrap();
    let claim = volume.persistent_volume_claim.as_ref().unwrap();
    assert_eq!((claim.claim_name.as_str(), claim.read_only), ("models", Some(true)));
}

/// What a training is told by a client that was drawn and whose status is as the check left it.
async fn training_after(check: &World, claim: &str) -> JobInput {
    let world = World::drawn(Role::Proposer);
    with_base(&world);
    bring(&world, claim);
    let preflight = check.status().preflight;
    assert!(preflight.is_some());
    world.cluster.edit(|state| {
        let client = state.clients.get_mut(&world.key).unwrap();
        client.status.get_or_insert_default().preflight = preflight;
    });
    world.reconcile().await.unwrap();
    world.input(&world.job(Step::Train))
}

#[tokio::test]
async fn what_the_check_verified_is_told_to_later_jobs_until_the_volumes_change() {
    let world = World::new();
    with_base(&world);
    bring(&world, "models");
    world.reconcile().await.unwrap();
    let check = world.job(Step::Check);
    assert_eq!(world.input(&check).base_verified, None);
    world.succeed(Step::Check, verified());
    world.reconcile().await.unwrap();
    let status = world.status().preflight.unwrap().base_model.unwrap();
    assert_eq!((status.files, status.bytes, status.stamp), (4, 16_060_556_376, STAMP));

    let same = training_after(&world, "models").await;
    assert_eq!(same.base_verified, Some(STAMP));
    let other = training_after(&world, "other-models").await;
    assert_eq!(other.base_verified, None);
    assert_ne!(same.identity.environment, other.identity.environment);
}
