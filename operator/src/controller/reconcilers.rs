//! The three reconciles under kube's scheduler: one at a time per object, woken by watches, chains and timers.

use std::{future::Future, sync::Arc, time::Duration};

use crds::{FLChain, FLClient, FLTask, names};
use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        Controller,
        controller::{Action, Error as ControllerError},
        reflector::ObjectRef,
        watcher,
    },
};
use tokio::sync::watch;

use super::{
    chain::{self, Registry},
    client,
    context::Context,
    metrics::Metrics,
    task,
    wakes::clients_of,
    watch::{Cache, changes},
};
use crate::cluster::Key;

/// After an error that a retry may cure.
const RETRY: Duration = Duration::from_secs(3);

/// The longest pause between two looks at an object. What nothing told of is mended then: a status that another process
/// overwrote, a change that a watch missed.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long to wait after a reconcile that asked for `next`, if nothing wakes it before.
pub fn pause(next: Option<Duration>) -> Duration {
    next.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

/// What a failed reconcile reports: a stable category, and the text for the log.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failure {
    category: &'static str,
    text: String,
}

impl Failure {
    fn new(category: &'static str, error: &impl std::fmt::Display) -> Self {
        Self {
            category,
            text: error.to_string(),
        }
    }
}

fn key<K: ResourceExt>(object: &K) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// Counts, times and logs one reconcile.
async fn measured(
    kind: &'static str,
    name: &str,
    metrics: &Metrics,
    reconcile: impl Future<Output = Result<Option<Duration>, Failure>>,
) -> Result<Action, Failure> {
    let timer = metrics.reconcile_seconds.with_label_values(&[kind]).start_timer();
    let outcome = reconcile.await;
    timer.observe_duration();
    let label = outcome.as_ref().map_or_else(|failure| failure.category, |_| "ok");
    metrics.reconciles.with_label_values(&[kind, label]).inc();
    match outcome {
        Ok(next) => Ok(Action::requeue(pause(next))),
        Err(failure) => {
            tracing::warn!(kind, name, category = failure.category, error = %failure, "reconcile failed, trying again");
            Err(failure)
        }
    }
}

fn retry<K, C>(_: Arc<K>, _: &Failure, _: Arc<C>) -> Action {
    Action::requeue(RETRY)
}

async fn until_stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn log_queue_error<E: std::error::Error>(error: &ControllerError<Failure, E>) {
    // Failures of reconciles were logged where they happened.
    if let ControllerError::QueueError(error) = error {
        tracing::warn!(%error, "watch failed, it is resumed");
    }
}

/// Reconciles FLChains.
pub(super) async fn chains(
    api: Api<FLChain>,
    cache: Cache<FLChain>,
    ctx: Context,
    registry: Arc<Registry>,
    stopping: watch::Receiver<bool>,
) {
    let reconcile = |object: Arc<FLChain>, state: Arc<(Context, Arc<Registry>)>| async move {
        let (ctx, registry) = state.as_ref();
        let name = object.name_any();
        let work = async {
            chain::reconcile(&name, registry, ctx)
                .await
                .map_err(|error| Failure::new(error.category(), &error))
        };
        measured("FLChain", &name, &ctx.metrics, work).await
    };
    Controller::for_stream(changes(api, cache.writer), cache.store)
        .graceful_shutdown_on(until_stopped(stopping))
        .run(reconcile, retry, Arc::new((ctx, registry)))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                log_queue_error(&error);
            }
        })
        .await;
}

/// Reconciles FLTasks of one scope.
pub(super) async fn tasks(
    api: Api<FLTask>,
    cache: Cache<FLTask>,
    woken: UnboundedReceiver<ObjectRef<FLTask>>,
    ctx: Context,
    stopping: watch::Receiver<bool>,
) {
    let reconcile = |object: Arc<FLTask>, ctx: Arc<Context>| async move {
        let key = key(object.as_ref());
        let work = async {
            task::reconcile(&key, &ctx)
                .await
                .map_err(|error| Failure::new(error.category(), &error))
        };
        measured("FLTask", &key.to_string(), &ctx.metrics, work).await
    };
    Controller::for_stream(changes(api, cache.writer), cache.store)
        .reconcile_on(woken)
        .graceful_shutdown_on(until_stopped(stopping))
        .run(reconcile, retry, Arc::new(ctx))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                log_queue_error(&error);
            }
        })
        .await;
}

/// What FLClients of one scope depend on.
#[derive(Debug)]
pub(super) struct ClientApis {
    pub(super) clients: Api<FLClient>,
    pub(super) tasks: Api<FLTask>,
    pub(super) jobs: Api<Job>,
    pub(super) pods: Api<Pod>,
}

/// Reconciles FLClients of one scope: woken by their Jobs and pods, by their task, by the chain.
pub(super) async fn clients(
    apis: ClientApis,
    cache: Cache<FLClient>,
    woken: UnboundedReceiver<ObjectRef<FLClient>>,
    ctx: Context,
    stopping: watch::Receiver<bool>,
) {
    let reconcile = |object: Arc<FLClient>, ctx: Arc<Context>| async move {
        let key = key(object.as_ref());
        let work = async {
            client::reconcile(&key, &ctx)
                .await
                .map_err(|error| Failure::new(error.category(), &error))
        };
        measured("FLClient", &key.to_string(), &ctx.metrics, work).await
    };
    let store = cache.store.clone();
    let ours = watcher::Config::default().labels(names::LABEL_CLIENT);
    Controller::for_stream(changes(apis.clients, cache.writer), cache.store)
        .owns(apis.jobs, ours.clone())
        .watches(apis.pods, ours, |pod| label_owner(&pod))
        .watches(apis.tasks, watcher::Config::default(), move |task| {
            clients_of(&task, &store)
        })
        .reconcile_on(woken)
        .graceful_shutdown_on(until_stopped(stopping))
        .run(reconcile, retry, Arc::new(ctx))
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                log_queue_error(&error);
            }
        })
        .await;
}

/// The FLClient a pod's label names.
fn label_owner<K: Resource>(object: &K) -> Option<ObjectRef<FLClient>> {
    let name = object.meta().labels.as_ref()?.get(names::LABEL_CLIENT)?;
    Some(ObjectRef::new(name).within(object.meta().namespace.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_looked_at_again_although_nothing_wakes_it() {
        assert_eq!(pause(None), LONGEST_PAUSE);
        assert_eq!(pause(Some(RETRY)), RETRY);
        assert_eq!(pause(Some(Duration::MAX)), LONGEST_PAUSE);
    }
}
