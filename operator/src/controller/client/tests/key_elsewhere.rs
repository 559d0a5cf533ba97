//! A second cluster with the same key, and an etcd restored from an old backup: noticed before the next round is joined.

use crds::{
    conditions::{reason, types},
    names,
};
use protocol::{
    commitment::LedgerKey,
    job::Step,
    types::{B256, Commitment, IncludedMask, Phase, Role, Score},
};

use crate::{
    cluster::Key,
    controller::client::ledger::SEED_SECRET,
    testing::{CONTRACT, World, model, voted},
};

const VOTED: u8 = 0x77;

/// A voter that committed and revealed in round 0, which is settled; round 1 can be joined.
async fn after_a_vote() -> World {
    let world = World::drawn(Role::Voter);
    commit(&world).await;
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"]);
    // The preflight that lets it join.
    world.next_round();
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, crate::testing::checked());
    world
}

async fn commit(world: &World) {
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(VOTED), Score::For));
    world.reconcile().await.unwrap();
}

fn lose(world: &World, which: impl Fn(&str) -> bool) {
    world.cluster.edit(|state| {
        let before = state.secrets.len();
        state
            .secrets
            .retain(|key, _| key.namespace != "fl-alliance" || !which(&key.name));
        assert!(state.secrets.len() < before, "nothing was lost");
    });
    forget_status(world);
}

/// As in an old backup.
fn forget_status(world: &World) {
    world.cluster.edit(|state| {
        state
            .clients
            .get_mut(&world.key)
            .unwrap()
            .status
            .as_mut()
            .unwrap()
            .ledger = None
    });
}

fn is_vote(name: &str) -> bool {
    name.starts_with("fl-alliance-vote-")
}

fn annotate(world: &World, round: &str) {
    world.cluster.edit(|state| {
        let annotations = &mut state.clients.get_mut(&world.key).unwrap().metadata.annotations;
        annotations
            .get_or_insert_default()
            .insert(names::ANNOTATION_KEY_IS_MINE.to_owned(), round.to_owned());
    });
}

fn gauge(world: &World) -> i64 {
    world
        .ctx
        .metrics
        .key_used_elsewhere
        .with_label_values(&["team", "alpha"])
        .get()
}

#[tokio::test]
async fn an_operator_that_kept_its_ledger_goes_on() {
    let world = after_a_vote().await;
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent().last(), Some(&"joinRound"));
    assert_eq!(world.status().ledger.unwrap().checked_rounds, 1);
    assert_eq!(gauge(&world), 0);
}

#[tokio::test]
async fn an_etcd_restored_from_before_the_vote_goes_on_because_the_seed_explains_the_vote() {
    let world = after_a_vote().await;
    lose(&world, is_vote);
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent().last(), Some(&"joinRound"));
    assert_eq!(world.status().ledger.unwrap().foreign_round, None);
}

#[tokio::test]
async fn a_second_cluster_with_a_seed_of_its_own_notices_before_it_joins_a_round() {
    let world = after_a_vote().await;
    lose(&world, |name| is_vote(name) || name == SEED_SECRET);
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"], "no joinRound");
    let (why, message) = world.condition(types::READY, "False").unwrap();
    assert_eq!(why, reason::KEY_USED_ELSEWHERE);
    assert!(
        message.contains("round 0") && message.contains("key-is-mine=0"),
        "{message}"
    );
    let signer = world.condition(types::SIGNER_AVAILABLE, "False").unwrap();
    assert_eq!(signer.0, reason::KEY_USED_ELSEWHERE);
    assert!(world.condition(types::STALLED, "True").is_some());
    assert!(world.events().contains(&reason::KEY_USED_ELSEWHERE.to_owned()));
    assert_eq!(gauge(&world), 1);

    // It stays so until a person says that the vote was theirs.
    world.reconcile().await.unwrap();
    assert_eq!(
        world.condition(types::READY, "False").unwrap().0,
        reason::KEY_USED_ELSEWHERE
    );
    annotate(&world, "0");
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent().last(), Some(&"joinRound"));
    assert_eq!(world.condition(types::READY, "True").unwrap().0, reason::RUNNING);
    assert_eq!(gauge(&world), 0);
}

