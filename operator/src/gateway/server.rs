//! The gateway process: arguments, TLS, keys that change under way, and an orderly end.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use clap::Args;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    routes::router,
    state::{Gateway, GatewayConfig},
    token::{KeyRing, TokenKey},
};
use crate::clock::SystemClock;

/// A connection that has not sent its request's headers by then is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How often key and certificate files are looked at; Kubernetes renews mounted Secrets in place.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Arguments of `gateway`.
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// Address and port to listen on.
    #[arg(long, default_value = "0.0.0.0:8443", env = "FLA_GATEWAY_LISTEN")]
    pub listen: SocketAddr,
    /// The store that sites share: an existing directory (absolute path or file:///path). A directory serves one
    /// cluster only.
    #[arg(long, env = "FLA_GATEWAY_STORE")]
    pub store: String,
    /// Directory of this gateway alone, on its own volume: uploads under way, models not yet published, results.
    #[arg(long, env = "FLA_GATEWAY_STAGING")]
    pub staging: PathBuf,
    /// File with the token key (32 random bytes or more, used exactly as they are), shared with the controller.
    #[arg(long)]
    pub key_file: PathBuf,
    /// File with the token key used before, accepted too while a rotation lasts. May be missing.
    #[arg(long)]
    pub previous_key_file: Option<PathBuf>,
    /// Certificate chain (PEM), read again when it changes.
    #[arg(long, requires = "tls_key", conflicts_with = "plain_http")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, requires = "tls_cert", conflicts_with = "plain_http")]
    pub tls_key: Option<PathBuf>,
    /// Serve without TLS: tokens and models then travel in the clear. Must be asked for.
    #[arg(long)]
    pub plain_http: bool,
    /// Largest model accepted or served, in bytes, whatever a token says.
    #[arg(long, default_value_t = 1 << 30)]
    pub max_model_bytes: u64,
    /// Largest checkpoint of an interrupted training, in bytes, whatever a token says. Each running training that keeps
    /// checkpoints here may need this much room on the staging volume twice.
    #[arg(long, default_value_t = 8 << 30)]
    pub max_checkpoint_bytes: u64,
    /// Uploads received at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_uploads: u16,
    /// Seconds an upload may send nothing before it is cut.
    #[arg(long, default_value_t = 60)]
    pub idle_seconds: u64,
    /// Seconds that requests under way have to end after SIGTERM.
    #[arg(long, default_value_t = 20)]
    pub grace_seconds: u64,
}

impl GatewayArgs {
    fn keys(&self) -> anyhow::Result<KeyRing> {
        let current = TokenKey::from_file(&self.key_file)?;
        let previous = self.previous_key_file.as_deref().filter(|path| path.exists());
        let previous = previous.map(TokenKey::from_file).transpose()?;
        Ok(KeyRing::new(current, previous))
    }

    fn tls(&self) -> anyhow::Result<Option<Arc<ServerConfig>>> {
        match (&self.tls_cert, &self.tls_key, self.plain_http) {
            (Some(cert), Some(key), false) => Ok(Some(tls_config(cert, key)?)),
            (None, None, true) => Ok(None),
            _ => bail!("give --tls-cert and --tls-key, or ask for --plain-http"),
        }
    }
}

fn tls_config(cert: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading the certificate {}", cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("reading the TLS key {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the TLS key do not belong together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves until SIGTERM or SIGINT; then lets requests under way end.
pub async fn run(args: GatewayArgs) -> anyhow::Result<()> {
    let keys = args.keys()?;
    let tls = args.tls()?.map(RustlsConfig::from_config);
    let config = GatewayConfig {
        store: args.store.clone(),
        staging: args.staging.clone(),
        max_model_bytes: args.max_model_bytes,
        max_checkpoint_bytes: args.max_checkpoint_bytes,
        max_uploads: usize::from(args.max_uploads),
        idle_timeout: Duration::from_secs(args.idle_seconds.max(1)),
        staging_patience: Duration::from_secs(60),
    };
    let gateway = Gateway::open(config, keys, Arc::new(SystemClock)).await?;
    if tls.is_none() {
        tracing::warn!("serving plain HTTP: tokens and models travel in the clear");
    }
    let listener = TcpListener::bind(args.listen).with_context(|| format!("listening on {}", args.listen))?;
    tracing::info!(listen = %args.listen, store = %args.store, tls = tls.is_some(), "gateway serves");

    let handle = Handle::new();
    let ended = tokio::spawn(end_on_signal(handle.clone(), Duration::from_secs(args.grace_seconds)));
    let reloading = tokio::spawn(reload(args, Arc::clone(&gateway), tls.clone()));
    let served = serve(listener, gateway, tls, handle).await;
    reloading.abort();
    ended.abort();
    served.context("serving")
}

/// Serves one gateway on a listening socket until `handle` ends it.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let service = router(gateway).into_make_service();
    match tls {
        Some(config) => {
            let mut server = axum_server::from_tcp_rustls(listener, config)?.handle(handle);
            server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
            server
                .http1_only()
                .first_request_timeout(HEADER_TIMEOUT)
                .serve(service)
                .await
        }
        None => {
            let mut server = axum_server::from_tcp(listener)?.handle(handle);
            server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
            server
                .http1_only()
                .first_request_timeout(HEADER_TIMEOUT)
                .serve(service)
                .await
        }
    }
}

async fn end_on_signal(handle: Handle<SocketAddr>, grace: Duration) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be caught; the gateway will end without waiting for its requests");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!(
        connections = handle.connection_count(),
        "ending: no new connections, requests under way go on"
    );
    handle.graceful_shutdown(Some(grace));
}

/// Takes over new keys and certificates. What cannot be read leaves the old ones in force, and is said.
async fn reload(args: GatewayArgs, gateway: Arc<Gateway>, tls: Option<RustlsConfig>) {
    loop {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        gateway.sweep_checkpoints().await;
        match args.keys() {
            Ok(keys) => gateway.set_keys(keys).await,
            Err(error) => tracing::error!(%error, "the token keys cannot be read again; the old ones stay"),
        }
        if let Some(current) = &tls {
            match args.tls() {
                Ok(Some(config)) => current.reload_from_config(config),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the certificate cannot be read again; the old one stays"),
            }
        }
    }
}
