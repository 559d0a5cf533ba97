//! Figures of many runs.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::{
    faults::{Coverage, Fault, Reached},
    run::Report,
};

/// Many runs, added up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Totals {
    pub runs: u64,
    pub events: u64,
    pub calls: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// Seeds that broke a promise, and the first one that they broke.
    #[serde(default)]
    pub failed: BTreeMap<u64, String>,
    coverage: Coverage,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            runs: 0,
            events: 0,
            calls: 0,
            seconds: 0,
            failed: BTreeMap::new(),
            coverage: Coverage::new(),
        }
    }
}

impl Totals {
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.events += report.events;
        self.calls += report.calls;
        self.seconds += report.seconds;
        if let Some(violation) = report.violations.first() {
            self.failed.insert(report.seed, violation.clone());
        }
        self.coverage.add(&report.coverage);
    }

    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.failed.extend(other.failed.clone());
        self.coverage.add(&other.coverage);
    }

    /// For a file.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// # Errors
    /// If it is not what [`Self::to_json`] wrote with the same faults and states.
    pub fn from_json(text: &str) -> anyhow::Result<Self> {
        let totals: Self = serde_json::from_str(text)?;
        let same =
            (totals.coverage.faults.len(), totals.coverage.reached.len()) == (Fault::ALL.len(), Reached::ALL.len());
        anyhow::ensure!(same, "the figures are of another version of the simulation: start anew");
        Ok(totals)
    }

    /// Faults that never struck and situations never reached: with any of them missing the runs show too little.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.coverage.missing();
        for (call, count) in &self.coverage.calls {
            let (before, after) = self.coverage.deaths.get(call).copied().unwrap_or_default();
            if *count > 0 && (before == 0 || after == 0) {
                missing.push(format!("death before and after {call}"));
            }
        }
        missing
    }

    /// How often each fault struck and each situation was reached.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{:>12}  what went wrong", "times");
        for fault in Fault::ALL {
            let _ = writeln!(text, "{:>12}  {}", self.coverage.faults[*fault as usize], fault.text());
        }
        let _ = writeln!(text, "{:>12}  what was reached", "times");
        for state in Reached::ALL {
            let _ = writeln!(text, "{:>12}  {}", self.coverage.reached[*state as usize], state.text());
        }
        let _ = writeln!(text, "{:>12} {:>9} {:>9}  calls", "times", "died bef.", "died aft.");
        for (call, count) in &self.coverage.calls {
            let (before, after) = self.coverage.deaths.get(call).copied().unwrap_or_default();
            let _ = writeln!(text, "{count:>12} {before:>9} {after:>9}  {call}");
        }
        let depths: Vec<String> = self
            .coverage
            .reorg_depths
            .iter()
            .map(|(depth, count)| format!("{depth}: {count}"))
            .collect();
        let _ = writeln!(text, "reorgs by depth: {}", depths.join(", "));
        text
    }
}
