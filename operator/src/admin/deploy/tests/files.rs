//! The files, taken as they are by Helm and by the FLChain definition.

use std::{path::PathBuf, process::Command};

use crds::FLChain;
use serde::Deserialize;
use serde_json::Value;

use super::deploying::record;
use crate::admin::testnet::Testnet;

fn repository() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/..").into()
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

/// Where `value` is not what a structural schema says; empty if it fits. Of the keywords, those that the definition uses.
fn misfits(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Null => "null",
    };
    if schema["type"].as_str() != Some(kind) {
        return vec![format!("{at} is {kind}, not {}", schema["type"])];
    }
    if let Some(object) = value.as_object() {
        for (name, inner) in object {
            match schema["properties"].get(name) {
                Some(schema) => found.extend(misfits(schema, inner, &format!("{at}.{name}"))),
                None => found.push(format!("{at}.{name} is unknown")),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                found.push(format!("{at}.{name} is missing"));
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(misfits(&schema["items"], item, &format!("{at}[{index}]")));
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{at}: {text:?} does not match {pattern}"));
    }
    if let Some(number) = value.as_f64() {
        let above = schema["minimum"].as_f64().is_none_or(|least| number >= least);
        let below = schema["maximum"].as_f64().is_none_or(|most| number <= most);
        if !(above && below) {
            found.push(format!("{at}: {number} is out of range"));
        }
    }
    found
}

#[tokio::test]
async fn helm_and_the_definition_take_the_files_as_they_are() {
    let net = Testnet::start().await;
    let (out, values, manifest) = (
        net.path("contracts.json"),
        net.path("values.yaml"),
        net.path("flchain.yaml"),
    );
    let line = [
        "deploy",
        "--out",
        &out,
        "--write-values",
        &values,
        "--write-manifest",
        &manifest,
    ];
    net.run(0, &[&line[..], &["--chain-name", "testnet"]].concat())
        .await
        .unwrap();
    let deployment = record(&net, "contracts.json").await;

    let manifest = std::fs::read_to_string(manifest).unwrap();
    let [document] = documents(&manifest).try_into().unwrap();
    let definition = std::fs::read_to_string(repository().join("crds/yaml/flchains.yaml")).unwrap();
    let [definition] = documents(&definition).try_into().unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(misfits(schema, &document["spec"], "spec"), Vec::<String>::new());
    // The check sees what it should.
    let mut broken = document["spec"].clone();
    broken["genesisHash"] = "0x12".into();
    broken["typo"] = true.into();
    broken.as_object_mut().unwrap().remove("rpc");
    assert_eq!(misfits(schema, &broken, "spec").len(), 3);
    assert_eq!(
        (&document["apiVersion"], &document["kind"]),
        (&"fl-alliance.io/v1alpha1".into(), &"FLChain".into())
    );

    let applied: FLChain = serde_json::from_value(document).unwrap();
    assert_eq!(applied.metadata.name.as_deref(), Some("testnet"));
    assert_eq!(applied.spec.chain_id, 31337);
    assert_eq!(applied.spec.genesis_hash, deployment.genesis_hash);
    let [trusted] = applied.spec.trusted_managers.as_slice() else {
        panic!("{:?}", applied.spec.trusted_managers)
    };
    assert_eq!(
        (trusted.address, trusted.code_hash, trusted.task_code_hash),
        (
            deployment.manager.address,
            deployment.manager.code_hash,
            deployment.implementation.code_hash
        )
    );

    let helm = Command::new(repository().join(".build/tools/bin/helm"))
        .arg("template")
        .arg("release")
        .arg(repository().join("charts/fl-alliance"))
        .args(["--namespace", "ops", "--values", &values])
        .output()
        .expect("this test needs helm: run hack/tools.sh first");
    assert!(helm.status.success(), "{}", String::from_utf8_lossy(&helm.stderr));
    let mut rendered: Vec<FLChain> = documents(&String::from_utf8(helm.stdout).unwrap())
        .into_iter()
        .filter(|document| document["kind"] == "FLChain")
        .map(|document| serde_json::from_value(document).unwrap())
        .collect();
    let [rendered] = rendered.as_mut_slice() else {
        panic!("{} FLChains", rendered.len())
    };
    // The chart knows its release's namespace; whoever applies a manifest by hand may say it.
    assert_eq!(rendered.spec.operator_namespace.take().as_deref(), Some("ops"));
    assert_eq!(
        (&rendered.metadata.name, &rendered.spec),
        (&applied.metadata.name, &applied.spec)
    );

    // What the formats have no field for is there to be read.
    let transaction = deployment.manager.transaction.unwrap().to_string();
    for text in [&manifest, &std::fs::read_to_string(&values).unwrap()] {
        assert!(text.contains(&transaction) && text.contains(&deployment.token.address.to_string()));
        assert!(!text.contains(&net.url()), "an endpoint may carry an API key");
        let bare = text
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains(": 0x"));
        assert_eq!(bare.count(), 0, "some would read a number: {text}");
        assert_eq!(
            text.matches(": \"0x").count(),
            4,
            "genesis hash, address and two code hashes: {text}"
        );
    }
}
