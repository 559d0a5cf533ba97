//! A task with its clients in a namespace of their own: what a user would prepare, apply and watch.

use std::{collections::BTreeMap, time::Duration};

use alloy::primitives::Address;
use anyhow::{Context, Result};
use crds::{FLClient, FLRound, FLTask};
use kube::{Api, Client, ResourceExt, api::ListParams};
use protocol::types::Phase;
use serde_json::Value;

use crate::{
    cluster,
    devnet::Devnet,
    env,
    key::TestKey,
    manifests::{self, TaskShape, list, signing_key},
    wait::{Look, until},
};

/// Name of the Secret of the task's creator.
pub const CREATOR: &str = "creator";

/// One client to be.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub key: TestKey,
    /// Which client folder of the data set it reads.
    pub data: usize,
}

/// A namespace with a task and its clients.
#[derive(Clone)]
pub struct Team {
    pub namespace: String,
    pub task: String,
    pub shape: TaskShape,
    /// Name of the data set, which must be in the depot.
    pub set: String,
    pub creator: TestKey,
    pub members: Vec<Member>,
    client: Client,
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team")
            .field("namespace", &self.namespace)
            .field("task", &self.task)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Team {
    /// Nothing is applied yet. Clients are `client-0`, `client-1`, ... on the data folders of the same numbers.
    pub fn new(client: &Client, namespace: &str, task: &str, set: &str, clients: usize, shape: TaskShape) -> Self {
        let members = (0..clients).map(|data| Member {
            name: format!("client-{data}"),
            key: TestKey::random(),
            data,
        });
        Self {
            namespace: namespace.to_owned(),
            task: task.to_owned(),
            shape,
            set: set.to_owned(),
            creator: TestKey::random(),
            members: members.collect(),
            client: client.clone(),
        }
    }

    /// Tokens and coins for everybody, and the right to create for the creator.
    pub async fn fund(&self, devnet: &Devnet) -> Result<()> {
        let mut accounts = self.addresses();
        accounts.push(self.creator.address());
        let most = self.shape.entry_stake.max(self.shape.reward_pool);
        devnet.fund(&accounts, most).await?;
        devnet.allow_creator(self.creator.address()).await
    }

    pub fn addresses(&self) -> Vec<Address> {
        self.members.iter().map(|m| m.key.address()).collect()
    }

    /// Secrets and data volume: what is there before task and clients.
    pub fn ground(&self, devnet: &Devnet) -> Vec<Value> {
        let mut objects = devnet.depot.volume(&self.namespace, "data", &self.set, "ReadOnlyMany");
        objects.push(signing_key(&self.namespace, CREATOR, &self.creator));
        objects.extend(
            self.members
                .iter()
                .map(|m| signing_key(&self.namespace, &m.name, &m.key)),
        );
        objects
    }

    /// The FLTask that creates the contract.
    pub fn task_manifest(&self, devnet: &Devnet) -> Value {
        let salt = format!("{:#066x}", 1);
        manifests::created_task(&self.namespace, &self.task, devnet.manager(), &salt, &self.shape)
    }

    /// The FLClient of a member.
    pub fn client_manifest(&self, member: &Member) -> Value {
        manifests::client(
            &self.namespace,
            &member.name,
            &self.task,
            self.shape.entry_stake,
            member.data,
            &env::image("trainer"),
        )
    }

    /// Everything a user applies: Secrets and volume, task, clients.
    pub fn manifests(&self, devnet: &Devnet) -> Value {
        let mut objects = self.ground(devnet);
        objects.push(self.task_manifest(devnet));
        objects.extend(self.members.iter().map(|m| self.client_manifest(m)));
        list(objects)
    }

    /// Funds and applies all of it.
    pub async fn start(&self, devnet: &Devnet) -> Result<()> {
        self.fund(devnet).await?;
        cluster::apply(&self.manifests(devnet))
    }

    pub fn tasks(&self) -> Api<FLTask> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn clients(&self) -> Api<FLClient> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn rounds(&self) -> Api<FLRound> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Of any kind in the team's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn task_object(&self) -> Result<FLTask> {
        Ok(self.tasks().get(&self.task).await?)
    }

    pub async fn client_object(&self, name: &str) -> Result<FLClient> {
        Ok(self.clients().get(name).await?)
    }

    /// The task's FLRounds, by round.
    pub async fn round_objects(&self) -> Result<Vec<FLRound>> {
        let all = self.rounds().list(&ListParams::default()).await?;
        let mut rounds: Vec<FLRound> = all
            .items
            .into_iter()
            .filter(|r| r.spec.task_ref.name == self.task)
            .collect();
        rounds.sort_by_key(|r| r.spec.round);
        Ok(rounds)
    }

