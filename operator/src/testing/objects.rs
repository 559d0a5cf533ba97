//! Manifests as a person would write them.

use std::collections::BTreeMap;

use crds::{FLClient, FLTask, names};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use protocol::types::{Address, Amount};
use serde_json::{Value, json};

/// The namespace of tasks and clients.
pub(crate) const NAMESPACE: &str = "team";

/// An FLTask that joins `contract`.
pub(crate) fn task(contract: Address, definition: &Value) -> FLTask {
    let mut task: FLTask = read(json!({
        "apiVersion": "fl-alliance.io/v1alpha1",
        "kind": "FLTask",
        "metadata": { "name": "digits", "namespace": NAMESPACE, "uid": "t-1", "generation": 1 },
        "spec": { "chainRef": { "name": "devnet" }, "contract": contract, "definition": definition },
    }));
    task.status = Some(crds::FLTaskStatus {
        contract: Some(contract),
        ..crds::FLTaskStatus::default()
    });
    task
}

/// An FLClient of the task above, with a GPU and a claim.
pub(crate) fn client(name: &str, stake: Amount) -> FLClient {
    read(json!({
        "apiVersion": "fl-alliance.io/v1alpha1",
        "kind": "FLClient",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("c-{name}"), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "taskRef": { "name": "digits" },
            "signer": { "secretRef": { "name": format!("{name}-key") } },
            "stake": stake,
            "data": { "volume": { "pvc": { "claimName": "images", "subPath": "client-0" } }, "format": "idx" },
            "trainer": {
                "image": "fl-alliance/trainer:dev",
                "imagePullPolicy": "IfNotPresent",
                "imagePullSecrets": [{ "name": "registry" }],
                "resources": { "limits": { "memory": "2Gi", "nvidia.com/gpu": "1" } },
                "nodeSelector": { "pool": "gpu" },
                "tolerations": [{ "key": "gpu", "operator": "Exists" }],
                "runtimeClassName": "nvidia",
                "priorityClassName": "training",
                "queueName": "research",
                "scratchSize": "4Gi",
                "shmSize": "1Gi",
            },
        },
    }))
}

/// The Secret a client's signer names.
pub(crate) fn signing_secret(name: &str, private_key: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(names::SECRET_TYPE_SIGNING_KEY.to_owned()),
        data: Some(BTreeMap::from([(
            names::SIGNING_KEY_FIELD.to_owned(),
            ByteString(private_key.as_bytes().to_vec()),
        )])),
        ..Secret::default()
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a test's manifest is valid")
}
