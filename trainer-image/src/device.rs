//! Where tensors live.

use protocol::job;
use tch::{Cuda, Device};

use crate::{cuda, threads};

#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("a GPU is asked for, but libtorch's CUDA library cannot be loaded ({0}); use the GPU image")]
    Library(String),
    #[error(
        "a GPU is asked for, but CUDA finds none; does the pod request one (resources.limits) and has the node a driver?"
    )]
    NoGpu,
}

impl DeviceError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Library(_) => "library",
            Self::NoGpu => "no-gpu",
        }
    }
}

/// The device for what the input asks; `auto` takes the first GPU if there is one.
pub fn select(wanted: job::Device) -> Result<Device, DeviceError> {
    match wanted {
        job::Device::Cpu => Ok(Device::Cpu),
        job::Device::Cuda => gpu(),
        job::Device::Auto => Ok(gpu().unwrap_or(Device::Cpu)),
    }
}

fn gpu() -> Result<Device, DeviceError> {
    cuda::load().map_err(DeviceError::Library)?;
    if Cuda::is_available() {
        Ok(Device::Cuda(0))
    } else {
        Err(DeviceError::NoGpu)
    }
}

/// A line per kind of device for a person: how many there are, or why there is none.
pub fn found() -> String {
    let gpus = match gpu() {
        Ok(_) => format!("cuda: {} (the first one is used)", Cuda::device_count()),
        Err(error) => format!("cuda: none ({}: {error})", error.category()),
    };
    format!("cpu: {}\n{gpus}", threads::available())
}

/// As results name it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}
