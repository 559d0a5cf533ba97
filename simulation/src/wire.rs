//! Transactions as they come over the wire.

use std::{cell::RefCell, collections::HashMap};

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes},
    sol_types::SolInterface,
};
use operator::chain::bindings::{
    FlockTask::FlockTaskCalls as TaskCall, token::FlockToken::FlockTokenCalls as TokenCall,
};
use protocol::{
    action::Transaction,
    types::{Amount, Commitment, IncludedMask, ModelHash, Round, RoundDigest, Score},
};
use serde_json::Value;

use crate::{
    chain::Tx,
    contract::{TASK, TOKEN},
    keys,
};

/// The transaction in the parameters of `eth_sendRawTransaction`.
pub(crate) fn read(params: &Value) -> Option<Tx> {
    let raw: Bytes = params[0].as_str()?.parse().ok()?;
    let envelope = TxEnvelope::decode_2718(&mut raw.as_ref()).ok()?;
    let from = sender(&envelope)?;
    let call = decode(envelope.to()?, envelope.input())?;
    Some(Tx {
        hash: *envelope.tx_hash(),
        from,
        nonce: envelope.nonce(),
        call,
        max_fee: envelope.max_fee_per_gas(),
        tip: envelope.max_priority_fee_per_gas().unwrap_or_default(),
        gas_limit: envelope.gas_limit(),
        process: None,
    })
}

thread_local! {
    /// Who signed what, by hash: many runs begin with the same transactions, and every one of them is offered again.
    static SENDERS: RefCell<HashMap<B256, Address>> = RefCell::default();
}

fn sender(envelope: &TxEnvelope) -> Option<Address> {
    const REMEMBERED: usize = 1 << 18;
    if let Some(from) = keys::signed_by(envelope.signature(), envelope.signature_hash()) {
        return Some(from);
    }
    let hash = *envelope.tx_hash();
    if let Some(known) = SENDERS.with_borrow(|senders| senders.get(&hash).copied()) {
        return Some(known);
    }
    let signature = envelope.signature();
    let from = signature
        .recover_address_from_prehash(&envelope.signature_hash())
        .ok()?;
    SENDERS.with_borrow_mut(|senders| {
        if senders.len() >= REMEMBERED {
            senders.clear();
        }
        senders.insert(hash, from);
    });
    Some(from)
}

/// Calldata as the protocol's transaction.
pub(crate) fn decode(to: Address, data: &[u8]) -> Option<Transaction> {
    let narrow = |round: alloy::primitives::U256| u32::try_from(round).ok().map(Round);
    if to == TOKEN {
        return match TokenCall::abi_decode(data).ok()? {
            TokenCall::approve(call) => Some(Transaction::Approve {
                token: TOKEN,
                amount: Amount(call.value),
            }),
            _ => None,
        };
    }
    if to != TASK {
        return None;
    }
    Some(match TaskCall::abi_decode(data).ok()? {
        TaskCall::stake(c) => Transaction::Stake {
            amount: Amount(c.amount),
        },
        TaskCall::joinRound(c) => Transaction::JoinRound {
            round: narrow(c.round)?,
            sample_count: c.sampleCount,
        },
        TaskCall::contribute(c) => Transaction::Contribute {
            round: narrow(c.round)?,
            draw_digest: RoundDigest(c.drawDigest),
            model: ModelHash(c.modelHash),
        },
        TaskCall::commitVote(c) => Transaction::CommitVote {
            round: narrow(c.round)?,
            round_digest: RoundDigest(c.roundDigest),
            commitment: Commitment(c.commitment),
        },
        TaskCall::revealVote(c) => Transaction::RevealVote {
            round: narrow(c.round)?,
            hash: ModelHash(c.aggregateHash),
            score: Score::try_from(c.score).ok()?,
            mask: IncludedMask(u64::try_from(c.includedMask).ok()?),
            salt: c.salt,
        },
        TaskCall::selectRoundParticipants(c) => Transaction::SelectRoundParticipants {
            round: narrow(c.round)?,
        },
        TaskCall::finishRound(c) => Transaction::FinishRound {
            round: narrow(c.round)?,
        },
        TaskCall::slash(c) => Transaction::Slash {
            round: narrow(c.round)?,
        },
        TaskCall::terminate(_) => Transaction::Terminate,
        TaskCall::claimRewards(_) => Transaction::ClaimRewards,
        _ => return None,
    })
}
