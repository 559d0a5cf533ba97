use super::fixture::{HEAD, Scene, T0, hash, model};
use crate::{
    action::{Action, ClientStep, Transaction},
    client::JobState,
    decide::next_wake,
    job::{JobIdentity, Step},
    pokes::task_pokes,
    types::{Phase, Role, Round, RoundDigest, Timestamp},
};

const SELECT: Transaction = Transaction::SelectRoundParticipants { round: Round(3) };
const FINISH: Transaction = Transaction::FinishRound { round: Round(3) };
const SLASH: Transaction = Transaction::Slash { round: Round(3) };

fn keeper(scene: &Scene, delay: u64) -> Vec<Transaction> {
    let actions = task_pokes(&scene.snapshot, scene.view.now, delay);
    actions
        .into_iter()
        .filter_map(|a| if let Action::Send(t) = a { Some(t) } else { None })
        .collect()
}

fn deleted(scene: &Scene) -> Vec<String> {
    let actions = scene.decide().actions;
    actions
        .into_iter()
        .filter_map(|a| {
            if let Action::DeleteJob { name } = a {
                Some(name)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn jobs_that_nobody_wants_are_deleted_and_recent_finished_ones_kept() {
    let mut scene = Scene::committing();
    let vote = scene.identity(Step::Vote);
    let train = |round| JobIdentity {
        step: Step::Train,
        round: Round(round),
        ..vote.clone()
    };
    let failed = || JobState::Failed { retry: false };
    scene.job("this-vote", vote.clone(), JobState::Running);
    scene.job(
        "other-digest",
        JobIdentity {
            digest: RoundDigest(hash(9)),
            ..vote.clone()
        },
        failed(),
    );
    scene.job("last-round", train(2), failed());
    scene.job("two-rounds-ago", train(1), failed());
    scene.job("three-rounds-ago", train(0), failed());
    scene.job(
        "still-running",
        JobIdentity {
            digest: RoundDigest(hash(9)),
            ..train(2)
        },
        JobState::Running,
    );
    scene.job("future", train(4), failed());
    scene.job(
        "other-task",
        JobIdentity {
            task: crate::types::Address::ZERO,
            ..train(2)
        },
        failed(),
    );
    assert_eq!(
        deleted(&scene),
        [
            "other-digest",
            "three-rounds-ago",
            "still-running",
            "future",
            "other-task"
        ]
    );
    // A vote Job that failed is kept for people to look at when the window is over; one that runs is of no use.
    scene.phase(Phase::Finish);
    scene.view.jobs.retain(|j| j.name == "this-vote");
    assert_eq!(deleted(&scene), ["this-vote"]);
    scene.view.jobs[0].state = failed();
    assert_eq!(deleted(&scene), Vec::<String>::new());
}

#[test]
fn a_check_is_kept_while_it_holds() {
    let mut scene = Scene::drawn(Role::Proposer);
    assert_eq!(deleted(&scene), Vec::<String>::new());
    scene.view.environment = hash(0xE1);
    assert_eq!(deleted(&scene), ["check"]);
}

#[test]
fn the_draw_is_poked_when_the_roster_is_full_or_its_time_is_over() {
    let mut scene = Scene::ready();
    scene.snapshot.round.joined = 3;
    assert_eq!(keeper(&scene, 0), []);
    scene.snapshot.round.joined = 4;
    assert_eq!(keeper(&scene, 0), [SELECT]);
    scene.snapshot.round.joined = 3;
    scene.at(40, 40);
    assert_eq!(keeper(&scene, 0), [SELECT]);
    scene.snapshot.round.joined = 2;
    assert_eq!(keeper(&scene, 0), []);
    // By the head, not by the wall clock.
    scene.snapshot.round.joined = 3;
    scene.at(39, 100);
    assert_eq!(keeper(&scene, 0), []);
    assert_eq!(
        task_pokes(&scene.snapshot, scene.view.now, 0),
        [Action::WaitUntil(Timestamp(T0 + 102))]
    );
}

#[test]
fn the_draw_is_completed_after_its_seed_block() {
    let mut scene = Scene::ready();
    scene.phase(Phase::Draw);
    scene.snapshot.round.seed_block = Some(HEAD);
    assert_eq!(keeper(&scene, 0), []);
    scene.snapshot.round.seed_block = Some(HEAD - 1);
    assert_eq!(keeper(&scene, 0), [SELECT]);
}

#[test]
fn finish_and_settle_are_poked_after_the_delay_since_they_became_due() {
    let mut scene = Scene::committing();
    scene.phase(Phase::Finish);
    scene.view.poke_delay = Some(20);
    scene.at(200, 219);
    assert_eq!(scene.sent(), []);
    assert!(scene.decide().actions.contains(&Action::WaitUntil(Timestamp(T0 + 220))));
    scene.at(200, 220);
    assert_eq!(scene.sent(), [FINISH]);
    scene.phase(Phase::Settle);
    scene.snapshot.round.finished_at = Some(Timestamp(T0 + 210));
    assert_eq!(scene.sent(), []);
    scene.at(230, 230);
    assert_eq!(scene.sent(), [SLASH]);
    scene.view.poke_delay = None;
    assert_eq!(scene.sent(), []);
}

#[test]
fn after_the_last_reveal_the_delay_is_counted_in_blocks() {
    let mut scene = Scene::revealing();
    scene.snapshot.round.revealed = 2;
    for p in &mut scene.snapshot.participants[2..] {
        p.revealed_block = Some(HEAD - 5);
    }
    let entry = scene.entry();
    scene.row().vote = Some(crate::snapshot::RevealedVote {
        hash: entry.hash,
        score: entry.score,
        mask: entry.mask,
    });
    scene.phase(Phase::Finish);
    // Due since the block after; eight seconds are four blocks, and they are over.
    scene.view.poke_delay = Some(8);
    assert_eq!(scene.sent(), [FINISH]);
    scene.view.poke_delay = Some(10);
    assert_eq!(scene.sent(), []);
    assert!(scene.decide().actions.contains(&Action::WaitUntil(Timestamp(T0 + 2))));
}

#[test]
fn where_no_moment_is_on_record_clients_take_turns_by_block() {
    let mut scene = Scene::ready();
    scene.snapshot.round.joined = 4;
    let turns = |delay: u64| -> usize {
        (0..8)
            .filter(|block| {
                let mut snapshot = scene.snapshot.clone();
                snapshot.block.number = HEAD + block;
                let actions = task_pokes(&snapshot, scene.view.now, delay);
                actions.contains(&Action::Send(SELECT))
            })
            .count()
    };
    assert_eq!((turns(0), turns(2), turns(14)), (8, 1, 1));
}

#[test]
fn a_stalled_task_is_terminated_only_where_no_round_can_go_on() {
    let mut scene = Scene::ready();
    scene.at(989, 2000);
    assert_eq!(keeper(&scene, 0), []);
    scene.at(990, 990);
    assert_eq!(keeper(&scene, 0), [Transaction::Terminate]);
    scene.snapshot.round.joined = 3;
    assert_eq!(keeper(&scene, 0), [SELECT]);
    for phase in [Phase::Propose, Phase::Commit, Phase::Reveal] {
        scene.phase(phase);
        assert_eq!(keeper(&scene, 0), []);
    }
    scene.snapshot.round.joined = 0;
    scene.phase(Phase::Join);
    scene.snapshot.accounts[0].removed = true;
    scene.view.poke_delay = Some(0);
    assert_eq!(scene.sent(), [Transaction::Terminate]);
    scene.view.claim = false;
    assert_eq!(scene.sent(), []);
}

#[test]
fn what_is_left_is_claimed_once_at_the_end() {
    let mut scene = Scene::ready();
    assert!(!scene.sent().contains(&Transaction::ClaimRewards));
    scene.phase(Phase::Ended);
    scene.snapshot.state.current_round = Round(10);
    assert_eq!(
        (scene.sent(), scene.decide().step),
        (vec![Transaction::ClaimRewards], ClientStep::Claiming)
    );
    scene.view.claim = false;
    assert_eq!(scene.sent(), []);
    assert_eq!(
        scene.awaits().0,
        "you to call claimRewards: 64 of stake and 0 of rewards"
    );
    scene.view.claim = true;
    scene.snapshot.accounts[0].claimed = true;
    assert_eq!((scene.sent(), scene.decide().step), (vec![], ClientStep::Claimed));
    let account = &mut scene.snapshot.accounts[0];
    (account.claimed, account.stake_left) = (false, 0u128.into());
    assert_eq!(scene.sent(), []);
    account_with_rewards(&mut scene);
    assert_eq!(scene.sent(), [Transaction::ClaimRewards]);
}

fn account_with_rewards(scene: &mut Scene) {
    scene.snapshot.accounts[0].claimable = 5u128.into();
    scene.snapshot.accounts[0].removed = true;
    // Draining clients claim as well.
    scene.view.draining = true;
}

#[test]
fn the_next_wake_is_the_deadline_that_ends_the_phase() {
    let wake = |scene: &Scene| next_wake(&scene.snapshot).map(|t| t.0 - T0);
    assert_eq!(wake(&Scene::ready()), Some(40));
    assert_eq!(wake(&Scene::drawn(Role::Voter)), Some(100));
    assert_eq!(wake(&Scene::committing()), Some(200));
    assert_eq!(wake(&Scene::revealing()), Some(80));
    let mut scene = Scene::ready();
    scene.at(40, 40);
    assert_eq!(wake(&scene), Some(990));
    scene.phase(Phase::Ended);
    assert_eq!(wake(&scene), None);
}

#[test]
fn while_the_head_is_late_for_a_deadline_it_is_looked_at_every_block() {
    let mut scene = Scene::drawn(Role::Voter);
    scene.at(98, 105);
    assert_eq!(scene.decide().actions, [Action::WaitUntil(Timestamp(T0 + 107))]);
}

#[test]
fn a_contributed_proposer_that_drains_still_pokes_and_finishes() {
    let mut scene = Scene::drawn(Role::Proposer);
    scene.view.draining = true;
    scene.trained(model(0xAB));
    assert_eq!(scene.sent().len(), 1);
    scene.row().contribution = Some(model(0xAB));
    scene.phase(Phase::Finish);
    scene.view.poke_delay = Some(0);
    assert_eq!(scene.sent(), [FINISH]);
}
