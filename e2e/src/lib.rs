//! A harness for scenarios on a real cluster and a real chain: what a person would type, as functions that wait on
//! conditions and say what they waited for.
#![forbid(unsafe_code)]

pub mod bare;
pub mod by_hand;
pub mod cluster;
pub mod data;
pub mod depot;
pub mod device;
pub mod devnet;
pub mod env;
pub mod forward;
pub mod helm;
pub mod interruption;
pub mod key;
pub mod leaks;
pub mod manifests;
pub mod node;
pub mod picture;
pub mod progress;
pub mod shell;
pub mod site;
pub mod sweep;
pub mod task;
pub mod trainer;
pub mod wait;
