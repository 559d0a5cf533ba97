//! What a Job may write: one model and one result, right or not at all.

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::harness::*;

#[tokio::test]
async fn a_right_model_is_staged_and_nobody_else_sees_it() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 700_000);

    site.put_model(&writing("a"), hash, &bytes).await.is(201);

    assert_eq!(std::fs::read(site.staged(ALICE, hash)).unwrap(), bytes);
    assert!(files_below(store.path()).is_empty());
    site.get_model(&reading(hash, &[ALICE]), hash)
        .await
        .refused(404, "NotFound");
    assert!(site.temporary_files().is_empty());
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_leave_nothing() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (mut bytes, hash) = model(1, 700_000);
    bytes[699_999] ^= 1;

    site.put_model(&contributing("a"), hash, &bytes)
        .await
        .refused(422, "WrongBytes");

    assert!(files_below(store.path()).is_empty());
    assert!(files_below(&site.staging.join("models")).is_empty());
    assert!(files_below(&site.staging.join("jobs")).is_empty());
    assert!(site.temporary_files().is_empty());
    bytes[699_999] ^= 1;
    site.put_model(&contributing("a"), hash, &bytes).await.is(201);
}

#[tokio::test]
async fn the_same_model_again_is_success_and_another_is_refused() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let ((one, first), (two, second)) = (model(1, 1000), model(2, 1000));

    site.put_model(&contributing("a"), first, &one).await.is(201);
    site.put_model(&contributing("a"), first, &one).await.is(200);
    let refused = site.put_model(&contributing("a"), second, &two).await;
    refused.refused(409, "OtherModel");
    assert!(refused.json()["message"].as_str().unwrap().contains(&first.to_string()));

    assert!(!stored(&store, ALICE, second).exists());
    assert!(!site.staged(ALICE, second).exists());
    site.put_model(&contributing("b"), second, &two).await.is(201);
}

#[tokio::test]
async fn of_many_different_models_sent_at_once_by_one_job_one_wins() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let models: Vec<_> = (0..8).map(|seed| model(seed, 300_000)).collect();
    let claims = contributing("a");

    let answers =
        futures::future::join_all(models.iter().map(|(bytes, hash)| site.put_model(&claims, *hash, bytes))).await;

    let won: Vec<usize> = (0..8).filter(|i| answers[*i].status == 201).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 7);
    assert_eq!(files_below(store.path()), [stored(&store, ALICE, models[won[0]].1)]);
    assert!(files_below(&site.staging.join("models")).is_empty());
}

#[tokio::test]
async fn the_same_model_sent_many_times_at_once_is_success_for_all() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 300_000);
    let claims = contributing("a");

    let answers = futures::future::join_all((0..4).map(|_| site.put_model(&claims, hash, &bytes))).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(std::fs::read(stored(&store, ALICE, hash)).unwrap(), bytes);
}

#[tokio::test]
async fn a_model_above_the_limit_of_token_or_gateway_is_refused() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 5000);
    let mut claims = writing("a");

    claims.max_bytes = 4999;
    site.put_model(&claims, hash, &bytes).await.refused(413, "TooLarge");
    claims.max_bytes = 5000;
    site.put_model(&claims, hash, &bytes).await.is(201);

    let (bytes, hash) = model(2, 8 * 1024 * 1024 + 1);
    claims = writing("b");
    claims.max_bytes = u64::MAX;
    site.put_model(&claims, hash, &bytes).await.refused(413, "TooLarge");
}

#[tokio::test]
async fn a_job_that_may_not_write_is_refused() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 100);
    site.put_model(&reading(hash, &[]), hash, &bytes)
        .await
        .refused(403, "NotGranted");
    site.admin(Method::PUT, &format!("/v1/models/{hash}"), &bytes)
        .await
        .refused(403, "NotGranted");
    assert!(files_below(store.path()).is_empty());
}

#[tokio::test]
async fn a_length_must_be_declared_and_kept() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (_, hash) = model(1, 1000);
    let token = key(1).sign_job(&writing("a")).unwrap();
    let head =
        format!("PUT /v1/models/{hash} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");

    let mut chunked = TcpStream::connect(site.address).await.unwrap();
    chunked
        .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    chunked.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");

    let mut short = TcpStream::connect(site.address).await.unwrap();
    short
        .write_all(format!("{head}content-length: 1000\r\n\r\nonly this").as_bytes())
        .await
        .unwrap();
    short.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // Whatever it says, it must be over before we look.
    let _ = short.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 20"));
    assert!(files_below(&site.staging.join("models")).is_empty());
}

