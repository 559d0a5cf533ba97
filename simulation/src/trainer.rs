//! Jobs, from the scheduler to the trainer's last line.

use std::sync::Arc;

use crds::names;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobStatus},
        core::v1::{ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus, Pod, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use operator::cluster::Key;
use protocol::{
    job::{CheckResult, DOCUMENT_VERSION, JobIdentity, JobResult, Step, StepResult, TrainResult, VoteResult},
    types::{IncludedMask, Score, Timestamp},
};

use crate::{
    api,
    contract::{aggregated, trained},
    faults::Fault,
    world::{State, World},
};

enum Fate {
    Succeed { lost: bool },
    Fail { code: i32 },
    Hang,
    Rubbish { kind: u64 },
}

pub(crate) fn identity_of(job: &Job) -> Option<JobIdentity> {
    let text = job.metadata.annotations.as_ref()?.get(names::ANNOTATION_IDENTITY)?;
    serde_json::from_str(text).ok()
}

fn is_there(state: &State, key: &Key, number: u64) -> bool {
    let uid = state.api.jobs.get(key).and_then(|job| job.metadata.uid.clone());
    uid.is_some_and(|uid| uid == number.to_string())
}

/// One Job's life. It ends where the Job is deleted.
pub(crate) async fn run(world: Arc<World>, key: Key, number: u64) {
    loop {
        let pause = {
            let mut state = world.lock();
            state.random.between(500, 3_000)
        };
        world.time.sleep(pause).await;
        let (length, evicted) = {
            let mut state = world.lock();
            if !is_there(&state, &key, number) {
                return;
            }
            if !state.api.secrets.contains_key(&key) {
                // The kubelet waits for the pod's input.
                continue;
            }
            show(&world, &mut state, &key, None, "");
            let evicted = world.strikes(&mut state, Fault::JobEvicted);
            (state.random.between(1_000, 20_000), evicted)
        };
        world.time.sleep(length).await;
        match after_work(&world, &key, number, evicted) {
            Next::Again => {}
            Next::Over => return,
            Next::Hang { seconds } => {
                world.time.sleep(1_000 * seconds).await;
                let mut state = world.lock();
                if is_there(&state, &key, number) {
                    state.api.pods.remove(&key);
                    finish(&world, &mut state, &key, "Failed", "DeadlineExceeded");
                }
                return;
            }
        }
    }
}

enum Next {
    /// Another pod is made.
    Again,
    Over,
    Hang {
        seconds: u64,
    },
}

fn after_work(world: &World, key: &Key, number: u64, evicted: bool) -> Next {
    let mut guard = world.lock();
    let state = &mut *guard;
    if !is_there(state, key, number) {
        return Next::Over;
    }
    if evicted {
        // A disruption does not count.
        state.api.pods.remove(key);
        api::job_changed(world, state, key);
        return Next::Again;
    }
    if world.strikes(state, Fault::JobDeleted) {
        let now = world.now();
        state.disturb(now, now + 1);
        state.interrupted += 1;
        api::remove_job(world, state, key);
        return Next::Over;
    }
    let fate = fate(world, state);
    if matches!(fate, Fate::Hang) {
        let spec = state.api.jobs[key].spec.as_ref();
        let allowed = spec.and_then(|s| s.active_deadline_seconds).unwrap_or(600);
        return Next::Hang {
            seconds: allowed.max(1) as u64,
        };
    }
    end(world, state, key, number, fate);
    Next::Over
}

fn fate(world: &World, state: &mut State) -> Fate {
    if world.strikes(state, Fault::JobHangs) {
        Fate::Hang
    } else if world.strikes(state, Fault::JobFails) {
        let code = *state.random.pick(&[1, 1, 1, 64, 66, 69, 137]);
        Fate::Fail { code }
    } else if world.strikes(state, Fault::JobRubbish) {
        let kind = state.random.below(5);
        Fate::Rubbish { kind }
    } else {
        let lost = world.strikes(state, Fault::ResultLost);
        Fate::Succeed { lost }
    }
}

fn end(world: &World, state: &mut State, key: &Key, number: u64, fate: Fate) {
    let Some(identity) = identity_of(&state.api.jobs[key]) else {
        return;
    };
    match fate {
        Fate::Hang => {}
        Fate::Fail { code } => {
            show(world, state, key, Some(code), "error: it did not work");
            finish(world, state, key, "Failed", "PodFailurePolicy");
        }
        Fate::Rubbish { kind } => {
            let mut result = result(world, state, &identity, number);
            let line = match kind {
                0 => "not JSON".to_owned(),
                1 => {
                    result.identity_hash = Default::default();
                    line(&result)
                }
                2 => {
                    result.version = DOCUMENT_VERSION + 1;
                    line(&result)
                }
                3 => {
                    result.outcome = rubbish(&identity);
                    line(&result)
                }
                _ => "x".repeat(4_000),
            };
            put_result(state, key, &line);
            show(world, state, key, Some(0), &line);
            finish(world, state, key, "Complete", "");
        }
        Fate::Succeed { lost } => {
            let result = result(world, state, &identity, number);
            let line = line(&result);
            if !lost {
                put_result(state, key, &line);
            }
            show(world, state, key, Some(0), &line);
            finish(world, state, key, "Complete", "");
        }
    }
}

fn put_result(state: &mut State, key: &Key, line: &str) {
    // Create-only: a second, different line is refused.
    state
        .gateway
        .results
        .entry(key.to_string())
        .or_insert_with(|| line.to_owned());
}

fn line(result: &JobResult) -> String {
    serde_json::to_string(result).unwrap_or_default()
}

/// Well-formed, and nothing a contract would take.
fn rubbish(identity: &JobIdentity) -> StepResult {
    match identity.step {
        Step::Check => StepResult::Vote(vote(Default::default(), Score::For, IncludedMask(1))),
        Step::Train => StepResult::Train(training(identity.start_model)),
        Step::Vote => StepResult::Vote(vote(identity.start_model, Score::For, IncludedMask(0))),
    }
}

fn training(model: protocol::types::ModelHash) -> TrainResult {
    TrainResult {
        model,
        epochs: 1,
        steps: 10,
        loss: "0.5".to_owned(),
        test_metric: "0.8".to_owned(),
        seconds: "3".to_owned(),
        stopped_early: false,
        privacy: None,
        resumed_from: None,
    }
}

fn vote(aggregate: protocol::types::ModelHash, score: Score, mask: IncludedMask) -> VoteResult {
    VoteResult {
        aggregate,
        score,
        mask,
        start_metric: "0.7".to_owned(),
        aggregate_metric: "0.8".to_owned(),
        excluded: Vec::new(),
        fallback: None,
        unused: Vec::new(),
    }
}

/// What a trainer makes of this input. Two runs give the same, or a task could not be voted on; unless something is
/// wrong with the machine.
fn result(world: &World, state: &mut State, identity: &JobIdentity, number: u64) -> JobResult {
    let run = if world.strikes(state, Fault::JobOtherResult) {
        number
    } else {
        0
    };
    let participant = identity.participant;
    let outcome = match identity.step {
        Step::Check => StepResult::Check(CheckResult {
            genesis_model: world.plan.parameters.genesis_model,
            train_samples: 100,
            test_samples: 20,
            classes: 10,
            device: "cpu".to_owned(),
            data: None,
            base_model: None,
        }),
        Step::Train => {
            let model = trained(participant, identity.digest, run);
            state.produced.insert((participant, identity.digest, model));
            state.gateway.written.insert((participant, model));
            StepResult::Train(training(model))
        }
        Step::Vote => {
            let seats = identity.seats.iter().enumerate();
            let given = seats.filter(|(_, seat)| seat.contribution.is_some());
            let mask = given.fold(IncludedMask::default(), |mask, (k, _)| mask.with(k));
            let aggregate = aggregated(identity.digest, run);
            state.produced.insert((participant, identity.digest, aggregate));
            state.gateway.written.insert((participant, aggregate));
            StepResult::Vote(vote(aggregate, score(identity.digest), mask))
        }
    };
    JobResult {
        version: DOCUMENT_VERSION,
        identity_hash: identity.hash(),
        outcome,
    }
}

/// One aggregate in eight is a bad one.
pub(crate) fn score(round: protocol::types::RoundDigest) -> Score {
    if round.0[31].is_multiple_of(8) {
        Score::Against
    } else {
        Score::For
    }
}

fn finish(world: &World, state: &mut State, key: &Key, kind: &str, reason: &str) {
    let now = Timestamp(world.now() / 1000);
    if let Some(job) = state.api.jobs.get_mut(key) {
        Arc::make_mut(job).status = Some(JobStatus {
            conditions: Some(vec![JobCondition {
                type_: kind.to_owned(),
                status: "True".to_owned(),
                reason: Some(reason.to_owned()),
                last_transition_time: crds::rfc3339(now),
                ..JobCondition::default()
            }]),
            ..JobStatus::default()
        });
    }
    state.trace.note(world.now(), "Job", kind.len() as u64, || {
        format!("{} is {kind} {reason}", key.name)
    });
    api::job_changed(world, state, key);
}

/// The pod runs, or has ended with this code and message.
fn show(world: &World, state: &mut State, key: &Key, code: Option<i32>, message: &str) {
    let container = match code {
        None => ContainerState {
            running: Some(ContainerStateRunning::default()),
            ..ContainerState::default()
        },
        Some(exit_code) => ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code,
                message: Some(message.to_owned()),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        },
    };
    let phase = match code {
        None => "Running",
        Some(0) => "Succeeded",
        Some(_) => "Failed",
    };
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(format!("{}-x", key.name)),
            namespace: Some(key.namespace.clone()),
            ..ObjectMeta::default()
        },
        status: Some(PodStatus {
            phase: Some(phase.to_owned()),
            container_statuses: Some(vec![ContainerStatus {
                name: "trainer".to_owned(),
                state: Some(container),
                ..ContainerStatus::default()
            }]),
            ..PodStatus::default()
        }),
        ..Pod::default()
    };
    state.api.pods.insert(key.clone(), Arc::new(pod));
    api::job_changed(world, state, key);
}
