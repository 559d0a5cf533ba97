//! What a tenant can get wrong about a client: each ends in a condition that says what to do, costs nothing on chain,
//! and is over once it is mended.

use std::{fs, time::Duration};

use e2e::{
    cluster,
    devnet::Devnet,
    env,
    manifests::{TaskShape, Windows, list, signing_key},
    shell::kubectl,
    task::Team,
};
use protocol::types::Phase;
use serde_json::{Value, json};

use crate::lab::{TINY, lab};

const SOON: Duration = Duration::from_secs(120);

/// Client by client: what is wrong, on which condition it shows, with which reason.
const CASES: [(&str, &str, &str); 10] = [
    ("no-secret", "SignerAvailable", "SecretMissing"),
    ("secret-type", "SignerAvailable", "SecretType"),
    ("elsewhere", "SignerAvailable", "SecretMissing"),
    ("kms", "SignerAvailable", "KmsNotGranted"),
    ("no-coins", "Ready", "LowFunds"),
    ("no-tokens", "Ready", "NotEnoughTokens"),
    ("low-stake", "Ready", "StakeBelowEntry"),
    ("bad-data", "Preflight", "DataInvalid"),
    ("bad-image", "Preflight", "ImagePull"),
    ("no-gpu", "Preflight", "Unschedulable"),
];

/// What a client folder holds.
const FILES: [&str; 2] = ["images-idx3-ubyte", "labels-idx1-ubyte"];

/// Nothing may happen in the task before everybody is mended: it starts with the last one.
fn shape() -> TaskShape {
    TaskShape {
        windows: Windows {
            join: 600,
            propose: 120,
            commit: 120,
            reveal: 60,
        },
        ..TaskShape::tiny(1, CASES.len() as u16)
    }
}

#[tokio::test]
async fn bad_input_of_a_client_is_said_costs_nothing_and_recovers() {
    let (lab, kube) = lab().await;
    let mut team = Team::new(&kube, "bad-input", "strict", TINY, CASES.len(), shape());
    for (member, (name, ..)) in team.members.iter_mut().zip(CASES) {
        member.name = name.to_owned();
        member.data %= 6;
    }
    bad_data(&lab.devnet);
    spoil(&team, &lab.devnet, &lab.site.namespace).await;

    for (name, condition, reason) in CASES {
        let message = team.client_says(name, condition, reason, SOON).await.unwrap();
        assert!(message.len() > 20, "{name}: {message:?} does not say what to do");
        let client = team.client_object(name).await.unwrap();
        let conditions = client.status.unwrap().conditions;
        let ready = conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("False", reason),
            "{name}: {}",
            ready.message
        );
    }
    for member in &team.members {
        let nonce = lab.devnet.nonce(member.key.address()).await.unwrap();
        assert_eq!(nonce, 0, "{} sent a transaction", member.name);
    }

    mend(&team, &lab.devnet).await;
    // Everybody joined, so the draw was made.
    let drawn = |t: &crds::FLTask| {
        let phase = t.status.as_ref().and_then(|s| s.phase);
        phase.is_some_and(|p| !matches!(p, Phase::Join | Phase::Draw))
    };
    team.task_until(
        "to draw roles among all who were mended",
        Duration::from_secs(300),
        drawn,
    )
    .await
    .unwrap();
    team.ended(Duration::from_secs(300)).await.unwrap();
}

/// Puts files that are no IDX into a client's folder.
fn bad_data(devnet: &Devnet) {
    for file in FILES {
        devnet
            .depot
            .write(&format!("{TINY}/client-bad/{file}"), b"this is no IDX file")
            .unwrap();
    }
}

fn key_of<'a>(team: &'a Team, name: &str) -> &'a e2e::key::TestKey {
    &team.members.iter().find(|m| m.name == name).unwrap().key
}

/// Applies everything, each client with what is wrong with it.
async fn spoil(team: &Team, devnet: &Devnet, operator: &str) {
    let tokens = team.shape.reward_pool;
    let others: Vec<_> = team
        .members
        .iter()
        .filter(|m| m.name != "no-coins" && m.name != "no-tokens")
        .map(|m| m.key.address())
        .chain([team.creator.address()])
        .collect();
    devnet.fund(&others, tokens).await.unwrap();
    devnet.mint(key_of(team, "no-coins").address(), tokens).await.unwrap();
    devnet.send_coins(key_of(team, "no-tokens").address()).await.unwrap();
    devnet.allow_creator(team.creator.address()).await.unwrap();

    let mut objects: Vec<Value> = team.ground(devnet);
    objects.retain(|o| !(o["kind"] == "Secret" && o["metadata"]["name"] == "no-secret"));
    for object in objects.iter_mut().filter(|object| object["kind"] == "Secret") {
        match object["metadata"]["name"].as_str() {
            Some("secret-type") => object["type"] = json!("Opaque"),
            // Of the right type and name, where the operator may read it too, but in another namespace.
            Some("elsewhere") => object["metadata"]["namespace"] = json!(operator),
            _ => {}
        }
    }
    objects.push(team.task_manifest(devnet));
    for member in &team.members {
        let mut client = team.client_manifest(member);
        let spec = &mut client["spec"];
        match member.name.as_str() {
            "low-stake" => spec["stake"] = json!("63000000000000000000"),
            "bad-data" => spec["data"]["volume"]["pvc"]["subPath"] = json!("client-bad"),
            "kms" => spec["signer"] = json!({"awsKms": {"keyId": "alias/theirs"}}),
            "bad-image" => spec["trainer"]["image"] = json!("localhost:1/no/such-trainer:1"),
            "no-gpu" => {
                spec["trainer"]["resources"]["limits"]["nvidia.com/gpu"] = json!("1");
                spec["trainer"]["resources"]["requests"]["nvidia.com/gpu"] = json!("1");
            }
            _ => {}
        }
        objects.push(client);
    }
    cluster::apply(&list(objects)).unwrap();
}

async fn mend(team: &Team, devnet: &Devnet) {
    // Data first: it is looked at again after a minute.
    for file in FILES {
        let good = fs::read(env::data_dir().join(TINY).join("client-5").join(file)).unwrap();
        devnet.depot.write(&format!("{TINY}/client-bad/{file}"), &good).unwrap();
    }
    devnet.send_coins(key_of(team, "no-coins").address()).await.unwrap();
    devnet
        .mint(key_of(team, "no-tokens").address(), team.shape.entry_stake)
        .await
        .unwrap();
    kubectl(&["-n", &team.namespace, "delete", "secret", "secret-type"]).unwrap();
    // A signer cannot be changed.
    kubectl(&["-n", &team.namespace, "delete", "flclient", "kms"]).unwrap();
    let mut objects = vec![
        signing_key(&team.namespace, "elsewhere", key_of(team, "elsewhere")),
        signing_key(&team.namespace, "no-secret", key_of(team, "no-secret")),
        signing_key(&team.namespace, "secret-type", key_of(team, "secret-type")),
    ];
    for name in ["kms", "low-stake", "bad-image", "no-gpu"] {
        let member = team.members.iter().find(|m| m.name == name).unwrap();
        objects.push(team.client_manifest(member));
    }
    cluster::apply(&list(objects)).unwrap();
}