    /// Waits until the contract exists.
    pub async fn contract(&self) -> Result<Address> {
        until(
            &format!("FLTask {}/{} to have a contract", self.namespace, self.task),
            Duration::from_secs(90),
            || async {
                let task = self.task_object().await?;
                let contract = task.status.as_ref().and_then(|s| s.contract);
                Ok(match contract {
                    Some(address) => Look::Done(address),
                    None => Look::Not(task_line(&task)),
                })
            },
        )
        .await
    }

    /// Waits until the task has ended.
    pub async fn ended(&self, limit: Duration) -> Result<FLTask> {
        self.task_until("to end", limit, |task| phase(task) == Some(Phase::Ended))
            .await
    }

    /// Waits until the task's status is as wanted.
    pub async fn task_until(&self, what: &str, limit: Duration, wanted: impl Fn(&FLTask) -> bool) -> Result<FLTask> {
        until(
            &format!("FLTask {}/{} {what}", self.namespace, self.task),
            limit,
            || async {
                let task = self.task_object().await?;
                if wanted(&task) {
                    return Ok(Look::Done(task));
                }
                let clients = self.clients().list(&ListParams::default()).await?;
                let clients: Vec<String> = clients.iter().map(client_line).collect();
                Ok(Look::Not(format!("{}\n  {}", task_line(&task), clients.join("\n  "))))
            },
        )
        .await
    }

    /// Waits until a client's status is as wanted.
    pub async fn client_until(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&FLClient) -> bool,
    ) -> Result<FLClient> {
        until(&format!("FLClient {}/{name} {what}", self.namespace), limit, || async {
            let client = self.client_object(name).await?;
            Ok(if wanted(&client) {
                Look::Done(client)
            } else {
                Look::Not(client_line(&client))
            })
        })
        .await
    }

    /// Waits until a client has a condition with this reason, and gives its message.
    pub async fn client_says(&self, name: &str, type_: &str, reason: &str, limit: Duration) -> Result<String> {
        let client = self
            .client_until(name, &format!("to say {type_} {reason}"), limit, |c| {
                condition(
                    &c.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default(),
                    type_,
                    reason,
                )
                .is_some()
            })
            .await?;
        let conditions = client.status.map(|s| s.conditions).unwrap_or_default();
        condition(&conditions, type_, reason).context("the condition went away")
    }

    /// Waits until the task has a condition with this reason, and gives its message.
    pub async fn task_says(&self, type_: &str, reason: &str, limit: Duration) -> Result<String> {
        let task = self
            .task_until(&format!("to say {type_} {reason}"), limit, |t| {
                condition(
                    &t.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default(),
                    type_,
                    reason,
                )
                .is_some()
            })
            .await?;
        let conditions = task.status.map(|s| s.conditions).unwrap_or_default();
        condition(&conditions, type_, reason).context("the condition went away")
    }

    /// Names of the members by address.
    pub fn names(&self) -> BTreeMap<Address, String> {
        self.members.iter().map(|m| (m.key.address(), m.name.clone())).collect()
    }
}

/// The message of a condition that has this type and reason.
pub fn condition(conditions: &[crds::Condition], type_: &str, reason: &str) -> Option<String> {
    let found = conditions.iter().find(|c| c.type_ == type_ && c.reason == reason);
    found.map(|c| c.message.clone())
}

pub fn phase(task: &FLTask) -> Option<Phase> {
    task.status.as_ref()?.phase
}

fn said(conditions: Option<&Vec<crds::Condition>>) -> String {
    let all = conditions.into_iter().flatten();
    all.map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
        .collect::<Vec<_>>()
        .join(" | ")
}

/// A task in one line, for messages of waits that ran out.
pub fn task_line(task: &FLTask) -> String {
    let status = task.status.as_ref();
    format!(
        "{}: phase {:?}, round {:?}; {}",
        task.name_any(),
        status.and_then(|s| s.phase),
        status.and_then(|s| s.round),
        said(status.map(|s| &s.conditions))
    )
}

/// A client in one line.
pub fn client_line(client: &FLClient) -> String {
    let status = client.status.as_ref();
    format!(
        "{}: role {:?}, step {:?}, stopped {:?}; {}",
        client.name_any(),
        status.and_then(|s| s.role),
        status.and_then(|s| s.step.as_deref()),
        status.and_then(|s| s.stopped.as_deref()),
        said(status.map(|s| &s.conditions))
    )
}
