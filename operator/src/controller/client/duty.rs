//! What a participant owes the running round, and by when: pure.

use protocol::{
    snapshot::TaskSnapshot,
    types::{Address, Role, Timestamp},
};

/// One duty. Missing it costs a slash (an unjoined round costs nothing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) kind: DutyKind,
    /// Absent while the draw has not been made: nothing is due yet, but something may be.
    pub(crate) deadline: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DutyKind {
    /// Joined; the draw decides what is owed.
    Draw,
    Contribute,
    /// Drawn as voter; the commit window has not opened.
    AwaitContributions,
    Commit,
    Reveal,
}

impl DutyKind {
    /// For metrics and messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Draw => "draw",
            Self::Contribute => "contribute",
            Self::AwaitContributions | Self::Commit => "commit",
            Self::Reveal => "reveal",
        }
    }
}

/// The next thing this account must do in the current round, if anything is still open.
pub(crate) fn of(snapshot: &TaskSnapshot, account: Address) -> Option<Duty> {
    let round = &snapshot.round;
    let now = snapshot.block.timestamp;
    if round.settled || round.finished_at.is_some() {
        return None;
    }
    let us = snapshot.participant(account)?;
    let open = |deadline: Option<Timestamp>| deadline.is_none_or(|at| now < at);
    let duty = |kind, deadline| Some(Duty { kind, deadline });
    match us.role {
        Role::None => duty(DutyKind::Draw, None),
        Role::Proposer if us.contribution.is_none() && open(round.propose_deadline) => {
            duty(DutyKind::Contribute, round.propose_deadline)
        }
        Role::Voter if us.vote.is_some() => None,
        Role::Voter if us.commitment.is_some() => {
            if open(round.reveal_deadline) {
                duty(DutyKind::Reveal, round.reveal_deadline)
            } else {
                None
            }
        }
        Role::Voter if round.commit_open.is_none_or(|at| now < at) => {
            // Without a contribution at the end of the window there will be nothing to vote on.
            let nothing_came = !open(round.propose_deadline) && round.contributed == 0;
            if nothing_came {
                None
            } else {
                duty(DutyKind::AwaitContributions, round.commit_deadline)
            }
        }
        Role::Voter if open(round.commit_deadline) && round.contributed > 0 => {
            duty(DutyKind::Commit, round.commit_deadline)
        }
        Role::Proposer | Role::Voter => None,
    }
}

/// What the account did not do in a round whose windows are over: the kind of duty, for the count of missed ones.
pub(crate) fn missed(settled: &TaskSnapshot, account: Address) -> Option<DutyKind> {
    let us = settled.participant(account)?;
    match us.role {
        Role::Proposer if us.contribution.is_none() => Some(DutyKind::Contribute),
        Role::Voter if settled.round.contributed > 0 && us.commitment.is_none() => Some(DutyKind::Commit),
        Role::Voter if us.commitment.is_some() && us.vote.is_none() => Some(DutyKind::Reveal),
        _ => None,
    }
}
