//! The controller's side of the gateway: tokens for Jobs, results, publishing, definitions.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use protocol::types::{DefinitionHash, ModelHash};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::Url;

use super::{
    object::{JobKey, ObjectId, Owner},
    routes::MAX_DEFINITION_BYTES,
    token::{JobClaims, TokenError, TokenKey},
};
use crate::clock::Clock;

/// A controller's token is made for each request and ends soon.
const ADMIN_TOKEN_SECONDS: u64 = 60;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Nothing waits for progress.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(2);
/// Publishing copies the model.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(600);

/// What can go wrong between controller and gateway.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the gateway cannot be reached: {0}")]
    Unreachable(String),
    #[error("the gateway refuses this controller's token ({0}); both must use the same key Secret")]
    Unauthorized(String),
    #[error("the gateway has no such object: {0}")]
    Missing(String),
    #[error("no space left on the gateway's or the store's volume")]
    Full,
    #[error("the gateway refuses: {0}")]
    Refused(String),
    #[error("the gateway failed: {0}")]
    Failed(String),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{0}")]
    Setup(String),
}

impl StoreError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Unauthorized(_) => "unauthorized",
            Self::Missing(_) => "missing",
            Self::Full => "full",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Token(_) => "token",
            Self::Setup(_) => "setup",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Failed(_) | Self::Full)
    }
}

