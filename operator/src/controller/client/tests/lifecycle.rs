use std::time::Duration;

use crds::conditions::{reason, types};
use protocol::{
    job::{Step, StepResult},
    snapshot::RevealedVote,
    types::{Amount, IncludedMask, Outcome, Phase, Role, Score, Timestamp},
};

use crate::{
    cluster::FINALIZER,
    testing::{STAKE, START, World, checked, model, trained, voted},
};

#[tokio::test]
async fn a_new_client_is_checked_before_anything_is_sent_and_then_stakes_and_joins_once() {
    let world = World::new();
    world.reconcile().await.unwrap();
    assert!(world.chain.sent().is_empty());
    let job = world.job(Step::Check);
    assert_eq!(world.input(&job).identity.step, Step::Check);
    assert_eq!(world.condition(types::READY, "False").unwrap().0, reason::CHECKING);
    assert_eq!(
        world.condition(types::PREFLIGHT, "Unknown").unwrap().0,
        reason::CHECKING
    );

    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
    let status = world.status();
    assert_eq!(status.step.as_deref(), Some("Joined"));
    assert_eq!(status.address, Some(world.address));
    assert_eq!(status.stake, Some(Amount::from(64_000_000_000_000_000_000)));
    assert_eq!(status.preflight.unwrap().train_samples, 800);
    assert_eq!(world.condition(types::READY, "True").unwrap().0, reason::RUNNING);
    let finalizers = world
        .cluster
        .edit(|state| state.clients[&world.key].metadata.finalizers.clone());
    assert_eq!(finalizers, Some(vec![FINALIZER.to_owned()]));
    assert_eq!(world.chain.edit(|state| state.now.participants[0].sample_count), 800);

    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent().len(), 3);
}

#[tokio::test]
async fn nothing_is_written_while_nothing_happens() {
    let world = World::new();
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    let writes = world.cluster.edit(|state| state.status_writes);
    let events = world.events();
    world.clock.set(START + 7);
    world.reconcile().await.unwrap();
    assert_eq!(world.cluster.edit(|state| state.status_writes), writes);
    assert_eq!(world.events(), events);
}

#[tokio::test]
async fn the_preflight_holds_although_its_job_is_gone_and_is_made_again_for_another_image() {
    let world = World::new();
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    world.cluster.edit(|state| state.jobs.clear());
    world.next_round();
    world.reconcile().await.unwrap();
    assert!(world.jobs(Step::Check).is_empty());
    assert_eq!(world.chain.sent().last(), Some(&"joinRound"));

    world.next_round();
    world.cluster.edit(|state| {
        state.clients.get_mut(&world.key).unwrap().spec.trainer.image = "fl-alliance/trainer:next".to_owned();
    });
    world.reconcile().await.unwrap();
    assert_eq!(world.jobs(Step::Check).len(), 1);
    assert_eq!(
        world.chain.sent().len(),
        4,
        "no second join before the new image is checked"
    );
}

#[tokio::test]
async fn a_proposer_trains_and_contributes_once() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    let job = world.job(Step::Train);
    let input = world.input(&job);
    assert!(input.finish_by < Timestamp(START + 100));
    assert_eq!(world.status().duty_deadline, crds::rfc3339(Timestamp(START + 100)));

    world.succeed(Step::Train, trained());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    assert_eq!(world.status().last_training.unwrap().model, model(0xaa));
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
}

#[tokio::test]
async fn what_a_container_does_not_say_of_its_training_is_absent_from_the_status() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    let StepResult::Train(mut trained) = trained() else {
        panic!("a training");
    };
    // As the agent of a container of FLock's SDK writes what it is not told.
    trained.loss = "NaN".to_owned();
    world.succeed(Step::Train, StepResult::Train(trained));
    world.reconcile().await.unwrap();
    let status = serde_json::to_value(world.status()).unwrap();
    let shown = &status["lastTraining"];
    assert_eq!(
        (shown.get("loss"), &shown["testMetric"]),
        (None, &serde_json::json!("0.8"))
    );
}

#[tokio::test]
async fn a_voter_commits_publishes_and_reveals_what_it_stored() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote"]);
    assert!(
        world.store.published().is_empty(),
        "not before the commitment is confirmed"
    );

    world.confirm();
    world.reconcile().await.unwrap();
    assert_eq!(world.store.published(), [model(0x77)]);

    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"]);
    let vote = world
        .chain
        .edit(|state| state.now.participant(world.address).unwrap().vote.unwrap());
    assert_eq!((vote.hash, vote.score), (model(0x77), Score::For));
    assert_eq!(world.status().last_vote.unwrap().aggregate, model(0x77));
}

#[tokio::test]
async fn what_the_round_will_bring_is_shown_from_the_first_reveal_until_it_is_settled() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    assert_eq!(world.status().expected, None);

    let expected = || world.status().expected.map(|e| (e.outcome, e.reward, e.slash));
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(expected(), Some((Outcome::Inconclusive, Amount::ZERO, Amount::ZERO)));
    // One more of three makes a majority. The pot is a fifth of the pool and of the silent voter's slash (a twentieth of
    // its stake, less the bonus of a tenth), and goes to four.
    let others_vote = |hash| {
        world.chain.edit(|state| {
            let vote = state.now.participant(world.address).unwrap().vote.unwrap();
            let others = state.now.participants.iter_mut().filter(|p| p.role == Role::Voter);
            for (k, other) in others.filter(|p| p.account != world.address).enumerate() {
                other.vote = (k == 0 || hash != vote.hash).then_some(RevealedVote { hash, ..vote });
            }
        });
    };
    others_vote(model(0x77));
    world.reconcile().await.unwrap();
    let reward = Amount::from((1_000 + STAKE / 20 * 9 / 10) / 5 / 4);
    assert_eq!(expected(), Some((Outcome::Accepted, reward, Amount::ZERO)));
    // Two against one, and the one is ours.
    others_vote(model(0x78));
    world.reconcile().await.unwrap();
    assert_eq!(
        expected(),
        Some((Outcome::Accepted, Amount::ZERO, Amount::from(STAKE / 20)))
    );
    world.next_round();
    world.reconcile().await.unwrap();
    assert_eq!(expected(), None);
}

