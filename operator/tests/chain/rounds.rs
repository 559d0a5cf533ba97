//! A whole task through reader and sender.

use alloy::primitives::U256;
use operator::chain::{Chain, ChainError, ChainHub, ChainReader, TaskEvent, bindings::token::FlockToken};
use protocol::{
    action::Transaction,
    commitment::Vote,
    draw,
    snapshot::TaskSnapshot,
    types::{Address, Amount, B256, IncludedMask, ModelHash, Outcome, Phase, Role, Round, Score},
};

use crate::devnet::{Counting, Devnet, tokens};

const ROUND: Round = Round(0);
const PLAYERS: std::ops::Range<usize> = 1..5;

async fn look(hub: &ChainHub, task: Address) -> TaskSnapshot {
    let reader = hub.reader();
    let head = reader.head().await.unwrap();
    reader.snapshot(task, &head, None, &[]).await.unwrap()
}

async fn send(net: &Devnet, hub: &ChainHub, account: usize, task: Address, transaction: Transaction) {
    let mined = hub.sender(&net.key(account)).send(task, &transaction, None).await;
    assert!(
        mined.as_ref().is_ok_and(|m| m.success),
        "{transaction:?} of {account}: {mined:?}"
    );
}

/// Stakes, joins and draws.
async fn begin(net: &Devnet, hub: &ChainHub, task: Address) {
    for account in PLAYERS {
        send(
            net,
            hub,
            account,
            task,
            Transaction::Approve {
                token: net.token,
                amount: tokens(64),
            },
        )
        .await;
        send(net, hub, account, task, Transaction::Stake { amount: tokens(64) }).await;
        let sample_count = 100 + account as u32;
        send(
            net,
            hub,
            account,
            task,
            Transaction::JoinRound {
                round: ROUND,
                sample_count,
            },
        )
        .await;
    }
    send(net, hub, 1, task, Transaction::SelectRoundParticipants { round: ROUND }).await;
    net.mine(5).await;
    send(net, hub, 1, task, Transaction::SelectRoundParticipants { round: ROUND }).await;
}

