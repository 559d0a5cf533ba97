//! The folder that stands for what sites share and for the data they have: a directory of one node of the cluster,
//! filled and read through a pod, so that any cluster will do whose user may mount it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};
use protocol::types::ModelHash;
use serde_json::{Value, json};

use crate::{
    cluster, env,
    manifests::LABEL,
    shell::tool,
    wait::{Look, until},
};

const NAMESPACE: &str = "fla-depot";
const POD: &str = "depot";
/// On the node.
const NODE_FOLDER: &str = "/var/lib/fl-alliance-e2e";
/// In the pod.
const FOLDER: &str = "/depot";
/// Below the folder: `<chain>/<task>/<participant>/<sha256>`, written by gateways, each as its own user.
pub const STORE: &str = "store";
const HOST_NAME: &str = "kubernetes.io/hostname";

/// The running pod.
#[derive(Debug, Clone)]
pub struct Depot {
    /// Label of the node that has the folder; every volume below it binds pods to that node.
    host: String,
}

impl Depot {
    /// Starts the pod on a node that takes pods, and empties the folder: a new chain gives old paths new meaning.
    pub async fn open(client: &Client) -> Result<Self> {
        cluster::privileged_namespace(client, NAMESPACE).await?;
        let (node, host) = schedulable(client).await?;
        cluster::apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": NAMESPACE, "name": POD},
            "spec": {
                "nodeName": node, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": POD, "image": env::image("depot"), "imagePullPolicy": env::pull_policy(),
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    "volumeMounts": [{"name": "folder", "mountPath": FOLDER}],
                }],
                "volumes": [{"name": "folder", "hostPath": {"path": NODE_FOLDER, "type": "DirectoryOrCreate"}}],
            },
        }))?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        until("the depot to run", Duration::from_secs(120), || async {
            let status = pods.get(POD).await?.status.unwrap_or_default();
            Ok(Look::when(status.phase.as_deref() == Some("Running"), (), status))
        })
        .await?;
        let depot = Self { host };
        depot.shell(&["find", FOLDER, "-mindepth", "1", "-delete"])?;
        depot.folder(STORE)?;
        Ok(depot)
    }

    /// Makes a folder that every pod may write to.
    pub fn folder(&self, name: &str) -> Result<()> {
        let path = below(name);
        self.shell(&["mkdir", "-p", &path])?;
        self.shell(&["chmod", "777", &path]).map(drop)
    }

    /// Copies a folder of this machine, readable by every pod, to where `volume` of the same name finds it.
    pub fn upload(&self, local: &Path, name: &str) -> Result<()> {
        self.folder(name)?;
        unpack(local, &below(name))
    }

    /// A file of this name and content, there at once or not at all; folders above it are made.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = below(name);
        let (folder, file) = path.rsplit_once('/').context("no folder")?;
        self.shell(&["mkdir", "-p", folder])?;
        let part = format!("{file}.part");
        let local = tempfile::tempdir()?;
        std::fs::write(local.path().join(&part), bytes)?;
        unpack(local.path(), folder)?;
        self.shell(&["mv", &format!("{folder}/{part}"), &path]).map(drop)
    }

    /// A model (or definition) of any task in the shared store, whoever holds it.
    pub fn stored(&self, chain: u64, hash: ModelHash) -> Result<Option<Vec<u8>>> {
        let name = hash.to_string();
        let root = below(&format!("{STORE}/{chain}"));
        let found = self.shell(&["find", &root, "-name", name.trim_start_matches("0x"), "-type", "f"]);
        let found = match found {
            Ok(found) => String::from_utf8(found)?,
            Err(error) if error.to_string().contains("No such file") => return Ok(None),
            Err(error) => return Err(error),
        };
        found.lines().next().map(|path| self.shell(&["cat", path])).transpose()
    }

    /// A folder below as a claim in a namespace.
    pub fn volume(&self, namespace: &str, claim: &str, folder: &str, mode: &str) -> Vec<Value> {
        let volume = format!("{namespace}-{claim}");
        let here = json!({"key": HOST_NAME, "operator": "In", "values": [self.host]});
        vec![
            json!({
                "apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": {"name": volume, "labels": {(LABEL): "true"}},
                "spec": {
                    "capacity": {"storage": "10Gi"}, "accessModes": [mode],
                    "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
                    "hostPath": {"path": format!("{NODE_FOLDER}/{folder}"), "type": "Directory"},
                    "claimRef": {"namespace": namespace, "name": claim},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"namespace": namespace, "name": claim},
                "spec": {
                    "accessModes": [mode], "storageClassName": "", "volumeName": volume,
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            }),
        ]
    }

    fn shell(&self, command: &[&str]) -> Result<Vec<u8>> {
        said(&exec(command).stdin(Stdio::null()).output()?)
    }
}

fn below(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

fn exec(command: &[&str]) -> Command {
    let mut kubectl = Command::new(tool("kubectl"));
    kubectl.args(["exec", "--stdin", "--namespace", NAMESPACE, POD, "--"]);
    kubectl.args(command).stdout(Stdio::piped()).stderr(Stdio::piped());
    kubectl
}

/// The content of a folder of this machine into one of the depot. By tar, and not by dd: that closes its standard output,
/// upon which the rest of its input never arrives.
fn unpack(local: &Path, folder: &str) -> Result<()> {
    let mut tar = Command::new("tar")
        .args(["--create", "--mode=a+rX", "--directory"])
        .arg(local)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let packed = tar.stdout.take().context("tar has no output")?;
    let unpacked = exec(&["tar", "--extract", "--no-overwrite-dir", "--directory", folder])
        .stdin(packed)
        .output()?;
    ensure!(tar.wait()?.success(), "tar could not read {}", local.display());
    said(&unpacked).map(drop)
}

fn said(output: &std::process::Output) -> Result<Vec<u8>> {
    if !output.status.success() {
        bail!("in the depot: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout.clone())
}

/// Name and host label of the first node that is ready and keeps no pods away.
async fn schedulable(client: &Client) -> Result<(String, String)> {
    let nodes: Api<Node> = Api::all(client.clone());
    let takes_pods = |node: &Node| {
        let spec = node.spec.clone().unwrap_or_default();
        let keeps_away = spec
            .taints
            .iter()
            .flatten()
            .any(|taint| taint.effect != "PreferNoSchedule");
        let conditions = node.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let ready = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
        ready && !keeps_away && spec.unschedulable != Some(true)
    };
    let all = nodes.list(&ListParams::default()).await?.items;
    let node = all.iter().find(|node| takes_pods(node));
    let node = node.with_context(|| format!("none of the cluster's {} nodes takes pods", all.len()))?;
    let host = node
        .labels()
        .get(HOST_NAME)
        .with_context(|| format!("node {} has no label {HOST_NAME}", node.name_any()))?;
    Ok((node.name_any(), host.clone()))
}
