//! The cluster that `e2e/cluster/up` brought up, or the user's.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    manifests::LABEL,
    shell::{kubectl, tool},
    wait::{Look, until},
};

/// The test's own field manager.
const MANAGER: &str = "fl-alliance-e2e";

/// A client for the context that `KUBECONFIG` names.
pub async fn client() -> Result<Client> {
    // ring, because nothing else is linked; a second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_default()
        .await
        .context("no cluster: run `make cluster`, then eval \"$(e2e/cluster/env)\"")
}

/// `kubectl apply --server-side` of one JSON document; a list of objects is `{"kind": "List", ...}`.
///
/// # Errors
/// With what the API server said, for instance why it refuses a manifest.
pub fn apply(manifest: &Value) -> Result<()> {
    let mut child = Command::new(tool("kubectl"))
        .args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            MANAGER,
            "-f",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start kubectl")?;
    child
        .stdin
        .take()
        .context("kubectl has no input")?
        .write_all(manifest.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Makes a namespace that enforces Pod Security *restricted*.
pub async fn namespace(client: &Client, name: &str) -> Result<()> {
    make_namespace(client, name, "restricted").await
}

/// Makes a namespace whose pods may do anything, for the depot.
pub async fn privileged_namespace(client: &Client, name: &str) -> Result<()> {
    make_namespace(client, name, "privileged").await
}

async fn make_namespace(client: &Client, name: &str, pod_security: &str) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": pod_security, (LABEL): "true"}},
    });
    api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object))
        .await?;
    Ok(())
}

/// Kills pods as `kubectl delete --force` does: processes hear of it two seconds before they end.
pub fn kill_pods(namespace: &str, labels: &str) -> Result<()> {
    let now = ["--grace-period=0", "--force"];
    kubectl(&[&["-n", namespace, "delete", "pods", "-l", labels], &now[..]].concat()).map(drop)
}

/// Deletes a namespace and waits until it is gone.
pub async fn delete_namespace(client: &Client, name: &str) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    if api.get_opt(name).await?.is_none() {
        return Ok(());
    }
    api.delete(name, &DeleteParams::background()).await?;
    until(
        &format!("namespace {name} to be gone"),
        Duration::from_secs(180),
        || async {
            let left = api.get_opt(name).await?;
            Ok(Look::when(left.is_none(), (), left.and_then(|n| n.status)))
        },
    )
    .await
}
