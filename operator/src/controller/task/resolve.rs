//! From an FLTask's spec to a contract that may be trusted: joined by address, or created once.

use std::sync::Arc;

use crds::{FLTask, fltask::CreateTask};
use kube::ResourceExt;
use protocol::{
    definition::TaskDefinition,
    types::{Address, ModelHash},
};

use super::{definition, error::TaskError, record};
use crate::{
    chain::{Registration, SigningKey},
    controller::context::{ChainAccess, Context, TrustedManager},
};

/// Once verified, the address stands in status: contracts do not move, and managers do not unregister live tasks.
pub(super) fn known(task: &FLTask) -> Option<Address> {
    task.status.as_ref().and_then(|status| status.contract)
}

/// The task's contract: an address on this chain, registered at a trusted manager with the expected code. What is to be
/// created and is not there yet is created.
pub(super) async fn contract(task: &FLTask, chain: &Arc<dyn ChainAccess>, ctx: &Context) -> Result<Address, TaskError> {
    match find(task, chain, ctx).await? {
        Found::There(contract) => Ok(contract),
        Found::NotYet(creation) => creation.send(task, chain, ctx).await,
    }
}

/// The same, without creating anything; `None` if that would have to come first.
pub(super) async fn existing(
    task: &FLTask,
    chain: &Arc<dyn ChainAccess>,
    ctx: &Context,
) -> Result<Option<Address>, TaskError> {
    match find(task, chain, ctx).await? {
        Found::There(contract) => Ok(Some(contract)),
        Found::NotYet(_) => Ok(None),
    }
}

enum Found<'a> {
    There(Address),
    NotYet(Box<Creation<'a>>),
}

/// A task that may be created: its manager can be trusted, and there is none of this creator and salt.
struct Creation<'a> {
    spec: &'a CreateTask,
    key: SigningKey,
    definition: TaskDefinition,
}

async fn find<'a>(task: &'a FLTask, chain: &Arc<dyn ChainAccess>, ctx: &Context) -> Result<Found<'a>, TaskError> {
    if let Some(contract) = known(task) {
        return Ok(Found::There(contract));
    }
    match (&task.spec.contract, &task.spec.create) {
        (Some(address), _) => joined(*address, chain).await.map(Found::There),
        (None, Some(create)) => created(task, create, chain, ctx).await,
        // CEL rules this out; an object from before the rule says so instead of looping.
        (None, None) => Err(TaskError::DefinitionInvalid(
            "neither contract nor create is set".to_owned(),
        )),
    }
}

async fn joined(address: Address, chain: &Arc<dyn ChainAccess>) -> Result<Address, TaskError> {
    let reader = chain.reader();
    if reader.code_hash(address).await?.is_none() {
        return Err(TaskError::NoCode(address));
    }
    for manager in chain.trusted_managers() {
        let registration = reader.registration(manager.address, address).await?;
        if registration.registered {
            verify_code(&manager, &registration)?;
            return Ok(address);
        }
    }
    Err(TaskError::UnknownContract(address))
}

fn verify_code(manager: &TrustedManager, found: &Registration) -> Result<(), TaskError> {
    let matches = |pinned: Option<_>, found: Option<_>| pinned.is_none() || pinned == found;
    if matches(manager.code_hash, found.manager_code_hash)
        && matches(manager.implementation_code_hash, found.implementation_code_hash)
    {
        Ok(())
    } else {
        Err(TaskError::CodeMismatch(manager.address))
    }
}

async fn created<'a>(
    task: &FLTask,
    create: &'a CreateTask,
    chain: &Arc<dyn ChainAccess>,
    ctx: &Context,
) -> Result<Found<'a>, TaskError> {
    let manager = chain
        .trusted_managers()
        .into_iter()
        .find(|m| m.address == create.manager)
        .ok_or(TaskError::UntrustedManager(create.manager))?;
    let reader = chain.reader();
    if reader.code_hash(manager.address).await?.is_none() {
        return Err(TaskError::NoCode(manager.address));
    }
    verify_code(&manager, &reader.registration(manager.address, Address::ZERO).await?)?;
    let namespace = task.namespace().unwrap_or_default();
    let key = ctx.keys.load(ctx.cluster.as_ref(), &namespace, &create.signer).await?;
    let creator = key.address();
    let definition = definition::of_spec(task)?
        .ok_or_else(|| TaskError::DefinitionInvalid("a task that is created needs a definition".to_owned()))?;
    // A creator that was interrupted finds its task again: one (creator, salt), one task.
    if let Some(existing) = reader.task_of(manager.address, creator, create.salt).await? {
        let chain_hash = reader.parameters(existing).await?.definition_hash;
        if chain_hash != definition.hash() {
            return Err(TaskError::DefinitionMismatch {
                ours: definition.hash(),
                chain: chain_hash,
            });
        }
        return Ok(Found::There(existing));
    }
    Ok(Found::NotYet(Box::new(Creation {
        spec: create,
        key,
        definition,
    })))
}

impl Creation<'_> {
    async fn send(self, task: &FLTask, chain: &Arc<dyn ChainAccess>, ctx: &Context) -> Result<Address, TaskError> {
        let Self { spec, key, definition } = self;
        let creator = key.address();
        let manager = spec.manager;
        if !chain.reader().is_creator_allowed(manager, creator).await? {
            return Err(TaskError::CreatorNotAllowed { creator, manager });
        }
        let parameters = spec
            .parameters
            .parameters(definition.hash(), genesis_hash(&definition)?);
        let allow_list = spec.parameters.allow_list.clone().unwrap_or_default();
        record::creating(task, creator, ctx).await?;
        Ok(chain
            .sender(key)
            .create_task(manager, spec.salt, &parameters, &allow_list)
            .await?)
    }
}

fn genesis_hash(definition: &TaskDefinition) -> Result<ModelHash, TaskError> {
    definition
        .genesis_hash()
        .map_err(|error| TaskError::Genesis(error.to_string()))
}