#[tokio::test]
async fn an_upload_that_stops_sending_is_cut_and_frees_its_place() {
    let store = shared_store();
    let site = Site::start_with(store.path(), None, |config| {
        config.max_uploads = 1;
        config.idle_timeout = std::time::Duration::from_millis(300);
    })
    .await;
    let (bytes, hash) = model(1, 1000);
    let token = key(1).sign_job(&writing("slow")).unwrap();
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    let head = format!(
        "PUT /v1/models/{hash} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 1000\r\n\r\nhalf"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    // The answer comes only once the sender is given up on and what it may still send was waited for.
    slow.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer).await;

    site.put_model(&writing("quick"), hash, &bytes).await.is(201);
    assert!(site.temporary_files().is_empty());
}

#[tokio::test]
async fn a_result_is_written_once() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let line = r#"{"version":1,"step":"check"}"#;

    site.put_result(&writing("a"), line).await.is(201);
    site.put_result(&writing("a"), line).await.is(200);
    site.put_result(&writing("a"), &format!("{line}\n")).await.is(200);
    site.put_result(&writing("a"), r#"{"version":2}"#)
        .await
        .refused(409, "OtherResult");

    let kept = site.admin(Method::GET, "/v1/results/team/a", b"").await;
    kept.is(200);
    assert_eq!(kept.body.unwrap(), line.as_bytes());
    site.admin(Method::GET, "/v1/results/team/b", b"")
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn a_result_is_one_line_of_json_and_small() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    for bad in ["", "text", "[1]", "{}\n{}", "{\n}", "{\"a\":1"] {
        site.put_result(&writing("a"), bad).await.refused(422, "BadResult");
    }
    let largest = format!("{{\"a\":\"{}\"}}", "x".repeat(2048 - 8));
    assert_eq!(largest.len(), 2048);
    site.put_result(&writing("a"), &format!("{largest} "))
        .await
        .refused(413, "TooLarge");
    site.put_result(&writing("a"), &largest).await.is(201);
}

#[tokio::test]
async fn a_pod_that_takes_over_sees_what_its_job_has_written_and_may_read_it() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let (bytes, hash) = model(1, 1000);
    let claims = contributing("a");
    let token = key(1).sign_job(&claims).unwrap();
    let nothing = site.send(Method::GET, "/v1/job", Some(&token), b"").await;
    assert_eq!(nothing.json(), serde_json::json!({"model": null, "result": null}));

    site.put_model(&claims, hash, &bytes).await.is(201);
    let written = site.send(Method::GET, "/v1/job", Some(&token), b"").await;
    assert_eq!(
        written.json(),
        serde_json::json!({"model": hash.to_string(), "result": null})
    );
    let read = site.get_model(&claims, hash).await;
    read.is(200);
    assert_eq!(read.body.unwrap(), bytes);

    site.put_result(&claims, "{}").await.is(201);
    assert_eq!(
        site.send(Method::GET, "/v1/job", Some(&token), b"").await.json()["result"],
        "{}"
    );
}

#[tokio::test]
async fn a_running_job_says_how_far_it_is_and_only_the_controller_hears_it() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let claims = writing("a");
    let token = key(1).sign_job(&claims).unwrap();
    let read = format!("/v1/progress/{}", claims.job);
    site.admin(Method::GET, &read, b"").await.refused(404, "NotFound");

    let word = br#"{"version":1,"stage":"training","epoch":2,"epochs":3,"loss":"0.5","note":"dropped"}"#;
    site.send(Method::PUT, "/v1/progress", Some(&token), word).await.is(200);

    let heard = site.admin(Method::GET, &read, b"").await;
    heard.is(200);
    assert_eq!(
        heard.json(),
        serde_json::json!({ "version": 1, "stage": "training", "epoch": 2, "epochs": 3, "loss": "0.5" })
    );
    site.send(Method::GET, &read, Some(&token), b"")
        .await
        .refused(403, "NotGranted");
    site.admin(Method::PUT, "/v1/progress", word)
        .await
        .refused(403, "NotGranted");
}

#[tokio::test]
async fn progress_is_small_and_in_the_documented_words() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let token = key(1).sign_job(&writing("a")).unwrap();
    let long = format!(r#"{{"version":1,"stage":"training","loss":"{}"}}"#, "9".repeat(600));
    let refusals = [
        (long.as_bytes(), 413, "TooLarge"),
        (&br#"{"version":1,"stage":"dancing"}"#[..], 400, "BadRequest"),
    ];
    for (word, status, reason) in refusals {
        site.send(Method::PUT, "/v1/progress", Some(&token), word)
            .await
            .refused(status, reason);
    }
}
