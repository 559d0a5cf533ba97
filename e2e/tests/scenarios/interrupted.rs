//! A training that is taken away in its middle. The Job's next pod has a scratch volume of its own, so it goes on from what
//! the gateway has; a container that is started again in its pod goes on from the scratch volume. The model in the end is
//! bit for bit that of the same training undisturbed.

use std::time::Duration;

use e2e::{
    bare::BareJob,
    cluster, env,
    interruption::{Gone, Way, ended, pod_says, take_away},
    manifests::{TaskShape, Windows, list},
    task::Team,
    wait::{Look, until},
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodSpec},
};
use kube::{Api, ResourceExt, api::ListParams};
use protocol::{
    job::{Checkpoints, JobResult, Step, StepResult, TrainResult},
    types::Outcome,
};
use serde_json::{Value, json};

use crate::{
    lab::{Lab, TINY, lab},
    table,
};

const NAME: &str = "interrupted";
const CLIENTS: u16 = 2;
/// Half a minute or so of one core: long enough to be interrupted twice, with a checkpoint handed in on time between.
const EPOCHS: u32 = 2500;
/// As often as the API allows.
const EVERY_SECONDS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(600);
/// Of the Job's pods.
const TRAINING: &str = "fl-alliance.io/step=train";
const STOPPED: i32 = 143;

/// Waits for the first checkpoint of the container beside it, and tells that to stop; once.
const HAND: &str = r#"
import glob, os, signal, time
while not glob.glob("/scratch/fl-alliance-checkpoint-" + "[0-9a-f]" * 16):
    time.sleep(0.05)
for process in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{process}/comm") as name:
        if name.read().startswith("fl-alliance-tra"):
            os.kill(int(process), signal.SIGTERM)
signal.pause()
"#;

fn shape() -> TaskShape {
    TaskShape {
        windows: Windows {
            join: 120,
            propose: 600,
            commit: 120,
            reveal: 60,
        },
        epochs: EPOCHS,
        learning_rate: "0.01",
        hidden: 256,
        ..TaskShape::tiny(1, CLIENTS)
    }
}

/// With checkpoints at the gateway, three models large.
fn client(team: &Team, number: usize) -> Value {
    let mut client = team.client_manifest(&team.members[number]);
    client["spec"]["trainer"]["checkpoints"] = json!({"everySeconds": EVERY_SECONDS, "gatewaySize": "16Mi"});
    client
}

