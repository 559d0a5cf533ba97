//! The custom resources against a real API server: what it takes, what it refuses and with which words.

use std::path::PathBuf;

use crds::{DefinitionDocument, FLTask};
use e2e::{
    cluster,
    manifests::{TaskShape, client as client_manifest, created_task, definition, joined_task},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use protocol::definition::Definition;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::lab;

mod refused;

const NAMESPACE: &str = "fla-manifests";
const SALT: &str = "0x0000000000000000000000000000000000000000000000000000000000000001";

async fn prepared() -> Client {
    let (_, client) = lab().await;
    cluster::namespace(&client, NAMESPACE).await.expect("namespace");
    client
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let kind = object["kind"].as_str().expect("kind");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("fl-alliance.io", "v1alpha1", kind));
    match kind {
        "FLChain" => Api::all_with(client.clone(), &resource),
        _ => Api::namespaced_with(client.clone(), NAMESPACE, &resource),
    }
}

/// Asks the API server without storing anything.
async fn refusal(client: &Client, object: &Value) -> Option<String> {
    let typed: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api(client, object)
        .create(&dry, &typed)
        .await
        .err()
        .map(|error| error.to_string())
}

fn chain() -> Value {
    json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLChain", "metadata": {"name": "manifest-test"},
        "spec": {
            "chainId": 31337, "genesisHash": format!("0x{}", "1".repeat(64)),
            "rpc": {"secretRef": {"name": "rpc", "key": "urls"}},
        },
    })
}

fn task() -> Value {
    created_task(
        NAMESPACE,
        "task",
        "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512".parse().expect("address"),
        SALT,
        &TaskShape::default(),
    )
}

fn client_object() -> Value {
    client_manifest(NAMESPACE, "client", "task", 64, 1, "fl-alliance/trainer:dev")
}

fn round() -> Value {
    json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLRound",
        "metadata": {"namespace": NAMESPACE, "name": "task-r0000"},
        "spec": {"taskRef": {"name": "task"}, "chainId": 31337, "task": format!("0x{}", "2".repeat(40)), "round": 0},
    })
}

/// `object` with the value at a JSON pointer replaced, or taken out if it is null.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = object
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{pointer} has no parent"));
    let parent = parent.as_object_mut().expect("an object");
    if value.is_null() {
        parent.remove(key)
    } else {
        parent.insert(key.to_owned(), value)
    };
    object
}

