//! Stochastic gradient descent with momentum and weight decay.

use protocol::definition::Sgd as Settings;
use tch::{Device, TchError, Tensor};

use crate::network::Network;

/// g = gradient + weightDecay * p; v = momentum * v + g; p = p - learningRate * v.
#[derive(Debug)]
pub struct Sgd {
    velocities: Vec<Tensor>,
    momentum: f64,
    weight_decay: Option<Tensor>,
    negative_rate: Tensor,
}

impl Sgd {
    pub fn new(settings: &Settings, network: &Network, device: Device) -> Result<Self, TchError> {
        let scalar = |x: f64| Tensor::f_from_slice(&[x as f32])?.f_to_device(device);
        let decay = settings.weight_decay.to_f64();
        let momentum = settings.momentum.to_f64();
        let velocities = if momentum > 0.0 {
            network
                .parameters()
                .iter()
                .map(Tensor::f_zeros_like)
                .collect::<Result<_, _>>()?
        } else {
            Vec::new()
        };
        Ok(Self {
            velocities,
            momentum,
            weight_decay: if decay > 0.0 { Some(scalar(decay)?) } else { None },
            negative_rate: scalar(-settings.learning_rate.to_f64())?,
        })
    }

    /// One step down the gradient of `loss`.
    pub fn step(&mut self, network: &mut Network, loss: &Tensor) -> Result<(), TchError> {
        let gradients = Tensor::f_run_backward(&[loss], network.parameters(), false, false)?;
        let _guard = tch::no_grad_guard();
        for (i, (parameter, mut gradient)) in network.parameters_mut().iter_mut().zip(gradients).enumerate() {
            if let Some(decay) = &self.weight_decay {
                let _ = gradient.f_addcmul_(parameter, decay)?;
            }
            let direction = match self.velocities.get_mut(i) {
                Some(velocity) => {
                    let _ = velocity.f_mul_scalar_(self.momentum)?.f_add_(&gradient)?;
                    velocity
                }
                None => &mut gradient,
            };
            let _ = parameter.f_addcmul_(direction, &self.negative_rate)?;
        }
        Ok(())
    }
}
