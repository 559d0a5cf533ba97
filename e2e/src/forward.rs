//! A port of a Service on this machine, as long as the value lives.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::shell::tool;

/// A running `kubectl port-forward`; ended on drop.
#[derive(Debug)]
pub struct Forward {
    child: Child,
    port: u16,
}

impl Forward {
    /// Forwards `port` of `target` (for instance `svc/anvil`) to a free port of the loopback address.
    pub fn start(namespace: &str, target: &str, port: u16) -> Result<Self> {
        let mut child = Command::new(tool("kubectl"))
            .args([
                "port-forward",
                "--address",
                "127.0.0.1",
                "-n",
                namespace,
                target,
                &format!(":{port}"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start kubectl port-forward")?;
        let stdout = child.stdout.take().context("port-forward has no output")?;
        let mut line = String::new();
        let mut reader = BufReader::new(stdout);
        reader.read_line(&mut line)?;
        // Forwarding from 127.0.0.1:41234 -> 8545
        let found = line
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let Some(local) = found else {
            let _ = child.kill();
            bail!("port-forward to {target} in {namespace} did not start: {line:?}");
        };
        // Its later lines must not fill the pipe and stop it.
        std::thread::spawn(move || for _ in reader.lines() {});
        Ok(Self { child, port: local })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
