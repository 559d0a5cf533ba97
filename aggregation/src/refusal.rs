//! Why a contribution does not count. Every voter must come to the same answer about the same bytes.

use protocol::{model::ModelError, types::ModelHash};

/// What makes a contribution invalid. Checked in the order of the variants, the first that applies is reported.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("it has {actual} bytes, more than maxModelBytes {limit}")]
    TooLarge { actual: u64, limit: u64 },
    #[error("its bytes hash to {actual}")]
    Hash { actual: ModelHash },
    #[error("not a model of this definition: {0}")]
    Tensors(ModelError),
    #[error("wrong origin: {0}")]
    Metadata(ModelError),
    #[error("value {index} of tensor {tensor:?} is not finite")]
    NotFinite { tensor: String, index: u64 },
    #[error("every value equals the start model's")]
    EqualsStart,
    /// Valid, but so far from the others that the definition's rule takes its bit.
    #[error("outlier: its score {score:e} is above the limit {limit:e}")]
    Outlier { score: f64, limit: f64 },
}

impl Refusal {
    /// A stable word for metrics and status.
    pub fn category(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Hash { .. } => "hash",
            Self::Tensors(_) => "tensors",
            Self::Metadata(_) => "metadata",
            Self::NotFinite { .. } => "not-finite",
            Self::EqualsStart => "equals-start",
            Self::Outlier { .. } => "outlier",
        }
    }
}
