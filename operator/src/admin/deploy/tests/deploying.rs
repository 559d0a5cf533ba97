//! Deploying, again and again.

use alloy::primitives::{Address, B256, TxKind, U256};

use crate::{
    admin::{Deployment, RecordPlace, deploy::plan::Plan, testnet::Testnet},
    chain::bindings::manager::FlockTaskManager as Manager,
};

pub(super) async fn record(net: &Testnet, name: &str) -> Deployment {
    RecordPlace::File(net.path(name).into()).expect().await.unwrap()
}

#[tokio::test]
async fn deploy_writes_a_verified_record_and_running_it_again_changes_nothing() {
    let net = Testnet::start().await;
    let creator = Address::repeat_byte(0xc0);
    let out = net.path("contracts.json");
    let line = ["deploy", "--out", &out, "--creator", &creator.to_string()];
    net.run(0, &line).await.unwrap();
    let first = record(&net, "contracts.json").await;
    assert_eq!(first.owner, net.address(0));
    for deployed in [&first.token, &first.manager, &first.implementation] {
        let receipt = net.chain.receipt(deployed.transaction.unwrap()).await.unwrap().unwrap();
        assert_eq!(Some(receipt.block_number.to()), deployed.block);
        let code = net.chain.code(deployed.address).await.unwrap();
        assert_eq!(alloy::primitives::keccak256(code), deployed.code_hash);
    }
    assert!(
        net.chain
            .read(first.manager.address, Manager::isCreatorAllowedCall { creator })
            .await
            .unwrap()
    );

    let sent = net.account(0).nonce().await.unwrap();
    net.run(0, &line).await.unwrap();
    assert_eq!(record(&net, "contracts.json").await, first);
    assert_eq!(net.account(0).nonce().await.unwrap(), sent, "nothing was sent");
}

#[tokio::test]
async fn two_chains_have_the_same_addresses_and_another_salt_or_owner_has_others() {
    let nets = [
        Testnet::start().await,
        Testnet::start_with(&["--chain-id", "777"]).await,
    ];
    // The keys' histories differ; the addresses do not follow from them.
    nets[1]
        .account(0)
        .transact(TxKind::Call(nets[1].address(1)), U256::ONE, Default::default())
        .await
        .unwrap();
    let mut addresses = Vec::new();
    for net in &nets {
        let d = net.deployed().await;
        addresses.push((d.token.address, d.manager.address, d.implementation.address));
    }
    assert_eq!(addresses[0], addresses[1]);

    let net = &nets[0];
    let owner = net.address(3).to_string();
    for (name, more) in [("salt", ["--salt", "1"]), ("owner", ["--owner", &owner])] {
        let out = net.path(name);
        net.run(0, &[&["deploy", "--out", &out], &more[..]].concat())
            .await
            .unwrap();
        let other = record(net, name).await;
        assert!(other.manager.address != addresses[0].1 && other.implementation.address != addresses[0].2);
    }
    assert_eq!(record(net, "owner").await.owner, net.address(3));
}

#[tokio::test]
async fn a_deployment_killed_after_any_step_is_finished_by_the_next_run() {
    for steps in 0..=2 {
        let net = Testnet::start().await;
        let account = net.account(0);
        let factory = "4e59b44847b379578588920cA78FbF26c0B4956C".parse().unwrap();
        let plan = Plan::new(factory, B256::ZERO, account.address(), None).unwrap();
        for artifact in plan.made().take(steps) {
            super::super::place(&account, &plan, artifact).await.unwrap();
        }
        let before = account.nonce().await.unwrap();
        let found = net.deployed().await;
        assert_eq!(account.nonce().await.unwrap() - before, 2 - steps as u64);
        assert_eq!(found.manager.address, plan.manager.address);
        // Where and when is read back from the chain, whoever wrote nothing down.
        assert!(found.token.transaction.is_some() && found.manager.block.is_some());
    }
}

#[tokio::test]
async fn a_transaction_that_a_killed_run_left_pending_is_waited_for_and_not_sent_twice() {
    let net = Testnet::start().await;
    let call = async |method: &str, params| -> serde_json::Value { net.chain.rpc.call(method, params).await.unwrap() };
    call("evm_setAutomine", serde_json::json!([false])).await;
    let account = net.account(0);
    let factory = "4e59b44847b379578588920cA78FbF26c0B4956C".parse().unwrap();
    let plan = Plan::new(factory, B256::ZERO, account.address(), None).unwrap();
    let token = plan.made().next().unwrap();
    let killed = super::super::place(&account, &plan, token);
    let killed = tokio::time::timeout(std::time::Duration::from_secs(2), killed);
    assert!(killed.await.is_err(), "it waits to be mined");
    assert_eq!(account.nonce().await.unwrap(), 1);

    let mine = async {
        loop {
            call("evm_mine", serde_json::json!([])).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        deployed = net.deployed() => assert_eq!(deployed.manager.address, plan.manager.address),
        () = mine => unreachable!("it mines for ever"),
    }
    assert_eq!(
        account.nonce().await.unwrap(),
        2,
        "one more transaction, for the manager"
    );
}

#[tokio::test]
async fn a_stranger_who_deploys_first_has_only_paid_for_it() {
    let net = Testnet::start().await;
    let owner = net.address(0).to_string();
    net.run(5, &["deploy", "--owner", &owner]).await.unwrap();
    let deployment = net.deployed().await;
    assert_eq!(net.account(0).nonce().await.unwrap(), 0);
    assert_eq!(
        net.chain
            .read(deployment.manager.address, Manager::ownerCall {})
            .await
            .unwrap(),
        net.address(0)
    );
}

#[tokio::test]
async fn other_code_at_the_address_is_refused() {
    let net = Testnet::start().await;
    let deployment = net.deployed().await;
    let code = net.chain.code(deployment.implementation.address).await.unwrap();
    // One bit, in the middle of the code.
    let mut changed = code.to_vec();
    changed[1000] ^= 1;
    let params = serde_json::json!([
        deployment.implementation.address,
        alloy::primitives::Bytes::from(changed)
    ]);
    let _: serde_json::Value = net.chain.rpc.call("anvil_setCode", params).await.unwrap();
    let error = net.run(0, &["deploy"]).await.unwrap_err();
    assert!(error.to_string().contains("FlockTask"), "{error:#}");
}

#[tokio::test]
async fn a_record_of_other_contracts_is_kept_unless_told_otherwise() {
    let (old, new) = (Testnet::start().await, Testnet::start().await);
    let before = old.deployed().await;
    let out = old.path("contracts.json");
    let salted = old.run(0, &["deploy", "--out", &out, "--salt", "9"]).await.unwrap_err();
    assert!(salted.to_string().contains("--renew"), "{salted:#}");
    let error = new.run(0, &["deploy", "--out", &out]).await.unwrap_err();
    assert!(error.to_string().contains("--renew"), "{error:#}");
    assert_eq!(record(&old, "contracts.json").await, before);
    new.run(0, &["deploy", "--out", &out, "--renew"]).await.unwrap();
    assert_ne!(record(&old, "contracts.json").await.genesis_hash, before.genesis_hash);
}
