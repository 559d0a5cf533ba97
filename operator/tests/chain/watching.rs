//! Heads, wakes and health.

use std::time::Duration;

use alloy::primitives::B256;
use operator::chain::{Chain, ChainHealth, ChainHub, Wake};
use protocol::{action::Transaction, types::Address};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::devnet::{Counting, Devnet, PATIENCE, tokens, until};

async fn health(hub: &ChainHub, want: impl Fn(&ChainHealth) -> bool) -> ChainHealth {
    let mut health = hub.health();
    let found = tokio::time::timeout(PATIENCE, health.wait_for(|h| want(h))).await;
    found.expect("the health awaited").expect("a watcher").clone()
}

async fn woken(wakes: &mut Receiver<Wake>, want: Wake) {
    let wait = async { while wakes.recv().await.expect("a wake") != want {} };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("no {want:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_woken_when_something_happens_to_it_and_again_when_that_is_confirmed() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let mut wakes = hub.wakes();
    let task = net.task(&hub).await;
    health(&hub, ChainHealth::usable).await;
    hub.watch(task);
    hub.watch(Address::repeat_byte(1));
    let sender = hub.sender(&net.key(1));
    sender
        .send(
            task,
            &Transaction::Approve {
                token: net.token,
                amount: tokens(64),
            },
            None,
        )
        .await
        .unwrap();
    sender
        .send(task, &Transaction::Stake { amount: tokens(64) }, None)
        .await
        .unwrap();
    woken(&mut wakes, Wake::Task(task)).await;
    net.mine(2).await;
    woken(&mut wakes, Wake::Task(task)).await;
    // An idle task is left alone.
    net.mine(3).await;
    let quiet = tokio::time::timeout(Duration::from_secs(1), woken(&mut wakes, Wake::Task(task))).await;
    assert!(quiet.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_wakes_everything() {
    let net = Devnet::bare(&[]);
    net.mine(5).await;
    let hub = net.hub().await;
    health(&hub, ChainHealth::usable).await;
    let mut wakes = hub.wakes();
    let _: Value = net.node("anvil_reorg", json!([3, []])).await;
    woken(&mut wakes, Wake::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_chain_is_told_from_a_wrong_genesis_and_from_nobody() {
    let net = Devnet::bare(&[]);
    let right = net.hub_config().await;

    let mut config = right.clone();
    config.identity.chain_id = 1;
    let found = health(&net.open(config), |h| h.reason() != "Connecting").await;
    assert_eq!(
        found,
        ChainHealth::WrongChainId {
            expected: 1,
            found: 31337
        }
    );

    let mut config = right.clone();
    config.identity.genesis_hash = B256::repeat_byte(1);
    let found = health(&net.open(config), |h| h.reason() != "Connecting").await;
    let expected = ChainHealth::WrongGenesis {
        expected: B256::repeat_byte(1),
        found: right.identity.genesis_hash,
    };
    assert_eq!(found, expected);

    let mut config = right.clone();
    config.urls = vec!["http://127.0.0.1:9/secret-api-key".parse().unwrap()];
    let hub = net.open(config);
    let found = health(&hub, |h| h.reason() != "Connecting").await;
    assert!(matches!(found, ChainHealth::RpcUnreachable { .. }), "{found:?}");
    assert!(
        !found.to_string().contains("secret-api-key") && found.to_string().contains("127.0.0.1:9"),
        "{found}"
    );
    assert_eq!(hub.endpoint(), None);

    let hub = net.open(right);
    assert!(health(&hub, |h| h.reason() != "Connecting").await.usable());
    assert!(hub.endpoint().unwrap().starts_with("localhost") || hub.endpoint().unwrap().starts_with("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_from_the_chains_is_said_and_the_chain_stays_usable() {
    let net = Devnet::bare(&[]);
    let _: Value = net.node("evm_increaseTime", json!([7200])).await;
    net.mine(1).await;
    let hub = net.hub().await;
    let found = health(&hub, |h| h.reason() != "Connecting").await;
    assert!(
        matches!(
            found,
            ChainHealth::ClockSkew {
                ahead_seconds: 7000..7300,
                ..
            }
        ),
        "{found:?}"
    );
    assert!(found.usable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_and_comes_back_is_noticed_both_times() {
    let net = Devnet::bare(&[]);
    let config = net.hub_config().await;
    let port = config.urls[0].port().unwrap();
    let hub = net.open(config.clone());
    health(&hub, ChainHealth::usable).await;
    let genesis: Value = net.node("eth_getBlockByNumber", json!(["0x0", false])).await;
    drop(net);
    let found = health(&hub, |h| !h.usable()).await;
    assert!(matches!(found, ChainHealth::RpcUnreachable { .. }), "{found:?}");
    // Another node at the same address is another chain unless it has the same genesis.
    let time = u64::from_str_radix(genesis["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let again = Devnet::at_port(port, &["--timestamp", &time.to_string()]);
    assert_eq!(again.identity().await, config.identity);
    health(&hub, ChainHealth::usable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_block_costs_one_log_query_however_many_tasks_are_watched() {
    let net = Devnet::bare(&[]);
    net.mine(1).await;
    let counting = Counting::new(net.transport());
    let hub = net.open_over(net.hub_config().await, vec![counting.clone()]);
    for n in 0..40 {
        hub.watch(Address::repeat_byte(n));
    }
    health(&hub, ChainHealth::usable).await;
    counting.take();
    net.mine(1).await;
    let calls = until("a log query", async || {
        let calls = counting.take();
        calls.contains_key("eth_getLogs").then_some(calls)
    })
    .await;
    assert_eq!(calls["eth_getLogs"], 1, "{calls:?}");
    let others = calls
        .keys()
        .filter(|m| !["eth_getLogs", "eth_getBlockByNumber"].contains(&m.as_str()))
        .count();
    assert_eq!(others, 0, "{calls:?}");
}
