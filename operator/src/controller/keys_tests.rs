use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use crds::names;
use k8s_openapi::ByteString;

use super::*;
use crate::testing::{FakeClock, FakeCluster, Faults, PRIVATE_KEY, signing_secret};

const KEYSTORE: &str = include_str!("../testing/keystore.json");
const PASSPHRASE: &str = "correct horse battery staple";
/// Of [`PRIVATE_KEY`], which is also in the keystore.
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn encrypted(version: &str, fields: &[(&str, &str)]) -> Secret {
    let mut secret = signing_secret("alpha-key", PRIVATE_KEY);
    secret.metadata.uid = Some("s-1".to_owned());
    secret.metadata.resource_version = Some(version.to_owned());
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), ByteString(value.as_bytes().to_vec()));
    secret.data = Some(fields.iter().map(field).collect());
    secret
}

fn right(version: &str) -> Secret {
    let fields = [(names::KEYSTORE_FIELD, KEYSTORE), (names::PASSPHRASE_FIELD, PASSPHRASE)];
    encrypted(version, &fields)
}

fn cluster() -> FakeCluster {
    FakeCluster::new(Faults::default())
}

fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::at(1_800_000_000))
}

async fn load(ring: &KeyRing, cluster: &FakeCluster) -> Result<SigningKey, KeyError> {
    ring.load(cluster, "team", &SignerRef::secret("alpha-key")).await
}

#[tokio::test]
async fn a_keystore_gives_the_same_account_as_the_key_in_it() {
    let cluster = cluster();
    let ring = KeyRing::of_secrets(clock());
    cluster.put_secret(signing_secret("alpha-key", PRIVATE_KEY));
    assert_eq!(load(&ring, &cluster).await.unwrap().address().to_string(), ADDRESS);
    cluster.put_secret(right("1"));
    assert_eq!(load(&ring, &cluster).await.unwrap().address().to_string(), ADDRESS);
}

#[tokio::test]
async fn a_keystore_is_opened_once_per_version_of_its_secret_and_forgotten_with_it() {
    let cluster = cluster();
    let clock = clock();
    let ring = KeyRing::of_secrets(clock.clone());
    cluster.put_secret(right("1"));
    load(&ring, &cluster).await.unwrap();
    // The same version with other content is not looked at: what counts is the version.
    cluster.put_secret(encrypted("1", &[]));
    load(&ring, &cluster).await.unwrap();
    // Another version is.
    cluster.put_secret(encrypted("2", &[]));
    assert_eq!(
        load(&ring, &cluster).await.unwrap_err().reason(),
        reason::SECRET_INVALID
    );
    cluster.put_secret(right("3"));
    load(&ring, &cluster).await.unwrap();
    assert_eq!(ring.lock().len(), 1);
    cluster.edit(|state| state.secrets.clear());
    assert_eq!(
        load(&ring, &cluster).await.unwrap_err().reason(),
        reason::SECRET_MISSING
    );
    assert!(ring.lock().is_empty(), "a deleted Secret's key stays in memory");
}

#[tokio::test]
async fn a_raw_key_is_derived_once_per_version_of_its_secret_and_forgotten_with_it() {
    let raw = |version: &str, key: &str| encrypted(version, &[(names::SIGNING_KEY_FIELD, key)]);
    let cluster = cluster();
    let ring = KeyRing::of_secrets(clock());
    cluster.put_secret(raw("1", PRIVATE_KEY));
    assert_eq!(load(&ring, &cluster).await.unwrap().address().to_string(), ADDRESS);
    // The same version with other content is not looked at: what counts is the version.
    cluster.put_secret(raw("1", "not a key"));
    assert_eq!(load(&ring, &cluster).await.unwrap().address().to_string(), ADDRESS);
    cluster.put_secret(raw("2", &"11".repeat(32)));
    assert_ne!(load(&ring, &cluster).await.unwrap().address().to_string(), ADDRESS);
    cluster.put_secret(raw("3", "not a key"));
    load(&ring, &cluster).await.unwrap_err();
    assert!(ring.lock().is_empty(), "the key of an older version stays in memory");
    cluster.put_secret(raw("4", PRIVATE_KEY));
    load(&ring, &cluster).await.unwrap();
    assert_eq!(ring.lock().len(), 1);
    cluster.edit(|state| state.secrets.clear());
    load(&ring, &cluster).await.unwrap_err();
    assert!(ring.lock().is_empty(), "a deleted Secret's key stays in memory");
}

