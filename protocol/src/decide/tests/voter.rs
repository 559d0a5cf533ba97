use super::fixture::{HEAD, Scene, T0, hash, me, model};
use crate::{
    action::{Action, ClientStep, StopReason, Transaction, VoteToRecord},
    client::JobState,
    commitment::LedgerKey,
    job::{Seat, Step},
    snapshot::RevealedVote,
    types::{Address, Commitment, IncludedMask, Phase, Role, Round, RoundDigest, Score, Timestamp},
};

fn commit(scene: &Scene) -> Transaction {
    let entry = scene.entry();
    Transaction::CommitVote {
        round: Round(3),
        round_digest: entry.round_digest,
        commitment: entry.commitment,
    }
}

fn reveal(scene: &Scene) -> Transaction {
    let entry = scene.entry();
    let (hash, score, mask, salt) = (entry.hash, entry.score, entry.mask, entry.salt);
    Transaction::RevealVote {
        round: Round(3),
        hash,
        score,
        mask,
        salt,
    }
}

#[test]
fn while_models_are_missing_a_voter_waits_for_the_proposers() {
    let mut scene = Scene::drawn(Role::Voter);
    scene.snapshot.round.contributed = 1;
    assert_eq!(scene.awaits(), ("the proposers' models (1 of 2)".into(), Some(100)));
    assert_eq!(scene.decide().actions, [Action::WaitUntil(Timestamp(T0 + 100))]);
}

#[test]
fn the_vote_job_names_every_seat_and_how_long_to_fetch() {
    let mut scene = Scene::committing();
    scene.snapshot.participants[1].contribution = None;
    let decision = scene.decide();
    let Action::StartJob(request) = &decision.actions[0] else {
        panic!("{decision:?}")
    };
    assert_eq!(
        request.identity.seats,
        [
            Seat {
                proposer: Address::repeat_byte(0x20),
                sample_count: 50,
                contribution: Some(model(0xC0))
            },
            Seat {
                proposer: Address::repeat_byte(0x21),
                sample_count: 50,
                contribution: None
            },
        ]
    );
    assert_eq!(request.identity.digest, scene.snapshot.round.round_digest);
    assert_eq!(
        (request.fetch_until, request.finish_by),
        (Timestamp(T0 + 50), Timestamp(T0 + 180))
    );
}

#[test]
fn a_vote_is_stored_before_it_is_committed() {
    let mut scene = Scene::committing();
    scene.voted(model(0xA9), Score::For, 3);
    let decision = scene.decide();
    let vote = VoteToRecord {
        round: Round(3),
        round_digest: scene.snapshot.round.round_digest,
        hash: model(0xA9),
        score: Score::For,
        mask: IncludedMask(3),
    };
    assert_eq!(decision.actions[0], Action::RecordVote(vote));
    // Nothing announces that it is stored, so it is looked at again.
    assert!(decision.actions.contains(&Action::WaitUntil(Timestamp(T0 + 1))));
    assert_eq!(scene.sent(), []);
    scene.view.ledger.push(scene.entry());
    assert_eq!(scene.sent(), [commit(&scene)]);
}

#[test]
fn a_stored_vote_wins_over_a_rerun_but_not_over_another_round() {
    let mut scene = Scene::committing();
    scene.view.ledger.push(scene.entry());
    scene.voted(model(0xAA), Score::Against, 1);
    assert_eq!(scene.sent(), [commit(&scene)]);
    assert!(
        !scene
            .decide()
            .actions
            .iter()
            .any(|a| matches!(a, Action::RecordVote(_)))
    );

    // Entries of another digest, round, voter, task or chain are somebody else's.
    let entry = scene.entry();
    for foreign in [
        LedgerKey {
            round_digest: RoundDigest(hash(1)),
            ..entry.key()
        },
        LedgerKey {
            round: Round(2),
            ..entry.key()
        },
        LedgerKey {
            voter: Address::ZERO,
            ..entry.key()
        },
        LedgerKey {
            task: Address::ZERO,
            ..entry.key()
        },
        LedgerKey {
            chain_id: 1,
            ..entry.key()
        },
    ] {
        scene.view.ledger = vec![foreign.entry(&[7; 32], entry.hash, entry.score, entry.mask)];
        assert_eq!(scene.sent(), [], "{foreign:?}");
    }
}

