//! What is watched and what it wakes.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crds::{FLChain, FLClient, FLRound, FLTask};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kube::{
    Api, Client, Resource,
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt, predicates,
        reflector::{self, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::{
    chain::{ChainWake, Registry},
    context::{Context, Settings},
    reconcilers::{self, ClientApis},
    serve::Readiness,
    wakes::{self, Target},
};
use crate::cluster::Scope;

/// Between two looks at whether a cache is filled.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A watch cache and the end that fills it.
pub(super) struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    pub store: Store<K>,
    pub writer: Writer<K>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Cache<K> {
    fn new() -> Self {
        let (store, writer) = reflector::store();
        Self { store, writer }
    }
}

struct ScopeCaches {
    namespace: Option<String>,
    tasks: Cache<FLTask>,
    clients: Cache<FLClient>,
    rounds: Cache<FLRound>,
}

/// Caches of everything watched, before the watches run.
pub(super) struct Watches {
    chains: Cache<FLChain>,
    scopes: Vec<ScopeCaches>,
}

impl Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").field("scopes", &self.scopes.len()).finish()
    }
}

impl Watches {
    /// One scope a tenant namespace, or one for all.
    pub(super) fn new(settings: &Settings) -> Self {
        let namespaces: Vec<Option<String>> = if settings.tenant_namespaces.is_empty() {
            vec![None]
        } else {
            settings.tenant_namespaces.iter().cloned().map(Some).collect()
        };
        let scope = |namespace| ScopeCaches {
            namespace,
            tasks: Cache::new(),
            clients: Cache::new(),
            rounds: Cache::new(),
        };
        Self {
            chains: Cache::new(),
            scopes: namespaces.into_iter().map(scope).collect(),
        }
    }

    pub(super) fn chains(&self) -> Store<FLChain> {
        self.chains.store.clone()
    }

    pub(super) fn scopes(&self) -> Vec<Scope> {
        let scope = |s: &ScopeCaches| Scope {
            namespace: s.namespace.clone(),
            tasks: s.tasks.store.clone(),
            clients: s.clients.store.clone(),
            rounds: s.rounds.store.clone(),
        };
        self.scopes.iter().map(scope).collect()
    }
}

/// Runs every watch and reconcile until `stopping` turns true.
pub(super) async fn run_watches(
    watches: Watches,
    client: Client,
    ctx: Context,
    registry: Arc<Registry>,
    woken: mpsc::UnboundedReceiver<ChainWake>,
    readiness: Readiness,
    stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut running: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    let mut targets = Vec::new();
    await_cache(&running, &readiness, "FLChains", watches.chains.store.clone());
    for scope in watches.scopes {
        let name = scope.namespace.clone().unwrap_or_else(|| "all namespaces".to_owned());
        await_cache(
            &running,
            &readiness,
            &format!("FLTasks in {name}"),
            scope.tasks.store.clone(),
        );
        await_cache(
            &running,
            &readiness,
            &format!("FLClients in {name}"),
            scope.clients.store.clone(),
        );
        let (wake_tasks, tasks_woken) = futures::channel::mpsc::unbounded();
        let (wake_clients, clients_woken) = futures::channel::mpsc::unbounded();
        targets.push(Target {
            tasks: scope.tasks.store.clone(),
            clients: scope.clients.store.clone(),
            wake_tasks,
            wake_clients,
        });
        tokio::spawn(keep_rounds(scoped(&client, scope.namespace.as_deref()), scope.rounds));
        let tasks = scoped::<FLTask>(&client, scope.namespace.as_deref());
        let clients = ClientApis {
            clients: scoped(&client, scope.namespace.as_deref()),
            tasks: tasks.clone(),
            jobs: scoped(&client, scope.namespace.as_deref()),
            pods: scoped(&client, scope.namespace.as_deref()),
        };
        running.push(Box::pin(reconcilers::tasks(
            tasks,
            scope.tasks,
            tasks_woken,
            ctx.clone(),
            stopping.clone(),
        )));
        running.push(Box::pin(reconcilers::clients(
            clients,
            scope.clients,
            clients_woken,
            ctx.clone(),
            stopping.clone(),
        )));
    }
    running.push(Box::pin(reconcilers::chains(
        Api::all(client),
        watches.chains,
        ctx,
        registry,
        stopping.clone(),
    )));
    tokio::spawn(wakes::dispatch(woken, targets));
    // Each reconciler ends by itself once `stopping` is true.
    while running.next().await.is_some() {}
    Ok(())
}

fn await_cache<K>(
    running: &FuturesUnordered<BoxFuture<'static, ()>>,
    readiness: &Readiness,
    what: &str,
    store: Store<K>,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    readiness.set(what, false);
    let (readiness, what) = (readiness.clone(), what.to_owned());
    running.push(Box::pin(async move {
        // Asked again each second: the store keeps one waker, so of several that wait (the Controller does too) only the
        // last to ask is woken.
        while let Err(_elapsed) = tokio::time::timeout(LOOK_AGAIN, store.wait_until_ready()).await {}
        readiness.set(&what, true);
    }));
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Spec, finalizers and annotations wake; our own status writes do not.
pub(super) fn changes<K>(
    api: Api<K>,
    writer: Writer<K>,
) -> impl futures::Stream<Item = Result<K, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    use kube::runtime::Predicate;
    let interesting = predicates::generation
        .combine(predicates::finalizers)
        .combine(predicates::annotations);
    watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(interesting, Default::default())
}

async fn keep_rounds(api: Api<FLRound>, cache: Cache<FLRound>) {
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    stream
        .reflect(cache.writer)
        .for_each(|_| futures::future::ready(()))
        .await;
}
