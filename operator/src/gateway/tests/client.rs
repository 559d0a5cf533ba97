//! The controller's client against a real gateway, over HTTP and TLS.

use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use protocol::types::{DefinitionHash, ModelHash};

use super::harness::*;
use crate::gateway::{GatewayClient, ModelStore, StoreError, TokenKey, verify::hash_of};

fn client(site: &Site, key: TokenKey) -> GatewayClient {
    GatewayClient::new(&site.base(), None, key, Arc::new(site.clock.clone())).unwrap()
}

#[tokio::test]
async fn the_controller_sees_results_publishes_and_removes() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let controller = client(&site, key(1));
    let (bytes, hash) = model(1, 1000);
    assert_eq!(controller.result("team", "a").await.unwrap(), None);
    assert!(matches!(
        controller.publish(owner(ALICE), hash).await,
        Err(StoreError::Missing(_))
    ));

    let token = controller.job_token(&writing("a")).unwrap();
    site.send(http::Method::PUT, &format!("/v1/models/{hash}"), Some(&token), &bytes)
        .await
        .is(201);
    site.send(http::Method::PUT, "/v1/results", Some(&token), b"{\"version\":1}")
        .await
        .is(201);

    assert_eq!(
        controller.result("team", "a").await.unwrap().as_deref(),
        Some("{\"version\":1}")
    );
    controller.publish(owner(ALICE), hash).await.unwrap();
    assert!(stored(&store, ALICE, hash).exists());
    controller.remove_staged(owner(ALICE)).await.unwrap();
    assert_eq!(controller.result("team", "a").await.unwrap(), None);
    assert!(
        stored(&store, ALICE, hash).exists(),
        "others may need what was published"
    );
    controller.remove_task(owner(ALICE)).await.unwrap();
    assert!(files_below(store.path()).is_empty());
}

#[tokio::test]
async fn definitions_go_round_and_wrong_ones_are_refused() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let controller = client(&site, key(1));
    let document = r#"{"schemaVersion":1}"#.to_owned();
    let hash = DefinitionHash(hash_of(document.as_bytes()).0);
    assert_eq!(controller.definition(owner(ALICE), hash).await.unwrap(), None);
    controller
        .put_definition(owner(ALICE), hash, document.clone())
        .await
        .unwrap();
    assert_eq!(controller.definition(owner(ALICE), hash).await.unwrap(), Some(document));
    let refused = controller
        .put_definition(owner(ALICE), hash, "{}".to_owned())
        .await
        .unwrap_err();
    assert_eq!(refused.category(), "refused");
}

#[tokio::test]
async fn another_key_another_address_and_odd_names_are_told_apart() {
    let store = shared_store();
    let site = Site::start(store.path()).await;
    let foreign = client(&site, key(2)).result("team", "a").await.unwrap_err();
    assert_eq!((foreign.category(), foreign.is_transient()), ("unauthorized", false));

    let nobody = GatewayClient::new("http://127.0.0.1:1", None, key(1), Arc::new(site.clock.clone())).unwrap();
    let unreachable = nobody.publish(owner(ALICE), ModelHash::ZERO).await.unwrap_err();
    assert_eq!(
        (unreachable.category(), unreachable.is_transient()),
        ("unreachable", true)
    );

    let odd = client(&site, key(1)).result("team", "../publish").await.unwrap_err();
    assert_eq!(odd.category(), "refused");
}

#[tokio::test]
async fn tls_is_spoken_with_the_given_ca_and_no_other() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into()),
        )
        .unwrap();
    let store = shared_store();
    let site = Site::start_with(store.path(), Some(RustlsConfig::from_config(Arc::new(config))), |_| {}).await;
    let base = format!("https://{}", site.address);
    let clock = Arc::new(site.clock.clone());

    let right = GatewayClient::new(&base, Some(&certified.cert.pem()), key(1), clock.clone()).unwrap();
    assert_eq!(right.result("team", "a").await.unwrap(), None);

    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])
        .unwrap()
        .cert
        .pem();
    let wrong = GatewayClient::new(&base, Some(&other), key(1), clock.clone()).unwrap();
    assert_eq!(wrong.result("team", "a").await.unwrap_err().category(), "unreachable");

    assert_eq!(
        GatewayClient::new(&base, None, key(1), clock.clone())
            .unwrap_err()
            .category(),
        "setup"
    );
    assert_eq!(
        GatewayClient::new("ftp://x", None, key(1), clock)
            .unwrap_err()
            .category(),
        "setup"
    );
}
