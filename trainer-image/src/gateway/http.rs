//! The gateway's HTTP interface, blocking.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use protocol::{job::JobProgress, types::ModelHash};
use ureq::{
    Agent, Body, SendBody,
    http::{Response, StatusCode, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{Earlier, Gateway, GatewayError, meter::Metered, transfer};

const CONNECT: Duration = Duration::from_secs(5);
/// For requests without a model in them.
const SHORT: Duration = Duration::from_secs(15);
/// For what nothing depends on.
const PROGRESS: Duration = Duration::from_secs(3);
/// Longest silence in the middle of a transfer.
const STALL: Duration = Duration::from_secs(20);
/// For the gateway to store a model once it has all of it.
const KEEPING: Duration = Duration::from_secs(120);

pub(super) struct Http {
    agent: Agent,
    base: String,
    authorization: String,
}

impl Http {
    pub(super) fn new(address: &str, token: Option<&str>, ca: Option<&[u8]>) -> Result<Self, GatewayError> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = ca {
            tls = tls.root_certs(RootCerts::from(certificates(pem)?));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_recv_response(Some(STALL))
            .timeout_per_read(Some(STALL))
            .timeout_per_write(Some(STALL))
            .tls_config(tls.build())
            .build();
        Ok(Self {
            agent: config.into(),
            base: address.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", token.unwrap_or_default()),
        })
    }

    /// Sends a file while it is read. A refusal comes before the bytes are sent, and so can be read.
    fn put_file(&self, route: &str, file: File, hash: ModelHash) -> Result<(), GatewayError> {
        let length = file.metadata().map_err(network)?.len();
        let mut reader = Metered::new(file, format!("handing in {:.8}", hash.to_string()), Some(length));
        let response = self
            .agent
            .put(format!("{}{route}", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length)
            .header(header::EXPECT, "100-continue")
            .config()
            .timeout_recv_response(Some(KEEPING))
            .build()
            .send(SendBody::from_reader(&mut reader))
            .map_err(network)?;
        accepted(response).map(drop)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<ureq::tls::Certificate<'static>>, GatewayError> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(GatewayError::Certificate(error.to_string())),
        }
    }
    if found.is_empty() {
        Err(GatewayError::Certificate("no certificate in it".into()))
    } else {
        Ok(found)
    }
}

fn network(error: impl std::fmt::Display) -> GatewayError {
    GatewayError::Network(error.to_string())
}

/// Turns an error status into an error; the message is the gateway's own, shortened.
fn accepted(mut response: Response<Body>) -> Result<Response<Body>, GatewayError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(4096)
        .read_to_string()
        .unwrap_or_default();
    let message = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|json| {
            let text = |key: &str| json.get(key).and_then(|v| v.as_str()).map(str::to_owned);
            Some(match (text("error")?, text("message")) {
                (error, Some(message)) => format!("{error}: {message}"),
                (error, None) => error,
            })
        })
        .unwrap_or(body);
    let message = message.chars().filter(|c| !c.is_control()).take(300).collect();
    // 422: the bytes were damaged on the way; 429, 5xx: overload, a restart, a full disk.
    Err(match status {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            GatewayError::Unavailable {
                status: status.as_u16(),
                message,
            }
        }
        _ if status.is_server_error() => GatewayError::Unavailable {
            status: status.as_u16(),
            message,
        },
        _ => GatewayError::Refused {
            status: status.as_u16(),
            message,
        },
    })
}

impl Gateway for Http {
    fn ready(&self) -> Result<(), GatewayError> {
        let response = self
            .agent
            .get(format!("{}/readyz", self.base))
            .config()
            .timeout_global(Some(SHORT))
            .build()
            .call()
            .map_err(network)?;
        accepted(response).map(drop)
    }

    fn earlier(&self) -> Result<Earlier, GatewayError> {
        let response = self
            .agent
            .get(format!("{}/v1/job", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .config()
            .timeout_global(Some(SHORT))
            .build()
            .call()
            .map_err(network)?;
        let body = accepted(response)?.body_mut().read_to_string().map_err(network)?;
        serde_json::from_str(&body).map_err(network)
    }

    fn fetch(&self, hash: ModelHash, path: &Path, limit: u64, timeout: Duration) -> Result<(), GatewayError> {
        let response = self
            .agent
            .get(format!("{}/v1/models/{hash}", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .config()
            .timeout_global(Some(timeout))
            .build()
            .call()
            .map_err(network)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(GatewayError::NotFound(hash));
        }
        let mut response = accepted(response)?;
        if response.body().content_length().is_some_and(|length| length > limit) {
            return Err(GatewayError::TooLarge { hash, limit });
        }
        let total = response.body().content_length();
        let reader = response
            .body_mut()
            .with_config()
            .limit(limit.saturating_add(1))
            .reader();
        let reader = Metered::new(reader, format!("fetching {:.8}", hash.to_string()), total);
        transfer::receive(reader, hash, path, limit, network)
    }

    fn put_model(&self, hash: ModelHash, path: &Path) -> Result<(), GatewayError> {
        let file = File::open(path).map_err(|error| GatewayError::Io {
            path: path.to_owned(),
            error,
        })?;
        self.put_file(&format!("/v1/models/{hash}"), file, hash)
    }

    fn put_checkpoint(&self, _: &str, file: File, hash: ModelHash) -> Result<(), GatewayError> {
        self.put_file(&format!("/v1/checkpoints/{hash}"), file, hash)
    }

    fn fetch_checkpoint(&self, _: &str, path: &Path, limit: u64) -> Result<bool, GatewayError> {
        let response = self
            .agent
            .get(format!("{}/v1/checkpoint", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .call()
            .map_err(network)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let mut response = accepted(response)?;
        let total = response.body().content_length();
        let reader = response.body_mut().with_config().limit(limit).reader();
        let mut reader = Metered::new(reader, "fetching a checkpoint".to_owned(), total);
        let received = File::create(path)
            .map_err(|error| GatewayError::Io {
                path: path.to_owned(),
                error,
            })
            .and_then(|mut file| io::copy(&mut reader, &mut file).map_err(network));
        if received.is_err() {
            let _ = fs::remove_file(path);
        }
        received.map(|_| true)
    }

    /// The gateway does so itself when it gets the result.
    fn drop_checkpoint(&self, _: &str) {}

    fn put_progress(&self, word: &JobProgress) -> Result<(), GatewayError> {
        let response = self
            .agent
            .put(format!("{}/v1/progress", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .config()
            .timeout_global(Some(PROGRESS))
            .build()
            .send(serde_json::to_vec(word).map_err(network)?)
            .map_err(network)?;
        accepted(response).map(drop)
    }

    fn put_result(&self, line: &str) -> Result<(), GatewayError> {
        let response = self
            .agent
            .put(format!("{}/v1/results", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .config()
            .timeout_global(Some(SHORT))
            .build()
            .send(line)
            .map_err(network)?;
        accepted(response).map(drop)
    }
}
