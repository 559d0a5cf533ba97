//! Whether somebody else votes with this key (docs/decisions/0009).
//!
//! The chain keeps every commitment of an account. Ours stand in the vote ledger; of one whose entry is lost, for
//! instance because etcd was restored from an old backup, the salt follows from the ledger's seed. A commitment that
//! neither explains was made elsewhere: it is noticed here, before the next round is joined.

use crds::{FLClient, conditions::reason, flclient::LedgerStatus, names};
use kube::ResourceExt;
use protocol::{
    snapshot::{ParticipantState, TaskSnapshot},
    types::{IncludedMask, ModelHash, Phase, Round, Score},
};

use super::{
    ClientError,
    ledger::Ledger,
    observe::Observed,
    problem::Problem,
    stored_vote::{either_way, key_of},
};
use crate::controller::context::Context;

/// Rounds looked back at, of a task that was joined long ago by an object that knows nothing of it.
const LOOK_BACK: u32 = 32;

/// Looks at the rounds that ended since the last look. Costs a snapshot a round, once.
pub(super) async fn audit(observed: &Observed, ctx: &Context) -> Result<LedgerStatus, ClientError> {
    let snapshot = &observed.snapshot;
    let address = observed.view.participant;
    let status = observed.object.status.as_ref();
    let mut audit = status.and_then(|status| status.ledger.clone()).unwrap_or_default();
    let ours = acknowledged(&observed.object);
    audit.foreign_round = audit.foreign_round.filter(|&round| !ours.covers(round));
    let current = snapshot.round.round.0;
    if snapshot.state.phase == Phase::Ended || audit.checked_rounds >= current {
        return Ok(audit);
    }
    // Who never staked was never drawn.
    let known = snapshot.account(address).is_some_and(|account| account.ever_staked);
    let first = audit.checked_rounds.max(current.saturating_sub(LOOK_BACK));
    let ledger = Ledger::new(ctx);
    for round in first..if known { current } else { first } {
        let reader = observed.chain.reader();
        let past = reader
            .snapshot(snapshot.task, &snapshot.block, Some(Round(round)), &[])
            .await?;
        let Some(us) = past.participant(address) else { continue };
        let Some(commitment) = us.commitment else { continue };
        let key = key_of(&past, address);
        let evidence = ledger.explain(&key, commitment, candidates(&past, us)).await?;
        if evidence.is_foreign() && !ours.covers(round) {
            tracing::warn!(%address, round, ?evidence, "a vote of this key was cast by somebody else");
            audit.foreign_round = Some(round);
        }
    }
    audit.checked_rounds = current;
    Ok(audit)
}

/// What a commitment of ours in an earlier round may have been: what was revealed by us, or by others, or nothing.
fn candidates(past: &TaskSnapshot, us: &ParticipantState) -> Vec<(ModelHash, Score, IncludedMask)> {
    let revealed = us.vote.into_iter().chain(past.voters().filter_map(|voter| voter.vote));
    either_way(past, revealed.map(|vote| (vote.hash, vote.mask)))
}

/// Up to which round a person said that all votes of the key are theirs.
#[derive(Clone, Copy)]
struct Acknowledged(Option<u32>);

impl Acknowledged {
    fn covers(self, round: u32) -> bool {
        self.0.is_some_and(|last| round <= last)
    }
}

fn acknowledged(object: &FLClient) -> Acknowledged {
    let value = object.annotations().get(names::ANNOTATION_KEY_IS_MINE);
    Acknowledged(value.and_then(|value| value.trim().parse().ok()))
}

/// What a person sees while somebody else's vote is not explained.
pub(super) fn problem(observed: &Observed) -> Option<Problem> {
    let round = observed.ledger.foreign_round?;
    let address = observed.view.participant;
    Some(Problem::new(
        reason::KEY_USED_ELSEWHERE,
        format!(
            "in round {round} {address} committed to a vote that this operator did not record: another operator uses the \
             key, or this one lost Secrets. It joins no more rounds. Stop the other, or restore the Secrets; if the vote \
             was yours, annotate with {}={round}",
            names::ANNOTATION_KEY_IS_MINE
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_acknowledged_covers_the_rounds_up_to_it() {
        assert!(!Acknowledged(None).covers(0));
        assert!(Acknowledged(Some(3)).covers(0) && Acknowledged(Some(3)).covers(3));
        assert!(!Acknowledged(Some(3)).covers(4));
    }
}
