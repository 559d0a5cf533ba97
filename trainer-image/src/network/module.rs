//! Networks that somebody exported as TorchScript.

use std::{collections::BTreeMap, fs::File, path::Path};

use aggregation::{ReadAt, read_header};
use protocol::architecture::{TensorSpec, TorchScript};
use tch::{CModule, Device, Kind, TchError, Tensor};

use super::{ModuleError, ModuleFiles};
use crate::tensors;

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
        files: ModuleFiles<'_>,
        script: &TorchScript,
        specs: &[TensorSpec],
        device: Device,
    ) -> Result<(Self, Vec<Tensor>), ModuleError> {
        let prefix = script.base_model.as_ref().and_then(|base| base.prefix.as_deref());
        let (module, all) = open(files, prefix.unwrap_or_default(), device)?;
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
        shape.extend(script.input_shape.iter().map(|&d| i64::from(d)));
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

/// A module in evaluation mode and all of its parameters by name, those of its base model in their places.
pub(super) fn open(
    files: ModuleFiles<'_>,
    prefix: &str,
    device: Device,
) -> Result<(CModule, BTreeMap<String, Tensor>), ModuleError> {
    // Otherwise the first runs of a process are computed by another graph than the later ones, which makes other last
    // bits: a training that goes on in another process would not be the same.
    tch::jit::f_set_profiling_mode(false)?;
    let mut module =
        CModule::load_on_device(files.file, device).map_err(|error| ModuleError::Load(first_line(&error)))?;
    module.f_set_eval()?;
    let all: BTreeMap<String, Tensor> = module.named_parameters()?.into_iter().collect();
    if let Some(base) = files.base {
        let _guard = tch::no_grad_guard();
        for path in base.weights() {
            fill(&all, path, prefix, device)?;
        }
    }
    match all.iter().find(|(_, tensor)| is_hollow(tensor)) {
        Some((name, _)) => Err(ModuleError::Hollow(name.clone())),
        None => Ok((module, all)),
    }
}

/// One number shown many times: a parameter that takes no room in the file and stands for one elsewhere.
fn is_hollow(tensor: &Tensor) -> bool {
    let shown = tensor.size().into_iter().zip(tensor.stride());
    shown.into_iter().any(|(length, stride)| length > 1 && stride == 0)
}

/// Points hollow parameters at the tensors of a safetensors file that are named so, converted to the module's types. A
/// parameter of one number cannot be seen to be hollow, and is taken from the base model whenever that has it.
fn fill(all: &BTreeMap<String, Tensor>, path: &Path, prefix: &str, device: Device) -> Result<(), ModuleError> {
    let wrong = |problem: String| ModuleError::Base {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let header = read_header(&file).map_err(|error| wrong(error.to_string()))?;
    let mut buffer = Vec::new();
    for entry in header.tensors() {
        let name = format!("{prefix}{}", entry.spec.name);
        let Some(parameter) = all.get(&name) else { continue };
        if !is_hollow(parameter) && parameter.numel() > 1 {
            continue;
        }
        let shape: Vec<i64> = entry.spec.shape.iter().map(|&d| d as i64).collect();
        if parameter.size() != shape {
            return Err(wrong(format!(
                "{name:?} is {shape:?}, the module's is {:?}",
                parameter.size()
            )));
        }
        let values = Tensor::f_empty(&shape[..], (parameter.kind(), device))?;
        let mut position = header.header_len() + entry.start;
        tensors::fill(&values, tensors::kind(entry.spec.dtype), &mut buffer, |piece| {
            ReadAt::read_exact_at(&file, piece, position).map_err(|error| wrong(error.to_string()))?;
            position += piece.len() as u64;
            Ok::<_, ModuleError>(())
        })?;
        parameter.shallow_clone().f_set_data(&values)?;
    }
    Ok(())
}
