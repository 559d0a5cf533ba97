//! One round: who joins, who is drawn, what each of them does or fails to do, and what comes of it.

use alloy::primitives::{Address, U256};
use operator::chain::bindings::FlockTask;
use protocol::{
    draw, outlook,
    types::{Amount, Role, Round},
};
use rand::Rng;

use crate::{
    Seen,
    books::Seat,
    duties::{commit, contribute, reveal},
    endings::{break_before_the_draw, break_off, settle},
    history::{After, History},
    node::Call,
    parameters::{any_amount, one_of},
    running::{Break, Running, Stage},
};

pub(crate) async fn play(h: &mut History<'_>, number: u32, seen: &mut Seen) -> After {
    let round = U256::from(number);
    let stages = [
        Stage::Joined,
        Stage::Fixed,
        Stage::Drawn,
        Stage::Contributed,
        Stage::Committed,
        Stage::Revealed,
        Stage::Finished,
    ];
    let mut planned = h.rng.random_bool(0.12).then(|| {
        let how = one_of(&mut h.rng, &[Break::Terminate, Break::FinishTask]);
        (one_of(&mut h.rng, &stages), how)
    });
    let roster = join(h, round, seen).await;
    if roster.len() < usize::from(h.p.min_participants) {
        h.now = h.now.max(h.since + u64::from(h.p.join_window));
        h.refused(h.poker, &FlockTask::selectRoundParticipantsCall { round }, seen)
            .await;
        planned = Some((
            Stage::Joined,
            one_of(&mut h.rng, &[Break::Terminate, Break::FinishTask]),
        ));
    }
    if let Some(after) = break_before_the_draw(h, number, Stage::Joined, planned, seen).await {
        return after;
    }
    let Some(mut r) = draw(h, number, roster, planned, seen).await else {
        return After::Ended;
    };
    if let Some(after) = break_off(h, &r, Stage::Drawn, seen).await {
        return after;
    }
    contribute(h, &mut r, seen).await;
    if let Some(after) = break_off(h, &r, Stage::Contributed, seen).await {
        return after;
    }
    if r.mask().count() > 0 {
        let votes = commit(h, &mut r, seen).await;
        if let Some(after) = break_off(h, &r, Stage::Committed, seen).await {
            return after;
        }
        reveal(h, &mut r, &votes, seen).await;
        if let Some(after) = break_off(h, &r, Stage::Revealed, seen).await {
            return after;
        }
    }
    settle(h, &r, seen).await
}

/// The accounts that joined, in that order.
async fn join(h: &mut History<'_>, round: U256, seen: &mut Seen) -> Vec<Address> {
    let all = h.shuffled(&h.members.clone());
    let trying = if h.rng.random_bool(0.9) {
        all.len()
    } else {
        h.rng.random_range(0..=all.len())
    };
    let (mut roster, mut tried) = (Vec::new(), &all[..trying]);
    while !tried.is_empty() {
        let (now, rest) = tried.split_at(h.rng.random_range(1..=tried.len()));
        tried = rest;
        let join = FlockTask::joinRoundCall {
            round,
            sampleCount: h.rng.random(),
        };
        let calls: Vec<Call> = now.iter().map(|account| h.call(*account, &join)).collect();
        let time = h.now + h.rng.random_range(0..3);
        let done = h.block(time, &calls).await;
        let mut order: Vec<usize> = (0..now.len()).collect();
        order.sort_by_key(|k| done[*k].index);
        for k in order {
            let member = h.books.member(now[k]);
            let may = !member.removed
                && member.left >= h.p.min_stake_threshold.0
                && roster.len() < usize::from(h.p.max_participants);
            assert_eq!(done[k].succeeded, may, "{} joins {round}: {member:?}", now[k]);
            if may {
                roster.push(now[k]);
            } else {
                seen.count("refused", 1);
            }
        }
    }
    roster
}

