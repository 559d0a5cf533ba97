//! The stand-in: the two calls of KMS that signing needs, and AWS's check of who asks (Signature Version 4).

use std::sync::{Arc, Mutex};

use alloy::{
    primitives::{Address, U256, hex},
    signers::{
        k256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner},
        utils::public_key_to_address,
    },
};
use axum::{
    Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, response::IntoResponse, routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const KEY_ID: &str = "alias/participant";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What is wrong with the service from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Denied,
    /// The alias points at another key.
    OtherKey,
    /// The key is of NIST's curve.
    OtherCurve,
}

#[derive(Default)]
struct Inner {
    fault: Option<Fault>,
    answered: Vec<String>,
    signatures: usize,
    last_s: U256,
}

#[derive(Clone)]
struct Kms {
    key: SigningKey,
    other: SigningKey,
    inner: Arc<Mutex<Inner>>,
}

/// Serves until dropped.
pub(crate) struct StandIn {
    kms: Kms,
    url: url::Url,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let kms = Kms {
            key: SigningKey::from_slice(&[0x11; 32]).unwrap(),
            other: SigningKey::from_slice(&[0x22; 32]).unwrap(),
            inner: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().route("/", post(answer)).with_state(kms.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { kms, url, server }
    }

    pub(crate) fn url(&self) -> url::Url {
        self.url.clone()
    }

    pub(crate) fn address(&self) -> Address {
        public_key_to_address(self.kms.key.verifying_key())
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.kms.inner.lock().unwrap().fault = Some(fault);
    }

    /// The operations that were answered, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.kms.inner.lock().unwrap().answered.clone()
    }

    /// s of the last signature as it left the service.
    pub(crate) fn last_s(&self) -> U256 {
        self.kms.inner.lock().unwrap().last_s
    }
}

async fn answer(State(kms): State<Kms>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let refuse = |name: &str, why: &str| {
        (
            StatusCode::BAD_REQUEST,
            json!({"__type": name, "message": why}).to_string(),
        )
    };
    if let Err(why) = check_signature(&headers, &body) {
        return refuse("InvalidSignatureException", &why);
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    if request["KeyId"] != KEY_ID {
        return refuse("NotFoundException", "no such key");
    }
    let operation = header(&headers, "x-amz-target");
    let mut inner = kms.inner.lock().unwrap();
    if inner.fault == Some(Fault::Denied) {
        return refuse("AccessDeniedException", "the policy of the key does not allow it");
    }
    let key = if inner.fault == Some(Fault::OtherKey) {
        &kms.other
    } else {
        &kms.key
    };
    let answer = match operation.as_str() {
        "TrentService.GetPublicKey" => json!({
            "KeyId": KEY_ID,
            "KeySpec": "ECC_SECG_P256K1",
            "KeyUsage": "SIGN_VERIFY",
            "SigningAlgorithms": ["ECDSA_SHA_256"],
            "PublicKey": BASE64_STANDARD.encode(public_key(key, inner.fault == Some(Fault::OtherCurve))),
        }),
        "TrentService.Sign" => {
            assert_eq!(request["MessageType"], "DIGEST", "the hash must not be hashed again");
            assert_eq!(request["SigningAlgorithm"], "ECDSA_SHA_256");
            let digest = BASE64_STANDARD.decode(request["Message"].as_str().unwrap()).unwrap();
            let signature = sign(key, &digest, inner.signatures % 2 == 0);
            inner.signatures += 1;
            inner.last_s = U256::from_be_slice(&signature.s().to_bytes());
            json!({
                "KeyId": KEY_ID,
                "SigningAlgorithm": "ECDSA_SHA_256",
                "Signature": BASE64_STANDARD.encode(signature.to_der().as_bytes()),
            })
        }
        other => return refuse("UnknownOperationException", other),
    };
    inner.answered.push(operation);
    (StatusCode::OK, answer.to_string())
}

/// KMS returns either of the two valid s; every other one here is the high one.
fn sign(key: &SigningKey, digest: &[u8], high: bool) -> Signature {
    let signature: Signature = key.sign_prehash(digest).unwrap();
    let low = signature.normalize_s().unwrap_or(signature);
    if !high {
        return low;
    }
    let (r, s) = low.split_scalars();
    Signature::from_scalars(r, -*s).unwrap()
}

/// SubjectPublicKeyInfo of an uncompressed point.
fn public_key(key: &SigningKey, other_curve: bool) -> Vec<u8> {
    let mut der = if other_curve {
        // The same frame for P-256, with its generator for a point.
        let mut der = hex!("3059301306072a8648ce3d020106082a8648ce3d03010703420004").to_vec();
        der.extend(hex!("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"));
        der.extend(hex!("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"));
        return der;
    } else {
        hex!("3056301006072a8648ce3d020106052b8104000a034200").to_vec()
    };
    der.extend(key.verifying_key().to_encoded_point(false).as_bytes());
    der
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_owned()
}

/// Signature Version 4 as its specification computes it, from the request as it arrived.
fn check_signature(headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let authorization = header(headers, "authorization");
    let rest = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or("another scheme")?;
    let field = |name: &str| {
        let found = rest
            .split(", ")
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or(format!("no {name}"))
    };
    let (credential, names, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let time = header(headers, "x-amz-date");
    let date = time.get(..8).ok_or("no x-amz-date")?;
    let scope = format!("{date}/{REGION}/kms/aws4_request");
    if credential != format!("{ACCESS_KEY}/{scope}") {
        return Err(format!("the credential's scope is not {scope}"));
    }
    for needed in ["host", "x-amz-date", "x-amz-target"] {
        if !names.split(';').any(|name| name == needed) {
            return Err(format!("{needed} is not signed"));
        }
    }
    let signed: String = names
        .split(';')
        .map(|name| format!("{name}:{}\n", header(headers, name)))
        .collect();
    let request = format!("POST\n/\n\n{signed}\n{names}\n{}", hex::encode(Sha256::digest(body)));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex::encode(Sha256::digest(&request))
    );
    let mut key = mac(format!("AWS4{SECRET_KEY}").as_bytes(), date);
    for part in [REGION, "kms", "aws4_request"] {
        key = mac(&key, part);
    }
    if hex::encode(mac(&key, &to_sign)) == signature {
        Ok(())
    } else {
        Err("the signature does not match".to_owned())
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
