//! What the scenarios share: the cluster swept, data, a chain, an operator.

use std::sync::OnceLock;

use e2e::{cluster, data, devnet::Devnet, env, site::Site, sweep};
use kube::Client;

/// Namespaces that the shared operator serves, one or two a scenario.
const TENANTS: &[&str] = &[
    "whole",
    "poisoned",
    "bad-input",
    "base-model",
    "chain-input",
    "flock-sdk",
    "foreign",
    "gpu",
    "interrupted",
    "lagging",
    "lifecycle",
    "outlier",
    "own-network",
    "two-a",
    "two-b",
];
/// Where the shared operator runs.
const OPERATOR: &str = "fla-system";

/// Six honest clients.
pub(crate) const TINY: &str = "tiny";
/// Six clients; the labels of 3, 4 and 5 are permuted.
pub(crate) const HALF_POISONED: &str = "half-poisoned";

/// Ten clients; the labels of the last are permuted.
pub(crate) const ONE_POISONED: &str = "one-poisoned";

/// Four clients with rows of a table.
pub(crate) const TABLE: &str = "table";
pub(crate) const TABLE_CLIENTS: usize = 4;

/// Chain and operator.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) devnet: Devnet,
    pub(crate) site: Site,
}

static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();

/// The shared lab, made by whoever asks first, and a client of the caller's own runtime.
pub(crate) async fn lab() -> (&'static Lab, Client) {
    let made = tokio::task::spawn_blocking(|| LAB.get_or_init(make)).await.unwrap();
    let lab = made.as_ref().unwrap_or_else(|error| panic!("no lab: {error}"));
    (lab, cluster::client().await.unwrap())
}

fn make() -> Result<Lab, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.block_on(set_up()).map_err(|error| format!("{error:#}"))
}

async fn set_up() -> anyhow::Result<Lab> {
    data::make(TINY, 6, 400, 500, &[])?;
    data::make(HALF_POISONED, 6, 500, 500, &[3, 4, 5])?;
    data::make(ONE_POISONED, 10, 400, 500, &[9])?;
    data::deal_table(TABLE, TABLE_CLIENTS)?;
    let client = cluster::client().await?;
    sweep::sweep(&client).await?;
    for tenant in TENANTS {
        cluster::namespace(&client, tenant).await?;
    }
    let devnet = Devnet::install(&client).await?;
    for set in [TINY, HALF_POISONED, ONE_POISONED, TABLE] {
        devnet.depot.upload(&env::data_dir().join(set), set)?;
    }
    let site = Site::install(&client, &devnet, OPERATOR, TENANTS, true).await?;
    Ok(Lab { devnet, site })
}
