//! Everything a decision about one client needs, or the one thing that stands in its way.

use std::{sync::Arc, time::Duration};

use crds::{
    FLClient, FLTask,
    conditions::{self, reason, types},
    flclient::LedgerStatus,
};
use protocol::{
    client::{ClientView, JobState, JobView},
    job::{CheckResult, DOCUMENT_VERSION, JobIdentity, JobResult, Step, StepResult},
    snapshot::TaskSnapshot,
    types::{Address, ModelHash, Round, RoundDigest, Timestamp},
};

use super::{
    ClientError,
    audit::audit,
    duplicates,
    hold::Hold,
    jobs::state::{self, ObservedJob},
    pokes, results, running, stored_vote,
    validate::{ValidatedClient, validate},
};
use crate::{
    chain::TaskSender,
    cluster::Key,
    controller::{
        context::{ChainAccess, ChainProblem, Context},
        keys,
    },
};

/// A client whose task, chain and key are at hand.
pub(super) struct Observed {
    pub(super) object: Arc<FLClient>,
    pub(super) client: ValidatedClient,
    pub(super) task: Arc<FLTask>,
    pub(super) chain: Arc<dyn ChainAccess>,
    pub(super) sender: Arc<dyn TaskSender>,
    pub(super) snapshot: TaskSnapshot,
    /// Jobs of the running round, and checks.
    pub(super) jobs: Vec<ObservedJob>,
    pub(super) view: ClientView,
    /// How far this key's votes on chain are known to be ours.
    pub(super) ledger: LedgerStatus,
    /// The gateway did not answer when asked for results.
    pub(super) store_problem: Option<String>,
}

pub(super) enum Observation {
    Ready(Box<Observed>),
    Held(Hold),
}

/// Reads what there is to read. Only what a retry may cure is an error.
pub(super) async fn observe(object: &Arc<FLClient>, ctx: &Context) -> Result<Observation, ClientError> {
    let held = |hold: Hold| Ok(Observation::Held(hold));
    let client = match validate(object) {
        Ok(client) => client,
        Err(error) => {
            tracing::debug!(category = error.category(), %error, "spec cannot be used");
            return held(Hold::new(reason::SPEC_INVALID, error.to_string()).stalled());
        }
    };
    let Some(task) = ctx.cluster.task(&client.task).await? else {
        let name = &client.task.name;
        return held(
            Hold::new(
                reason::TASK_NOT_FOUND,
                format!("there is no FLTask {name:?} in this namespace"),
            )
            .stalled(),
        );
    };
    let Some(contract) = task.status.as_ref().and_then(|status| status.contract) else {
        return held(Hold::new(reason::TASK_NOT_READY, task_not_ready(&task)));
    };
    let chain = match ctx.chains.get(&task.spec.chain_ref.name).await {
        Ok(chain) => chain,
        Err(error @ ChainProblem::Missing(_)) => return held(Hold::new(reason::CHAIN_NOT_FOUND, error.to_string())),
        Err(error) => return held(Hold::new(reason::CHAIN_NOT_READY, error.to_string())),
    };
    let key = match ctx
        .keys
        .load(ctx.cluster.as_ref(), &client.key.namespace, &object.spec.signer)
        .await
    {
        Ok(key) => key,
        Err(keys::KeyError::Cluster(error)) => return Err(error.into()),
        Err(error) => {
            return held(Hold {
                condition: Some(types::SIGNER_AVAILABLE),
                without_key: error.is_lasting(),
                stalled: error.is_lasting(),
                ..Hold::new(error.reason(), error.to_string())
            });
        }
    };
    let address = key.address();
    if let Some(hold) = changed_key(object, address) {
        return held(hold);
    }
    let identity = duplicates::Identity {
        chain: &task.spec.chain_ref.name,
        contract,
        participant: address,
    };
    if let Some(twin) = duplicates::older_twin(ctx.cluster.as_ref(), &ctx.keys, object, &identity).await? {
        let message = format!(
            "FLClient {twin} acts for {address} in this task already: delete one of the two, or use another key"
        );
        return held(Hold::new(reason::SIGNER_IN_USE, message).stalled());
    }
    chain.watch(contract);
    let sender = chain.sender(key);
    let reader = chain.reader();
    let head = reader.head().await?;
    let confirmed_block = reader.confirmed_block(&head).await?;
    let snapshot = reader.snapshot(contract, &head, None, &[address]).await?;
    let now = ctx.clock.now();
    let mut observed = Observed {
        view: ClientView {
            participant: address,
            stake: client.stake,
            suspended: task.spec.suspend,
            draining: client.drain || object.metadata.deletion_timestamp.is_some(),
            environment: client.environment,
            jobs: Vec::new(),
            ledger: Vec::new(),
            confirmed_block,
            now,
            block_time: chain.block_time(),
            poke_delay: Some(pokes::delay(&snapshot, address, chain.block_time())),
            claim: true,
        },
        object: object.clone(),
        client,
        task,
        chain,
        sender,
        snapshot,
        jobs: Vec::new(),
        ledger: LedgerStatus::default(),
        store_problem: None,
    };
    observed.ledger = audit(&observed, ctx).await?;
    observe_jobs(&mut observed, ctx).await?;
    stored_vote::observe(&mut observed, ctx).await?;
    // What it was drawn for is still done: silence is slashed for certain, and the contract takes one vote only.
    observed.view.draining |= observed.ledger.foreign_round.is_some();
    Ok(Observation::Ready(Box::new(observed)))
}

