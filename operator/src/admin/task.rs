//! What a key can do with a task by hand: claim, withdraw, terminate, finish.

use alloy::{primitives::Address, sol_types::SolEvent};
use clap::Args;
use protocol::types::Amount;

use super::{
    amount::show_amount,
    connect::{Connection, KeyArgs, RpcArgs},
    send::{Account, Receipt},
};
use crate::chain::bindings::{FlockTask, manager::FlockTaskManager as Manager};

/// A task, and the key to act with.
#[derive(Debug, Clone, Args)]
pub struct ByHandArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    /// The task's contract.
    #[arg(long)]
    pub task: Address,
}

/// Arguments of `chain finish-task`.
#[derive(Debug, Clone, Args)]
pub struct FinishTaskArgs {
    #[command(flatten)]
    pub by_hand: ByHandArgs,
    /// The manager that made the task.
    #[arg(long)]
    pub manager: Address,
}

async fn account(args: &ByHandArgs) -> anyhow::Result<Account> {
    args.key.account(Connection::open(&args.rpc).await?)
}

/// The first event of type `E` that the task logged in this transaction.
fn event<E: SolEvent>(receipt: &Receipt, task: Address) -> Option<E> {
    receipt
        .logs
        .iter()
        .filter(|log| log.address == task)
        .find_map(|log| E::decode_raw_log(log.topics.iter().copied(), &log.data).ok())
}

/// Runs `chain claim`.
pub(super) async fn claim(args: ByHandArgs) -> anyhow::Result<()> {
    let account = account(&args).await?;
    let receipt = account.call(args.task, FlockTask::claimRewardsCall {}).await?;
    let amount = event::<FlockTask::Claimed>(&receipt, args.task).map(|claimed| Amount(claimed.amount));
    println!(
        "{} claimed {} tokens in {}",
        account.address(),
        show_amount(amount.unwrap_or_default()),
        receipt.transaction_hash
    );
    Ok(())
}

/// Runs `chain withdraw`.
pub(super) async fn withdraw(args: ByHandArgs) -> anyhow::Result<()> {
    let account = account(&args).await?;
    let receipt = account.call(args.task, FlockTask::withdrawRemainderCall {}).await?;
    let amount = event::<FlockTask::RemainderWithdrawn>(&receipt, args.task).map(|taken| Amount(taken.amount));
    println!(
        "{} took {} tokens left in the pool, in {}",
        account.address(),
        show_amount(amount.unwrap_or_default()),
        receipt.transaction_hash
    );
    Ok(())
}

/// Runs `chain terminate`.
pub(super) async fn terminate(args: ByHandArgs) -> anyhow::Result<()> {
    let account = account(&args).await?;
    let receipt = account.call(args.task, FlockTask::terminateCall {}).await?;
    println!(
        "the task {} is terminated, by {}; everybody may claim",
        args.task, receipt.transaction_hash
    );
    Ok(())
}

/// Runs `chain finish-task`.
pub(super) async fn finish(args: FinishTaskArgs) -> anyhow::Result<()> {
    let account = account(&args.by_hand).await?;
    let task = args.by_hand.task;
    let receipt = account.call(args.manager, Manager::finishTaskCall { task }).await?;
    match event::<FlockTask::TaskEnded>(&receipt, task) {
        Some(_) => println!(
            "the task {task} is over, by {}; everybody may claim",
            receipt.transaction_hash
        ),
        None => println!(
            "the task {task} ends once its running round is settled, by {}",
            receipt.transaction_hash
        ),
    }
    Ok(())
}
