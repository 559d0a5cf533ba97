//! What the API server takes and refuses.

use alloy::primitives::Address;
use e2e::{
    cluster::apply,
    manifests::{self, TaskShape},
};
use serde_json::{Value, json};

use crate::lab::lab;

const NAMESPACE: &str = "manifests";

fn task(name: &str) -> Value {
    let shape = TaskShape::tiny(2, 3);
    let mut task = manifests::created_task(NAMESPACE, name, Address::repeat_byte(7), &format!("{:#066x}", 1), &shape);
    // Nothing is to come of it.
    task["spec"]["suspend"] = json!(true);
    task
}

fn client(name: &str) -> Value {
    manifests::client(NAMESPACE, name, "good", 64, 0, "example.org/trainer:1")
}

/// The document with one value at a path of the spec replaced; `null` takes it out.
fn with(mut document: Value, path: &[&str], value: Value) -> Value {
    let mut at = &mut document["spec"];
    for key in &path[..path.len() - 1] {
        at = &mut at[*key];
    }
    let object = at.as_object_mut().unwrap();
    let last = path[path.len() - 1].to_owned();
    if value.is_null() {
        object.remove(&last);
    } else {
        object.insert(last, value);
    }
    document
}

fn refused(document: &Value, because: &str) {
    let error = apply(document).expect_err(&format!("this was taken, {because:?} was expected: {document:#}"));
    let said = error.to_string();
    assert!(said.contains(because), "refused, but not because of {because:?}: {said}");
}

#[tokio::test]
async fn good_manifests_are_taken_and_read_back_the_same() {
    let (_, kube) = lab().await;
    apply(&task("good")).unwrap();
    apply(&manifests::joined_task(NAMESPACE, "joined", Address::repeat_byte(9))).unwrap();
    apply(&client("good")).unwrap();
    let api: kube::Api<crds::FLTask> = kube::Api::namespaced(kube, NAMESPACE);
    let stored = api.get("good").await.unwrap();
    let definition = serde_json::to_value(stored.spec.definition.unwrap()).unwrap();
    assert_eq!(definition, manifests::definition(&TaskShape::tiny(2, 3)));
    let create = serde_json::to_value(stored.spec.create.unwrap()).unwrap();
    assert_eq!(create["parameters"], task("good")["spec"]["create"]["parameters"]);
}

#[tokio::test]
async fn bad_tasks_are_refused_with_the_field_that_is_wrong() {
    lab().await;
    let parameter = |name: &str, value: Value| with(task("bad"), &["create", "parameters", name], value);
    let cases = [
        (with(task("bad"), &["contract"], json!(format!("{:#x}", Address::repeat_byte(9)))), "exactly one of contract"),
        (with(task("bad"), &["create"], Value::Null), "exactly one of contract"),
        (with(task("bad"), &["definition"], Value::Null), "needs a definition"),
        (with(task("bad"), &["definition", "seed"], json!(1.5)), "seed"),
        (with(task("bad"), &["definition", "training", "batchSize"], Value::Null), "batchSize"),
        (with(task("bad"), &["create", "manager"], json!("0x1234")), "manager"),
        (with(task("bad"), &["create", "salt"], json!("salt")), "salt"),
        (with(task("bad"), &["chainRef"], Value::Null), "chainRef"),
        (parameter("minNumberOfParticipants", json!(4)), "must not exceed maxNumberOfParticipants"),
        (parameter("maxNumberOfParticipants", json!(101)), "maxNumberOfParticipants"),
        (parameter("stallTimeout", json!(60)), "at least twice the sum of the windows"),
        (parameter("totalNumberOfRounds", json!(0)), "totalNumberOfRounds"),
        (parameter("participantsDistributionRate", json!("1.5")), "participantsDistributionRate"),
        (parameter("slashedPerStake", json!("ten")), "slashedPerStake"),
        (parameter("entryStake", json!("-1")), "entryStake"),
        (parameter("bonusRatioForSlashCaller", json!(2001)), "bonusRatioForSlashCaller"),
        (parameter("quorumBps", json!(10_000)), "quorumBps"),
        (parameter("joinWindow", json!(0)), "joinWindow"),
        (with(task("bad"), &["keeper"], json!({"enabled": true})), "a keeper needs a signer"),
        (with(task("bad"), &["roundsHistoryLimit"], json!(0)), "roundsHistoryLimit"),
        (task(&"t".repeat(41)), "at most 40 characters"),
    ];
    for (document, because) in &cases {
        refused(document, because);
    }
}

