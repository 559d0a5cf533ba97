//! Whole reconciles of an FLTask against the outside world in memory.

use std::time::Duration;

use crds::{
    FLTaskStatus,
    conditions::{self, reason, types},
    names,
};
use protocol::types::{Outcome, Phase, Role, Timestamp};

use super::{LOGS, Next, TaskError, reconcile};
use crate::{
    cluster::{FINALIZER, Key},
    testing::{Moment, START, World},
};

fn task_key() -> Key {
    Key::new("team", "digits")
}

async fn run(world: &World) -> Result<Next, TaskError> {
    reconcile(&task_key(), &world.ctx).await
}

fn status(world: &World) -> FLTaskStatus {
    world
        .cluster
        .edit(|state| state.tasks[&task_key()].status.clone().unwrap_or_default())
}

fn ready(world: &World) -> (String, String, String) {
    let status = status(world);
    let ready = conditions::find(&status.conditions, types::READY).expect("Ready is always there");
    (ready.status.clone(), ready.reason.clone(), ready.message.clone())
}

#[tokio::test]
async fn a_joined_task_is_mirrored_with_its_round() {
    let world = World::new();
    run(&world).await.unwrap();
    let (status_, reason_, message) = ready(&world);
    assert_eq!((status_.as_str(), reason_.as_str()), ("True", reason::RUNNING));
    assert!(message.contains("join"), "{message}");
    let status = status(&world);
    assert_eq!(status.phase, Some(Phase::Join));
    assert_eq!(status.clients, Some(1));
    assert!(conditions::is_true(&status.conditions, types::CONTRACT_VERIFIED));
    let rounds: Vec<String> = world
        .cluster
        .edit(|s| s.rounds.keys().map(|k| k.name.clone()).collect());
    assert_eq!(rounds, [names::round_name("digits", 0)]);
}

#[tokio::test]
async fn rounds_that_a_deep_reorg_takes_back_are_mirrored_anew() {
    let world = World::new();
    let before = world.chain.edit(|state| state.now.clone());
    world.next_round();
    run(&world).await.unwrap();
    assert_eq!(status(&world).mirrored_rounds, Some(1));
    world.chain.edit(|state| {
        state.now = before;
        state.past.clear();
    });
    run(&world).await.unwrap();
    assert_eq!(status(&world).mirrored_rounds, Some(0));
    let rounds: Vec<String> = world
        .cluster
        .edit(|s| s.rounds.keys().map(|k| k.name.clone()).collect());
    assert_eq!(rounds, [names::round_name("digits", 0)]);
}

