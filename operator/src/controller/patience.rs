//! How long a reconcile waits for a call that anyone may send.

use std::time::Duration;

use futures::future::{Either, select};
use protocol::{action::Transaction, types::Address};

use crate::{
    chain::{ChainError, Mined, TaskSender},
    clock::Clock,
};

/// Blocks. A longer call is the sender's to follow: the next reconcile asks for the same one again if it is still due.
const PATIENCE_BLOCKS: u32 = 2;

/// Sends what anyone may send; `None` if it is not over in time. Meanwhile a task or a round may have to be recorded, or a
/// duty of one's own may begin. Never for calls of one's own: a stake asked for again on an old snapshot would be a second
/// one.
pub(super) async fn poke(
    sender: &dyn TaskSender,
    task: Address,
    transaction: &Transaction,
    clock: &dyn Clock,
    block: Duration,
) -> Option<Result<Mined, ChainError>> {
    let sending = sender.send(task, transaction, None);
    match select(sending, clock.sleep(block * PATIENCE_BLOCKS)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
