//! The trainer: `check`, `train` and `vote` of one participant, each one process that reads an input document and its
//! data and hands in a model and one line of result.
#![deny(unsafe_code)]

mod background;
pub mod base;
pub mod by_hand;
mod checkpoint;
mod cuda;
pub mod dataset;
pub mod device;
pub mod evaluate;
pub mod examples;
pub mod failure;
pub mod flock_sdk;
pub mod gateway;
pub mod input;
pub mod job;
pub mod loss;
pub mod metrics;
pub mod network;
pub mod optimizer;
pub mod privacy;
pub mod report;
pub mod reporter;
pub mod schedule;
mod scratch;
pub mod shuffle;
pub mod steps;
mod tensors;
pub mod termination;
pub mod threads;
pub mod training;
