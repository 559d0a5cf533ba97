//! The sender where it hurts.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy::primitives::{U64, U256};
use operator::chain::{
    Chain, ChainError, Mined, SigningKey, TaskSender,
    calls::{Call, approve},
};
use protocol::{
    action::Transaction,
    types::{Address, B256, ModelHash, Round, RoundDigest, Timestamp},
};
use serde_json::{Value, json};

use crate::devnet::{Devnet, until};

const GWEI: u64 = 1_000_000_000;

/// A call that any chain takes, told from others by `n`.
fn call(n: u64) -> Call {
    Call {
        to: Address::repeat_byte(0x77),
        data: n.to_be_bytes().to_vec(),
    }
}

async fn pending(net: &Devnet, account: Address) -> u64 {
    net.nonce(account, "pending").await - net.nonce(account, "latest").await
}

async fn wait_pending(net: &Devnet, account: Address) {
    until("a transaction in the pool", async || {
        (pending(net, account).await > 0).then_some(())
    })
    .await;
}

/// A transaction of the account that does not come from our sender.
async fn foreign(net: &Devnet, account: Address, extra: Value) -> B256 {
    let mut transaction = json!({"from": account, "to": account, "value": "0x1", "gas": "0x5208"});
    for (key, value) in extra.as_object().unwrap() {
        transaction[key] = value.clone();
    }
    net.node("eth_sendTransaction", json!([transaction])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_of_one_key_go_one_after_the_other_whoever_asks() {
    let net = Devnet::with_contracts().await;
    let (one, two) = (net.hub().await, net.hub().await);
    let sender = net.sender(&one, 1);
    assert!(
        Arc::ptr_eq(&sender, &net.sender(&two, 1)),
        "one key, one sender, also over two hubs"
    );
    let sends = (1..=6).map(|n| {
        let sender = if n % 2 == 0 {
            net.sender(&one, 1)
        } else {
            net.sender(&two, 1)
        };
        let call = approve(net.token, Address::repeat_byte(5), U256::from(n));
        tokio::spawn(async move { sender.send_call(call, "approve", None).await })
    });
    let mut hashes = Vec::new();
    for send in sends.collect::<Vec<_>>() {
        let mined = send.await.unwrap().unwrap();
        assert!(mined.success);
        hashes.push(mined.transaction);
    }
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 6);
    assert_eq!(net.nonce(sender.address(), "latest").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_would_revert_costs_nothing_and_names_the_reason() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let task = net.task(&hub).await;
    let sender = hub.sender(&net.key(2));
    let before: U256 = net.node("eth_getBalance", json!([sender.address(), "latest"])).await;
    let contribute = Transaction::Contribute {
        round: Round(0),
        draw_digest: RoundDigest::ZERO,
        model: ModelHash(B256::repeat_byte(1)),
    };
    let error = sender.send(task, &contribute, None).await.unwrap_err();
    assert!(
        matches!(&error, ChainError::Reverted { reason } if reason == "WrongPhase(0)"),
        "{error:?}"
    );
    let error = sender
        .send(
            task,
            &Transaction::JoinRound {
                round: Round(0),
                sample_count: 5,
            },
            None,
        )
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ChainError::Reverted { reason } if reason.starts_with("StakeTooSmall(")),
        "{error:?}"
    );
    assert_eq!(net.nonce(sender.address(), "pending").await, 0);
    assert_eq!(
        net.node::<U256>("eth_getBalance", json!([sender.address(), "latest"]))
            .await,
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_pay_is_told_before_anything_is_sent() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    let poor = SigningKey::from_text(&[b'7'; 64]).unwrap();
    let error = hub
        .evm_sender(&poor)
        .send_call(call(1), "test", None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ChainError::LowFunds { balance, .. } if balance == "0"),
        "{error:?}"
    );
    assert_eq!(net.nonce(poor.address(), "pending").await, 0);
}

