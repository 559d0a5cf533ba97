//! Threads follow what a container may use and not what the machine has.

mod common;

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
};

use common::*;
use protocol::job::Step;

/// Work enough for four threads.
const WIDE: &str = r#"{"mlp":{"inputs":64,"hidden":[2048],"outputs":4}}"#;

/// One processor's worth of time, the way a pod's CPU limit says it.
struct OneCpu(Option<PathBuf>);

impl OneCpu {
    /// A control group with a quota, of either version; elsewhere (a container that may not make any) nothing.
    fn new() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
        let of = |line: &str| -> Option<PathBuf> {
            let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else {
                return None;
            };
            let mounted: &[&str] = match controllers {
                "" => &["/sys/fs/cgroup"],
                _ if controllers.split(',').any(|c| c == "cpu") => {
                    &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"]
                }
                _ => return None,
            };
            let name = format!("fl-alliance-threads-{}", process::id());
            let mut folders = mounted
                .iter()
                .map(|root| Path::new(root).join(path.trim_start_matches('/')));
            folders.find_map(|parent| limited(&parent, &parent.join(&name)))
        };
        Self(groups.lines().find_map(of))
    }

    fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("sh");
        match &self.0 {
            Some(group) => {
                let procs = group.join("cgroup.procs");
                command.args(["-c", &format!(r#"echo $$ >{} && exec "$0" "$@""#, procs.display())]);
            }
            None => {
                let status = fs::read_to_string("/proc/self/status").unwrap();
                let allowed = status
                    .lines()
                    .find_map(|l| l.strip_prefix("Cpus_allowed_list:"))
                    .unwrap();
                let first = allowed.trim().split(['-', ',']).next().unwrap();
                command.args(["-c", &format!(r#"exec taskset -c {first} "$0" "$@""#)]);
            }
        }
        command.arg(inner.get_program()).args(inner.get_args());
        command
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Makes a group that gets as much time as one processor has, or leaves nothing.
fn limited(parent: &Path, group: &Path) -> Option<PathBuf> {
    // Of version 2: it may be there already, and version 1 has no such file.
    let _ = fs::write(parent.join("cgroup.subtree_control"), "+cpu");
    fs::create_dir(group).ok()?;
    let set = |file: &str, value: &str| {
        let path = group.join(file);
        path.exists() && fs::write(path, value).is_ok()
    };
    let done =
        set("cpu.max", "100000 100000") || (set("cpu.cfs_period_us", "100000") && set("cpu.cfs_quota_us", "100000"));
    if !done {
        let _ = fs::remove_dir(group);
    }
    done.then(|| group.to_owned())
}

/// The line of the log that says so.
fn threads(command: &mut Command) -> usize {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = said.lines().find_map(|l| l.strip_prefix("device: cpu, ")).unwrap();
    line.strip_suffix(" threads").unwrap().parse().unwrap()
}

#[test]
fn a_pod_limited_to_one_cpu_gets_one_thread_on_a_machine_of_many() {
    let site = Site::new(definition(WIDE, 1).replace(r#""batchSize":16"#, r#""batchSize":256"#));
    site.write_data(1, 400, |l| l);
    let input = serde_json::to_value(site.input(Step::Check, 1, 0, site.genesis(), vec![])).unwrap();
    let machine = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    assert_eq!(threads(&mut site.command(Step::Check, &input)), machine.min(4));

    let limit = OneCpu::new();
    eprintln!(
        "limited by {}",
        limit
            .0
            .as_ref()
            .map_or("affinity".into(), |group| group.display().to_string())
    );
    assert_eq!(threads(&mut limit.command(&site.command(Step::Check, &input))), 1);
    // What checks and aggregates contributions takes all there is.
    let mut devices = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"));
    devices.arg("devices");
    let said = limit.command(&devices).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("cpu: 1\n"), "{said}");
}
