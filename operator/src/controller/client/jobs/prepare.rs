//! From a decision's request to the objects of a Job: definition, start model's holders, token, deadline.

use protocol::{
    action::JobRequest,
    architecture::{Architecture, BaseModel},
    definition::TaskDefinition,
    job::{BASE_DIRECTORY, DATA_DIRECTORY, DOCUMENT_VERSION, JobInput, Step},
    types::{Address, B256, Round},
};

use super::{
    build::{self, JobObjects, JobPlan},
    claims,
};
use crate::{
    chain::ChainError,
    cluster::Key,
    controller::{
        client::{observe::Observed, problem::Problem, results, validate::SdkTemplate},
        context::Context,
        task::definition,
    },
};
use crds::conditions::reason;

/// Why a Job cannot be made at present.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("{}", .0.message)]
    Problem(Problem),
}

/// Everything the Job needs, as objects.
pub(in crate::controller::client) async fn prepare(
    observed: &Observed,
    request: &JobRequest,
    ctx: &Context,
) -> Result<JobObjects, PrepareError> {
    let snapshot = &observed.snapshot;
    let identity = request.identity.clone();
    let definition = definition::resolve(&observed.task, snapshot, ctx)
        .await
        .map_err(|error| {
            let (_, reason) = error.condition();
            PrepareError::Problem(Problem::new(reason, error.to_string()))
        })?;
    compute_together(&definition, observed.client.trainer.flock_sdk.as_ref()).map_err(PrepareError::Problem)?;
    let start_holders = match (identity.step, snapshot.round.start_model_round) {
        (Step::Check, _) | (_, None) => None,
        (_, Some(round)) => Some(holders(observed, round).await?),
    };
    let name = Key::new(
        &observed.client.key.namespace,
        identity.job_name(&observed.client.key.name),
    );
    let expires = claims::expiry(&snapshot.round, identity.step, request.finish_by);
    let mut grants = claims::claims(&name, &identity, start_holders, definition.max_model_bytes(), expires);
    if let TaskDefinition::Trainer(definition) = &definition
        && let Architecture::Torchscript(script) = &definition.architecture
    {
        claims::allow_module(&mut grants, script, snapshot.state.creator);
    }
    let base = base_model(&definition);
    if let Some(base) = base
        && observed.client.trainer.base_models.is_empty()
    {
        return Err(PrepareError::Problem(Problem::new(
            reason::VOLUME,
            format!(
                "this task's module has a base model (manifest {}): name a volume that holds it in spec.baseModels",
                base.manifest
            ),
        )));
    }
    // A container of FLock's SDK has nothing to show before it is done.
    let resumable = identity.step == Step::Train && matches!(definition, TaskDefinition::Trainer(_));
    let checkpoints = resumable.then_some(observed.client.trainer.checkpoints);
    grants.checkpoint_bytes = checkpoints.and_then(|terms| terms.gateway_bytes).unwrap_or(0);
    let token = ctx
        .store
        .job_token(&grants)
        .map_err(|error| PrepareError::Problem(Problem::new(reason::STORE_UNREACHABLE, error.to_string())))?;
    let input = JobInput {
        version: DOCUMENT_VERSION,
        identity,
        definition: definition.canonical().to_owned(),
        genesis_model: snapshot.parameters.genesis_model,
        gateway: ctx.settings.gateway_url.clone(),
        data_directory: DATA_DIRECTORY.to_owned(),
        data_format: observed.client.trainer.format.clone(),
        device: observed.client.trainer.device,
        finish_by: request.finish_by,
        fetch_until: request.fetch_until,
        base_directories: match base {
            Some(_) => base_directories(observed),
            None => Vec::new(),
        },
        base_verified: base.and_then(|base| verified(observed, base)),
        checkpoints,
    };
    Ok(build::build(JobPlan {
        client: &observed.client.key,
        owner: &observed.client.owner,
        task: &observed.client.task.name,
        trainer: &observed.client.trainer,
        cpu: match &definition {
            TaskDefinition::Trainer(_) => None,
            TaskDefinition::FlockSdk(definition) => Some(definition.flock_sdk().cpu),
        },
        input,
        token,
        gateway_ca: ctx.settings.gateway_ca.as_deref(),
        now: observed.view.now.0,
    }))
}

/// Whether this client's trainer is what the task is computed with. Found before any Job is made, let alone staked.
fn compute_together(definition: &TaskDefinition, ours: Option<&SdkTemplate>) -> Result<(), Problem> {
    let wrong = |message: String| Err(Problem::new(reason::TRAINER_INCOMPATIBLE, message));
    match (definition, ours) {
        (TaskDefinition::Trainer(_), None) => Ok(()),
        (TaskDefinition::Trainer(_), Some(_)) => wrong(
            "this task's definition is for the trainer of this project: remove spec.trainer.flockSdk and give the data in \
             one of its formats"
                .to_owned(),
        ),
        (TaskDefinition::FlockSdk(theirs), None) => wrong(format!(
            "this task is computed by a container of FLock's SDK: set spec.trainer.flockSdk.image to an image with digest \
             {} and give the data as dataset.json (format json)",
            theirs.flock_sdk().image
        )),
        (TaskDefinition::FlockSdk(theirs), Some(ours)) if theirs.flock_sdk().image != ours.digest => wrong(format!(
            "this task is computed by the image with digest {}, but spec.trainer.flockSdk.image has {}: others would get \
             another aggregate, and a vote for ours would be slashed",
            theirs.flock_sdk().image,
            ours.digest
        )),
        (TaskDefinition::FlockSdk(_), Some(_)) => Ok(()),
    }
}

/// Frozen weights that the task's module wants from a volume.
fn base_model(definition: &TaskDefinition) -> Option<&BaseModel> {
    match definition {
        TaskDefinition::Trainer(definition) => match &definition.architecture {
            Architecture::Torchscript(script) => script.base_model.as_ref(),
            _ => None,
        },
        TaskDefinition::FlockSdk(_) => None,
    }
}

fn base_directories(observed: &Observed) -> Vec<String> {
    let names = observed.client.trainer.base_models.iter().map(|(name, _)| name);
    names.map(|name| format!("{BASE_DIRECTORY}/{name}")).collect()
}

/// The stamp of the base model's files as this client's check verified them; what they are now is for the Job to see.
fn verified(observed: &Observed, base: &BaseModel) -> Option<B256> {
    let before = observed
        .object
        .status
        .as_ref()
        .and_then(|status| status.preflight.clone());
    let preflight = results::preflight(observed).or(before)?;
    let summary = preflight.base_model?;
    (preflight.environment == observed.client.environment && summary.manifest == base.manifest).then_some(summary.stamp)
}

/// Who has the start model: those who voted for it in the round that accepted it.
async fn holders(observed: &Observed, round: Round) -> Result<Vec<Address>, ChainError> {
    let snapshot = &observed.snapshot;
    let settled = observed
        .chain
        .reader()
        .snapshot(snapshot.task, &snapshot.block, Some(round), &[])
        .await?;
    Ok(claims::holders(
        &settled,
        snapshot.round.start_model,
        observed.view.participant,
    ))
}