#[test]
fn a_commitment_waits_for_its_inputs_to_be_confirmed_until_a_quarter_is_left() {
    let mut scene = Scene::committing();
    scene.view.ledger.push(scene.entry());
    scene.snapshot.participants[0].contributed_block = Some(HEAD - 2);
    assert_eq!(scene.sent(), []);
    assert_eq!(scene.awaits().1, Some(150));
    // One block is missing, of two seconds.
    assert!(scene.decide().actions.contains(&Action::WaitUntil(Timestamp(T0 + 2))));
    scene.at(100, 150);
    assert_eq!(scene.sent(), [commit(&scene)]);
    scene.at(0, 0);
    scene.view.confirmed_block = HEAD - 2;
    assert_eq!(scene.sent(), [commit(&scene)]);
}

#[test]
fn no_commitment_is_sent_that_cannot_be_mined_in_time() {
    let mut scene = Scene::committing();
    scene.view.ledger.push(scene.entry());
    scene.at(198, 400);
    assert_eq!(scene.sent(), [commit(&scene)]);
    scene.at(199, 199);
    assert_eq!(scene.sent(), []);
}

#[test]
fn a_result_that_could_never_be_revealed_is_not_stored() {
    let start = model(0x57);
    for (aggregate, score, mask) in [
        (model(0xA9), Score::For, 4),
        (model(0xA9), Score::Against, 0),
        (start, Score::For, 0),
        (model(0), Score::For, 3),
    ] {
        let mut scene = Scene::committing();
        scene.voted(aggregate, score, mask);
        assert!(
            !scene
                .decide()
                .actions
                .iter()
                .any(|a| matches!(a, Action::RecordVote(_))),
            "{aggregate} {mask}"
        );
    }
    let mut scene = Scene::committing();
    scene.voted(start, Score::Against, 0);
    assert!(matches!(scene.decide().actions[0], Action::RecordVote(_)));
}

#[test]
fn with_no_time_left_or_a_final_failure_a_voter_does_nothing() {
    let mut scene = Scene::committing();
    scene.at(10, 180);
    assert_eq!(scene.decide().actions, [Action::WaitUntil(Timestamp(T0 + 200))]);
    let mut scene = Scene::committing();
    scene.job("vote", scene.identity(Step::Vote), JobState::Failed { retry: false });
    assert_eq!(scene.decide().actions, [Action::WaitUntil(Timestamp(T0 + 200))]);
    assert_eq!(scene.awaits().1, Some(200));
}

#[test]
fn a_commitment_that_no_entry_matches_stops_the_client_at_once() {
    for phase in [Phase::Commit, Phase::Reveal] {
        let (scene, stop) = foreign(phase);
        assert_eq!(scene.decide().actions, [stop], "{phase:?}");
    }
}

#[test]
fn a_stopped_client_still_ends_the_round_it_has_a_seat_in() {
    let (mut scene, stop) = foreign(Phase::Finish);
    let finish = Transaction::FinishRound { round: Round(3) };
    assert_eq!(scene.decide().actions, [stop.clone(), Action::Send(finish)]);
    scene.view.poke_delay = Some(20);
    scene.at(81, 81);
    let later = Action::WaitUntil(Timestamp(T0 + 100));
    assert_eq!(scene.decide().actions, [stop.clone(), later]);
    scene.view.poke_delay = None;
    assert_eq!(scene.decide().actions, [stop]);
}

fn foreign(phase: Phase) -> (Scene, Action) {
    let mut scene = Scene::revealing();
    scene.view.poke_delay = Some(0);
    scene.phase(phase);
    scene.row().commitment = Some(Commitment(hash(0x33)));
    let stop = Action::Stop(StopReason::ForeignCommitment {
        commitment: Commitment(hash(0x33)),
    });
    (scene, stop)
}