/// Everything the controller needs of the data plane.
#[async_trait]
pub trait ModelStore: Send + Sync + 'static {
    /// The bearer token for one Job's Secret. No IO.
    fn job_token(&self, claims: &JobClaims) -> Result<String, StoreError>;

    /// The result line a Job has written; `None` if it has not.
    async fn result(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError>;

    /// What a running Job last said of its progress (`protocol::job::JobProgress`); `None` if nothing within a minute.
    async fn progress(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError>;

    /// Makes a model that a Job of this participant wrote readable by others. Idempotent; [`StoreError::Missing`] if no
    /// Job wrote it.
    async fn publish(&self, owner: Owner, model: ModelHash) -> Result<(), StoreError>;

    /// Puts a definition (RFC 8785 form, at most 1 MiB) below this participant's path. Idempotent.
    async fn put_definition(&self, owner: Owner, hash: DefinitionHash, document: String) -> Result<(), StoreError>;

    /// The definition this participant serves; `None` if it serves none by this hash.
    async fn definition(&self, owner: Owner, hash: DefinitionHash) -> Result<Option<String>, StoreError>;

    /// Forgets what this participant has never published in this task: staged models and the records of its Jobs. What
    /// others may still need stays. Idempotent.
    async fn remove_staged(&self, owner: Owner) -> Result<(), StoreError>;

    /// Forgets everything of this participant in this task: own objects and records only. Idempotent.
    async fn remove_task(&self, owner: Owner) -> Result<(), StoreError>;
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// [`ModelStore`] by the gateway's HTTP API.
pub struct GatewayClient {
    base: Url,
    http: HttpClient,
    key: TokenKey,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for GatewayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayClient")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl GatewayClient {
    /// `base` is `http://host:port` or `https://host:port`; the latter needs `ca`, the PEM certificates to trust, and
    /// trusts no others.
    pub fn new(base: &str, ca: Option<&str>, key: TokenKey, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let base: Url = base
            .parse()
            .map_err(|error| StoreError::Setup(format!("the gateway's URL {base:?} is none: {error}")))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default().as_bytes()) {
            let certificate =
                certificate.map_err(|error| StoreError::Setup(format!("the gateway's CA is not PEM: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| StoreError::Setup(format!("the gateway's CA is no CA: {error}")))?;
        }
        match base.scheme() {
            "http" => {}
            "https" if !roots.is_empty() => {}
            "https" => {
                return Err(StoreError::Setup(
                    "an https gateway needs its CA certificate".to_owned(),
                ));
            }
            other => {
                return Err(StoreError::Setup(format!(
                    "a gateway is reached by http or https, not {other}"
                )));
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError::Setup(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base, http, key, clock })
    }

    fn url(&self, path: &str, owner: Option<Owner>, hash: Option<ModelHash>) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if let Some(Owner {
            chain,
            task,
            participant,
        }) = owner
        {
            url.query_pairs_mut()
                .append_pair("chain", &chain.to_string())
                .append_pair("task", &format!("{task:#x}"))
                .append_pair("participant", &format!("{participant:#x}"));
        }
        if let Some(hash) = hash {
            url.query_pairs_mut().append_pair("hash", &hash.to_string());
        }
        url
    }

    async fn call(&self, method: Method, url: Url, body: Bytes, time: Duration) -> Result<Bytes, StoreError> {
        let exp = self.clock.now().saturating_add(ADMIN_TOKEN_SECONDS.max(time.as_secs()));
        let token = self.key.sign_admin(exp)?;
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Full::new(body))
            .map_err(|error| StoreError::Setup(error.to_string()))?;
        let exchange = async {
            let response = self
                .http
                .request(request)
                .await
                .map_err(|error| StoreError::Unreachable(with_causes(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_DEFINITION_BYTES as usize)
                .collect()
                .await
                .map_err(|error| StoreError::Unreachable(format!("the answer broke off: {error}")))?;
            Ok::<_, StoreError>((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(time, exchange)
            .await
            .map_err(|_| StoreError::Unreachable(format!("no answer within {} s", time.as_secs())))??;
        if status.is_success() {
            Ok(body)
        } else {
            Err(refusal(status, &body))
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn refusal(status: StatusCode, body: &[u8]) -> StoreError {
    let said = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let word = |name: &str| {
        said.get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let text = format!("{} {}: {}", status.as_u16(), word("error"), word("message"));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StoreError::Unauthorized(text),
        StatusCode::NOT_FOUND => StoreError::Missing(word("message")),
        StatusCode::INSUFFICIENT_STORAGE => StoreError::Full,
        status if status.is_client_error() => StoreError::Refused(text),
        _ => StoreError::Failed(text),
    }
}

fn found<T>(outcome: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(body: Bytes) -> Result<String, StoreError> {
    String::from_utf8(body.into()).map_err(|_| StoreError::Refused("the object is not text".to_owned()))
}

#[async_trait]
impl ModelStore for GatewayClient {
    fn job_token(&self, claims: &JobClaims) -> Result<String, StoreError> {
        Ok(self.key.sign_job(claims)?)
    }

    async fn result(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError> {
        // Parsed, so that no name changes the path of the request.
        let job = JobKey::new(namespace, job).map_err(|error| StoreError::Refused(error.to_string()))?;
        let url = self.url(&format!("/v1/results/{job}"), None, None);
        found(self.call(Method::GET, url, Bytes::new(), REQUEST_TIMEOUT).await)?
            .map(text)
            .transpose()
    }

    async fn progress(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError> {
        let job = JobKey::new(namespace, job).map_err(|error| StoreError::Refused(error.to_string()))?;
        let url = self.url(&format!("/v1/progress/{job}"), None, None);
        found(self.call(Method::GET, url, Bytes::new(), PROGRESS_TIMEOUT).await)?
            .map(text)
            .transpose()
    }

    async fn publish(&self, owner: Owner, model: ModelHash) -> Result<(), StoreError> {
        let url = self.url("/v1/publish", Some(owner), Some(model));
        self.call(Method::POST, url, Bytes::new(), PUBLISH_TIMEOUT)
            .await
            .map(drop)
    }

    async fn put_definition(&self, owner: Owner, hash: DefinitionHash, document: String) -> Result<(), StoreError> {
        let url = self.url(&format!("/v1/definitions/{hash}"), Some(owner), None);
        self.call(Method::PUT, url, document.into(), REQUEST_TIMEOUT)
            .await
            .map(drop)
    }

    async fn definition(&self, owner: Owner, hash: DefinitionHash) -> Result<Option<String>, StoreError> {
        let url = self.url(&format!("/v1/definitions/{hash}"), Some(owner), None);
        let Some(body) = found(self.call(Method::GET, url, Bytes::new(), REQUEST_TIMEOUT).await)? else {
            return Ok(None);
        };
        let object: ObjectId = owner.object(ModelHash(hash.0));
        if super::verify::hash_of(&body) != object.hash {
            return Err(StoreError::Failed(format!(
                "it served other bytes than those of {object}"
            )));
        }
        text(body).map(Some)
    }

    async fn remove_staged(&self, owner: Owner) -> Result<(), StoreError> {
        let url = self.url("/v1/staged", Some(owner), None);
        self.call(Method::DELETE, url, Bytes::new(), REQUEST_TIMEOUT)
            .await
            .map(drop)
    }

    async fn remove_task(&self, owner: Owner) -> Result<(), StoreError> {
        let url = self.url("/v1/tasks", Some(owner), None);
        self.call(Method::DELETE, url, Bytes::new(), REQUEST_TIMEOUT)
            .await
            .map(drop)
    }
}