#[tokio::test]
async fn a_node_that_is_behind_with_its_logs_is_asked_again() {
    let world = World::drawn(Role::Voter);
    world.next_round();
    let settled = world.chain.edit(|state| {
        state.log_head = state.now.block.number - 1;
        state.now.block.number
    });
    let transaction = || {
        let key = Key::new("team", names::round_name("digits", 0));
        let round = world.cluster.edit(|s| s.rounds[&key].status.clone().unwrap());
        round.settlement.and_then(|settlement| settlement.transaction)
    };
    assert_eq!(run(&world).await.unwrap(), Some(LOGS));
    assert_eq!((status(&world).mirrored_rounds, transaction()), (Some(0), None));
    world.chain.edit(|state| state.log_head = u64::MAX);
    assert_ne!(run(&world).await.unwrap(), Some(LOGS));
    assert_eq!(status(&world).mirrored_rounds, Some(1));
    assert!(transaction().is_some());
    // It only looks lost, and the node is behind again: what is there stays.
    world.chain.edit(|state| state.log_head = settled - 1);
    let key = Key::new("team", names::round_name("digits", 0));
    let set_final = |value| {
        world
            .cluster
            .edit(|s| s.rounds.get_mut(&key).unwrap().status.as_mut().unwrap().r#final = value);
    };
    set_final(false);
    assert_eq!(run(&world).await.unwrap(), Some(LOGS));
    assert!(transaction().is_some());
    set_final(true);
    // Where old logs are not kept nothing is waited for.
    let world = World::drawn(Role::Voter);
    world.next_round();
    world.chain.edit(|state| {
        state.log_head = 0;
        state.now.block.number = settled + 64;
    });
    assert_ne!(run(&world).await.unwrap(), Some(LOGS));
    assert_eq!(status(&world).mirrored_rounds, Some(1));
}

#[tokio::test]
async fn a_final_round_that_is_gone_or_overwritten_is_written_again() {
    let world = World::new();
    world.next_round();
    run(&world).await.unwrap();
    assert_eq!(status(&world).mirrored_rounds, Some(1));
    let key = Key::new("team", names::round_name("digits", 0));
    let written = world.cluster.edit(|s| s.rounds[&key].clone());
    assert!(written.status.as_ref().unwrap().r#final);
    for overwritten in [None, Some(false)] {
        world.cluster.edit(|s| match overwritten {
            None => drop(s.rounds.remove(&key)),
            Some(value) => s.rounds.get_mut(&key).unwrap().status.as_mut().unwrap().r#final = value,
        });
        run(&world).await.unwrap();
        assert_eq!(world.cluster.edit(|s| s.rounds[&key].status.clone()), written.status);
    }
    assert_eq!(status(&world).mirrored_rounds, Some(1));
}

#[tokio::test]
async fn an_idle_task_writes_nothing_the_second_time() {
    let world = World::new();
    run(&world).await.unwrap();
    let writes = world.cluster.edit(|s| s.status_writes);
    world.clock.set(START + 600);
    run(&world).await.unwrap();
    assert_eq!(world.cluster.edit(|s| s.status_writes), writes);
}

#[tokio::test]
async fn a_settled_round_becomes_final_and_is_announced_once() {
    let world = World::drawn(Role::Voter);
    world.chain.edit(|state| {
        let mut settled = state.now.clone();
        settled.round.settled = true;
        settled.round.outcome = Outcome::Accepted;
        settled.round.settled_block = Some(state.confirmed);
        settled.round.finished_block = Some(state.confirmed);
        settled.round.next_hash = Some(settled.round.start_model);
        settled.round.phase = Phase::Ended;
        state.now.round.round = settled.round.round.next();
        state.now.state.current_round = state.now.round.round;
        state.past.push(settled);
    });
    run(&world).await.unwrap();
    run(&world).await.unwrap();
    let status = status(&world);
    assert_eq!(
        status.last_result.as_ref().map(|r| (r.round, r.outcome)),
        Some((0, Outcome::Accepted))
    );
    assert_eq!(status.mirrored_rounds, Some(1));
    let (first_is_final, said) = world.cluster.edit(|s| {
        let first = &s.rounds[&Key::new("team", names::round_name("digits", 0))];
        let said = s.notes.iter().filter(|n| n.reason == "RoundSettled").count();
        (first.status.as_ref().is_some_and(|s| s.r#final), said)
    });
    assert!(first_is_final);
    assert_eq!(said, 1);
}

#[tokio::test]
async fn a_contract_that_no_trusted_manager_knows_is_not_named() {
    let world = World::new();
    world.chain.edit(|state| state.trusted = false);
    world
        .cluster
        .edit(|s| s.tasks.get_mut(&task_key()).unwrap().status = None);
    let next = run(&world).await.unwrap();
    assert!(next.is_some(), "looks again by itself");
    assert_eq!(ready(&world).1, reason::UNKNOWN_CONTRACT);
    assert_eq!(status(&world).contract, None, "clients stake at a named contract only");
}

#[tokio::test]
async fn a_definition_that_hashes_to_something_else_is_said() {
    let world = World::new();
    world.cluster.edit(|s| {
        let task = s.tasks.get_mut(&task_key()).unwrap();
        task.spec.definition.as_mut().unwrap().0["seed"] = 424_242.into();
    });
    run(&world).await.unwrap();
    assert_eq!(ready(&world).1, reason::DEFINITION_MISMATCH);
    assert!(conditions::is_true(&status(&world).conditions, types::STALLED));
}

#[tokio::test]
async fn a_store_nobody_serves_stalls_the_task_until_the_spec_names_another() {
    let world = World::new();
    world
        .cluster
        .edit(|s| s.tasks.get_mut(&task_key()).unwrap().spec.store_ref = Some("elsewhere".into()));
    run(&world).await.unwrap();
    assert_eq!(ready(&world).1, reason::STORE_UNKNOWN);
    assert!(conditions::is_true(&status(&world).conditions, types::STALLED));
    world
        .cluster
        .edit(|s| s.tasks.get_mut(&task_key()).unwrap().spec.store_ref = None);
    run(&world).await.unwrap();
    assert_eq!(ready(&world).1, reason::RUNNING);
    assert!(conditions::find(&status(&world).conditions, types::STALLED).is_none());
}

#[tokio::test]
async fn a_suspended_task_is_not_ready_and_still_mirrored() {
    let world = World::new();
    world
        .cluster
        .edit(|s| s.tasks.get_mut(&task_key()).unwrap().spec.suspend = true);
    run(&world).await.unwrap();
    assert_eq!(ready(&world).1, reason::SUSPENDED);
    assert_eq!(status(&world).phase, Some(Phase::Join));
    assert!(world.chain.sent().is_empty());
}

#[tokio::test]
async fn a_keepers_call_that_nobody_mines_does_not_hold_the_record_up() {
    let world = World::drawn(Role::Voter);
    world.cluster.edit(|s| {
        let task = s.tasks.get_mut(&task_key()).unwrap();
        task.spec.keeper = serde_json::from_value(serde_json::json!({
            "enabled": true, "signer": { "secretRef": { "name": "alpha-key" } },
        }))
        .unwrap();
    });
    world.chain.edit(|state| {
        state.now.state.phase = Phase::Finish;
        state.now.round.phase = Phase::Finish;
        state.stuck = true;
    });
    let next = run(&world).await.unwrap();
    assert_eq!(next, Some(Duration::from_secs(2)), "looks again at the next block");
    assert_eq!(ready(&world).1, reason::RUNNING);
    assert_eq!(status(&world).phase, Some(Phase::Finish));
}

#[tokio::test]
async fn a_deleted_task_waits_for_its_clients() {
    let world = World::new();
    run(&world).await.unwrap();
    world.cluster.edit(|s| {
        let task = s.tasks.get_mut(&task_key()).unwrap();
        assert!(
            task.metadata
                .finalizers
                .as_ref()
                .unwrap()
                .iter()
                .any(|f| f == FINALIZER)
        );
        task.metadata.deletion_timestamp = crds::rfc3339(Timestamp(START));
    });
    run(&world).await.unwrap();
    let (_, reason_, message) = ready(&world);
    assert_eq!(reason_, reason::DELETING);
    assert!(message.contains("alpha"), "{message}");
    world.cluster.edit(|s| s.clients.clear());
    run(&world).await.unwrap();
    let held = world.cluster.edit(|s| {
        let task = s.tasks.get(&task_key());
        task.is_some_and(|t| t.metadata.finalizers.iter().flatten().any(|f| f == FINALIZER))
    });
    assert!(!held);
}

#[tokio::test]
async fn a_deleted_task_whose_status_was_lost_names_its_contract_again() {
    let world = World::new();
    run(&world).await.unwrap();
    let contract = status(&world).contract;
    assert!(contract.is_some());
    world.cluster.edit(|s| {
        let task = s.tasks.get_mut(&task_key()).unwrap();
        task.metadata.deletion_timestamp = crds::rfc3339(Timestamp(START));
        task.status = None;
    });
    run(&world).await.unwrap();
    assert_eq!(
        status(&world).contract,
        contract,
        "its clients cannot do their duty without"
    );
    assert_eq!(ready(&world).1, reason::DELETING);
    // Nothing to act on, nothing to create: then it says what is missing, and goes with its clients all the same.
    world.cluster.edit(|s| {
        let task = s.tasks.get_mut(&task_key()).unwrap();
        (task.status, task.spec.contract, task.spec.create) = (None, None, None);
    });
    run(&world).await.unwrap();
    assert_eq!(status(&world).contract, None);
    let (_, reason_, message) = ready(&world);
    assert_eq!(reason_, reason::DELETING);
    assert!(message.contains("neither contract nor create is set"), "{message}");
    assert!(world.chain.sent().is_empty());
}

#[tokio::test]
async fn a_reconcile_that_died_at_any_call_is_made_good_by_the_next() {
    let whole = World::new();
    run(&whole).await.unwrap();
    let (wanted, calls) = (status(&whole), whole.faults.trace().len());
    for call in 0..calls {
        for moment in [Moment::Before, Moment::After] {
            let world = World::new();
            world.faults.die_at(call, moment);
            // Dying is the point; what it reports does not matter.
            let _ = run(&world).await;
            assert!(world.faults.restart(), "it never died at call {call}");
            run(&world).await.unwrap();
            assert_eq!(status(&world), wanted, "died {moment:?} call {call}");
            assert!(world.chain.sent().is_empty());
        }
    }
}
