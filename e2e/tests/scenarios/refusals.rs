//! What the gateway refuses, asked through its Service with TLS as a trainer pod would.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy::primitives::Address;
use e2e::{
    forward::Forward,
    site::{RELEASE, Site},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use operator::gateway::{JobClaims, ReadGrant, TOKEN_VERSION, TokenKey};
use protocol::types::{ModelHash, Timestamp};
use sha2::{Digest, Sha256};

use crate::lab::lab;

struct Door {
    http: reqwest::Client,
    base: String,
    key: TokenKey,
    /// The rest of the path is a task of this run only.
    task: Address,
    _forward: Forward,
}

impl Door {
    async fn open(kube: &Client, site: &Site) -> Self {
        let secrets: Api<Secret> = Api::namespaced(kube.clone(), &site.namespace);
        let bytes = |secret: Secret, key: &str| secret.data.unwrap()[key].0.clone();
        let key = bytes(secrets.get(&format!("{RELEASE}-token-key")).await.unwrap(), "current");
        let ca = bytes(secrets.get(&format!("{RELEASE}-gateway-tls")).await.unwrap(), "ca.crt");
        let service = format!("{RELEASE}-gateway");
        let forward = Forward::start(&site.namespace, &format!("svc/{service}"), 8443).unwrap();
        let host = format!("{service}.{}.svc", site.namespace);
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, forward.port()));
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .resolve(&host, here)
            .build()
            .unwrap();
        Self {
            http,
            base: format!("https://{host}:{}", forward.port()),
            key: TokenKey::new(key).unwrap(),
            task: e2e::key::TestKey::random().address(),
            _forward: forward,
        }
    }

    fn token(&self, job: &str, reads: &[(ModelHash, Address)], lives: i64) -> String {
        self.token_by(&self.key, job, reads, lives)
    }

    fn token_by(&self, key: &TokenKey, job: &str, reads: &[(ModelHash, Address)], lives: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = JobClaims {
            v: TOKEN_VERSION,
            job: format!("whole/{job}-{:x}", self.task),
            chain: 31337,
            task: self.task,
            participant: Address::repeat_byte(1),
            reads: reads
                .iter()
                .map(|&(hash, holder)| ReadGrant {
                    hash,
                    holders: vec![holder],
                })
                .collect(),
            write_model: true,
            publish: true,
            max_bytes: 1 << 20,
            checkpoint_bytes: 0,
            exp: Timestamp(now.saturating_add_signed(lives)),
        };
        key.sign_job(&claims).unwrap()
    }

    async fn put(&self, token: &str, hash: ModelHash, bytes: &[u8]) -> (u16, String) {
        let url = format!("{}/v1/models/{hash}", self.base);
        let answer = self
            .http
            .put(url)
            .bearer_auth(token)
            .body(bytes.to_vec())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, token: &str, hash: ModelHash) -> (u16, Vec<u8>) {
        let url = format!("{}/v1/models/{hash}", self.base);
        let answer = self.http.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }
}

fn hash_of(bytes: &[u8]) -> ModelHash {
    ModelHash(<[u8; 32]>::from(Sha256::digest(bytes)).into())
}

#[tokio::test]
async fn the_gateway_refuses_wrong_bytes_second_uploads_and_tokens_of_others() {
    let (lab, kube) = lab().await;
    let door = Door::open(&kube, &lab.site).await;
    let us = Address::repeat_byte(1);
    let (model, other) = (b"a model".repeat(1000), b"another".repeat(1000));
    let (hash, other_hash) = (hash_of(&model), hash_of(&other));
    let reader = door.token("reader", &[(hash, us), (other_hash, us)], 600);
    let writer = door.token("writer", &[], 600);

    // Wrong bytes: refused, and nothing is visible.
    let (status, said) = door.put(&writer, hash, &other).await;
    assert_eq!(status, 422, "{said}");
    assert_eq!(door.get(&reader, hash).await.0, 404);

    // Right bytes, then the same again, then a different second model.
    let (status, said) = door.put(&writer, hash, &model).await;
    assert_eq!(status, 201, "{said}");
    assert_eq!(door.put(&writer, hash, &model).await.0, 200);
    let (status, said) = door.put(&writer, other_hash, &other).await;
    assert_eq!(status, 409, "{said}");
    assert_eq!(door.get(&reader, other_hash).await.0, 404);
    assert_eq!(door.get(&reader, hash).await, (200, model.clone()));

    // Another Job's token does not name this hash.
    let stranger = door.token("stranger", &[(other_hash, us)], 600);
    assert_eq!(door.get(&stranger, hash).await.0, 403);
    // An expired one, one by another key, one with a changed byte, none at all.
    let expired = door.token("reader", &[(hash, us)], -1);
    assert_eq!(door.get(&expired, hash).await.0, 401);
    let foreign = door.token_by(&TokenKey::new(vec![7; 32]).unwrap(), "reader", &[(hash, us)], 600);
    assert_eq!(door.get(&foreign, hash).await.0, 401);
    let mut garbled = reader.clone().into_bytes();
    garbled[5] ^= 1;
    assert_eq!(door.get(&String::from_utf8(garbled).unwrap(), hash).await.0, 401);
    let bare = door
        .http
        .get(format!("{}/v1/models/{hash}", door.base))
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status().as_u16(), 401);
}
