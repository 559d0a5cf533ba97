//! The machine under the test cluster, for what no API can break: processes, services, network and disks of a kind node.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::run;

/// The one node of the cluster that `e2e/cluster/up` made.
#[derive(Debug, Clone)]
pub struct Node {
    container: String,
}

impl Node {
    /// # Errors
    /// On a cluster of the user's own: its machines are not ours to break.
    pub fn of_kind() -> Result<Self> {
        let container = std::env::var("FLA_NODE").context(
            "chaos needs the kind cluster of e2e/cluster/up: FLA_NODE is not set (eval \"$(e2e/cluster/env)\")",
        )?;
        Ok(Self { container })
    }

    /// Runs a script on the node; its first failing line fails it.
    pub fn sh(&self, script: &str) -> Result<String> {
        run(Command::new("docker").args(["exec", &self.container, "bash", "-euo", "pipefail", "-c", script]))
    }

    /// Process id, as the node sees it, of the first process of a running container of that name in a namespace.
    pub fn process_of(&self, namespace: &str, container: &str) -> Result<u32> {
        self.process(namespace, container, "")
    }

    /// The same for one pod of several.
    pub fn process_of_pod(&self, namespace: &str, pod: &str, container: &str) -> Result<u32> {
        self.process(
            namespace,
            container,
            &format!(r#",labels."io.kubernetes.pod.name"=={pod}"#),
        )
    }

    fn process(&self, namespace: &str, container: &str, more: &str) -> Result<u32> {
        let filter = format!(
            r#"labels."io.kubernetes.pod.namespace"=={namespace},labels."io.kubernetes.container.name"=={container}{more}"#
        );
        let all = self.sh(&format!("ctr --namespace k8s.io containers list --quiet '{filter}'"))?;
        let tasks = self.sh("ctr --namespace k8s.io tasks list")?;
        let running = tasks
            .lines()
            .find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [id, pid, "RUNNING"] if all.lines().any(|known| known == id) => pid.parse().ok(),
                _ => None,
            });
        running.with_context(|| format!("no container {container} runs in {namespace}"))
    }
}
