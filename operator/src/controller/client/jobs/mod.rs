//! The Jobs of a client: named by what they compute, create-only, believed only with the right result.

mod build;
mod claims;
mod pending;
mod pod;
pub(super) mod prepare;
pub(super) mod retry;
mod sdk;
pub(super) mod state;
#[cfg(test)]
mod tests;
