//! Taking a pod away from those who did not ask for it, and seeing how it takes its leave.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, LogParams, WatchEvent, WatchParams},
};

use crate::wait::{Look, until_every};

/// How a pod is asked to go. Either way its processes get SIGTERM and then have the grace period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As a node that is drained does; the pod is marked as disrupted.
    Evicted,
    /// As a person does, or whoever makes room for a pod of higher priority.
    Deleted,
}

/// A pod that is gone.
#[derive(Debug)]
pub struct Gone {
    /// As the API server last had it.
    pub pod: Pod,
    /// How its first container ended.
    pub end: ContainerStateTerminated,
    /// From the request until the API server had it no more.
    pub after: Duration,
}

impl Gone {
    /// What it was given.
    pub fn grace(&self) -> Duration {
        let spec = self.pod.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.termination_grace_period_seconds);
        Duration::from_secs(seconds.and_then(|s| s.try_into().ok()).unwrap_or(30))
    }

    /// Whether it was marked as disrupted.
    pub fn disrupted(&self) -> bool {
        let conditions = self
            .pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        conditions
            .filter(|c| c.type_ == "DisruptionTarget")
            .any(|c| c.status == "True")
    }
}

/// Waits until a container of a pod with these labels that none of `before` is has written a line that begins so. Gives
/// the pod's name and the rest of the line.
///
/// # Errors
/// If that takes longer than `limit`.
pub async fn pod_says(
    pods: &Api<Pod>,
    labels: &str,
    before: &[String],
    beginning: &str,
    limit: Duration,
) -> Result<(String, String)> {
    let what = format!("a line that begins with {beginning:?}, in the log of a pod with {labels} after {before:?}");
    until_every(Duration::from_millis(200), &what, limit, || async {
        let all = pods.list(&ListParams::default().labels(labels)).await?.items;
        let new = all
            .iter()
            .map(ResourceExt::name_any)
            .find(|name| !before.contains(name));
        let Some(name) = new else {
            return Ok(Look::Not("no pod".to_owned()));
        };
        let log = pods.logs(&name, &LogParams::default()).await?;
        let found = log.lines().find_map(|line| line.strip_prefix(beginning));
        Ok(match found {
            Some(rest) => Look::Done((name, rest.to_owned())),
            None => Look::Not(log.lines().last().unwrap_or_default().to_owned()),
        })
    })
    .await
}

/// Takes a running pod away and waits until it is gone.
///
/// # Errors
/// If it is there for longer than `limit`, or went without its first container's end being known.
pub async fn take_away(pods: &Api<Pod>, name: &str, way: Way, limit: Duration) -> Result<Gone> {
    let version = pods.get(name).await?.resource_version().context("no version")?;
    // Before the request: its last state is seen by whoever watches, and by nobody afterwards.
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = pods.watch(&params, &version).await?.boxed();
    let started = Instant::now();
    match way {
        Way::Evicted => {
            let done = pods.evict(name, &EvictParams::default()).await?;
            ensure!(!done.is_failure(), "{done:?}");
        }
        Way::Deleted => drop(pods.delete(name, &DeleteParams::default()).await?),
    }
    let gone = async {
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Deleted(pod) => return Ok(pod),
                WatchEvent::Error(error) => anyhow::bail!("{error:?}"),
                _ => {}
            }
        }
        anyhow::bail!("the watch of pod {name} ended")
    };
    let pod = tokio::time::timeout(limit, gone)
        .await
        .with_context(|| format!("pod {name} is still there after {} s", limit.as_secs()))??;
    let after = started.elapsed();
    let end = ended(&pod).with_context(|| format!("how pod {name} ended is not known: {:?}", pod.status))?;
    Ok(Gone { pod, end, after })
}

/// How the first container of a pod ended.
pub fn ended(pod: &Pod) -> Option<ContainerStateTerminated> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    container.state.as_ref()?.terminated.clone()
}
