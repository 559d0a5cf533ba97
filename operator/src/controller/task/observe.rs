//! What an FLTask's reconcile knows of the chain: the rounds that are not mirrored as final yet, all at one block.

use std::sync::Arc;

use protocol::{
    snapshot::TaskSnapshot,
    types::{Address, Outcome, Round},
};

use super::{error::TaskError, mirror::RoundTransactions};
use crate::{chain::ChainReader, controller::context::ChainAccess};

/// Rounds mirrored in one reconcile; a task joined late catches up over several.
pub(super) const ROUNDS_AT_ONCE: u32 = 8;

/// Blocks for which every node has logs.
const LOGS_KEPT: u64 = 64;

/// One round and the transactions its logs name.
#[derive(Debug)]
pub(super) struct ObservedRound {
    pub snapshot: TaskSnapshot,
    pub transactions: RoundTransactions,
}

impl ObservedRound {
    /// Whether the logs end before the settlement that the state shows: a node that is behind answers so, and is asked
    /// again. Where logs of old blocks are not kept, it stays so; they only add to what is shown.
    pub(super) fn awaits_logs(&self) -> bool {
        let round = &self.snapshot.round;
        let settled = round
            .settled_block
            .filter(|_| round.settled && round.outcome != Outcome::Void);
        let recent = settled.is_some_and(|block| self.snapshot.block.number < block.saturating_add(LOGS_KEPT));
        round.drawn_block.is_some() && recent && !self.transactions.have_settlement()
    }
}

/// The task at one block.
#[derive(Debug)]
pub(super) struct Observed {
    pub confirmed_block: u64,
    /// The running round, or the last one once the task has ended.
    pub current: TaskSnapshot,
    /// Rounds to mirror, oldest first, the current one last.
    pub rounds: Vec<ObservedRound>,
    /// Rounds before these whose FLRound is to be written again.
    pub again: Vec<ObservedRound>,
    /// Whether more rounds wait to be mirrored.
    pub behind: bool,
}

/// Reads the current round, those from `from` on that come before it, and those of `again`.
pub(super) async fn observe(
    chain: &Arc<dyn ChainAccess>,
    contract: Address,
    from: Round,
    again: &[Round],
) -> Result<Observed, TaskError> {
    let reader = chain.reader();
    let head = reader.head().await?;
    let confirmed_block = reader.confirmed_block(&head).await?;
    let current = reader.snapshot(contract, &head, None, &[]).await?;
    let end = current.round.round;
    // A reorg deeper than the confirmations can take mirrored rounds back.
    let from = from.min(end);
    let stop = from.0.saturating_add(ROUNDS_AT_ONCE).min(end.0);
    let mut rounds = Vec::new();
    for round in from.0..stop {
        let snapshot = reader.snapshot(contract, &head, Some(Round(round)), &[]).await?;
        rounds.push(with_transactions(reader.as_ref(), snapshot).await?);
    }
    rounds.push(with_transactions(reader.as_ref(), current.clone()).await?);
    let mut written_again = Vec::new();
    for round in again.iter().filter(|round| **round < from) {
        let snapshot = reader.snapshot(contract, &head, Some(*round), &[]).await?;
        written_again.push(with_transactions(reader.as_ref(), snapshot).await?);
    }
    Ok(Observed {
        confirmed_block,
        current,
        rounds,
        again: written_again,
        behind: stop < end.0,
    })
}

/// A round's deeds lie between its draw and its settlement; joins are not mirrored with a transaction.
async fn with_transactions(reader: &dyn ChainReader, snapshot: TaskSnapshot) -> Result<ObservedRound, TaskError> {
    let round = &snapshot.round;
    let logs = match round.drawn_block {
        Some(drawn) => {
            reader
                .task_logs(
                    snapshot.task,
                    drawn,
                    round.settled_block.unwrap_or(snapshot.block.number),
                )
                .await?
        }
        None => Vec::new(),
    };
    let transactions = RoundTransactions::of(round.round, &logs);
    Ok(ObservedRound { snapshot, transactions })
}
