#![forbid(unsafe_code)]
//! The operator: `controller` reconciles tasks and clients, `gateway` moves models, `chain` serves administrators.
//!
//! Kubernetes, chain, clock and randomness are reached through the traits in [`cluster`], [`chain`], [`clock`] and [`randomness`], so
//! that the whole controller can run in a deterministic simulation.

pub mod admin;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod gateway;
pub mod lease;
pub mod randomness;
#[cfg(test)]
mod testing;
