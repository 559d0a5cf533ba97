//! The gateway as its callers meet it: real servers on the loopback address, real files, real requests.

mod admin;
mod checkpoints;
mod client;
mod durability;
mod harness;
mod reads;
mod tokens;
mod uploads;
