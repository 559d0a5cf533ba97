//! The gateway: result lines by Job, and which models may be read by others.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use operator::gateway::{JobClaims, ModelStore, Owner, StoreError};
use protocol::types::{Address, DefinitionHash, ModelHash};

use crate::{
    calls::{Caller, Lost},
    faults::Fault,
    plan::Bug,
    world::State,
};

#[derive(Debug, Default)]
pub(crate) struct Gateway {
    pub(crate) results: BTreeMap<String, String>,
    /// Uploaded by a Job of this participant.
    pub(crate) written: BTreeSet<(Address, ModelHash)>,
    pub(crate) published: BTreeSet<(Address, ModelHash)>,
}

pub(crate) struct Port {
    caller: Caller,
}

impl Port {
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller }
    }

    async fn call<T: Send>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let world = &self.caller.world;
        self.caller
            .call(name, |state| {
                if world.strikes(state, Fault::StoreFails) {
                    let now = world.now();
                    state.disturb(now, now + 1);
                    return Err(StoreError::Full);
                }
                work(state)
            })
            .await
            .unwrap_or_else(|Lost| Err(StoreError::Unreachable("no answer".to_owned())))
    }
}

#[async_trait]
impl ModelStore for Port {
    fn job_token(&self, _claims: &JobClaims) -> Result<String, StoreError> {
        Ok("token".to_owned())
    }

    async fn progress(&self, _namespace: &str, _job: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn result(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError> {
        let id = self.caller.id;
        let world = &self.caller.world;
        self.call("result", |state| {
            let found = state.gateway.results.get(&format!("{namespace}/{job}")).cloned();
            if world.has(Bug::ResultOfOtherInput) {
                return Ok(other_input(state, id, job, found));
            }
            Ok(found)
        })
        .await
    }

    async fn publish(&self, owner: Owner, model: ModelHash) -> Result<(), StoreError> {
        let world = &self.caller.world;
        self.call("publish", |state| {
            let entry = (owner.participant, model);
            if !state.gateway.written.contains(&entry) {
                return Err(StoreError::Missing(model.to_string()));
            }
            if state.gateway.published.insert(entry) {
                let now = world.now();
                state.trace.note(now, "published", 0, || world.name(owner.participant));
                let ever = state.committed.keys().any(|(who, ..)| *who == owner.participant);
                if !ever {
                    let who = world.name(owner.participant);
                    state.violation(
                        now,
                        format!("{who} publishes an aggregate before it has committed to any"),
                    );
                }
            }
            Ok(())
        })
        .await
    }

    async fn put_definition(&self, _: Owner, _: DefinitionHash, _: String) -> Result<(), StoreError> {
        Ok(())
    }

    async fn definition(&self, _: Owner, _: DefinitionHash) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn remove_staged(&self, _: Owner) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove_task(&self, _: Owner) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The planted bug: the last result of the same step and client, made to look like the answer to this input.
fn other_input(state: &mut State, id: usize, job: &str, found: Option<String>) -> Option<String> {
    let parts: Vec<&str> = job.split('-').collect();
    let [client, _, step, _] = parts[..] else {
        return found;
    };
    let step = format!("{client}-{step}");
    let memory = &mut state.processes[id].memory.results;
    let Some(old) = memory.get(&step).cloned() else {
        if let Some(line) = &found {
            memory.insert(step, line.clone());
        }
        return found;
    };
    let key = operator::cluster::Key::new(crate::api::NAMESPACE, job);
    let identity = crate::trainer::identity_of(state.api.jobs.get(&key)?)?;
    let mut result: protocol::job::JobResult = serde_json::from_str(&old).ok()?;
    result.identity_hash = identity.hash();
    serde_json::to_string(&result).ok()
}
