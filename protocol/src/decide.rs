//! What one participant does next: pure, total, the only place that knows the rules.
//!
//! The same snapshot and view always give the same decision, and nothing is remembered between two decisions: what was
//! done before is read from the chain, from Jobs and from the vote ledger. So every action may be asked for again until
//! its effect shows, and whoever carries it out makes it idempotent (Jobs and ledger entries are create-only, every
//! transaction can succeed once only). An action that fails must not keep later ones from being tried.
//!
//! [`Action::Stop`] is not a latch either: it is asked for as long as its reason lasts.

mod clock;
mod context;
mod jobs;
mod join;
mod preflight;
mod propose;
mod reveal;
mod settle;
mod vote;

pub(crate) use clock::Clock;
use context::{Context, Plan};

use crate::{
    action::{Action, Awaiting, ClientStep, Decision, StopReason},
    client::ClientView,
    pokes::{self, Poke},
    snapshot::{ParticipantState, TaskSnapshot},
    types::{Phase, Role},
};

/// What to do now, in order: reveals and commitments first, then pokes, Jobs nobody wants, and when to look again.
pub fn decide(snapshot: &TaskSnapshot, view: &ClientView) -> Decision {
    let Some(account) = snapshot.account(view.participant) else {
        return blind("a snapshot that names this participant");
    };
    let ended = snapshot.state.phase == Phase::Ended;
    if !ended && snapshot.round.round != snapshot.state.current_round {
        return blind("a snapshot of the current round");
    }
    let cx = Context {
        snapshot,
        view,
        account,
        clock: Clock::new(snapshot.block.timestamp, view.now, view.block_time),
    };
    if view.suspended {
        return suspended(&cx);
    }
    let mut plan = Plan::new();
    match (ended, cx.me()) {
        (true, _) => settle::claim(&cx, &mut plan),
        (false, Some(me)) => in_round(&cx, me, &mut plan),
        (false, None) => join::outside(&cx, &mut plan),
    }
    let poke = view
        .poke_delay
        .and_then(|delay| pokes::due(snapshot, cx.clock, delay, view.claim));
    if let Some(reason) = plan.stopped() {
        return stopped(reason, poke);
    }
    if let Some(poke) = poke {
        plan.add_poke(poke);
    }
    jobs::delete_unwanted(&cx, &mut plan);
    plan.finish(&cx)
}

fn in_round(cx: &Context<'_>, me: &ParticipantState, plan: &mut Plan) {
    match me.role {
        Role::None => join::joined(cx, plan),
        Role::Proposer => propose::duty(cx, me, plan),
        Role::Voter => vote::duty(cx, me, plan),
    }
    // A changed trainer is checked before the next join, but not beside the duty of this round.
    if !cx.view.draining && duty_done(me) && cx.can_join_later() {
        preflight::check_ahead(cx, plan);
    }
}

fn duty_done(me: &ParticipantState) -> bool {
    match me.role {
        Role::None => false,
        Role::Proposer => me.contribution.is_some(),
        Role::Voter => me.vote.is_some(),
    }
}

/// Nothing for itself. A round in which it has a seat still ends for everybody, so what anyone may send is sent.
fn stopped(reason: StopReason, poke: Option<Poke>) -> Decision {
    let has_seat = matches!(reason, StopReason::ForeignCommitment { .. });
    let awaiting = Some(Awaiting {
        what: context::stop_text(&reason),
        until: None,
    });
    let mut actions = vec![Action::Stop(reason)];
    actions.extend(poke.filter(|_| has_seat).map(|poke| match poke {
        Poke::Send(transaction) => Action::Send(transaction),
        Poke::Later(at) => Action::WaitUntil(at),
    }));
    Decision {
        actions,
        step: ClientStep::Stopped,
        awaiting,
    }
}

fn blind(what: &str) -> Decision {
    Decision {
        actions: Vec::new(),
        step: ClientStep::Waiting,
        awaiting: Some(Awaiting {
            what: what.to_owned(),
            until: None,
        }),
    }
}

/// Nothing at all is done; what that may cost is said.
fn suspended(cx: &Context<'_>) -> Decision {
    let lifted = "`suspend` to be lifted";
    let round = &cx.snapshot.round;
    let risk = cx.me().and_then(|me| match me.role {
        Role::None => Some((
            format!("the duty that the draw of round {} will give", round.round),
            None,
        )),
        Role::Proposer if me.contribution.is_none() && cx.phase() == Phase::Propose => Some((
            format!("the contribution to round {}", round.round),
            round.propose_deadline,
        )),
        Role::Voter if me.commitment.is_none() && cx.phase() <= Phase::Commit => {
            Some((format!("the vote of round {}", round.round), round.commit_deadline))
        }
        Role::Voter if me.commitment.is_some() && me.vote.is_none() && cx.phase() <= Phase::Reveal => {
            Some((format!("the reveal of round {}", round.round), round.reveal_deadline))
        }
        Role::Proposer | Role::Voter => None,
    });
    let awaiting = match risk.filter(|_| cx.phase() != Phase::Ended) {
        Some((duty, until)) => Awaiting {
            what: format!("{lifted}; at risk is {duty}"),
            until,
        },
        None => Awaiting {
            what: lifted.to_owned(),
            until: None,
        },
    };
    Decision {
        actions: Vec::new(),
        step: ClientStep::Suspended,
        awaiting: Some(awaiting),
    }
}

/// When time alone changes what this task is waiting for: the next deadline after the snapshot's block, if any.
pub use clock::next_wake;

#[cfg(test)]
mod tests;
