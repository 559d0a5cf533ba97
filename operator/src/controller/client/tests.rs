//! Whole reconciles against the world in memory.

mod bad_input;
mod base_model;
mod crashes;
mod flock_sdk;
mod key_elsewhere;
mod lifecycle;
mod money;
mod namespaces;
mod running;
mod secrets;
mod stopping;
