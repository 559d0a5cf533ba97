//! The definition's networks as tensors.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    rc::Rc,
};

use aggregation::{ReadAt, read_header};
use protocol::{
    architecture::{Architecture, TensorSpec},
    definition::{Definition, Precision},
    model::{Layout, Metadata, ModelError, ModelWriter},
    types::ModelHash,
};
use tch::{CModule, Device, Kind, TchError, Tensor};

use crate::{base::Base, failure::Failure, tensors};

mod forward;
mod module;

use module::Module;

/// Why a TorchScript file is not what the definition says.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error("it cannot be loaded: {0}")]
    Load(String),
    #[error("it has no parameter {0:?}")]
    Missing(String),
    #[error("its parameter {name:?} is {found}, the definition says {expected}")]
    Tensor {
        name: String,
        found: String,
        expected: String,
    },
    #[error("its parameter {0:?} is to come from a base model, and is not in one")]
    Hollow(String),
    #[error("its base model's {}: {problem}", .path.display())]
    Base { path: PathBuf, problem: String },
    #[error("its listed parameters make model {found}, the definition's initialModel is {expected}")]
    Initial { expected: ModelHash, found: ModelHash },
    #[error("forward gives {found} for {records} records, the definition says {outputs} outputs each")]
    Outputs { found: String, records: i64, outputs: u32 },
    #[error(
        "what it gives changes when nothing but forward is run in training mode: it keeps state beside its parameters \
         (batch normalisation?), which would not travel; use group or layer normalisation"
    )]
    State,
    #[error("{}", .0.to_string().lines().next().unwrap_or_default())]
    Torch(#[from] TchError),
}

/// Where a network that is a module comes from.
#[derive(Debug, Clone, Copy)]
pub struct ModuleFiles<'a> {
    pub file: &'a Path,
    /// Frozen weights that are not in the file.
    pub base: Option<&'a Base>,
}

/// A network with its parameters, in the order of [`Architecture::tensors`].
#[derive(Debug)]
pub struct Network {
    architecture: Architecture,
    specs: Vec<TensorSpec>,
    parameters: Vec<Tensor>,
    module: Option<Rc<Module>>,
    /// The module is another network's too: it is given these parameters before it is run.
    shared: bool,
    /// Of forward and backward in training.
    training_kind: Kind,
    training: bool,
}

