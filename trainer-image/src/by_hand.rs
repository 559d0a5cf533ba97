//! `evaluate` and `describe`: what a person asks of files, outside any task.

use std::path::Path;

use protocol::{
    architecture::{TensorSpec, TensorType},
    definition::Definition,
    genesis,
    job::DataFormat,
    model::Metadata,
    types::{Address, B256, ModelHash},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tch::{CModule, Device, Kind, Tensor};

use crate::{
    dataset::Dataset,
    evaluate::{decimal, evaluate},
    examples::Examples,
    failure::Failure,
    network::{ModuleError, Network, write_model},
    threads,
};

/// What `evaluate` is told.
#[derive(Debug)]
pub struct Question<'a> {
    pub definition: &'a Path,
    /// `None`: the definition's genesis model.
    pub model: Option<&'a Path>,
    /// The file of a TorchScript definition.
    pub module: Option<&'a Path>,
    pub data: &'a Path,
    pub format: DataFormat,
}

/// Evaluates a model on every record of a folder, on the CPU. Returns one line of JSON, `{"model", "records", "loss"}`
/// with the accuracy (of classes) and the definition's metric, numbers as decimal strings but for the count.
///
/// # Errors
/// As the steps of a round have them.
pub fn evaluate_file(question: &Question<'_>, scratch: &Path) -> Result<String, Failure> {
    let definition = read_definition(question.definition)?;
    tch::set_num_threads(i32::try_from(threads::for_training(&definition)).unwrap_or(1));
    let folder = tempfile::tempdir_in(scratch).map_err(io(scratch))?;
    let path = match question.model {
        Some(path) => path.to_owned(),
        None => {
            let path = folder.path().join("genesis");
            let file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(io(&path))?);
            match question.module {
                Some(module) => Network::write_initial(&definition, module, file)?,
                None => genesis::write(&definition, file)?,
            };
            path
        }
    };
    let network = Network::load(&definition, &path, question.module, Device::Cpu)?;
    // The split does not matter: every record of both parts is used.
    let data = Dataset::read(question.data, &question.format, &definition, Address::ZERO)?;
    let examples = Examples::new(&data, &definition, Device::Cpu)?;
    let records: Vec<i64> = data.train.iter().chain(&data.test).copied().collect();
    let never = std::time::SystemTime::now() + std::time::Duration::from_secs(24 * 3600);
    let scores = evaluate(&[&network], &examples, &records, &definition, never)?;
    let scores = &scores[0];
    let mut answer = json!({
        "model": question.model.map_or_else(|| "genesis".to_owned(), |path| path.display().to_string()),
        "records": scores.records,
        "loss": decimal(scores.loss()),
    });
    if definition.classes().is_some() {
        answer["accuracy"] = decimal(scores.accuracy()).into();
    }
    let metric = definition.evaluation.metric;
    answer[metric.as_str()] = decimal(scores.metric(metric)).into();
    Ok(answer.to_string())
}

/// The `architecture` of a definition for a TorchScript file: its hash, its trained parameters (those whose names match
/// one of the patterns; `*` stands for anything), and the genesis model they make. `input_shape` is of one record; it is
/// run once to find out how many outputs there are.
///
/// # Errors
/// [`Failure::Module`] if the file is none, nothing matches or it does not take such input.
pub fn describe_module(
    file: &Path,
    patterns: &[String],
    dtype: TensorType,
    input_shape: &[u32],
) -> Result<String, Failure> {
    let mut digest = Sha256::new();
    let bytes = std::fs::File::open(file)
        .and_then(|mut source| std::io::copy(&mut source, &mut digest))
        .map_err(io(file))?;
    let all = Network::module_parameters(file)?;
    let mut specs = Vec::new();
    let mut chosen = Vec::new();
    for (name, tensor) in all {
        if patterns.iter().any(|pattern| matches(pattern, &name)) {
            specs.push(TensorSpec {
                name,
                shape: tensor.size().iter().map(|&d| d as usize).collect(),
                dtype: dtype.dtype(),
            });
            chosen.push(tensor);
        }
    }
    if specs.is_empty() {
        return Err(ModuleError::Missing(patterns.join(" or ")).into());
    }
    let initial = write_model(&specs, &chosen, &Metadata::none(), std::io::sink())?;
    let mut shape = vec![1i64];
    shape.extend(input_shape.iter().map(|&d| i64::from(d)));
    let input = Tensor::f_zeros(&shape[..], (Kind::Float, Device::Cpu))?;
    let forward = || {
        let mut module = CModule::load(file)?;
        module.f_set_eval()?;
        module.forward_ts(&[input])
    };
    let output = forward().map_err(ModuleError::Torch)?;
    let tensors: Vec<_> = specs
        .iter()
        .map(|spec| json!({ "name": spec.name, "shape": spec.shape, "dtype": dtype }))
        .collect();
    let architecture = json!({ "torchscript": {
        "module": ModelHash(B256::from(<[u8; 32]>::from(digest.finalize()))),
        "moduleBytes": bytes,
        "initialModel": initial,
        "inputShape": input_shape,
        "outputs": output.size().last().copied().unwrap_or(0),
        "tensors": tensors,
    }});
    Ok(architecture.to_string())
}

/// Whether a name is what a pattern says; `*` stands for any number of characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|left| {
            let ends = (0..=left.len()).filter(|&i| left.is_char_boundary(i));
            ends.into_iter().any(|i| matches(rest, &left[i..]))
        }),
    }
}

fn read_definition(path: &Path) -> Result<Definition, Failure> {
    let text = std::fs::read(path).map_err(io(path))?;
    Ok(Definition::parse(&text)?)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::Io { path, error }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("*", "fc.weight", true),
            ("fc.weight", "fc.weight", true),
            ("fc", "fc.weight", false),
            ("*lora_*", "block.0.lora_a.weight", true),
            ("*lora_*", "block.0.weight", false),
            ("block.*.bias", "block.0.bias", true),
            ("block.*.bias", "block.0.bias.x", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