#[tokio::test]
async fn what_it_was_drawn_for_is_done_although_the_key_is_used_elsewhere() {
    let world = after_a_vote().await;
    world.reconcile().await.unwrap();
    lose(&world, |name| is_vote(name) || name == SEED_SECRET);
    // Round 1 was joined by then, and it is drawn.
    world.chain.edit(|state| {
        let now = &mut state.now;
        now.participants = state.past[0].participants.clone();
        for participant in &mut now.participants {
            (participant.commitment, participant.vote) = (None, None);
        }
        now.state.phase = Phase::Commit;
        now.round.phase = Phase::Commit;
        (now.round.drawn_block, now.round.proposers) = (Some(95), 2);
    });
    world.cluster.edit(|state| state.jobs.clear());
    world.open_commit();
    world.reconcile().await.unwrap();
    assert_eq!(world.status().ledger.unwrap().foreign_round, Some(0));
    world.succeed(Step::Vote, voted(model(VOTED), Score::For));
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent().last(), Some(&"commitVote"));
    assert_eq!(
        world.condition(types::READY, "False").unwrap().0,
        reason::KEY_USED_ELSEWHERE
    );
}

/// Somebody else committed for us in the running round.
fn committed_elsewhere(world: &World, commitment: Commitment) {
    world.chain.edit(|state| {
        let us = state.now.participants.iter_mut().find(|p| p.account == world.address);
        us.unwrap().commitment = Some(commitment);
    });
}

#[tokio::test]
async fn a_vote_by_a_copy_of_this_operator_is_revealed_and_said() {
    let world = World::drawn(Role::Voter);
    commit(&world).await;
    let seed = world.cluster.edit(|state| {
        let secret = &state.secrets[&Key::new("fl-alliance", SEED_SECRET)];
        <[u8; 32]>::try_from(secret.data.as_ref().unwrap()["seed"].0.as_slice()).unwrap()
    });
    let digest = world.chain.edit(|state| state.now.round.round_digest);
    let key = LedgerKey {
        chain_id: 31337,
        task: CONTRACT,
        round: protocol::types::Round(0),
        voter: world.address,
        round_digest: digest,
    };
    // The copy's test split liked the aggregate less.
    let theirs = key.entry(&seed, model(VOTED), Score::Against, IncludedMask(0b11));
    committed_elsewhere(&world, theirs.commitment);
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"]);
    let vote = world
        .chain
        .edit(|state| state.now.participant(world.address).unwrap().vote.unwrap());
    assert_eq!(vote.score, Score::Against);
    world.next_round();
    world.reconcile().await.unwrap();
    assert_eq!(
        world.condition(types::READY, "False").unwrap().0,
        reason::KEY_USED_ELSEWHERE
    );
    assert!(!world.chain.sent().contains(&"joinRound"));
}

#[tokio::test]
async fn a_foreign_commitment_stops_the_round_and_is_still_known_in_the_next() {
    let world = World::drawn(Role::Voter);
    commit(&world).await;
    committed_elsewhere(&world, Commitment(B256::repeat_byte(0xfe)));
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote"]);
    assert_eq!(
        world.condition(types::READY, "False").unwrap().0,
        reason::FOREIGN_COMMITMENT
    );
    world.next_round();
    world.reconcile().await.unwrap();
    assert_eq!(
        world.condition(types::READY, "False").unwrap().0,
        reason::KEY_USED_ELSEWHERE
    );
    assert!(!world.chain.sent().contains(&"joinRound"));
}

#[tokio::test]
async fn the_ledger_outlives_client_and_task() {
    let world = World::drawn(Role::Voter);
    commit(&world).await;
    world.cluster.edit(|state| {
        state.clients.clear();
        state.tasks.clear();
        let of_ledger = |key: &&Key| is_vote(&key.name) || key.name == SEED_SECRET;
        let kept: Vec<_> = state.secrets.keys().filter(of_ledger).cloned().collect();
        assert_eq!(kept.len(), 2, "{kept:?}");
        for key in kept {
            let secret = &state.secrets[&key];
            assert_eq!(key.namespace, "fl-alliance", "out of the tenants' reach");
            assert_eq!(secret.metadata.owner_references, None, "nothing deletes it with a task");
            assert_eq!(secret.immutable, Some(true));
        }
    });
}
