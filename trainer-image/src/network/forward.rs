//! The catalogue's networks as sequences of tensor operations.

use protocol::architecture::{Architecture, Cnn, Resnet};
use tch::{Kind, TchError, Tensor};

/// Outputs [records, outputs] of records [records, inputs], computed in `kind`. Parameters come in the order of
/// [`Architecture::tensors`].
pub(super) fn forward(
    architecture: &Architecture,
    parameters: &[Tensor],
    records: &Tensor,
    kind: Kind,
) -> Result<Tensor, TchError> {
    if kind == Kind::Float {
        return run(architecture, parameters, records);
    }
    // Gradients come back through the casts in 32 bits.
    let parameters: Vec<Tensor> = parameters.iter().map(|p| p.f_to_kind(kind)).collect::<Result<_, _>>()?;
    run(architecture, &parameters, &records.f_to_kind(kind)?)?.f_to_kind(Kind::Float)
}

fn run(architecture: &Architecture, parameters: &[Tensor], records: &Tensor) -> Result<Tensor, TchError> {
    match architecture {
        Architecture::Mlp(_) | Architecture::Logistic(_) => fully_connected(parameters, records),
        Architecture::Cnn(cnn) => convolutional(cnn, parameters, records),
        Architecture::Resnet(resnet) => residual(resnet, parameters, records),
        Architecture::Torchscript(_) => Err(TchError::Kind("a module runs itself".into())),
    }
}

fn fully_connected(parameters: &[Tensor], records: &Tensor) -> Result<Tensor, TchError> {
    let mut x = records.shallow_clone();
    let layers = parameters.chunks_exact(2);
    let last = layers.len().saturating_sub(1);
    for (i, layer) in layers.enumerate() {
        x = x.f_linear(&layer[0], Some(&layer[1]))?;
        if i < last {
            x = x.f_relu()?;
        }
    }
    Ok(x)
}

fn convolutional(cnn: &Cnn, parameters: &[Tensor], records: &Tensor) -> Result<Tensor, TchError> {
    let mut x = records.f_reshape([-1, cnn.channels.into(), cnn.height.into(), cnn.width.into()])?;
    let (filters, rest) = parameters.split_at(2 * cnn.filters.len());
    for layer in filters.chunks_exact(2) {
        x = x.f_conv2d(&layer[0], Some(&layer[1]), [1, 1], [1, 1], [1, 1], 1)?;
        x = x.f_relu()?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
    }
    x = x.f_flatten(1, -1)?;
    x = x.f_linear(&rest[0], Some(&rest[1]))?.f_relu()?;
    x.f_linear(&rest[2], Some(&rest[3]))
}

/// Parameters in their order; the definition's check and the loader make sure that there are as many as are taken.
struct Layers<'a> {
    parameters: &'a [Tensor],
    groups: i64,
}

impl<'a> Layers<'a> {
    fn take(&mut self, count: usize) -> &'a [Tensor] {
        let (taken, rest) = self.parameters.split_at(count);
        self.parameters = rest;
        taken
    }

    /// A convolution without bias and its norm.
    fn normed(&mut self, x: &Tensor, stride: i64, padding: i64) -> Result<Tensor, TchError> {
        const EPSILON: f64 = 1e-5;
        let layer = self.take(3);
        x.f_conv2d(
            &layer[0],
            None::<&Tensor>,
            [stride, stride],
            [padding, padding],
            [1, 1],
            1,
        )?
        .f_group_norm(self.groups, Some(&layer[1]), Some(&layer[2]), EPSILON, true)
    }
}

fn residual(resnet: &Resnet, parameters: &[Tensor], records: &Tensor) -> Result<Tensor, TchError> {
    let mut layers = Layers {
        parameters,
        groups: resnet.groups.into(),
    };
    let mut x = records.f_reshape([-1, resnet.channels.into(), resnet.height.into(), resnet.width.into()])?;
    x = layers.normed(&x, 1, 1)?.f_relu()?;
    for block in resnet.blocks() {
        let stride = i64::from(block.stride);
        let inner = layers.normed(&x, stride, 1)?.f_relu()?;
        let inner = layers.normed(&inner, 1, 1)?;
        let skipped = if block.has_shortcut() {
            layers.normed(&x, stride, 0)?
        } else {
            x
        };
        x = inner.f_add(&skipped)?.f_relu()?;
    }
    let output = layers.take(2);
    let kind = x.kind();
    x.f_mean_dim(&[2i64, 3][..], false, kind)?
        .f_linear(&output[0], Some(&output[1]))
}
