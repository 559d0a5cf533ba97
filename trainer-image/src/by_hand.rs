//! `evaluate`: what a person asks of a model file, outside any task.

use std::path::Path;

use protocol::{definition::Definition, genesis, job::DataFormat, types::Address};
use serde_json::json;
use tch::Device;

use crate::{
    dataset::Dataset,
    evaluate::{Scores, decimal, evaluate},
    examples::Examples,
    failure::Failure,
    network::Network,
    threads,
};

/// Evaluates a model on every record of `data` (IDX), on the CPU. Without a model file: the definition's genesis model.
/// Returns one line of JSON, `{"model", "records", "accuracy", "loss"}`, numbers as decimal strings but for the count.
///
/// # Errors
/// As the steps of a round have them.
pub fn evaluate_file(definition: &Path, model: Option<&Path>, data: &Path, scratch: &Path) -> Result<String, Failure> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| Failure::Io { path, error }
    };
    let text = std::fs::read(definition).map_err(io(definition))?;
    let definition = Definition::parse(&text)?;
    tch::set_num_threads(i32::try_from(threads::for_training(&definition)).unwrap_or(1));
    let folder = tempfile::tempdir_in(scratch).map_err(io(scratch))?;
    let path = match model {
        Some(path) => path.to_owned(),
        None => {
            let path = folder.path().join("genesis");
            let file = std::fs::File::create(&path).map_err(io(&path))?;
            genesis::write(&definition, std::io::BufWriter::new(file))?;
            path
        }
    };
    let network = Network::load(&definition.architecture, &path, Device::Cpu)?;
    // The split does not matter: every record of both parts is used.
    let data = Dataset::read(data, &DataFormat::Idx, &definition, Address::ZERO)?;
    let examples = Examples::new(&data, &definition.preprocessing, Device::Cpu)?;
    let records: Vec<i64> = data.train.iter().chain(&data.test).copied().collect();
    let never = std::time::SystemTime::now() + std::time::Duration::from_secs(24 * 3600);
    let scores: Scores = evaluate(&[&network], &examples, &records, never)?[0];
    Ok(json!({
        "model": model.map_or_else(|| "genesis".to_owned(), |path| path.display().to_string()),
        "records": scores.records,
        "accuracy": decimal(scores.accuracy()),
        "loss": decimal(scores.loss()),
    })
    .to_string())
}
