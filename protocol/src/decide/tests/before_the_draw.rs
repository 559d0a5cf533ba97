use super::fixture::{HEAD, Scene, T0, check_result, me, model, participant};
use crate::{
    action::{Action, ClientStep, StopReason, Transaction},
    client::JobState,
    job::{CheckResult, Step, StepResult},
    types::{Phase, Role, Round, Timestamp},
};

fn stops_with(scene: &Scene) -> Option<StopReason> {
    match scene.decide().actions.as_slice() {
        [Action::Stop(reason)] => Some(reason.clone()),
        _ => None,
    }
}

#[test]
fn before_the_check_has_succeeded_nothing_goes_on_chain() {
    let mut scene = Scene::new();
    let decision = scene.decide();
    assert!(matches!(&decision.actions[0], Action::StartJob(r) if r.identity == scene.identity(Step::Check)));
    assert_eq!((decision.step, scene.sent()), (ClientStep::Checking, vec![]));
    let identity = scene.identity(Step::Check);
    for state in [JobState::Pending, JobState::Running, JobState::Failed { retry: false }] {
        scene.view.jobs.clear();
        scene.job("check", identity.clone(), state.clone());
        assert_eq!(scene.sent(), [], "{state:?}");
        assert!(
            !scene
                .decide()
                .actions
                .iter()
                .any(|a| matches!(a, Action::StartJob(_) | Action::DeleteJob { .. }))
        );
    }
    assert!(scene.awaits().0.starts_with("a repair: the check Job failed for good"));
}

#[test]
fn a_check_that_may_succeed_later_is_deleted_and_so_tried_again() {
    let mut scene = Scene::new();
    scene.job("check", scene.identity(Step::Check), JobState::Failed { retry: true });
    assert!(
        scene
            .decide()
            .actions
            .contains(&Action::DeleteJob { name: "check".into() })
    );
}

#[test]
fn obstacles_known_from_the_chain_stop_the_client_before_any_job() {
    let mut scene = Scene::new();
    scene.snapshot.accounts[0].allowed = false;
    assert_eq!(stops_with(&scene), Some(StopReason::NotAllowed));

    let mut scene = Scene::new();
    scene.view.stake = 63u128.into();
    assert_eq!(
        stops_with(&scene),
        Some(StopReason::StakeBelowEntry { entry: 64u128.into() })
    );

    let mut scene = Scene::new();
    scene.snapshot.accounts[0].token_balance = 63u128.into();
    assert_eq!(
        stops_with(&scene),
        Some(StopReason::NotEnoughTokens { balance: 63u128.into() })
    );

    // None of this matters once it is staked.
    let mut scene = Scene::ready();
    scene.snapshot.accounts[0].allowed = false;
    scene.snapshot.accounts[0].token_balance = 0u128.into();
    scene.view.stake = 1u128.into();
    assert_eq!(
        scene.sent(),
        [Transaction::JoinRound {
            round: Round(3),
            sample_count: 77
        }]
    );
}

#[test]
fn another_genesis_model_than_the_chains_stops_the_client() {
    let mut scene = Scene::new();
    let other = CheckResult {
        genesis_model: model(0x66),
        ..check_result()
    };
    scene.succeeded(Step::Check, StepResult::Check(other));
    assert_eq!(
        stops_with(&scene),
        Some(StopReason::GenesisMismatch { derived: model(0x66) })
    );
    assert_eq!(scene.decide().step, ClientStep::Stopped);
}

#[test]
fn a_result_that_answers_another_input_does_not_count() {
    let mut scene = Scene::new();
    scene.check_succeeded();
    if let JobState::Succeeded(result) = &mut scene.view.jobs[0].state {
        result.identity_hash = super::fixture::hash(9);
    }
    assert_eq!(scene.sent(), []);
}

#[test]
fn exactly_the_stake_is_approved_then_staked_and_never_topped_up() {
    let mut scene = Scene::new();
    scene.check_succeeded();
    let token = scene.snapshot.state.token;
    let approve = Transaction::Approve {
        token,
        amount: 64u128.into(),
    };
    assert_eq!(scene.sent(), std::slice::from_ref(&approve));
    scene.snapshot.accounts[0].allowance = 1000u128.into();
    assert_eq!(scene.sent(), [approve]);
    scene.snapshot.accounts[0].allowance = 64u128.into();
    assert_eq!(scene.sent(), [Transaction::Stake { amount: 64u128.into() }]);

    let account = &mut scene.snapshot.accounts[0];
    (account.ever_staked, account.stake_left) = (true, 23u128.into());
    assert_eq!(scene.sent(), []);
    assert_eq!(scene.awaits().0, "a stake of at least 24; 23 is left");
}

