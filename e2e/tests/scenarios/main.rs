//! Scenarios on a real cluster and a real chain. They share one chain and one operator, each in namespaces of its own;
//! one binary, because linking takes longer than most of them.
//!
//! `make e2e` runs them; with a cluster up: `eval "$(e2e/cluster/env)"; cargo test -p e2e --test scenarios`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod base_model;
mod chain_input;
mod chaos;
mod flock_sdk;
mod foreign;
mod gpu;
mod interrupted;
mod lab;
mod lagging;
mod lifecycle;
mod manifests;
mod outlier;
mod own_network;
mod poisoned;
mod refusals;
mod table;
mod two_tasks;
mod whole_task;
