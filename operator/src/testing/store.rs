//! A gateway in memory: result lines per Job, published models, definitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use protocol::types::{DefinitionHash, ModelHash};

use super::faults::{Dead, Faults};
use crate::gateway::{JobClaims, ModelStore, Owner, StoreError};

#[derive(Debug, Default)]
struct State {
    results: BTreeMap<String, String>,
    progress: BTreeMap<String, String>,
    published: BTreeSet<ModelHash>,
    definitions: BTreeMap<DefinitionHash, String>,
    removed: Vec<Owner>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    faults: Faults,
    state: Mutex<State>,
}

impl FakeStore {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            faults,
            state: Mutex::default(),
        }
    }

    /// What a trainer does at its end.
    pub(crate) fn put_result(&self, namespace: &str, job: &str, line: String) {
        self.lock().results.insert(format!("{namespace}/{job}"), line);
    }

    /// What a trainer says while it runs.
    pub(crate) fn put_progress(&self, namespace: &str, job: &str, word: String) {
        self.lock().progress.insert(format!("{namespace}/{job}"), word);
    }

    pub(crate) fn published(&self) -> Vec<ModelHash> {
        self.lock().published.iter().copied().collect()
    }

    /// Whose unpublished things were removed.
    pub(crate) fn removed(&self) -> Vec<Owner> {
        self.lock().removed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, name: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        self.faults
            .call(name, || work(&mut self.lock()))
            .map_err(|Dead| StoreError::Unreachable("the process died".to_owned()))
    }
}

#[async_trait]
impl ModelStore for FakeStore {
    fn job_token(&self, claims: &JobClaims) -> Result<String, StoreError> {
        // Readable on purpose: tests look at what was granted.
        serde_json::to_string(claims).map_err(|error| StoreError::Failed(error.to_string()))
    }

    async fn result(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError> {
        self.call("result", |state| {
            state.results.get(&format!("{namespace}/{job}")).cloned()
        })
    }

    async fn progress(&self, namespace: &str, job: &str) -> Result<Option<String>, StoreError> {
        // No fault here: what hangs on it is a line in the status.
        Ok(self.lock().progress.get(&format!("{namespace}/{job}")).cloned())
    }

    async fn publish(&self, _owner: Owner, model: ModelHash) -> Result<(), StoreError> {
        self.call("publish", |state| {
            state.published.insert(model);
        })
    }

    async fn put_definition(&self, _owner: Owner, hash: DefinitionHash, document: String) -> Result<(), StoreError> {
        self.call("put_definition", |state| {
            state.definitions.insert(hash, document);
        })
    }

    async fn definition(&self, _owner: Owner, hash: DefinitionHash) -> Result<Option<String>, StoreError> {
        self.call("definition", |state| state.definitions.get(&hash).cloned())
    }

    async fn remove_staged(&self, owner: Owner) -> Result<(), StoreError> {
        self.call("remove_staged", |state| {
            state.results.clear();
            state.removed.push(owner);
        })
    }

    async fn remove_task(&self, _owner: Owner) -> Result<(), StoreError> {
        self.call("remove_task", |state| state.published.clear())
    }
}