fn task_not_ready(task: &FLTask) -> String {
    let said = task
        .status
        .as_ref()
        .and_then(|status| conditions::find(&status.conditions, types::READY))
        .map_or("it has not been looked at yet", |ready| ready.message.as_str());
    format!("the FLTask is not ready: {said}")
}

/// A Secret that holds another key than the one with stake in the task: acting with it would leave the duty undone.
fn changed_key(object: &FLClient, address: Address) -> Option<Hold> {
    let status = object.status.as_ref()?;
    let known = status.address?;
    let staked = status.stake.is_some_and(|stake| !stake.is_zero());
    (known != address && staked).then(|| Hold {
        condition: Some(types::SIGNER_AVAILABLE),
        ..Hold::new(
            reason::SIGNER_CHANGED,
            format!("the Secret holds the key of {address}, but {known} has the stake: put the old key back"),
        )
    })
}

/// The identity a `check` Job of this client has now.
pub(super) fn check_identity(snapshot: &TaskSnapshot, view: &ClientView) -> JobIdentity {
    JobIdentity {
        chain_id: snapshot.chain_id,
        task: snapshot.task,
        participant: view.participant,
        step: Step::Check,
        definition: snapshot.parameters.definition_hash,
        round: Round(0),
        start_model: ModelHash::ZERO,
        digest: RoundDigest::ZERO,
        seats: Vec::new(),
        environment: view.environment,
    }
}

async fn observe_jobs(observed: &mut Observed, ctx: &Context) -> Result<(), ClientError> {
    let key = observed.client.key.clone();
    let round = observed.snapshot.round.round;
    let passed = passed_check(observed);
    let mut others = Vec::new();
    for job in ctx.cluster.jobs(&key).await? {
        let Some(identity) = state::identity_of(&key.name, &job) else {
            continue;
        };
        let name = job.metadata.name.clone().unwrap_or_default();
        if passed.as_ref().is_some_and(|check| check.identity == identity) {
            continue;
        }
        if identity.step != Step::Check && identity.round != round {
            // Of another round only one thing matters: whether it still runs. That costs no further call.
            let state = if state::is_finished(&job) {
                JobState::Failed { retry: false }
            } else {
                JobState::Running
            };
            others.push(JobView { name, identity, state });
            continue;
        }
        let result = match ctx.store.result(&key.namespace, &name).await {
            Ok(result) => result,
            Err(error) => {
                observed.store_problem = Some(error.to_string());
                None
            }
        };
        let job_key = Key::new(&key.namespace, &name);
        let pods = match &result {
            Some(line) if state::accept(line, &identity).is_ok() => Vec::new(),
            _ => ctx.cluster.pods(&job_key).await?,
        };
        let answered = observed.store_problem.is_none();
        let mut seen = state::observe(&job, identity, &pods, result.as_deref(), answered, observed.view.now);
        if seen.state == JobState::Running && answered {
            seen.progress = running::ask(&job_key, ctx).await;
        }
        observed.jobs.push(seen);
    }
    observed.view.jobs = observed
        .jobs
        .iter()
        .map(|job| JobView {
            name: job.name.clone(),
            identity: job.identity.clone(),
            state: view_state(job),
        })
        .chain(passed)
        .chain(others)
        .collect();
    Ok(())
}

/// A failed check is not simply run again: nothing presses, so it is given a pause that grows (`jobs::retry`).
fn view_state(job: &ObservedJob) -> JobState {
    match &job.state {
        JobState::Failed { .. } if job.identity.step == Step::Check => JobState::Failed { retry: false },
        state => state.clone(),
    }
}

/// The last check that passed, from the status: it holds as long as definition, data and trainer are the same, even
/// when its Job is gone.
fn passed_check(observed: &Observed) -> Option<JobView> {
    let preflight = observed.object.status.as_ref()?.preflight.as_ref()?;
    let identity = check_identity(&observed.snapshot, &observed.view);
    let identity_hash = identity.hash();
    (preflight.identity == identity_hash).then(|| JobView {
        name: preflight.job.clone(),
        identity,
        state: JobState::Succeeded(Box::new(JobResult {
            version: DOCUMENT_VERSION,
            identity_hash,
            outcome: StepResult::Check(CheckResult {
                genesis_model: preflight.genesis_model,
                train_samples: preflight.train_samples,
                test_samples: preflight.test_samples,
                classes: preflight.classes,
                device: preflight.device.clone(),
                data: preflight.data.as_ref().map(results::data_report),
                base_model: preflight.base_model.as_ref().map(results::base_report),
            }),
        })),
    })
}

/// Seconds until `at` by the wall clock.
pub(super) fn wait_until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_secs(now.until(at))
}
