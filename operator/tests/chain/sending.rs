//! The sender where it hurts.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy::primitives::{U64, U256};
use operator::chain::{
    Chain, ChainError, SigningKey, TaskSender,
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
    Call { to: Address::repeat_byte(0x77), data: n.to_be_bytes().to_vec() }
}

async fn pending(net: &Devnet, account: Address) -> u64 {
    net.nonce(account, "pending").await - net.nonce(account, "latest").await
}

async fn wait_pending(net: &Devnet, account: Address) {
    until("a transaction in the pool", async || (pending(net, account).await > 0).then_some(())).await;
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
    assert!(Arc::ptr_eq(&sender, &net.sender(&two, 1)), "one key, one sender, also over two hubs");
    let sends = (0..6).map(|n| {
        let sender = if n % 2 == 0 { net.sender(&one, 1) } else { net.sender(&two, 1) };
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
    assert!(matches!(&error, ChainError::Reverted { reason } if reason == "WrongPhase(0)"), "{error:?}");
    let error = sender.send(task, &Transaction::JoinRound { round: Round(0), sample_count: 5 }, None).await.unwrap_err();
    assert!(matches!(&error, ChainError::Reverted { reason } if reason.starts_with("StakeTooSmall(")), "{error:?}");
    assert_eq!(net.nonce(sender.address(), "pending").await, 0);
    assert_eq!(net.node::<U256>("eth_getBalance", json!([sender.address(), "latest"])).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_pay_is_told_before_anything_is_sent() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    let poor = SigningKey::from_text(&[b'7'; 64]).unwrap();
    let error = hub.evm_sender(&poor).send_call(call(1), "test", None).await.unwrap_err();
    assert!(matches!(&error, ChainError::LowFunds { balance, .. } if balance == "0"), "{error:?}");
    assert_eq!(net.nonce(poor.address(), "pending").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_underpriced_transaction_is_raised_at_the_same_nonce_until_it_is_mined() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.mine(1).await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let address = sender.address();
    let send = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(1), "test", None).await }
    });
    wait_pending(&net, address).await;
    // The price of blocks rises above what was offered.
    let before = net.block_number().await;
    net.base_fee(8 * GWEI).await;
    net.mine(1).await;
    assert_eq!(pending(&net, address).await, 1, "not worth mining");
    let mined = until("the raised transaction", async || {
        if send.is_finished() {
            return Some(());
        }
        net.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        None
    })
    .await;
    let () = mined;
    let mined = send.await.unwrap().unwrap();
    assert!(mined.success);
    assert!(mined.block > before + 2, "{mined:?}");
    assert_eq!(net.nonce(address, "latest").await, 1, "one nonce for all offers");
    let transaction: Value = net.node("eth_getTransactionByHash", json!([mined.transaction])).await;
    let offered: U256 = serde_json::from_value(transaction["maxFeePerGas"].clone()).unwrap();
    assert!(offered > U256::from(8 * GWEI), "{offered}");
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
    let send = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(1), "test", None).await }
    });
    tokio::time::timeout(Duration::from_secs(1), until("a second one", async || (pending(&net, address).await > 1).then_some(())))
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
    foreign(&net, address, json!({"maxFeePerGas": U64::from(GWEI), "maxPriorityFeePerGas": "0x1"})).await;
    wait_pending(&net, address).await;
    // Too little from now on; base fees fall by an eighth per empty block, so there is time.
    net.base_fee(4 * GWEI).await;
    net.mine(1).await;
    assert_eq!(pending(&net, address).await, 1);
    let blocks = |stop: Arc<std::sync::atomic::AtomicBool>| {
        let transport = net.transport();
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let fee = U64::from(4 * GWEI);
                transport.call("anvil_setNextBlockBaseFeePerGas", json!([fee])).await.unwrap();
                transport.call("evm_mine", json!([])).await.unwrap();
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        })
    };
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mining = blocks(stop.clone());
    let poke = sender.send_call(call(1), "test", None).await.unwrap_err();
    assert_eq!(poke, ChainError::ForeignPending { address: address.to_string(), nonce: 0 });
    let duty = sender.send_call(call(2), "test", Some(Timestamp(u64::MAX))).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    mining.await.unwrap();
    assert!(duty.success);
    assert_eq!(net.nonce(address, "latest").await, 1);
    let transaction: Value = net.node("eth_getTransactionByHash", json!([duty.transaction])).await;
    assert_eq!(transaction["nonce"], "0x0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_replaced_by_somebody_else_is_sent_anew_at_the_next_nonce() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let address = sender.address();
    let send = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(1), "test", None).await }
    });
    wait_pending(&net, address).await;
    let price = U64::from(50 * GWEI);
    foreign(&net, address, json!({"nonce": "0x0", "maxFeePerGas": price, "maxPriorityFeePerGas": price})).await;
    net.mine(1).await;
    assert_eq!(net.nonce(address, "latest").await, 1);
    until("our transaction", async || {
        net.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        send.is_finished().then_some(())
    })
    .await;
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
    assert_eq!(net.nonce(address, "latest").await, 1, "the node dropped the last transaction");
    let again = sender.send_call(call(2), "test", None).await.unwrap();
    assert!(again.success);
    assert_ne!(again.transaction, second.transaction, "an earlier offer at this nonce was outbid");
    assert_eq!(net.nonce(address, "latest").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_broadcast_without_the_lease() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.lease.store(false, Ordering::SeqCst);
    let sender = net.sender(&hub, 1);
    let send = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(1), "test", None).await }
    });
    let address = sender.address();
    tokio::time::timeout(Duration::from_secs(1), until("a broadcast", async || (net.nonce(address, "pending").await > 0).then_some(())))
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
    let start = |n: u64, action: &'static str| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send_call(call(n), action, None).await })
    };
    let poke = start(1, "slash");
    // The poke is in hand, held back by the fence, when the reveal arrives.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let reveal = start(2, "revealVote");
    tokio::time::sleep(Duration::from_millis(600)).await;
    net.lease.store(true, Ordering::SeqCst);
    let (poke, reveal) = (poke.await.unwrap().unwrap(), reveal.await.unwrap().unwrap());
    assert!(reveal.block < poke.block, "{reveal:?} {poke:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_before_the_broadcast_takes_its_call_back() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.lease.store(false, Ordering::SeqCst);
    let sender = net.sender(&hub, 1);
    let leaving = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(1), "test", None).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    net.lease.store(true, Ordering::SeqCst);
    assert!(sender.send_call(call(2), "test", None).await.unwrap().success);
    assert_eq!(net.nonce(sender.address(), "latest").await, 1, "only the second call was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_after_the_broadcast_does_not_confuse_the_next() {
    let net = Devnet::bare(&[]);
    let hub = net.hub().await;
    net.automine(false).await;
    let sender = net.sender(&hub, 1);
    let leaving = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(1), "test", None).await }
    });
    wait_pending(&net, sender.address()).await;
    leaving.abort();
    let next = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send_call(call(2), "test", None).await }
    });
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
