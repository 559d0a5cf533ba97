//! Chains that differ: without the factory, without EIP-1559, too old, too dear, or choosy about transactions.

use alloy::primitives::{Address, U256};
use clap::Parser;
use serde_json::{Value, json};

use super::{
    deploying::record,
    front::{front, refusal},
};
use crate::admin::{DeployArgs, deploy::estimate::dry_run, testnet::Testnet};

/// Type of each transaction an account has sent: 0x0 is the one before EIP-2718.
async fn kinds(net: &Testnet, account: Address) -> Vec<String> {
    let mut kinds = Vec::new();
    let head: String = net.chain.rpc.call("eth_blockNumber", json!([])).await.unwrap();
    let head = u64::from_str_radix(head.trim_start_matches("0x"), 16).unwrap();
    for number in 1..=head {
        let block: Value = net
            .chain
            .rpc
            .call("eth_getBlockByNumber", json!([format!("{number:#x}"), true]))
            .await
            .unwrap();
        for transaction in block["transactions"].as_array().unwrap() {
            if transaction["from"].as_str().unwrap().parse() == Ok(account) {
                kinds.push(transaction["type"].as_str().unwrap().to_owned());
            }
        }
    }
    kinds
}

#[tokio::test]
async fn the_factory_is_put_where_it_is_missing_and_the_addresses_are_those_of_other_chains() {
    let with = Testnet::start().await.deployed().await;
    let net = Testnet::start_with(&["--disable-default-create2-deployer"]).await;
    assert!(net.chain.code(with.factory).await.unwrap().is_empty());
    let without = net.deployed().await;
    assert_eq!(
        (without.factory, without.manager.address),
        (with.factory, with.manager.address)
    );
    assert!(!net.chain.code(without.factory).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_presigned_transaction_is_found_out_before_it_is_paid_for() {
    let net = Testnet::start_with(&["--disable-default-create2-deployer"]).await;
    let choosy = front(net.url(), |method, params, answer| {
        let presigned = method == "eth_sendRawTransaction" && params[0].as_str().unwrap().starts_with("0xf8a5");
        (presigned && answer.is_none())
            .then(|| refusal("only replay-protected (EIP-155) transactions allowed over RPC"))
    })
    .await;
    let error = net.run_at(&choosy, 0, &["deploy"]).await.unwrap_err();
    assert!(format!("{error:#}").contains("--factory own"), "{error:#}");
    assert_eq!(net.account(0).nonce().await.unwrap(), 0, "nothing was paid");

    // The other way: a key that was never used has a factory of its own, at the same address wherever it does that first.
    let out = net.path("own.json");
    let line = ["deploy", "--factory", "own", "--out", &out];
    net.run_at(&choosy, 6, &line).await.unwrap();
    let own = record(&net, "own.json").await;
    assert_eq!(own.factory, net.address(6).create(0));
    net.run_at(&choosy, 6, &line).await.unwrap();
    assert_eq!(
        net.account(6).nonce().await.unwrap(),
        3,
        "factory, token and manager, once"
    );
    // Anybody may use it from then on, and it makes no difference who does.
    let (factory, owner) = (own.factory.to_string(), net.address(6).to_string());
    let again = net.path("again.json");
    net.run(
        0,
        &["deploy", "--factory", &factory, "--owner", &owner, "--out", &again],
    )
    .await
    .unwrap();
    assert_eq!(record(&net, "again.json").await, own);
}

#[tokio::test]
async fn a_key_that_was_used_before_cannot_have_a_factory_of_its_own() {
    let net = Testnet::start().await;
    net.run(0, &["fund", "--to", &net.address(1).to_string(), "--coins", "1wei"])
        .await
        .unwrap();
    let error = net.run(0, &["deploy", "--factory", "own"]).await.unwrap_err();
    assert!(error.to_string().contains("never used"), "{error:#}");
    let nowhere = Address::repeat_byte(3).to_string();
    let error = net.run(0, &["deploy", "--factory", &nowhere]).await.unwrap_err();
    assert!(error.to_string().contains("no contract"), "{error:#}");
    let other = net.deployed().await.token.address.to_string();
    let error = net.run(0, &["deploy", "--factory", &other]).await.unwrap_err();
    assert!(
        error.to_string().contains("not that of the CREATE2 factory"),
        "{error:#}"
    );
}

#[tokio::test]
async fn a_chain_dearer_than_the_presigned_transaction_offers_is_said_and_nothing_paid() {
    let net = Testnet::start_with(&["--disable-default-create2-deployer", "--base-fee", "200000000000"]).await;
    let error = net.run(0, &["deploy"]).await.unwrap_err();
    assert!(format!("{error:#}").contains("200000000000 wei per gas"), "{error:#}");
    assert_eq!(net.account(0).nonce().await.unwrap(), 0);
    net.run(0, &["deploy", "--factory", "own"]).await.unwrap();
}

#[tokio::test]
async fn transactions_are_of_the_old_kind_where_asked_for_or_where_blocks_have_no_base_fee() {
    let net = Testnet::start().await;
    net.run(0, &["deploy", "--salt", "1"]).await.unwrap();
    net.run(1, &["deploy", "--salt", "2", "--legacy"]).await.unwrap();
    let before_london = front(net.url(), |_, _, answer| {
        let mut answer = answer?;
        answer["result"].as_object_mut()?.remove("baseFeePerGas")?;
        Some(answer)
    })
    .await;
    net.run_at(&before_london, 2, &["deploy", "--salt", "3"]).await.unwrap();
    for (key, kind) in [(0, "0x2"), (1, "0x0"), (2, "0x0")] {
        assert_eq!(kinds(&net, net.address(key)).await, [kind; 2], "key {key}");
    }
}

#[tokio::test]
async fn a_chain_older_than_eip_1559_is_paid_on_and_one_older_than_cancun_is_refused() {
    let berlin = Testnet::start_with(&["--hardfork", "berlin"]).await;
    berlin
        .run(0, &["fund", "--to", &berlin.address(1).to_string(), "--coins", "1"])
        .await
        .unwrap();
    assert_eq!(kinds(&berlin, berlin.address(0)).await, ["0x0"]);
    let shanghai = Testnet::start_with(&["--hardfork", "shanghai"]).await;
    for net in [&berlin, &shanghai] {
        let sent = net.account(0).nonce().await.unwrap();
        let error = net.run(0, &["deploy"]).await.unwrap_err();
        assert!(error.to_string().contains("Cancun"), "{error:#}");
        assert_eq!(net.account(0).nonce().await.unwrap(), sent);
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: DeployArgs,
}

#[tokio::test]
async fn a_dry_run_names_addresses_and_cost_and_sends_nothing() {
    let net = Testnet::start_with(&["--disable-default-create2-deployer"]).await;
    let owner = net.address(0).to_string();
    let line = ["deploy", "--rpc-url", &net.url(), "--owner", &owner, "--dry-run"];
    let args = Line::try_parse_from(line).unwrap().args;
    let estimate = dry_run(&args, &net.chain).await.unwrap();
    net.run(0, &["deploy", "--dry-run"]).await.unwrap();
    assert_eq!(net.account(0).nonce().await.unwrap(), 0);

    let before = net.chain.balance(net.address(0)).await.unwrap();
    let deployment = net.deployed().await;
    let paid = before - net.chain.balance(net.address(0)).await.unwrap();
    let predicted: Vec<(Address, bool)> = estimate.lines.iter().map(|line| (line.address, line.there)).collect();
    let Deployed {
        factory,
        token,
        manager,
        implementation,
    } = Deployed::of(&deployment);
    assert_eq!(
        predicted,
        [factory, token, manager, implementation].map(|address| (address, false))
    );
    assert_eq!(estimate.lines[2].code_hash, Some(deployment.manager.code_hash));
    assert_eq!(estimate.lines[3].code_hash, Some(deployment.implementation.code_hash));
    // The estimate is not below what was paid by much, nor twice as high.
    let cost = estimate.cost();
    assert!(cost * U256::from(100) >= paid * U256::from(85), "{cost} for {paid}");
    assert!(cost <= paid * U256::from(2), "{cost} for {paid}");

    let again = dry_run(&args, &net.chain).await.unwrap();
    assert!(again.lines.iter().all(|line| line.there && line.gas == 0));
    assert_eq!(again.cost(), U256::ZERO);
    assert!(again.to_string().contains("is there"));
}

/// Addresses in the order in which they come to be.
struct Deployed {
    factory: Address,
    token: Address,
    manager: Address,
    implementation: Address,
}

impl Deployed {
    fn of(deployment: &crate::admin::Deployment) -> Self {
        Self {
            factory: deployment.factory,
            token: deployment.token.address,
            manager: deployment.manager.address,
            implementation: deployment.implementation.address,
        }
    }
}
