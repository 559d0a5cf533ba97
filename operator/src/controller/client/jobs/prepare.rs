//! From a decision's request to the objects of a Job: definition, start model's holders, token, deadline.

use protocol::{
    action::JobRequest,
    architecture::Architecture,
    job::{DATA_DIRECTORY, DOCUMENT_VERSION, JobInput, Step},
    types::{Address, Round},
};

use super::{
    build::{self, JobObjects, JobPlan},
    claims,
};
use crate::{
    chain::ChainError,
    cluster::Key,
    controller::{
        client::{observe::Observed, problem::Problem},
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
    let start_holders = match (identity.step, snapshot.round.start_model_round) {
        (Step::Check, _) | (_, None) => None,
        (_, Some(round)) => Some(holders(observed, round).await?),
    };
    let name = Key::new(
        &observed.client.key.namespace,
        identity.job_name(&observed.client.key.name),
    );
    let expires = claims::expiry(&snapshot.round, identity.step, request.finish_by);
    let mut grants = claims::claims(&name, &identity, start_holders, definition.max_model_bytes, expires);
    if let Architecture::Torchscript(script) = &definition.architecture {
        claims::allow_module(&mut grants, script, snapshot.state.creator);
    }
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
    };
    Ok(build::build(JobPlan {
        client: &observed.client.key,
        owner: &observed.client.owner,
        task: &observed.client.task.name,
        trainer: &observed.client.trainer,
        input,
        token,
        gateway_ca: ctx.settings.gateway_ca.as_deref(),
        now: observed.view.now.0,
    }))
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
