//! The other participants of the task: honest, sometimes asleep.

use alloy::primitives::keccak256;
use protocol::{
    action::Transaction,
    commitment::Vote,
    types::{Address, IncludedMask, Phase, Role, Round},
};

use crate::{
    contract::{CHAIN_ID, TASK, TOKEN, TaskModel, aggregated, trained},
    faults::Fault,
    plan::STAKE,
    trainer::score,
    world::{State, World},
};

pub(crate) fn address(index: usize) -> Address {
    Address::repeat_byte(index as u8 + 1)
}

/// After every block each of them does what is due.
pub(crate) fn act(world: &World, state: &mut State) {
    let tip = state.chain.tip().clone();
    let calm = world.calm();
    for index in 0..world.plan.others {
        let us = address(index);
        if world.strikes(state, Fault::OthersLate) {
            continue;
        }
        if let Some(call) = next(&tip.state, us, tip.time) {
            state.chain.submit_other(us, call);
        } else if !calm
            && state.random.chance(30)
            && let Some(poke) = poke(&tip.state, tip.time)
        {
            state.chain.submit_other(us, poke);
        }
    }
}

fn next(task: &TaskModel, us: Address, now: u64) -> Option<Transaction> {
    let account = task.accounts.get(&us)?;
    let round = task.current();
    let number = Round(round.number);
    if task.ended {
        return (account.left + account.claimable > 0).then_some(Transaction::ClaimRewards);
    }
    if account.stakes == 0 {
        let amount = STAKE.into();
        return Some(if account.allowance == STAKE {
            Transaction::Stake { amount }
        } else {
            Transaction::Approve { token: TOKEN, amount }
        });
    }
    let phase = task.phase(now);
    let Some(seat) = round.seat(us) else {
        let threshold: u128 = task.parameters.min_stake_threshold.0.to();
        let room = round.seats.len() < usize::from(task.parameters.max_participants);
        let may = phase == Phase::Join && room && !account.removed && account.left >= threshold;
        return may.then_some(Transaction::JoinRound {
            round: number,
            sample_count: 100,
        });
    };
    match (phase, seat.role) {
        (Phase::Propose, Role::Proposer) if seat.contribution.is_none() => Some(Transaction::Contribute {
            round: number,
            draw_digest: round.draw_digest,
            model: trained(us, round.draw_digest, 0),
        }),
        (Phase::Commit, Role::Voter) if seat.commitment.is_none() => {
            let (vote, salt) = vote(task, us);
            Some(Transaction::CommitVote {
                round: number,
                round_digest: round.round_digest,
                commitment: vote.commitment(salt),
            })
        }
        (Phase::Reveal, Role::Voter) if seat.commitment.is_some() && seat.vote.is_none() => {
            let (vote, salt) = vote(task, us);
            Some(Transaction::RevealVote {
                round: number,
                hash: vote.hash,
                score: vote.score,
                mask: vote.mask,
                salt,
            })
        }
        _ => None,
    }
}

fn vote(task: &TaskModel, us: Address) -> (Vote, alloy::primitives::B256) {
    let round = task.current();
    let salt = keccak256([us.as_slice(), round.round_digest.0.as_slice()].concat());
    let vote = Vote {
        chain_id: CHAIN_ID,
        task: TASK,
        round: Round(round.number),
        voter: us,
        hash: aggregated(round.round_digest, 0),
        score: score(round.round_digest),
        mask: IncludedMask(round.contributed_mask()),
    };
    (vote, salt)
}

fn poke(task: &TaskModel, now: u64) -> Option<Transaction> {
    let round = Round(task.number());
    match task.phase(now) {
        Phase::Join | Phase::Draw => Some(Transaction::SelectRoundParticipants { round }),
        Phase::Finish => Some(Transaction::FinishRound { round }),
        Phase::Settle => Some(Transaction::Slash { round }),
        _ => None,
    }
}
