//! Data sets: images made by `hack/data.py`, and the table that the trainer's tests read.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{
    env,
    shell::{root, run},
};

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

/// Deals the rows of Breast Cancer Wisconsin out to `clients` folders of `.build/data/<name>`, a `rows.csv` each, one row
/// in turn.
pub fn deal_table(name: &str, clients: usize) -> Result<()> {
    let table = fs::read_to_string(root().join("trainer-image/tests/data/breast-cancer.csv"))?;
    let (header, rows) = table.split_once('\n').context("the table has no header")?;
    for client in 0..clients {
        let folder = env::data_dir().join(name).join(format!("client-{client}"));
        fs::create_dir_all(&folder)?;
        let own: Vec<&str> = rows.lines().skip(client).step_by(clients).collect();
        fs::write(folder.join("rows.csv"), format!("{header}\n{}\n", own.join("\n")))?;
    }
    Ok(())
}
