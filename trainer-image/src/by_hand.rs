//! `evaluate` and `describe`: what a person asks of files, outside any task.

use std::path::Path;

use protocol::{
    architecture::{Architecture, BaseModel, TensorSpec, TensorType},
    base_model::MANIFEST_FILE,
    definition::Definition,
    genesis,
    job::DataFormat,
    model::Metadata,
    types::{Address, B256, ModelHash},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::{
    base::{self, Base},
    dataset::Dataset,
    evaluate::{decimal, evaluate},
    examples::Examples,
    failure::Failure,
    network::{ModuleError, ModuleFiles, Network, write_model},
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
    /// Folder of its base model, if it has one.
    pub base_model: Option<&'a Path>,
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
    let base = match &definition.architecture {
        Architecture::Torchscript(script) => base_of(question.base_model, script.base_model.as_ref())?,
        _ => None,
    };
    let module = question.module.map(|file| ModuleFiles {
        file,
        base: base.as_ref(),
    });
    let path = match question.model {
        Some(path) => path.to_owned(),
        None => {
            let path = folder.path().join("genesis");
            let file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(io(&path))?);
            match module {
                Some(module) => Network::write_initial(&definition, module, file)?,
                None => genesis::write(&definition, file)?,
            };
            path
        }
    };
    let network = Network::load(&definition, &path, module, Device::Cpu)?;
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

/// Standard output is for the answer.
fn aside(line: &str) {
    eprintln!("{line}");
}

fn base_of(folder: Option<&Path>, wanted: Option<&BaseModel>) -> Result<Option<Base>, Failure> {
    let Some(wanted) = wanted else { return Ok(None) };
    let folders: Vec<String> = folder.iter().map(|folder| folder.display().to_string()).collect();
    Ok(Some(Base::find(&folders, wanted.manifest, None, aside)?))
}

/// The manifest of a folder with a base model, as JSON. Put it into the folder as [`MANIFEST_FILE`].
///
/// # Errors
/// [`Failure::Base`] if a file cannot be read.
pub fn manifest(folder: &Path) -> Result<String, Failure> {
    Ok(json!(base::manifest_of(folder, aside)?).to_string())
}

/// What `describe` is told.
#[derive(Debug)]
pub struct Module<'a> {
    pub file: &'a Path,
    /// Folder of its base model, with a manifest, and what the module puts before the names in it.
    pub base: Option<(&'a Path, Option<&'a str>)>,
    /// What is trained.
    pub patterns: &'a [String],
    pub dtype: TensorType,
    pub input_shape: &'a [u32],
}

/// The `architecture` of a definition for a TorchScript file: its hash, its trained parameters (those whose names match
/// one of the patterns; `*` stands for anything), and the genesis model they make. `input_shape` is of one record; it is
/// run once to find out how many outputs there are.
///
/// # Errors
/// [`Failure::Module`] if the file is none, nothing matches or it does not take such input.
pub fn describe_module(question: &Module<'_>) -> Result<String, Failure> {
    let Module {
        file,
        patterns,
        dtype,
        input_shape,
        ..
    } = *question;
    let wanted = match question.base {
        Some((folder, prefix)) => {
            let path = folder.join(MANIFEST_FILE);
            let text = std::fs::read(&path).map_err(io(&path))?;
            Some(BaseModel {
                manifest: ModelHash(B256::from(<[u8; 32]>::from(Sha256::digest(text)))),
                prefix: prefix.map(str::to_owned),
            })
        }
        None => None,
    };
    let base = base_of(question.base.map(|(folder, _)| folder), wanted.as_ref())?;
    let prefix = question.base.and_then(|(_, prefix)| prefix).unwrap_or_default();
    let mut digest = Sha256::new();
    let bytes = std::fs::File::open(file)
        .and_then(|mut source| std::io::copy(&mut source, &mut digest))
        .map_err(io(file))?;
    let files = ModuleFiles {
        file,
        base: base.as_ref(),
    };
    let (module, all) = Network::open_module(files, prefix)?;
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
    let output = module.forward_ts(&[input]).map_err(ModuleError::Torch)?;
    let tensors: Vec<_> = specs
        .iter()
        .map(|spec| json!({ "name": spec.name, "shape": spec.shape, "dtype": dtype }))
        .collect();
    let mut architecture = json!({ "torchscript": {
        "module": ModelHash(B256::from(<[u8; 32]>::from(digest.finalize()))),
        "moduleBytes": bytes,
        "initialModel": initial,
        "inputShape": input_shape,
        "outputs": output.size().last().copied().unwrap_or(0),
        "tensors": tensors,
    }});
    if let Some(wanted) = wanted {
        architecture["torchscript"]["baseModel"] = json!(wanted);
    }
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
