//! Observe, decide, act, record: reconciles of FLChain, FLTask (with its FLRounds) and FLClient.

pub mod chain;
pub mod client;
pub mod context;
pub mod keys;
pub mod metrics;
mod open;
mod patience;
mod problems;
mod reconcilers;
mod run;
mod serve;
pub mod task;
mod wakes;
mod watch;

pub use context::{ChainAccess, ChainProblem, Chains, Context, Settings, TrustedManager};
pub use reconcilers::pause;
pub use run::{ControllerArgs, run};
