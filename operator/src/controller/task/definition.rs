//! The training definition of a task: from its spec or from the store, always with the hash that is on chain.

use crds::{FLTask, conditions};
use protocol::{definition::TaskDefinition, snapshot::TaskSnapshot};

use super::error::TaskError;
use crate::{controller::context::Context, gateway::Owner};

/// Parses the spec's definition.
pub fn of_spec(task: &FLTask) -> Result<Option<TaskDefinition>, TaskError> {
    let Some(document) = &task.spec.definition else {
        return Ok(None);
    };
    let invalid = |error: String| TaskError::DefinitionInvalid(error);
    let bytes = serde_json::to_vec(&document.0).map_err(|error| invalid(error.to_string()))?;
    TaskDefinition::parse(&bytes)
        .map(Some)
        .map_err(|error| invalid(error.to_string()))
}

/// The definition whose hash the chain has. From the spec if it is there, else as the task's creator serves it.
///
/// # Errors
/// [`TaskError::DefinitionMismatch`], [`TaskError::DefinitionMissing`], [`TaskError::Store`].
pub async fn resolve(task: &FLTask, snapshot: &TaskSnapshot, ctx: &Context) -> Result<TaskDefinition, TaskError> {
    let hash = snapshot.parameters.definition_hash;
    if let Some(definition) = of_spec(task)? {
        let ours = definition.hash();
        return if ours == hash {
            Ok(definition)
        } else {
            Err(TaskError::DefinitionMismatch { ours, chain: hash })
        };
    }
    let document = ctx
        .store
        .definition(creators(snapshot), hash)
        .await?
        .ok_or(TaskError::DefinitionMissing(hash))?;
    TaskDefinition::parse_expecting(document.as_bytes(), hash)
        .map_err(|error| TaskError::DefinitionInvalid(error.to_string()))
}

/// Makes sure of the definition once per generation; the creator's site also serves it to those who join without one.
pub async fn ensure(task: &FLTask, snapshot: &TaskSnapshot, ctx: &Context) -> Result<(), TaskError> {
    let known = task.status.as_ref().is_some_and(|status| {
        status.observed_generation == task.metadata.generation
            && conditions::is_true(&status.conditions, conditions::types::DEFINITION_AVAILABLE)
    });
    if known {
        return Ok(());
    }
    let definition = resolve(task, snapshot, ctx).await?;
    if task.spec.create.is_some() {
        ctx.store
            .put_definition(creators(snapshot), definition.hash(), definition.canonical().to_owned())
            .await?;
    }
    Ok(())
}

/// Where the creator of a task serves its definition.
fn creators(snapshot: &TaskSnapshot) -> Owner {
    Owner {
        chain: snapshot.chain_id,
        task: snapshot.task,
        participant: snapshot.state.creator,
    }
}
