//! Leaving a task in the middle of a round: drained, or deleted.

use std::time::Duration;

use e2e::{
    manifests::{TaskShape, Windows},
    shell::kubectl,
    task::Team,
    wait::{Look, until},
};
use protocol::types::Phase;

use crate::{
    lab::{TINY, lab},
    table,
};

#[tokio::test]
async fn drained_and_deleted_clients_finish_their_round_and_the_task_waits_in_deletion_for_its_clients() {
    let (lab, kube) = lab().await;
    let shape = TaskShape {
        min_participants: 2,
        distribution_rate: "0.5",
        windows: Windows {
            join: 60,
            propose: 120,
            commit: 120,
            reveal: 60,
        },
        ..TaskShape::tiny(2, 4)
    };
    let team = Team::new(&kube, "lifecycle", "digits", TINY, 4, shape);
    team.start(&lab.devnet).await.unwrap();
    let contract = team.contract().await.unwrap();
    let proposing = |t: &crds::FLTask| t.status.as_ref().and_then(|s| s.phase) == Some(Phase::Propose);
    team.task_until("to be proposing", Duration::from_secs(180), proposing)
        .await
        .unwrap();
    let drawn = lab.devnet.snapshot(contract, None, &[]).await.unwrap();
    assert_eq!(drawn.participants.len(), 4);
    let names = team.names();
    let drained = names[&drawn.proposers().next().unwrap().account].clone();
    let deleted = names[&drawn.voters().next().unwrap().account].clone();
    let n = &team.namespace;
    kubectl(&[
        "-n",
        n,
        "patch",
        "flclient",
        &drained,
        "--type=merge",
        "-p",
        r#"{"spec":{"drain":true}}"#,
    ])
    .unwrap();
    kubectl(&["-n", n, "delete", "flclient", &deleted, "--wait=false"]).unwrap();
    // It stays until its duty is done, and says so.
    team.client_says(&deleted, "Ready", "Deleting", Duration::from_secs(30))
        .await
        .unwrap();
    until("the deleted client to be gone", Duration::from_secs(240), || async {
        let left = team.clients().get_opt(&deleted).await?;
        Ok(Look::when(
            left.is_none(),
            (),
            left.and_then(|c| c.status).map(|s| s.step),
        ))
    })
    .await
    .unwrap();
    team.client_says(&drained, "Ready", "Drained", Duration::from_secs(120))
        .await
        .unwrap();
    let first = lab.devnet.snapshot(contract, Some(0), &[]).await.unwrap();
    table::everybody_did_their_duty(&first);

    team.ended(Duration::from_secs(300)).await.unwrap();
    let second = lab.devnet.snapshot(contract, Some(1), &[]).await.unwrap();
    let second: Vec<String> = second.participants.iter().map(|p| names[&p.account].clone()).collect();
    assert_eq!(second.len(), 2, "{second:?}");
    assert!(!second.contains(&drained) && !second.contains(&deleted), "{second:?}");

    // Claims come first, also for who was drained.
    for name in names.values().filter(|name| **name != deleted) {
        team.client_until(name, "to have claimed", Duration::from_secs(60), |c| {
            c.status.as_ref().is_some_and(|s| s.step.as_deref() == Some("Claimed"))
        })
        .await
        .unwrap();
    }
    kubectl(&["-n", n, "delete", "fltask", &team.task, "--wait=false"]).unwrap();
    let message = team
        .task_says("Ready", "Deleting", Duration::from_secs(30))
        .await
        .unwrap();
    assert!(message.contains(&drained), "{message}");
    kubectl(&["-n", n, "delete", "flclients", "--all", "--wait=false"]).unwrap();
    until("the task to be gone", Duration::from_secs(90), || async {
        let left = team.tasks().get_opt(&team.task).await?;
        Ok(Look::when(
            left.is_none(),
            (),
            left.map(|t| t.status.map(|s| s.conditions)),
        ))
    })
    .await
    .unwrap();
    until("its rounds and Jobs to be gone", Duration::from_secs(60), || async {
        let left = kubectl(&["-n", n, "get", "flrounds,jobs", "--ignore-not-found", "-o", "name"])?;
        Ok(Look::when(left.trim().is_empty(), (), left))
    })
    .await
    .unwrap();
}
