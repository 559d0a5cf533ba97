//! What everybody stands on: the RPC node, the chain itself, the kubelet, the API server.

use std::time::Duration;

use alloy::providers::{Provider, ProviderBuilder};
use e2e::{
    devnet::NAMESPACE as DEVNET,
    node::Node,
    wait::{Look, until},
};

use super::play::{Play, committed, committing, joining, training};

#[tokio::test]
#[ignore = "takes the chain away from everybody: runs alone, by make chaos"]
async fn an_rpc_node_that_restarts_with_its_state_costs_nobody_a_duty() {
    let node = Node::of_kind().unwrap();
    let play = Play::start("rpc-restarted").await;
    // Once, at the worst moment: anvil makes a new block 0 at each start and writes it into its state beside the chain's
    // own, so that from the second restart on it is chance which of the two it serves, and the chain another one.
    let before = play.wait_for(committed(1)).await.block.number;
    let process = node.process_of(DEVNET, "anvil").unwrap();
    node.sh(&format!("kill -TERM {process}")).unwrap();
    until("the chain to go on", Duration::from_secs(90), || async {
        let now = play.devnet().snapshot(play.contract, None, &[]).await?.block.number;
        Ok(Look::when(now > before + 1, (), now))
    })
    .await
    .unwrap();
    play.end().await;
}

#[tokio::test]
#[ignore = "takes blocks away from everybody: runs alone, by make chaos"]
async fn a_reorg_that_drops_transactions_is_made_good() {
    let play = Play::start("reorganised").await;
    let provider = ProviderBuilder::new().connect_http(play.devnet().url().parse().unwrap());
    for (moment, depth) in [(joining(0), 3), (committing(1), 3), (committed(2), 2)] {
        let before = play.wait_for(moment).await;
        // The newest blocks again, without their transactions.
        let _: serde_json::Value = provider
            .raw_request("anvil_reorg".into(), (depth, [(); 0]))
            .await
            .unwrap();
        eprintln!(
            "{} blocks below {} replaced in {}",
            depth, before.block.number, moment.name
        );
    }
    play.end().await;
}

#[tokio::test]
#[ignore = "stops the kubelet: runs alone, by make chaos"]
async fn a_kubelet_that_stops_for_a_while_costs_nobody_a_duty() {
    let node = Node::of_kind().unwrap();
    let play = Play::start("kubelet-stopped").await;
    for moment in [training(0), committing(1)] {
        play.wait_for(moment).await;
        node.sh("systemctl stop kubelet; sleep 30; systemctl start kubelet")
            .unwrap();
    }
    play.end().await;
}

#[tokio::test]
#[ignore = "stops the API server: runs alone, by make chaos"]
async fn an_api_server_stopped_for_half_a_minute_costs_nobody_a_duty() {
    let node = Node::of_kind().unwrap();
    let play = Play::start("api-stopped").await;
    for moment in [training(0), committed(1)] {
        play.wait_for(moment).await;
        node.sh("cd /etc/kubernetes && mv manifests/kube-apiserver.yaml . && \
             while pgrep -x kube-apiserver >/dev/null; do sleep 0.2; done; sleep 30; \
             mv kube-apiserver.yaml manifests/")
            .unwrap();
        let answers = || async {
            node.sh("curl -ksf https://127.0.0.1:6443/readyz || wget -qO- --no-check-certificate https://127.0.0.1:6443/readyz")?;
            Ok(Look::Done(()))
        };
        until("the API server to be back", Duration::from_secs(120), answers)
            .await
            .unwrap();
    }
    play.end().await;
}
