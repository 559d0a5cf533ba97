//! How many threads are worth having.

use std::{num::NonZeroUsize, thread};

use protocol::{
    architecture::{Architecture, Resnet},
    definition::Definition,
};

/// Work per batch that pays for one more thread: below it, threads wait for each other more than they compute, and on a
/// busy machine a waiting thread is ruinous (libgomp spins).
const FLOPS_PER_THREAD: u64 = 50_000_000;
const MOST: usize = 16;

/// CPUs this process may use: the machine's, the affinity mask's or the cgroup quota's, whichever is least.
pub fn available() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Threads for libtorch.
pub fn for_training(definition: &Definition) -> usize {
    let per_batch =
        flops_per_record(&definition.architecture).saturating_mul(u64::from(definition.training.batch_size));
    let useful = usize::try_from(per_batch / FLOPS_PER_THREAD).unwrap_or(usize::MAX);
    useful.clamp(1, MOST).min(available().get())
}

/// Forward and backward, about: three times two operations per multiplication.
fn flops_per_record(architecture: &Architecture) -> u64 {
    let mut products = 0u64;
    let mut side = match architecture {
        Architecture::Mlp(_) | Architecture::Logistic(_) => 1,
        Architecture::Cnn(cnn) => u64::from(cnn.height) * u64::from(cnn.width),
        Architecture::Resnet(resnet) => return residual(resnet),
        // What a module does with its tensors is its own business: it gets what there is.
        Architecture::Torchscript(_) => return u64::MAX,
    };
    for tensor in architecture.tensors() {
        let elements = tensor.elements().unwrap_or(usize::MAX) as u64;
        // A convolution's weights are used once per pixel, and every layer quarters the pixels.
        if tensor.shape.len() == 4 {
            products = products.saturating_add(elements.saturating_mul(side));
            side /= 4;
        } else if tensor.shape.len() == 2 {
            products = products.saturating_add(elements);
        }
    }
    products.saturating_mul(6)
}

/// A block's weights are used once per pixel of what it gives.
fn residual(resnet: &Resnet) -> u64 {
    let pixels = |stage: usize| u64::from(resnet.height >> stage) * u64::from(resnet.width >> stage);
    let stem = 9 * u64::from(resnet.channels) * resnet.filters.first().map_or(0, |&f| u64::from(f)) * pixels(0);
    let blocks = resnet.blocks().into_iter().map(|block| {
        let (inputs, filters) = (u64::from(block.inputs), u64::from(block.filters));
        (9 * inputs * filters + 9 * filters * filters).saturating_mul(pixels(block.stage))
    });
    blocks.fold(stem, u64::saturating_add).saturating_mul(6)
}

#[cfg(test)]
mod tests {
    use protocol::architecture::{Cnn, Mlp};

    use super::*;

    #[test]
    fn work_is_counted_per_layer() {
        let mlp = Architecture::Mlp(Mlp {
            inputs: 784,
            hidden: vec![200],
            outputs: 10,
        });
        assert_eq!(flops_per_record(&mlp), 6 * (784 * 200 + 200 * 10));
        let cnn = Architecture::Cnn(Cnn {
            channels: 1,
            height: 8,
            width: 8,
            filters: vec![2, 4],
            hidden: 5,
            outputs: 3,
        });
        assert_eq!(flops_per_record(&cnn), 6 * (2 * 9 * 64 + 2 * 4 * 9 * 16 + 5 * 16 + 15));
    }
}
