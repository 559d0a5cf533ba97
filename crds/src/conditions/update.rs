//! Merging a condition into a status list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::types;

/// Longest message kept; a status must stay small and an error text may not be.
const MAX_MESSAGE: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// A condition as computed now; when it became so is found out by [`set`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCondition {
    pub type_: &'static str,
    pub status: ConditionStatus,
    pub reason: &'static str,
    pub message: String,
}

impl NewCondition {
    pub fn new(
        type_: &'static str,
        status: impl Into<ConditionStatus>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status: status.into(),
            reason,
            message: message.into(),
        }
    }
}

/// Whether a condition is not as it should be. `Reconciling` is not a problem, only a state; of the types that are there
/// to warn `True` is the problem, of all others anything else.
pub fn is_problem(condition: &Condition) -> bool {
    let holds = condition.status == ConditionStatus::True.as_str();
    match condition.type_.as_str() {
        types::RECONCILING => false,
        types::STALLED | types::CLOCK_SKEW | types::DUTY_AT_RISK | types::JOB_PENDING => holds,
        _ => !holds,
    }
}

/// Puts `new` into the list, in the order of first appearance. `lastTransitionTime` stays unless the status flips, so
/// that a status computed twice is the same twice. Returns whether anything but `observedGeneration` changed.
pub fn set(conditions: &mut Vec<Condition>, new: NewCondition, generation: Option<i64>, now: &Time) -> bool {
    let message = shorten(new.message);
    let status = new.status.as_str();
    match conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            let flipped = old.status != status;
            let changed = flipped || old.reason != new.reason || old.message != message;
            if flipped {
                old.status = status.to_owned();
                old.last_transition_time = now.clone();
            }
            old.reason = new.reason.to_owned();
            old.message = message;
            old.observed_generation = generation;
            changed
        }
        None => {
            conditions.push(Condition {
                type_: new.type_.to_owned(),
                status: status.to_owned(),
                reason: new.reason.to_owned(),
                message,
                observed_generation: generation,
                last_transition_time: now.clone(),
            });
            true
        }
    }
}

/// Takes a condition out, if it is there. Returns whether it was.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != type_);
    conditions.len() != before
}

pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}

fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE - 3)
            .rev()
            .find(|&i| message.is_char_boundary(i))
            .unwrap_or(0);
        message.truncate(end);
        message.push_str("...");
    }
    message
}

#[cfg(test)]
mod tests {
    use protocol::types::Timestamp;

    use super::*;
    use crate::{
        conditions::{reason, types},
        rfc3339,
    };

    fn at(seconds: u64) -> Time {
        rfc3339(Timestamp(1_700_000_000 + seconds)).expect("in range")
    }

    fn ready(status: bool, message: &str) -> NewCondition {
        NewCondition::new(types::READY, status, reason::RUNNING, message)
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let mut list = Vec::new();
        assert!(set(&mut list, ready(false, "waits"), Some(1), &at(0)));
        assert!(set(&mut list, ready(false, "still waits"), Some(1), &at(5)));
        assert_eq!(list[0].last_transition_time, at(0));
        assert!(set(&mut list, ready(true, "runs"), Some(1), &at(9)));
        assert_eq!(list[0].last_transition_time, at(9));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn the_same_condition_again_changes_nothing() {
        let mut list = Vec::new();
        set(&mut list, ready(true, "runs"), Some(1), &at(0));
        let before = list.clone();
        assert!(!set(&mut list, ready(true, "runs"), Some(1), &at(60)));
        assert_eq!(list, before);
    }

    #[test]
    fn a_condition_can_be_removed_once() {
        let mut list = Vec::new();
        set(&mut list, ready(true, "runs"), None, &at(0));
        assert!(is_true(&list, types::READY));
        assert!(remove(&mut list, types::READY));
        assert!(!remove(&mut list, types::READY));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut list = Vec::new();
        set(&mut list, ready(false, &"ä".repeat(4000)), None, &at(0));
        assert!(list[0].message.len() <= MAX_MESSAGE);
        assert!(list[0].message.ends_with("ä..."));
    }
}
