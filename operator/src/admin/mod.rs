//! Tools for the administrator of a chain: deploy, fund, inspect, compare, and what a key can do by hand.

mod amount;
mod compare;
mod connect;
mod deploy;
mod funds;
mod record;
mod send;
mod show;
mod task;
#[cfg(test)]
mod testnet;
#[cfg(test)]
mod tests;

use clap::Subcommand;

pub use amount::{AmountError, parse_amount};
pub use compare::CompareArgs;
pub use connect::{Connection, KeyArgs, RpcArgs};
pub use deploy::DeployArgs;
pub use funds::{AllowCreatorArgs, FundArgs, MintArgs};
pub use record::{Deployed, Deployment, RecordPlace};
pub use send::{Account, Receipt};
pub use show::ShowTaskArgs;
pub use task::{ByHandArgs, FinishTaskArgs};

/// `fl-alliance-operator chain ...`
///
/// Keys come from a file or the environment, never from an argument: arguments are visible to every process.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Deploy the contracts (test token unless --token names one, task manager, task implementation), verify their code
    /// and write down where they are. Safe to run again: what is there is found and kept.
    Deploy(DeployArgs),
    /// Mint test tokens. The key must own the token; only our own FlockToken can be minted.
    Mint(MintArgs),
    /// Send native coins and tokens from the key's account to others.
    Fund(FundArgs),
    /// Allow accounts to create tasks at a manager, or take that back. The key must own the manager.
    AllowCreator(AllowCreatorArgs),
    /// Show a task as its contract has it: parameters, rounds, participants, money.
    ShowTask(ShowTaskArgs),
    /// Compare the FLRounds in Kubernetes with the chain: every amount with the event in the transaction named there,
    /// every balance to the wei. Exit code 1 and a list if anything differs.
    Compare(CompareArgs),
    /// Claim what a task holds for the key's account: stake left and rewards, once the task is over.
    Claim(ByHandArgs),
    /// Take what is left of the reward pool, once the task is over. The key must be the task's creator.
    Withdraw(ByHandArgs),
    /// End a task that has settled no round for its stall timeout. Anybody may.
    Terminate(ByHandArgs),
    /// End a task early: at once before a draw, otherwise after the running round. The key must own the manager.
    FinishTask(FinishTaskArgs),
}

/// Runs one tool.
pub async fn run(command: ChainCommand) -> anyhow::Result<()> {
    match command {
        ChainCommand::Deploy(args) => deploy::run(args).await,
        ChainCommand::Mint(args) => funds::mint(args).await,
        ChainCommand::Fund(args) => funds::fund(args).await,
        ChainCommand::AllowCreator(args) => funds::allow_creator(args).await,
        ChainCommand::ShowTask(args) => show::run(args).await,
        ChainCommand::Compare(args) => compare::run(args).await,
        ChainCommand::Claim(args) => task::claim(args).await,
        ChainCommand::Withdraw(args) => task::withdraw(args).await,
        ChainCommand::Terminate(args) => task::terminate(args).await,
        ChainCommand::FinishTask(args) => task::finish(args).await,
    }
}
