//! Before anything is staked or joined: chain facts that need no Job, then a `check` Job in the current environment.

use super::{
    context::{Context, Plan},
    jobs::{Progress, require},
};
use crate::{
    action::{ClientStep, StopReason, Transaction},
    job::{CheckResult, StepResult},
    types::Timestamp,
};

/// A check has no deadline on chain; this bounds a stuck one.
const CHECK_SECONDS: u64 = 3600;

/// What would make staking pointless and is known without a Job. Costs nothing on chain.
pub(super) fn obstacle(cx: &Context<'_>) -> Option<StopReason> {
    if cx.account.ever_staked {
        return None;
    }
    let entry = cx.snapshot.parameters.entry_stake;
    if !cx.account.allowed {
        Some(StopReason::NotAllowed)
    } else if cx.view.stake < entry {
        Some(StopReason::StakeBelowEntry { entry })
    } else if cx.account.token_balance < cx.view.stake {
        Some(StopReason::NotEnoughTokens {
            balance: cx.account.token_balance,
        })
    } else {
        None
    }
}

/// The successful check of the current environment, if there is one. Otherwise says in the plan what is missing.
pub(super) fn passed<'a>(cx: &Context<'a>, plan: &mut Plan) -> Option<&'a CheckResult> {
    plan.step(ClientStep::Checking);
    let result = match check(cx, plan) {
        Progress::Running | Progress::TooLate => {
            plan.awaiting("the check Job, before anything is staked or joined", None);
            return None;
        }
        Progress::Failed => {
            plan.awaiting(
                "a repair: the check Job failed for good, and nothing is staked or joined before it passes",
                None,
            );
            return None;
        }
        Progress::Done(result) => result,
    };
    let StepResult::Check(check) = &result.outcome else {
        plan.awaiting("a repair: the check Job answered with the result of another step", None);
        return None;
    };
    if check.genesis_model != cx.snapshot.parameters.genesis_model {
        plan.stop(StopReason::GenesisMismatch {
            derived: check.genesis_model,
        });
        return None;
    }
    Some(check)
}

/// Runs the check early, so that the next join need not wait for it.
pub(super) fn check_ahead(cx: &Context<'_>, plan: &mut Plan) {
    // What comes of it matters at the next join only.
    let _ = check(cx, plan);
}

fn check<'a>(cx: &Context<'a>, plan: &mut Plan) -> Progress<'a> {
    let finish_by: Timestamp = cx.clock.late().saturating_add(CHECK_SECONDS);
    require(cx, plan, cx.check_identity(), finish_by, finish_by)
}

/// Approves exactly the stake, then stakes it, once in the life of the account. True once it is staked.
pub(super) fn staked(cx: &Context<'_>, plan: &mut Plan) -> bool {
    if cx.account.ever_staked {
        return true;
    }
    plan.step(ClientStep::Staking);
    let amount = cx.view.stake;
    if cx.account.allowance == amount {
        plan.send(Transaction::Stake { amount });
        plan.awaiting(format!("the stake of {amount} to be on chain"), None);
    } else {
        plan.send(Transaction::Approve {
            token: cx.snapshot.state.token,
            amount,
        });
        plan.awaiting(format!("the approval of {amount} to be on chain"), None);
    }
    false
}
