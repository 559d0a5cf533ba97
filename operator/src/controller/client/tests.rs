//! Whole reconciles against the world in memory.

mod bad_input;
mod crashes;
mod lifecycle;
mod running;
mod stopping;