#[tokio::test]
async fn a_training_whose_pod_is_taken_away_goes_on_in_the_next_to_the_model_of_an_undisturbed_one() {
    let (lab, kube) = lab().await;
    let team = Team::new(&kube, NAME, "digits", TINY, CLIENTS.into(), shape());
    team.fund(&lab.devnet).await.unwrap();
    let mut task = team.task_manifest(&lab.devnet);
    // Many small steps, each too small to be worth a second thread, so that nothing depends on the node's cores.
    task["spec"]["definition"]["training"]["batchSize"] = json!(16);
    let mut objects = team.ground(&lab.devnet);
    objects.push(task);
    objects.extend((0..CLIENTS.into()).map(|number| client(&team, number)));
    cluster::apply(&list(objects)).unwrap();
    let contract = team.contract().await.unwrap();

    // Evicted as soon as it trains; what it leaves, it makes because it is told to stop.
    let pods: Api<Pod> = team.api();
    let (first, _) = pod_says(&pods, TRAINING, &[], "train: first step done", PATIENCE)
        .await
        .unwrap();
    let evicted = take_away(&pods, &first, Way::Evicted, PATIENCE).await.unwrap();
    assert!(evicted.disrupted(), "{:?}", evicted.pod.status);
    let left_by_first = answered_in_time(&evicted);

    // The next goes on from there; deleted once the gateway has a later checkpoint of it.
    let before = [first];
    let goes_on = "train: goes on after step ";
    let (second, from) = pod_says(&pods, TRAINING, &before, goes_on, PATIENCE).await.unwrap();
    assert_eq!(from.parse::<u64>().unwrap(), left_by_first);
    let has = "checkpoint: the gateway has step ";
    let (_, kept) = pod_says(&pods, TRAINING, &before, has, PATIENCE).await.unwrap();
    assert!(kept.parse::<u64>().unwrap() > left_by_first, "{kept}");
    let deleted = take_away(&pods, &second, Way::Deleted, PATIENCE).await.unwrap();
    let left_by_second = answered_in_time(&deleted);
    assert!(left_by_second > left_by_first);

    // The third ends it, and the Job counts neither as a failure.
    let [first] = before;
    let (third, from) = pod_says(&pods, TRAINING, &[first, second], goes_on, PATIENCE)
        .await
        .unwrap();
    assert_eq!(from.parse::<u64>().unwrap(), left_by_second);
    team.ended(Duration::from_secs(900)).await.unwrap();
    let settled = lab.devnet.snapshot(contract, Some(0), &[]).await.unwrap();
    table::everybody_did_their_duty(&settled);
    assert_eq!(settled.round.outcome, Outcome::Accepted);
    let contributed = settled.proposers().next().unwrap();
    let resumed = trained(&ended(&pods.get(&third).await.unwrap()).unwrap());
    assert_eq!(Some(resumed.model), contributed.contribution);
    assert_eq!(resumed.resumed_from, Some(left_by_second));
    assert!(!resumed.stopped_early && resumed.epochs == EPOCHS, "{resumed:?}");
    let proposer = &team.names()[&contributed.account];
    let told = team.client_object(proposer).await.unwrap().status.unwrap();
    let told = told.last_training.unwrap();
    assert_eq!((told.model, told.resumed_from), (resumed.model, Some(left_by_second)));
    let jobs = team.api::<Job>();
    let jobs = jobs.list(&ListParams::default().labels(TRAINING)).await.unwrap().items;
    let [job] = &jobs[..] else {
        panic!(
            "one Job trains, not {:?}",
            jobs.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
        );
    };
    let counted = job.status.as_ref().unwrap();
    assert_eq!(
        (counted.succeeded, counted.failed.unwrap_or(0)),
        (Some(1), 0),
        "{counted:?}"
    );
    lab.devnet.compare(&team.namespace, &team.task).await.unwrap();

    // The same pod and input outside of the Job.
    let job = BareJob::of(&team, 0, Step::Train).await.unwrap();
    job.provide(&lab.devnet.depot, NAME).unwrap();
    let (undisturbed, restarted) = tokio::join!(undisturbed(&job, lab, &team), restarted(&job, lab, &team));
    assert_eq!(undisturbed.resumed_from, None);
    assert_eq!(
        (undisturbed.model, undisturbed.steps, &undisturbed.loss),
        (resumed.model, resumed.steps, &resumed.loss)
    );
    assert!(restarted.resumed_from.is_some(), "{restarted:?}");
    assert_eq!(
        (restarted.model, restarted.steps, &restarted.loss),
        (resumed.model, resumed.steps, &resumed.loss)
    );
    eprintln!(
        "{NAME}: {} of {} steps; gone {:.1} s after the eviction at step {left_by_first}, {:.1} s after the deletion at step \
         {left_by_second}; restarted in its pod after step {}; model {} in all",
        EPOCHS,
        resumed.steps,
        evicted.after.as_secs_f64(),
        deleted.after.as_secs_f64(),
        restarted.resumed_from.unwrap_or_default(),
        resumed.model,
    );
}

/// It ended by itself with the exit code of an answered SIGTERM before its grace period was over, and what it has done is
/// at the gateway. Gives the step after which the next goes on.
fn answered_in_time(gone: &Gone) -> u64 {
    assert_eq!(gone.end.exit_code, STOPPED, "{:?}", gone.end);
    assert!(gone.after < gone.grace(), "gone after {:?}", gone.after);
    let message = gone.end.message.as_deref().unwrap_or_default();
    let step = message
        .strip_prefix("error: stopped by SIGTERM after step ")
        .and_then(|rest| rest.strip_suffix("; the gateway has what another pod goes on from"));
    step.unwrap_or_else(|| panic!("{message:?}")).parse().unwrap()
}

