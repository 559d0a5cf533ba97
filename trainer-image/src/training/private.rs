//! Gradients that say little about any one record (Abadi et al. 2016): each record's is clipped, noise goes on the sum.

use protocol::definition::{Loss, Privacy};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::{examples::Examples, loss, network::Network, tensors};

/// Draws records and noise. Its randomness comes from a key that the operating system's gave and not from the
/// definition's seed: noise that others could compute would hide nothing. So a private training cannot be repeated bit
/// for bit, but one that has its key can go on after an interruption.
pub(super) struct Private<'a> {
    records: &'a [i64],
    clip: f64,
    noise: f64,
    /// Chance of a record to be in a step.
    pub(super) rate: f64,
    key: [u8; 32],
    /// Of the running step.
    random: StdRng,
}

impl<'a> Private<'a> {
    pub(super) fn new(settings: &Privacy, records: &'a [i64], batch: u32, key: [u8; 32]) -> Self {
        Self {
            records,
            clip: settings.clip_norm.to_f64(),
            noise: settings.noise_multiplier.to_f64(),
            rate: (f64::from(batch) / records.len() as f64).min(1.0),
            key,
            random: StdRng::from_seed(key),
        }
    }

    /// What a step draws depends on the step alone, so that one that is done again draws the same.
    fn seed(&mut self, step: u64) {
        let digest = Sha256::new()
            .chain_update(b"FLA_NOISE_V1")
            .chain_update(self.key)
            .chain_update(step.to_le_bytes())
            .finalize();
        self.random = StdRng::from_seed(digest.into());
    }

    /// One step's records: each is in it or not by itself, which is what the accountant counts on.
    fn sample(&mut self) -> Vec<i64> {
        let records = self.records.iter().copied();
        records.filter(|_| self.random.random::<f64>() < self.rate).collect()
    }

    /// The noisy mean gradient of one step, the mean loss of its records and how many they are.
    pub(super) fn step(
        &mut self,
        number: u64,
        network: &Network,
        examples: &Examples,
        kind: Loss,
        device: Device,
    ) -> Result<(Vec<Tensor>, f64, i64), TchError> {
        self.seed(number);
        let sampled = self.sample();
        let mut sums: Vec<Tensor> = Vec::new();
        for parameter in network.parameters() {
            sums.push(parameter.f_detach()?.f_zeros_like()?);
        }
        let mut total = 0.0;
        if !sampled.is_empty() {
            let (features, labels) = examples.batch(&examples.order(&sampled)?)?;
            for i in 0..sampled.len() as i64 {
                let outputs = network.forward(&features.f_narrow(0, i, 1)?)?;
                let loss = loss::compute(kind, &outputs, &labels.f_narrow(0, i, 1)?, Reduction::Mean)?;
                total += loss.f_double_value(&[])?;
                let gradients = Tensor::f_run_backward(&[&loss], network.parameters(), false, false)?;
                self.add_clipped(&mut sums, &gradients)?;
            }
        }
        let _guard = tch::no_grad_guard();
        let expected = self.rate * self.records.len() as f64;
        for sum in &mut sums {
            for [mut sum] in tensors::rows([&*sum])? {
                let noise = self.gaussian(sum.numel());
                let noise = Tensor::f_from_slice(&noise)?
                    .f_reshape(sum.size())?
                    .f_to_device(device)?;
                let _ = sum.f_add_(&noise)?.f_div_scalar_(expected)?;
            }
        }
        let count = sampled.len() as i64;
        Ok((sums, total / count.max(1) as f64, count))
    }

    fn add_clipped(&self, sums: &mut [Tensor], gradients: &[Tensor]) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        let mut squares = 0.0;
        for gradient in gradients {
            squares += gradient.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        }
        let norm = squares.sqrt();
        // A gradient that is no number must not reach the sum: its norm could not be bounded.
        if !norm.is_finite() {
            return Ok(());
        }
        let factor = (self.clip / norm.max(1e-12)).min(1.0);
        for (sum, gradient) in sums.iter_mut().zip(gradients) {
            let _ = sum.f_add_(&gradient.f_mul_scalar(factor)?)?;
        }
        Ok(())
    }

    /// Normal numbers with the noise's standard deviation (Box and Muller).
    fn gaussian(&mut self, count: usize) -> Vec<f32> {
        let deviation = self.noise * self.clip;
        let mut numbers = Vec::with_capacity(count + 1);
        while numbers.len() < count {
            let radius = (-2.0 * (1.0 - self.random.random::<f64>()).ln()).sqrt() * deviation;
            let angle = std::f64::consts::TAU * self.random.random::<f64>();
            numbers.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
        }
        numbers.truncate(count);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(records: &[i64], batch: u32) -> Private<'_> {
        let settings: Privacy =
            serde_json::from_str(r#"{"clipNorm":"2","noiseMultiplier":"1.5","delta":"0.00001"}"#).unwrap();
        Private::new(&settings, records, batch, [7; 32])
    }

    #[test]
    fn noise_has_the_deviation_of_multiplier_times_clipping_norm() {
        let numbers = private(&[1], 1).gaussian(200_001);
        assert_eq!(numbers.len(), 200_001);
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / 200_001.0;
        let variance = numbers.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 200_001.0;
        assert!(
            mean.abs() < 0.05 && (variance.sqrt() - 3.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }

    #[test]
    fn every_record_is_in_a_step_with_the_same_chance() {
        let records: Vec<i64> = (0..20_000).collect();
        let mut private = private(&records, 2000);
        let first = private.sample();
        assert!((1750..2250).contains(&first.len()), "{}", first.len());
        assert_ne!(private.sample(), first);
        private.seed(3);
        let third = private.sample();
        private.seed(4);
        assert_ne!(private.sample(), third);
        private.seed(3);
        assert_eq!(private.sample(), third);
        let few = [1, 2, 3];
        assert_eq!(self::private(&few, 64).rate, 1.0);
    }

    #[test]
    fn one_records_gradient_is_clipped_over_all_tensors_together() {
        let private = private(&[1], 1);
        let mut sums = vec![Tensor::from_slice(&[0f32, 0.0]), Tensor::from_slice(&[0f32])];
        let gradients = [Tensor::from_slice(&[3f32, 0.0]), Tensor::from_slice(&[4f32])];
        private.add_clipped(&mut sums, &gradients).unwrap();
        private
            .add_clipped(
                &mut sums,
                &[Tensor::from_slice(&[f32::NAN, 0.0]), Tensor::from_slice(&[0f32])],
            )
            .unwrap();
        let sum = [sums[0].double_value(&[0]), sums[1].double_value(&[0])];
        assert!((sum[0] - 1.2).abs() < 1e-6 && (sum[1] - 1.6).abs() < 1e-6, "{sum:?}");
    }
}