fn player(net: &Devnet, address: Address) -> usize {
    PLAYERS.into_iter().find(|&i| net.key(i).address() == address).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_created_once_for_a_salt_and_reads_back_as_it_was_asked_for() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let task = net.task(&hub).await;
    assert_eq!(net.task(&hub).await, task, "the second time finds the first");
    let reader = hub.reader();
    let creator = net.key(0).address();
    assert_eq!(
        reader
            .task_of(net.manager, creator, B256::repeat_byte(1))
            .await
            .unwrap(),
        Some(task)
    );
    assert_eq!(
        reader
            .task_of(net.manager, creator, B256::repeat_byte(2))
            .await
            .unwrap(),
        None
    );
    assert_eq!(reader.parameters(task).await.unwrap(), net.parameters());
    let registration = reader.registration(net.manager, task).await.unwrap();
    assert!(registration.registered);
    assert_eq!(registration.token, net.token);
    assert!(registration.implementation_code_hash.is_some());
    assert_eq!(
        registration.manager_code_hash,
        reader.code_hash(net.manager).await.unwrap()
    );
    assert!(
        !reader
            .registration(net.manager, Address::repeat_byte(9))
            .await
            .unwrap()
            .registered
    );
    assert!(reader.is_creator_allowed(net.manager, creator).await.unwrap());
    // The approval was exact: nothing of it is left.
    let head = reader.head().await.unwrap();
    let call = FlockToken::allowanceCall {
        owner: creator,
        spender: net.manager,
    };
    assert_eq!(
        hub.evm_reader().view(net.token, &call, head.hash).await.unwrap(),
        U256::ZERO
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_created_costs_nothing() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let salt = B256::repeat_byte(7);
    let stranger = hub.sender(&net.key(6));
    let refused = stranger
        .create_task(net.manager, salt, &net.parameters(), &[])
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, ChainError::Reverted { reason } if reason.starts_with("CreatorNotAllowed(")),
        "{refused}"
    );
    let mut parameters = net.parameters();
    parameters.max_participants = 1;
    let refused = hub
        .sender(&net.key(0))
        .create_task(net.manager, salt, &parameters, &[])
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, ChainError::Reverted { reason } if reason.starts_with("InvalidParameter(")),
        "{refused}"
    );
    let mut parameters = net.parameters();
    parameters.initial_reward_pool = tokens(1_000_000);
    let before = net.nonce(net.key(0).address(), "latest").await;
    let refused = hub
        .sender(&net.key(0))
        .create_task(net.manager, salt, &parameters, &[])
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, ChainError::Reverted { reason } if reason.contains("the reward pool needs")),
        "{refused}"
    );
    assert_eq!(net.nonce(net.key(0).address(), "latest").await, before);
    assert_eq!(net.nonce(net.key(6).address(), "latest").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_played_through_the_sender_reads_as_the_protocol_says() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let task = net.task(&hub).await;
    begin(&net, &hub, task).await;
    let chain_id = net.identity().await.chain_id;

    // The draw is the protocol crate's draw.
    let drawn = look(&hub, task).await;
    assert_eq!(
        (drawn.state.phase, drawn.round.joined, drawn.round.proposers),
        (Phase::Propose, 4, 2)
    );
    let seed_block = hub
        .evm_reader()
        .header(drawn.round.seed_block.unwrap())
        .await
        .unwrap()
        .unwrap();
    let seed = draw::seed(seed_block.hash, chain_id, task, ROUND);
    let joined: Vec<Address> = PLAYERS.map(|i| net.key(i).address()).collect();
    let expected: Vec<Address> = draw::shuffle(seed, 4).into_iter().map(|i| joined[i]).collect();
    assert_eq!(
        drawn.participants.iter().map(|p| p.account).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(draw::proposer_count(4, net.parameters().distribution_rate), 2);
    assert!(drawn.participants[..2].iter().all(|p| p.role == Role::Proposer));
    assert!(drawn.participants[2..].iter().all(|p| p.role == Role::Voter));
    assert_eq!(drawn.round.start_model, net.parameters().genesis_model);
    assert_eq!(drawn.round.start_model_round, None);
    assert_eq!(
        drawn.participants[0].sample_count,
        100 + player(&net, expected[0]) as u32
    );

    for (seat, proposer) in expected[..2].iter().enumerate() {
        let model = ModelHash(B256::repeat_byte(0xa0 + seat as u8));
        let draw_digest = drawn.round.draw_digest;
        send(
            &net,
            &hub,
            player(&net, *proposer),
            task,
            Transaction::Contribute {
                round: ROUND,
                draw_digest,
                model,
            },
        )
        .await;
    }
    let proposed = look(&hub, task).await;
    assert_eq!((proposed.state.phase, proposed.round.contributed), (Phase::Commit, 2));
    assert_ne!(proposed.round.round_digest, proposed.round.draw_digest);

    // A vote for the aggregate of both; the commitment is the protocol crate's.
    let hash = ModelHash(B256::repeat_byte(0xee));
    let mask = IncludedMask::default().with(0).with(1);
    for voter in &expected[2..] {
        let vote = Vote {
            chain_id,
            task,
            round: ROUND,
            voter: *voter,
            hash,
            score: Score::For,
            mask,
        };
        let commitment = vote.commitment(B256::repeat_byte(player(&net, *voter) as u8));
        let round_digest = proposed.round.round_digest;
        let commit = Transaction::CommitVote {
            round: ROUND,
            round_digest,
            commitment,
        };
        send(&net, &hub, player(&net, *voter), task, commit).await;
    }
    assert_eq!(look(&hub, task).await.state.phase, Phase::Reveal);
    for voter in &expected[2..] {
        let salt = B256::repeat_byte(player(&net, *voter) as u8);
        let reveal = Transaction::RevealVote {
            round: ROUND,
            hash,
            score: Score::For,
            mask,
            salt,
        };
        send(&net, &hub, player(&net, *voter), task, reveal).await;
    }
    let revealed = look(&hub, task).await;
    assert_eq!(revealed.state.phase, Phase::Finish);
    let vote = revealed.participants[3].vote.unwrap();
    assert_eq!((vote.hash, vote.score, vote.mask), (hash, Score::For, mask));

    send(&net, &hub, 1, task, Transaction::FinishRound { round: ROUND }).await;
    send(&net, &hub, 1, task, Transaction::Slash { round: ROUND }).await;
    let now = look(&hub, task).await;
    assert_eq!((now.state.current_round, now.round.round), (Round(1), Round(1)));
    assert_eq!(
        (now.round.start_model, now.round.start_model_round),
        (hash, Some(ROUND))
    );

    let reader = hub.reader();
    let past = reader
        .snapshot(task, &now.block, Some(ROUND), &[expected[0], net.key(7).address()])
        .await
        .unwrap();
    assert_eq!((past.round.outcome, past.round.settled), (Outcome::Accepted, true));
    assert_eq!(past.round.next_hash, Some(hash));
    // The winning voters' stakes with their sign.
    assert_eq!(past.round.vote_score.to_string(), tokens(128).to_string());
    assert!(
        past.participants
            .iter()
            .all(|p| p.slashed.is_zero() && !p.rewarded.is_zero())
    );
    assert!(past.accounts[0].ever_staked && !past.accounts[1].ever_staked);
    assert_eq!(past.accounts[1].token_balance, tokens(10_000));
    assert_eq!(past.accounts[0].stake_left, tokens(64));

    // Conserved to the wei.
    let balance = FlockToken::balanceOfCall { account: task };
    let held = hub
        .evm_reader()
        .view(net.token, &balance, now.block.hash)
        .await
        .unwrap();
    let accounted = now.state.total_stakes.0 + now.state.total_claimable.0 + now.state.reward_pool.0;
    assert_eq!(held, accounted);

    // What the logs say is what the round's rows say.
    let logs = reader.task_logs(task, 0, now.block.number).await.unwrap();
    assert!(
        logs.windows(2)
            .all(|w| (w[0].block, w[0].log_index) < (w[1].block, w[1].log_index))
    );
    let rewards: Vec<(Address, Amount)> = logs
        .iter()
        .filter_map(|log| match &log.event {
            TaskEvent::Rewarded { account, amount, .. } => Some((*account, *amount)),
            _ => None,
        })
        .collect();
    for p in &past.participants {
        assert!(rewards.contains(&(p.account, p.rewarded)), "{p:?} not in {rewards:?}");
    }
    let count = |want: fn(&TaskEvent) -> bool| logs.iter().filter(|log| want(&log.event)).count();
    assert_eq!(count(|e| matches!(e, TaskEvent::Joined { .. })), 4);
    assert_eq!(count(|e| matches!(e, TaskEvent::Contributed { .. })), 2);
    assert_eq!(count(|e| matches!(e, TaskEvent::VoteCommitted { .. })), 2);
    assert_eq!(count(|e| matches!(e, TaskEvent::VoteRevealed { .. })), 2);
    assert_eq!(count(|e| matches!(e, TaskEvent::RolesDrawn { .. })), 1);
    assert_eq!(count(|e| matches!(e, TaskEvent::RoundSettled { .. })), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_stays_what_it_was_at_its_block() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let task = net.task(&hub).await;
    let reader = hub.reader();
    let before = reader.head().await.unwrap();
    send(
        &net,
        &hub,
        1,
        task,
        Transaction::Approve {
            token: net.token,
            amount: tokens(64),
        },
    )
    .await;
    send(&net, &hub, 1, task, Transaction::Stake { amount: tokens(64) }).await;
    let account = [net.key(1).address()];
    let then = reader.snapshot(task, &before, None, &account).await.unwrap();
    assert!(then.accounts[0].stake_left.is_zero());
    let head = reader.head().await.unwrap();
    assert!(
        head.number > before.number,
        "a head read after our own transaction includes it"
    );
    let now = reader.snapshot(task, &head, None, &account).await.unwrap();
    assert_eq!(now.accounts[0].stake_left, tokens(64));
    let unknown = protocol::snapshot::BlockRef {
        hash: B256::repeat_byte(3),
        ..head
    };
    let gone = reader.snapshot(task, &unknown, None, &account).await.unwrap_err();
    assert!(matches!(gone, ChainError::BlockGone(_)), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_the_contract_is_told_from_one_with_another() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let reader = hub.reader();
    let nobody = Address::repeat_byte(0x42);
    assert!(matches!(reader.parameters(nobody).await, Err(ChainError::NoCode(_))));
    assert_eq!(reader.code_hash(nobody).await.unwrap(), None);
    assert!(matches!(
        reader.parameters(net.token).await,
        Err(ChainError::Reverted { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_known_task_is_one_call() {
    let net = Devnet::with_contracts().await;
    let hub = net.hub().await;
    let task = net.task(&hub).await;
    let counting = Counting::new(net.transport());
    let reader = net.reader_over(vec![counting.clone()]);
    let head = reader.head().await.unwrap();
    reader.snapshot(task, &head, None, &[]).await.unwrap();
    counting.take();
    for round in [None, Some(ROUND)] {
        reader
            .snapshot(task, &head, round, &[net.key(1).address()])
            .await
            .unwrap();
        assert_eq!(counting.take(), [("eth_call".to_owned(), 1)].into());
    }
}
