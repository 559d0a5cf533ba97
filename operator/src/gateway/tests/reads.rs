//! What a Job may read, from whom, and that it is right.

use super::harness::*;
use crate::gateway::ReadGrant;

#[tokio::test]
async fn a_contribution_of_one_site_is_read_at_another_over_the_same_store() {
    let store = shared_store();
    let (here, there) = (Site::start(store.path()).await, Site::start(store.path()).await);
    let (bytes, hash) = model(1, 1_500_000);
    here.put_model(&contributing("a"), hash, &bytes).await.is(201);

    let read = there.get_model(&reading(hash, &[ALICE]), hash).await;

    read.is(200);
    assert_eq!(read.length, Some(1_500_000));
    assert_eq!(read.body.unwrap(), bytes);
}

#[tokio::test]
async fn an_aggregate_is_read_elsewhere_only_once_it_is_published() {
    let store = shared_store();
    let (here, there) = (Site::start(store.path()).await, Site::start(store.path()).await);
    let (bytes, hash) = model(1, 1000);
    here.put_model(&writing("vote"), hash, &bytes).await.is(201);
    there
        .get_model(&reading(hash, &[ALICE]), hash)
        .await
        .refused(404, "NotFound");

    here.publish(ALICE, hash).await.is(200);
    here.publish(ALICE, hash).await.is(200);

    assert_eq!(
        there.get_model(&reading(hash, &[ALICE]), hash).await.body.unwrap(),
        bytes
    );
    assert!(!here.staged(ALICE, hash).exists(), "the copy in the store is enough");
}

#[tokio::test]
async fn a_hash_that_is_not_in_the_token_is_refused_even_if_it_is_there() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let ((one, first), (_, second)) = (model(1, 1000), model(2, 1000));
    site.put_model(&contributing("a"), first, &one).await.is(201);
    site.get_model(&reading(second, &[ALICE]), first)
        .await
        .refused(403, "NotGranted");
    site.get_model(&writing("another-job-of-alice"), first)
        .await
        .refused(403, "NotGranted");
}

#[tokio::test]
async fn only_the_named_holders_are_asked_and_any_of_them_will_do() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.put_model(&contributing("a"), hash, &bytes).await.is(201);
    site.get_model(&reading(hash, &[]), hash).await.refused(404, "NotFound");
    site.get_model(&reading(hash, &[BOB]), hash)
        .await
        .refused(404, "NotFound");
    site.get_model(&reading(hash, &[BOB, ALICE]), hash).await.is(200);
}

#[tokio::test]
async fn a_participant_reads_its_own_staged_aggregate_as_the_next_start_model() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.put_model(&writing("vote"), hash, &bytes).await.is(201);
    let mut next = writing("train");
    next.reads = vec![ReadGrant {
        hash,
        holders: vec![ALICE, BOB],
    }];
    assert_eq!(site.get_model(&next, hash).await.body.unwrap(), bytes);
}

/// Puts bytes where a holder's copy belongs.
fn place(path: &std::path::Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_corrupted_file_is_cut_and_then_the_next_holder_serves() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(9, 1_500_000);
    let mut wrong = bytes.clone();
    wrong[1_499_999] ^= 1;
    place(&stored(&store, ALICE, hash), &wrong);
    place(&stored(&store, BOB, hash), &bytes);

    let cut = site.get_model(&reading(hash, &[ALICE, BOB]), hash).await;
    assert!(cut.body.is_none(), "never a whole answer");
    assert_eq!(
        site.get_model(&reading(hash, &[ALICE, BOB]), hash).await.body.unwrap(),
        bytes
    );
    site.get_model(&reading(hash, &[ALICE]), hash)
        .await
        .refused(404, "NotFound");

    let metrics = site.send(http::Method::GET, "/metrics", None, b"").await;
    let text = String::from_utf8(metrics.body.unwrap()).unwrap();
    assert!(text.contains("fl_alliance_gateway_corrupt_reads_total 1"), "{text}");
}

#[tokio::test]
async fn a_corrupted_file_of_one_block_or_none_is_passed_over_at_once() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    for wrong in [vec![0u8; 1000], Vec::new()] {
        let (bytes, hash) = model(wrong.len() as u8, 1000);
        place(&stored(&store, ALICE, hash), &wrong);
        site.get_model(&reading(hash, &[ALICE]), hash)
            .await
            .refused(404, "NotFound");
        place(&stored(&store, BOB, hash), &bytes);
        assert_eq!(
            site.get_model(&reading(hash, &[ALICE, BOB]), hash).await.body.unwrap(),
            bytes
        );
    }
}

#[tokio::test]
async fn a_truncated_staged_file_is_never_whole() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(9, 1000);
    let claims = writing("vote");
    site.put_model(&claims, hash, &bytes).await.is(201);
    std::fs::write(site.staged(ALICE, hash), &bytes[..999]).unwrap();
    site.get_model(&claims, hash).await.refused(404, "NotFound");
    site.publish(ALICE, hash).await.refused(500, "Corrupt");
    assert!(files_below(store.path()).is_empty());
}

#[tokio::test]
async fn links_and_files_above_the_limit_are_not_served() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(9, 1000);
    let link = stored(&store, ALICE, hash);
    place(&link, b"");
    std::fs::remove_file(&link).unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(elsewhere.path(), &bytes).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
    site.get_model(&reading(hash, &[ALICE]), hash)
        .await
        .refused(404, "NotFound");

    std::fs::remove_file(&link).unwrap();
    std::fs::write(&link, &bytes).unwrap();
    let mut claims = reading(hash, &[ALICE]);
    claims.max_bytes = 999;
    site.get_model(&claims, hash).await.refused(404, "NotFound");
    claims.max_bytes = 1000;
    site.get_model(&claims, hash).await.is(200);
}
