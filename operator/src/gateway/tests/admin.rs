//! What the controller may do, and what anybody may ask.

use http::Method;
use protocol::types::Address;

use super::harness::*;
use crate::gateway::verify::hash_of;

const DOCUMENT: &[u8] = br#"{"schemaVersion":1}"#;

#[tokio::test]
async fn a_definition_is_served_at_every_site_to_whoever_names_its_holder() {
    let store = shared_store();
    let (here, there) = (Site::start(store.path()).await, Site::start(store.path()).await);
    let hash = hash_of(DOCUMENT);
    let path = format!("/v1/definitions/{hash}?{}", owner_query(ALICE));
    here.admin(Method::GET, &path, b"").await.refused(404, "NotFound");

    here.admin(Method::PUT, &path, DOCUMENT).await.is(200);
    here.admin(Method::PUT, &path, DOCUMENT).await.is(200);

    assert_eq!(there.admin(Method::GET, &path, b"").await.body.unwrap(), DOCUMENT);
    let of_bob = format!("/v1/definitions/{hash}?{}", owner_query(BOB));
    there.admin(Method::GET, &of_bob, b"").await.refused(404, "NotFound");
    assert_eq!(files_below(store.path()), [stored(&store, ALICE, hash)]);
}

#[tokio::test]
async fn a_definition_must_hash_right_and_be_small() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let path = format!("/v1/definitions/{}?{}", hash_of(b"else"), owner_query(ALICE));
    site.admin(Method::PUT, &path, DOCUMENT)
        .await
        .refused(422, "WrongBytes");
    let large = vec![b' '; 1024 * 1024 + 1];
    let path = format!("/v1/definitions/{}?{}", hash_of(&large), owner_query(ALICE));
    site.admin(Method::PUT, &path, &large).await.refused(413, "TooLarge");
    assert!(files_below(store.path()).is_empty());
}

#[tokio::test]
async fn a_corrupted_definition_counts_as_missing_and_is_mended_by_the_next_write() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let hash = hash_of(DOCUMENT);
    let path = format!("/v1/definitions/{hash}?{}", owner_query(ALICE));
    site.admin(Method::PUT, &path, DOCUMENT).await.is(200);
    std::fs::write(stored(&store, ALICE, hash), b"{\"schemaVersion\":2}").unwrap();
    site.admin(Method::GET, &path, b"").await.refused(404, "NotFound");
    let then = std::fs::metadata(stored(&store, ALICE, hash))
        .unwrap()
        .modified()
        .unwrap();
    site.admin(Method::PUT, &path, DOCUMENT).await.is(200);
    // The right copy is as long as the wrong one, and on a coarse clock as old.
    let mended = std::fs::File::options()
        .write(true)
        .open(stored(&store, ALICE, hash))
        .unwrap();
    mended.set_modified(then).unwrap();
    assert_eq!(site.admin(Method::GET, &path, b"").await.body.unwrap(), DOCUMENT);
}

#[tokio::test]
async fn what_no_job_wrote_is_not_published() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.publish(ALICE, hash).await.refused(404, "NotFound");
    site.put_model(&writing("a"), hash, &bytes).await.is(201);
    site.publish(BOB, hash).await.refused(404, "NotFound");
    assert!(files_below(store.path()).is_empty());
}

#[tokio::test]
async fn the_controller_reads_any_holders_model() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    site.put_model(&writing("a"), hash, &bytes).await.is(201);
    let of = |holder: Address| format!("/v1/models/{hash}?chain={CHAIN}&task={TASK:#x}&holder={holder:#x}");
    assert_eq!(site.admin(Method::GET, &of(ALICE), b"").await.body.unwrap(), bytes);
    site.admin(Method::GET, &of(BOB), b"").await.refused(404, "NotFound");
    site.admin(Method::GET, &format!("/v1/models/{hash}"), b"")
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn removing_a_task_removes_one_participants_things_and_nothing_else() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let ((one, first), (two, second)) = (model(1, 1000), model(2, 1000));
    site.put_model(&contributing("a1"), first, &one).await.is(201);
    site.put_result(&contributing("a1"), "{}").await.is(201);
    site.put_model(&writing("a2"), second, &two).await.is(201);
    let mut bobs = contributing("b");
    bobs.participant = BOB;
    site.put_model(&bobs, first, &one).await.is(201);

    let path = format!("/v1/tasks?{}", owner_query(ALICE));
    site.admin(Method::DELETE, &path, b"").await.is(200);
    site.admin(Method::DELETE, &path, b"").await.is(200);

    assert_eq!(files_below(store.path()), [stored(&store, BOB, first)]);
    assert!(!site.staged(ALICE, second).exists());
    site.admin(Method::GET, "/v1/results/team/a1", b"")
        .await
        .refused(404, "NotFound");
    assert_eq!(files_below(&site.staging.join("jobs")).len(), 1);
}

#[tokio::test]
async fn removing_what_is_staged_leaves_what_is_published_and_what_is_anothers() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let ((one, first), (two, second)) = (model(1, 1000), model(2, 1000));
    site.put_model(&contributing("a1"), first, &one).await.is(201);
    site.put_result(&contributing("a1"), "{}").await.is(201);
    site.put_model(&writing("a2"), second, &two).await.is(201);
    let mut bobs = writing("b");
    bobs.participant = BOB;
    site.put_model(&bobs, second, &two).await.is(201);
    site.put_result(&bobs, "{}").await.is(201);

    let path = format!("/v1/staged?{}", owner_query(ALICE));
    site.send(Method::DELETE, &path, None, b"")
        .await
        .refused(401, "TokenMissing");
    assert!(site.staged(ALICE, second).exists());
    for _ in 0..2 {
        site.admin(Method::DELETE, &path, b"").await.is(200);
    }
    assert!(!site.staged(ALICE, second).exists());
    site.admin(Method::GET, "/v1/results/team/a1", b"")
        .await
        .refused(404, "NotFound");
    assert_eq!(files_below(store.path()), [stored(&store, ALICE, first)]);
    assert!(site.staged(BOB, second).exists());
    site.admin(Method::GET, "/v1/results/team/b", b"").await.is(200);
}

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token_and_tell_the_truth() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    site.send(Method::GET, "/healthz", None, b"").await.is(200);
    site.send(Method::GET, "/readyz", None, b"").await.is(200);
    assert!(files_below(store.path()).is_empty(), "the probe leaves nothing");
    site.send(Method::GET, "/v1/job", None, b"").await.is(401);
    let metrics = site.send(Method::GET, "/metrics", None, b"").await;
    let text = String::from_utf8(metrics.body.unwrap()).unwrap();
    assert!(
        text.contains(r#"fl_alliance_gateway_refusals_total{reason="TokenMissing"} 1"#),
        "{text}"
    );
    let counted = r#"fl_alliance_gateway_requests_total{method="GET",route="/v1/job",status="401"} 1"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn a_gateway_whose_store_is_gone_is_not_ready() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    drop(store);
    site.send(Method::GET, "/readyz", None, b"")
        .await
        .refused(503, "StoreUnavailable");
    site.send(Method::GET, "/healthz", None, b"").await.is(200);
}
