//! How contributions are combined into the next model.

use serde::{Deserialize, Serialize};

use super::DefinitionError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Aggregation {
    pub rule: Rule,
    /// Weigh by declared sample counts, clamped; false: every contribution counts the same.
    pub weighted: bool,
}

/// Aggregation rules carry versions: another arithmetic is another rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rule {
    #[serde(rename = "mean/v1")]
    MeanV1,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MeanV1 => "mean/v1",
        }
    }
}

impl Aggregation {
    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        Ok(())
    }
}
