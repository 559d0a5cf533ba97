//! Wiring: watches, wakes and the reconciles behind them, under a Lease, with health and metrics beside.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use kube::Client;
use tokio::sync::{mpsc, watch};

use super::{
    chain::Registry,
    context::{Context, Settings},
    keys::{self, KeyRing},
    metrics::Metrics,
    open::Opener,
    problems::Problems,
    serve::{self, Readiness},
    watch::{Watches, run_watches},
};
use crate::{
    chain::{ChainMetrics, remote::KeyService},
    clock::{Clock, SystemClock},
    cluster::KubeCluster,
    gateway::{GatewayClient, TokenKey},
    lease::{LeaseKeeper, LeaseMetrics},
    randomness::SystemRandomness,
};

/// Flags of `fl-alliance-operator controller`. The chart sets them all.
#[derive(Debug, Clone, Args)]
pub struct ControllerArgs {
    /// Namespace of the operator: vote ledger, ledger seed, RPC Secrets and the Lease live here.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Namespaces whose tasks and clients are served, comma-separated. Default: the operator's own.
    #[arg(long, env = "TENANT_NAMESPACES", value_delimiter = ',')]
    pub tenant_namespaces: Vec<String>,

    /// Serve every namespace. Needs the chart's clusterWide RBAC.
    #[arg(long, conflicts_with = "tenant_namespaces")]
    pub cluster_wide: bool,

    /// Base URL of the gateway as this pod and trainer pods reach it.
    #[arg(long, env = "GATEWAY_URL")]
    pub gateway_url: String,

    /// PEM file with the CA of the gateway's certificate; handed to trainer pods. Needed for https.
    #[arg(long)]
    pub gateway_ca_file: Option<PathBuf>,

    /// File with the key that signs gateway tokens; the gateway has the same.
    #[arg(long, env = "TOKEN_KEY_FILE")]
    pub token_key_file: PathBuf,

    /// Names of the stores the gateway serves (`spec.storeRef.name` of an FLTask), comma-separated.
    #[arg(long, value_delimiter = ',', default_value = "default")]
    pub stores: Vec<String>,

    /// KMS keys and the namespaces that may sign with them, as JSON: [{"namespace": .., "keyId": .., "region"?: ..,
    /// "endpoint"?: ..}]. Requests are signed by this process's own cloud identity.
    #[arg(long, env = "KMS_KEYS", default_value = "[]")]
    pub kms_keys: String,

    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Name of this replica in the Lease and in Events.
    #[arg(long, env = "POD_NAME", default_value = "fl-alliance-operator")]
    pub identity: String,

    /// Name of the Lease in the operator's namespace.
    #[arg(long, default_value = "fl-alliance-operator")]
    pub lease: String,
}

impl ControllerArgs {
    fn settings(&self, gateway_ca: Option<String>) -> Settings {
        let tenants = self
            .tenant_namespaces
            .iter()
            .map(|n| n.trim().to_owned())
            .filter(|n| !n.is_empty());
        let mut tenant_namespaces: Vec<String> = tenants.collect();
        tenant_namespaces.sort();
        tenant_namespaces.dedup();
        if tenant_namespaces.is_empty() && !self.cluster_wide {
            tenant_namespaces.push(self.namespace.clone());
        }
        Settings {
            namespace: self.namespace.clone(),
            tenant_namespaces,
            gateway_url: self.gateway_url.clone(),
            gateway_ca,
            stores: self.stores.clone(),
        }
    }
}

/// Runs until SIGTERM, SIGINT, or the Lease is lost.
pub async fn run(args: ControllerArgs) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new().context("cannot register metrics")?);
    let gateway_ca = match &args.gateway_ca_file {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?),
        None => None,
    };
    let key = TokenKey::from_file(&args.token_key_file)
        .with_context(|| format!("cannot use the token key in {}", args.token_key_file.display()))?;
    let store = GatewayClient::new(&args.gateway_url, gateway_ca.as_deref(), key, clock.clone())?;
    let settings = Arc::new(args.settings(gateway_ca));
    let keys = key_ring(&args.kms_keys, clock.clone())?;
    let client = Client::try_default().await.context("cannot find the API server")?;

    let readiness = Readiness::default();
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(serve::serve(
        args.listen,
        metrics.registry.clone(),
        readiness.clone(),
        stopping.clone(),
    ));

    let lease = LeaseKeeper::new(
        client.clone(),
        &args.namespace,
        &args.lease,
        &args.identity,
        clock.clone(),
        LeaseMetrics::new(&metrics.registry).context("cannot register metrics")?,
    );
    // A replica that waits for the Lease is healthy and ready: it is doing what it is there for.
    readiness.set("waiting for the lease", true);
    let mut terminated = std::pin::pin!(terminated());
    tokio::select! {
        () = lease.acquire() => {}
        signal = &mut terminated => return signal,
    }

    let (wakes, woken) = mpsc::unbounded_channel();
    let chain_metrics = ChainMetrics::new(&metrics.registry).context("cannot register metrics")?;
    let opener = Opener::new(clock.clone(), lease.fence(), chain_metrics);
    let registry = Arc::new(Registry::new(Box::new(opener), wakes));
    let watches = Watches::new(&settings);
    let problems = Problems::new(watches.chains(), watches.scopes()).context("cannot register metrics")?;
    metrics
        .registry
        .register(Box::new(problems))
        .context("cannot register metrics")?;
    let cluster = KubeCluster::new(
        client.clone(),
        watches.chains(),
        watches.scopes(),
        Some(args.identity.clone()),
    );
    let ctx = Context {
        cluster: Arc::new(cluster),
        chains: registry.clone(),
        store: Arc::new(store),
        keys: Arc::new(keys),
        clock,
        randomness: Arc::new(SystemRandomness),
        settings,
        metrics,
    };
    let mut controllers = tokio::spawn(run_watches(watches, client, ctx, registry, woken, readiness, stopping));

    let outcome: anyhow::Result<()> = tokio::select! {
        lost = lease.keep() => Err(lost.into()),
        signal = &mut terminated => signal,
        ended = &mut controllers => match ended {
            Ok(Ok(())) => bail!("the controllers ended by themselves"),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.into()),
        },
    };
    // If the lease was lost, another replica may lead by now: nothing must be finished here.
    outcome?;
    let _ = stop.send(true);
    // Reconciles in flight may hold a transaction; they get the rest of the grace period.
    let _ = tokio::time::timeout(Duration::from_secs(20), controllers).await;
    lease.release().await;
    let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    Ok(())
}

fn key_ring(grants: &str, clock: Arc<dyn Clock>) -> anyhow::Result<KeyRing> {
    let grants = keys::parse_grants(grants)
        .map_err(anyhow::Error::msg)
        .context("--kms-keys")?;
    #[cfg(feature = "aws-kms")]
    let service: Option<Arc<dyn KeyService>> = Some(Arc::new(crate::chain::kms::AwsKms::default()));
    #[cfg(not(feature = "aws-kms"))]
    let service: Option<Arc<dyn KeyService>> = None;
    if service.is_none() && !grants.is_empty() {
        // The objects that name such a key say so themselves; everything else works.
        tracing::error!("KMS keys are granted, but this build has no KMS (feature aws-kms)");
    }
    Ok(KeyRing::new(clock, service, grants))
}

async fn terminated() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
