//! The data plane: models and results move between trainer pods and a content-addressed store over HTTP.
//!
//! A trainer pod holds a token that names its Job, the hashes it may read, and the one model and the one result it may
//! write. Uploads become visible only if their bytes are right; downloads are cut if they are not.

mod checkpoint;
mod client;
mod error;
mod files;
mod metrics;
mod models;
mod object;
mod progress;
mod put;
mod routes;
mod server;
mod staging;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod upload;
mod verify;

pub use client::{GatewayClient, ModelStore, StoreError};
pub use error::GatewayError;
pub use object::{JobKey, ObjectId, Owner};
pub use put::{PutArgs, StoreCommand, run_store};
pub use routes::{MAX_DEFINITION_BYTES, router};
pub use server::{GatewayArgs, run, serve};
pub use state::{Gateway, GatewayConfig};
pub use token::{AdminClaims, Claims, JobClaims, KeyRing, ReadGrant, TOKEN_VERSION, TokenError, TokenKey};
