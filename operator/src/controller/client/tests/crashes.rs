//! Killed before and after every single call: the next process ends where an unharmed one ends, with the same
//! transactions on chain.

use protocol::{
    job::{Step, StepResult},
    types::{Role, Score},
};

use crate::testing::{Moment, World, checked, model, trained, voted};

/// Reconciles until nothing more happens, dying once at `call`. Returns whether the death came.
async fn survive(world: &World, call: usize, moment: Moment) -> bool {
    world.faults.die_at(call, moment);
    let outcome = world.reconcile().await;
    let died = world.faults.restart();
    assert!(
        died || outcome.is_ok(),
        "only a death makes a reconcile fail: {outcome:?}"
    );
    if died {
        world.reconcile().await.expect("a reconcile after the restart");
    }
    died
}

/// Runs one stretch of a round with a death at every call it makes, both before and after the effect.
async fn at_every_call(prepare: impl AsyncFn() -> World, check: impl Fn(&World, usize, Moment)) {
    for moment in [Moment::Before, Moment::After] {
        let mut call = 0;
        loop {
            let world = prepare().await;
            let died = survive(&world, call, moment).await;
            check(&world, call, moment);
            if !died {
                break;
            }
            call += 1;
        }
        assert!(call > 3, "{moment:?}: a stretch of {call} calls tests nothing");
    }
}

async fn until(world: World, step: Step, outcome: StepResult) -> World {
    world.reconcile().await.expect("a first reconcile");
    world.succeed(step, outcome);
    world
}

#[tokio::test]
async fn approving_staking_and_joining_happen_once() {
    at_every_call(
        async || until(World::new(), Step::Check, checked()).await,
        |world, call, moment| {
            let trace = world.faults.trace();
            assert_eq!(
                world.chain.sent(),
                ["approve", "stake", "joinRound"],
                "{moment:?} {call}: {trace:?}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_contribution_is_sent_once() {
    at_every_call(
        async || until(World::drawn(Role::Proposer), Step::Train, trained()).await,
        |world, call, moment| assert_eq!(world.chain.sent(), ["contribute"], "{moment:?} {call}"),
    )
    .await;
}

#[tokio::test]
async fn a_vote_is_stored_and_committed_once_and_can_be_revealed() {
    at_every_call(
        async || {
            let world = World::drawn(Role::Voter);
            world.open_commit();
            until(world, Step::Vote, voted(model(0x77), Score::For)).await
        },
        |world, call, moment| {
            assert_eq!(world.chain.sent(), ["commitVote"], "{moment:?} {call}");
            let stored = world.cluster.edit(|state| {
                state
                    .secrets
                    .keys()
                    .filter(|key| key.name.starts_with("fl-alliance-vote-"))
                    .count()
            });
            assert_eq!(stored, 1, "{moment:?} {call}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_reveal_is_sent_once_and_the_aggregate_is_published() {
    at_every_call(
        async || {
            let world = World::drawn(Role::Voter);
            world.open_commit();
            let world = until(world, Step::Vote, voted(model(0x77), Score::For)).await;
            world.reconcile().await.expect("a commitment");
            world.open_reveal();
            world
        },
        |world, call, moment| {
            assert_eq!(world.chain.sent(), ["commitVote", "revealVote"], "{moment:?} {call}");
            assert_eq!(world.store.published(), [model(0x77)], "{moment:?} {call}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_job_is_made_once_and_never_without_its_input() {
    at_every_call(
        async || World::drawn(Role::Proposer),
        |world, call, moment| {
            let job = world.job(Step::Train);
            assert_eq!(world.input(&job).identity.step, Step::Train, "{moment:?} {call}");
        },
    )
    .await;
}
