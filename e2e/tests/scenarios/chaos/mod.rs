//! What Kubernetes, machines and chains do to those who run on them. Each scenario plays the same task and strikes in the
//! middle of its rounds; each ends with the same check: every duty done once, money as the outcome table says, chain and
//! status equal to the wei.
//!
//! A short form runs with the others. What breaks the node, the API server or the chain under everybody's feet is marked
//! `ignore` and runs alone, one after the other: `make chaos`.

mod cluster_parts;
mod leader;
mod play;
mod shared_parts;