#[tokio::test]
async fn the_stored_vote_wins_over_a_re_run_that_came_to_another_one() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    // The inputs are not confirmed, so the vote is stored but not sent.
    world.chain.edit(|state| state.confirmed = 0);
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    assert!(world.chain.sent().is_empty());

    world.cluster.edit(|state| state.jobs.clear());
    world.reconcile().await.unwrap();
    let rerun = world.jobs(Step::Vote);
    assert!(rerun.is_empty(), "a stored vote needs no Job");
    world.confirm();
    world.reconcile().await.unwrap();
    world.open_reveal();
    world.reconcile().await.unwrap();
    let vote = world
        .chain
        .edit(|state| state.now.participant(world.address).unwrap().vote.unwrap());
    assert_eq!(vote.hash, model(0x77));
}

/// A voter that committed, and whose stored vote is gone.
async fn with_a_lost_vote() -> World {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::Against));
    world.reconcile().await.unwrap();
    world.cluster.edit(|state| {
        state
            .secrets
            .retain(|key, _| !key.name.starts_with("fl-alliance-vote-"))
    });
    world
}

#[tokio::test]
async fn a_lost_ledger_entry_is_rebuilt_from_the_seed_and_the_result() {
    let world = with_a_lost_vote().await;
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"]);
}

#[tokio::test]
async fn a_vote_lost_with_its_job_stops_the_client_until_another_voter_shows_the_model() {
    let world = with_a_lost_vote().await;
    world.cluster.edit(|state| state.jobs.clear());
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.status().stopped.as_deref(), Some(reason::FOREIGN_COMMITMENT));

    let revealed = RevealedVote {
        hash: model(0x77),
        score: Score::For,
        mask: IncludedMask(0b11),
    };
    world.chain.edit(|state| {
        let mut others = state.now.participants.iter_mut().filter(|p| p.account != world.address);
        others.find(|p| p.role == Role::Voter).unwrap().vote = Some(revealed);
    });
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"]);
    assert_eq!(world.status().stopped, None);
}

#[tokio::test]
async fn a_commitment_that_nobody_here_made_stops_the_client() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert!(world.chain.sent().is_empty());
    assert_eq!(
        world.condition(types::READY, "False").unwrap().0,
        reason::FOREIGN_COMMITMENT
    );
    assert_eq!(
        world.condition(types::DUTY_AT_RISK, "True").unwrap().0,
        reason::FOREIGN_COMMITMENT
    );
    assert_eq!(world.status().stopped.as_deref(), Some(reason::FOREIGN_COMMITMENT));
}

#[tokio::test]
async fn a_vote_job_may_read_the_contributions_and_write_one_unpublished_model() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    let job = world.job(Step::Vote);
    let name = job.metadata.name.clone().unwrap();
    let token = world.cluster.edit(|state| {
        let secret = &state.secrets[&crate::cluster::Key::new("team", name)];
        secret.data.as_ref().unwrap()["token"].0.clone()
    });
    let claims: serde_json::Value = serde_json::from_slice(&token).unwrap();
    assert_eq!(claims["reads"].as_array().unwrap().len(), 2, "{claims}");
    assert_eq!(
        (&claims["writeModel"], &claims["publish"]),
        (&true.into(), &false.into())
    );
    assert_eq!(claims["exp"], START + 100 + 60);
    assert_eq!(claims["maxBytes"], 16_777_216);
}

#[tokio::test]
async fn stake_and_rewards_are_claimed_when_the_task_has_ended() {
    let world = World::drawn(Role::Voter);
    world.chain.edit(|state| {
        state.now.state.phase = Phase::Ended;
        state.now.round.settled = true;
        state.now.accounts[0].claimable = Amount::from(9);
    });
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["claimRewards"]);
    assert_eq!(world.condition(types::READY, "True").unwrap().0, reason::COMPLETED);
    assert_eq!(world.reconcile().await.unwrap(), None);
}

#[tokio::test]
async fn settled_rounds_are_counted_once_and_a_missed_duty_is_said() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    world.next_round();
    for _ in 0..2 {
        world.reconcile().await.unwrap();
        let totals = world.status().totals.unwrap();
        assert_eq!((totals.counted_rounds, totals.rounds_joined), (1, 1));
        assert_eq!((totals.contributions, totals.missed), (0, 1));
    }
    let missed = world
        .events()
        .iter()
        .filter(|event| *event == reason::NOT_FINISHED)
        .count();
    assert_eq!(missed, 1);
    assert!(
        world.jobs(Step::Train).is_empty(),
        "what still ran for the old round is ended"
    );
}

#[tokio::test]
async fn a_call_that_anyone_may_send_and_nobody_mines_does_not_hold_the_next_duty_up() {
    let world = World::drawn(Role::Proposer);
    world.chain.edit(|state| {
        state.now.state.phase = Phase::Finish;
        state.now.round.phase = Phase::Finish;
        state.stuck = true;
    });
    world.clock.set(START + 900);
    let next = world.reconcile().await.unwrap();
    assert_eq!(next, Some(Duration::from_secs(2)), "looks again at the next block");
    world.chain.edit(|state| state.stuck = false);
    world.reconcile().await.unwrap();
    assert!(
        world.faults.trace().contains(&"finishRound"),
        "{:?}",
        world.faults.trace()
    );
}
