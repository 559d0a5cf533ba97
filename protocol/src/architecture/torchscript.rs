//! Any network, as TorchScript.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::{ArchitectureError, Dtype, TensorSpec, range};
use crate::types::ModelHash;

/// A TorchScript module, named by the hash of its file. Only the listed tensors are trained and travel; everything else
/// in the file stays as it is there, so that adapters of a large network make small models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TorchScript {
    /// SHA-256 of the file.
    pub module: ModelHash,
    pub module_bytes: u64,
    /// The genesis model: the listed tensors as they are in the file, in the canonical form of a model. Written out so
    /// that the chain's genesis hash can be checked without running anything; a trainer that finds other tensors in the
    /// file refuses the definition.
    pub initial_model: ModelHash,
    /// Of one record; what is handed to `forward` has the records as first dimension.
    pub input_shape: Vec<u32>,
    /// Numbers that `forward` gives for a record.
    pub outputs: u32,
    /// Parameters that are trained; what is not listed is frozen.
    pub tensors: Vec<FederatedTensor>,
    /// Frozen parameters that are not in the file but on a volume of every participant.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub base_model: Option<BaseModel>,
}

/// A key that is there has a value.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Large frozen weights that every participant has as safetensors files: see [`crate::base_model`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaseModel {
    /// SHA-256 of the manifest's bytes.
    pub manifest: ModelHash,
    /// The module's parameters are named so and then as the base model's tensors; absent: they have the same names.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedTensor {
    /// As the module names its parameter.
    pub name: String,
    pub shape: Vec<u32>,
    pub dtype: TensorType,
}

/// Element type in which a trained tensor travels; as a safetensors header writes it. The module's own parameter is a
/// 32-bit float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TensorType {
    F32,
    Bf16,
    F16,
}

impl TensorType {
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::Bf16,
            Self::F16 => Dtype::F16,
        }
    }
}

impl TorchScript {
    pub(super) fn inputs(&self) -> u64 {
        self.input_shape.iter().map(|&d| u64::from(d)).product()
    }

    pub(super) fn image(&self) -> Option<[u32; 3]> {
        self.input_shape.as_slice().try_into().ok()
    }

    pub(super) fn tensors(&self) -> Vec<TensorSpec> {
        self.tensors
            .iter()
            .map(|tensor| TensorSpec {
                name: tensor.name.clone(),
                shape: tensor.shape.iter().map(|&d| d as usize).collect(),
                dtype: tensor.dtype.dtype(),
            })
            .collect()
    }

    pub(super) fn check(&self) -> Result<(), ArchitectureError> {
        range("torchscript.moduleBytes", self.module_bytes, 1, 1 << 42)?;
        range(
            "the number of torchscript.inputShape",
            self.input_shape.len() as u64,
            1,
            4,
        )?;
        for &side in &self.input_shape {
            range("torchscript.inputShape", side.into(), 1, 1 << 20)?;
        }
        range("the inputs of torchscript", self.inputs(), 1, 1 << 26)?;
        range("torchscript.outputs", self.outputs.into(), 1, 1 << 16)?;
        range("the number of torchscript.tensors", self.tensors.len() as u64, 1, 8192)?;
        if let Some(prefix) = self.base_model.as_ref().and_then(|base| base.prefix.as_ref()) {
            range(
                "the length of torchscript.baseModel.prefix",
                prefix.len() as u64,
                1,
                256,
            )?;
        }
        let mut seen = HashSet::new();
        for tensor in &self.tensors {
            let refuse = |problem| {
                Err(ArchitectureError::Tensor {
                    name: tensor.name.clone(),
                    problem,
                })
            };
            let name = tensor.name.as_str();
            if name.is_empty() || name.len() > 512 || name.contains(char::is_control) || name == "__metadata__" {
                return refuse("no name for a tensor");
            }
            if !seen.insert(name) {
                return refuse("listed twice");
            }
            if tensor.shape.len() > 8 || tensor.shape.contains(&0) {
                return refuse("at most 8 dimensions, none of them 0");
            }
        }
        Ok(())
    }
}
