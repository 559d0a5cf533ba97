//! Small types several resources use.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff};
use protocol::types::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Another object by name: in the same namespace, or cluster-scoped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
}

impl From<&str> for NameRef {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

/// One key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    #[schemars(schema_with = "crate::schema::object_name")]
    pub name: String,
    /// Key within the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A chain time as the API writes it. `None` for 0 and for times no calendar holds.
pub fn rfc3339(at: Timestamp) -> Option<Time> {
    let seconds = i64::try_from(at.0).ok().filter(|&s| s > 0)?;
    jiff::Timestamp::from_second(seconds).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_time_is_written_in_rfc_3339() {
        let time = rfc3339(Timestamp(1_700_000_000)).expect("in range");
        assert_eq!(serde_json::to_value(time).expect("serialises"), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn a_time_that_has_not_happened_is_absent() {
        assert!(rfc3339(Timestamp(0)).is_none());
        assert!(rfc3339(Timestamp(u64::MAX)).is_none());
    }
}
