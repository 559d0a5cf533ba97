//! A proposer: train at once, contribute once.

use super::{
    context::{Context, Plan},
    jobs::{Progress, require},
    settle,
};
use crate::{
    action::{ClientStep, Transaction},
    job::StepResult,
    snapshot::ParticipantState,
    types::{ModelHash, Phase, Timestamp},
};

pub(super) fn duty(cx: &Context<'_>, me: &ParticipantState, plan: &mut Plan) {
    let round = &cx.snapshot.round;
    if me.contribution.is_some() {
        plan.step(ClientStep::Contributed);
        // Kept for people to look at as long as the round runs.
        plan.want(cx.train_identity());
        settle::await_others(cx, plan);
        return;
    }
    let (Phase::Propose, Some(deadline)) = (cx.phase(), round.propose_deadline) else {
        plan.step(ClientStep::Waiting);
        settle::await_others(cx, plan);
        return;
    };
    let window = cx.snapshot.parameters.propose_window;
    let finish_by = cx.clock.finish_by(deadline, window);
    plan.step(ClientStep::Training);
    match require(cx, plan, cx.train_identity(), finish_by, finish_by) {
        Progress::Running => plan.awaiting("the training Job", Some(finish_by)),
        Progress::TooLate => {
            plan.awaiting(
                "the end of the propose window: too little of it is left to train",
                Some(deadline),
            );
        }
        Progress::Failed => {
            plan.awaiting(
                "the end of the propose window: the training Job failed for good",
                Some(deadline),
            );
        }
        Progress::Done(result) => match &result.outcome {
            StepResult::Train(train) if acceptable(cx, train.model) => contribute(cx, plan, train.model, deadline),
            _ => plan.awaiting(
                "the end of the propose window: the training Job's result cannot be contributed",
                Some(deadline),
            ),
        },
    }
}

/// The contract refuses anything else.
fn acceptable(cx: &Context<'_>, model: ModelHash) -> bool {
    !model.is_zero() && model != cx.snapshot.round.start_model
}

/// The model was published when it was uploaded: its hash says nothing that the contribution does not.
fn contribute(cx: &Context<'_>, plan: &mut Plan, model: ModelHash, deadline: Timestamp) {
    plan.step(ClientStep::Contributing);
    plan.awaiting("the contribution to be on chain", Some(deadline));
    if cx.clock.can_meet(deadline) {
        let round = &cx.snapshot.round;
        plan.send(Transaction::Contribute {
            round: round.round,
            draw_digest: round.draw_digest,
            model,
        });
    }
}
