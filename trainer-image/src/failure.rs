//! Everything that ends the process, and with which exit code.

use std::{io, path::PathBuf};

use aggregation::AggregationError;
use protocol::{definition::DefinitionError, job::ExitCode, model::ModelError, types::ModelHash};
use tch::TchError;

use crate::{
    base::BaseError, dataset::DataError, device::DeviceError, flock_sdk::ContainerError, gateway::GatewayError,
    input::InputError, network::ModuleError,
};

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("input: {0}")]
    Input(#[from] InputError),
    #[error("definition: {0}")]
    Definition(#[from] DefinitionError),
    #[error(
        "definition: this program derives genesis model {derived} from it, but the round starts from {expected}; \
         nothing can be computed for this task"
    )]
    Genesis { expected: ModelHash, derived: ModelHash },
    #[error(
        "definition: training diverges in its first step (a value that is not finite); the learning rate is too large"
    )]
    Diverged,
    #[error("definition: the TorchScript module does not fit: {0}")]
    Module(#[from] ModuleError),
    #[error("base model: {0}")]
    Base(#[from] BaseError),
    #[error("data: {0}")]
    Data(#[from] DataError),
    #[error("device: {0}")]
    Device(#[from] DeviceError),
    #[error("container: {0}")]
    Container(#[from] ContainerError),
    #[error("gateway: {0}")]
    Gateway(#[from] GatewayError),
    #[error("start model: {0}")]
    StartModel(ModelError),
    #[error("aggregation: {0}")]
    Aggregation(#[from] AggregationError),
    #[error("libtorch: {}", first_line(.0))]
    Torch(#[from] TchError),
    #[error("model: {0}")]
    Model(#[from] ModelError),
    #[error("stopped by SIGTERM after step {step}; {}", kept(*.here, *.gateway))]
    Stopped { step: u64, here: bool, gateway: bool },
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl Failure {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Definition(_) | Self::Genesis { .. } | Self::Diverged | Self::Module(_) => "definition",
            Self::Base(_) => "base-model",
            Self::Data(_) => "data",
            Self::Device(_) => "device",
            Self::Container(_) => "container",
            Self::Gateway(_) => "gateway",
            Self::StartModel(_) => "start-model",
            Self::Aggregation(_) => "aggregation",
            Self::Torch(_) => "torch",
            Self::Model(_) => "model",
            Self::Stopped { .. } => "stopped",
            Self::Io { .. } => "io",
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::Input,
            Self::Module(ModuleError::Torch(error)) if out_of_memory(error) => ExitCode::Memory,
            Self::Base(error) if error.is_passing() => ExitCode::Transient,
            Self::Base(_) | Self::Module(ModuleError::Base { .. }) => ExitCode::Data,
            Self::Definition(_) | Self::Genesis { .. } | Self::Diverged | Self::Module(_) => ExitCode::Definition,
            Self::Data(DataError::Memory { .. }) => ExitCode::Memory,
            Self::Data(_) => ExitCode::Data,
            Self::Device(_) => ExitCode::Device,
            Self::Container(error) => error.exit_code(),
            Self::Gateway(GatewayError::Refused { .. } | GatewayError::TooLarge { .. }) => ExitCode::Refused,
            Self::Gateway(GatewayError::Address(_) | GatewayError::Certificate(_)) => ExitCode::Input,
            Self::Torch(error) if out_of_memory(error) => ExitCode::Memory,
            Self::StartModel(ModelError::Io(_))
            | Self::Gateway(_)
            | Self::Aggregation(_)
            | Self::Torch(_)
            | Self::Model(_)
            | Self::Io { .. } => ExitCode::Transient,
            Self::StartModel(_) => ExitCode::Definition,
            Self::Stopped { .. } => ExitCode::Stopped,
        }
    }
}

/// Where what a stopped training goes on from is.
fn kept(here: bool, gateway: bool) -> &'static str {
    match (here, gateway) {
        (_, true) => "the gateway has what another pod goes on from",
        (true, false) => "the scratch volume has what this training goes on from",
        (false, false) => "nothing of it could be kept",
    }
}

/// libtorch has no type for this: its allocators say it in words.
fn out_of_memory(error: &TchError) -> bool {
    let text = error.to_string();
    [
        "not enough memory",
        "can't allocate memory",
        "out of memory",
        "std::bad_alloc",
    ]
    .iter()
    .any(|s| text.contains(s))
}

/// libtorch's messages carry a C++ stack trace.
fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libtorch_says_about_memory_is_understood() {
        let huge = tch::Tensor::f_zeros([1 << 45], (tch::Kind::Float, tch::Device::Cpu));
        let failure = Failure::from(huge.unwrap_err());
        assert_eq!(failure.exit_code(), ExitCode::Memory, "{failure}");
        assert_eq!(failure.to_string().lines().count(), 1);
    }

    #[test]
    fn a_refusal_is_final_and_an_unreachable_gateway_is_not() {
        let refused = GatewayError::Refused {
            status: 401,
            message: "TokenExpired".into(),
        };
        assert_eq!(Failure::from(refused).exit_code(), ExitCode::Refused);
        assert_eq!(
            Failure::from(GatewayError::Network("reset".into())).exit_code(),
            ExitCode::Transient
        );
    }
}