#[test]
fn a_changed_environment_is_checked_again_before_the_next_join() {
    let mut scene = Scene::ready();
    assert_eq!(
        scene.sent(),
        [Transaction::JoinRound {
            round: Round(3),
            sample_count: 77
        }]
    );
    scene.view.environment = super::fixture::hash(0xE1);
    assert_eq!(scene.sent(), []);
    let actions = scene.decide().actions;
    assert!(matches!(&actions[0], Action::StartJob(r) if r.identity.environment == super::fixture::hash(0xE1)));
    assert!(actions.contains(&Action::DeleteJob { name: "check".into() }));
}

#[test]
fn a_changed_environment_is_checked_ahead_once_the_duty_of_the_round_is_done() {
    let mut scene = Scene::drawn(Role::Proposer);
    scene.view.jobs.clear();
    let starts_check = |scene: &Scene| {
        scene
            .decide()
            .actions
            .iter()
            .any(|a| matches!(a, Action::StartJob(r) if r.identity.step == Step::Check))
    };
    assert!(!starts_check(&scene));
    scene.row().contribution = Some(model(1));
    assert!(starts_check(&scene));
    scene.view.draining = true;
    assert!(!starts_check(&scene));
}

#[test]
fn nobody_joins_who_drains_was_removed_or_finds_no_seat() {
    let mut scene = Scene::ready();
    scene.view.draining = true;
    assert_eq!((scene.sent(), scene.decide().step), (vec![], ClientStep::Drained));

    let mut scene = Scene::ready();
    scene.snapshot.accounts[0].removed = true;
    assert_eq!((scene.sent(), scene.decide().step), (vec![], ClientStep::Removed));

    let mut scene = Scene::ready();
    scene.snapshot.round.joined = 4;
    assert_eq!(scene.sent(), []);
    assert_eq!(scene.awaits().0, "the next round: all seats of round 3 are taken");

    let mut scene = Scene::ready();
    scene.phase(Phase::Draw);
    assert_eq!(scene.sent(), []);
    assert_eq!(scene.awaits().0, "the end of round 3, to join the next one");
}

#[test]
fn nothing_is_staked_for_a_task_whose_last_round_is_under_way() {
    let mut scene = Scene::new();
    scene.check_succeeded();
    scene.phase(Phase::Propose);
    scene.snapshot.parameters.total_rounds = 4;
    assert_eq!(scene.sent(), []);
    scene.snapshot.parameters.total_rounds = 5;
    assert_eq!(scene.sent().len(), 1);
    scene.snapshot.state.finish_requested = true;
    assert_eq!(scene.sent(), []);
}

#[test]
fn after_joining_it_is_said_who_or_what_is_missing() {
    let mut scene = Scene::ready();
    let mut row = participant(me(), false);
    row.role = Role::None;
    scene.snapshot.participants.push(row);
    scene.snapshot.round.joined = 1;
    assert_eq!(scene.awaits(), ("2 more participants to join".into(), Some(990)));
    scene.snapshot.round.joined = 3;
    assert_eq!(scene.awaits(), ("the join window to close".into(), Some(40)));
    assert!(scene.decide().actions.contains(&Action::WaitUntil(Timestamp(T0 + 40))));
    scene.phase(Phase::Draw);
    scene.snapshot.round.seed_block = Some(HEAD + 3);
    assert_eq!(scene.awaits().0, "the draw's seed block 503");
    assert!(scene.decide().actions.contains(&Action::WaitUntil(Timestamp(T0 + 8))));
    assert_eq!(scene.decide().step, ClientStep::Joined);
}

#[test]
fn a_snapshot_that_does_not_fit_leads_to_no_action() {
    let mut scene = Scene::ready();
    scene.snapshot.state.current_round = Round(4);
    assert_eq!(scene.decide().actions, []);
    scene.snapshot.accounts.clear();
    assert_eq!(scene.decide().actions, []);
}
