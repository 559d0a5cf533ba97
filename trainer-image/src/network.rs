//! The definition's networks as tensors.

use std::{io::Write, path::Path};

use aggregation::{ReadAt, read_header};
use protocol::{
    architecture::{Architecture, Cnn, TensorSpec},
    model::{Layout, Metadata, ModelError, ModelWriter},
    types::ModelHash,
};
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::Failure;

/// A network with its parameters, in the order of [`Architecture::tensors`].
#[derive(Debug)]
pub struct Network {
    architecture: Architecture,
    specs: Vec<TensorSpec>,
    parameters: Vec<Tensor>,
}

impl Network {
    /// Reads a model file, one tensor at a time. Its tensors must be the architecture's; metadata is not looked at.
    pub fn load(architecture: &Architecture, path: &Path, device: Device) -> Result<Self, Failure> {
        let file = std::fs::File::open(path).map_err(|error| Failure::Io {
            path: path.to_owned(),
            error,
        })?;
        let specs = architecture.tensors();
        let header = read_header(&file).map_err(Failure::StartModel)?;
        header.require(&specs, header.metadata()).map_err(Failure::StartModel)?;
        let mut parameters = Vec::with_capacity(specs.len());
        for spec in &specs {
            let missing = || Failure::StartModel(ModelError::Missing(spec.name.clone()));
            let entry = header.tensor(&spec.name).ok_or_else(missing)?;
            let mut bytes = vec![0u8; usize::try_from(entry.size()).map_err(|_| ModelError::Overflow)?];
            ReadAt::read_exact_at(&file, &mut bytes, header.header_len() + entry.start).map_err(|error| {
                Failure::Io {
                    path: path.to_owned(),
                    error,
                }
            })?;
            let shape: Vec<i64> = spec.shape.iter().map(|&d| d as i64).collect();
            let parameter = Tensor::f_from_data_size(&bytes, &shape, Kind::Float)?.f_to_device(device)?;
            parameters.push(parameter.f_set_requires_grad(true)?);
        }
        Ok(Self {
            architecture: architecture.clone(),
            specs,
            parameters,
        })
    }

    /// Writes a canonical model file and returns its name.
    pub fn save(&self, metadata: &Metadata, out: impl Write) -> Result<ModelHash, Failure> {
        let layout = Layout::new(&self.specs, metadata)?;
        let mut writer = ModelWriter::new(&layout, out)?;
        let mut values = Vec::new();
        for entry in layout.tensors() {
            let position = self.specs.iter().position(|spec| spec.name == entry.spec.name);
            let missing = || ModelError::Missing(entry.spec.name.clone());
            let parameter = &self.parameters[position.ok_or_else(missing)?];
            let parameter = parameter.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
            values.resize(parameter.numel(), 0f32);
            parameter.f_copy_data(&mut values, parameter.numel())?;
            writer.write_f32(&values)?;
        }
        Ok(writer.finish()?)
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    pub fn parameters_mut(&mut self) -> &mut [Tensor] {
        &mut self.parameters
    }

    /// Copies of the parameters' values.
    pub fn snapshot(&self) -> Result<Vec<Tensor>, TchError> {
        let _guard = tch::no_grad_guard();
        self.parameters
            .iter()
            .map(|parameter| {
                let mut copy = parameter.f_zeros_like()?;
                copy.f_copy_(parameter)?;
                Ok(copy)
            })
            .collect()
    }

    /// Back to values of [`Network::snapshot`].
    pub fn restore(&mut self, snapshot: &[Tensor]) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        self.parameters
            .iter_mut()
            .zip(snapshot)
            .try_for_each(|(p, s)| p.f_copy_(s))
    }

    /// Whether no parameter is NaN or infinite.
    pub fn is_finite(&self) -> Result<bool, TchError> {
        let _guard = tch::no_grad_guard();
        for parameter in &self.parameters {
            if parameter.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Logits [records, outputs] of images [records, inputs].
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        match &self.architecture {
            Architecture::Mlp(_) => self.fully_connected(images),
            Architecture::Cnn(cnn) => self.convolutional(cnn, images),
        }
    }

    fn fully_connected(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let mut x = images.shallow_clone();
        let layers = self.parameters.chunks_exact(2);
        let last = layers.len().saturating_sub(1);
        for (i, layer) in layers.enumerate() {
            x = x.f_linear(&layer[0], Some(&layer[1]))?;
            if i < last {
                x = x.f_relu()?;
            }
        }
        Ok(x)
    }

    fn convolutional(&self, cnn: &Cnn, images: &Tensor) -> Result<Tensor, TchError> {
        let mut x = images.f_reshape([-1, cnn.channels.into(), cnn.height.into(), cnn.width.into()])?;
        let (filters, rest) = self.parameters.split_at(2 * cnn.filters.len());
        for layer in filters.chunks_exact(2) {
            x = x.f_conv2d(&layer[0], Some(&layer[1]), [1, 1], [1, 1], [1, 1], 1)?;
            x = x.f_relu()?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
        }
        x = x.f_flatten(1, -1)?;
        x = x.f_linear(&rest[0], Some(&rest[1]))?.f_relu()?;
        x.f_linear(&rest[2], Some(&rest[3]))
    }
}
