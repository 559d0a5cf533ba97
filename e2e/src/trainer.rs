//! The trainer as a program on this machine: to evaluate a model, and to take part by hand.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{env, shell::run};

/// Runs the trainer to its end and gives its standard output.
///
/// # Errors
/// With standard error if it exits non-zero.
pub fn trainer(arguments: &[&str]) -> Result<String> {
    run(Command::new(env::built("fl-alliance-trainer"))
        .args(arguments)
        .env("LD_LIBRARY_PATH", env::libtorch()))
}

/// What a model is worth on data.
#[derive(Debug, Clone, Deserialize)]
pub struct Evaluation {
    pub records: u64,
    accuracy: String,
}

impl Evaluation {
    /// From 0 to 1.
    pub fn accuracy(&self) -> Result<f64> {
        self.accuracy.parse().context("the accuracy is no number")
    }
}

/// Evaluates a model (or the genesis model) on a folder of records.
pub fn evaluate(definition: &Value, model: Option<&[u8]>, data: &Path) -> Result<Evaluation> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), definition.to_string())?;
    let shown = |path: &Path| path.display().to_string();
    let weights = tempfile::NamedTempFile::new()?;
    let mut arguments = vec!["evaluate".to_owned(), "--definition".to_owned(), shown(file.path())];
    arguments.extend(["--data".to_owned(), shown(data)]);
    if let Some(model) = model {
        std::fs::write(weights.path(), model)?;
        arguments.extend(["--model".to_owned(), shown(weights.path())]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = trainer(&arguments)?;
    let line = said.lines().last().context("the trainer said nothing")?;
    serde_json::from_str(line).with_context(|| format!("the trainer said {line:?}"))
}
