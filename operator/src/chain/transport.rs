//! JSON-RPC over HTTP to one endpoint.
//!
//! Written against reqwest directly and not alloy's transport, because that one puts the whole URL, API key included,
//! into tracing spans and error texts.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use url::Url;

/// Largest answer read, in bytes: a snapshot is below 64 KiB, a log query is split when it is too large.
const MAX_ANSWER: usize = 32 << 20;

/// What one endpoint said. No text in it contains more of the URL than the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// No answer: cannot connect, timed out, HTTP error.
    Transport(String),
    RateLimited,
    /// The endpoint refused with a JSON-RPC error.
    Rpc {
        code: i64,
        message: String,
        data: Option<Vec<u8>>,
    },
    /// Not JSON-RPC, or not of the shape asked for.
    Garbled(String),
    /// Its newest block is below one seen before.
    Behind {
        head: u64,
        seen: u64,
    },
}

impl CallError {
    /// Stable, for metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Transport(_) => "transport",
            Self::RateLimited => "rate-limited",
            Self::Rpc { .. } => "refused",
            Self::Garbled(_) => "garbled",
            Self::Behind { .. } => "behind",
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transport(text) | Self::Garbled(text) => f.write_str(text),
            Self::RateLimited => f.write_str("rate limited"),
            Self::Behind { head, seen } => write!(f, "its head is {head}, block {seen} was seen before"),
            Self::Rpc { code, message, .. } => write!(f, "{message} (code {code})"),
        }
    }
}

/// One endpoint of a chain. Tests put their own in its place.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// One JSON-RPC call; `params` is the array.
    async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError>;

    /// For people: host and port, nothing secret.
    fn host(&self) -> &str;
}

/// An `http` or `https` endpoint.
pub struct HttpTransport {
    client: reqwest::Client,
    url: Url,
    host: String,
    /// Parts of the URL that must not show up in a message the endpoint echoes.
    secrets: Vec<String>,
}

impl std::fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpTransport({})", self.host)
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

impl HttpTransport {
    /// `timeout` bounds a whole call. Errors name the host only.
    pub fn new(url: Url, timeout: Duration) -> Result<Self, String> {
        Self::trusting(url, timeout, &[])
    }

    /// Trusting only `roots`, or the system's root certificates where there are none given.
    fn trusting(url: Url, timeout: Duration, roots: &[reqwest::Certificate]) -> Result<Self, String> {
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err("an endpoint URL without a host".to_owned()),
        };
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fl-alliance-operator/", env!("CARGO_PKG_VERSION")));
        match url.scheme() {
            "https" if roots.is_empty() => {}
            "https" => builder = builder.tls_certs_only(roots.iter().cloned()),
            // No roots are needed here, and an image may have none.
            "http" => builder = builder.tls_certs_only([]),
            other => {
                return Err(format!(
                    "the endpoint {host} has scheme {other:?}, expected http or https"
                ));
            }
        }
        // Main installs it too; a test or a library user may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = builder.build().map_err(|e| {
            tracing::debug!(host, error = %e.without_url(), "cannot set up TLS");
            format!("cannot set up TLS for {host}: are root certificates installed?")
        })?;
        let secrets = secrets_of(&url);
        Ok(Self {
            client,
            url,
            host,
            secrets,
        })
    }

    fn redact(&self, text: &str) -> String {
        let mut text: String = text.chars().take(400).collect();
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        text
    }
}

/// Path segments, query values and user info: any of them may be an API key.
fn secrets_of(url: &Url) -> Vec<String> {
    let mut secrets: Vec<String> = url.path_segments().into_iter().flatten().map(str::to_owned).collect();
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.extend(url.password().map(str::to_owned));
    secrets.push(url.username().to_owned());
    secrets.retain(|s| s.len() >= 8);
    secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
    secrets
}

fn transport_error(error: reqwest::Error) -> CallError {
    let what = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke"
    };
    CallError::Transport(what.to_owned())
}

#[async_trait]
impl Transport for HttpTransport {
    async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(body);
        let mut response = request.send().await.map_err(transport_error)?;
        let status = response.status();
        if status.as_u16() == 429 {
            return Err(CallError::RateLimited);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError::Rpc {
                    code: 0,
                    message: "response too large".to_owned(),
                    data: None,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        let answer: Answer<'_> = match serde_json::from_slice(&bytes) {
            Ok(answer) => answer,
            Err(_) if !status.is_success() => {
                return Err(CallError::Transport(format!("HTTP status {}", status.as_u16())));
            }
            Err(_) => return Err(CallError::Garbled("the answer is not JSON-RPC".to_owned())),
        };
        if let Some(error) = answer.error {
            let message = self.redact(&error.message);
            let lower = message.to_ascii_lowercase();
            if error.code == -32005 && !lower.contains("results") && !lower.contains("range")
                || lower.contains("rate limit")
                || lower.contains("too many requests")
            {
                return Err(CallError::RateLimited);
            }
            return Err(CallError::Rpc {
                code: error.code,
                message,
                data: error.data.as_ref().and_then(revert_bytes),
            });
        }
        match answer.result {
            Some(result) => Ok(result.to_owned()),
            // `"result": null` is an answer, for instance for a block that does not exist.
            None if status.is_success() => {
                RawValue::from_string("null".to_owned()).map_err(|_| CallError::Garbled("null".to_owned()))
            }
            None => Err(CallError::Transport(format!("HTTP status {}", status.as_u16()))),
        }
    }

