//! Half of the clients have bad labels; the others have more stake, as honest voters must.

use std::{collections::BTreeSet, time::Duration};

use alloy::primitives::Address;
use e2e::{
    cluster, env,
    manifests::{TOKEN, TaskShape, Windows},
    task::Team,
    trainer,
};
use protocol::{
    snapshot::TaskSnapshot,
    types::{Outcome, Role},
};
use serde_json::json;

use crate::{
    lab::{HALF_POISONED, lab},
    table,
};

const POISONED: std::ops::Range<usize> = 3..6;
const ROUNDS: u32 = 7;
/// Whole tokens: a slash takes a tenth, the fourth leaves less than the threshold.
const STAKE: u128 = 100;
const THRESHOLD: u128 = 70;
/// Three honest voters outweigh three poisoned ones, and their slashes never add up to a removal.
const HONEST_STAKE: u128 = 1000;

fn shape() -> TaskShape {
    TaskShape {
        rounds: ROUNDS,
        min_participants: 3,
        max_participants: 6,
        // One proposer: a round is either honest or poisoned.
        distribution_rate: "0.17",
        slashed_per_stake: "0.1",
        entry_stake: STAKE,
        min_stake_threshold: THRESHOLD,
        windows: Windows {
            join: 40,
            propose: 90,
            commit: 90,
            reveal: 45,
        },
        epochs: 12,
        hidden: 32,
        epsilon: "0.1",
        ..TaskShape::default()
    }
}

/// The draw is random: with three of six poisoned, one task in eight has an honest proposer in each of its first rounds
/// and removes everybody poisoned before one of them proposes. Then another task is drawn.
const TASKS: usize = 4;

#[tokio::test]
async fn a_poisoned_aggregate_is_voted_down_and_who_keeps_losing_is_removed_while_the_task_goes_on() {
    let (lab, kube) = lab().await;
    for attempt in 0..TASKS {
        let mut team = Team::new(&kube, "poisoned", &format!("half-{attempt}"), HALF_POISONED, 6, shape());
        for member in &mut team.members {
            member.name = format!("{}-{attempt}", member.name);
        }
        let rounds = run(&team, &lab.devnet).await;
        let poisoned: BTreeSet<Address> = team.members[POISONED].iter().map(|m| m.key.address()).collect();
        let voted_down = rounds.iter().filter(|r| voted_down(r, &poisoned)).count();
        let removed = removed(&team, &lab.devnet, &poisoned).await;
        for name in &removed {
            let client = team.client_object(name).await.unwrap();
            let status = client.status.unwrap();
            assert_eq!(
                status.step.as_deref(),
                Some("Claimed"),
                "{name}: what is left is claimed at the end"
            );
        }
        eprintln!("task {attempt}: {voted_down} poisoned aggregates voted down, removed: {removed:?}");
        // Who is removed by the last rounds leaves too little of the task to see it go on.
        if voted_down > 0 && !removed.is_empty() && went_on_without(&rounds, &poisoned) {
            let last = rounds.last().unwrap();
            let model = last.round.next_hash.unwrap();
            let stored = lab.devnet.depot.stored(lab.devnet.deployment.chain_id, model);
            let bytes = stored.unwrap().expect("the global model is in the store");
            let definition = e2e::manifests::definition(&team.shape);
            let held_out = env::data_dir().join(HALF_POISONED).join("held-out");
            let accuracy = trainer::evaluate(&definition, Some(&bytes), &held_out)
                .unwrap()
                .accuracy()
                .unwrap();
            assert!(accuracy > 0.5, "the honest half did not prevail: {accuracy}");
            return;
        }
    }
    panic!("in {TASKS} tasks no poisoned aggregate was voted down, or nobody was removed with rounds to go");
}

async fn run(team: &Team, devnet: &e2e::devnet::Devnet) -> Vec<TaskSnapshot> {
    team.fund(devnet).await.unwrap();
    let honest: Vec<Address> = team.members[..POISONED.start].iter().map(|m| m.key.address()).collect();
    devnet.fund(&honest, HONEST_STAKE).await.unwrap();
    let mut manifests = team.manifests(devnet);
    for object in manifests["items"].as_array_mut().unwrap() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let is_honest = team.members[..POISONED.start].iter().any(|m| m.name == name);
        if object["kind"] == "FLClient" && is_honest {
            object["spec"]["stake"] = json!((HONEST_STAKE * TOKEN).to_string());
        }
    }
    cluster::apply(&manifests).unwrap();
    let contract = team.contract().await.unwrap();
    team.ended(Duration::from_secs(700)).await.unwrap();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let settled = devnet.snapshot(contract, Some(round), &[]).await.unwrap();
        assert_eq!(
            table::done(&settled),
            table::expected(&settled),
            "round {round}: {:?}",
            settled.round
        );
        if settled.round.outcome == Outcome::Rejected {
            assert_eq!(
                settled.round.next_hash,
                Some(settled.round.start_model),
                "round {round} did not roll back"
            );
        }
        rounds.push(settled);
    }
    for member in &team.members {
        team.client_until(&member.name, "to have claimed", Duration::from_secs(60), |c| {
            c.status.as_ref().is_some_and(|s| s.step.as_deref() == Some("Claimed"))
        })
        .await
        .unwrap();
    }
    devnet.compare(&team.namespace, &team.task).await.unwrap();
    rounds
}

fn voted_down(round: &TaskSnapshot, poisoned: &BTreeSet<Address>) -> bool {
    round.round.outcome == Outcome::Rejected && round.proposers().all(|p| poisoned.contains(&p.account))
}

/// Whom the contract removed: all of them poisoned.
async fn removed(team: &Team, devnet: &e2e::devnet::Devnet, poisoned: &BTreeSet<Address>) -> Vec<String> {
    let contract = team.contract().await.unwrap();
    let end = devnet.snapshot(contract, None, &team.addresses()).await.unwrap();
    let names = team.names();
    let removed: Vec<Address> = end.accounts.iter().filter(|a| a.removed).map(|a| a.account).collect();
    assert!(
        removed.iter().all(|a| poisoned.contains(a)),
        "an honest client was removed"
    );
    removed.iter().map(|a| names[a].clone()).collect()
}

fn went_on_without(rounds: &[TaskSnapshot], poisoned: &BTreeSet<Address>) -> bool {
    rounds.iter().any(|r| {
        let here: BTreeSet<Address> = r.participants.iter().map(|p| p.account).collect();
        let drawn = r.participants.iter().any(|p| p.role == Role::Proposer);
        drawn && !poisoned.is_subset(&here) && r.round.outcome == Outcome::Accepted
    })
}
