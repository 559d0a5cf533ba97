//! Contributing, committing and revealing: by some in time, by some too late, by some wrongly.

use alloy::primitives::{B256, U256};
use operator::chain::bindings::FlockTask;
use protocol::{
    commitment::Vote,
    types::{IncludedMask, ModelHash, Round, Score},
};
use rand::Rng;

use crate::{Seen, books::Revealed, history::History, node::Call, parameters::one_of, running::Running};

/// What a participant does about a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    OnTime,
    Absent,
    /// At the deadline, which is too late.
    Late,
    /// In time, but something the contract does not take.
    Wrong,
}

/// What each of `count` does about a duty; in most rounds everybody does it.
fn conduct(h: &mut History<'_>, count: usize) -> Vec<Conduct> {
    let diligent = h.rng.random_bool(0.6);
    let mut one = || {
        if diligent || h.rng.random_bool(0.6) {
            return Conduct::OnTime;
        }
        one_of(&mut h.rng, &[Conduct::Absent, Conduct::Late, Conduct::Wrong])
    };
    (0..count).map(|_| one()).collect()
}

fn any_hash(h: &mut History<'_>) -> B256 {
    B256::from(h.rng.random::<[u8; 32]>())
}

/// `seats` in a few groups, each in a block of its own.
fn blocks(h: &mut History<'_>, seats: Vec<usize>) -> Vec<Vec<usize>> {
    let count = h.rng.random_range(1..=3);
    let mut blocks = vec![Vec::new(); count];
    for seat in seats {
        blocks[h.rng.random_range(0..count)].push(seat);
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

pub(crate) async fn contribute(h: &mut History<'_>, r: &mut Running, seen: &mut Seen) {
    let conduct = conduct(h, r.proposers);
    let who = |wanted: &[Conduct]| {
        (0..r.proposers)
            .filter(|k| wanted.contains(&conduct[*k]))
            .collect::<Vec<_>>()
    };
    let (acting, late) = (who(&[Conduct::OnTime, Conduct::Wrong]), who(&[Conduct::Late]));
    let deadline = r.drawn_at + u64::from(h.p.propose_window);
    let digest = h.snapshot(r.number).await.round.draw_digest.0;
    let contribution = |model: B256| FlockTask::contributeCall {
        round: r.round,
        drawDigest: digest,
        modelHash: model,
    };
    for block in blocks(h, acting) {
        let Some(time) = h.time_in(h.now, deadline) else { break };
        let mut calls = Vec::new();
        let mut models = Vec::new();
        for k in &block {
            let wrong = one_of(&mut h.rng, &[B256::ZERO, r.start.0]);
            let model = if conduct[*k] == Conduct::Wrong {
                wrong
            } else {
                any_hash(h)
            };
            calls.push(h.call(r.seats[*k].account, &contribution(model)));
            models.push(model);
        }
        let voter = r.seats[r.proposers].account;
        calls.push(h.call(voter, &contribution(B256::repeat_byte(1))));
        let done = h.block(time, &calls).await;
        assert!(!done.last().unwrap().succeeded, "a voter contributes");
        for ((k, done), model) in block.iter().zip(&done).zip(models) {
            let right = conduct[*k] == Conduct::OnTime;
            assert_eq!(done.succeeded, right, "seat {k} contributes");
            if right {
                r.seats[*k].contribution = Some(ModelHash(model));
                r.last_contribution = time;
            }
        }
        seen.count("refused", 1);
    }
    if !late.is_empty() {
        let calls: Vec<Call> = late
            .iter()
            .map(|k| h.call(r.seats[*k].account, &contribution(B256::repeat_byte(3))))
            .collect();
        let done = h.block(h.now.max(deadline), &calls).await;
        assert!(done.iter().all(|done| !done.succeeded), "too late");
        seen.count("refused", late.len());
    }
}

/// What a voter has committed to, by seat.
pub(crate) type Votes = Vec<(usize, Revealed, B256)>;

/// Votes of all voters: of one mind, of two, or of many.
fn opinions(h: &mut History<'_>, r: &Running) -> Vec<Revealed> {
    let (all, hashes) = (r.mask(), [any_hash(h), any_hash(h), r.start.0].map(ModelHash));
    let bits: Vec<usize> = (0..r.proposers).filter(|k| all.contains(*k)).collect();
    let bit = one_of(&mut h.rng, &bits);
    let masks = [all, IncludedMask::default().with(bit)];
    let main = one_of(&mut h.rng, &[Score::For, Score::For, Score::Against]);
    let style = h.rng.random_range(0..5);
    r.voters()
        .enumerate()
        .map(|(k, _)| {
            let odd = k % 2;
            let other = [Score::For, Score::Against][odd];
            match style {
                0 => (hashes[0], main, all),
                1 => (hashes[0], other, all),
                2 => (hashes[odd], main, all),
                3 => (hashes[0], main, masks[odd]),
                _ if h.rng.random_bool(0.1) => (r.start, Score::Against, IncludedMask::default()),
                _ => {
                    let score = one_of(&mut h.rng, &[Score::For, Score::Against]);
                    (one_of(&mut h.rng, &hashes), score, one_of(&mut h.rng, &masks))
                }
            }
        })
        .map(|(hash, score, mask)| Revealed { hash, score, mask })
        .collect()
}

pub(crate) async fn commit(h: &mut History<'_>, r: &mut Running, seen: &mut Seen) -> Votes {
    let (open, deadline) = (r.commit_open(h), r.commit_deadline(h));
    let opinions = opinions(h, r);
    let conduct = conduct(h, r.voters().len());
    let digest = h.snapshot(r.number).await.round.round_digest.0;
    let (chain_id, task, proposers) = (h.node.chain_id(), h.node.task, r.proposers);
    let votes: Votes = r.voters().map(|k| (k, opinions[k - proposers], any_hash(h))).collect();
    let call = |r: &Running, (k, vote, salt): (usize, Revealed, B256)| {
        let committed = Vote {
            chain_id,
            task,
            round: Round(r.number),
            voter: r.seats[k].account,
            hash: vote.hash,
            score: vote.score,
            mask: vote.mask,
        };
        let wrong = conduct[k - proposers] == Conduct::Wrong;
        FlockTask::commitVoteCall {
            round: r.round,
            roundDigest: if wrong { B256::repeat_byte(9) } else { digest },
            commitment: committed.commitment(salt).0,
        }
    };
    let who = |wanted: &[Conduct]| {
        r.voters()
            .filter(|k| wanted.contains(&conduct[k - proposers]))
            .collect::<Vec<_>>()
    };
    let (acting, late) = (who(&[Conduct::OnTime, Conduct::Wrong]), who(&[Conduct::Late]));
    let mut rank = 0;
    for block in blocks(h, acting) {
        let Some(time) = h.time_in(open, deadline) else { break };
        let mut calls: Vec<Call> = block
            .iter()
            .map(|k| h.call(r.seats[*k].account, &call(r, votes[k - proposers])))
            .collect();
        calls.push(h.call(r.seats[0].account, &call(r, votes[0])));
        let done = h.block(time, &calls).await;
        assert!(!done.last().unwrap().succeeded, "a proposer commits");
        let mut order: Vec<usize> = (0..block.len()).collect();
        order.sort_by_key(|i| done[*i].index);
        for i in order {
            let right = conduct[block[i] - proposers] == Conduct::OnTime;
            assert_eq!(done[i].succeeded, right, "seat {} commits", block[i]);
            if right {
                rank += 1;
                r.seats[block[i]].committed = Some(rank);
                r.last_commitment = time;
            }
        }
        seen.count("refused", 1);
    }
    if !late.is_empty() {
        let calls: Vec<Call> = late
            .iter()
            .map(|k| h.call(r.seats[*k].account, &call(r, votes[k - proposers])))
            .collect();
        let done = h.block(h.now.max(deadline), &calls).await;
        assert!(done.iter().all(|done| !done.succeeded), "too late");
        seen.count("refused", late.len());
    }
    votes
}

pub(crate) async fn reveal(h: &mut History<'_>, r: &mut Running, votes: &Votes, seen: &mut Seen) {
    let open = r.reveal_open(h);
    let deadline = open + u64::from(h.p.reveal_window);
    let committed: Vec<usize> = r.voters().filter(|k| r.seats[*k].committed.is_some()).collect();
    let conduct = conduct(h, r.voters().len());
    let (round, proposers, contributed) = (r.round, r.proposers, r.mask());
    let call = |k: usize, wrong: u32| {
        let (_, vote, salt) = votes[k - proposers];
        let mut call = FlockTask::revealVoteCall {
            round,
            aggregateHash: vote.hash.0,
            score: vote.score.into(),
            includedMask: U256::from(vote.mask.0),
            salt,
        };
        match wrong {
            0 => {}
            1 => call.salt = B256::ZERO,
            2 => call.score = -call.score,
            3 => call.includedMask = U256::from(contributed.0 + 1),
            _ => call.aggregateHash = B256::repeat_byte(5),
        }
        call
    };
    let who = |wanted: &[Conduct]| {
        let all = committed.iter().copied();
        all.filter(|k| wanted.contains(&conduct[k - proposers]))
            .collect::<Vec<_>>()
    };
    let (acting, late) = (who(&[Conduct::OnTime, Conduct::Wrong]), who(&[Conduct::Late]));
    for block in blocks(h, acting) {
        let Some(time) = h.time_in(open, deadline) else { break };
        let wrong: Vec<u32> = block
            .iter()
            .map(|k| {
                if conduct[k - proposers] == Conduct::Wrong {
                    h.rng.random_range(1..=4)
                } else {
                    0
                }
            })
            .collect();
        let calls: Vec<Call> = block
            .iter()
            .zip(&wrong)
            .map(|(k, wrong)| h.call(r.seats[*k].account, &call(*k, *wrong)))
            .collect();
        let done = h.block(time, &calls).await;
        for ((k, done), wrong) in block.iter().zip(done).zip(wrong) {
            assert_eq!(done.succeeded, wrong == 0, "seat {k} reveals, wrong in {wrong}");
            if wrong == 0 {
                r.seats[*k].revealed = Some(votes[k - proposers].1);
            } else {
                seen.count("refused", 1);
            }
        }
    }
    if !late.is_empty() {
        let calls: Vec<Call> = late.iter().map(|k| h.call(r.seats[*k].account, &call(*k, 0))).collect();
        let done = h.block(h.now.max(deadline), &calls).await;
        assert!(done.iter().all(|done| !done.succeeded), "too late");
        seen.count("refused", late.len());
    }
}