impl Network {
    /// Reads a model file, a piece at a time. Its tensors must be the architecture's; metadata is not looked at.
    /// `module`: the file of an architecture that has one.
    pub fn load(
        definition: &Definition,
        path: &Path,
        module: Option<ModuleFiles<'_>>,
        device: Device,
    ) -> Result<Self, Failure> {
        let file = std::fs::File::open(path).map_err(|error| Failure::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::empty(definition, module, device)?.filled(file, path, device)
    }

    /// Another model of the same network. A module is not loaded twice: of an adapter's large one there is no room for
    /// two. Neither may be trained then.
    pub fn load_beside(&mut self, path: &Path, device: Device) -> Result<Self, Failure> {
        let file = std::fs::File::open(path).map_err(|error| Failure::Io {
            path: path.to_owned(),
            error,
        })?;
        self.shared = self.module.is_some();
        let mut parameters = Vec::new();
        if self.shared {
            // From now on the module's own tensors show one network's values or the other's.
            for parameter in &mut self.parameters {
                *parameter = parameter.f_detach()?;
                parameters.push(parameter.f_empty_like()?);
            }
        }
        let other = Self {
            architecture: self.architecture.clone(),
            specs: self.specs.clone(),
            parameters,
            module: self.module.clone(),
            shared: self.shared,
            ..*self
        };
        other.filled(file, path, device)
    }

    fn filled(mut self, file: std::fs::File, path: &Path, device: Device) -> Result<Self, Failure> {
        let network = &mut self;
        let header = read_header(&file).map_err(Failure::StartModel)?;
        header
            .require(&network.specs, header.metadata())
            .map_err(Failure::StartModel)?;
        let mut buffer = Vec::new();
        for (i, spec) in network.specs.iter().enumerate() {
            let missing = || Failure::StartModel(ModelError::Missing(spec.name.clone()));
            let entry = header.tensor(&spec.name).ok_or_else(missing)?;
            if network.parameters.len() == i {
                let shape: Vec<i64> = spec.shape.iter().map(|&d| d as i64).collect();
                let parameter = Tensor::f_empty(&shape[..], (Kind::Float, device))?;
                network.parameters.push(parameter.f_set_requires_grad(true)?);
            }
            let mut position = header.header_len() + entry.start;
            tensors::fill(
                &network.parameters[i],
                tensors::kind(spec.dtype),
                &mut buffer,
                |piece| {
                    ReadAt::read_exact_at(&file, piece, position).map_err(|error| Failure::Io {
                        path: path.to_owned(),
                        error,
                    })?;
                    position += piece.len() as u64;
                    Ok::<_, Failure>(())
                },
            )?;
        }
        Ok(self)
    }

    /// Without parameters, or with those of the module's file.
    fn empty(definition: &Definition, module: Option<ModuleFiles<'_>>, device: Device) -> Result<Self, Failure> {
        let architecture = definition.architecture.clone();
        let specs = definition.tensors();
        let (module, parameters) = match (&architecture, module) {
            (Architecture::Torchscript(script), Some(files)) => {
                let (module, parameters) = Module::load(files, script, &specs, device)?;
                (Some(Rc::new(module)), parameters)
            }
            (Architecture::Torchscript(script), None) => {
                return Err(ModuleError::Load(format!("file {} is not at hand", script.module)).into());
            }
            _ => (None, Vec::with_capacity(specs.len())),
        };
        Ok(Self {
            training_kind: match definition.training.precision {
                Some(Precision::Bf16) => Kind::BFloat16,
                None => Kind::Float,
            },
            architecture,
            specs,
            parameters,
            module,
            shared: false,
            training: false,
        })
    }

    /// Writes the genesis model of a module: the listed parameters as the file has them.
    pub fn write_initial(
        definition: &Definition,
        module: ModuleFiles<'_>,
        out: impl Write,
    ) -> Result<ModelHash, Failure> {
        Self::empty(definition, Some(module), Device::Cpu)?.save(&Metadata::none(), out)
    }

    /// A module, and all of its parameters by name.
    pub fn open_module(files: ModuleFiles<'_>, prefix: &str) -> Result<(CModule, BTreeMap<String, Tensor>), Failure> {
        Ok(module::open(files, prefix, Device::Cpu)?)
    }

    /// Writes a canonical model file and returns its name.
    pub fn save(&self, metadata: &Metadata, out: impl Write) -> Result<ModelHash, Failure> {
        write_model(&self.specs, &self.parameters, metadata, out)
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

    /// In training, precision is the definition's and a module is in its training mode (dropout).
    pub fn set_training(&mut self, on: bool) -> Result<(), TchError> {
        self.training = on;
        match &mut self.module {
            Some(module) => match Rc::get_mut(module) {
                Some(module) => module.set_training(on),
                None => Err(TchError::Kind("a module of two networks is not trained".into())),
            },
            None => Ok(()),
        }
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

    /// Whether no parameter is NaN or infinite, nor would be in a model file.
    pub fn is_finite(&self) -> Result<bool, TchError> {
        for (parameter, spec) in self.parameters.iter().zip(&self.specs) {
            if !tensors::is_finite(parameter, tensors::kind(spec.dtype))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Outputs [records, outputs] of records [records, inputs].
    pub fn forward(&self, records: &Tensor) -> Result<Tensor, TchError> {
        match &self.module {
            Some(module) => {
                if self.shared {
                    module.show(&self.parameters)?;
                }
                module.forward(records)
            }
            None => {
                let kind = if self.training { self.training_kind } else { Kind::Float };
                forward::forward(&self.architecture, &self.parameters, records, kind)
            }
        }
    }

    /// What only a run can show of a module: that its outputs have the right shape, and that it keeps no state beside
    /// its parameters.
    pub fn check_module(&mut self, records: &Tensor) -> Result<(), Failure> {
        if self.module.is_none() {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        let before = self.forward(records).map_err(ModuleError::Torch)?;
        let (count, outputs) = (records.size()[0], self.architecture.outputs());
        if before.size() != [count, i64::from(outputs)] || before.kind() != Kind::Float {
            return Err(ModuleError::Outputs {
                found: format!("{:?} of {:?}", before.size(), before.kind()),
                records: count,
                outputs,
            }
            .into());
        }
        self.set_training(true)?;
        let _ = self.forward(records).map_err(ModuleError::Torch)?;
        self.set_training(false)?;
        let after = self.forward(records).map_err(ModuleError::Torch)?;
        if before.f_equal(&after)? {
            Ok(())
        } else {
            Err(ModuleError::State.into())
        }
    }
}

/// Writes tensors in the canonical form of a model file.
pub fn write_model(
    specs: &[TensorSpec],
    parameters: &[Tensor],
    metadata: &Metadata,
    out: impl Write,
) -> Result<ModelHash, Failure> {
    let layout = Layout::new(specs, metadata)?;
    let mut writer = ModelWriter::new(&layout, out)?;
    let mut buffer = Vec::new();
    for entry in layout.tensors() {
        let position = specs.iter().position(|spec| spec.name == entry.spec.name);
        let missing = || ModelError::Missing(entry.spec.name.clone());
        let parameter = parameters.get(position.ok_or_else(missing)?).ok_or_else(missing)?;
        tensors::read(parameter, tensors::kind(entry.spec.dtype), &mut buffer, |piece| {
            writer.write_bytes(piece).map_err(Failure::from)
        })?;
    }
    Ok(writer.finish()?)
}
