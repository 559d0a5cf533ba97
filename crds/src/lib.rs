//! The custom resources of FL Alliance Operator, group `fl-alliance.io/v1alpha1`.
//!
//! Types here hold values that parse: the schema the API server enforces (patterns, ranges, CEL) is at least as strict
//! as the Rust types, so an object the server accepted can always be read. What the schema cannot see (another object,
//! the chain, a file) is answered by a condition, never by a failed watch.
//!
//! One version, additive changes only: a field is never renamed, removed or given another meaning.
#![forbid(unsafe_code)]
// Every printer column of the derive has a `type_`; clippy takes the second one for a repetition.
#![allow(clippy::duplicated_attributes)]

pub mod conditions;
pub mod definition;
pub mod flchain;
pub mod flclient;
pub mod flround;
pub mod fltask;
pub mod fraction;
pub mod generate;
pub mod names;
mod reference;
pub mod schema;
pub mod shared;
pub mod signer;

pub use definition::DefinitionDocument;
pub use flchain::{FLChain, FLChainSpec, FLChainStatus};
pub use flclient::{FLClient, FLClientSpec, FLClientStatus};
pub use flround::{FLRound, FLRoundSpec, FLRoundStatus};
pub use fltask::{FLTask, FLTaskSpec, FLTaskStatus};
pub use fraction::Fraction;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
pub use shared::{NameRef, SecretKeyRef, rfc3339};
pub use signer::SignerRef;
