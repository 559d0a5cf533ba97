//! The chain side against a real node (anvil) and the real contracts.
//!
//! anvil is taken from `$ANVIL`, from the repository's tools, or from the path; without it these tests fail.

mod devnet;
mod endpoints;
mod rounds;
mod sending;
mod watching;
