//! The outside world in memory, for tests of whole reconciles: an API server, a chain with one task, a gateway, a clock.
//!
//! All of them count their calls in one place ([`Faults`]) and can be told to die before or after any of them: an answer
//! that was lost is a call that happened.

mod chain;
mod clock;
mod cluster;
mod faults;
mod logs;
mod needles;
mod objects;
mod onchain;
mod results;
mod store;
mod world;

pub(crate) use chain::{FakeChain, FakeChains};
pub(crate) use clock::FakeClock;
pub(crate) use cluster::FakeCluster;
pub(crate) use faults::{Faults, Moment};
pub(crate) use logs::Logs;
pub(crate) use needles::Needles;
pub(crate) use objects::{client, signing_secret, task};
pub(crate) use results::{checked, model, result_line, trained, voted};
pub(crate) use store::FakeStore;
pub(crate) use world::{CONTRACT, PRIVATE_KEY, STAKE, START, World};
