//! `chain show-task`: a task as its contract has it.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use alloy::{primitives::Address, sol_types::SolEvent};
use anyhow::Context;
use clap::Args;
use protocol::{
    snapshot::{AccountState, BlockRef, ParticipantState, RoundState, TaskSnapshot},
    types::{Amount, Role, Round, Timestamp},
};
use serde::Serialize;

use super::{
    amount::show_amount,
    connect::{Connection, RpcArgs},
};
use crate::chain::{
    ChainReader,
    bindings::FlockTask,
    reader::{Confirmations, EvmReader},
};

/// Arguments of `chain show-task`.
#[derive(Debug, Clone, Args)]
pub struct ShowTaskArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// The task's contract.
    #[arg(long)]
    pub task: Address,
    /// Show the participants of this round; the current one if absent.
    #[arg(long)]
    pub round: Option<u32>,
    /// List so many of the newest rounds.
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// JSON instead of tables: amounts in the smallest unit, nothing shortened.
    #[arg(long)]
    pub json: bool,
}

/// A task read at one block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView {
    /// With the participants of the round asked for and every account that ever staked.
    pub(super) snapshot: TaskSnapshot,
    /// Oldest first.
    pub(super) rounds: Vec<RoundState>,
}

/// Runs `chain show-task`.
pub(super) async fn run(args: ShowTaskArgs) -> anyhow::Result<()> {
    let chain = Connection::open(&args.rpc).await?;
    let view = read(&chain, args.task, args.round.map(Round), args.rounds).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        print!("{}", render(&view));
    }
    Ok(())
}

pub(super) fn reader(chain: &Connection) -> EvmReader {
    EvmReader::new(Arc::clone(&chain.rpc), Confirmations::Depth(0))
}

/// The number of the newest round that has begun: one past the last while the task runs has no meaning after its end.
pub(super) fn newest_round(snapshot: &TaskSnapshot) -> u32 {
    snapshot
        .state
        .current_round
        .0
        .min(snapshot.parameters.total_rounds.saturating_sub(1))
}

async fn read(chain: &Connection, task: Address, round: Option<Round>, limit: u32) -> anyhow::Result<TaskView> {
    let reader = reader(chain);
    let block = reader.head().await?;
    let first = reader
        .snapshot(task, &block, None, &[])
        .await
        .with_context(|| format!("reading the task {task}"))?;
    let accounts = stakers(&reader, task, first.state.created_block, &block).await?;
    let snapshot = reader.snapshot(task, &block, round, &accounts).await?;
    let newest = newest_round(&snapshot);
    let mut rounds = Vec::new();
    for number in (newest + 1).saturating_sub(limit)..=newest {
        rounds.push(reader.snapshot(task, &block, Some(Round(number)), &[]).await?.round);
    }
    Ok(TaskView { snapshot, rounds })
}

/// Everybody who ever staked, in order of address.
async fn stakers(reader: &EvmReader, task: Address, from: u64, to: &BlockRef) -> anyhow::Result<Vec<Address>> {
    let logs = reader.logs(&[task], from, to.number).await?;
    let staked = logs.iter().filter_map(|log| {
        FlockTask::Staked::decode_raw_log(log.topics.iter().copied(), &log.data)
            .ok()
            .map(|event| event.proposer)
    });
    Ok(staked.collect::<BTreeSet<_>>().into_iter().collect())
}

