//! The command line: one binary, two services and the tools around them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Federated learning without a trusted server: tasks and clients of FL Alliance on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "fl-alliance-operator", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconcile FLChains, FLTasks and FLClients: read the contract, run trainer Jobs, send transactions, keep status.
    Controller(crate::controller::ControllerArgs),
    /// Serve models and results to trainer pods over HTTP.
    Gateway(crate::gateway::GatewayArgs),
    /// Tools for the administrator of a chain: deploy contracts, fund, inspect, compare.
    #[command(subcommand)]
    Chain(Box<crate::admin::ChainCommand>),
    /// Put files by hand where sites share models.
    #[command(subcommand)]
    Store(crate::gateway::StoreCommand),
}

/// Parses the arguments, sets up logs and the TLS provider, and runs the role asked for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two TLS back ends could be linked in; naming one here keeps rustls from having to guess.
    let _ = rustls::crypto::ring::default_provider().install_default();
    init_logs(matches!(cli.command, Command::Chain(_) | Command::Store(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Controller(args) => crate::controller::run(args).await,
            Command::Gateway(args) => crate::gateway::run(args).await,
            Command::Chain(command) => crate::admin::run(*command).await,
            Command::Store(command) => crate::gateway::run_store(command).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// JSON lines for the long-running roles, plain text for a person at a terminal. `RUST_LOG` sets the level.
fn init_logs(plain: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if plain { "warn" } else { "info,kube=warn" }));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if plain {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
}
