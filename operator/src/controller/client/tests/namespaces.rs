//! What another namespace has cannot be used from here, whatever is written into a spec.

use crds::{
    SignerRef,
    conditions::{reason, types},
    signer::AwsKmsKey,
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::{
    cluster::Key,
    testing::{PRIVATE_KEY, World, client, signing_secret, task},
};

/// A Secret with a good key, of the right type, in another namespace.
fn theirs(namespace: &str, name: &str) -> Secret {
    let mut secret = signing_secret(name, PRIVATE_KEY);
    secret.metadata.namespace = Some(namespace.to_owned());
    secret
}

fn without_own_secret() -> World {
    let world = World::new();
    world.cluster.edit(|state| state.secrets.clear());
    world
}

fn signer(world: &World, signer: SignerRef) {
    world
        .cluster
        .edit(|state| state.clients.get_mut(&world.key).unwrap().spec.signer = signer);
}

fn refused(world: &World) -> String {
    assert!(world.chain.sent().is_empty());
    assert_eq!(world.status().address, None, "it learnt whose key it is");
    world.condition(types::READY, "False").unwrap().0
}

#[tokio::test]
async fn a_secret_of_that_name_in_another_namespace_is_none() {
    let world = without_own_secret();
    for namespace in ["other", "fl-alliance", "default", ""] {
        world.cluster.put_secret(theirs(namespace, "alpha-key"));
    }
    world.reconcile().await.unwrap();
    assert_eq!(refused(&world), reason::SECRET_MISSING);
}

#[tokio::test]
async fn a_name_that_is_a_path_leads_nowhere() {
    for name in [
        "other/alpha-key",
        "../other/alpha-key",
        "../../other/secrets/alpha-key",
        "%2e%2e/other/alpha-key",
        "..",
        "alpha-key?namespace=other",
        "",
    ] {
        let world = without_own_secret();
        world.cluster.put_secret(theirs("other", "alpha-key"));
        // Were the name taken as it is written, it would be found.
        world.cluster.edit(|state| {
            let secret = theirs("team", name);
            state.secrets.insert(Key::new("team", name), secret);
        });
        signer(&world, SignerRef::secret(name));
        world.reconcile().await.unwrap();
        assert_eq!(refused(&world), reason::SECRET_MISSING, "{name:?}");
    }
}

#[tokio::test]
async fn the_operators_own_secrets_are_no_signers() {
    // An operator that serves its own namespace too: the type keeps its Secrets apart.
    for type_ in [
        crds::names::SECRET_TYPE_LEDGER_SEED,
        crds::names::SECRET_TYPE_VOTE,
        crds::names::SECRET_TYPE_TOKEN_KEY,
        crds::names::SECRET_TYPE_JOB_INPUT,
        "kubernetes.io/tls",
        "Opaque",
    ] {
        let world = without_own_secret();
        let mut secret = theirs("team", "alpha-key");
        secret.type_ = Some(type_.to_owned());
        world.cluster.put_secret(secret);
        world.reconcile().await.unwrap();
        assert_eq!(refused(&world), reason::SECRET_TYPE, "{type_}");
    }
}

#[tokio::test]
async fn a_kms_key_that_this_namespace_was_not_granted_is_refused() {
    let world = without_own_secret();
    let key_id = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".to_owned();
    signer(
        &world,
        SignerRef {
            secret_ref: None,
            aws_kms: Some(AwsKmsKey { key_id }),
        },
    );
    world.reconcile().await.unwrap();
    assert_eq!(refused(&world), reason::KMS_NOT_GRANTED);
}

#[tokio::test]
async fn a_signer_of_none_or_of_both_kinds_is_refused() {
    let both = SignerRef {
        aws_kms: Some(AwsKmsKey {
            key_id: "alias/a".to_owned(),
        }),
        ..SignerRef::secret("alpha-key")
    };
    for named in [SignerRef::default(), both] {
        let world = World::new();
        signer(&world, named);
        world.reconcile().await.unwrap();
        assert_eq!(refused(&world), reason::SPEC_INVALID);
    }
}

#[tokio::test]
async fn a_task_of_that_name_in_another_namespace_is_none() {
    let world = World::new();
    let here = Key::new("team", "digits");
    let mut elsewhere = world.cluster.edit(|state| state.tasks.remove(&here)).unwrap();
    elsewhere.metadata.namespace = Some("other".to_owned());
    world.cluster.put_task(elsewhere);
    for name in ["digits", "other/digits", "../other/digits"] {
        world
            .cluster
            .edit(|state| state.clients.get_mut(&world.key).unwrap().spec.task_ref.name = name.to_owned());
        world.reconcile().await.unwrap();
        assert_eq!(refused(&world), reason::TASK_NOT_FOUND, "{name}");
    }
}

#[tokio::test]
async fn a_client_elsewhere_with_the_same_key_in_the_same_task_waits_for_the_older_one() {
    let world = World::new();
    let definition = world.cluster.edit(|state| {
        let task = &state.tasks[&Key::new("team", "digits")];
        serde_json::to_value(task.spec.definition.clone()).unwrap()
    });
    // The other namespace has the same contract, and somehow the same key.
    let mut their_task = task(crate::testing::CONTRACT, &definition);
    their_task.metadata.namespace = Some("other".to_owned());
    world.cluster.put_task(their_task);
    let mut older = client("alpha", "64000000000000000000".parse().unwrap());
    older.metadata.namespace = Some("other".to_owned());
    older.metadata.creation_timestamp = crds::rfc3339(protocol::types::Timestamp(1));
    assert!(older.namespace().is_some());
    world.cluster.put_client(older);
    world.cluster.put_secret(theirs("other", "alpha-key"));
    world.reconcile().await.unwrap();
    assert!(world.chain.sent().is_empty());
    assert_eq!(world.condition(types::READY, "False").unwrap().0, reason::SIGNER_IN_USE);
}
