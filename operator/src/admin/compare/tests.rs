//! A real round on a real chain, mirrored by the controller's own code: it agrees, and stops agreeing with any change.

use crds::FLRound;
use protocol::types::{Amount, B256, ModelHash, Phase, Score};

use super::{super::testnet::Testnet, Mirrors, compare, grouped};

fn mirrors(rounds: &[FLRound]) -> Mirrors {
    grouped(rounds.to_vec())
}

fn more(amount: &mut Amount) {
    *amount = amount.saturating_add(Amount::from(1));
}

type Change = (&'static str, fn(&mut FLRound));

/// One change each; none may go unseen.
const CHANGES: &[Change] = &[
    ("a slashed amount", |round| {
        let participants = &mut round.status.as_mut().unwrap().participants;
        more(&mut participants.iter_mut().find_map(|p| p.slashed.as_mut()).unwrap().amount);
    }),
    ("a rewarded amount", |round| {
        let participants = &mut round.status.as_mut().unwrap().participants;
        more(
            &mut participants
                .iter_mut()
                .find_map(|p| p.rewarded.as_mut())
                .unwrap()
                .amount,
        );
    }),
    ("a reward left out", |round| {
        let participants = &mut round.status.as_mut().unwrap().participants;
        participants.iter_mut().find(|p| p.rewarded.is_some()).unwrap().rewarded = None;
    }),
    ("the transaction of a reward", |round| {
        let status = round.status.as_mut().unwrap();
        let other = status.draw.as_ref().unwrap().transaction;
        let record = status
            .participants
            .iter_mut()
            .find_map(|p| p.rewarded.as_mut())
            .unwrap();
        record.transaction = other;
    }),
    ("a transaction that is not there", |round| {
        let settlement = round.status.as_mut().unwrap().settlement.as_mut().unwrap();
        settlement.transaction = Some(B256::repeat_byte(0xee));
    }),
    ("a missing transaction", |round| {
        round.status.as_mut().unwrap().settlement.as_mut().unwrap().transaction = None;
    }),
    ("a block", |round| {
        round.status.as_mut().unwrap().decision.as_mut().unwrap().block += 1
    }),
    ("a stake", |round| {
        more(&mut round.status.as_mut().unwrap().participants[0].stake)
    }),
    ("the bonus", |round| {
        more(&mut round.status.as_mut().unwrap().settlement.as_mut().unwrap().bonus)
    }),
    ("the pot", |round| {
        more(&mut round.status.as_mut().unwrap().settlement.as_mut().unwrap().pot)
    }),
    ("the slashed total", |round| {
        more(
            &mut round
                .status
                .as_mut()
                .unwrap()
                .settlement
                .as_mut()
                .unwrap()
                .slashed_total,
        );
    }),
    ("a vote", |round| {
        let participants = &mut round.status.as_mut().unwrap().participants;
        participants.iter_mut().find_map(|p| p.reveal.as_mut()).unwrap().score = Score::Against;
    }),
    ("a contribution", |round| {
        let participants = &mut round.status.as_mut().unwrap().participants;
        participants
            .iter_mut()
            .find_map(|p| p.contribution.as_mut())
            .unwrap()
            .model = ModelHash::ZERO;
    }),
    ("the next model", |round| {
        round.status.as_mut().unwrap().next_model = Some(ModelHash::ZERO)
    }),
    ("a participant left out", |round| {
        round.status.as_mut().unwrap().participants.pop();
    }),
    ("the draw left out", |round| round.status.as_mut().unwrap().draw = None),
    ("the chain", |round| round.spec.chain_id = 1),
];

#[tokio::test]
async fn a_true_mirror_agrees_and_every_change_to_it_is_found() {
    let net = Testnet::start().await;
    let deployment = net.deployed().await;
    let task = net.create_task(&deployment, 2).await;
    net.stake(&deployment, task).await;
    net.play_round(task, 0).await;
    let settled = net.mirror(task, 0).await;
    assert!(settled.status.as_ref().unwrap().r#final);

    let agreed = compare(&net.chain, &mirrors(std::slice::from_ref(&settled)))
        .await
        .unwrap();
    assert_eq!(agreed.differences, Vec::<String>::new());
    assert!(agreed.checked > 60, "{}", agreed.checked);
    for (what, change) in CHANGES {
        let mut changed = settled.clone();
        change(&mut changed);
        let found = compare(&net.chain, &mirrors(&[changed])).await.unwrap();
        assert!(!found.differences.is_empty(), "{what} was changed and nothing said");
    }

    // A running round may be mirrored late, but not wrongly, and a round between two mirrored ones not be left out.
    let mut running = net.mirror(task, 1).await;
    assert_eq!(running.status.as_ref().unwrap().phase, Some(Phase::Join));
    net.play_round(task, 1).await;
    let late = compare(&net.chain, &mirrors(&[settled.clone(), running.clone()]))
        .await
        .unwrap();
    assert_eq!(late.differences, Vec::<String>::new());
    running.spec.round = 2;
    let gap = compare(&net.chain, &mirrors(&[settled.clone(), running]))
        .await
        .unwrap();
    assert!(
        gap.differences
            .iter()
            .any(|difference| difference.contains("round 1 has no FLRound")),
        "{gap:?}"
    );

    // The task is over now, so its last round must be there.
    let short = compare(&net.chain, &mirrors(std::slice::from_ref(&settled)))
        .await
        .unwrap();
    assert!(
        short
            .differences
            .iter()
            .any(|difference| difference.contains("round 1 is settled")),
        "{short:?}"
    );
    let whole = [settled, net.mirror(task, 1).await];
    assert_eq!(
        compare(&net.chain, &mirrors(&whole)).await.unwrap().differences,
        Vec::<String>::new()
    );

    // Claims and gifts leave the books in order, and the command says so by its exit.
    let text = task.to_string();
    net.run(1, &["claim", "--task", &text]).await.unwrap();
    let token = deployment.token.address.to_string();
    net.run(0, &["mint", "--token", &token, "--to", &text, "--amount", "7wei"])
        .await
        .unwrap();
    let gifted = compare(&net.chain, &mirrors(&whole)).await.unwrap();
    assert_eq!(gifted.differences, Vec::<String>::new());
    assert_eq!(gifted.notes.len(), 1);
    let file = net.path("rounds.json");
    std::fs::write(&file, serde_json::json!({"items": whole}).to_string()).unwrap();
    net.run(0, &["compare", "--from-file", &file]).await.unwrap();
    let mut wrong = whole.clone();
    more(&mut wrong[1].status.as_mut().unwrap().settlement.as_mut().unwrap().pot);
    std::fs::write(&file, serde_json::json!({"items": wrong}).to_string()).unwrap();
    assert!(net.run(0, &["compare", "--from-file", &file]).await.is_err());
}
