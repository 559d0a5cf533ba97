//! From gradients to new parameters: SGD, Adam, AdamW, as PyTorch defines them.

use protocol::definition::{Adam, Optimizer as Settings, Sgd, Training};
use tch::{Device, Kind, TchError, Tensor};

use crate::{network::Network, tensors};

/// An optimizer with its state, which lives for one round's training.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    clip_norm: Option<f64>,
    device: Device,
}

#[derive(Debug)]
enum Rule {
    Sgd(SgdState),
    Adam(AdamState),
}

#[derive(Debug)]
struct SgdState {
    velocities: Vec<Tensor>,
    momentum: f64,
    nesterov: Option<Tensor>,
    weight_decay: Option<Tensor>,
    /// The rate, and its negative as a tensor: one multiply-add for step and scale.
    rate: (f64, Tensor),
}

#[derive(Debug)]
struct AdamState {
    means: Vec<Tensor>,
    squares: Vec<Tensor>,
    betas: (f64, f64),
    epsilon: f64,
    weight_decay: f64,
    /// Shrink the weights instead of adding to the gradient.
    decoupled: bool,
    steps: i32,
}

impl Optimizer {
    pub fn new(training: &Training, network: &Network, device: Device) -> Result<Self, TchError> {
        let rule = match &training.optimizer {
            Settings::Sgd(settings) => Rule::Sgd(SgdState::new(settings, network, device)?),
            Settings::Adam(settings) => Rule::Adam(AdamState::new(settings, network, false)?),
            Settings::AdamW(settings) => Rule::Adam(AdamState::new(settings, network, true)?),
        };
        Ok(Self {
            rule,
            clip_norm: training.clip_norm.as_ref().map(|norm| norm.to_f64()),
            device,
        })
    }

    /// One step down the gradient of `loss`.
    pub fn step(&mut self, network: &mut Network, loss: &Tensor, rate: f64) -> Result<(), TchError> {
        let mut gradients = Tensor::f_run_backward(&[loss], network.parameters(), false, false)?;
        let _guard = tch::no_grad_guard();
        if let Some(limit) = self.clip_norm {
            clip(&mut gradients, limit)?;
        }
        self.apply(network, gradients, rate)
    }

    /// One step along gradients that are there already.
    pub fn apply(&mut self, network: &mut Network, gradients: Vec<Tensor>, rate: f64) -> Result<(), TchError> {
        let _guard = tch::no_grad_guard();
        match &mut self.rule {
            Rule::Sgd(sgd) => sgd.apply(network, gradients, rate, self.device),
            Rule::Adam(adam) => adam.apply(network, gradients, rate),
        }
    }
}

impl Optimizer {
    /// What it has gathered so far, in a fixed order.
    pub fn state(&self) -> Vec<&Tensor> {
        match &self.rule {
            Rule::Sgd(sgd) => sgd.velocities.iter().collect(),
            Rule::Adam(adam) => adam.means.iter().chain(&adam.squares).collect(),
        }
    }

    /// Steps that have a say in the next one.
    pub fn steps(&self) -> i32 {
        match &self.rule {
            Rule::Sgd(_) => 0,
            Rule::Adam(adam) => adam.steps,
        }
    }

    pub fn set_steps(&mut self, steps: i32) {
        if let Rule::Adam(adam) = &mut self.rule {
            adam.steps = steps;
        }
    }
}

/// Scales all gradients so that their common norm is at most `limit`; without asking the device for a number.
fn clip(gradients: &mut [Tensor], limit: f64) -> Result<(), TchError> {
    let mut total: Option<Tensor> = None;
    for gradient in gradients.iter() {
        for [gradient] in tensors::rows([gradient])? {
            let square = gradient.f_square()?.f_sum(Kind::Float)?;
            total = Some(match total {
                Some(total) => total.f_add(&square)?,
                None => square,
            });
        }
    }
    let Some(total) = total else { return Ok(()) };
    let factor = total
        .f_sqrt()?
        .f_add_scalar(1e-6)?
        .f_reciprocal()?
        .f_mul_scalar(limit)?
        .f_clamp_max(1.0)?;
    for gradient in gradients {
        let _ = gradient.f_mul_(&factor)?;
    }
    Ok(())
}

fn zeros(network: &Network) -> Result<Vec<Tensor>, TchError> {
    network
        .parameters()
        .iter()
        .map(|p| p.f_detach()?.f_zeros_like())
        .collect()
}

