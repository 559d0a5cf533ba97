//! The manifests in samples/ are what they say they are.

use std::{fs, path::PathBuf};

use crds::{FLChain, FLClient, FLTask};
use protocol::{
    definition::TaskDefinition,
    types::{DefinitionHash, ModelHash},
};
use serde::Deserialize;
use serde_json::Value;

fn documents(file: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../samples").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .filter(|document| !document.is_null())
        .collect()
}

fn only<T: serde::de::DeserializeOwned>(file: &str, kind: &str) -> Vec<T> {
    documents(file)
        .into_iter()
        .filter(|d| d["kind"] == kind)
        .map(|d| serde_json::from_value(d).expect(kind))
        .collect()
}

#[test]
fn every_sample_is_read_without_losing_a_field() {
    let files = [
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
    ];
    let mut seen = 0;
    for document in files.iter().flat_map(|file| documents(file)) {
        let read = match document["kind"].as_str() {
            Some("FLChain") => {
                serde_json::to_value(serde_json::from_value::<FLChain>(document.clone()).expect("chain"))
            }
            Some("FLTask") => serde_json::to_value(serde_json::from_value::<FLTask>(document.clone()).expect("task")),
            Some("FLClient") => {
                serde_json::to_value(serde_json::from_value::<FLClient>(document.clone()).expect("client"))
            }
            _ => continue,
        };
        let read = read.expect("serialises");
        // Addresses are written in lower case; nothing else may change.
        let (a, b) = (
            document["spec"].to_string().to_lowercase(),
            read["spec"].to_string().to_lowercase(),
        );
        assert_eq!(
            serde_json::from_str::<Value>(&a).expect("json"),
            serde_json::from_str::<Value>(&b).expect("json")
        );
        seen += 1;
    }
    assert_eq!(seen, 19);
}

#[test]
fn the_profiles_have_the_numbers_of_the_specification() {
    for (file, slashed) in [
        ("devnet/task.yaml", "0.05"),
        ("devnet/task-paper.yaml", "0.125"),
        ("table/task.yaml", "0.05"),
        ("flock-sdk/task.yaml", "0.05"),
    ] {
        let task = only::<FLTask>(file, "FLTask").remove(0);
        let create = task.spec.create.expect("created");
        let p = create.parameters.parameters(DefinitionHash::ZERO, ModelHash::ZERO);
        let tokens = |n: u128| protocol::types::Amount::from(n * 10u128.pow(18));
        assert_eq!((p.entry_stake, p.min_stake_threshold), (tokens(64), tokens(24)));
        assert_eq!(p.distribution_rate, 100_000_000_000_000_000);
        assert_eq!(create.parameters.slashed_per_stake.to_string(), slashed);
        assert!(p.stall_timeout >= 2 * (p.join_window + p.propose_window + p.commit_window + p.reveal_window));
        let definition = task.spec.definition.expect("definition");
        let definition = TaskDefinition::parse(definition.0.to_string().as_bytes()).expect("definition");
        let evaluation = match &definition {
            TaskDefinition::Trainer(definition) => &definition.evaluation,
            TaskDefinition::FlockSdk(definition) => definition.evaluation(),
        };
        assert_eq!(evaluation.epsilon.as_str(), "0.05");
    }
}

#[test]
fn the_samples_clients_can_enter_the_samples_task() {
    for folder in ["devnet", "table", "flock-sdk"] {
        let task = only::<FLTask>(&format!("{folder}/task.yaml"), "FLTask").remove(0);
        let parameters = task.spec.create.expect("created").parameters;
        let clients = only::<FLClient>(&format!("{folder}/clients.yaml"), "FLClient");
        assert!(clients.len() >= usize::from(parameters.min_number_of_participants));
        for client in clients {
            assert!(client.spec.stake >= parameters.entry_stake);
            assert_eq!(client.spec.task_ref.name, task.metadata.name.clone().expect("named"));
        }
    }
}
