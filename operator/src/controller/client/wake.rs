//! When to look again although nothing may wake us: logs wake, but time, depth and money make none.

use std::time::Duration;

use protocol::{
    action::{Action, ClientStep, Decision},
    client::JobState,
    decide::next_wake,
};

use super::{observe::Observed, running};

/// A pod that does not start must be reported within 30 s.
const PENDING: Duration = Duration::from_secs(10);
/// Tokens and native coin arrive without a log of the task.
const STOPPED: Duration = Duration::from_secs(15);
/// The gateway does not call back.
const STORE: Duration = Duration::from_secs(5);

/// One block, at least a second.
pub(super) fn block(observed: &Observed) -> Duration {
    Duration::from_secs(observed.view.block_time.clamp(1, 30))
}

/// The shortest of the pauses after which something may be different.
pub(super) fn after(observed: &Observed, decision: &Decision) -> Option<Duration> {
    let pending = observed.jobs.iter().any(|job| job.state == JobState::Pending);
    let running = observed.jobs.iter().any(|job| job.state == JobState::Running);
    let stopped = decision.actions.iter().any(|action| matches!(action, Action::Stop(_)));
    [
        pending.then_some(PENDING),
        running.then_some(running::EVERY),
        stopped.then_some(STOPPED),
        observed.store_problem.is_some().then_some(STORE),
        needs_blocks(observed, decision).then(|| block(observed)),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// What only further blocks change: depth of what we wait for, or chain time that is behind the wall clock when a
/// window ends.
fn needs_blocks(observed: &Observed, decision: &Decision) -> bool {
    let snapshot = &observed.snapshot;
    let window_over = next_wake(snapshot).is_some_and(|at| at <= observed.view.now);
    let unconfirmed = match decision.step {
        ClientStep::Committing | ClientStep::Revealing | ClientStep::Contributing => true,
        ClientStep::Committed => snapshot
            .participant(observed.view.participant)
            .and_then(|us| us.committed_block)
            .is_some_and(|block| block > observed.view.confirmed_block),
        _ => false,
    };
    (window_over || unconfirmed) && !observed.view.suspended
}
