//! What the chain says: snapshots of the mirrored rounds, the transactions they name, the task's whole log.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEventInterface,
};
use anyhow::Context;
use crds::{FLRound, FLRoundStatus};
use protocol::{
    snapshot::TaskSnapshot,
    types::{Amount, Round},
};

use super::super::{
    connect::Connection,
    send::Receipt,
    show::{newest_round, reader},
};
use crate::chain::{
    ChainReader,
    bindings::{FlockTask::FlockTaskEvents, token::FlockToken as Token},
};

/// A transaction as far as the task is concerned.
#[derive(Debug)]
pub(super) struct Mined {
    pub(super) block: u64,
    pub(super) succeeded: bool,
    /// The task's own events.
    pub(super) events: Vec<FlockTaskEvents>,
}

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) chain_id: u64,
    /// The newest round, with every account that money was ever moved for.
    pub(super) snapshot: TaskSnapshot,
    /// Every mirrored round and every later one, at the same block.
    pub(super) rounds: BTreeMap<u32, TaskSnapshot>,
    /// `None`: the chain knows no such transaction.
    pub(super) transactions: BTreeMap<B256, Option<Mined>>,
    /// Everything the task logged up to that block.
    pub(super) log: Vec<FlockTaskEvents>,
    /// Tokens that the contract holds.
    pub(super) balance: Amount,
}

impl Facts {
    pub(super) async fn read(chain: &Connection, task: Address, mirrors: &[FLRound]) -> anyhow::Result<Self> {
        let reader = reader(chain);
        let block = reader.head().await?;
        let state = reader
            .snapshot(task, &block, None, &[])
            .await
            .with_context(|| format!("reading the task {task}"))?;
        let logs = reader.logs(&[task], state.state.created_block, block.number).await?;
        let log: Vec<FlockTaskEvents> = logs
            .iter()
            .filter_map(|log| FlockTaskEvents::decode_raw_log(&log.topics, &log.data).ok())
            .collect();
        let accounts: Vec<Address> = holders(&log).into_iter().collect();
        let snapshot = reader.snapshot(task, &block, None, &accounts).await?;

        let newest = newest_round(&snapshot);
        let first = mirrors.iter().map(|mirror| mirror.spec.round).min().unwrap_or(0);
        let mut rounds = BTreeMap::new();
        for number in first.min(newest)..=newest {
            rounds.insert(number, reader.snapshot(task, &block, Some(Round(number)), &[]).await?);
        }

        let mut transactions = BTreeMap::new();
        let statuses = mirrors.iter().filter_map(|mirror| mirror.status.as_ref());
        for hash in statuses.flat_map(named).collect::<BTreeSet<B256>>() {
            transactions.insert(hash, chain.receipt(hash).await?.map(|receipt| mined(&receipt, task)));
        }
        let call = Token::balanceOfCall { account: task };
        let balance: U256 = reader.view(snapshot.state.token, &call, block.hash).await?;
        Ok(Self {
            chain_id: chain.identity.chain_id,
            snapshot,
            rounds,
            transactions,
            log,
            balance: Amount(balance),
        })
    }
}

fn mined(receipt: &Receipt, task: Address) -> Mined {
    let logs = receipt.logs.iter().filter(|log| log.address == task);
    Mined {
        block: receipt.block_number.to(),
        succeeded: receipt.succeeded(),
        events: logs
            .filter_map(|log| FlockTaskEvents::decode_raw_log(&log.topics, &log.data).ok())
            .collect(),
    }
}

/// Everybody money was moved for.
fn holders(log: &[FlockTaskEvents]) -> BTreeSet<Address> {
    log.iter()
        .filter_map(|event| match event {
            FlockTaskEvents::Staked(event) => Some(event.proposer),
            FlockTaskEvents::Rewarded(event) => Some(event.contributor),
            FlockTaskEvents::Claimed(event) => Some(event.account),
            _ => None,
        })
        .collect()
}

/// Every transaction an FLRound names.
fn named(status: &FLRoundStatus) -> BTreeSet<B256> {
    let FLRoundStatus {
        draw,
        decision,
        settlement,
        participants,
        ..
    } = status;
    let mut hashes: BTreeSet<B256> = BTreeSet::new();
    hashes.extend(draw.iter().filter_map(|record| record.transaction));
    hashes.extend(decision.iter().filter_map(|record| record.transaction));
    hashes.extend(settlement.iter().filter_map(|record| record.transaction));
    for participant in participants {
        hashes.extend(participant.contribution.iter().filter_map(|record| record.transaction));
        hashes.extend(participant.commitment.iter().filter_map(|record| record.transaction));
        hashes.extend(participant.reveal.iter().filter_map(|record| record.transaction));
        hashes.extend(participant.slashed.iter().filter_map(|record| record.transaction));
        hashes.extend(participant.rewarded.iter().filter_map(|record| record.transaction));
    }
    hashes
}
