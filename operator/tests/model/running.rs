//! A round on its way, and what its times follow from.

use alloy::primitives::U256;
use protocol::types::{IncludedMask, ModelHash};

use crate::{books::Seat, history::History};

/// Where a round can be broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Joined,
    Fixed,
    Drawn,
    Contributed,
    Committed,
    Revealed,
    Finished,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    Terminate,
    FinishTask,
}

/// A drawn round on its way.
pub(crate) struct Running {
    pub(crate) number: u32,
    pub(crate) round: U256,
    pub(crate) seats: Vec<Seat>,
    pub(crate) proposers: usize,
    pub(crate) start: ModelHash,
    pub(crate) drawn_at: u64,
    pub(crate) last_contribution: u64,
    pub(crate) last_commitment: u64,
    pub(crate) planned: Option<(Stage, Break)>,
}

impl Running {
    pub(crate) fn voters(&self) -> std::ops::Range<usize> {
        self.proposers..self.seats.len()
    }

    pub(crate) fn mask(&self) -> IncludedMask {
        let contributed = self
            .seats
            .iter()
            .enumerate()
            .filter(|(_, seat)| seat.contribution.is_some());
        contributed.fold(IncludedMask::default(), |mask, (k, _)| mask.with(k))
    }

    pub(crate) fn commit_open(&self, h: &History<'_>) -> u64 {
        let all = self.mask().count() as usize == self.proposers;
        if all {
            self.last_contribution
        } else {
            self.drawn_at + u64::from(h.p.propose_window)
        }
    }

    pub(crate) fn commit_deadline(&self, h: &History<'_>) -> u64 {
        self.commit_open(h) + u64::from(h.p.commit_window)
    }

    pub(crate) fn committed(&self) -> usize {
        self.seats.iter().filter(|seat| seat.committed.is_some()).count()
    }

    pub(crate) fn reveal_open(&self, h: &History<'_>) -> u64 {
        let all = self.committed() == self.voters().len();
        if all {
            self.last_commitment
        } else {
            self.commit_deadline(h)
        }
    }

    /// The first moment at which the round can be finished.
    pub(crate) fn over(&self, h: &History<'_>) -> u64 {
        if self.mask().count() == 0 {
            self.drawn_at + u64::from(h.p.propose_window)
        } else if self.committed() == 0 {
            self.commit_deadline(h)
        } else if self.seats.iter().filter(|seat| seat.revealed.is_some()).count() == self.committed() {
            self.reveal_open(h)
        } else {
            self.reveal_open(h) + u64::from(h.p.reveal_window)
        }
    }
}
