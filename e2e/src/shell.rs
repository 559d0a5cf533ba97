//! Programs of this checkout and their output.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Everything fetched, built or written at run time.
pub fn build_dir() -> PathBuf {
    root().join(".build")
}

/// A tool that `hack/setup.sh` fetched.
pub fn tool(name: &str) -> PathBuf {
    build_dir().join("tools/bin").join(name)
}

/// Runs to the end and gives standard output.
///
/// # Errors
/// With the whole of standard error if it exits non-zero.
pub fn run(command: &mut Command) -> Result<String> {
    run_with(command, Stdio::null())
}

/// The same with something on its standard input.
pub fn run_with(command: &mut Command, input: Stdio) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(input)
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown} failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `kubectl` of the test cluster.
pub fn kubectl(args: &[&str]) -> Result<String> {
    run(Command::new(tool("kubectl")).args(args))
}
