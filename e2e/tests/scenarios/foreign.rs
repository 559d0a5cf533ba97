//! Others in the same task: somebody without an operator, and another operator that shares chain and store only.

use std::time::Duration;

use e2e::{
    by_hand::ByHand,
    cluster, env,
    key::TestKey,
    manifests::{self, TOKEN, TaskShape, list},
    site::Site,
    task::Team,
};
use protocol::types::Outcome;

use crate::{
    lab::{TINY, lab},
    table,
};

const NAMESPACE: &str = "foreign";
/// The other enterprise: its operator and its clients' namespace.
const OTHER_OPERATOR: &str = "fla-other";
const OTHER: &str = "other";

#[tokio::test]
async fn a_participant_by_hand_and_a_second_operator_take_part_beside_the_first() {
    let (lab, kube) = lab().await;
    cluster::namespace(&kube, OTHER).await.unwrap();
    Site::install(&kube, &lab.devnet, OTHER_OPERATOR, &[OTHER], false)
        .await
        .unwrap();
    let shape = TaskShape {
        distribution_rate: "0.5",
        ..TaskShape::tiny(2, 4)
    };
    let stake = shape.entry_stake;
    // Two clients of the first operator.
    let team = Team::new(&kube, NAMESPACE, "shared", TINY, 2, shape.clone());
    team.start(&lab.devnet).await.unwrap();
    let contract = team.contract().await.unwrap();

    // One of the second, which knows the contract's address and fetches the definition from the store.
    let mut others = Team::new(&kube, OTHER, "joined", TINY, 3, shape);
    others.members.drain(..2);
    let hand = TestKey::random();
    let accounts = [others.members[0].key.address(), hand.address()];
    lab.devnet.fund(&accounts, stake).await.unwrap();
    let mut objects = others.ground(&lab.devnet);
    objects.push(manifests::joined_task(OTHER, "joined", contract));
    objects.push(others.client_manifest(&others.members[0]));
    cluster::apply(&list(objects)).unwrap();
    others
        .task_says("Ready", "Running", Duration::from_secs(90))
        .await
        .unwrap();

    // One by hand.
    let data = env::data_dir().join(TINY).join("client-3");
    let by_hand = ByHand::new(&lab.devnet, hand, contract, data).await.unwrap();
    tokio::time::timeout(Duration::from_secs(600), by_hand.take_part(stake * TOKEN))
        .await
        .expect("in ten minutes")
        .unwrap();

    team.ended(Duration::from_secs(60)).await.unwrap();
    others.ended(Duration::from_secs(60)).await.unwrap();
    for round in 0..2 {
        let settled = lab.devnet.snapshot(contract, Some(round), &[]).await.unwrap();
        assert_eq!(settled.participants.len(), 4, "round {round}");
        table::everybody_did_their_duty(&settled);
        assert_eq!(settled.round.outcome, Outcome::Accepted, "round {round}");
        let votes: Vec<_> = settled.voters().filter_map(|p| p.vote.map(|v| v.hash)).collect();
        assert!(
            votes.iter().all(|hash| *hash == votes[0]),
            "round {round}: everybody aggregates the same bytes"
        );
        assert_eq!(table::done(&settled), table::expected(&settled), "round {round}");
    }
    // Both operators mirror the same chain.
    for member in &others.members {
        others
            .client_until(&member.name, "to have claimed", Duration::from_secs(60), |c| {
                c.status.as_ref().is_some_and(|s| s.step.as_deref() == Some("Claimed"))
            })
            .await
            .unwrap();
    }
    lab.devnet.compare(NAMESPACE, "shared").await.unwrap();
    lab.devnet.compare(OTHER, "joined").await.unwrap();
}
