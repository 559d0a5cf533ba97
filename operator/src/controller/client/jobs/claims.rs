//! What a Job's token lets it do at the gateway.

use protocol::{
    architecture::TorchScript,
    job::{JobIdentity, Step},
    snapshot::{RoundState, TaskSnapshot},
    types::{Address, ModelHash, Timestamp},
};

use crate::{
    cluster::Key,
    gateway::{JobClaims, ReadGrant, TOKEN_VERSION},
};

/// Holders named for one model: any of them will do, and a token has a limit.
const MAX_HOLDERS: usize = 16;
/// Seconds a token outlives its window: clocks differ, and a last upload may be under way.
const GRACE_SECONDS: u64 = 60;

/// Who published the aggregate that `settled` accepted: its voters who revealed that hash, ourselves first.
pub(crate) fn holders(settled: &TaskSnapshot, model: ModelHash, ourselves: Address) -> Vec<Address> {
    let voted = |p: &&protocol::snapshot::ParticipantState| p.vote.is_some_and(|vote| vote.hash == model);
    let mut holders: Vec<Address> = settled.voters().filter(voted).map(|p| p.account).collect();
    holders.sort_by_key(|&account| account != ourselves);
    holders.truncate(MAX_HOLDERS);
    holders
}

/// Claims of one Job. `start_holders`: who has the start model; `None` if it is the genesis model, which every trainer
/// derives itself.
pub(crate) fn claims(
    job: &Key,
    identity: &JobIdentity,
    start_holders: Option<Vec<Address>>,
    max_bytes: u64,
    expires: Timestamp,
) -> JobClaims {
    let mut reads = Vec::new();
    if identity.step != Step::Check
        && let Some(holders) = start_holders
    {
        reads.push(ReadGrant {
            hash: identity.start_model,
            holders,
        });
    }
    for seat in &identity.seats {
        let Some(hash) = seat.contribution else { continue };
        // The same hash contributed twice is one read with two holders.
        match reads.iter_mut().find(|grant| grant.hash == hash) {
            Some(grant) if grant.holders.contains(&seat.proposer) => {}
            Some(grant) => grant.holders.push(seat.proposer),
            None => reads.push(ReadGrant {
                hash,
                holders: vec![seat.proposer],
            }),
        }
    }
    JobClaims {
        v: TOKEN_VERSION,
        job: job.to_string(),
        chain: identity.chain_id,
        task: identity.task,
        participant: identity.participant,
        reads,
        write_model: identity.step != Step::Check,
        // A contribution is for everybody; an aggregate only once our own commitment is confirmed.
        publish: identity.step == Step::Train,
        max_bytes,
        checkpoint_bytes: 0,
        exp: expires,
    }
}

/// A TorchScript file is an object of the store like a model; the task's creator serves it. It may be larger than what
/// is trained of it.
pub(crate) fn allow_module(claims: &mut JobClaims, script: &TorchScript, creator: Address) {
    claims.reads.push(ReadGrant {
        hash: script.module,
        holders: vec![creator],
    });
    claims.max_bytes = claims.max_bytes.max(script.module_bytes);
}

/// A token ends with the window its Job works for.
pub(crate) fn expiry(round: &RoundState, step: Step, finish_by: Timestamp) -> Timestamp {
    let window = match step {
        Step::Check => None,
        Step::Train => round.propose_deadline,
        Step::Vote => round.commit_deadline,
    };
    window.unwrap_or(finish_by).max(finish_by).saturating_add(GRACE_SECONDS)
}

#[cfg(test)]
mod tests {
    use protocol::types::B256;

    use super::*;

    #[test]
    fn a_module_is_read_from_the_creator_and_may_be_larger_than_a_model() {
        let mut claims = JobClaims {
            v: TOKEN_VERSION,
            job: "team/a".into(),
            chain: 1,
            task: Address::ZERO,
            participant: Address::ZERO,
            reads: Vec::new(),
            write_model: false,
            publish: false,
            max_bytes: 10,
            checkpoint_bytes: 0,
            exp: Timestamp(1),
        };
        let script = TorchScript {
            module: ModelHash(B256::repeat_byte(7)),
            module_bytes: 1000,
            initial_model: ModelHash::ZERO,
            input_shape: vec![4],
            outputs: 2,
            tensors: Vec::new(),
            base_model: None,
        };
        let creator = Address::repeat_byte(3);
        allow_module(&mut claims, &script, creator);
        assert_eq!(claims.reads.len(), 1);
        assert_eq!(
            (claims.reads[0].hash, &claims.reads[0].holders[..]),
            (script.module, &[creator][..])
        );
        assert_eq!(claims.max_bytes, 1000);
    }
}
