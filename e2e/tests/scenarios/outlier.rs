//! One of ten clients has bad labels, and the task's rule is Multi-Krum that slashes outliers.

use std::time::Duration;

use alloy::primitives::Address;
use e2e::{
    manifests::{TaskShape, Windows},
    task::Team,
};
use protocol::{
    snapshot::{ParticipantState, TaskSnapshot},
    types::{Amount, Outcome, Role},
};
use serde_json::json;

use crate::{
    lab::{ONE_POISONED, lab},
    table,
};

const CLIENTS: usize = 10;
/// The last client's labels are permuted.
const POISONER: usize = CLIENTS - 1;
const ROUNDS: u32 = 5;

/// Five proposers a round: the fewest that Krum can tell one bad among.
///
/// On this data an honest proposer's score stays below 2.5 times the median, and a poisoned one's is above 8 times.
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
            reveal: 90,
        },
        hidden: 16,
        // A few dozen test records are noisy, and this is not about how fast is learned.
        epsilon: "0.5",
        aggregation: json!({"rule": "multiKrum/v1", "weighted": false, "byzantine": 1, "slashOutliers": "4"}),
        ..TaskShape::default()
    }
}

/// The draw is random: in one task of five the poisoner proposes less than twice in five rounds. Then another task is
/// played.
const TASKS: usize = 3;

#[tokio::test]
async fn a_single_poisoner_loses_its_stake_round_by_round_and_nobody_else_does() {
    let (lab, kube) = lab().await;
    let mut proposed = Vec::new();
    for attempt in 0..TASKS {
        let mut team = Team::new(
            &kube,
            "outlier",
            &format!("krum-{attempt}"),
            ONE_POISONED,
            CLIENTS,
            shape(),
        );
        for member in &mut team.members {
            member.name = format!("{}-{attempt}", member.name);
        }
        team.start(&lab.devnet).await.unwrap();
        let contract = team.contract().await.unwrap();
        team.ended(Duration::from_secs(900)).await.unwrap();
        let poisoner = team.members[POISONER].key.address();
        let mut times = 0;
        for round in 0..ROUNDS {
            let settled = lab.devnet.snapshot(contract, Some(round), &[]).await.unwrap();
            times += u32::from(judge(&settled, poisoner));
        }
        lab.devnet.compare(&team.namespace, &team.task).await.unwrap();
        proposed.push(times);
        if times >= 2 {
            return;
        }
    }
    panic!("the poisoner hardly ever proposed: {proposed:?} times in tasks of {ROUNDS} rounds");
}

/// Checks a settled round; whether the poisoner proposed in it.
fn judge(settled: &TaskSnapshot, poisoner: Address) -> bool {
    let round = &settled.round;
    assert_eq!(table::done(settled), table::expected(settled), "{round:?}");
    assert_eq!(round.outcome, Outcome::Accepted, "{round:?}");
    let honest = |p: &&ParticipantState| p.account != poisoner;
    for p in settled.participants.iter().filter(honest) {
        assert_eq!(
            p.slashed,
            Amount::ZERO,
            "round {}: honest {} lost stake",
            round.round,
            p.account
        );
    }
    let Some(p) = settled.participants.iter().find(|p| p.account == poisoner) else {
        panic!("round {}: the poisoner did not join", round.round)
    };
    if p.role != Role::Proposer {
        return false;
    }
    let seat = settled.proposers().position(|p| p.account == poisoner).unwrap();
    assert_eq!(
        (round.popular_mask >> seat) & 1,
        0,
        "round {}: its bit stayed",
        round.round
    );
    assert_eq!(
        round.popular_mask.count_ones(),
        4,
        "round {}: an honest bit was cleared",
        round.round
    );
    assert!(p.slashed > Amount::ZERO && p.rewarded.is_zero(), "{p:?}");
    true
}
