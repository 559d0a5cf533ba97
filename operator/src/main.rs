#![forbid(unsafe_code)]
//! `fl-alliance-operator`: controller, gateway and chain tools in one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    operator::cli::main()
}
