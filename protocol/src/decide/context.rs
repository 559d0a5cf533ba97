//! What every duty reads (`Context`) and what it writes to (`Plan`).

use super::Clock;
use crate::{
    action::{Action, Awaiting, ClientStep, Decision, StopReason, Transaction},
    client::{ClientView, LedgerEntry},
    job::JobIdentity,
    pokes::Poke,
    snapshot::{AccountState, ParticipantState, TaskSnapshot},
    types::{Phase, Timestamp},
};

pub(super) struct Context<'a> {
    pub(super) snapshot: &'a TaskSnapshot,
    pub(super) view: &'a ClientView,
    pub(super) account: &'a AccountState,
    pub(super) clock: Clock,
}

impl<'a> Context<'a> {
    pub(super) fn phase(&self) -> Phase {
        self.snapshot.state.phase
    }

    /// This participant's row of the current round, if it joined.
    pub(super) fn me(&self) -> Option<&'a ParticipantState> {
        self.snapshot.participant(self.view.participant)
    }

    /// Deep enough that the chain will not take it back.
    pub(super) fn confirmed(&self, block: Option<u64>) -> bool {
        block.is_some_and(|b| b <= self.view.confirmed_block)
    }

    /// Looks again when these blocks are about to be confirmed: nothing on chain announces that.
    pub(super) fn wake_when_confirmed(&self, plan: &mut Plan, blocks: impl IntoIterator<Item = Option<u64>>) {
        if let Some(last) = blocks.into_iter().flatten().max() {
            plan.wake(self.clock.in_blocks(last.saturating_sub(self.view.confirmed_block)));
        }
    }

    /// Whether a later round than the current one, or the current one's open roster, may still be joined.
    pub(super) fn can_join_later(&self) -> bool {
        let state = &self.snapshot.state;
        let more_rounds = state.current_round.0.saturating_add(1) < self.snapshot.parameters.total_rounds;
        self.phase() == Phase::Join || (more_rounds && !state.finish_requested)
    }

    /// This participant's stored votes of the current round.
    pub(super) fn ledger(&self) -> impl Iterator<Item = &'a LedgerEntry> {
        let (chain, task, round) = (self.snapshot.chain_id, self.snapshot.task, self.snapshot.round.round);
        let voter = self.view.participant;
        self.view
            .ledger
            .iter()
            .filter(move |e| e.chain_id == chain && e.task == task && e.round == round && e.voter == voter)
    }
}

/// A decision in the making.
pub(super) struct Plan {
    actions: Vec<Action>,
    step: ClientStep,
    awaiting: Option<Awaiting>,
    wanted: Vec<JobIdentity>,
    retried: Vec<String>,
    wakes: Vec<Timestamp>,
    stop: Option<StopReason>,
}

impl Plan {
    pub(super) fn new() -> Self {
        Self {
            actions: Vec::new(),
            step: ClientStep::Waiting,
            awaiting: None,
            wanted: Vec::new(),
            retried: Vec::new(),
            wakes: Vec::new(),
            stop: None,
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn send(&mut self, transaction: Transaction) {
        self.act(Action::Send(transaction));
    }

    pub(super) fn step(&mut self, step: ClientStep) {
        self.step = step;
    }

    pub(super) fn awaiting(&mut self, what: impl Into<String>, until: Option<Timestamp>) {
        self.awaiting = Some(Awaiting {
            what: what.into(),
            until,
        });
    }

    /// Look again at this time.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wakes.push(at);
    }

    /// This Job, if it exists, is not to be deleted.
    pub(super) fn want(&mut self, identity: JobIdentity) {
        self.wanted.push(identity);
    }

    /// Delete this Job, so that it is started again at the next look.
    pub(super) fn retry(&mut self, name: &str) {
        self.act(Action::DeleteJob { name: name.to_owned() });
        self.retried.push(name.to_owned());
    }

    pub(super) fn retries(&self, name: &str) -> bool {
        self.retried.iter().any(|n| n == name)
    }

    pub(super) fn wants(&self, identity: &JobIdentity) -> bool {
        self.wanted.contains(identity)
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        self.stop = Some(reason);
    }

    pub(super) fn stopped(&mut self) -> Option<StopReason> {
        self.stop.take()
    }

    pub(super) fn add_poke(&mut self, poke: Poke) {
        match poke {
            Poke::Send(transaction) => self.send(transaction),
            Poke::Later(at) => self.wake(at),
        }
    }

    /// Adds the next time to look.
    pub(super) fn finish(mut self, cx: &Context<'_>) -> Decision {
        self.wakes.extend(cx.clock.next_look(cx.snapshot));
        let soonest = cx.clock.late().saturating_add(1);
        if let Some(&at) = self.wakes.iter().min() {
            self.actions.push(Action::WaitUntil(at.max(soonest)));
        }
        Decision {
            actions: self.actions,
            step: self.step,
            awaiting: self.awaiting,
        }
    }
}

pub(super) fn stop_text(reason: &StopReason) -> String {
    match reason {
        StopReason::ForeignCommitment { commitment } => format!(
            "a person: the chain holds a commitment of this key that is not in the vote ledger ({commitment}); \
             is the key used elsewhere?"
        ),
        StopReason::GenesisMismatch { derived } => format!(
            "another task or trainer: the genesis model derived here is {derived}, not the one the contract names"
        ),
        StopReason::NotAllowed => "the task's creator to put this account on the allow list".to_owned(),
        StopReason::StakeBelowEntry { entry } => format!("a stake of at least {entry}, the task's entry stake"),
        StopReason::NotEnoughTokens { balance } => {
            format!("tokens: the account holds {balance}, less than it is to stake")
        }
    }
}
