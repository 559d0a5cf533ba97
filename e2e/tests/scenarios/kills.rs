//! The operator dies in the middle of everything.

use std::time::Duration;

use alloy::primitives::Address;
use e2e::{
    cluster,
    devnet::Devnet,
    manifests::{TaskShape, Windows},
    shell::kubectl,
    site::Site,
    task::Team,
    wait::{Look, until},
};
use protocol::{
    snapshot::TaskSnapshot,
    types::{Outcome, Phase},
};

use crate::{
    lab::{TINY, lab},
    table,
};

const NAMESPACE: &str = "killed";
/// An operator of its own: the other scenarios keep theirs.
const OPERATOR: &str = "fla-killed";

/// Where in a round the operator is killed: name, round, and whether the chain is there now. Some last for a block only,
/// so what comes right after counts, too.
type Moment = (&'static str, u32, fn(&TaskSnapshot) -> bool);

const MOMENTS: [Moment; 6] = [
    ("join", 0, |s| s.round.joined >= 1),
    ("train", 0, |s| s.round.phase == Phase::Propose),
    ("contribute", 0, |s| s.round.contributed >= 1),
    ("commit", 1, |s| s.round.committed >= 1),
    ("reveal", 1, |s| s.round.revealed >= 1),
    ("settle", 2, |s| s.round.finished_at.is_some()),
];

#[tokio::test]
async fn an_operator_killed_in_every_phase_does_each_duty_once() {
    let (lab, kube) = lab().await;
    cluster::namespace(&kube, NAMESPACE).await.unwrap();
    Site::install(&kube, &lab.devnet, OPERATOR, &[NAMESPACE], false)
        .await
        .unwrap();
    let shape = TaskShape {
        distribution_rate: "0.5",
        windows: Windows {
            join: 120,
            propose: 180,
            commit: 180,
            reveal: 120,
        },
        ..TaskShape::tiny(3, 4)
    };
    let team = Team::new(&kube, NAMESPACE, "restless", TINY, 4, shape);
    team.start(&lab.devnet).await.unwrap();
    let contract = team.contract().await.unwrap();
    for (name, round, reached) in MOMENTS {
        wait_for(&lab.devnet, contract, name, round, reached).await;
        // As a node that loses power would: no grace, no farewell.
        kubectl(&[
            "-n",
            OPERATOR,
            "delete",
            "pods",
            "-l",
            "app.kubernetes.io/component=controller",
            "--grace-period=0",
            "--force",
        ])
        .unwrap();
        eprintln!("killed in {name}");
    }
    team.ended(Duration::from_secs(420)).await.unwrap();
    for round in 0..3 {
        let settled = lab.devnet.snapshot(contract, Some(round), &[]).await.unwrap();
        table::everybody_did_their_duty(&settled);
        assert_eq!(settled.round.outcome, Outcome::Accepted, "round {round}");
        assert_eq!(table::done(&settled), table::expected(&settled), "round {round}");
    }
    for member in &team.members {
        team.client_until(&member.name, "to have claimed", Duration::from_secs(90), |c| {
            c.status.as_ref().is_some_and(|s| s.step.as_deref() == Some("Claimed"))
        })
        .await
        .unwrap();
    }
    lab.devnet.compare(NAMESPACE, "restless").await.unwrap();
}

async fn wait_for(devnet: &Devnet, task: Address, name: &str, round: u32, reached: fn(&TaskSnapshot) -> bool) {
    until(
        &format!("{name} of round {round}"),
        Duration::from_secs(300),
        || async {
            let now = devnet.snapshot(task, None, &[]).await?;
            let current = now.round.round.0;
            let there = current > round || now.state.phase == Phase::Ended || (current == round && reached(&now));
            Ok(Look::when(there, (), (&now.state.phase, current, now.round.joined)))
        },
    )
    .await
    .unwrap();
}
