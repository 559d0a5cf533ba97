//! One FLClient per (chain, task, participant): the oldest wins, the others wait and say so.

use std::sync::Arc;

use crds::{FLClient, FLTask};
use kube::ResourceExt;
use protocol::types::Address;

use crate::{
    cluster::{Cluster, ClusterError, Key},
    controller::keys::{KeyError, KeyRing},
};

/// What two clients must not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub(crate) chain: &'a str,
    pub(crate) contract: Address,
    pub(crate) participant: Address,
}

/// The older client that acts for the same participant already, if there is one.
pub(crate) async fn older_twin(
    cluster: &dyn Cluster,
    keys: &KeyRing,
    client: &FLClient,
    identity: &Identity<'_>,
) -> Result<Option<Key>, ClusterError> {
    for other in cluster.clients().await? {
        let key = key_of(&other);
        if key == key_of(client) || !is_older(&other, client) {
            continue;
        }
        let Some(task) = cluster
            .task(&Key::new(&key.namespace, &other.spec.task_ref.name))
            .await?
        else {
            continue;
        };
        if !same_task(&task, identity) {
            continue;
        }
        if participant(cluster, keys, &other).await? == Some(identity.participant) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn same_task(task: &Arc<FLTask>, identity: &Identity<'_>) -> bool {
    let contract = task.spec.contract.or_else(|| task.status.as_ref()?.contract);
    task.spec.chain_ref.name == identity.chain && contract == Some(identity.contract)
}

/// The other's address: from its status, or from its key while it has none yet. No key, no twin: it cannot act.
async fn participant(cluster: &dyn Cluster, keys: &KeyRing, other: &FLClient) -> Result<Option<Address>, ClusterError> {
    if let Some(address) = other.status.as_ref().and_then(|status| status.address) {
        return Ok(Some(address));
    }
    let namespace = other.namespace().unwrap_or_default();
    match keys.load(cluster, &namespace, &other.spec.signer).await {
        Ok(key) => Ok(Some(key.address())),
        Err(KeyError::Cluster(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// By creation, then by name: creation times are whole seconds.
fn is_older(other: &FLClient, client: &FLClient) -> bool {
    let age = |c: &FLClient| (c.creation_timestamp().map(|t| t.0), c.namespace(), c.name_any());
    age(other) < age(client)
}

fn key_of(client: &FLClient) -> Key {
    Key::new(client.namespace().unwrap_or_default(), client.name_any())
}