#[tokio::test]
async fn a_secret_that_no_api_server_wrote_is_read_each_time() {
    let cluster = cluster();
    let ring = KeyRing::of_secrets(clock());
    cluster.put_secret(signing_secret("alpha-key", PRIVATE_KEY));
    load(&ring, &cluster).await.unwrap();
    assert!(ring.lock().is_empty());
    cluster.put_secret(signing_secret("alpha-key", "not a key"));
    load(&ring, &cluster).await.unwrap_err();
}

#[tokio::test]
async fn a_key_nobody_asks_for_leaves_memory() {
    let cluster = cluster();
    let clock = clock();
    let ring = KeyRing::of_secrets(clock.clone());
    cluster.put_secret(right("1"));
    load(&ring, &cluster).await.unwrap();
    clock.set(1_800_000_000 + KEPT);
    let mut other = right("1");
    other.metadata.name = Some("beta-key".to_owned());
    cluster.put_secret(other);
    ring.load(&cluster, "team", &SignerRef::secret("beta-key"))
        .await
        .unwrap();
    assert_eq!(ring.lock().len(), 1);
}

#[tokio::test]
async fn each_defect_of_a_keystore_has_its_reason() {
    let costly = KEYSTORE.replacen("8192", "1073741824", 1);
    let other = KEYSTORE.replacen('{', &format!(r#"{{"address":"{}","#, "11".repeat(20)), 1);
    let with = |json, passphrase| vec![(names::KEYSTORE_FIELD, json), (names::PASSPHRASE_FIELD, passphrase)];
    let cases = [
        ("a wrong passphrase", with(KEYSTORE, "wrong"), reason::PASSPHRASE_WRONG),
        ("no JSON", with("{", PASSPHRASE), reason::KEYSTORE_INVALID),
        ("another address", with(&other, PASSPHRASE), reason::KEYSTORE_INVALID),
        ("absurd parameters", with(&costly, PASSPHRASE), reason::KEYSTORE_COSTLY),
        (
            "no passphrase",
            vec![(names::KEYSTORE_FIELD, KEYSTORE)],
            reason::SECRET_INVALID,
        ),
    ];
    let cluster = cluster();
    let ring = KeyRing::of_secrets(clock());
    for (number, (case, fields, expected)) in cases.into_iter().enumerate() {
        cluster.put_secret(encrypted(&number.to_string(), &fields));
        let error = load(&ring, &cluster).await.unwrap_err();
        assert_eq!(error.reason(), expected, "{case}: {error}");
        assert!(error.is_lasting(), "{case}");
        assert!(!error.to_string().contains("horse"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_passphrase_is_tried_once() {
    let cluster = cluster();
    let ring = KeyRing::of_secrets(clock());
    let wrong = [(names::KEYSTORE_FIELD, KEYSTORE), (names::PASSPHRASE_FIELD, "wrong")];
    cluster.put_secret(encrypted("1", &wrong));
    for _ in 0..2 {
        assert_eq!(
            load(&ring, &cluster).await.unwrap_err().reason(),
            reason::PASSPHRASE_WRONG
        );
    }
    // It was the remembered answer: with the right passphrase under the same version nothing changes.
    cluster.put_secret(right("1"));
    assert_eq!(
        load(&ring, &cluster).await.unwrap_err().reason(),
        reason::PASSPHRASE_WRONG
    );
}

/// Says which keys it was asked for; every one is [`PRIVATE_KEY`].
#[derive(Default)]
struct FakeKms {
    asked: Mutex<Vec<RemoteKey>>,
    down: AtomicUsize,
}

#[async_trait]
impl KeyService for FakeKms {
    async fn open(&self, key: &RemoteKey) -> Result<SigningKey, String> {
        self.asked.lock().unwrap().push(key.clone());
        if self.down.load(Ordering::Relaxed) > 0 {
            return Err("AccessDeniedException".to_owned());
        }
        Ok(SigningKey::from_text(PRIVATE_KEY.as_bytes()).unwrap())
    }
}

fn kms(key_id: &str) -> SignerRef {
    SignerRef {
        secret_ref: None,
        aws_kms: Some(AwsKmsKey {
            key_id: key_id.to_owned(),
        }),
    }
}

fn grants() -> Vec<KmsGrant> {
    parse_grants(&format!(
        r#"[{{"namespace": "team", "keyId": "{ARN}"}},
            {{"namespace": "other", "keyId": "alias/theirs", "region": "eu-west-1", "endpoint": "http://kms:4566"}}]"#
    ))
    .unwrap()
}

#[tokio::test]
async fn a_namespace_signs_with_the_kms_keys_it_was_granted_and_with_no_other() {
    let service = Arc::new(FakeKms::default());
    let clock = clock();
    let ring = KeyRing::new(clock.clone(), Some(service.clone()), grants());
    let cluster = cluster();
    for (namespace, key_id) in [
        ("team", "alias/theirs"),
        ("other", ARN),
        // The same key by another name is another entry.
        ("team", "1234abcd-12ab-34cd-56ef-1234567890ab"),
        ("team", &ARN.to_uppercase()),
        ("elsewhere", ARN),
        ("", ARN),
    ] {
        let error = ring.load(&cluster, namespace, &kms(key_id)).await.unwrap_err();
        assert_eq!(error.reason(), reason::KMS_NOT_GRANTED, "{namespace} {key_id}");
    }
    assert!(
        service.asked.lock().unwrap().is_empty(),
        "the service was asked all the same"
    );
    assert_eq!(
        ring.load(&cluster, "team", &kms(ARN))
            .await
            .unwrap()
            .address()
            .to_string(),
        ADDRESS
    );
    ring.load(&cluster, "team", &kms(ARN)).await.unwrap();
    assert_eq!(service.asked.lock().unwrap().len(), 1);
    clock.set(1_800_000_000 + KEPT);
    ring.load(&cluster, "team", &kms(ARN)).await.unwrap();
    assert_eq!(service.asked.lock().unwrap().len(), 2, "which key it is is asked again");
}

#[tokio::test]
async fn a_kms_that_refuses_is_asked_again_and_holds_no_deletion_for_good() {
    let service = Arc::new(FakeKms::default());
    let ring = KeyRing::new(clock(), Some(service.clone()), grants());
    service.down.store(1, Ordering::Relaxed);
    let error = ring.load(&cluster(), "team", &kms(ARN)).await.unwrap_err();
    assert_eq!((error.reason(), error.is_lasting()), (reason::KMS_FAILED, false));
    service.down.store(0, Ordering::Relaxed);
    assert!(ring.load(&cluster(), "team", &kms(ARN)).await.is_ok());
}

#[tokio::test]
async fn a_build_without_kms_says_so() {
    let ring = KeyRing::new(clock(), None, grants());
    let error = ring.load(&cluster(), "team", &kms(ARN)).await.unwrap_err();
    assert_eq!(error.reason(), reason::KMS_NOT_BUILT);
    assert!(error.to_string().contains("aws-kms"), "{error}");
}

#[test]
fn grants_with_a_typing_error_are_refused() {
    for wrong in [
        r#"[{"namespace": "team"}]"#,
        r#"[{"namespace": "team", "keyId": "a", "endpont": "http://x"}]"#,
        r#"[{"namespace": "team", "keyId": "a", "endpoint": "not a URL"}]"#,
        r#"{"team": "a"}"#,
        "",
    ] {
        assert!(parse_grants(wrong).is_err(), "{wrong}");
    }
    assert_eq!(parse_grants("[]").unwrap(), []);
}
