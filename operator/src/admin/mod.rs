//! Tools for the administrator of a chain.

use clap::Subcommand;

/// `fl-alliance-operator chain ...`
#[derive(Debug, Subcommand)]
pub enum ChainCommand {}

/// Runs one tool.
pub async fn run(command: ChainCommand) -> anyhow::Result<()> {
    match command {}
}
