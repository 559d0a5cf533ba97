//! The commands as an administrator types them, on a real chain.

use alloy::primitives::{Address, U256};

use super::testnet::{TOKEN, Testnet};
use crate::chain::bindings::{FlockTask, manager::FlockTaskManager as Manager, token::FlockToken as Token};

#[tokio::test]
async fn tokens_are_minted_and_sent_up_to_an_amount_once() {
    let net = Testnet::start().await;
    let token = net.deployed().await.token.address;
    let record = net.path("contracts.json");
    let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
    let balance = async |account| net.chain.read(token, Token::balanceOfCall { account }).await.unwrap();

    for _ in 0..2 {
        let to = alice.to_string();
        let line = [
            "mint",
            "--deployment",
            &record,
            "--to",
            &to,
            "--amount",
            "64.5",
            "--up-to",
        ];
        net.run(0, &line).await.unwrap();
        assert_eq!(balance(alice).await, U256::from(64 * TOKEN + TOKEN / 2));
    }
    let owner = net.address(0).to_string();
    net.run(
        0,
        &["mint", "--token", &token.to_string(), "--to", &owner, "--amount", "10"],
    )
    .await
    .unwrap();
    for _ in 0..2 {
        let to = bob.to_string();
        let line = [
            "fund",
            "--to",
            &to,
            "--coins",
            "0.25",
            "--tokens",
            "3",
            "--deployment",
            &record,
            "--up-to",
        ];
        net.run(0, &line).await.unwrap();
        assert_eq!(balance(bob).await, U256::from(3 * TOKEN));
        assert_eq!(net.chain.balance(bob).await.unwrap(), U256::from(TOKEN / 4));
    }
    let refused = net
        .run(1, &["mint", "--deployment", &record, "--to", &owner, "--amount", "1"])
        .await
        .unwrap_err();
    assert!(
        format!("{refused:#}").contains("OwnableUnauthorizedAccount"),
        "{refused:#}"
    );
}

#[tokio::test]
async fn only_the_managers_owner_allows_creators_and_can_take_it_back() {
    let net = Testnet::start().await;
    let manager = net.deployed().await.manager.address;
    let record = net.path("contracts.json");
    let creator = Address::repeat_byte(0xc0);
    let text = creator.to_string();
    let line = ["allow-creator", "--deployment", &record, "--creator", &text];
    let allowed = async || {
        net.chain
            .read(manager, Manager::isCreatorAllowedCall { creator })
            .await
            .unwrap()
    };

    let refused = net.run(1, &line).await.unwrap_err();
    assert!(refused.to_string().contains("owned by"), "{refused:#}");
    assert!(!allowed().await);
    net.run(0, &line).await.unwrap();
    assert!(allowed().await);
    net.run(0, &[&line[..], &["--revoke"]].concat()).await.unwrap();
    assert!(!allowed().await);
}

#[tokio::test]
async fn a_finished_tasks_money_is_claimed_and_withdrawn_by_hand() {
    let net = Testnet::start().await;
    let deployment = net.deployed().await;
    let task = net.create_task(&deployment, 1).await;
    net.stake(&deployment, task).await;
    let text = task.to_string();
    let early = net.run(1, &["claim", "--task", &text]).await.unwrap_err();
    assert!(format!("{early:#}").contains("TaskNotOver"), "{early:#}");
    net.play_round(task, 0).await;
    net.run(0, &["show-task", "--task", &text]).await.unwrap();
    net.run(0, &["show-task", "--task", &text, "--json"]).await.unwrap();

    for index in 1..=5 {
        net.run(index, &["claim", "--task", &text]).await.unwrap();
    }
    let again = net.run(1, &["claim", "--task", &text]).await.unwrap_err();
    assert!(format!("{again:#}").contains("NothingToClaim"), "{again:#}");
    // Rounding may leave a few units; the creator takes them, or there are none.
    let left = net.chain.read(task, FlockTask::rewardPoolCall {}).await.unwrap();
    assert_eq!(
        net.run(0, &["withdraw", "--task", &text]).await.is_ok(),
        !left.is_zero()
    );
    let call = Token::balanceOfCall { account: task };
    assert_eq!(
        net.chain.read(deployment.token.address, call).await.unwrap(),
        U256::ZERO
    );
}

#[tokio::test]
async fn a_stalled_task_is_terminated_and_a_waiting_one_finished_by_hand() {
    let net = Testnet::start().await;
    let deployment = net.deployed().await;
    let task = net.create_task(&deployment, 2).await;
    net.stake(&deployment, task).await;
    let (text, manager) = (task.to_string(), deployment.manager.address.to_string());
    let early = net.run(6, &["terminate", "--task", &text]).await.unwrap_err();
    assert!(format!("{early:#}").contains("NotStalled"), "{early:#}");
    let finished = async || net.chain.read(task, FlockTask::isFinishedCall {}).await.unwrap();
    assert!(!finished().await);
    net.advance(481, 1).await;
    net.run(6, &["terminate", "--task", &text]).await.unwrap();
    assert!(finished().await);
    let over = net
        .run(0, &["finish-task", "--task", &text, "--manager", &manager])
        .await
        .unwrap_err();
    assert!(format!("{over:#}").contains("TaskOver"), "{over:#}");
}

#[tokio::test]
async fn a_chain_that_does_not_answer_is_said_without_the_key_in_its_url() {
    let net = Testnet::start().await;
    let line = [
        "--rpc-url",
        "http://127.0.0.1:1/v2/secret-api-key",
        "--task",
        &Address::ZERO.to_string(),
    ];
    let error = net.run(0, &[&["show-task"], &line[..]].concat()).await.unwrap_err();
    assert!(!format!("{error:#}").contains("secret-api-key"), "{error:#}");
}
