//! After one's own duty: what the round still needs, and what is claimed in the end.

use super::context::{Context, Plan};
use crate::{
    action::{ClientStep, Transaction},
    types::Phase,
};

/// Says whom the round is waiting for.
pub(super) fn await_others(cx: &Context<'_>, plan: &mut Plan) {
    let round = &cx.snapshot.round;
    let voters = round.joined.saturating_sub(round.proposers);
    match cx.phase() {
        Phase::Propose => plan.awaiting(
            format!("the proposers' models ({} of {})", round.contributed, round.proposers),
            round.propose_deadline,
        ),
        Phase::Commit => plan.awaiting(
            format!("the voters' commitments ({} of {voters})", round.committed),
            round.commit_deadline,
        ),
        Phase::Reveal => plan.awaiting(
            format!("the voters' reveals ({} of {})", round.revealed, round.committed),
            round.reveal_deadline,
        ),
        Phase::Finish => plan.awaiting("anyone to finish the round", None),
        Phase::Settle => plan.awaiting("anyone to settle the round", None),
        Phase::Join | Phase::Draw | Phase::Ended => {}
    }
}

/// The task is over: take out what is ours, once.
pub(super) fn claim(cx: &Context<'_>, plan: &mut Plan) {
    let account = cx.account;
    if account.claimed || (account.stake_left.is_zero() && account.claimable.is_zero()) {
        plan.step(ClientStep::Claimed);
        return;
    }
    plan.step(ClientStep::Claiming);
    if cx.view.claim {
        plan.send(Transaction::ClaimRewards);
        plan.awaiting("claimRewards to be on chain", None);
    } else {
        plan.awaiting(
            format!(
                "you to call claimRewards: {} of stake and {} of rewards",
                account.stake_left, account.claimable
            ),
            None,
        );
    }
}
