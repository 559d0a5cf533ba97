//! The data set on the device: bytes there, floats only a batch at a time.

use protocol::definition::Preprocessing;
use tch::{Device, Kind, TchError, Tensor};

use crate::dataset::Dataset;

/// Records on the device.
#[derive(Debug)]
pub struct Examples {
    /// [records, inputs], bytes.
    images: Tensor,
    /// [records], 64-bit.
    labels: Tensor,
    scale: f64,
    shift: f64,
    device: Device,
}

impl Examples {
    pub fn new(dataset: &Dataset, preprocessing: &Preprocessing, device: Device) -> Result<Self, TchError> {
        let shape = [dataset.labels.len() as i64, dataset.inputs as i64];
        let images = Tensor::f_from_data_size(&dataset.images, &shape, Kind::Uint8)?.f_to_device(device)?;
        let labels = Tensor::f_from_slice(&dataset.labels)?
            .f_to_kind(Kind::Int64)?
            .f_to_device(device)?;
        // (pixel / 255 - mean) / std, as one multiplication and one addition.
        let std = preprocessing.std.to_f64();
        let (scale, shift) = (1.0 / (255.0 * std), -preprocessing.mean.to_f64() / std);
        Ok(Self {
            images,
            labels,
            scale,
            shift,
            device,
        })
    }

    /// Numbers of records, on the device.
    pub fn order(&self, records: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(records)?.f_to_device(self.device)
    }

    /// Normalised images [records, inputs] and labels [records].
    pub fn batch(&self, records: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let mut images = self.images.f_index_select(0, records)?.f_to_kind(Kind::Float)?;
        let images = images.f_mul_scalar_(self.scale)?.f_add_scalar_(self.shift)?;
        Ok((images, self.labels.f_index_select(0, records)?))
    }
}
