//! The FL Alliance protocol without IO: what a round is, what to do next, what hashes to what, who gets what.
//!
//! Nothing here knows Kubernetes, an RPC node or a tensor library. The operator, the trainer, the simulation and the
//! tests all run this same code.
#![forbid(unsafe_code)]

pub mod action;
pub mod architecture;
pub mod base_model;
pub mod canonical;
pub mod client;
pub mod commitment;
pub mod decide;
pub mod decimal;
pub mod definition;
pub mod draw;
pub mod genesis;
pub mod half;
mod identity;
pub mod job;
pub mod model;
pub mod money;
pub mod outlook;
pub mod pokes;
pub mod snapshot;
pub mod split;
pub mod types;
pub mod vote;
