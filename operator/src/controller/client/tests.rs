//! Whole reconciles against the world in memory.

mod bad_input;
mod crashes;
mod key_elsewhere;
mod lifecycle;
mod running;
mod stopping;
