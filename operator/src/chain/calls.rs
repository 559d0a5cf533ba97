//! The protocol's transactions as calldata.

use alloy::{primitives::U256, sol_types::SolCall};
use protocol::{
    action::Transaction,
    types::{Address, Round},
};

use super::bindings::{FlockTask as T, token::FlockToken};

/// Whom to call, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub to: Address,
    pub data: Vec<u8>,
}

fn r(round: Round) -> U256 {
    U256::from(round.0)
}

/// The call that carries out `transaction` for `task`. An approval is the token's, and for the task alone.
pub fn call(task: Address, transaction: &Transaction) -> Call {
    let to_task = |data: Vec<u8>| Call { to: task, data };
    match transaction {
        Transaction::Approve { token, amount } => approve(*token, task, amount.0),
        Transaction::Stake { amount } => to_task(T::stakeCall { amount: amount.0 }.abi_encode()),
        Transaction::JoinRound { round, sample_count } => to_task(
            T::joinRoundCall {
                round: r(*round),
                sampleCount: *sample_count,
            }
            .abi_encode(),
        ),
        Transaction::Contribute {
            round,
            draw_digest,
            model,
        } => to_task(
            T::contributeCall {
                round: r(*round),
                drawDigest: draw_digest.0,
                modelHash: model.0,
            }
            .abi_encode(),
        ),
        Transaction::CommitVote {
            round,
            round_digest,
            commitment,
        } => to_task(
            T::commitVoteCall {
                round: r(*round),
                roundDigest: round_digest.0,
                commitment: commitment.0,
            }
            .abi_encode(),
        ),
        Transaction::RevealVote {
            round,
            hash,
            score,
            mask,
            salt,
        } => to_task(
            T::revealVoteCall {
                round: r(*round),
                aggregateHash: hash.0,
                score: i8::from(*score),
                includedMask: U256::from(mask.0),
                salt: *salt,
            }
            .abi_encode(),
        ),
        Transaction::SelectRoundParticipants { round } => {
            to_task(T::selectRoundParticipantsCall { round: r(*round) }.abi_encode())
        }
        Transaction::FinishRound { round } => to_task(T::finishRoundCall { round: r(*round) }.abi_encode()),
        Transaction::Slash { round } => to_task(T::slashCall { round: r(*round) }.abi_encode()),
        Transaction::Terminate => to_task(T::terminateCall {}.abi_encode()),
        Transaction::ClaimRewards => to_task(T::claimRewardsCall {}.abi_encode()),
    }
}

/// Lets `spender` take exactly `amount`.
pub fn approve(token: Address, spender: Address, amount: U256) -> Call {
    Call {
        to: token,
        data: FlockToken::approveCall { spender, value: amount }.abi_encode(),
    }
}

/// A call of the registry.
pub fn to_manager<C: SolCall>(manager: Address, call: &C) -> Call {
    Call {
        to: manager,
        data: call.abi_encode(),
    }
}