    fn host(&self) -> &str {
        &self.host
    }
}

/// Nodes put a revert's bytes at `data`, `data.data` or `data.originalError.data`.
fn revert_bytes(data: &Value) -> Option<Vec<u8>> {
    match data {
        Value::String(text) => {
            let start = text.find("0x")?;
            hex::decode(&text[start + 2..]).ok()
        }
        Value::Object(map) => ["data", "originalError", "result"]
            .iter()
            .find_map(|k| revert_bytes(map.get(*k)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_url_but_the_host_is_shown() {
        let url: Url = "https://user:hunter2secret@rpc.example.org:8545/v2/0123456789abcdefKEY?token=topsecrettoken"
            .parse()
            .unwrap();
        // No network is touched here: the client is only built.
        let transport = HttpTransport {
            client: {
                let _ = rustls::crypto::ring::default_provider().install_default();
                reqwest::Client::builder().tls_certs_only([]).build().unwrap()
            },
            host: "rpc.example.org:8545".to_owned(),
            secrets: secrets_of(&url),
            url,
        };
        let shown = format!(
            "{transport:?} {}",
            transport.redact("bad key 0123456789abcdefKEY or topsecrettoken")
        );
        for secret in ["hunter2secret", "0123456789abcdefKEY", "topsecrettoken"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("rpc.example.org:8545"));
    }

    #[tokio::test]
    async fn no_log_of_any_level_shows_an_api_key() {
        let logs = crate::testing::Logs::capture();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap();
        let answer = axum::Router::new().fallback(|| async { r#"{"jsonrpc":"2.0","id":1,"result":"0x7"}"# });
        let server = tokio::spawn(async move { axum::serve(listener, answer).await });
        let url = |host: &str| -> Url {
            let text = format!("http://user:hunter2secret@{host}/v2/0123456789abcdefKEY?token=topsecrettoken");
            text.parse().unwrap()
        };
        let there = HttpTransport::new(url(&host.to_string()), Duration::from_secs(20)).unwrap();
        assert_eq!(there.call("eth_chainId", json!([])).await.unwrap().get(), "\"0x7\"");
        server.abort();
        let gone = HttpTransport::new(url("127.0.0.1:9"), Duration::from_secs(20)).unwrap();
        let error = gone.call("eth_chainId", json!([])).await.unwrap_err();
        let shown = format!("{} {error} {error:?}", logs.text());
        assert!(
            shown.contains(&host.to_string()),
            "something of the call was logged: {shown}"
        );
        for secret in ["hunter2secret", "0123456789abcdefKEY", "topsecrettoken"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_an_endpoint_is_refused_without_echoing_it() {
        for bad in ["ftp://host/secretsecret", "data:text/plain,secretsecret"] {
            let error = HttpTransport::new(bad.parse().unwrap(), Duration::from_secs(1)).unwrap_err();
            assert!(!error.contains("secretsecret"), "{error}");
        }
    }

    #[tokio::test]
    async fn https_is_spoken_and_only_with_a_trusted_certificate() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
        let trusted = reqwest::Certificate::from_der(&certificate).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        let config = std::sync::Arc::new(config.unwrap());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for stream in listener.incoming().flatten() {
                let Ok(connection) = rustls::ServerConnection::new(config.clone()) else {
                    continue;
                };
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                // The request's body ends it; a refused handshake ends the connection.
                while !request.ends_with(b"}") {
                    match stream.read(&mut buffer) {
                        Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                        _ => break,
                    }
                }
                let body = r#"{"jsonrpc":"2.0","id":1,"result":"0x7"}"#;
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.flush();
            }
        });
        let url: Url = format!("https://localhost:{port}/key").parse().unwrap();
        let patience = Duration::from_secs(20);
        let transport = HttpTransport::trusting(url.clone(), patience, &[trusted]).unwrap();
        let answer = transport.call("eth_chainId", json!([])).await.unwrap();
        assert_eq!(answer.get(), "\"0x7\"");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = reqwest::Certificate::from_der(other.cert.der()).unwrap();
        let transport = HttpTransport::trusting(url, patience, &[other]).unwrap();
        let refused = transport.call("eth_chainId", json!([])).await.unwrap_err();
        assert_eq!(refused, CallError::Transport("cannot connect".to_owned()));
    }

    #[test]
    fn revert_bytes_are_found_where_different_nodes_put_them() {
        for data in [
            json!("0x1234"),
            json!({"data": "0x1234"}),
            json!({"originalError": {"data": "Reverted 0x1234"}}),
        ] {
            assert_eq!(revert_bytes(&data), Some(vec![0x12, 0x34]), "{data}");
        }
        assert_eq!(revert_bytes(&json!({"message": "no"})), None);
    }
}