/// Mines, slowly enough for the sender to see each block, until `done`.
async fn mine_until<T>(net: &Devnet, handle: &tokio::task::JoinHandle<T>) {
    until("an answer", async || {
        net.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        handle.is_finished().then_some(())
    })
    .await;
}

fn sending(
    net: &Devnet,
    hub: &operator::chain::ChainHub,
    n: u64,
) -> tokio::task::JoinHandle<Result<Mined, ChainError>> {
    let sender = net.sender(hub, 1);
    tokio::spawn(async move { sender.send_call(call(n), "test", None).await })
}

async fn offered(net: &Devnet, mined: &Mined) -> U256 {
    let transaction: Value = net.node("eth_getTransactionByHash", json!([mined.transaction])).await;
    serde_json::from_value(transaction["maxFeePerGas"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_transaction_is_replaced_at_the_same_nonce_by_a_higher_offer() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.mine(1).await;
    net.automine(false).await;
    let address = net.key(1).address();
    let send = sending(&net, &hub, 1);
    wait_pending(&net, address).await;
    let pool = async || -> U256 {
        let pool: Value = net.node("txpool_content", json!([])).await;
        let account = format!("{address:?}").to_lowercase();
        let own = pool["pending"]
            .as_object()
            .unwrap()
            .iter()
            .find(|(k, _)| k.to_lowercase() == account)
            .unwrap()
            .1;
        serde_json::from_value(own["0"]["maxFeePerGas"].clone()).unwrap()
    };
    let first = pool().await;
    until("a higher offer in the pool", async || {
        // No room for its gas limit in this block; the pool takes replacements all the same.
        net.block_gas(22_000).await;
        net.mine(1).await;
        net.block_gas(30_000_000).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        (pool().await > first).then_some(())
    })
    .await;
    mine_until(&net, &send).await;
    let mined = send.await.unwrap().unwrap();
    assert!(mined.success);
    assert!(offered(&net, &mined).await * U256::from(10) >= first * U256::from(11));
    assert_eq!(net.nonce(address, "latest").await, 1, "one nonce for all offers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_dropped_because_blocks_became_dearer_is_offered_for_more() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.mine(1).await;
    net.automine(false).await;
    let address = net.key(1).address();
    let send = sending(&net, &hub, 1);
    wait_pending(&net, address).await;
    net.base_fee(8 * GWEI).await;
    net.mine(1).await;
    assert_eq!(
        net.nonce(address, "latest").await,
        0,
        "the first offer is too low for this block"
    );
    mine_until(&net, &send).await;
    let mined = send.await.unwrap().unwrap();
    assert!(mined.success && offered(&net, &mined).await > U256::from(8 * GWEI));
    assert_eq!(net.nonce(address, "latest").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_pending_transaction_is_waited_for() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let address = sender.address();
    foreign(&net, address, json!({})).await;
    wait_pending(&net, address).await;
    let send = sending(&net, &hub, 1);
    tokio::time::timeout(
        Duration::from_secs(1),
        until("a second one", async || {
            (pending(&net, address).await > 1).then_some(())
        }),
    )
    .await
    .expect_err("nothing is sent on top of it");
    net.automine(true).await;
    net.mine(1).await;
    let mined = send.await.unwrap().unwrap();
    assert!(mined.success);
    assert_eq!(net.nonce(address, "latest").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_foreign_transaction_is_said_and_a_duty_with_a_deadline_takes_its_nonce() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.mine(1).await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let address = sender.address();
    foreign(&net, address, json!({"gas": U64::from(5_000_000)})).await;
    wait_pending(&net, address).await;
    // No block has room for it from now on.
    net.block_gas(1_000_000).await;
    net.mine(1).await;
    assert_eq!(
        (net.nonce(address, "latest").await, pending(&net, address).await),
        (0, 1)
    );
    let poke = sending(&net, &hub, 1);
    mine_until(&net, &poke).await;
    let said = ChainError::ForeignPending {
        address: address.to_string(),
        nonce: 0,
    };
    assert_eq!(poke.await.unwrap().unwrap_err(), said);
    let duty = tokio::spawn(async move { sender.send_call(call(2), "test", Some(Timestamp(u64::MAX))).await });
    mine_until(&net, &duty).await;
    let mined = duty.await.unwrap().unwrap();
    assert!(mined.success);
    assert_eq!(net.nonce(address, "latest").await, 1);
    let transaction: Value = net.node("eth_getTransactionByHash", json!([mined.transaction])).await;
    assert_eq!(transaction["nonce"], "0x0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_replaced_by_somebody_else_is_sent_anew_at_the_next_nonce() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let address = sender.address();
    let send = sending(&net, &hub, 1);
    wait_pending(&net, address).await;
    let price = U64::from(50 * GWEI);
    foreign(
        &net,
        address,
        json!({"nonce": "0x0", "maxFeePerGas": price, "maxPriorityFeePerGas": price}),
    )
    .await;
    net.mine(1).await;
    assert_eq!(net.nonce(address, "latest").await, 1);
    mine_until(&net, &send).await;
    let mined = send.await.unwrap().unwrap();
    let transaction: Value = net.node("eth_getTransactionByHash", json!([mined.transaction])).await;
    assert_eq!((transaction["nonce"].as_str(), mined.success), (Some("0x1"), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reorg_the_next_send_uses_the_chains_nonce() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.mine(3).await;
    let sender = net.sender(&hub, 1);
    let address = sender.address();
    sender.send_call(call(1), "test", None).await.unwrap();
    let second = sender.send_call(call(2), "test", None).await.unwrap();
    assert_eq!(net.nonce(address, "latest").await, 2);
    let _: Value = net.node("anvil_reorg", json!([1, []])).await;
    assert_eq!(
        net.nonce(address, "latest").await,
        1,
        "the node dropped the last transaction"
    );
    let again = sender.send_call(call(2), "test", None).await.unwrap();
    assert!(again.success);
    assert_ne!(
        again.transaction, second.transaction,
        "an earlier offer at this nonce was outbid"
    );
    assert_eq!(net.nonce(address, "latest").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_broadcast_without_the_lease() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.lease.store(false, Ordering::SeqCst);
    let sender = net.sender(&hub, 1);
    let send = sending(&net, &hub, 1);
    let address = sender.address();
    tokio::time::timeout(
        Duration::from_secs(1),
        until("a broadcast", async || {
            (net.nonce(address, "pending").await > 0).then_some(())
        }),
    )
    .await
    .expect_err("the fence is closed");
    assert!(!send.is_finished());
    net.lease.store(true, Ordering::SeqCst);
    assert!(send.await.unwrap().unwrap().success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_goes_before_a_poke_that_has_not_been_broadcast() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.lease.store(false, Ordering::SeqCst);
    let sender = net.sender(&hub, 1);
    let mut poke = Box::pin(sender.send_call(call(1), "slash", None));
    assert!(futures::poll!(poke.as_mut()).is_pending(), "held back by the fence");
    let mut reveal = Box::pin(sender.send_call(call(2), "revealVote", None));
    assert!(futures::poll!(reveal.as_mut()).is_pending());
    net.lease.store(true, Ordering::SeqCst);
    let (poke, reveal) = tokio::join!(poke, reveal);
    let (poke, reveal) = (poke.unwrap(), reveal.unwrap());
    assert!(reveal.block < poke.block, "{reveal:?} {poke:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_before_the_broadcast_takes_its_call_back() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.lease.store(false, Ordering::SeqCst);
    let sender = net.sender(&hub, 1);
    let mut leaving = Box::pin(sender.send_call(call(1), "test", None));
    assert!(futures::poll!(leaving.as_mut()).is_pending());
    drop(leaving);
    net.lease.store(true, Ordering::SeqCst);
    assert!(sender.send_call(call(2), "test", None).await.unwrap().success);
    assert_eq!(
        net.nonce(sender.address(), "latest").await,
        1,
        "only the second call was sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_after_the_broadcast_does_not_confuse_the_next() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let leaving = sending(&net, &hub, 1);
    wait_pending(&net, sender.address()).await;
    leaving.abort();
    let next = sending(&net, &hub, 2);
    net.automine(true).await;
    net.mine(1).await;
    assert!(next.await.unwrap().unwrap().success);
    assert_eq!(net.nonce(sender.address(), "latest").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_eip_1559_is_paid_by_gas_price() {
    let net = Devnet::bare(&["--hardfork", "berlin"]);
    let hub = net.hub().await;
    let mined = net.sender(&hub, 1).send_call(call(1), "test", None).await.unwrap();
    assert!(mined.success);
    let transaction: Value = net.node("eth_getTransactionByHash", json!([mined.transaction])).await;
    assert_eq!(transaction["type"], "0x0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_above_the_cap_is_not_paid() {
    let net = Devnet::bare(&[]);
    let mut config = net.hub_config().await;
    config.max_fee_per_gas = Some(1000);
    let hub = net.open(config);
    let sender = net.sender(&hub, 1);
    let soon = Timestamp(1);
    let error = sender.send_call(call(1), "test", Some(soon)).await.unwrap_err();
    assert!(matches!(error, ChainError::FeeCap { cap: 1000, .. }), "{error:?}");
    assert_eq!(net.nonce(sender.address(), "pending").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_the_node_forgot_is_offered_again() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.mine(1).await;
    net.automine(false).await;
    let address = net.key(1).address();
    let send = sending(&net, &hub, 1);
    wait_pending(&net, address).await;
    let _: Value = net.node("anvil_dropAllTransactions", json!([])).await;
    assert_eq!(pending(&net, address).await, 0);
    mine_until(&net, &send).await;
    assert!(send.await.unwrap().unwrap().success);
    assert_eq!(net.nonce(address, "latest").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_below_the_base_fee_is_raised_to_the_cap_and_no_further_and_mined_when_the_fee_falls() {
    const CAP: u64 = 20 * GWEI;
    let net = Devnet::bare(&[]);
    let mut config = net.hub_config().await;
    config.max_fee_per_gas = Some(u128::from(CAP));
    let hub = net.open(config);
    net.mine(1).await;
    net.automine(false).await;
    let address = net.key(1).address();
    let send = sending(&net, &hub, 1);
    wait_pending(&net, address).await;
    for _ in 0..20 {
        net.base_fee(50 * GWEI).await;
        net.mine(1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!send.is_finished());
    assert_eq!(net.nonce(address, "latest").await, 0);
    until("an answer", async || {
        net.base_fee(18 * GWEI).await;
        net.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        send.is_finished().then_some(())
    })
    .await;
    let mined = send.await.unwrap().unwrap();
    let paid = offered(&net, &mined).await;
    assert!(mined.success && paid <= U256::from(CAP), "{paid}");
    assert!(paid > U256::from(15 * GWEI), "it was raised as far as it may: {paid}");
    assert_eq!(net.nonce(address, "latest").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_followed_by_another_endpoint_when_its_own_stands_still() {
    let net = Devnet::bare(&[]);
    net.mine(3).await;
    let still = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let lagging = Arc::new(crate::endpoints::Lagging {
        inner: net.transport(),
        head: 1,
        still: still.clone(),
    });
    let hub = net.open_over(net.hub_config().await, vec![lagging, net.transport()]);
    net.automine(false).await;
    let address = net.key(1).address();
    let send = sending(&net, &hub, 1);
    wait_pending(&net, address).await;
    still.store(true, Ordering::SeqCst);
    mine_until(&net, &send).await;
    let mined = send.await.unwrap().unwrap();
    assert!(mined.success && mined.block > 3, "{mined:?}");
    assert_eq!(net.nonce(address, "latest").await, 1);
}
