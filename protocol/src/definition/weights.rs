//! What the elements of model files are.

use serde::{Deserialize, Serialize};

use super::DefinitionDocument;
use crate::architecture::{Dtype, TensorSpec};

/// Element type of all tensors of a model file. Halves what travels and what is stored; training computes on 32-bit copies
/// and rounds what it hands in, to nearest, ties to even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// bfloat16: the range of 32-bit floats, 8 significant bits.
    Bf16,
    /// IEEE 754 binary16: 11 significant bits, values up to 65504.
    F16,
}

impl Weights {
    pub fn dtype(self) -> Dtype {
        match self {
            Self::Bf16 => Dtype::Bf16,
            Self::F16 => Dtype::F16,
        }
    }
}

impl DefinitionDocument {
    /// The tensors of a model file, in the architecture's order.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = self.architecture.tensors();
        if let Some(weights) = self.weights {
            for tensor in &mut tensors {
                tensor.dtype = weights.dtype();
            }
        }
        tensors
    }
}
