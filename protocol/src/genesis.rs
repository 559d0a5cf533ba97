//! The genesis model, derived from the definition alone, bit for bit the same everywhere.
//!
//! The key of a tensor is SHA-256("FLA_GENESIS_V1" || definition hash || tensor name). Block i of its random stream is
//! SHA-256(key || i as u64 little-endian), read as eight u32 little-endian words, one per element in row-major order.
//! A word w gives (w >> 8) * 2^-23 - 1, a multiple of 2^-23 in [-1, 1) that f32 holds exactly, times
//! f32(1 / sqrt(f64(fan-in))): one division, one square root, one multiplication, each exactly rounded by IEEE 754, so
//! that no mathematics library has a say. The fan-in is the product of a weight's dimensions after the first; a bias
//! takes that of its weight. A norm (a layer whose own name starts with "norm") starts as the identity: weights 1,
//! biases 0. Where the definition's weights have 16 bits, these values are rounded to nearest, ties to even.
//!
//! A TorchScript module brings its own start: the definition names the hash, the trainer has the tensors.

use std::{collections::HashMap, io::Write};

use sha2::{Digest, Sha256};

use crate::{
    architecture::Architecture,
    definition::Definition,
    model::{Layout, Metadata, ModelError, ModelWriter},
    types::ModelHash,
};

const DOMAIN: &[u8] = b"FLA_GENESIS_V1";

/// Writes the genesis model and returns its name.
pub fn write<W: Write>(definition: &Definition, out: W) -> Result<ModelHash, ModelError> {
    if let Architecture::Torchscript(_) = definition.architecture {
        return Err(ModelError::NotDerived);
    }
    let specs = definition.tensors();
    let fan_in: HashMap<&str, usize> = specs
        .iter()
        .filter(|spec| spec.shape.len() > 1)
        .map(|spec| (layer_of(&spec.name), spec.shape[1..].iter().product()))
        .collect();
    let layout = Layout::new(&specs, &Metadata::none())?;
    let mut writer = ModelWriter::new(&layout, out)?;
    for tensor in layout.tensors() {
        let name = &tensor.spec.name;
        let fan_in = fan_in.get(layer_of(name)).copied().unwrap_or(1);
        if is_norm(name) {
            let value = if name.ends_with(".weight") { 1.0 } else { 0.0 };
            let elements = tensor.spec.elements().ok_or(ModelError::Overflow)?;
            writer.write_as(tensor.spec.dtype, &vec![value; elements])?;
            continue;
        }
        let bound = (1.0f64 / (fan_in as f64).sqrt()) as f32;
        let mut stream = Stream::new(definition, name);
        let mut left = tensor.spec.elements().ok_or(ModelError::Overflow)?;
        while left > 0 {
            let values = stream.next_block().map(|word| uniform(word) * bound);
            let take = left.min(values.len());
            writer.write_as(tensor.spec.dtype, &values[..take])?;
            left -= take;
        }
    }
    writer.finish()
}

/// The name of the genesis model, without keeping it.
pub fn hash(definition: &Definition) -> Result<ModelHash, ModelError> {
    match &definition.architecture {
        Architecture::Torchscript(module) => Ok(module.initial_model),
        _ => write(definition, std::io::sink()),
    }
}

fn is_norm(tensor: &str) -> bool {
    let layer = layer_of(tensor);
    layer.rsplit('.').next().is_some_and(|name| name.starts_with("norm"))
}

fn layer_of(tensor: &str) -> &str {
    tensor.rsplit_once('.').map_or(tensor, |(layer, _)| layer)
}

/// Uniform over the multiples of 2^-23 in [-1, 1).
fn uniform(word: u32) -> f32 {
    const STEP: f32 = 1.0 / 8_388_608.0;
    (word >> 8) as f32 * STEP - 1.0
}

struct Stream {
    key: [u8; 32],
    block: u64,
}

impl Stream {
    fn new(definition: &Definition, tensor: &str) -> Self {
        let key = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(definition.hash().0)
            .chain_update(tensor.as_bytes())
            .finalize()
            .into();
        Self { key, block: 0 }
    }

