//! Removing what a run left in a cluster, and nothing else: the cluster may be somebody's own.

use anyhow::Result;
use crds::FLChain;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams},
};

use crate::{
    cluster,
    devnet::{CRDS, CRDS_NAMESPACE},
    helm,
    manifests::LABEL,
    shell::kubectl,
};

/// Removes the namespaces, chains and volumes of earlier runs. Nothing of it can end well any more, since its chain
/// goes, too: finalizers are taken off.
pub async fn sweep(client: &Client) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    let left = api.list(&ListParams::default().labels(LABEL)).await?.items;
    let left: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
    for namespace in &left {
        // The operator first, or it would put its finalizers back.
        kubectl(&["-n", namespace, "delete", "deployments", "--all"])?;
    }
    for namespace in &left {
        take_off_finalizers(namespace)?;
    }
    delete_chains(client, &left).await?;
    for namespace in &left {
        api.delete(namespace, &DeleteParams::background()).await?;
    }
    for namespace in &left {
        cluster::delete_namespace(client, namespace).await?;
    }
    kubectl(&["delete", "persistentvolumes", "-l", LABEL])?;
    Ok(())
}

/// The same, and the CRDs that runs installed: the cluster is as it was before the first.
pub async fn sweep_all(client: &Client) -> Result<()> {
    sweep(client).await?;
    let ours = kubectl(&["get", "secrets", "-n", CRDS_NAMESPACE, "-l", "owner=helm", "-o", "name"])?;
    if ours.contains(CRDS) {
        helm::uninstall(CRDS, CRDS_NAMESPACE)?;
        cluster::delete_namespace(client, CRDS_NAMESPACE).await?;
    }
    Ok(())
}

/// FLChains belong to no namespace: those of scenarios have the label, those of a site name the namespace of its release.
async fn delete_chains(client: &Client, namespaces: &[String]) -> Result<()> {
    let api: Api<FLChain> = Api::all(client.clone());
    let all = match api.list(&ListParams::default()).await {
        Ok(all) => all.items,
        // No CRDs, so no chains.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let ours = |chain: &FLChain| {
        let release = chain.annotations().get("meta.helm.sh/release-namespace");
        chain.labels().contains_key(LABEL) || release.is_some_and(|namespace| namespaces.contains(namespace))
    };
    for chain in all.iter().filter(|chain| ours(chain)) {
        api.delete(&chain.name_any(), &DeleteParams::default()).await?;
    }
    Ok(())
}

fn take_off_finalizers(namespace: &str) -> Result<()> {
    let name = r#"jsonpath={range .items[*]}{.kind}/{.metadata.name}{"\n"}{end}"#;
    let found = kubectl(&[
        "-n",
        namespace,
        "get",
        "fltasks,flclients",
        "--ignore-not-found",
        "-o",
        name,
    ]);
    for object in found.unwrap_or_default().lines() {
        let bare = r#"{"metadata":{"finalizers":null}}"#;
        kubectl(&["-n", namespace, "patch", object, "--type=merge", "-p", bare])?;
    }
    Ok(())
}
