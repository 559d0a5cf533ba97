//! What people apply.

use std::{collections::BTreeMap, sync::OnceLock};

use crds::{FLClient, FLTask, names};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::{Value, json};

use crate::{
    api::{CHAIN, NAMESPACE, TASK_NAME},
    contract::TASK,
    keys,
    plan::{Plan, STAKE},
    world::Participant,
};

/// The task's definition.
pub(crate) const DEFINITION: &str = include_str!("../../protocol/src/definition/example.json");

fn definition() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(DEFINITION).expect("the example is JSON"))
}

pub(crate) fn task(plan: &Plan) -> FLTask {
    let definition = definition();
    let mut spec = json!({
        "chainRef": { "name": CHAIN }, "contract": TASK, "definition": definition,
    });
    if let Some(limit) = plan.history {
        spec["roundsHistoryLimit"] = json!(limit);
    }
    if plan.keeper {
        spec["keeper"] = json!({ "enabled": true, "signer": signer(plan, "keeper") });
    }
    object(json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLTask",
        "metadata": { "name": TASK_NAME, "namespace": NAMESPACE, "uid": "t-1", "generation": 1 },
        "spec": spec,
    }))
}

fn signer(plan: &Plan, name: &str) -> Value {
    if plan.remote_keys {
        json!({ "awsKms": { "keyId": keys::key_id(name) } })
    } else {
        json!({ "secretRef": { "name": format!("{name}-key") } })
    }
}

pub(crate) fn client(plan: &Plan, name: &str) -> FLClient {
    object(json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLClient",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("c-{name}"), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "taskRef": { "name": TASK_NAME },
            "signer": signer(plan, name),
            "stake": STAKE.to_string(),
            "data": { "volume": { "pvc": { "claimName": "images" } }, "format": "idx" },
            "trainer": { "image": "fl-alliance/trainer:dev" },
        },
    }))
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the manifest is valid")
}

pub(crate) fn signing_secret(participant: &Participant) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(format!("{}-key", participant.name)),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(names::SECRET_TYPE_SIGNING_KEY.to_owned()),
        data: Some(BTreeMap::from([(
            names::SIGNING_KEY_FIELD.to_owned(),
            ByteString(participant.key.clone().into_bytes()),
        )])),
        ..Secret::default()
    }
}
