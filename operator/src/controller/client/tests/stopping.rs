//! Suspending, draining, deleting, and two clients with one key.

use crds::{
    conditions::{reason, types},
    names,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use protocol::{
    job::Step,
    types::{Phase, Role, Score, Timestamp},
};

use crate::{
    cluster::Key,
    gateway::Owner,
    testing::{CONTRACT, PRIVATE_KEY, START, World, checked, client, model, signing_secret, trained, voted},
};

fn suspend(world: &World, suspended: bool) {
    let key = Key::new("team", "digits");
    world
        .cluster
        .edit(|state| state.tasks.get_mut(&key).unwrap().spec.suspend = suspended);
}

fn delete(world: &World) {
    world.cluster.edit(|state| {
        state.clients.get_mut(&world.key).unwrap().metadata.deletion_timestamp =
            crds::rfc3339(Timestamp(START)).map(|time: Time| time);
    });
}

fn is_gone(world: &World) -> bool {
    world.cluster.edit(|state| !state.clients.contains_key(&world.key))
}

fn end_round(world: &World) {
    world.chain.edit(|state| {
        state.now.state.phase = Phase::Settle;
        state.now.round.finished_at = Some(state.now.block.timestamp);
    });
}

#[tokio::test]
async fn a_suspended_client_sends_nothing_ends_its_jobs_and_names_the_duty_at_risk() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    assert_eq!(world.jobs(Step::Train).len(), 1);
    suspend(&world, true);
    world.reconcile().await.unwrap();
    assert!(world.jobs(Step::Train).is_empty());
    assert!(world.chain.sent().is_empty());
    let (why, message) = world.condition(types::READY, "False").unwrap();
    assert_eq!(why, reason::SUSPENDED);
    assert!(message.contains("contribute"), "{message}");
    assert_eq!(
        world.condition(types::DUTY_AT_RISK, "True").unwrap().0,
        reason::SUSPENDED
    );

    suspend(&world, false);
    world.reconcile().await.unwrap();
    world.succeed(Step::Train, trained());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    assert_eq!(world.condition(types::DUTY_AT_RISK, "True"), None);
}

#[tokio::test]
async fn a_result_that_is_ready_is_not_sent_while_suspended() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    world.succeed(Step::Train, trained());
    suspend(&world, true);
    world.reconcile().await.unwrap();
    assert!(world.chain.sent().is_empty());
    assert_eq!(world.jobs(Step::Train).len(), 1, "what has ended is kept");
}

#[tokio::test]
async fn a_draining_client_finishes_its_round_and_joins_no_more() {
    let world = World::drawn(Role::Proposer);
    world
        .cluster
        .edit(|state| state.clients.get_mut(&world.key).unwrap().spec.drain = true);
    world.reconcile().await.unwrap();
    world.succeed(Step::Train, trained());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    world.next_round();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    assert_eq!(world.condition(types::READY, "True").unwrap().0, reason::DRAINED);
}

#[tokio::test]
async fn deleting_in_the_middle_of_a_round_finishes_the_duty_first() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    delete(&world);
    world.reconcile().await.unwrap();
    assert!(!is_gone(&world));
    assert_eq!(world.condition(types::READY, "False").unwrap().0, reason::DELETING);
    world.succeed(Step::Train, trained());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    assert!(is_gone(&world));
    let last = world.cluster.edit(|state| state.notes.last().cloned().unwrap());
    assert_eq!(last.reason, "ClientReleased");
    assert!(last.message.contains(&world.address.to_string()), "{}", last.message);
    assert!(last.message.contains("64000000000000000000"), "{}", last.message);
}

#[tokio::test]
async fn what_only_a_deleted_client_could_read_is_removed_at_the_gateway_and_what_it_published_stays() {
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    world.confirm();
    world.reconcile().await.unwrap();
    delete(&world);
    world.reconcile().await.unwrap();
    assert!(
        !is_gone(&world) && world.store.removed().is_empty(),
        "it still has to reveal"
    );
    world.open_reveal();
    world.reconcile().await.unwrap();
    world.reconcile().await.unwrap();
    assert!(is_gone(&world));
    let owner = Owner {
        chain: 31337,
        task: CONTRACT,
        participant: world.address,
    };
    assert_eq!(world.store.removed(), [owner]);
    assert_eq!(world.store.published(), [model(0x77)]);
}

#[tokio::test]
async fn a_deleted_client_leaves_alone_what_another_with_its_account_may_use() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    let mut twin = client("beta", "64000000000000000000".parse().unwrap());
    twin.metadata.uid = Some("another".to_owned());
    twin.status = Some(world.status());
    world.cluster.put_client(twin);
    end_round(&world);
    delete(&world);
    world.reconcile().await.unwrap();
    assert!(is_gone(&world));
    assert!(world.store.removed().is_empty());
}

#[tokio::test]
async fn a_deletion_waits_no_longer_than_the_chain_does() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    delete(&world);
    world.reconcile().await.unwrap();
    assert!(!is_gone(&world));
    world.fail(Step::Train, 64, "error: no images");
    world.reconcile().await.unwrap();
    assert!(!is_gone(&world));
    end_round(&world);
    world.reconcile().await.unwrap();
    assert!(is_gone(&world));
}

#[tokio::test]
async fn an_abandoned_client_goes_at_once() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    delete(&world);
    world.cluster.edit(|state| {
        let annotations = &mut state.clients.get_mut(&world.key).unwrap().metadata.annotations;
        annotations
            .get_or_insert_default()
            .insert(names::ANNOTATION_ABANDON.to_owned(), "true".to_owned());
    });
    world.reconcile().await.unwrap();
    assert!(is_gone(&world));
    assert!(world.chain.sent().is_empty());
}

#[tokio::test]
async fn a_client_whose_key_is_gone_can_be_deleted() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    world
        .cluster
        .edit(|state| state.secrets.remove(&Key::new("team", "alpha-key")));
    delete(&world);
    world.reconcile().await.unwrap();
    assert!(is_gone(&world));
}

#[tokio::test]
async fn a_client_that_never_staked_can_be_deleted() {
    let world = World::new();
    world.reconcile().await.unwrap();
    delete(&world);
    world.reconcile().await.unwrap();
    assert!(is_gone(&world));
    assert!(world.chain.sent().is_empty());
}

#[tokio::test]
async fn of_two_clients_with_one_key_only_the_older_acts() {
    let world = World::new();
    let mut twin = client("beta", "64000000000000000000".parse().unwrap());
    twin.metadata.creation_timestamp = crds::rfc3339(Timestamp(START));
    world.cluster.put_client(twin);
    world.cluster.put_secret(signing_secret("beta-key", PRIVATE_KEY));
    let beta = Key::new("team", "beta");
    crate::controller::client::reconcile(&beta, &world.ctx).await.unwrap();
    let ready = |key: &Key| {
        world.cluster.edit(|state| {
            let status = state.clients[key].status.clone().unwrap_or_default();
            crds::conditions::find(&status.conditions, types::READY).map(|c| (c.reason.clone(), c.message.clone()))
        })
    };
    let (why, message) = ready(&beta).unwrap();
    assert_eq!(why, reason::SIGNER_IN_USE);
    assert!(message.contains("team/alpha"), "{message}");
    assert!(world.jobs(Step::Check).is_empty());

    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent().len(), 3);

    // The older one goes (abandoned or finished): the other takes over.
    world.cluster.edit(|state| state.clients.remove(&world.key));
    crate::controller::client::reconcile(&beta, &world.ctx).await.unwrap();
    assert_ne!(ready(&beta).unwrap().0, reason::SIGNER_IN_USE);
}
