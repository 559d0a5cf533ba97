//! The vote a client has stored for the running round, found again if it was lost.

use protocol::{
    client::JobState,
    commitment::LedgerKey,
    job::StepResult,
    snapshot::TaskSnapshot,
    types::{Address, IncludedMask, ModelHash, Role, Score},
};

use super::{
    ClientError,
    ledger::{Evidence, Ledger},
    observe::Observed,
};
use crate::controller::context::Context;

/// The stored vote for the present state of the round. If the chain has a commitment and the entry is lost, it is
/// looked for: the salt is derived, so the right vote gives the same commitment.
pub(super) async fn observe(observed: &mut Observed, ctx: &Context) -> Result<(), ClientError> {
    let Some(us) = observed.snapshot.participant(observed.view.participant) else {
        return Ok(());
    };
    let owes_vote = us.role == Role::Voter && us.vote.is_none() && !observed.snapshot.round.settled;
    if !owes_vote || (observed.snapshot.round.commit_open.is_none() && us.commitment.is_none()) {
        return Ok(());
    }
    let key = vote_key(observed);
    let ledger = Ledger::new(ctx);
    let entry = ledger.find(&key).await?;
    observed.view.ledger = match (entry, us.commitment) {
        (None, Some(commitment)) => {
            let rebuilt = ledger.rebuild(&key, commitment, candidates(observed)).await?;
            rebuilt.into_iter().collect()
        }
        (Some(entry), Some(commitment)) if entry.commitment != commitment => {
            let found = ledger.explain(&key, commitment, candidates(observed)).await?;
            observed.ledger.foreign_round = Some(key.round.0);
            match found {
                // Not what we stored, but we can reveal it, and nobody else may.
                Evidence::OfACopy(theirs) => vec![entry, theirs],
                _ => vec![entry],
            }
        }
        (entry, _) => entry.into_iter().collect(),
    };
    Ok(())
}

/// The stored vote of the round as it is now.
pub(super) fn vote_key(observed: &Observed) -> LedgerKey {
    key_of(&observed.snapshot, observed.view.participant)
}

/// What a vote in the snapshot's round is kept under.
pub(super) fn key_of(snapshot: &TaskSnapshot, voter: Address) -> LedgerKey {
    LedgerKey {
        chain_id: snapshot.chain_id,
        task: snapshot.task,
        round: snapshot.round.round,
        voter,
        round_digest: snapshot.round.round_digest,
    }
}

/// What a lost vote may have been: what our Job computed, what others revealed, each with either score, and the vote for
/// nothing.
fn candidates(observed: &Observed) -> Vec<(ModelHash, Score, IncludedMask)> {
    let digest = observed.snapshot.round.round_digest;
    let computed = observed
        .jobs
        .iter()
        .filter(|job| job.identity.digest == digest)
        .filter_map(|job| match &job.state {
            JobState::Succeeded(result) => match &result.outcome {
                StepResult::Vote(vote) => Some((vote.aggregate, vote.mask)),
                StepResult::Check(_) | StepResult::Train(_) => None,
            },
            _ => None,
        });
    let revealed = observed
        .snapshot
        .voters()
        .filter_map(|voter| voter.vote.map(|vote| (vote.hash, vote.mask)));
    either_way(&observed.snapshot, computed.chain(revealed))
}

/// Each of these models with either score, and the vote for nothing.
pub(super) fn either_way(
    snapshot: &TaskSnapshot,
    models: impl Iterator<Item = (ModelHash, IncludedMask)>,
) -> Vec<(ModelHash, Score, IncludedMask)> {
    let nothing = (snapshot.round.start_model, IncludedMask::default());
    models
        .chain([nothing])
        .flat_map(|(hash, mask)| [(hash, Score::For, mask), (hash, Score::Against, mask)])
        .collect()
}
