//! Trainers that ask for a device: a node offers it as an extended resource, the way a device plugin does. There is no GPU
//! behind it, so what runs on it says so and runs on the CPU, and what insists on CUDA is refused.

use std::time::Duration;

use e2e::{
    cluster,
    device::{DEVICE, offer},
    manifests::{TaskShape, Windows, list},
    task::Team,
    wait::{Look, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use protocol::types::Outcome;
use serde_json::{Value, json};

use crate::{
    lab::{TINY, lab},
    table,
};

const SOON: Duration = Duration::from_secs(120);
/// Client by client: how many devices it asks for, and as what.
const CLIENTS: [(&str, &str, &str); 4] = [
    ("one", "1", "auto"),
    ("another", "1", "auto"),
    ("greedy", "2", "auto"),
    ("insists", "1", "cuda"),
];

/// Nothing may happen in the task before everybody is mended: it starts with the last one.
fn shape() -> TaskShape {
    TaskShape {
        windows: Windows {
            join: 600,
            propose: 120,
            commit: 120,
            reveal: 60,
        },
        ..TaskShape::tiny(1, CLIENTS.len() as u16)
    }
}

#[tokio::test]
async fn trainers_run_where_the_device_is_and_say_why_when_it_is_not_there() {
    let (lab, kube) = lab().await;
    let mut team = Team::new(&kube, "gpu", "devices", TINY, CLIENTS.len(), shape());
    for (member, (name, ..)) in team.members.iter_mut().zip(CLIENTS) {
        member.name = name.to_owned();
    }
    let manifest = |name: &str, count: &str, device: &str| {
        let member = team.members.iter().find(|m| m.name == name).unwrap();
        let mut client = team.client_manifest(member);
        client["spec"]["trainer"]["device"] = json!(device);
        // Of an extended resource, requests are what the limits are.
        client["spec"]["trainer"]["resources"]["limits"][DEVICE] = json!(count);
        client
    };

    // Nowhere.
    offer(&kube, 0).await.unwrap();
    team.fund(&lab.devnet).await.unwrap();
    let mut objects: Vec<Value> = team.ground(&lab.devnet);
    objects.push(team.task_manifest(&lab.devnet));
    objects.extend(CLIENTS.map(|(name, count, device)| manifest(name, count, device)));
    cluster::apply(&list(objects)).unwrap();
    for (name, ..) in CLIENTS {
        let message = team
            .client_says(name, "Preflight", "Unschedulable", SOON)
            .await
            .unwrap();
        assert!(message.contains(DEVICE), "{name}: {message}");
    }

    // One device on one node.
    let node = offer(&kube, 1).await.unwrap();
    for name in ["one", "another"] {
        team.client_says(name, "Preflight", "Succeeded", SOON).await.unwrap();
        let client = team.client_object(name).await.unwrap();
        let checked = client.status.unwrap().preflight.unwrap();
        assert_eq!(
            checked.device, "cpu",
            "nobody has a GPU here, and `auto` does not pretend"
        );
    }
    let message = team
        .client_says("insists", "Preflight", "DeviceMissing", SOON)
        .await
        .unwrap();
    assert!(message.contains("libtorch_cuda.so"), "{message}");
    team.client_says("greedy", "Preflight", "Unschedulable", SOON)
        .await
        .unwrap();
    for name in ["greedy", "insists"] {
        let key = &team.members.iter().find(|m| m.name == name).unwrap().key;
        let nonce = lab.devnet.nonce(key.address()).await.unwrap();
        assert_eq!(nonce, 0, "{name} sent a transaction");
    }

    // Mended, all four share the one device, a Job at a time.
    cluster::apply(&list(vec![
        manifest("greedy", "1", "auto"),
        manifest("insists", "1", "auto"),
    ]))
    .unwrap();
    let pods: Api<Pod> = team.api();
    until(
        "a trainer on the node with the device",
        Duration::from_secs(300),
        || async {
            let all = pods.list(&ListParams::default()).await?.items;
            let placed = all.iter().find(|pod| asks(pod) && node_of(pod).is_some());
            Ok(Look::when(
                placed.is_some(),
                placed.and_then(node_of).map(str::to_owned),
                format!("{} pods", all.len()),
            ))
        },
    )
    .await
    .map(|placed| assert_eq!(placed.as_deref(), Some(node.as_str())))
    .unwrap();
    let contract = team.contract().await.unwrap();
    team.ended(Duration::from_secs(600)).await.unwrap();
    let settled = lab.devnet.snapshot(contract, Some(0), &[]).await.unwrap();
    table::everybody_did_their_duty(&settled);
    assert_eq!(settled.round.outcome, Outcome::Accepted);
    lab.devnet.compare(&team.namespace, &team.task).await.unwrap();
    offer(&kube, 0).await.unwrap();
}

/// Whether a pod asks for the device.
fn asks(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .filter_map(|c| c.resources.as_ref()?.limits.as_ref())
        .any(|limits| limits.contains_key(DEVICE))
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}