fn scalar(x: f64, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(&[x as f32])?.f_to_device(device)
}

impl SgdState {
    fn new(settings: &Sgd, network: &Network, device: Device) -> Result<Self, TchError> {
        let decay = settings.weight_decay.to_f64();
        let momentum = settings.momentum.to_f64();
        let rate = settings.learning_rate.to_f64();
        Ok(Self {
            velocities: if momentum > 0.0 { zeros(network)? } else { Vec::new() },
            momentum,
            nesterov: if settings.nesterov {
                Some(scalar(momentum, device)?)
            } else {
                None
            },
            weight_decay: if decay > 0.0 {
                Some(scalar(decay, device)?)
            } else {
                None
            },
            rate: (rate, scalar(-rate, device)?),
        })
    }

    /// g = gradient + weightDecay * p; v = momentum * v + g; p = p - rate * v, or with Nesterov's momentum
    /// p = p - rate * (g + momentum * v).
    fn apply(
        &mut self,
        network: &mut Network,
        gradients: Vec<Tensor>,
        rate: f64,
        device: Device,
    ) -> Result<(), TchError> {
        if rate != self.rate.0 {
            self.rate = (rate, scalar(-rate, device)?);
        }
        for (i, (parameter, mut gradient)) in network.parameters_mut().iter_mut().zip(gradients).enumerate() {
            if let Some(decay) = &self.weight_decay {
                let _ = gradient.f_addcmul_(parameter, decay)?;
            }
            let direction = match (self.velocities.get_mut(i), &self.nesterov) {
                (Some(velocity), nesterov) => {
                    let _ = velocity.f_mul_scalar_(self.momentum)?.f_add_(&gradient)?;
                    match nesterov {
                        Some(momentum) => {
                            let _ = gradient.f_addcmul_(velocity, momentum)?;
                            &gradient
                        }
                        None => velocity,
                    }
                }
                (None, _) => &gradient,
            };
            let _ = parameter.f_addcmul_(direction, &self.rate.1)?;
        }
        Ok(())
    }
}

impl AdamState {
    fn new(settings: &Adam, network: &Network, decoupled: bool) -> Result<Self, TchError> {
        Ok(Self {
            means: zeros(network)?,
            squares: zeros(network)?,
            betas: (settings.beta1.to_f64(), settings.beta2.to_f64()),
            epsilon: settings.epsilon.to_f64(),
            weight_decay: settings.weight_decay.to_f64(),
            decoupled,
            steps: 0,
        })
    }

    fn apply(&mut self, network: &mut Network, gradients: Vec<Tensor>, rate: f64) -> Result<(), TchError> {
        self.steps = self.steps.saturating_add(1);
        let (beta1, beta2) = self.betas;
        let (first, second) = (1.0 - beta1.powi(self.steps), 1.0 - beta2.powi(self.steps));
        let state = self.means.iter().zip(&self.squares);
        for ((parameter, gradient), (mean, square)) in network.parameters().iter().zip(gradients).zip(state) {
            for [mut parameter, mut gradient, mut mean, mut square] in
                tensors::rows([parameter, &gradient, mean, square])?
            {
                self.update(
                    &mut parameter,
                    &mut gradient,
                    &mut mean,
                    &mut square,
                    rate,
                    [first, second],
                )?;
            }
        }
        Ok(())
    }

    fn update(
        &self,
        parameter: &mut Tensor,
        gradient: &mut Tensor,
        mean: &mut Tensor,
        square: &mut Tensor,
        rate: f64,
        [first, second]: [f64; 2],
    ) -> Result<(), TchError> {
        let (beta1, beta2) = self.betas;
        if self.weight_decay > 0.0 {
            if self.decoupled {
                let _ = parameter.f_mul_scalar_(1.0 - rate * self.weight_decay)?;
            } else {
                let _ = gradient.f_add_(&parameter.f_mul_scalar(self.weight_decay)?)?;
            }
        }
        let _ = mean.f_lerp_(gradient, 1.0 - beta1)?;
        let squared = gradient.f_square()?.f_mul_scalar_(1.0 - beta2)?;
        let _ = square.f_mul_scalar_(beta2)?.f_add_(&squared)?;
        let scale = square
            .f_sqrt()?
            .f_div_scalar_(second.sqrt())?
            .f_add_scalar_(self.epsilon)?;
        let _ = parameter.f_add_(&mean.f_div(&scale)?.f_mul_scalar_(-rate / first)?)?;
        Ok(())
    }
}
