//! A task for containers: the sample of samples/flock-sdk with the real `flock-sdk` from PyPI, on a real table.

use std::{fs, time::Duration};

use crds::conditions::{reason, types};
use e2e::{
    cluster, env,
    manifests::{TaskShape, Windows, list},
    task::{Member, Team},
    wait::{Look, until},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{ResourceExt, api::ListParams};
use protocol::types::Outcome;
use serde_json::{Map, Value, json};

use crate::{lab::lab, table};

/// Clients with the container; one more brings our trainer.
const CLIENTS: usize = 4;
const ROUNDS: u32 = 2;
/// Folder of the depot.
const SET: &str = "cancer-json";
const TABLE: &str = include_str!("../../../trainer-image/tests/data/breast-cancer.csv");
/// Of a model file; the parameters follow.
const HEADER: usize = 512;

fn shape() -> TaskShape {
    TaskShape {
        rounds: ROUNDS,
        min_participants: CLIENTS as u16,
        max_participants: CLIENTS as u16,
        distribution_rate: "0.5",
        windows: Windows {
            join: 90,
            propose: 150,
            commit: 150,
            reveal: 60,
        },
        ..TaskShape::default()
    }
}

/// Every fifth row for each client.
fn write_records(folder: &std::path::Path) {
    let mut lines = TABLE.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut records = vec![Vec::new(); CLIENTS + 1];
    for (i, line) in lines.enumerate() {
        let cells = header.iter().zip(line.split(',')).map(|(name, cell)| {
            let value = cell.parse::<f64>().map_or_else(|_| json!(cell), |number| json!(number));
            ((*name).to_owned(), value)
        });
        records[i % (CLIENTS + 1)].push(Value::from(cells.collect::<Map<_, _>>()));
    }
    for (client, records) in records.iter().enumerate() {
        let folder = folder.join(format!("client-{client}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("dataset.json"), json!(records).to_string()).unwrap();
    }
}

fn definition(image: &str) -> Value {
    let (_, digest) = image.split_once('@').unwrap();
    let cpu = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    json!({
        "schemaVersion": 1,
        "flockSdk": {"image": digest, "cpu": cpu},
        // Some twenty test records are noisy.
        "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": "0.2"},
        "maxModelBytes": 65536,
    })
}

fn with_container(mut client: Value, image: &str) -> Value {
    client["spec"]["data"]["format"] = json!("json");
    client["spec"]["trainer"]["flockSdk"] = json!({"image": image, "imagePullPolicy": env::pull_policy()});
    client
}

#[tokio::test]
async fn containers_of_flocks_sdk_play_a_task_and_a_trainer_of_ours_is_told_why_it_cannot() {
    let (lab, kube) = lab().await;
    let image = env::flock_sdk_image().unwrap();
    let records = tempfile::tempdir().unwrap();
    write_records(records.path());
    lab.devnet.depot.upload(records.path(), SET).unwrap();
    let team = Team::new(&kube, "flock-sdk", "cancer", SET, CLIENTS + 1, shape());
    let (ours, containers): (&Member, &[Member]) = team.members.split_last().unwrap();

    let mut objects = team.ground(&lab.devnet);
    let mut task = team.task_manifest(&lab.devnet);
    task["spec"]["definition"] = definition(&image);
    objects.push(task);
    objects.push(team.client_manifest(ours));
    objects.extend(
        containers
            .iter()
            .map(|m| with_container(team.client_manifest(m), &image)),
    );
    team.fund(&lab.devnet).await.unwrap();
    cluster::apply(&list(objects)).unwrap();

    let told = team
        .client_says(
            &ours.name,
            types::READY,
            reason::TRAINER_INCOMPATIBLE,
            Duration::from_secs(120),
        )
        .await
        .unwrap();
    let (_, digest) = image.split_once('@').unwrap();
    assert!(
        told.contains("spec.trainer.flockSdk.image") && told.contains(digest),
        "{told}"
    );

    let contract = team.contract().await.unwrap();
    team.ended(Duration::from_secs(900)).await.unwrap();
    for round in 0..ROUNDS {
        let settled = lab.devnet.snapshot(contract, Some(round), &[]).await.unwrap();
        table::everybody_did_their_duty(&settled);
        assert_eq!(table::done(&settled), table::expected(&settled), "{:?}", settled.round);
        // All voters got the same bytes from their containers.
        assert_eq!(settled.round.outcome, Outcome::Accepted, "{:?}", settled.round);
        assert!(settled.participants.iter().all(|p| p.account != ours.key.address()));
    }
    lab.devnet.compare(&team.namespace, &team.task).await.unwrap();

    // What it learned can be taken out of the file, and is worth something to whoever voted on it last.
    let last = lab.devnet.snapshot(contract, Some(ROUNDS - 1), &[]).await.unwrap();
    let model = last.round.popular_hash.unwrap();
    let file = lab
        .devnet
        .depot
        .stored(last.chain_id, model)
        .unwrap()
        .expect("the model");
    let parameters: Value = serde_json::from_slice(&file[HEADER..]).unwrap();
    assert_eq!(parameters["weights"].as_array().unwrap().len(), 30);
    let voter = containers.iter().find(|m| {
        let row = last.participant(m.key.address());
        row.is_some_and(|p| p.vote.is_some())
    });
    let status = team.client_object(&voter.unwrap().name).await.unwrap().status.unwrap();
    let metric: f64 = status.last_vote.unwrap().aggregate_metric.parse().unwrap();
    assert!(metric > 0.75, "accuracy {metric}");

    // Containers that never exit by themselves do not keep a Job from ending.
    let jobs = team.api::<Job>();
    until("all Jobs to be complete", Duration::from_secs(90), || async {
        let all = jobs.list(&ListParams::default()).await?.items;
        let open: Vec<String> = all
            .iter()
            .filter(|job| job.status.as_ref().and_then(|s| s.succeeded) != Some(1))
            .map(ResourceExt::name_any)
            .collect();
        Ok(Look::when(!all.is_empty() && open.is_empty(), (), open))
    })
    .await
    .unwrap();
    for pod in team.api::<Pod>().list(&ListParams::default()).await.unwrap().items {
        let spec = pod.spec.unwrap();
        let sidecar = &spec.init_containers.as_ref().unwrap()[0];
        assert_eq!(
            (sidecar.name.as_str(), sidecar.image.as_deref()),
            ("flock-sdk", Some(image.as_str()))
        );
        let mounted: Vec<&str> = sidecar
            .volume_mounts
            .iter()
            .flatten()
            .map(|m| m.name.as_str())
            .collect();
        assert_eq!(mounted, ["data", "flock-sdk-scratch"]);
    }
}
