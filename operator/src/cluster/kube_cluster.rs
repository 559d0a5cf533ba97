//! The real API server, through kube. Custom resources are read from watch caches, everything else directly.

use std::sync::Arc;

use async_trait::async_trait;
use crds::{FLChain, FLClient, FLRound, FLTask, names};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ObjectReference, Pod, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
    runtime::{
        events::{Event, EventType, Recorder, Reporter},
        reflector::{ObjectRef, Store},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{Cluster, ClusterError, Created, EventKind, FIELD_MANAGER, FINALIZER, Key, Note, written::Written};

/// Watch caches of one namespace, or of all.
#[derive(Debug, Clone)]
pub struct Scope {
    /// `None`: the whole cluster.
    pub namespace: Option<String>,
    pub tasks: Store<FLTask>,
    pub clients: Store<FLClient>,
    pub rounds: Store<FLRound>,
}

/// [`Cluster`] over a kube client and the controller's caches.
pub struct KubeCluster {
    client: Client,
    chains: Store<FLChain>,
    scopes: Vec<Scope>,
    recorder: Recorder,
    written_tasks: Written<FLTask>,
    written_clients: Written<FLClient>,
    written_rounds: Written<FLRound>,
}

impl std::fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeCluster")
            .field("scopes", &self.scopes.len())
            .finish_non_exhaustive()
    }
}

impl KubeCluster {
    /// `instance`: the pod's name, shown as the reporter of Events.
    pub fn new(client: Client, chains: Store<FLChain>, scopes: Vec<Scope>, instance: Option<String>) -> Self {
        let recorder = Recorder::new(
            client.clone(),
            Reporter {
                controller: FIELD_MANAGER.to_owned(),
                instance,
            },
        );
        Self {
            client,
            chains,
            scopes,
            recorder,
            written_tasks: Written::default(),
            written_clients: Written::default(),
            written_rounds: Written::default(),
        }
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn apply_status<K, S>(&self, api: Api<K>, name: &str, status: &S) -> Result<K, ClusterError>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
        S: Serialize + Sync,
    {
        let dt = K::DynamicType::default();
        let patch = json!({
            "apiVersion": K::api_version(&dt),
            "kind": K::kind(&dt),
            "status": status,
        });
        // Force: the status belongs to this operator alone, whoever wrote into it before.
        Ok(api
            .patch_status(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch))
            .await?)
    }

    async fn set_finalizer<K>(&self, key: &Key, present: bool) -> Result<(), ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = self.api(&key.namespace);
        let Some(object) = api.get_opt(&key.name).await? else {
            return Ok(());
        };
        let mut finalizers = object.finalizers().to_vec();
        let held = finalizers.iter().any(|f| f == FINALIZER);
        if held == present {
            return Ok(());
        }
        if present {
            finalizers.push(FINALIZER.to_owned());
        } else {
            finalizers.retain(|f| f != FINALIZER);
        }
        // The resourceVersion makes this a compare-and-swap: another controller's finalizer is never lost.
        let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()}});
        match api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn find<K>(scopes: &[Scope], key: &Key, store: impl Fn(&Scope) -> &Store<K>) -> Option<Arc<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
{
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    scopes.iter().find_map(|scope| store(scope).get(&reference))
}

async fn create<K>(api: Api<K>, object: &K) -> Result<Created, ClusterError>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    match api
        .create(
            &PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..Default::default()
            },
            object,
        )
        .await
    {
        Ok(_) => Ok(Created::New),
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(Created::Existed),
        Err(error) => Err(error.into()),
    }
}

