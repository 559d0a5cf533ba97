//! Keys in AWS KMS, against a stand-in that speaks KMS's GetPublicKey and Sign over HTTP, holds a real secp256k1 key and
//! checks the signature of every request as AWS does.
//!
//! Built and run by `make kms`: the SDK behind it is too large for every build.

mod service;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    primitives::{Address, B256, TxKind, U256, keccak256},
};
use operator::chain::{
    SigningKey,
    kms::{AwsKms, Credentials},
    remote::{KeyService, RemoteKey},
};
use service::{ACCESS_KEY, Fault, KEY_ID, REGION, SECRET_KEY, StandIn};

fn key(service: &StandIn) -> RemoteKey {
    RemoteKey {
        key_id: KEY_ID.to_owned(),
        region: Some(REGION.to_owned()),
        endpoint: Some(service.url()),
    }
}

fn kms(secret: &str) -> AwsKms {
    AwsKms::with_credentials(Credentials::new(ACCESS_KEY, secret, None, None, "test"))
}

async fn open(service: &StandIn) -> Result<SigningKey, String> {
    kms(SECRET_KEY).open(&key(service)).await
}

fn half_order() -> U256 {
    // Half of the order of secp256k1, above which Ethereum refuses an s.
    U256::from_be_bytes(alloy::hex!(
        "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
    ))
}

#[tokio::test]
async fn the_account_is_that_of_the_public_key_in_kms() {
    let service = StandIn::start().await;
    let key = open(&service).await.unwrap();
    assert_eq!(key.address(), service.address());
    assert_eq!(service.asked(), ["TrentService.GetPublicKey"]);
    assert!(!format!("{key:?}").contains(SECRET_KEY));
}

#[tokio::test]
async fn signatures_have_a_low_s_and_recover_the_account_whichever_half_kms_returns() {
    let service = StandIn::start().await;
    let key = open(&service).await.unwrap();
    let mut parities = std::collections::BTreeSet::new();
    let mut turned = 0;
    for number in 0u64..16 {
        let hash = keccak256(number.to_be_bytes());
        let signature = key.sign(&hash).await.unwrap();
        assert!(signature.s() <= half_order(), "{number}");
        assert_eq!(
            signature.recover_address_from_prehash(&hash).unwrap(),
            service.address()
        );
        parities.insert(signature.v());
        turned += usize::from(service.last_s() > half_order());
    }
    assert_eq!(parities.len(), 2, "both recovery ids occur");
    assert!(
        turned >= 4,
        "the service returns the high half often enough to show something: {turned}"
    );
}

#[tokio::test]
async fn a_transaction_signed_by_kms_is_the_accounts() {
    let service = StandIn::start().await;
    let key = open(&service).await.unwrap();
    let transaction = TxEip1559 {
        chain_id: 31337,
        nonce: 7,
        gas_limit: 21_000,
        max_fee_per_gas: 9,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Default::default(),
    };
    let signature = key.sign(&transaction.signature_hash()).await.unwrap();
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    let signer = envelope
        .signature()
        .recover_address_from_prehash(&envelope.signature_hash());
    assert_eq!(signer.unwrap(), service.address());
}

#[tokio::test]
async fn a_request_signed_with_another_secret_is_refused_and_the_refusal_is_said() {
    let service = StandIn::start().await;
    let error = kms("another-secret").open(&key(&service)).await.unwrap_err();
    assert!(error.contains("InvalidSignatureException"), "{error}");
    assert!(!error.contains("another-secret"), "{error}");
    assert_eq!(service.asked(), Vec::<String>::new(), "nothing was answered");
}

#[tokio::test]
async fn a_region_the_key_is_not_in_is_refused() {
    let service = StandIn::start().await;
    let elsewhere = RemoteKey {
        region: Some("us-east-1".to_owned()),
        ..key(&service)
    };
    let error = kms(SECRET_KEY).open(&elsewhere).await.unwrap_err();
    assert!(error.contains("InvalidSignatureException"), "{error}");
}

#[tokio::test]
async fn what_kms_refuses_is_a_sentence() {
    let service = StandIn::start().await;
    let key = open(&service).await.unwrap();
    service.fault(Fault::Denied);
    let error = key.sign(&B256::repeat_byte(1)).await.unwrap_err();
    assert!(error.contains("AccessDeniedException"), "{error}");
    let error = open(&service).await.unwrap_err();
    assert!(error.contains("AccessDeniedException"), "{error}");
}

#[tokio::test]
async fn an_alias_that_was_given_another_key_signs_nothing() {
    let service = StandIn::start().await;
    let key = open(&service).await.unwrap();
    service.fault(Fault::OtherKey);
    assert!(key.sign(&B256::repeat_byte(1)).await.is_err());
    // Asked anew it is another account, which whoever has stake notices.
    assert_ne!(open(&service).await.unwrap().address(), key.address());
}

#[tokio::test]
async fn a_key_of_another_curve_is_refused() {
    let service = StandIn::start().await;
    service.fault(Fault::OtherCurve);
    assert!(open(&service).await.is_err());
}

#[tokio::test]
async fn a_service_that_is_not_there_is_an_error() {
    let service = StandIn::start().await;
    let key = key(&service);
    drop(service);
    let error = kms(SECRET_KEY).open(&key).await.unwrap_err();
    assert!(!error.is_empty() && !error.contains(SECRET_KEY), "{error}");
}
