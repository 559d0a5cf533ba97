use super::fixture::{Scene, T0, model};
use crate::{
    action::{Action, ClientStep, Transaction},
    client::JobState,
    job::Step,
    types::{Phase, Role, Round, RoundDigest, Timestamp},
};

#[test]
fn training_starts_at_the_head_and_ends_with_a_reserve() {
    let mut scene = Scene::drawn(Role::Proposer);
    // Nothing of the draw is confirmed yet: work can be thrown away.
    scene.view.confirmed_block = 400;
    let decision = scene.decide();
    let Action::StartJob(request) = &decision.actions[0] else {
        panic!("{decision:?}")
    };
    assert_eq!(request.identity, scene.identity(Step::Train));
    assert_eq!(request.identity.start_model, model(0x57));
    // A tenth of the window is more than three blocks.
    assert_eq!(request.finish_by, Timestamp(T0 + 90));
    scene.view.block_time = 5;
    let Action::StartJob(request) = &scene.decide().actions[0] else {
        panic!()
    };
    assert_eq!(request.finish_by, Timestamp(T0 + 85));
    assert_eq!(decision.step, ClientStep::Training);
}

#[test]
fn a_trained_model_is_contributed_once_naming_the_draw() {
    let mut scene = Scene::drawn(Role::Proposer);
    // The other proposer has contributed: only the draw's part of the digest is named.
    scene.snapshot.round.round_digest = RoundDigest(super::fixture::hash(0xD7));
    scene.trained(model(0xAB));
    let draw_digest = scene.snapshot.round.draw_digest;
    assert_eq!(
        scene.sent(),
        [Transaction::Contribute {
            round: Round(3),
            draw_digest,
            model: model(0xAB)
        }]
    );
    scene.row().contribution = Some(model(0xAB));
    assert_eq!((scene.sent(), scene.decide().step), (vec![], ClientStep::Contributed));
    scene.snapshot.round.contributed = 1;
    assert_eq!(scene.awaits(), ("the proposers' models (1 of 2)".into(), Some(100)));
}

#[test]
fn no_contribution_is_sent_that_cannot_be_mined_in_time() {
    let mut scene = Scene::drawn(Role::Proposer);
    scene.trained(model(0xAB));
    // The window is judged by the head: a fast wall clock alone does not give up a duty.
    scene.at(98, 500);
    assert_eq!(scene.sent().len(), 1);
    scene.at(99, 99);
    assert_eq!(scene.sent(), []);
    scene.phase(Phase::Finish);
    scene.at(100, 100);
    assert_eq!(scene.sent(), []);
}

#[test]
fn no_training_is_started_that_could_not_hand_in() {
    let mut scene = Scene::drawn(Role::Proposer);
    scene.at(50, 90);
    assert!(!scene.decide().actions.iter().any(|a| matches!(a, Action::StartJob(_))));
    assert!(scene.awaits().0.contains("too little of it is left"));
}

#[test]
fn a_failed_training_is_started_again_only_if_that_may_help_and_time_is_left() {
    let mut scene = Scene::drawn(Role::Proposer);
    let identity = scene.identity(Step::Train);
    let delete = Action::DeleteJob { name: "train".into() };
    scene.job("train", identity, JobState::Failed { retry: true });
    assert!(scene.decide().actions.contains(&delete));
    scene.at(50, 90);
    assert!(!scene.decide().actions.contains(&delete));
    scene.at(0, 0);
    scene.view.jobs.last_mut().unwrap().state = JobState::Failed { retry: false };
    assert!(!scene.decide().actions.contains(&delete));
    assert!(scene.awaits().0.contains("failed for good"));
}

#[test]
fn what_the_contract_would_refuse_is_not_contributed() {
    let mut scene = Scene::drawn(Role::Proposer);
    scene.trained(scene.snapshot.round.start_model);
    assert_eq!(scene.sent(), []);
    assert!(scene.awaits().0.contains("cannot be contributed"));
}

#[test]
fn after_a_redraw_the_model_of_the_other_draw_is_not_used() {
    let mut scene = Scene::drawn(Role::Proposer);
    scene.trained(model(0xAB));
    scene.snapshot.round.draw_digest = RoundDigest(super::fixture::hash(0xDD));
    let decision = scene.decide();
    assert_eq!(scene.sent(), []);
    assert!(matches!(&decision.actions[0], Action::StartJob(_)));
    assert!(decision.actions.contains(&Action::DeleteJob { name: "train".into() }));
}
