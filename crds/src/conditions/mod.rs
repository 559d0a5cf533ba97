//! Conditions: their types and reasons as documented constants, and how a status list is updated.
//!
//! They follow kstatus: `Ready` is always there from the first reconcile on; `Reconciling` and `Stalled` are there only
//! while true. `Ready`'s message is one sentence: what is awaited, from whom, until when, what to do.

mod reasons;
mod update;

pub use reasons::{ALL_REASONS, ALL_TYPES, Documented, reason, types};
pub use update::{ConditionStatus, NewCondition, find, is_problem, is_true, remove, set};
