//! From what happened on a chain to the objects it concerns.

use crds::{FLClient, FLTask};
use futures::channel::mpsc::UnboundedSender;
use kube::{
    ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::mpsc;

use super::chain::ChainWake;
use crate::chain::Wake;

/// The tasks and clients of one scope and how to wake them.
#[derive(Debug)]
pub(super) struct Target {
    pub tasks: Store<FLTask>,
    pub clients: Store<FLClient>,
    pub wake_tasks: UnboundedSender<ObjectRef<FLTask>>,
    pub wake_clients: UnboundedSender<ObjectRef<FLClient>>,
}

/// Forwards every wake to the reconciles it concerns, until the chains are gone.
pub(super) async fn dispatch(mut woken: mpsc::UnboundedReceiver<ChainWake>, targets: Vec<Target>) {
    while let Some(wake) = woken.recv().await {
        for target in &targets {
            wake_scope(&wake, target);
        }
    }
}

fn wake_scope(wake: &ChainWake, target: &Target) {
    for task in target.tasks.state() {
        let concerned = task.spec.chain_ref.name == wake.chain
            && match wake.wake {
                Wake::All => true,
                Wake::Task(contract) => task.status.as_ref().and_then(|s| s.contract) == Some(contract),
            };
        if !concerned {
            continue;
        }
        // A closed channel means this scope is shutting down.
        let _ = target.wake_tasks.unbounded_send(ObjectRef::from_obj(task.as_ref()));
        for client in clients_of(&task, &target.clients) {
            let _ = target.wake_clients.unbounded_send(client);
        }
    }
}

/// FLClients that refer to this task.
pub(super) fn clients_of(task: &FLTask, clients: &Store<FLClient>) -> Vec<ObjectRef<FLClient>> {
    clients
        .state()
        .iter()
        .filter(|c| c.namespace() == task.namespace() && c.spec.task_ref.name == task.name_any())
        .map(|c| ObjectRef::from_obj(c.as_ref()))
        .collect()
}
