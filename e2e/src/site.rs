//! One operator installation: the chart in a namespace, with the store that all sites share and a staging of its own.

use anyhow::Result;
use kube::Client;
use serde_json::{Value, json};

use crate::{cluster, depot::STORE, devnet::Devnet, env, helm, key::TestKey, manifests::list};

/// Name of the FLChain that scenarios use.
pub const CHAIN: &str = "devnet";
/// Key and name of the Secret with the RPC URL.
const RPC_SECRET: &str = "devnet-rpc";
/// Helm release of every site.
pub const RELEASE: &str = "fl-alliance";
/// Blocks on top until something counts as settled.
pub const CONFIRMATIONS: u32 = 2;

/// An installed operator.
#[derive(Debug, Clone)]
pub struct Site {
    pub namespace: String,
    /// What a hosted endpoint's URL carries; our node takes no notice of it.
    pub api_key: String,
}

impl Site {
    /// Installs the operator for `tenants`, which must exist. The first site of a cluster makes the FLChain.
    pub async fn install(
        client: &Client,
        devnet: &Devnet,
        namespace: &str,
        tenants: &[&str],
        makes_chain: bool,
    ) -> Result<Self> {
        cluster::namespace(client, namespace).await?;
        let staging = format!("staging-{namespace}");
        devnet.depot.folder(&staging)?;
        let api_key = TestKey::random().hex();
        let mut objects = devnet.depot.volume(namespace, "store", STORE, "ReadWriteMany");
        objects.extend(devnet.depot.volume(namespace, "staging", &staging, "ReadWriteOnce"));
        objects.push(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": namespace, "name": RPC_SECRET},
            "stringData": {"urls": format!("{}/?apikey={api_key}", devnet.cluster_url())},
        }));
        cluster::apply(&list(objects))?;
        let values = json!({
            "image": {"repository": env::image_repository("operator"), "tag": "dev", "pullPolicy": env::pull_policy()},
            "tenantNamespaces": tenants,
            "controller": {
                "logLevel": "info,kube=warn,operator=debug",
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            },
            "gateway": {
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                "store": {"existingClaim": "store"},
                "staging": {"existingClaim": "staging"},
            },
            "chain": if makes_chain { chain(devnet) } else { json!({"create": false}) },
        });
        let here = namespace.to_owned();
        tokio::task::spawn_blocking(move || helm::install(RELEASE, "fl-alliance", &here, &values)).await??;
        Ok(Self {
            namespace: namespace.to_owned(),
            api_key,
        })
    }
}

fn chain(devnet: &Devnet) -> Value {
    let d = &devnet.deployment;
    json!({
        "create": true,
        "name": CHAIN,
        "chainId": d.chain_id,
        "genesisHash": d.genesis_hash.to_string(),
        "rpc": {"existingSecret": RPC_SECRET},
        "confirmations": {"depth": CONFIRMATIONS},
        "blockTimeSeconds": 1,
        "trustedManagers": [{
            "address": d.manager.address.to_string(),
            "codeHash": d.manager.code_hash.to_string(),
            "taskCodeHash": d.implementation.code_hash.to_string(),
        }],
    })
}
