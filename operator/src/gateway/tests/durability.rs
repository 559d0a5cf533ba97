//! What a crash leaves, and what the next start makes of it.

use std::{sync::Arc, time::Duration};

use super::harness::*;
use crate::{
    clock::SystemClock,
    gateway::{Gateway, GatewayError, KeyRing},
};

#[tokio::test]
async fn unfinished_uploads_are_swept_at_start_and_finished_ones_kept() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.put_model(&writing("a"), hash, &bytes).await.is(201);
    site.put_result(&writing("a"), "{}").await.is(201);
    let (own, staging) = site.stop().await;
    std::fs::write(staging.join("tmp").join("0badf00d.part"), b"half of it").unwrap();

    let again = Gateway::open(
        config(store.path(), &staging),
        KeyRing::new(key(1), None),
        Arc::new(SystemClock),
    )
    .await;

    let again = again.unwrap();
    assert!(files_below(&staging.join("tmp")).is_empty());
    let job = "team/a".parse().unwrap();
    assert_eq!(again.staging.model_of(&job).await.unwrap(), Some(hash));
    assert_eq!(again.staging.result_of(&job).await.unwrap().as_deref(), Some("{}"));
    drop(own);
}

#[tokio::test]
async fn a_model_placed_but_not_recorded_binds_nobody() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let ((one, first), (two, second)) = (model(1, 1000), model(2, 1000));
    // As a crash between the two steps leaves it.
    std::fs::create_dir_all(site.staged(ALICE, first).parent().unwrap()).unwrap();
    std::fs::write(site.staged(ALICE, first), one).unwrap();
    site.put_model(&contributing("a"), second, &two).await.is(201);
}

#[tokio::test]
async fn an_upload_recorded_but_not_published_is_published_by_sending_it_again() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.put_model(&writing("a"), hash, &bytes).await.is(201);
    site.put_model(&contributing("a"), hash, &bytes).await.is(200);
    assert_eq!(std::fs::read(stored(&store, ALICE, hash)).unwrap(), bytes);
}

#[tokio::test]
async fn publishing_mends_a_torn_copy_and_sweeps_what_a_crash_left_beside_it() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.put_model(&writing("a"), hash, &bytes).await.is(201);
    let target = stored(&store, ALICE, hash);
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::write(&target, &bytes[..500]).unwrap();
    std::fs::write(target.with_file_name(format!("{hash}#1")), b"half").unwrap();

    site.publish(ALICE, hash).await.is(200);

    assert_eq!(std::fs::read(&target).unwrap(), bytes);
    assert_eq!(files_below(store.path()), [target]);
}

#[tokio::test]
async fn one_staging_volume_serves_one_gateway_and_the_next_waits_for_it() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let mut settings = config(store.path(), &site.staging);
    settings.staging_patience = Duration::ZERO;
    let keys = KeyRing::new(key(1), None);
    let second = Gateway::open(settings.clone(), keys.clone(), Arc::new(SystemClock)).await;
    assert!(matches!(second, Err(GatewayError::Setup(_))));

    settings.staging_patience = Duration::from_secs(20);
    let waiting = tokio::spawn(Gateway::open(settings, keys, Arc::new(SystemClock)));
    let _own = site.stop().await;
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_store_that_is_not_there_or_not_built_in_is_said_at_start() {
    let staging = tempfile::tempdir().unwrap();
    for location in ["/nonexistent/store", "relative/store", "s3://bucket", "file://relative"] {
        let mut settings = config(staging.path(), staging.path());
        location.clone_into(&mut settings.store);
        let opened = Gateway::open(settings, KeyRing::new(key(1), None), Arc::new(SystemClock)).await;
        assert!(matches!(opened, Err(GatewayError::Setup(_))), "{location}");
    }
}