async fn delete<K>(api: Api<K>, name: &str) -> Result<(), ClusterError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    async fn chain(&self, name: &str) -> Result<Option<Arc<FLChain>>, ClusterError> {
        Ok(self.chains.get(&ObjectRef::new(name)))
    }

    async fn task(&self, key: &Key) -> Result<Option<Arc<FLTask>>, ClusterError> {
        Ok(self.written_tasks.newest(key, find(&self.scopes, key, |s| &s.tasks)))
    }

    async fn client(&self, key: &Key) -> Result<Option<Arc<FLClient>>, ClusterError> {
        Ok(self
            .written_clients
            .newest(key, find(&self.scopes, key, |s| &s.clients)))
    }

    async fn tasks(&self) -> Result<Vec<Arc<FLTask>>, ClusterError> {
        Ok(self.scopes.iter().flat_map(|s| s.tasks.state()).collect())
    }

    async fn clients(&self) -> Result<Vec<Arc<FLClient>>, ClusterError> {
        Ok(self.scopes.iter().flat_map(|s| s.clients.state()).collect())
    }

    async fn rounds(&self, task: &Key) -> Result<Vec<Arc<FLRound>>, ClusterError> {
        Ok(self
            .scopes
            .iter()
            .flat_map(|s| s.rounds.state())
            .filter(|round| {
                round.namespace().as_deref() == Some(task.namespace.as_str())
                    && round.labels().get(names::LABEL_TASK) == Some(&task.name)
            })
            .filter_map(|round| {
                let key = Key::new(&task.namespace, round.name_any());
                self.written_rounds.newest(&key, Some(round))
            })
            .collect())
    }

    async fn apply_chain_status(&self, name: &str, status: &crds::FLChainStatus) -> Result<(), ClusterError> {
        self.apply_status(Api::<FLChain>::all(self.client.clone()), name, status)
            .await
            .map(drop)
    }

    async fn apply_task_status(&self, key: &Key, status: &crds::FLTaskStatus) -> Result<(), ClusterError> {
        let written = self
            .apply_status(self.api::<FLTask>(&key.namespace), &key.name, status)
            .await?;
        self.written_tasks.put(key, written);
        Ok(())
    }

    async fn apply_client_status(&self, key: &Key, status: &crds::FLClientStatus) -> Result<(), ClusterError> {
        let written = self
            .apply_status(self.api::<FLClient>(&key.namespace), &key.name, status)
            .await?;
        self.written_clients.put(key, written);
        Ok(())
    }

    async fn apply_round(&self, round: &FLRound) -> Result<(), ClusterError> {
        let namespace = round.namespace().unwrap_or_default();
        let name = round.name_any();
        let api = self.api::<FLRound>(&namespace);
        let mut bare = round.clone();
        bare.status = None;
        api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&bare))
            .await?;
        match &round.status {
            Some(status) => {
                let written = self.apply_status(api, &name, status).await?;
                self.written_rounds.put(&Key::new(namespace, name), written);
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn delete_round(&self, key: &Key) -> Result<(), ClusterError> {
        self.written_rounds.forget(key);
        delete(self.api::<FLRound>(&key.namespace), &key.name).await
    }

    async fn set_task_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.set_finalizer::<FLTask>(key, present).await
    }

    async fn set_client_finalizer(&self, key: &Key, present: bool) -> Result<(), ClusterError> {
        self.set_finalizer::<FLClient>(key, present).await
    }

    async fn jobs(&self, client: &Key) -> Result<Vec<Arc<Job>>, ClusterError> {
        let selector = ListParams::default().labels(&format!("{}={}", names::LABEL_CLIENT, client.name));
        let list = self.api::<Job>(&client.namespace).list(&selector).await?;
        Ok(list.items.into_iter().map(Arc::new).collect())
    }

    async fn pods(&self, job: &Key) -> Result<Vec<Arc<Pod>>, ClusterError> {
        let selector = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", job.name));
        let mut pods = self.api::<Pod>(&job.namespace).list(&selector).await?.items;
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.creation_timestamp().map(|t| t.0)));
        Ok(pods.into_iter().map(Arc::new).collect())
    }

    async fn create_job(&self, namespace: &str, job: &Job) -> Result<Created, ClusterError> {
        create(self.api::<Job>(namespace), job).await
    }

    async fn delete_job(&self, job: &Key) -> Result<(), ClusterError> {
        delete(self.api::<Job>(&job.namespace), &job.name).await
    }

    async fn secret(&self, key: &Key) -> Result<Option<Secret>, ClusterError> {
        Ok(self.api::<Secret>(&key.namespace).get_opt(&key.name).await?)
    }

    async fn create_secret(&self, namespace: &str, secret: &Secret) -> Result<Created, ClusterError> {
        create(self.api::<Secret>(namespace), secret).await
    }

    async fn delete_secret(&self, key: &Key) -> Result<(), ClusterError> {
        delete(self.api::<Secret>(&key.namespace), &key.name).await
    }

    async fn publish(&self, about: &ObjectReference, note: &Note) -> Result<(), ClusterError> {
        let event = Event {
            type_: match note.kind {
                EventKind::Normal => EventType::Normal,
                EventKind::Warning => EventType::Warning,
            },
            reason: note.reason.clone(),
            note: Some(note.message.clone()),
            action: note.action.clone(),
            secondary: None,
        };
        Ok(self.recorder.publish(&event, about).await?)
    }
}
