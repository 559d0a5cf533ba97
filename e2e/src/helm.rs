//! Real Helm, as a user would call it.

use std::{io::Write, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{root, run, tool};

/// `helm upgrade --install` of a chart of this checkout, waiting until everything is ready.
pub fn install(release: &str, chart: &str, namespace: &str, values: &Value) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(serde_json::to_string_pretty(values)?.as_bytes())?;
    run(Command::new(tool("helm"))
        .args(["upgrade", "--install", release])
        .arg(root().join("charts").join(chart))
        .args([
            "--namespace",
            namespace,
            "--create-namespace",
            "--wait",
            "--timeout",
            "5m",
            "--values",
        ])
        .arg(file.path()))
    .with_context(|| format!("helm release {release} of {chart} in {namespace}"))?;
    Ok(())
}

/// `helm uninstall`; a release that is not there is fine.
pub fn uninstall(release: &str, namespace: &str) -> Result<()> {
    run(Command::new(tool("helm")).args([
        "uninstall",
        release,
        "--namespace",
        namespace,
        "--ignore-not-found",
        "--wait",
        "--timeout",
        "2m",
    ]))?;
    Ok(())
}
