//! FLChain: keep one connection per chain, verify its identity and managers, say how it fares.

mod endpoints;
mod error;
mod registry;
mod status;

use std::{sync::Arc, time::Duration};

use crds::{FLChain, flchain::ManagerStatus};
use kube::ResourceExt;
use protocol::types::Address;

pub use error::ChainSetupError;
pub use registry::{ChainConfig, ChainWake, OpenChain, OpenedChain, Registry};

use self::status::Seen;
use super::context::{ChainAccess, Context, TrustedManager};
use crate::{chain::ChainError, cluster::ClusterError};

/// How often health is looked at; heads wake tasks, not this.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often while the chain cannot be used.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Reads the endpoints, opens or keeps the connection, looks at its health and managers, records.
///
/// # Errors
/// Only those of the API server.
pub async fn reconcile(name: &str, registry: &Registry, ctx: &Context) -> Result<Option<Duration>, ClusterError> {
    let Some(chain) = ctx.cluster.chain(name).await? else {
        registry.close(name);
        return Ok(None);
    };
    let seen = look(&chain, registry, ctx).await;
    if let Err(ChainSetupError::Cluster(error)) = seen {
        return Err(error);
    }
    if seen.is_err() {
        registry.close(name);
    }
    let usable = seen.as_ref().is_ok_and(|seen| seen.health.usable());
    let status = status::of(&chain, &seen, ctx.clock.now());
    if reports(&chain, ctx) && chain.status.as_ref() != Some(&status) {
        ctx.cluster.apply_chain_status(name, &status).await?;
    }
    Ok(Some(if usable { LOOK_EVERY } else { LOOK_AGAIN }))
}

/// Of several operators in a cluster one reports: the others may have no Secret for a chain that they do not use.
fn reports(chain: &FLChain, ctx: &Context) -> bool {
    let reporter = chain.spec.operator_namespace.as_ref();
    reporter.is_none_or(|namespace| *namespace == ctx.settings.namespace)
}

async fn look(chain: &FLChain, registry: &Registry, ctx: &Context) -> Result<Seen, ChainSetupError> {
    let urls = endpoints::read(chain, ctx.cluster.as_ref(), &ctx.settings).await?;
    let endpoints = u32::try_from(urls.len()).unwrap_or(u32::MAX);
    let opened = registry.open(config(chain, urls)).map_err(ChainSetupError::Open)?;
    let health = opened.chain().health().borrow().clone();
    let managers = if health.usable() {
        managers(&opened).await
    } else {
        Vec::new()
    };
    Ok(Seen {
        health,
        endpoint: opened.chain().endpoint(),
        endpoints,
        managers,
    })
}

fn config(chain: &FLChain, urls: Vec<url::Url>) -> ChainConfig {
    let spec = &chain.spec;
    ChainConfig {
        name: chain.name_any(),
        chain_id: spec.chain_id,
        genesis_hash: spec.genesis_hash,
        urls,
        confirmations: spec.confirmations.rule(),
        max_fee_per_gas: spec.max_fee_per_gas_gwei.as_deref().and_then(gwei),
        block_time_seconds: spec.block_time_seconds,
        trusted_managers: spec
            .trusted_managers
            .iter()
            .map(|manager| TrustedManager {
                address: manager.address,
                code_hash: Some(manager.code_hash),
                implementation_code_hash: Some(manager.task_code_hash),
            })
            .collect(),
    }
}

/// Decimal gwei to wei; the schema allows at most nine decimals.
fn gwei(text: &str) -> Option<u128> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{decimals:0<9}").parse().ok()
}

/// An unreadable manager counts as not verified: trust needs evidence.
async fn managers(opened: &Arc<OpenedChain>) -> Vec<ManagerStatus> {
    let mut found = Vec::new();
    for manager in opened.trusted_managers() {
        let registration: Result<_, ChainError> = opened.reader().registration(manager.address, Address::ZERO).await;
        found.push(match registration {
            Ok(registration) => ManagerStatus {
                address: manager.address,
                verified: registration.manager_code_hash == manager.code_hash
                    && registration.implementation_code_hash == manager.implementation_code_hash,
                token: Some(registration.token).filter(|t| !t.is_zero()),
                implementation: Some(registration.implementation).filter(|i| !i.is_zero()),
            },
            Err(_) => ManagerStatus {
                address: manager.address,
                verified: false,
                token: None,
                implementation: None,
            },
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::gwei;

    #[test]
    fn gwei_become_wei_exactly() {
        assert_eq!(gwei("2"), Some(2_000_000_000));
        assert_eq!(gwei("0.000000001"), Some(1));
        assert_eq!(gwei("1.5"), Some(1_500_000_000));
        assert_eq!(gwei("x"), None);
    }
}
