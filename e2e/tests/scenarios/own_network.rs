//! A network of one's own on a table: what docs/models-data-metrics.md walks through, on a cluster.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use e2e::{
    cluster,
    manifests::{TaskShape, Windows, list},
    shell::{root, run_with, tool},
    site::RELEASE,
    task::Team,
    trainer::trainer,
};
use protocol::types::{Address, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    lab::{Lab, TABLE, TABLE_CLIENTS, lab},
    table,
};

/// Two linear layers, exported by trainer-image/tests/data/modules.py.
fn module() -> PathBuf {
    root().join("trainer-image/tests/data/table.pt")
}

fn shape() -> TaskShape {
    TaskShape {
        windows: Windows {
            join: 120,
            propose: 120,
            commit: 120,
            reveal: 60,
        },
        ..TaskShape::tiny(2, TABLE_CLIENTS as u16)
    }
}

/// The sample's definition with a module in the network's place; `how` goes to `describe`.
pub(crate) fn definition(how: &[&str]) -> Value {
    let manifests = std::fs::read_to_string(root().join("samples/table/task.yaml")).unwrap();
    let mut documents =
        serde_yaml_ng::Deserializer::from_str(&manifests).map(|document| Value::deserialize(document).unwrap());
    let task = documents.find(|object| object["kind"] == "FLTask").unwrap();
    let mut definition = task["spec"]["definition"].clone();
    let described = trainer(&[&["describe", "--input-shape", "30"], how].concat()).unwrap();
    definition["architecture"] = serde_json::from_str(&described).unwrap();
    definition
}

#[tokio::test]
async fn a_network_of_the_creators_own_learns_a_table_of_four_clients() {
    let (lab, kube) = lab().await;
    let team = Team::new(&kube, "own-network", "cancer", TABLE, TABLE_CLIENTS, shape());
    let definition = definition(&["--module", module().to_str().unwrap()]);
    team.fund(&lab.devnet).await.unwrap();
    let mut task = team.task_manifest(&lab.devnet);
    task["spec"]["definition"] = definition.clone();
    let mut objects = team.ground(&lab.devnet);
    objects.push(task);
    cluster::apply(&list(objects)).unwrap();

    let contract = team.contract().await.unwrap();
    put_module(lab, &module(), contract, team.creator.address());
    let clients = team.members.iter().map(|member| {
        let mut client = team.client_manifest(member);
        client["spec"]["data"]["format"] = json!("csv");
        client
    });
    cluster::apply(&list(clients.collect())).unwrap();
    team.ended(Duration::from_secs(600)).await.unwrap();

    let mut model = None;
    for round in 0..2 {
        let settled = lab.devnet.snapshot(contract, Some(round), &[]).await.unwrap();
        table::everybody_did_their_duty(&settled);
        assert_eq!(settled.round.outcome, Outcome::Accepted, "round {round}");
        model = settled.round.next_hash;
    }
    let chain = lab.devnet.deployment.chain_id;
    let bytes = lab.devnet.depot.stored(chain, model.unwrap()).unwrap().unwrap();
    let rows = root().join("trainer-image/tests/data");
    assert!(auroc(&definition, &bytes, &rows) > 0.95);
    lab.devnet.compare(&team.namespace, &team.task).await.unwrap();
}

/// The guide's command: into the gateway's container, the file as its input.
pub(crate) fn put_module(lab: &Lab, file: &Path, task: Address, creator: Address) {
    let chain = lab.devnet.deployment.chain_id.to_string();
    let (task, creator) = (format!("{task:#x}"), format!("{creator:#x}"));
    let said = run_with(
        Command::new(tool("kubectl"))
            .args([
                "-n",
                &lab.site.namespace,
                "exec",
                "-i",
                &format!("deploy/{RELEASE}-gateway"),
                "--",
            ])
            .args(["fl-alliance-operator", "store", "put", "--store", "/store"])
            .args(["--chain-id", &chain, "--task", &task, "--owner", &creator]),
        Stdio::from(std::fs::File::open(file).unwrap()),
    )
    .unwrap();
    assert!(said.starts_with(&format!("{chain}/{task}/{creator}/")), "{said}");
}

/// Of a model on all rows there are.
fn auroc(definition: &Value, model: &[u8], rows: &Path) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("definition.json"), definition.to_string()).unwrap();
    std::fs::write(path("model"), model).unwrap();
    std::fs::create_dir(path("rows")).unwrap();
    std::fs::copy(rows.join("breast-cancer.csv"), folder.path().join("rows/rows.csv")).unwrap();
    let said = trainer(&[
        "evaluate",
        "--format",
        "csv",
        "--definition",
        &path("definition.json"),
        "--module",
        module().to_str().unwrap(),
        "--model",
        &path("model"),
        "--data",
        &path("rows"),
    ])
    .unwrap();
    let answer: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    answer["auroc"].as_str().unwrap().parse().unwrap()
}
