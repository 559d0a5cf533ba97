//! Events about an FLClient: once per transition, and one for every transaction and Job. Best effort.

use crds::{
    FLClient, FLClientStatus,
    conditions::{self, types},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use protocol::{
    action::{JobRequest, Transaction},
    types::Timestamp,
};

use crate::{
    chain::Mined,
    cluster::{Cluster, EventKind, Note},
};

/// Events about one client.
pub(super) struct Events<'a> {
    cluster: &'a dyn Cluster,
    about: ObjectReference,
}

impl<'a> Events<'a> {
    pub(super) fn new(cluster: &'a dyn Cluster, client: &FLClient) -> Self {
        Self {
            cluster,
            about: client.object_ref(&()),
        }
    }

    pub(super) async fn sent(&self, transaction: &Transaction, mined: &Mined) {
        let message = format!(
            "{} in block {}, transaction {}",
            transaction.name(),
            mined.block,
            mined.transaction
        );
        self.normal("TransactionMined", transaction.name(), message).await
    }

    pub(super) async fn job_started(&self, name: &str, request: &JobRequest) {
        let message = format!("Job {name} for round {}", request.identity.round);
        self.normal("JobStarted", request.identity.step.as_str(), message).await
    }

    /// What the status says newly: another reason of `Ready`, a duty at risk, a removed account.
    pub(super) async fn transitions(&self, before: &FLClientStatus, now: &FLClientStatus) {
        for type_ in [types::READY, types::PREFLIGHT, types::DUTY_AT_RISK] {
            let Some(new) = conditions::find(&now.conditions, type_) else {
                continue;
            };
            let old = conditions::find(&before.conditions, type_);
            if old.is_some_and(|old| old.reason == new.reason && old.status == new.status) || new.status == "Unknown" {
                continue;
            }
            let bad = if type_ == types::DUTY_AT_RISK { "True" } else { "False" };
            // The same trouble is said once, on Ready; being on the way is no trouble.
            let repeated = type_ != types::READY
                && conditions::find(&now.conditions, types::READY).is_some_and(|ready| ready.message == new.message);
            if repeated {
                continue;
            }
            let on_the_way = type_ == types::READY && conditions::is_true(&now.conditions, types::RECONCILING);
            let harmless =
                ["Checking", "InProgress", "Waiting", "Deleting", "Suspended"].contains(&new.reason.as_str());
            let kind = if new.status == bad && !(on_the_way && harmless) {
                EventKind::Warning
            } else {
                EventKind::Normal
            };
            self.publish(kind, &new.reason, type_, new.message.clone()).await;
        }
    }

    /// The last word about a client that goes: who it was, what is left, how to get it.
    pub(super) async fn released(&self, abandoned: bool, message: String) {
        let kind = if abandoned {
            EventKind::Warning
        } else {
            EventKind::Normal
        };
        self.publish(kind, "ClientReleased", "Delete", message).await
    }

    pub(super) async fn missed(&self, round: u32, duty: &str) {
        let message = format!("round {round}: {duty} was not done in time");
        self.publish(EventKind::Warning, conditions::reason::NOT_FINISHED, "Missed", message)
            .await
    }

    async fn normal(&self, reason: &str, action: &str, message: String) {
        self.publish(EventKind::Normal, reason, action, message).await
    }

    /// An Event is worth no retry: what it says also stands in the status or on chain, and a namespace that is going away
    /// takes none.
    async fn publish(&self, kind: EventKind, reason: &str, action: &str, message: String) {
        let note = Note {
            kind,
            reason: reason.to_owned(),
            action: action.to_owned(),
            message,
        };
        if let Err(error) = self.cluster.publish(&self.about, &note).await {
            tracing::warn!(category = error.category(), %error, reason, "an Event was lost");
        }
    }
}

/// Since when the preflight has been failing; `None` if it has not.
pub(super) fn failing_since(client: &FLClient) -> Option<Timestamp> {
    let condition = conditions::find(&client.status.as_ref()?.conditions, types::PREFLIGHT)?;
    let since = u64::try_from(condition.last_transition_time.0.as_second()).ok()?;
    (condition.status == "False").then_some(Timestamp(since))
}
