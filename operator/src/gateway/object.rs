//! Names of things on disk and in the store, parsed once: nothing from a request reaches a path unparsed.

use std::{fmt, str::FromStr};

use protocol::types::{Address, ModelHash};
use serde::{Deserialize, Serialize};

use super::error::GatewayError;

/// One participant of one task on one chain: whose objects they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    pub chain: u64,
    pub task: Address,
    pub participant: Address,
}

impl fmt::Display for Owner {
    /// `<chain>/<task>/<participant>`: decimal, then lower-case hex addresses with `0x`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:#x}/{:#x}", self.chain, self.task, self.participant)
    }
}

impl Owner {
    pub fn object(self, hash: ModelHash) -> ObjectId {
        ObjectId { owner: self, hash }
    }
}

/// One object of the shared store; a definition is one too, named by the SHA-256 of its bytes like any model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectId {
    pub owner: Owner,
    pub hash: ModelHash,
}

impl fmt::Display for ObjectId {
    /// `<chain>/<task>/<participant>/<sha256>`, the same in every store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.hash)
    }
}

/// A Job's namespace and name, both checked to be names that Kubernetes would give.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobKey {
    namespace: String,
    name: String,
}

impl JobKey {
    pub fn new(namespace: &str, name: &str) -> Result<Self, GatewayError> {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_name = |name: &str| name.len() <= 253 && name.split('.').all(is_label);
        if is_label(namespace) && is_name(name) {
            Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        } else {
            Err(GatewayError::BadRequest(
                "the Job's namespace and name are not names of Kubernetes".to_owned(),
            ))
        }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for JobKey {
    type Err = GatewayError;

    /// `<namespace>/<job name>`.
    fn from_str(s: &str) -> Result<Self, GatewayError> {
        let (namespace, name) = s.split_once('/').unwrap_or_default();
        Self::new(namespace, name)
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_by_chain_task_participant_and_hash() {
        let owner = Owner {
            chain: 31337,
            task: Address::repeat_byte(0xab),
            participant: Address::repeat_byte(0xcd),
        };
        assert_eq!(
            owner.object(ModelHash([0xEF; 32].into())).to_string(),
            format!("31337/0x{}/0x{}/{}", "ab".repeat(20), "cd".repeat(20), "ef".repeat(32))
        );
    }

    #[test]
    fn only_names_of_kubernetes_name_a_job() {
        assert_eq!(
            "team-a/c1-3-train-0badf00d".parse::<JobKey>().unwrap().to_string(),
            "team-a/c1-3-train-0badf00d"
        );
        assert!("team/a.b".parse::<JobKey>().is_ok());
        for bad in [
            "", "/", "a", "a/", "/b", "a/..", "../b", "a/b/c", "a/.", "A/b", "a/b_c", "a/-b", "a/b\0", "a.b/c",
            "a/b..c",
        ] {
            assert!(bad.parse::<JobKey>().is_err(), "{bad:?}");
        }
        assert!(JobKey::new(&"a".repeat(64), "b").is_err());
    }
}
