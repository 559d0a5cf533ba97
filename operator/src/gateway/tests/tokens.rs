//! Who is let in at all.

use std::sync::atomic::Ordering;

use http::Method;
use protocol::types::Timestamp;

use super::harness::*;
use crate::gateway::KeyRing;

#[tokio::test]
async fn without_a_token_of_this_gateway_nothing_is_answered() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    let query = owner_query(ALICE);
    let routes = [
        (Method::GET, format!("/v1/models/{hash}")),
        (Method::PUT, format!("/v1/models/{hash}")),
        (Method::GET, "/v1/job".to_owned()),
        (Method::PUT, "/v1/results".to_owned()),
        (Method::GET, "/v1/results/team/a".to_owned()),
        (Method::POST, format!("/v1/publish?{query}&hash={hash}")),
        (Method::PUT, format!("/v1/definitions/{hash}?{query}")),
        (Method::GET, format!("/v1/definitions/{hash}?{query}")),
        (Method::DELETE, format!("/v1/tasks?{query}")),
    ];
    let foreign = key(2).sign_job(&writing("a")).unwrap();
    let expired = key(1)
        .sign_job(&{
            let mut c = writing("a");
            c.exp = Timestamp(NOW);
            c
        })
        .unwrap();
    let garbled = key(1).sign_job(&writing("a")).unwrap().replace('.', "x.");
    for (method, path) in routes {
        let body: &[u8] = if method == Method::PUT { &bytes } else { b"" };
        site.send(method.clone(), &path, None, body)
            .await
            .refused(401, "TokenMissing");
        for (token, reason) in [
            (&foreign, "TokenInvalid"),
            (&expired, "TokenExpired"),
            (&garbled, "TokenInvalid"),
        ] {
            site.send(method.clone(), &path, Some(token), body)
                .await
                .refused(401, reason);
        }
    }
    assert!(files_below(store.path()).is_empty());
    assert!(files_below(&site.staging.join("jobs")).is_empty());
}

#[tokio::test]
async fn a_token_that_expires_while_its_job_runs_is_refused_from_then_on() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    site.put_result(&writing("a"), "{}").await.is(201);
    site.clock.0.store(NOW + 600, Ordering::SeqCst);
    site.put_result(&writing("a"), "{}").await.refused(401, "TokenExpired");
}

#[tokio::test]
async fn a_jobs_token_opens_nothing_of_the_controllers() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    let token = key(1).sign_job(&writing("a")).unwrap();
    let query = owner_query(ALICE);
    for (method, path) in [
        (Method::GET, "/v1/results/team/a".to_owned()),
        (Method::POST, format!("/v1/publish?{query}&hash={hash}")),
        (Method::PUT, format!("/v1/definitions/{hash}?{query}")),
        (Method::GET, format!("/v1/definitions/{hash}?{query}")),
        (Method::DELETE, format!("/v1/tasks?{query}")),
    ] {
        let body: &[u8] = if method == Method::PUT { &bytes } else { b"" };
        site.send(method, &path, Some(&token), body)
            .await
            .refused(403, "NotGranted");
    }
}

#[tokio::test]
async fn a_jobs_token_reaches_only_its_own_participants_path() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    let mut bobs = contributing("b");
    bobs.participant = BOB;
    site.put_model(&bobs, hash, &bytes).await.is(201);
    assert_eq!(files_below(store.path()), [stored(&store, BOB, hash)]);
    // Alice's Job by the same hash writes below Alice's path.
    site.put_model(&contributing("a"), hash, &bytes).await.is(201);
    assert_eq!(files_below(store.path()).len(), 2);
}

#[tokio::test]
async fn keys_rotate_without_refusing_running_jobs() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let old = key(1).sign_job(&writing("a")).unwrap();
    let new = key(2).sign_job(&writing("a")).unwrap();
    site.send(Method::GET, "/v1/job", Some(&new), b"")
        .await
        .refused(401, "TokenInvalid");

    site.gateway.set_keys(KeyRing::new(key(2), Some(key(1)))).await;
    site.send(Method::GET, "/v1/job", Some(&old), b"").await.is(200);
    site.send(Method::GET, "/v1/job", Some(&new), b"").await.is(200);

    site.gateway.set_keys(KeyRing::new(key(3), Some(key(2)))).await;
    site.send(Method::GET, "/v1/job", Some(&old), b"")
        .await
        .refused(401, "TokenInvalid");
    site.send(Method::GET, "/v1/job", Some(&new), b"").await.is(200);
}

#[tokio::test]
async fn names_in_paths_and_queries_are_parsed_before_they_are_used() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (_, hash) = model(1, 1000);
    for path in [
        "/v1/results/team/..%2f..%2fescape",
        "/v1/results/..%2f/a",
        "/v1/results/Team/a",
    ] {
        site.admin(Method::GET, path, b"").await.refused(400, "BadRequest");
    }
    site.admin(Method::GET, "/v1/models/..%2f..%2fetc%2fpasswd", b"")
        .await
        .refused(400, "BadRequest");
    for query in [
        format!("chain=1&task=../..&participant={ALICE:#x}&hash={hash}"),
        format!("chain=-1&task={TASK:#x}&participant={ALICE:#x}&hash={hash}"),
        format!("chain=1&task={TASK:#x}&participant={ALICE:#x}&hash=.."),
        format!("chain=1&task={TASK:#x}&participant={ALICE:#x}"),
        String::new(),
    ] {
        site.admin(Method::POST, &format!("/v1/publish?{query}"), b"")
            .await
            .refused(400, "BadRequest");
    }
    let mut odd = writing("a");
    odd.job = "team/../../escape".to_owned();
    site.put_result(&odd, "{}").await.refused(400, "BadRequest");
    site.send(Method::GET, "/v1/nothing", None, b"")
        .await
        .refused(404, "NotFound");
    site.send(Method::DELETE, "/v1/job", None, b"")
        .await
        .refused(405, "MethodNotAllowed");
}
