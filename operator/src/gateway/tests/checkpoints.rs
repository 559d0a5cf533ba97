use http::Method;
use protocol::types::Timestamp;

use super::harness::*;
use crate::gateway::{JobClaims, verify::hash_of};

fn keeping(job: &str) -> JobClaims {
    JobClaims {
        checkpoint_bytes: 1 << 20,
        ..writing(job)
    }
}

async fn put(site: &Site, claims: &JobClaims, bytes: &[u8]) -> Answer {
    let token = key(1).sign_job(claims).unwrap();
    let path = format!("/v1/checkpoints/{}", hash_of(bytes));
    site.send(Method::PUT, &path, Some(&token), bytes).await
}

async fn get(site: &Site, claims: &JobClaims) -> Answer {
    let token = key(1).sign_job(claims).unwrap();
    site.send(Method::GET, "/v1/checkpoint", Some(&token), b"").await
}

fn wait(site: &Site, seconds: u64) {
    site.clock.0.fetch_add(seconds, std::sync::atomic::Ordering::SeqCst);
}

#[tokio::test]
async fn a_job_gets_its_newest_checkpoint_back_and_nobody_else_does() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    get(&site, &keeping("a")).await.refused(404, "NotFound");
    put(&site, &keeping("a"), b"step 1").await.is(200);
    put(&site, &keeping("a"), b"step 2").await.refused(429, "TooSoon");
    put(&site, &keeping("b"), b"of another").await.is(200);
    wait(&site, 5);
    put(&site, &keeping("a"), b"step 2").await.is(200);
    assert_eq!(get(&site, &keeping("a")).await.body.unwrap(), b"step 2");
    assert_eq!(get(&site, &keeping("b")).await.body.unwrap(), b"of another");
    // Without leave there are none, and it is no model that anybody could read.
    put(&site, &writing("c"), b"x").await.refused(403, "NotGranted");
    get(&site, &writing("a")).await.refused(403, "NotGranted");
    site.get_model(&keeping("a"), hash_of(b"step 2"))
        .await
        .refused(403, "NotGranted");
    assert!(site.temporary_files().is_empty());
}

#[tokio::test]
async fn what_is_too_large_or_not_what_it_says_is_not_kept() {
    let store = shared_store();
    let site = Site::start_with(store.path(), None, |config| config.max_checkpoint_bytes = 100).await;
    put(&site, &keeping("a"), &[0; 101]).await.refused(413, "TooLarge");
    let token = key(1).sign_job(&keeping("a")).unwrap();
    let path = format!("/v1/checkpoints/{}", hash_of(b"other"));
    let answer = site.send(Method::PUT, &path, Some(&token), b"bytes").await;
    answer.refused(422, "WrongBytes");
    get(&site, &keeping("a")).await.refused(404, "NotFound");
    put(&site, &keeping("a"), &[0; 100]).await.is(200);
}

#[tokio::test]
async fn a_result_takes_the_checkpoints_place_for_good() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    put(&site, &keeping("a"), b"step 1").await.is(200);
    site.put_result(&keeping("a"), "{}").await.is(201);
    get(&site, &keeping("a")).await.refused(404, "NotFound");
    wait(&site, 60);
    put(&site, &keeping("a"), b"step 2").await.refused(409, "ResultThere");
    let left = files_below(&site.staging.join("jobs"));
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_checkpoint_goes_with_its_round_or_its_client_also_after_a_restart() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let longer = JobClaims {
        exp: Timestamp(NOW + 6000),
        ..keeping("longer")
    };
    put(&site, &keeping("a"), b"step 1").await.is(200);
    put(&site, &longer, b"step 9").await.is(200);
    let (own, staging) = site.stop().await;
    let site = Site::start_with(store.path(), None, |config| config.staging = staging.clone()).await;
    site.gateway.sweep_checkpoints().await;
    assert_eq!(get(&site, &keeping("a")).await.body.unwrap(), b"step 1");
    wait(&site, 600);
    site.gateway.sweep_checkpoints().await;
    assert_eq!(get(&site, &longer).await.body.unwrap(), b"step 9");
    let jobs = staging.join("jobs");
    assert_eq!(files_below(&jobs).len(), 2);
    let path = format!("/v1/staged?{}", owner_query(ALICE));
    let admin = key(1).sign_admin(Timestamp(NOW + 700)).unwrap();
    site.send(Method::DELETE, &path, Some(&admin), b"").await.is(200);
    get(&site, &longer).await.refused(404, "NotFound");
    assert!(files_below(&jobs).is_empty());
    drop(own);
}
