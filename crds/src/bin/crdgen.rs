//! `crdgen DIRECTORY` writes the custom resource definitions and `--check` compares instead, failing on any difference.
#![forbid(unsafe_code)]

use std::{fs, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let check = match flags.as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        other => return Err(format!("unknown flags {other:?}; usage: crdgen [--check] [REPOSITORY]").into()),
    };
    let root = PathBuf::from(paths.first().map_or(".", String::as_str));
    let mut stale = Vec::new();
    for (path, content) in crds::generate::files()? {
        let path = root.join(path);
        if check {
            if fs::read_to_string(&path).ok().as_deref() != Some(&content) {
                stale.push(path);
            }
        } else {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, content)?;
        }
    }
    for path in &stale {
        eprintln!("{} differs from crds/src: run `make generate`", path.display());
    }
    Ok(if stale.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
