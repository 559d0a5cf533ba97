//! A small residual network.

use serde::{Deserialize, Serialize};

use super::{ArchitectureError, TensorSpec, range};

/// The residual networks for small images (He et al. 2015, section 4.2), with group instead of batch normalisation.
///
/// Batch normalisation keeps running means and variances: averaged over participants with unlike data they describe
/// nobody's, and they are state beside the parameters. Group normalisation has neither trouble.
///
/// Stem: 3x3 convolution to `filters[0]`, norm, ReLU. For each entry of `filters` a stage of `blocks` blocks; the first
/// block of every stage but the first halves the image (stride 2, rounded up). A block: 3x3 convolution, norm, ReLU, 3x3
/// convolution, norm, plus its input (through a 1x1 convolution and a norm where the shape changes), ReLU. Then the mean
/// over the image and the output layer. Convolutions have no bias. Three stages with 1 or 3 blocks make a ResNet-8 or
/// ResNet-20.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resnet {
    pub channels: u32,
    pub height: u32,
    pub width: u32,
    pub filters: Vec<u32>,
    pub blocks: u32,
    /// Of every norm; must divide all of `filters`.
    pub groups: u32,
    pub outputs: u32,
}

/// One block as it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub stage: usize,
    pub number: u32,
    pub inputs: u32,
    pub filters: u32,
    pub stride: u32,
}

impl Block {
    /// Whether the input goes through a convolution of its own to be added.
    pub fn has_shortcut(&self) -> bool {
        self.stride != 1 || self.inputs != self.filters
    }
}

impl Resnet {
    /// All blocks, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut inputs = self.filters.first().copied().unwrap_or(1);
        let mut blocks = Vec::new();
        for (stage, &filters) in self.filters.iter().enumerate() {
            for number in 0..self.blocks {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                blocks.push(Block {
                    stage,
                    number,
                    inputs,
                    filters,
                    stride,
                });
                inputs = filters;
            }
        }
        blocks
    }

    pub(super) fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[u32]| tensors.push(TensorSpec::f32(name, shape));
        let first = self.filters.first().copied().unwrap_or(1);
        add("stem.conv.weight".into(), &[first, self.channels, 3, 3]);
        add("stem.norm.weight".into(), &[first]);
        add("stem.norm.bias".into(), &[first]);
        for block in self.blocks() {
            let name = format!("stages.{}.{}", block.stage, block.number);
            let mut normed = |conv: &str, norm: &str, shape: &[u32]| {
                add(format!("{name}.{conv}.weight"), shape);
                add(format!("{name}.{norm}.weight"), &shape[..1]);
                add(format!("{name}.{norm}.bias"), &shape[..1]);
            };
            normed("conv1", "norm1", &[block.filters, block.inputs, 3, 3]);
            normed("conv2", "norm2", &[block.filters, block.filters, 3, 3]);
            if block.has_shortcut() {
                normed("shortcut", "norm3", &[block.filters, block.inputs, 1, 1]);
            }
        }
        let last = self.filters.last().copied().unwrap_or(1);
        add("output.weight".into(), &[self.outputs, last]);
        add("output.bias".into(), &[self.outputs]);
        tensors
    }

    pub(super) fn check(&self) -> Result<(), ArchitectureError> {
        range("resnet.channels", self.channels.into(), 1, 64)?;
        range("resnet.height", self.height.into(), 1, 4096)?;
        range("resnet.width", self.width.into(), 1, 4096)?;
        range("the number of resnet.filters", self.filters.len() as u64, 1, 6)?;
        range("resnet.blocks", self.blocks.into(), 1, 64)?;
        range("resnet.groups", self.groups.into(), 1, 4096)?;
        for &filters in &self.filters {
            range("resnet.filters", filters.into(), 1, 4096)?;
            if filters % self.groups != 0 {
                return Err(ArchitectureError::Groups {
                    groups: self.groups,
                    filters,
                });
            }
        }
        range("resnet.outputs", self.outputs.into(), 1, 1 << 16)?;
        let halvings = self.filters.len() - 1;
        if self.height >> halvings == 0 || self.width >> halvings == 0 {
            return Err(ArchitectureError::TooManyPools {
                height: self.height,
                width: self.width,
                layers: halvings,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resnet(filters: &[u32], blocks: u32, groups: u32) -> Resnet {
        Resnet {
            channels: 3,
            height: 32,
            width: 32,
            filters: filters.to_vec(),
            blocks,
            groups,
            outputs: 10,
        }
    }

    #[test]
    fn three_stages_of_one_block_are_a_resnet_8() {
        let network = resnet(&[16, 32, 64], 1, 8);
        assert_eq!(network.check(), Ok(()));
        let tensors = network.tensors();
        let weights = |dimensions: usize| tensors.iter().filter(|t| t.shape.len() == dimensions).count();
        // Seven 3x3 convolutions and two shortcuts; one output layer.
        assert_eq!((weights(4), weights(2)), (9, 1));
        let parameters: usize = tensors.iter().filter_map(TensorSpec::elements).sum();
        assert_eq!(parameters, 78_042);
        assert_eq!(tensors[0].shape, [16, 3, 3, 3]);
        assert!(
            tensors
                .iter()
                .any(|t| t.name == "stages.1.0.shortcut.weight" && t.shape == [32, 16, 1, 1])
        );
        assert!(!tensors.iter().any(|t| t.name.starts_with("stages.0.0.shortcut")));
    }

    #[test]
    fn groups_must_divide_the_filters_and_the_image_must_last_for_all_stages() {
        assert!(matches!(
            resnet(&[16, 36], 1, 8).check(),
            Err(ArchitectureError::Groups { groups: 8, filters: 36 })
        ));
        let small = Resnet {
            height: 2,
            ..resnet(&[8, 8, 8], 1, 8)
        };
        assert!(matches!(small.check(), Err(ArchitectureError::TooManyPools { .. })));
        assert!(resnet(&[], 1, 8).check().is_err());
    }
}