#[tokio::test]
async fn bad_clients_are_refused_with_the_field_that_is_wrong() {
    lab().await;
    let pvc = |sub_path: &str| json!({"pvc": {"claimName": "data", "subPath": sub_path}});
    let two = json!({"pvc": {"claimName": "data"}, "image": {"reference": "example.org/data:1"}});
    let cases = [
        (with(client("bad"), &["taskRef"], Value::Null), "taskRef"),
        (with(client("bad"), &["stake"], json!("64.5")), "stake"),
        (with(client("bad"), &["stake"], json!("many")), "stake"),
        (with(client("bad"), &["signer", "secretRef"], Value::Null), "secretRef"),
        (with(client("bad"), &["data", "volume"], json!({})), "exactly one of pvc, csi and image"),
        (with(client("bad"), &["data", "volume"], two), "exactly one of pvc, csi and image"),
        (with(client("bad"), &["data", "volume"], pvc("/etc")), "subPath must be relative"),
        (with(client("bad"), &["data", "volume"], pvc("a/../../b")), "subPath must be relative"),
        (with(client("bad"), &["data", "format"], json!("csv")), "format"),
        (with(client("bad"), &["trainer", "image"], json!("")), "image"),
        (with(client("bad"), &["trainer", "device"], json!("tpu")), "device"),
        (with(client("bad"), &["trainer", "imagePullPolicy"], json!("Sometimes")), "imagePullPolicy"),
        (client(&"c".repeat(41)), "at most 40 characters"),
    ];
    for (document, because) in &cases {
        refused(document, because);
    }
}

#[tokio::test]
async fn bad_chains_are_refused_with_the_field_that_is_wrong() {
    lab().await;
    let chain = json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLChain", "metadata": {"name": "bad"},
        "spec": {
            "chainId": 1, "genesisHash": format!("0x{}", "ab".repeat(32)),
            "rpc": {"secretRef": {"name": "rpc", "key": "urls"}},
        },
    });
    let both = json!({"depth": 3, "finalized": true});
    let cases = [
        (with(chain.clone(), &["chainId"], json!(0)), "chainId"),
        (with(chain.clone(), &["genesisHash"], json!("0x12")), "genesisHash"),
        (with(chain.clone(), &["rpc"], json!({"secretRef": {"name": "rpc"}})), "key"),
        (with(chain.clone(), &["confirmations"], both), "set depth or finalized, not both"),
        (with(chain.clone(), &["confirmations"], json!({"finalized": false})), "finalized may only be true"),
        (with(chain.clone(), &["maxFeePerGasGwei"], json!("cheap")), "maxFeePerGasGwei"),
        (with(chain, &["trustedManagers"], json!([{"address": "0x1"}])), "trustedManagers"),
    ];
    for (document, because) in &cases {
        refused(document, because);
    }
}

#[tokio::test]
async fn what_a_task_or_client_is_about_cannot_be_changed() {
    lab().await;
    apply(&task("fixed")).unwrap();
    apply(&client("fixed")).unwrap();
    let other = json!(format!("{:#x}", Address::repeat_byte(8)));
    let cases = [
        (with(task("fixed"), &["chainRef"], json!({"name": "other"})), "chainRef is immutable"),
        (with(task("fixed"), &["create", "manager"], other), "create is immutable"),
        (with(task("fixed"), &["definition", "seed"], json!(2)), "definition is immutable"),
        (with(task("fixed"), &["storeRef"], json!({"name": "other"})), "storeRef is immutable"),
        (with(client("fixed"), &["taskRef"], json!({"name": "other"})), "taskRef is immutable"),
        (with(client("fixed"), &["signer", "secretRef"], json!({"name": "other"})), "signer is immutable"),
        (
            with(client("fixed"), &["data", "volume", "pvc", "claimName"], json!("other")),
            "data is immutable",
        ),
    ];
    for (document, because) in &cases {
        refused(document, because);
    }
    // What may change, may.
    apply(&with(client("fixed"), &["drain"], json!(true))).unwrap();
    apply(&with(client("fixed"), &["trainer", "image"], json!("example.org/trainer:2"))).unwrap();
    apply(&with(task("fixed"), &["roundsHistoryLimit"], json!(5))).unwrap();
}
