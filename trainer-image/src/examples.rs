//! The data set on the device: pixels stay bytes there and become floats a batch at a time.

use protocol::{
    definition::{Data, Definition},
    types::B256,
};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, TchError, Tensor};

use crate::{
    dataset::{Dataset, Features, Labels},
    tensors,
};

/// Records on the device.
#[derive(Debug)]
pub struct Examples {
    /// [records, inputs], bytes or floats.
    features: Tensor,
    /// [records]: classes as 64-bit integers, or floats.
    labels: Tensor,
    /// Of pixels: multiplied and added.
    scale: Option<(f64, f64)>,
    /// What one unit of a label that is a number stands for.
    label_unit: f64,
    device: Device,
}

impl Examples {
    pub fn new(dataset: &Dataset, definition: &Definition, device: Device) -> Result<Self, TchError> {
        let shape = [dataset.labels.len() as i64, dataset.inputs as i64];
        let features = match &dataset.features {
            Features::Pixels(pixels) => Tensor::f_from_data_size(pixels, &shape, Kind::Uint8)?,
            Features::Numbers(numbers) => Tensor::f_from_slice(numbers)?.f_reshape(shape)?,
        };
        let labels = match &dataset.labels {
            Labels::Classes(labels) => Tensor::f_from_slice(labels)?,
            Labels::Numbers(labels) => Tensor::f_from_slice(labels)?,
        };
        // (pixel / 255 - mean) / std, as one multiplication and one addition.
        let scale = definition.preprocessing.as_ref().map(|preprocessing| {
            let std = preprocessing.std.to_f64();
            (1.0 / (255.0 * std), -preprocessing.mean.to_f64() / std)
        });
        Ok(Self {
            features: features.f_to_device(device)?,
            labels: labels.f_to_device(device)?,
            scale,
            label_unit: definition.data.as_ref().map_or(1.0, |data| Data::label_scale(data).1),
            device,
        })
    }

    /// Numbers of records, on the device.
    pub fn order(&self, records: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(records)?.f_to_device(self.device)
    }

    /// Inputs [records, inputs] as the network takes them, and labels [records].
    pub fn batch(&self, records: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let mut features = self.features.f_index_select(0, records)?;
        if let Some((scale, shift)) = self.scale {
            features = features
                .f_to_kind(Kind::Float)?
                .f_mul_scalar_(scale)?
                .f_add_scalar_(shift)?;
        }
        Ok((features, self.labels.f_index_select(0, records)?))
    }

    /// SHA-256 over inputs, labels and the numbers of the records to train on.
    pub fn fingerprint(&self, train: &[i64]) -> Result<B256, TchError> {
        let mut digest = Sha256::new();
        let mut buffer = Vec::new();
        for part in [&self.features, &self.labels, &Tensor::f_from_slice(train)?] {
            digest.update((part.numel() as u64).to_le_bytes());
            tensors::read(part, part.kind(), &mut buffer, |piece| {
                digest.update(piece);
                Ok::<_, TchError>(())
            })?;
        }
        Ok(B256::from(<[u8; 32]>::from(digest.finalize())))
    }

    pub fn label_unit(&self) -> f64 {
        self.label_unit
    }
}
