//! An RPC node that stands still while its chain goes on: a fork of the devnet that mines nothing.

use std::time::Duration;

use e2e::{
    cluster::apply,
    devnet::{Devnet, NAMESPACE as DEVNET},
    env,
    manifests::{TaskShape, list},
    shell::kubectl,
    task::Team,
    wait::{Look, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::{
    chain_input::{chain, chain_says, rpc_secret},
    lab::{TINY, lab},
};

const NAME: &str = "lagging";
const SOON: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_node_that_stands_still_is_said_and_costs_nothing_and_a_second_endpoint_mends_it() {
    let (lab, kube) = lab().await;
    let team = Team::new(&kube, NAME, "waits", TINY, 0, TaskShape::tiny(1, 2));
    // Before the node stops: it knows the creator's money, so only its standing still is in the way.
    team.fund(&lab.devnet).await.unwrap();
    let node = stand_still(&kube, &lab.devnet).await;
    apply(&list(vec![rpc_secret(lab, NAME, &node), chain(NAME, lab, NAME)])).unwrap();
    let message = chain_says(&kube, NAME, "RpcLagging").await;
    assert!(message.contains("stand still"), "{message}");

    let mut objects = team.ground(&lab.devnet);
    let mut task = team.task_manifest(&lab.devnet);
    task["spec"]["chainRef"]["name"] = json!(NAME);
    objects.push(task);
    apply(&list(objects)).unwrap();
    team.task_says("Ready", "Creating", SOON).await.unwrap();
    assert_eq!(team.task_object().await.unwrap().status.unwrap().contract, None);
    assert_eq!(lab.devnet.nonce(team.creator.address()).await.unwrap(), 0);

    // The good one second: that it is ahead is found, not said.
    let both = format!("{node}\n{}", lab.devnet.cluster_url());
    apply(&rpc_secret(lab, NAME, &both)).unwrap();
    chain_says(&kube, NAME, "Available").await;
    team.task_says("Ready", "Running", SOON).await.unwrap();
    assert_eq!(
        lab.devnet.nonce(team.creator.address()).await.unwrap(),
        2,
        "an approval and one createTask"
    );
    kubectl(&["-n", NAME, "delete", "fltask", "waits"]).unwrap();
    kubectl(&["delete", "flchain", NAME]).unwrap();
}

/// Starts the node and gives its URL as pods reach it.
async fn stand_still(kube: &Client, devnet: &Devnet) -> String {
    apply(&pod(devnet)).unwrap();
    let pods: Api<Pod> = Api::namespaced(kube.clone(), DEVNET);
    let address = until("the node that stands still to answer", SOON, || async {
        let status = pods.get(NAME).await?.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|c| c.type_ == "Ready" && c.status == "True");
        Ok(match (ready, status.pod_ip) {
            (true, Some(address)) => Look::Done(address),
            (_, address) => Look::Not(format!("{:?} at {address:?}", status.phase)),
        })
    });
    format!("http://{}:8545", address.await.unwrap())
}

fn pod(devnet: &Devnet) -> Value {
    let chain = devnet.deployment.chain_id;
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": DEVNET, "name": NAME},
        "spec": {
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "anvil", "image": env::image("devnet"), "imagePullPolicy": env::pull_policy(),
                "command": ["/usr/local/bin/anvil", "--host=0.0.0.0", "--no-mining", "--quiet", "--cache-path=/tmp"],
                "args": [format!("--fork-url={}", devnet.cluster_url()), format!("--chain-id={chain}")],
                "env": [{"name": "HOME", "value": "/tmp"}],
                "readinessProbe": {"tcpSocket": {"port": 8545}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    })
}
