//! Two clocks: whether a window is open is judged by the head's timestamp, because the contract does; how much of it is
//! left by the later of head and wall clock, because the head may be late.

use crate::{
    snapshot::TaskSnapshot,
    types::{Phase, Timestamp},
};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    head: Timestamp,
    late: Timestamp,
    block_time: u64,
}

impl Clock {
    pub(crate) fn new(head: Timestamp, now: Timestamp, block_time: u64) -> Self {
        Self {
            head,
            late: head.max(now),
            block_time: block_time.max(1),
        }
    }

    /// Seconds between blocks, at least 1.
    pub(crate) fn block_time(&self) -> u64 {
        self.block_time
    }

    pub(crate) fn head(&self) -> Timestamp {
        self.head
    }

    /// The later of head and wall clock.
    pub(crate) fn late(&self) -> Timestamp {
        self.late
    }

    /// Whether a transaction sent now can still be mined inside the window: the next block is at least a second later.
    pub(crate) fn can_meet(&self, deadline: Timestamp) -> bool {
        self.head.saturating_add(1) < deadline
    }

    /// Whether at most a quarter of the window is left.
    pub(crate) fn last_quarter(&self, deadline: Timestamp, window: u32) -> bool {
        self.late >= last_quarter_of(deadline, window)
    }

    /// When to look at the task again although nothing happened to it: at the next deadline or, while the head is late
    /// for it or the seed block is awaited, after some blocks.
    pub(crate) fn next_look(&self, snapshot: &TaskSnapshot) -> Option<Timestamp> {
        if let (Phase::Draw, Some(seed)) = (snapshot.state.phase, snapshot.round.seed_block) {
            return Some(self.in_blocks(seed.saturating_add(1).saturating_sub(snapshot.block.number)));
        }
        next_wake(snapshot).map(|at| if at > self.late { at } else { self.in_blocks(1) })
    }

    /// About when so many blocks, at least one, will have been mined.
    pub(crate) fn in_blocks(&self, blocks: u64) -> Timestamp {
        self.late.saturating_add(blocks.max(1).saturating_mul(self.block_time))
    }

    /// When a Job must hand in: the deadline less a reserve of three blocks or a tenth of the window.
    pub(crate) fn finish_by(&self, deadline: Timestamp, window: u32) -> Timestamp {
        let reserve = self.block_time.saturating_mul(3).max(u64::from(window) / 10);
        Timestamp(deadline.0.saturating_sub(reserve))
    }
}

/// When the last quarter of a window begins.
pub(crate) fn last_quarter_of(deadline: Timestamp, window: u32) -> Timestamp {
    Timestamp(deadline.0.saturating_sub(u64::from(window) / 4))
}

/// When time alone changes what this task is waiting for: the next deadline after the snapshot's block, if any.
pub fn next_wake(snapshot: &TaskSnapshot) -> Option<Timestamp> {
    let round = &snapshot.round;
    let stalled = snapshot
        .state
        .last_settled_at
        .saturating_add(snapshot.parameters.stall_timeout.into());
    let candidates = match snapshot.state.phase {
        Phase::Join => [Some(round.join_deadline), Some(stalled)],
        Phase::Propose => [round.propose_deadline, None],
        Phase::Commit => [round.commit_deadline, None],
        Phase::Reveal => [round.reveal_deadline, None],
        Phase::Draw | Phase::Finish | Phase::Settle | Phase::Ended => [None, None],
    };
    candidates
        .into_iter()
        .flatten()
        .filter(|&t| t > snapshot.block.timestamp)
        .min()
}
