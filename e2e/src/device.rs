//! A device that a node offers, as a device plugin's would look to the scheduler: an extended resource.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

/// The extended resource of the tests. Not `nvidia.com/gpu`: a cluster of the user's may have real ones.
pub const DEVICE: &str = "e2e.fl-alliance.io/gpu";

/// Offers `count` devices on one node that takes pods, and takes them away from all others. Returns the node's name.
///
/// # Errors
/// If every node is tainted, or node status cannot be patched.
pub async fn offer(client: &Client, count: u32) -> Result<String> {
    let nodes: Api<Node> = Api::all(client.clone());
    let all = nodes.list(&ListParams::default()).await?.items;
    let takes_pods = |node: &Node| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
        taints
            .unwrap_or_default()
            .iter()
            .all(|t| t.effect == "PreferNoSchedule")
    };
    let chosen = all.iter().find(|node| takes_pods(node)).context("no node takes pods")?;
    let chosen = chosen.metadata.name.clone().context("a node has no name")?;
    for node in &all {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let value = (name == chosen && count > 0).then(|| count.to_string());
        // The kubelet keeps what it does not know, but copies it to `allocatable` only now and then.
        let amounts = json!({ (DEVICE): value });
        let patch = json!({"status": {"capacity": amounts, "allocatable": amounts}});
        nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
    }
    Ok(chosen)
}
