//! Tokens that were there before.

use alloy::primitives::{Address, Bytes, TxKind, U256};

use super::deploying::record;
use crate::{
    admin::{
        deploy::token::{Transfers, check},
        testnet::Testnet,
    },
    chain::bindings::{manager::FlockTaskManager as Manager, token::FlockToken as Token},
};

/// fixtures/FeeToken.sol, compiled with solc 0.8.30 for Cancun, optimizer at 200 runs, without metadata.
const FEE_TOKEN: &str = include_str!("../fixtures/FeeToken.hex");

#[tokio::test]
async fn deploy_takes_an_existing_token_and_refuses_what_is_none() {
    let net = Testnet::start().await;
    let first = net.deployed().await;
    let token = first.token.address;
    let out = net.path("second.json");
    net.run(1, &["deploy", "--token", &token.to_string(), "--out", &out])
        .await
        .unwrap();
    let second = record(&net, "second.json").await;
    assert_eq!((second.token.address, second.owner), (token, net.address(1)));
    assert_eq!(second.token.code_hash, first.token.code_hash);
    assert_eq!(
        net.chain
            .read(second.manager.address, Manager::tokenCall {})
            .await
            .unwrap(),
        token
    );

    for (address, why) in [
        (Address::repeat_byte(0xee), "no contract"),
        (first.manager.address, "no ERC-20"),
    ] {
        let error = net
            .run(2, &["deploy", "--token", &address.to_string()])
            .await
            .unwrap_err();
        assert!(error.to_string().contains(why), "{error:#}");
    }
    assert_eq!(net.account(2).nonce().await.unwrap(), 0);
}

#[tokio::test]
async fn a_transfer_is_tried_out_by_whoever_holds_some_and_nothing_moves() {
    let net = Testnet::start().await;
    let token = net.deployed().await.token.address;
    assert_eq!(check(&net.chain, token, &[]).await.unwrap(), Transfers::Untried);
    let holder = net.address(4);
    let amount = U256::from(1_000_003);
    net.account(0)
        .call(token, Token::mintCall { to: holder, amount })
        .await
        .unwrap();
    // Found by the token's own log.
    assert_eq!(check(&net.chain, token, &[]).await.unwrap(), Transfers::Exact);
    let left = net
        .chain
        .read(token, Token::balanceOfCall { account: holder })
        .await
        .unwrap();
    assert_eq!(left, amount);
}

#[tokio::test]
async fn a_token_that_takes_a_fee_is_refused() {
    let net = Testnet::start().await;
    let creation: Bytes = FEE_TOKEN.trim().parse().unwrap();
    let receipt = net
        .account(0)
        .transact(TxKind::Create, U256::ZERO, creation)
        .await
        .unwrap();
    let token = receipt.contract_address.unwrap().to_string();
    let sent = net.account(0).nonce().await.unwrap();
    let error = net.run(0, &["deploy", "--token", &token]).await.unwrap_err();
    assert!(error.to_string().contains("InexactTransfer"), "{error:#}");
    assert!(error.to_string().contains("990000000000000000000 arrived"), "{error:#}");
    assert_eq!(net.account(0).nonce().await.unwrap(), sent);
}
