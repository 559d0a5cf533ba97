//! Two tasks at once, in two namespaces.

use std::time::Duration;

use e2e::{
    manifests::{TaskShape, Windows},
    shell::kubectl,
    task::Team,
};
use protocol::types::{Outcome, Phase};

use crate::{
    lab::{TINY, lab},
    table,
};

#[tokio::test]
async fn a_task_suspended_in_the_middle_of_a_round_stands_still_says_so_and_leaves_the_other_alone() {
    let (lab, kube) = lab().await;
    let patient = Windows {
        join: 60,
        propose: 300,
        commit: 300,
        reveal: 120,
    };
    let shape = TaskShape {
        windows: patient,
        ..TaskShape::tiny(1, 3)
    };
    let a = Team::new(&kube, "two-a", "digits", TINY, 3, shape.clone());
    let b = Team::new(&kube, "two-b", "digits", TINY, 3, TaskShape { rounds: 2, ..shape });
    a.start(&lab.devnet).await.unwrap();
    b.start(&lab.devnet).await.unwrap();
    let contract_a = a.contract().await.unwrap();
    let contract_b = b.contract().await.unwrap();
    assert_ne!(contract_a, contract_b);

    let proposing = |t: &crds::FLTask| t.status.as_ref().and_then(|s| s.phase) == Some(Phase::Propose);
    a.task_until("to be proposing", Duration::from_secs(180), proposing)
        .await
        .unwrap();
    suspend(&a, true);
    a.task_says("Ready", "Suspended", Duration::from_secs(30))
        .await
        .unwrap();
    let at = lab.devnet.snapshot(contract_a, None, &[]).await.unwrap();
    // A transaction that was under way when the task was suspended may still be mined.
    let proposer = at.proposers().next().unwrap();
    let name = a.names()[&proposer.account].clone();
    if proposer.contribution.is_none() {
        let message = a
            .client_says(&name, "DutyAtRisk", "Suspended", Duration::from_secs(30))
            .await
            .unwrap();
        assert!(message.contains("contribute"), "{message}");
    }

    // The other one runs to its end meanwhile.
    b.ended(Duration::from_secs(300)).await.unwrap();
    for round in 0..2 {
        let settled = lab.devnet.snapshot(contract_b, Some(round), &[]).await.unwrap();
        table::everybody_did_their_duty(&settled);
        assert_eq!(settled.round.outcome, Outcome::Accepted, "round {round}");
    }
    let still = lab.devnet.snapshot(contract_a, None, &[]).await.unwrap();
    assert_eq!(
        (still.round.committed, still.round.revealed),
        (0, 0),
        "a suspended task sends nothing"
    );
    assert_ne!(still.state.phase, Phase::Ended);

    suspend(&a, false);
    a.ended(Duration::from_secs(420)).await.unwrap();
    let settled = lab.devnet.snapshot(contract_a, Some(0), &[]).await.unwrap();
    table::everybody_did_their_duty(&settled);
    lab.devnet.compare("two-a", "digits").await.unwrap();
    lab.devnet.compare("two-b", "digits").await.unwrap();
}

fn suspend(team: &Team, value: bool) {
    let patch = format!("{{\"spec\":{{\"suspend\":{value}}}}}");
    kubectl(&[
        "-n",
        &team.namespace,
        "patch",
        "fltask",
        &team.task,
        "--type=merge",
        "-p",
        &patch,
    ])
    .unwrap();
}
