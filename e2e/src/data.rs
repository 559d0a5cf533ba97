//! Data sets, made by `hack/data.py`.

use std::process::Command;

use anyhow::Result;

use crate::shell::{root, run};

/// Makes (or finds) `.build/data/<name>` with a folder per client and one held out. The labels of the clients named in
/// `poisoned` are permuted.
pub fn make(name: &str, clients: usize, records: usize, held_out: usize, poisoned: &[usize]) -> Result<()> {
    let mut command = Command::new("python3");
    command.arg(root().join("hack/data.py")).arg(name);
    command.args(["--clients", &clients.to_string(), "--records", &records.to_string()]);
    command.args(["--held-out", &held_out.to_string()]);
    if !poisoned.is_empty() {
        let list: Vec<String> = poisoned.iter().map(ToString::to_string).collect();
        command.args(["--poison", &list.join(",")]);
    }
    run(&mut command).map(drop)
}
