//! A site: one gateway process' worth of server with its own staging volume, over a store others may share.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum_server::{Handle, tls_rustls::RustlsConfig};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use protocol::types::{Address, ModelHash, Timestamp};
use tempfile::TempDir;

use crate::{
    clock::Clock,
    gateway::{
        Gateway, GatewayConfig, JobClaims, KeyRing, Owner, ReadGrant, TOKEN_VERSION, TokenKey, serve, verify::hash_of,
    },
};

pub(super) const CHAIN: u64 = 31337;
pub(super) const TASK: Address = Address::repeat_byte(0x7a);
pub(super) const ALICE: Address = Address::repeat_byte(0xa1);
pub(super) const BOB: Address = Address::repeat_byte(0xb0);
/// The time at which every test begins.
pub(super) const NOW: u64 = 1_000_000;

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone, Default)]
pub(super) struct SetClock(pub(super) Arc<AtomicU64>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

pub(super) fn key(byte: u8) -> TokenKey {
    TokenKey::new(vec![byte; 32]).unwrap()
}

pub(super) fn owner(participant: Address) -> Owner {
    Owner {
        chain: CHAIN,
        task: TASK,
        participant,
    }
}

/// Bytes that fill several blocks of a stream.
pub(super) fn model(seed: u8, length: usize) -> (Vec<u8>, ModelHash) {
    let bytes: Vec<u8> = (0..length)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect();
    let hash = hash_of(&bytes);
    (bytes, hash)
}

pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) gateway: Arc<Gateway>,
    pub(super) clock: SetClock,
    pub(super) staging: PathBuf,
    handle: Handle<SocketAddr>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    _own: TempDir,
}

pub(super) fn config(store: &Path, staging: &Path) -> GatewayConfig {
    GatewayConfig {
        store: store.display().to_string(),
        staging: staging.to_owned(),
        max_model_bytes: 8 * 1024 * 1024,
        max_checkpoint_bytes: 8 * 1024 * 1024,
        max_uploads: 4,
        idle_timeout: Duration::from_secs(5),
        staging_patience: Duration::from_secs(5),
    }
}

impl Site {
    pub(super) async fn start(store: &Path) -> Self {
        Self::start_with(store, None, |_| {}).await
    }

    pub(super) async fn start_with(
        store: &Path,
        tls: Option<RustlsConfig>,
        adjust: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
        let own = tempfile::tempdir().unwrap();
        let staging = own.path().join("staging");
        let mut config = config(store, &staging);
        adjust(&mut config);
        let clock = SetClock(Arc::new(AtomicU64::new(NOW)));
        let keys = KeyRing::new(key(1), None);
        let gateway = Gateway::open(config, keys, Arc::new(clock.clone())).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handle = Handle::new();
        let served = tokio::spawn(serve(listener, Arc::clone(&gateway), tls, handle.clone()));
        Self {
            address,
            gateway,
            clock,
            staging,
            handle,
            served,
            _own: own,
        }
    }

    /// Stops serving and gives the staging volume up, keeping its files; hands back the folder they are in.
    pub(super) async fn stop(self) -> (TempDir, PathBuf) {
        self.handle.shutdown();
        self.served.await.unwrap().unwrap();
        let Self {
            gateway, staging, _own, ..
        } = self;
        drop(gateway);
        (_own, staging)
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) async fn send(&self, method: Method, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base()));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        let length = response
            .headers()
            .get("content-length")
            .map(|value| value.to_str().unwrap().parse().unwrap());
        match response.into_body().collect().await {
            Ok(body) => Answer {
                status,
                length,
                body: Some(body.to_bytes().to_vec()),
            },
            Err(_) => Answer {
                status,
                length,
                body: None,
            },
        }
    }

    pub(super) async fn put_model(&self, claims: &JobClaims, hash: ModelHash, bytes: &[u8]) -> Answer {
        let token = key(1).sign_job(claims).unwrap();
        self.send(Method::PUT, &format!("/v1/models/{hash}"), Some(&token), bytes)
            .await
    }

    pub(super) async fn get_model(&self, claims: &JobClaims, hash: ModelHash) -> Answer {
        let token = key(1).sign_job(claims).unwrap();
        self.send(Method::GET, &format!("/v1/models/{hash}"), Some(&token), b"")
            .await
    }

    pub(super) async fn put_result(&self, claims: &JobClaims, line: &str) -> Answer {
        let token = key(1).sign_job(claims).unwrap();
        self.send(Method::PUT, "/v1/results", Some(&token), line.as_bytes())
            .await
    }

    pub(super) async fn admin(&self, method: Method, path: &str, body: &[u8]) -> Answer {
        let token = key(1).sign_admin(Timestamp(NOW + 60)).unwrap();
        self.send(method, path, Some(&token), body).await
    }

    pub(super) async fn publish(&self, participant: Address, hash: ModelHash) -> Answer {
        let path = format!("/v1/publish?{}&hash={hash}", owner_query(participant));
        self.admin(Method::POST, &path, b"").await
    }

    /// Names of unfinished uploads on the staging volume.
    pub(super) fn temporary_files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.staging.join("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    pub(super) fn staged(&self, participant: Address, hash: ModelHash) -> PathBuf {
        self.staging
            .join("models")
            .join(owner(participant).object(hash).to_string())
    }
}

pub(super) fn owner_query(participant: Address) -> String {
    format!("chain={CHAIN}&task={TASK:#x}&participant={participant:#x}")
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) length: Option<usize>,
    /// `None`: the connection broke off before the declared length.
    pub(super) body: Option<Vec<u8>>,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body.as_deref().unwrap()).unwrap()
    }

    /// Status and the `error` constant.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, reason: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["error"], reason);
    }

    #[track_caller]
    pub(super) fn is(&self, status: u16) {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(self.body.as_deref().unwrap_or(b"cut"))
        );
    }
}

/// Claims of Alice's Job that writes one staged model and reads nothing.
pub(super) fn writing(job: &str) -> JobClaims {
    JobClaims {
        v: TOKEN_VERSION,
        job: format!("team/{job}"),
        chain: CHAIN,
        task: TASK,
        participant: ALICE,
        reads: Vec::new(),
        write_model: true,
        publish: false,
        max_bytes: 4 * 1024 * 1024,
        checkpoint_bytes: 0,
        exp: Timestamp(NOW + 600),
    }
}

/// The same, published at once, as a contribution is.
pub(super) fn contributing(job: &str) -> JobClaims {
    JobClaims {
        publish: true,
        ..writing(job)
    }
}

/// Claims of Bob's Job that may read `hash` of these holders and writes nothing.
pub(super) fn reading(hash: ModelHash, holders: &[Address]) -> JobClaims {
    JobClaims {
        participant: BOB,
        write_model: false,
        reads: vec![ReadGrant {
            hash,
            holders: holders.to_vec(),
        }],
        ..writing("reader")
    }
}

/// A store directory that several sites share.
pub(super) fn shared_store() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn stored(store: &TempDir, participant: Address, hash: ModelHash) -> PathBuf {
    store.path().join(owner(participant).object(hash).to_string())
}

/// Every file below a directory.
pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
