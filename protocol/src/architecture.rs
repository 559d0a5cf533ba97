//! Model architectures and the tensors they are made of.

use serde::{Deserialize, Serialize};

mod resnet;
mod torchscript;

pub use resnet::Resnet;
pub use torchscript::{BaseModel, FederatedTensor, TensorType, TorchScript};

/// More elements than this are refused, so that sizes never overflow.
const MAX_ELEMENTS: u64 = 1 << 36;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchitectureError {
    #[error("{field} is {value}, but must be between {min} and {max}")]
    Range {
        field: &'static str,
        value: u64,
        min: u64,
        max: u64,
    },
    #[error("{height} x {width} inputs cannot be halved {layers} times")]
    TooManyPools { height: u32, width: u32, layers: usize },
    #[error("the model has more than 2^36 parameters")]
    TooManyParameters,
    #[error("resnet.groups {groups} does not divide a stage's {filters} filters")]
    Groups { groups: u32, filters: u32 },
    #[error("tensor {name:?}: {problem}")]
    Tensor { name: String, problem: &'static str },
}

impl ArchitectureError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Range { .. } => "range",
            Self::TooManyPools { .. } => "too-many-pools",
            Self::TooManyParameters => "too-many-parameters",
            Self::Groups { .. } => "groups",
            Self::Tensor { .. } => "tensor",
        }
    }
}

/// One of, so that a new architecture is a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Architecture {
    Mlp(Mlp),
    Cnn(Cnn),
    Logistic(Logistic),
    Resnet(Resnet),
    Torchscript(TorchScript),
}

/// One linear layer: logistic regression with a cross-entropy, linear regression with a squared error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logistic {
    pub inputs: u32,
    pub outputs: u32,
}

/// Fully connected layers with ReLU between them: inputs -> hidden... -> outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mlp {
    pub inputs: u32,
    /// Units of each hidden layer; may be empty.
    pub hidden: Vec<u32>,
    pub outputs: u32,
}

/// Per entry of `filters`: 3x3 convolution with same padding, ReLU, 2x2 max pooling (sizes halve, rounded down); then one
/// hidden layer with ReLU and the output layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cnn {
    pub channels: u32,
    pub height: u32,
    pub width: u32,
    pub filters: Vec<u32>,
    pub hidden: u32,
    pub outputs: u32,
}

/// Element types of model files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// bfloat16: the upper half of a binary32.
    Bf16,
    /// IEEE 754 binary16.
    F16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// As written in a safetensors header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
            Self::F16 => "F16",
        }
    }
}

/// Name, shape (outermost dimension first) and element type of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
}

impl TensorSpec {
    fn f32(name: String, shape: &[u32]) -> Self {
        Self {
            name,
            shape: shape.iter().map(|&d| d as usize).collect(),
            dtype: Dtype::F32,
        }
    }

    /// Number of elements; `None` if that overflows.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }
}

impl Architecture {
    /// Numbers it gives for a record.
    pub fn outputs(&self) -> u32 {
        match self {
            Self::Logistic(logistic) => logistic.outputs,
            Self::Resnet(resnet) => resnet.outputs,
            Self::Torchscript(module) => module.outputs,
            Self::Mlp(mlp) => mlp.outputs,
            Self::Cnn(cnn) => cnn.outputs,
        }
    }

    /// Numbers it takes of a record: pixels times channels, or what a table's columns become.
    pub fn inputs(&self) -> u64 {
        match self {
            Self::Logistic(logistic) => logistic.inputs.into(),
            Self::Torchscript(module) => module.inputs(),
            Self::Resnet(resnet) => u64::from(resnet.channels) * u64::from(resnet.height) * u64::from(resnet.width),
            Self::Mlp(mlp) => mlp.inputs.into(),
            Self::Cnn(cnn) => u64::from(cnn.channels) * u64::from(cnn.height) * u64::from(cnn.width),
        }
    }

    /// [channels, height, width] if it takes nothing else.
    pub fn image(&self) -> Option<[u32; 3]> {
        match self {
            Self::Cnn(cnn) => Some([cnn.channels, cnn.height, cnn.width]),
            Self::Resnet(resnet) => Some([resnet.channels, resnet.height, resnet.width]),
            Self::Torchscript(module) => module.image(),
            Self::Mlp(_) | Self::Logistic(_) => None,
        }
    }

    /// All tensors that travel, in layer order, each weight before its bias. A file holds them in ascending order of names instead.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = Vec::new();
        let mut layer = |name: &str, shape: &[u32]| {
            tensors.push(TensorSpec::f32(format!("{name}.weight"), shape));
            tensors.push(TensorSpec::f32(format!("{name}.bias"), &shape[..1]));
        };
        match self {
            Self::Logistic(logistic) => layer("output", &[logistic.outputs, logistic.inputs]),
            Self::Resnet(resnet) => return resnet.tensors(),
            Self::Torchscript(module) => return module.tensors(),
            Self::Mlp(mlp) => {
                let mut inputs = mlp.inputs;
                for (i, &outputs) in mlp.hidden.iter().chain([&mlp.outputs]).enumerate() {
                    layer(&format!("layers.{i}"), &[outputs, inputs]);
                    inputs = outputs;
                }
            }
            Self::Cnn(cnn) => {
                let mut channels = cnn.channels;
                for (i, &filters) in cnn.filters.iter().enumerate() {
                    layer(&format!("conv.{i}"), &[filters, channels, 3, 3]);
                    channels = filters;
                }
                layer("hidden", &[cnn.hidden, cnn.flattened()]);
                layer("output", &[cnn.outputs, cnn.hidden]);
            }
        }
        tensors
    }

    /// Checks ranges; called when a definition is parsed.
    pub(crate) fn check(&self) -> Result<(), ArchitectureError> {
        match self {
            Self::Mlp(mlp) => mlp.check()?,
            Self::Cnn(cnn) => cnn.check()?,
            Self::Logistic(logistic) => {
                range("logistic.inputs", logistic.inputs.into(), 1, 1 << 20)?;
                range("logistic.outputs", logistic.outputs.into(), 1, 1 << 16)?;
            }
            Self::Resnet(resnet) => resnet.check()?,
            Self::Torchscript(module) => module.check()?,
        }
        let mut total = 0u64;
        for tensor in self.tensors() {
            let elements = tensor.elements().ok_or(ArchitectureError::TooManyParameters)? as u64;
            total = total
                .checked_add(elements)
                .ok_or(ArchitectureError::TooManyParameters)?;
        }
        if total > MAX_ELEMENTS {
            Err(ArchitectureError::TooManyParameters)
        } else {
            Ok(())
        }
    }
}