fn render(view: &TaskView) -> String {
    let TaskSnapshot {
        state,
        parameters,
        block,
        ..
    } = &view.snapshot;
    let mut text = String::new();
    let rows = [
        (
            "task",
            format!("{} on chain {}", view.snapshot.task, view.snapshot.chain_id),
        ),
        (
            "read at",
            format!("block {} ({})", block.number, time(Some(block.timestamp))),
        ),
        (
            "phase",
            format!(
                "{:?}, round {} of {}",
                state.phase, state.current_round, parameters.total_rounds
            ),
        ),
        ("creator", state.creator.to_string()),
        ("manager", state.manager.to_string()),
        ("token", state.token.to_string()),
        ("definition", parameters.definition_hash.to_string()),
        ("genesis model", parameters.genesis_model.to_string()),
        (
            "participants",
            format!("{} to {}", parameters.min_participants, parameters.max_participants),
        ),
        (
            "windows",
            format!(
                "join {} s, propose {} s, commit {} s, reveal {} s",
                parameters.join_window, parameters.propose_window, parameters.commit_window, parameters.reveal_window
            ),
        ),
        (
            "money",
            format!(
                "stakes {}, claimable {}, pool {}",
                show_amount(state.total_stakes),
                show_amount(state.total_claimable),
                show_amount(state.reward_pool)
            ),
        ),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<14} {value}");
    }
    text.push('\n');
    text += &table(
        &[
            "ROUND",
            "PHASE",
            "OUTCOME",
            "PROPOSED",
            "COMMITTED",
            "REVEALED",
            "SLASHED",
            "REWARDED",
            "NEXT MODEL",
        ],
        view.rounds.iter().map(round_row),
    );
    let _ = writeln!(text, "\nround {}:", view.snapshot.round.round);
    text += &table(
        &[
            "ACCOUNT",
            "ROLE",
            "SAMPLES",
            "STAKE",
            "CONTRIBUTED",
            "COMMITTED",
            "VOTE",
            "SLASHED",
            "REWARDED",
        ],
        view.snapshot.participants.iter().map(participant_row),
    );
    text += "\naccounts:\n";
    text += &table(
        &["ACCOUNT", "STAKE", "CLAIMABLE", "STATE", "ROUNDS", "TOKENS", "COINS"],
        view.snapshot.accounts.iter().map(account_row),
    );
    text
}

fn time(at: Option<Timestamp>) -> String {
    at.and_then(crds::rfc3339)
        .and_then(|at| serde_json::to_value(at).ok())
        .map_or_else(|| "-".to_owned(), |value| value.as_str().unwrap_or("-").to_owned())
}

fn amount_or_dash(amount: Amount) -> String {
    if amount.is_zero() {
        "-".to_owned()
    } else {
        show_amount(amount)
    }
}

fn round_row(round: &RoundState) -> Vec<String> {
    let voters = round.joined.saturating_sub(round.proposers);
    let drawn = round.drawn_at.is_some();
    let of = |done: u16, all: u16| if drawn { format!("{done}/{all}") } else { "-".to_owned() };
    vec![
        round.round.to_string(),
        if round.settled {
            "Settled".to_owned()
        } else {
            format!("{:?}", round.phase)
        },
        if round.finished_at.is_some() {
            format!("{:?}", round.outcome)
        } else {
            "-".to_owned()
        },
        of(round.contributed, round.proposers),
        of(round.committed, voters),
        of(round.revealed, round.committed),
        amount_or_dash(round.slashed_total),
        amount_or_dash(round.rewarded_total),
        round.next_hash.map_or_else(|| "-".to_owned(), |hash| hash.to_string()),
    ]
}

fn participant_row(row: &ParticipantState) -> Vec<String> {
    let block = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |number| format!("block {number}"));
    let vote = row.vote.map_or_else(
        || "-".to_owned(),
        |vote| {
            format!(
                "{:+} {} mask {:b}",
                i8::from(vote.score),
                &vote.hash.to_string()[..8],
                vote.mask.0
            )
        },
    );
    let role = match row.role {
        Role::None => "-",
        Role::Voter => "voter",
        Role::Proposer => "proposer",
    };
    vec![
        row.account.to_string(),
        role.to_owned(),
        row.sample_count.to_string(),
        show_amount(row.stake),
        block(row.contributed_block),
        block(row.committed_block),
        vote,
        amount_or_dash(row.slashed),
        amount_or_dash(row.rewarded),
    ]
}

fn account_row(account: &AccountState) -> Vec<String> {
    let state = match (account.removed, account.claimed) {
        (true, true) => "removed, claimed",
        (true, false) => "removed",
        (false, true) => "claimed",
        (false, false) => "active",
    };
    vec![
        account.account.to_string(),
        show_amount(account.stake_left),
        show_amount(account.claimable),
        state.to_owned(),
        account.rounds_joined.to_string(),
        show_amount(account.token_balance),
        show_amount(account.native_balance),
    ]
}

/// Columns as wide as their widest cell.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut lines: Vec<Vec<String>> = vec![head.iter().map(|&cell| cell.to_owned()).collect()];
    lines.extend(rows);
    let widths: Vec<usize> = (0..head.len())
        .map(|i| {
            lines
                .iter()
                .filter_map(|line| line.get(i))
                .map(String::len)
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let rows = [
            vec!["1".to_owned(), "long cell".to_owned()],
            vec!["222".to_owned(), "x".to_owned()],
        ];
        assert_eq!(table(&["A", "B"], rows.into_iter()), "A    B\n1    long cell\n222  x\n");
    }
}