/// Both steps of the draw. `None`: the task was ended between them.
async fn draw(
    h: &mut History<'_>,
    number: u32,
    roster: Vec<Address>,
    planned: Option<(Stage, Break)>,
    seen: &mut Seen,
) -> Option<Running> {
    let round = U256::from(number);
    let select = FlockTask::selectRoundParticipantsCall { round };
    let deadline = h.since + u64::from(h.p.join_window);
    if roster.len() < usize::from(h.p.max_participants) {
        if h.now < deadline {
            h.now = deadline - 1;
            h.refused(h.poker, &select, seen).await;
        }
        h.now = h.now.max(deadline);
    }
    h.must(h.now, h.poker, h.node.task, &select).await;
    let mut seed_block = h.node.head().await.number + 4;
    if let Some(After::Ended) = break_before_the_draw(h, number, Stage::Fixed, planned, seen).await {
        return None;
    }
    let stakes: Vec<U256> = roster.iter().map(|account| h.books.member(*account).left).collect();
    if h.rng.random_bool(0.2) {
        h.refused(h.poker, &select, seen).await;
        let join = FlockTask::joinRoundCall { round, sampleCount: 1 };
        h.refused(*h.members.last().unwrap(), &join, seen).await;
    }
    if h.rng.random_bool(0.03) {
        seed_block = age_out(h, number, seed_block, seen).await;
    }
    let number_now = h.node.head().await.number;
    h.node.mine(seed_block - number_now).await;
    h.now = h.node.head().await.time;
    h.must(h.now + 1, h.poker, h.node.task, &select).await;

    let hash = h.node.block_hash(seed_block).await;
    let seed = draw::seed(hash, h.node.chain_id(), h.node.task, Round(number));
    let seats: Vec<Seat> = draw::shuffle(seed, roster.len())
        .into_iter()
        .map(|joined| Seat {
            account: roster[joined],
            stake: stakes[joined],
            contribution: None,
            committed: None,
            revealed: None,
        })
        .collect();
    let proposers = draw::proposer_count(roster.len(), h.p.distribution_rate);
    let snapshot = h.snapshot(number).await;
    let found: Vec<(Address, Role, Amount)> = snapshot
        .participants
        .iter()
        .map(|p| (p.account, p.role, p.stake))
        .collect();
    let role = |k| if k < proposers { Role::Proposer } else { Role::Voter };
    let expected: Vec<_> = seats
        .iter()
        .enumerate()
        .map(|(k, s)| (s.account, role(k), Amount(s.stake)))
        .collect();
    assert_eq!(found, expected, "round {number} of {:?}", h.p);
    assert_eq!(outlook::of(&snapshot), None);
    // More stake now does not count in this round.
    if h.rng.random_bool(0.1) {
        let (account, amount) = (seats[0].account, U256::from(1 + any_amount(&mut h.rng, 100)));
        h.books.stake(account, amount);
        h.must(h.now, account, h.node.task, &FlockTask::stakeCall { amount })
            .await;
    }
    Some(Running {
        number,
        round,
        seats,
        proposers,
        start: snapshot.round.start_model,
        drawn_at: snapshot.round.drawn_at.unwrap().0,
        last_contribution: 0,
        last_commitment: 0,
        planned,
    })
}

/// Nobody draws until the seed block's hash is forgotten: the roster stays, and another block gives the seed. Returns it.
async fn age_out(h: &mut History<'_>, number: u32, seed_block: u64, seen: &mut Seen) -> u64 {
    h.node.forget_old_hashes().await;
    let now = h.node.head().await.number;
    h.node.mine(seed_block + 257 - now).await;
    h.now = h.node.head().await.time;
    let round = U256::from(number);
    h.must(
        h.now + 1,
        h.poker,
        h.node.task,
        &FlockTask::selectRoundParticipantsCall { round },
    )
    .await;
    let next = h.node.head().await.number + 4;
    let found = h.snapshot(number).await.round;
    assert_eq!((found.drawn_at, found.seed_block), (None, Some(next)));
    seen.count("seed aged out", 1);
    next
}