impl Mlp {
    fn check(&self) -> Result<(), ArchitectureError> {
        range("mlp.inputs", self.inputs.into(), 1, 1 << 20)?;
        range("the number of mlp.hidden layers", self.hidden.len() as u64, 0, 64)?;
        self.hidden
            .iter()
            .try_for_each(|&units| range("mlp.hidden", units.into(), 1, 1 << 16))?;
        range("mlp.outputs", self.outputs.into(), 1, 1 << 16)
    }
}

impl Cnn {
    /// Inputs of the hidden layer: what the last pooling leaves.
    pub fn flattened(&self) -> u32 {
        let halvings = self.filters.len() as u32;
        let side = |n: u32| n.checked_shr(halvings).unwrap_or(0);
        let channels = self.filters.last().copied().unwrap_or(self.channels);
        channels
            .saturating_mul(side(self.height))
            .saturating_mul(side(self.width))
    }

    fn check(&self) -> Result<(), ArchitectureError> {
        range("cnn.channels", self.channels.into(), 1, 64)?;
        range("cnn.height", self.height.into(), 1, 4096)?;
        range("cnn.width", self.width.into(), 1, 4096)?;
        range("the number of cnn.filters", self.filters.len() as u64, 1, 12)?;
        self.filters
            .iter()
            .try_for_each(|&filters| range("cnn.filters", filters.into(), 1, 4096))?;
        range("cnn.hidden", self.hidden.into(), 1, 1 << 16)?;
        range("cnn.outputs", self.outputs.into(), 1, 1 << 16)?;
        let layers = self.filters.len();
        if self.height >> layers == 0 || self.width >> layers == 0 {
            return Err(ArchitectureError::TooManyPools {
                height: self.height,
                width: self.width,
                layers,
            });
        }
        Ok(())
    }
}

fn range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ArchitectureError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ArchitectureError::Range { field, value, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_shapes(architecture: &Architecture) -> Vec<(String, Vec<usize>)> {
        architecture.tensors().into_iter().map(|t| (t.name, t.shape)).collect()
    }

    #[test]
    fn an_mlp_has_a_weight_and_a_bias_per_layer() {
        let mlp = Architecture::Mlp(Mlp {
            inputs: 784,
            hidden: vec![200],
            outputs: 10,
        });
        assert_eq!(mlp.check(), Ok(()));
        assert_eq!(
            names_and_shapes(&mlp),
            [
                ("layers.0.weight".into(), vec![200, 784]),
                ("layers.0.bias".into(), vec![200]),
                ("layers.1.weight".into(), vec![10, 200]),
                ("layers.1.bias".into(), vec![10]),
            ]
        );
    }

    #[test]
    fn a_cnn_flattens_what_the_last_pooling_leaves() {
        let cnn = Architecture::Cnn(Cnn {
            channels: 1,
            height: 28,
            width: 29,
            filters: vec![8, 16],
            hidden: 64,
            outputs: 10,
        });
        assert_eq!(cnn.check(), Ok(()));
        assert_eq!(
            names_and_shapes(&cnn),
            [
                ("conv.0.weight".into(), vec![8, 1, 3, 3]),
                ("conv.0.bias".into(), vec![8]),
                ("conv.1.weight".into(), vec![16, 8, 3, 3]),
                ("conv.1.bias".into(), vec![16]),
                ("hidden.weight".into(), vec![64, 16 * 7 * 7]),
                ("hidden.bias".into(), vec![64]),
                ("output.weight".into(), vec![10, 64]),
                ("output.bias".into(), vec![10]),
            ]
        );
    }

    #[test]
    fn sizes_that_cannot_be_built_are_refused() {
        let mlp = |inputs, hidden, outputs| {
            Architecture::Mlp(Mlp {
                inputs,
                hidden,
                outputs,
            })
            .check()
        };
        assert!(mlp(0, vec![], 10).is_err());
        assert!(mlp(4, vec![0], 10).is_err());
        assert!(mlp(4, vec![], 0).is_err());
        assert!(mlp(4, vec![1; 65], 10).is_err());
        assert_eq!(
            mlp(1 << 20, vec![1 << 16; 2], 10),
            Err(ArchitectureError::TooManyParameters)
        );
        let cnn = |side, filters: Vec<u32>| {
            Architecture::Cnn(Cnn {
                channels: 1,
                height: side,
                width: side,
                filters,
                hidden: 4,
                outputs: 2,
            })
            .check()
        };
        assert_eq!(cnn(4, vec![2, 2]), Ok(()));
        assert!(matches!(
            cnn(4, vec![2, 2, 2]),
            Err(ArchitectureError::TooManyPools { .. })
        ));
        assert!(cnn(4, vec![]).is_err());
    }
}
