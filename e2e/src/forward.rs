//! A port of a Service on this machine, as long as the value lives.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::shell::tool;

/// Starts kubectl again when it ends (its pod was replaced), and ends it when standard input does: a test binary that
/// is killed leaves nothing running.
const LOOP: &str = r#"
while :; do "$@" 2>&1; sleep 0.3; done &
loop=$!
trap 'kill $loop 2>/dev/null; pkill -P $loop 2>/dev/null' EXIT
read -r _
"#;

/// A running `kubectl port-forward`; ended on drop, and with this process.
#[derive(Debug)]
pub struct Forward {
    child: Child,
    /// Closed to end it.
    input: Option<ChildStdin>,
    port: u16,
}

impl Forward {
    /// Forwards `port` of `target` (for instance `svc/devnet`) to a free port of the loopback address.
    pub fn start(namespace: &str, target: &str, port: u16) -> Result<Self> {
        // The same local port after a restart of kubectl.
        let local = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut child = Command::new("bash")
            .args(["-c", LOOP, "forward"])
            .arg(tool("kubectl"))
            .args([
                "port-forward",
                "--address",
                "127.0.0.1",
                "-n",
                namespace,
                target,
                &format!("{local}:{port}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start kubectl port-forward")?;
        let input = child.stdin.take();
        let stdout = child.stdout.take().context("port-forward has no output")?;
        let mut reader = BufReader::new(stdout);
        let mut said = String::new();
        for _ in 0..100 {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                break;
            }
            if line.starts_with("Forwarding from 127.0.0.1") {
                // Its later lines must not fill the pipe and stop it.
                std::thread::spawn(move || for _ in reader.lines() {});
                return Ok(Self {
                    child,
                    input,
                    port: local,
                });
            }
            said = line;
        }
        drop(input);
        let _ = child.wait();
        bail!("port-forward to {target} in {namespace} did not start: {said:?}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
