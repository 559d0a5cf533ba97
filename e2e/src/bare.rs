//! The operator's own Jobs once more without it: the same pod and the same input, with files in place of the gateway.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use crds::names::{LABEL_ROUND, LABEL_STEP};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PodSpec, Secret},
};
use kube::{Client, api::ListParams};
use protocol::{
    job::{Checkpoints, INPUT_FILE, JobInput, Step},
    types::Timestamp,
};
use serde_json::json;

use crate::{
    cluster,
    depot::Depot,
    manifests::list,
    task::Team,
    wait::{Look, until_every},
};

/// Claim of the folder that stands in for the gateway, and where the Job sees it.
const CLAIM: &str = "bare";
const MOUNT: &str = "/bare";
const PATIENCE: Duration = Duration::from_secs(600);

/// One Job of a settled round that can be run again and again.
#[derive(Debug)]
pub struct BareJob {
    pod: PodSpec,
    input: JobInput,
    step: Step,
}

impl BareJob {
    /// Takes pod and input of a Job that the operator ran for this round and step, whoever's it was.
    pub async fn of(team: &Team, round: u32, step: Step) -> Result<Self> {
        let wanted = format!("{LABEL_ROUND}={round},{LABEL_STEP}={}", step.as_str());
        let jobs = team.api::<Job>().list(&ListParams::default().labels(&wanted)).await?;
        let job = jobs.items.into_iter().next();
        let job = job.with_context(|| format!("no {} Job of round {round} is left", step.as_str()))?;
        let pod = job
            .spec
            .and_then(|spec| spec.template.spec)
            .context("a Job without a pod")?;
        let mut volumes = pod.volumes.iter().flatten();
        let secret = volumes.find_map(|volume| volume.secret.as_ref()?.secret_name.clone());
        let secret: Secret = team.api().get(&secret.context("the Job has no input")?).await?;
        let document = secret.data.and_then(|mut data| data.remove(INPUT_FILE));
        let input = serde_json::from_slice(&document.context("the Secret has no input document")?.0)?;
        Ok(Self { pod, input, step })
    }

    /// Puts what the Job reads beside the gateway's place, once.
    pub fn provide(&self, depot: &Depot, namespace: &str) -> Result<()> {
        depot.folder(CLAIM)?;
        cluster::apply(&list(depot.volume(namespace, CLAIM, CLAIM, "ReadWriteMany")))
    }

    /// Runs it once; from the creation of the Job until it is complete.
    pub async fn run(&self, client: &Client, depot: &Depot, namespace: &str, number: u32) -> Result<Duration> {
        let name = format!("bare-{}-{number}", self.step.as_str());
        let pod = self.lay_out(depot, namespace, &name, None)?;
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": namespace, "name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        });
        let started = Instant::now();
        cluster::apply(&job)?;
        let jobs: kube::Api<Job> = kube::Api::namespaced(client.clone(), namespace);
        until_every(Duration::from_millis(50), &format!("Job {name}"), PATIENCE, || async {
            let status = jobs.get(&name).await?.status.unwrap_or_default();
            if status.failed.unwrap_or(0) > 0 {
                bail!("Job {name} failed");
            }
            Ok(Look::when(status.succeeded == Some(1), started.elapsed(), status))
        })
        .await
    }

    /// Puts input and models where a pod finds them that is this pod but for the gateway; gives the pod.
    pub fn lay_out(
        &self,
        depot: &Depot,
        namespace: &str,
        name: &str,
        checkpoints: Option<Checkpoints>,
    ) -> Result<PodSpec> {
        let folder = format!("{CLAIM}/{name}");
        depot.folder(&folder)?;
        let identity = &self.input.identity;
        let contributions = identity.seats.iter().filter_map(|seat| seat.contribution);
        for hash in contributions.chain([identity.start_model]) {
            // The genesis model is in no store: everybody derives it.
            if let Some(bytes) = depot.stored(identity.chain_id, hash)? {
                depot.write(&format!("{folder}/{hash}"), &bytes)?;
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let input = JobInput {
            gateway: format!("file://{MOUNT}/{name}"),
            finish_by: Timestamp(now + PATIENCE.as_secs()),
            fetch_until: Timestamp(now + PATIENCE.as_secs()),
            checkpoints,
            base_directories: Vec::new(),
            base_verified: None,
            ..self.input.clone()
        };
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name},
            "stringData": {(INPUT_FILE): serde_json::to_string(&input)?},
        });
        cluster::apply(&secret)?;
        self.pod_with(name)
    }

    fn pod_with(&self, secret: &str) -> Result<PodSpec> {
        let mut pod = self.pod.clone();
        for volume in pod.volumes.iter_mut().flatten() {
            if let Some(source) = &mut volume.secret {
                source.secret_name = Some(secret.to_owned());
            }
        }
        let volume = serde_json::from_value(json!({"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}))?;
        pod.volumes.get_or_insert_default().push(volume);
        let mount = serde_json::from_value(json!({"name": CLAIM, "mountPath": MOUNT}))?;
        let container = pod.containers.first_mut().context("a pod without a container")?;
        container.volume_mounts.get_or_insert_default().push(mount);
        Ok(pod)
    }
}
