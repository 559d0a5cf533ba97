//! Pods of one installation: the gateway, a trainer, the disk under the gateway.

use e2e::{
    cluster,
    node::Node,
    site::Site,
    wait::{Look, until_every},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use std::time::Duration;

use super::play::{LOOK, Play, committing, training};
use crate::lab::lab;

/// Kills the pods of a step as soon as the node has one. Its containers may run for less than the kubelet takes to say so,
/// so that a pod need never be seen running.
async fn kill_trainer(play: &Play, step: &str) {
    let pods: Api<Pod> = play.team.api();
    let labels = format!("fl-alliance.io/step={step}");
    let alive = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed";
    let alive = ListParams::default().labels(&labels).fields(alive);
    let now = DeleteParams::default().grace_period(0);
    let what = format!("a {step} pod on the node");
    until_every(LOOK, &what, Duration::from_secs(180), || async {
        let killed = pods.delete_collection(&now, &alive).await?.left();
        Ok(Look::when(
            killed.is_some_and(|pods| !pods.items.is_empty()),
            (),
            "none",
        ))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_killed_gateway_and_killed_trainers_cost_nobody_a_duty() {
    let play = Play::start("parts-killed").await;
    play.wait_for(training(0)).await;
    cluster::kill_pods(&play.operator, "app.kubernetes.io/component=gateway").unwrap();
    play.wait_for(training(1)).await;
    kill_trainer(&play, "train").await;
    play.wait_for(committing(1)).await;
    kill_trainer(&play, "vote").await;
    play.wait_for(committing(2)).await;
    cluster::kill_pods(&play.operator, "app.kubernetes.io/component=gateway").unwrap();
    play.end().await;
}

#[tokio::test]
#[ignore = "fills a disk of the node: runs alone, by make chaos"]
async fn a_full_disk_under_the_gateway_is_survived() {
    const NAME: &str = "disk-full";
    let node = Node::of_kind().unwrap();
    let (lab, kube) = lab().await;
    let operator = format!("fla-{NAME}");
    let staging = format!("/var/lib/fl-alliance-e2e/staging-{operator}");
    // A small disk of its own in place of the folder, before the gateway mounts it.
    lab.devnet.depot.folder(&format!("staging-{operator}")).unwrap();
    node.sh(&format!("mount -t tmpfs -o size=8m,mode=777 tmpfs {staging}"))
        .unwrap();
    cluster::namespace(&kube, NAME).await.unwrap();
    Site::install(&kube, &lab.devnet, &operator, &[NAME], false)
        .await
        .unwrap();
    let play = Play::with(lab, kube, NAME, operator).await;
    play.wait_for(training(1)).await;
    node.sh(&format!(
        "dd if=/dev/zero of={staging}/filler bs=64k status=none || true"
    ))
    .unwrap();
    let left = node.sh(&format!("df --output=avail {staging} | tail -1")).unwrap();
    assert_eq!(left.trim(), "0", "the disk is full");
    node.sh("sleep 30").unwrap();
    node.sh(&format!("rm {staging}/filler")).unwrap();
    play.end().await;
    node.sh(&format!("umount --lazy {staging}")).unwrap();
}