#[test]
fn the_aggregate_is_published_once_the_own_commitment_is_confirmed() {
    let publish = Action::Publish { model: model(0xA9) };
    let mut scene = Scene::revealing();
    scene.phase(Phase::Commit);
    assert!(scene.decide().actions.contains(&publish));
    assert_eq!((scene.sent(), scene.decide().step), (vec![], ClientStep::Committed));
    scene.row().committed_block = Some(HEAD);
    let decision = scene.decide();
    assert!(!decision.actions.contains(&publish));
    assert!(decision.actions.contains(&Action::WaitUntil(Timestamp(T0 + 6))));
}

#[test]
fn a_vote_for_nothing_has_no_model_to_publish() {
    let mut scene = Scene::revealing();
    let entry = scene
        .entry()
        .key()
        .entry(&[7; 32], model(0x57), Score::Against, IncludedMask(0));
    scene.row().commitment = Some(entry.commitment);
    scene.view.ledger = vec![entry];
    let decision = scene.decide();
    assert!(!decision.actions.iter().any(|a| matches!(a, Action::Publish { .. })));
    assert_eq!(scene.sent().len(), 1);
}

#[test]
fn the_vote_is_revealed_in_its_window_when_all_commitments_are_confirmed() {
    let mut scene = Scene::revealing();
    assert_eq!(scene.sent(), [reveal(&scene)]);
    assert!(matches!(scene.decide().actions[0], Action::Publish { .. }));
    // The other voter's commitment could still be taken back, and then this reveal would be a hint.
    let other = scene.snapshot.participants.last_mut().unwrap();
    assert_ne!(other.account, me());
    other.committed_block = Some(HEAD);
    assert_eq!(scene.sent(), []);
    assert_eq!(scene.awaits().1, Some(60));
    scene.at(10, 60);
    assert_eq!(scene.sent(), [reveal(&scene)]);
    scene.at(79, 79);
    assert_eq!(scene.sent(), []);
    scene.at(10, 10);
    scene.snapshot.round.reveal_open = Some(Timestamp(T0 + 11));
    assert_eq!(scene.sent(), []);
}

#[test]
fn a_reveal_in_haste_publishes_first_and_what_was_missed_is_published_afterwards() {
    let publish = Action::Publish { model: model(0xA9) };
    let mut scene = Scene::revealing();
    scene.row().committed_block = Some(HEAD);
    scene.at(10, 60);
    assert_eq!(
        scene.decide().actions[..2],
        [publish.clone(), Action::Send(reveal(&scene))]
    );
    let entry = scene.entry();
    scene.row().vote = Some(RevealedVote {
        hash: entry.hash,
        score: entry.score,
        mask: entry.mask,
    });
    let decision = scene.decide();
    assert!(decision.actions.contains(&publish));
    assert_eq!((scene.sent(), decision.step), (vec![], ClientStep::Revealed));
}

#[test]
fn of_several_entries_the_one_on_chain_is_revealed() {
    let mut scene = Scene::revealing();
    let other = LedgerKey {
        round_digest: RoundDigest(hash(1)),
        ..scene.entry().key()
    };
    scene
        .view
        .ledger
        .insert(0, other.entry(&[7; 32], model(0xBB), Score::Against, IncludedMask(1)));
    assert_eq!(scene.sent(), [reveal(&scene)]);
}

#[test]
fn suspended_nothing_is_done_and_the_duty_at_risk_is_named() {
    let risks = [
        (Scene::drawn(Role::Proposer), "the contribution to round 3", 100),
        (Scene::committing(), "the vote of round 3", 200),
        (Scene::revealing(), "the reveal of round 3", 80),
    ];
    for (mut scene, duty, until) in risks {
        scene.view.suspended = true;
        scene.view.poke_delay = Some(0);
        let decision = scene.decide();
        assert_eq!((decision.actions, decision.step), (vec![], ClientStep::Suspended));
        assert_eq!(
            scene.awaits(),
            (format!("`suspend` to be lifted; at risk is {duty}"), Some(until))
        );
    }
    let mut scene = Scene::ready();
    scene.view.suspended = true;
    assert_eq!(scene.awaits().0, "`suspend` to be lifted");
}