fn trained(end: &ContainerStateTerminated) -> TrainResult {
    assert_eq!(end.exit_code, 0, "{end:?}");
    let result: JobResult = serde_json::from_str(end.message.as_deref().unwrap_or_default()).unwrap();
    match result.outcome {
        StepResult::Train(trained) => trained,
        other => panic!("{other:?}"),
    }
}

/// The training once more, from its beginning to its end.
async fn undisturbed(job: &BareJob, lab: &Lab, team: &Team) -> TrainResult {
    let spec = job.lay_out(&lab.devnet.depot, NAME, "undisturbed", None).unwrap();
    create(team, "undisturbed", &spec);
    let pod = succeeded(team, "undisturbed").await;
    trained(&ended(&pod).unwrap())
}

/// The training once more, with a container beside it that tells it to stop when it has left a checkpoint, in a pod that
/// starts it again.
async fn restarted(job: &BareJob, lab: &Lab, team: &Team) -> TrainResult {
    let often = Checkpoints {
        every_seconds: 2,
        ..Checkpoints::default()
    };
    let mut spec = job.lay_out(&lab.devnet.depot, NAME, "restarted", Some(often)).unwrap();
    spec.restart_policy = Some("OnFailure".to_owned());
    spec.share_process_namespace = Some(true);
    // Python, as the SDK's image has it; as the trainer's user, or it could not send it a signal.
    let hand = json!({
        "name": "hand", "restartPolicy": "Always",
        "image": env::flock_sdk_image().unwrap(), "imagePullPolicy": env::pull_policy(),
        "command": ["/usr/local/bin/python3", "-c", HAND],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": spec.containers[0].security_context,
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch", "readOnly": true}],
    });
    spec.init_containers = Some(vec![serde_json::from_value(hand).unwrap()]);
    create(team, "restarted", &spec);
    // While it runs: of a pod that has succeeded the kubelet removes what came before.
    let before = container(team, "restarted", "to start again", |trainer| {
        trainer.last_state.as_ref()?.terminated.clone()
    })
    .await;
    assert_eq!(before.exit_code, STOPPED, "{before:?}");
    let left = before.message.as_deref().unwrap_or_default();
    assert!(
        left.ends_with("the scratch volume has what this training goes on from"),
        "{left}"
    );
    let pod = succeeded(team, "restarted").await;
    let trainer = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
    assert_eq!(trainer.restart_count, 1, "{trainer:?}");
    trained(&ended(&pod).unwrap())
}

fn create(team: &Team, name: &str, spec: &PodSpec) {
    let metadata = json!({"namespace": team.namespace, "name": name});
    cluster::apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})).unwrap();
}

async fn succeeded(team: &Team, name: &str) -> Pod {
    container(team, name, "to succeed", |trainer| {
        let end = trainer.state.as_ref()?.terminated.as_ref()?;
        (end.exit_code == 0).then_some(())
    })
    .await;
    team.api().get(name).await.unwrap()
}

/// Waits until the first container of a pod shows something.
async fn container<T>(team: &Team, name: &str, what: &str, shown: impl Fn(&ContainerStatus) -> Option<T>) -> T {
    let pods: Api<Pod> = team.api();
    until(&format!("pod {name} {what}"), PATIENCE, || async {
        let statuses = pods.get(name).await?.status.unwrap_or_default().container_statuses;
        let first = statuses.and_then(|all| all.into_iter().next());
        Ok(match first.as_ref().and_then(&shown) {
            Some(found) => Look::Done(found),
            None => Look::Not(format!("{first:?}")),
        })
    })
    .await
    .unwrap()
}
