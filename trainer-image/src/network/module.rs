//! Networks that somebody exported as TorchScript.

use std::{collections::HashMap, path::Path};

use protocol::architecture::TensorSpec;
use tch::{CModule, Device, Kind, TchError, Tensor};

use super::ModuleError;

/// A module whose listed parameters are trained; everything else in it is frozen.
#[derive(Debug)]
pub(super) struct Module {
    module: CModule,
    input_shape: Vec<i64>,
    /// The listed tensors.
    trained: Vec<Tensor>,
}

impl Module {
    /// Loads a module and finds the listed tensors in it, in the list's order. They share the module's memory.
    pub(super) fn load(
        path: &Path,
        input_shape: &[u32],
        specs: &[TensorSpec],
        device: Device,
    ) -> Result<(Self, Vec<Tensor>), ModuleError> {
        // Otherwise the first runs of a process are computed by another graph than the later ones, which makes other last
        // bits: a training that goes on in another process would not be the same.
        tch::jit::f_set_profiling_mode(false)?;
        let mut module =
            CModule::load_on_device(path, device).map_err(|error| ModuleError::Load(first_line(&error)))?;
        module.f_set_eval()?;
        let all: HashMap<String, Tensor> = module.named_parameters()?.into_iter().collect();
        let mut found = Vec::with_capacity(specs.len());
        for spec in specs {
            let tensor = all
                .get(&spec.name)
                .ok_or_else(|| ModuleError::Missing(spec.name.clone()))?;
            let shape: Vec<i64> = spec.shape.iter().map(|&d| d as i64).collect();
            if tensor.size() != shape || tensor.kind() != Kind::Float {
                return Err(ModuleError::Tensor {
                    name: spec.name.clone(),
                    found: format!("{:?} of {:?}", tensor.size(), tensor.kind()),
                    expected: format!("{shape:?} of Float"),
                });
            }
            found.push(tensor.shallow_clone());
        }
        for tensor in all.values() {
            let _ = tensor.f_set_requires_grad(false)?;
        }
        for tensor in &found {
            let _ = tensor.f_set_requires_grad(true)?;
        }
        let mut shape = vec![-1];
        shape.extend(input_shape.iter().map(|&d| i64::from(d)));
        let module = Self {
            module,
            input_shape: shape,
            trained: found.iter().map(Tensor::shallow_clone).collect(),
        };
        Ok((module, found))
    }

    pub(super) fn set_training(&mut self, on: bool) -> Result<(), TchError> {
        if on {
            self.module.f_set_train()
        } else {
            self.module.f_set_eval()
        }
    }

    /// Has the listed tensors refer to these values; nothing is copied.
    pub(super) fn show(&self, values: &[Tensor]) -> Result<(), TchError> {
        let mut slots = self.trained.iter().zip(values);
        slots.try_for_each(|(slot, value)| slot.shallow_clone().f_set_data(value))
    }

    pub(super) fn forward(&self, records: &Tensor) -> Result<Tensor, TchError> {
        self.module.forward_ts(&[records.f_reshape(&self.input_shape[..])?])
    }
}

fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What a module file holds, for whoever writes a definition.
pub(super) fn parameters(path: &Path) -> Result<Vec<(String, Tensor)>, ModuleError> {
    let module = CModule::load(path).map_err(|error| ModuleError::Load(first_line(&error)))?;
    let mut all = module.named_parameters()?;
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}
