//! SIGTERM ends the process at once: what is half done is of no use to anybody, and as process 1 of a container nothing
//! would happen by default.

use std::{io, thread};

use protocol::job::ExitCode;
use signal_hook::{consts::SIGTERM, iterator::Signals, low_level};

use crate::report::TerminationLog;

/// Starts a thread that waits for SIGTERM, leaves a line and ends the process.
pub fn watch(log: TerminationLog) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            log.write("error: stopped by SIGTERM");
            eprintln!("error: stopped by SIGTERM");
            // Without destructors: other threads are in the middle of libtorch.
            low_level::exit(ExitCode::Transient as i32);
        }
    })?;
    Ok(())
}
