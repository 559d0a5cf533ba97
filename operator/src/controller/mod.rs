//! Observe, decide, act, record: reconciles of FLChain, FLTask (with its FLRounds) and FLClient.

pub mod chain;
pub mod client;
pub mod context;
pub mod metrics;
mod run;
pub mod task;

pub use context::{ChainAccess, ChainProblem, Chains, Context, Settings, TrustedManager};
pub use run::{ControllerArgs, run};