    fn next_block(&mut self) -> [u32; 8] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.key)
            .chain_update(self.block.to_le_bytes())
            .finalize()
            .into();
        self.block += 1;
        let mut words = [0u32; 8];
        for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;

    fn definition(hidden: &str, seed: u64) -> Definition {
        let json = include_str!("definition/example.json")
            .replace("[200]", hidden)
            .replace("\"seed\": 1", &format!("\"seed\": {seed}"));
        Definition::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn the_genesis_model_never_changes() {
        let mut bytes = Vec::new();
        let name = write(&definition("[200]", 1), &mut bytes).unwrap();
        assert_eq!(name.to_string(), GOLDEN);
        assert_eq!(hex::encode(Sha256::digest(&bytes)), GOLDEN);
        assert_eq!(hash(&definition("[200]", 1)).unwrap(), name);
    }
    /// Also what an independent implementation of the rule above (Python, hashlib and struct) gives.
    const GOLDEN: &str = "2e89b5b3670e88763ac4ac890b8f344fe1503ab880b5682d7a461d5097e02a4d";

    #[test]
    fn another_seed_or_architecture_gives_another_model() {
        let base = hash(&definition("[200]", 1)).unwrap();
        assert_ne!(hash(&definition("[200]", 2)).unwrap(), base);
        assert_ne!(hash(&definition("[201]", 1)).unwrap(), base);
    }

    #[test]
    fn values_fill_the_fan_in_bound_and_are_centred() {
        let definition = definition("[200]", 1);
        let mut bytes = Vec::new();
        write(&definition, &mut bytes).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, fan_in) in [
            ("layers.0.weight", 784.0f64),
            ("layers.0.bias", 784.0),
            ("layers.1.weight", 200.0),
        ] {
            let bound = 1.0 / fan_in.sqrt();
            let data = file.tensor(name).unwrap().data().to_vec();
            let values: Vec<f64> = data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect();
            let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert!(
                largest <= bound * 1.000_001 && largest > bound * 0.95,
                "{name}: {largest} of {bound}"
            );
            assert!(
                mean.abs() < bound * 3.0 / (values.len() as f64).sqrt(),
                "{name}: mean {mean}"
            );
        }
    }

    #[test]
    fn norms_start_as_the_identity_and_nothing_else_does() {
        let json = include_str!("definition/example.json").replace(
            r#"{"mlp": {"inputs": 784, "hidden": [200], "outputs": 10}}"#,
            r#"{"resnet":{"channels":1,"height":28,"width":28,"filters":[8,16],"blocks":1,"groups":4,"outputs":10}}"#,
        );
        let definition = Definition::parse(json.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let name = write(&definition, &mut bytes).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for tensor in file.names() {
            let data = file.tensor(tensor).unwrap().data().to_vec();
            let mut values = data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            let expected = match (tensor.contains("norm"), tensor.ends_with(".weight")) {
                (true, true) => 1.0,
                (true, false) => 0.0,
                (false, _) => {
                    assert!(values.any(|v| v != 1.0 && v != 0.0), "{tensor}");
                    continue;
                }
            };
            assert!(values.all(|v| v == expected), "{tensor}");
        }
        assert_eq!(name.to_string(), RESNET_GOLDEN);
    }
    /// As above, from the same independent implementation.
    const RESNET_GOLDEN: &str = "12c92c3c52a3f34c601dfd817a57a13487e62f2e015d8b682fed30db9587a902";

    #[test]
    fn weights_of_sixteen_bits_are_the_rounded_ones() {
        let plain = definition("[200]", 1);
        for (name, golden) in [("bf16", BF16_GOLDEN), ("f16", F16_GOLDEN)] {
            let json = include_str!("definition/example.json");
            let with = json.replacen('{', &format!("{{\"weights\": \"{name}\","), 1);
            let short = Definition::parse(with.as_bytes()).unwrap();
            assert_ne!(short.hash(), plain.hash());
            let mut bytes = Vec::new();
            assert_eq!(write(&short, &mut bytes).unwrap().to_string(), golden);
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(file.tensor("layers.0.weight").unwrap().data().len(), 784 * 200 * 2);
        }
    }
    /// As above, rounded by Python's struct ('e') and by hand.
    const BF16_GOLDEN: &str = "2aff3907e4a548b939a6212ea9a44aa59b2fd5e7258986ce2719c4bf1eb4fc64";
    const F16_GOLDEN: &str = "2c6d359cd8dd0a85cc019b4508667e6a54eaf6612bb5b635983c161cbbf77b70";

    #[test]
    fn extreme_words_stay_inside_the_half_open_interval() {
        assert_eq!(uniform(0), -1.0);
        assert_eq!(uniform(1 << 31), 0.0);
        assert_eq!(uniform(u32::MAX), 1.0 - 1.0 / 8_388_608.0);
    }
}
