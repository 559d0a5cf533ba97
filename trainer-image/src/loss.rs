//! What training makes small.

use protocol::definition::Loss;
use tch::{Kind, Reduction, TchError, Tensor};

/// The loss of outputs [records, outputs] against labels [records].
pub fn compute(loss: Loss, outputs: &Tensor, labels: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
    match loss {
        Loss::CrossEntropy => outputs.f_cross_entropy_loss(labels, None::<&Tensor>, reduction, -100, 0.0),
        Loss::BinaryCrossEntropy => outputs.f_squeeze_dim(1)?.f_binary_cross_entropy_with_logits(
            &labels.f_to_kind(Kind::Float)?,
            None::<&Tensor>,
            None::<&Tensor>,
            reduction,
        ),
        Loss::MeanSquaredError => outputs.f_squeeze_dim(1)?.f_mse_loss(labels, reduction),
    }
}