#[tokio::test]
async fn good_manifests_are_taken() {
    let client = prepared().await;
    let joined = joined_task(
        NAMESPACE,
        "joined",
        "0x75537828f2ce51be7289709686A69CbFDbB714F1".parse().expect("address"),
    );
    for object in [chain(), task(), joined, client_object(), round()] {
        assert_eq!(refusal(&client, &object).await, None, "{object}");
    }
    for file in [
        "devnet/task.yaml",
        "devnet/task-paper.yaml",
        "devnet/clients.yaml",
        "table/task.yaml",
        "table/clients.yaml",
        "flock-sdk/task.yaml",
        "flock-sdk/clients.yaml",
        "client-gpu.yaml",
        "task-join.yaml",
        "chain-base.yaml",
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../samples").join(file);
        let text = std::fs::read_to_string(&path).expect("sample");
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).expect("YAML");
            if object["apiVersion"] == "fl-alliance.io/v1alpha1" {
                assert_eq!(refusal(&client, &object).await, None, "{file}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_immutable_cannot_be_changed_and_the_rest_can() {
    let client = prepared().await;
    let joined = joined_task(
        NAMESPACE,
        "fixed-joined",
        "0x75537828f2ce51be7289709686A69CbFDbB714F1".parse().expect("address"),
    );
    let objects = [
        with(chain(), "/metadata/name", json!("manifest-test-fixed")),
        with(task(), "/metadata/name", json!("fixed")),
        joined.clone(),
        with(client_object(), "/metadata/name", json!("fixed")),
        round(),
    ];
    for object in &objects {
        store(&client, object).await;
    }
    let [chain, task, joined, flclient, round] = &objects;
    let other = json!({"name": "other"});
    let refused = [
        (chain, json!({"chainId": 1}), "chainId is immutable"),
        (
            chain,
            json!({"genesisHash": format!("0x{}", "3".repeat(64))}),
            "genesisHash is immutable",
        ),
        (task, json!({"chainRef": other}), "chainRef is immutable"),
        (
            task,
            json!({"create": {"salt": SALT.replace('1', "2")}}),
            "create is immutable",
        ),
        (task, json!({"definition": {"seed": 2}}), "definition is immutable"),
        (
            task,
            json!({"definition": {"evaluation": {"epsilon": "0.050"}}}),
            "definition is immutable",
        ),
        (task, json!({"storeRef": other}), "storeRef is immutable"),
        (
            joined,
            json!({"contract": format!("0x{}", "4".repeat(40))}),
            "contract is immutable",
        ),
        (
            joined,
            json!({"definition": definition(&TaskShape::default())}),
            "definition is immutable",
        ),
        (flclient, json!({"taskRef": other}), "taskRef is immutable"),
        (flclient, json!({"signer": {"secretRef": other}}), "signer is immutable"),
        (
            flclient,
            json!({"data": {"volume": {"pvc": {"subPath": "x"}}}}),
            "data is immutable",
        ),
        (round, json!({"round": 1}), "its spec is immutable"),
    ];
    for (object, spec, words) in refused {
        let said = change(&client, object, &spec).await.expect_err(words);
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    }
    let taken = [
        (chain, json!({"confirmations": {"depth": 3}})),
        (task, json!({"suspend": true, "roundsHistoryLimit": 5})),
        (
            flclient,
            json!({"drain": true, "stake": "1", "trainer": {"image": "fl-alliance/trainer:next"}}),
        ),
    ];
    for (object, spec) in taken {
        change(&client, object, &spec).await.expect("a change that is allowed");
    }
    for object in &objects {
        let name = object["metadata"]["name"].as_str().expect("name");
        api(&client, object)
            .delete(name, &Default::default())
            .await
            .expect("deleted");
    }
}

#[tokio::test]
async fn a_definition_comes_back_with_the_same_hash_also_with_a_field_nobody_knows() {
    let client = prepared().await;
    let written = definition(&TaskShape::default());
    let hash = Definition::parse(written.to_string().as_bytes())
        .expect("definition")
        .hash();
    let object = with(task(), "/metadata/name", json!("lossless"));
    assert_eq!(stored_definition(&client, &object).await, written);
    let read = stored_definition(&client, &object).await;
    assert_eq!(
        Definition::parse(read.to_string().as_bytes())
            .expect("definition")
            .hash(),
        hash
    );

    // Pruning it would hide a wrong hash.
    let unknown = with(object, "/spec/definition/training/optimizer/sgd/nesterov", json!(true));
    let unknown = with(unknown, "/metadata/name", json!("lossless-unknown"));
    assert_eq!(
        stored_definition(&client, &unknown).await,
        unknown["spec"]["definition"]
    );
}

async fn stored_definition(client: &Client, object: &Value) -> Value {
    store(client, object).await;
    let tasks: Api<FLTask> = Api::namespaced(client.clone(), NAMESPACE);
    let stored = tasks
        .get(object["metadata"]["name"].as_str().expect("name"))
        .await
        .expect("stored");
    tasks
        .delete(&stored.name_any(), &Default::default())
        .await
        .expect("deleted");
    let DefinitionDocument(read) = stored.spec.definition.expect("definition");
    read
}

/// Applies an object, with `suspend` where there is one: nothing should act on it.
async fn store(client: &Client, object: &Value) {
    let object = if object["kind"] == "FLTask" {
        with(object.clone(), "/spec/suspend", json!(true))
    } else {
        object.clone()
    };
    let name = object["metadata"]["name"].as_str().expect("name");
    let params = PatchParams::apply("fl-alliance-e2e").force();
    api(client, &object)
        .patch(name, &params, &Patch::Apply(&object))
        .await
        .expect("stored");
}

async fn change(client: &Client, object: &Value, spec: &Value) -> Result<(), String> {
    let name = object["metadata"]["name"].as_str().expect("name");
    let patch = Patch::Merge(json!({"spec": spec}));
    api(client, object)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}
