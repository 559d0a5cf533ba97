//! An adapter's task: what is frozen comes from a base model on a read-only volume of each participant.

use std::{fs, path::PathBuf, time::Duration};

use crds::names;
use e2e::{
    cluster,
    manifests::{TaskShape, Windows, list},
    shell::{kubectl, root},
    task::{Member, Team},
};
use protocol::types::Outcome;
use serde_json::{Value, json};

use crate::{
    lab::{TABLE, lab},
    own_network::{definition, put_module},
    table,
};

const CLIENTS: usize = 2;
/// Folder of the depot, and in it one for each volume.
const FOLDER: &str = "base-model";
const RIGHT: &str = "right";
const WRONG: &str = "wrong";
const WEIGHTS: &str = "model.safetensors";

/// What trainer-image/tests/data/modules.py writes: a module without its first layer, and a folder with that.
fn file(name: &str) -> PathBuf {
    root().join("trainer-image/tests/data").join(name)
}

/// Nothing is due before the last client is mended.
fn shape() -> TaskShape {
    TaskShape {
        windows: Windows {
            join: 600,
            propose: 120,
            commit: 120,
            reveal: 60,
        },
        ..TaskShape::tiny(1, CLIENTS as u16)
    }
}

fn client(team: &Team, member: &Member, volume: &str) -> Value {
    let mut client = team.client_manifest(member);
    client["spec"]["data"]["format"] = json!("csv");
    client["spec"]["baseModels"] = json!([
        {"name": "frozen", "volume": {"pvc": {"claimName": "models", "subPath": volume}}},
    ]);
    client
}

#[tokio::test]
async fn an_adapter_is_trained_on_a_base_model_that_each_participant_has_on_a_volume() {
    let (lab, kube) = lab().await;
    let team = Team::new(&kube, "base-model", "adapter", TABLE, CLIENTS, shape());
    let (module, base) = (file("table-hollow.pt"), file("table-base"));
    let (shown, folder) = (module.to_str().unwrap(), base.to_str().unwrap());
    let base_model = ["--base-model", folder, "--base-prefix", "0."];
    let definition = definition(&[&["--module", shown, "--train", "2.*"][..], &base_model].concat());
    let spoilt = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&base).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), spoilt.path().join(entry.file_name())).unwrap();
    }
    let mut bytes = fs::read(base.join(WEIGHTS)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(spoilt.path().join(WEIGHTS), bytes).unwrap();
    let depot = &lab.devnet.depot;
    depot.upload(&base, &format!("{FOLDER}/{RIGHT}")).unwrap();
    depot.upload(spoilt.path(), &format!("{FOLDER}/{WRONG}")).unwrap();

    team.fund(&lab.devnet).await.unwrap();
    let mut task = team.task_manifest(&lab.devnet);
    task["spec"]["definition"] = definition;
    let mut objects = team.ground(&lab.devnet);
    objects.extend(depot.volume(&team.namespace, "models", FOLDER, "ReadOnlyMany"));
    objects.push(task);
    cluster::apply(&list(objects)).unwrap();
    let contract = team.contract().await.unwrap();
    put_module(lab, &module, contract, team.creator.address());

    let [first, second] = &team.members[..] else {
        panic!("two clients are expected")
    };
    let clients = vec![client(&team, first, RIGHT), client(&team, second, WRONG)];
    cluster::apply(&list(clients)).unwrap();
    let said = team
        .client_says(&second.name, "Preflight", "DataInvalid", Duration::from_secs(120))
        .await
        .unwrap();
    assert!(said.contains(&format!("frozen/{WEIGHTS} hashes to ")), "{said}");
    let nonce = lab.devnet.nonce(second.key.address()).await.unwrap();
    assert_eq!(nonce, 0, "it has sent a transaction");

    cluster::apply(&client(&team, second, RIGHT)).unwrap();
    team.ended(Duration::from_secs(600)).await.unwrap();
    let settled = lab.devnet.snapshot(contract, Some(0), &[]).await.unwrap();
    table::everybody_did_their_duty(&settled);
    assert_eq!(settled.round.outcome, Outcome::Accepted);

    let chain = lab.devnet.deployment.chain_id;
    let model = depot.stored(chain, settled.round.next_hash.unwrap()).unwrap().unwrap();
    let header = String::from_utf8_lossy(&model).into_owned();
    assert!(
        header.contains("2.weight") && !header.contains("0.weight"),
        "only what is trained travels"
    );
    for member in &team.members {
        let status = team.client_object(&member.name).await.unwrap().status.unwrap();
        let verified = status.preflight.unwrap().base_model.unwrap();
        let bytes = fs::metadata(base.join(WEIGHTS)).unwrap().len();
        assert_eq!((verified.files, verified.bytes), (1, bytes), "{}", member.name);
        // One was drawn to train and the other to vote.
        let selector = format!(
            "{}={},{} in (train,vote)",
            names::LABEL_CLIENT,
            member.name,
            names::LABEL_STEP
        );
        let log = kubectl(&["-n", &team.namespace, "logs", "--tail=-1", "-l", &selector]).unwrap();
        assert!(log.contains("its files are as the check verified them"), "{log}");
    }
}
