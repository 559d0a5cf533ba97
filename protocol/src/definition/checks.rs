//! What the parts of a definition share: ranges, and keys that are absent when they are not used.

use serde::{Deserialize, Deserializer};

use super::DefinitionError;
use crate::decimal::Decimal;

/// A decimal in a range.
pub(super) fn number(
    field: &'static str,
    value: &Decimal,
    expected: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<(), DefinitionError> {
    if ok(value.to_f64()) {
        Ok(())
    } else {
        Err(DefinitionError::Range {
            field,
            value: value.to_string(),
            expected,
        })
    }
}

/// A whole number in a range.
pub(super) fn count(
    field: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
    expected: &'static str,
) -> Result<(), DefinitionError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(DefinitionError::Range {
            field,
            value: value.to_string(),
            expected,
        })
    }
}

/// For a key that may be absent: null would be a second way of writing that, with another hash.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// For a switch that is absent when it is off: `false` would be a second way of writing that.
pub(super) fn only_true<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    if bool::deserialize(from)? {
        Ok(true)
    } else {
        Err(serde::de::Error::custom(
            "false is written by leaving the key out, so that a definition has one hash",
        ))
    }
}

/// An object without keys: a choice that needs no settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}
