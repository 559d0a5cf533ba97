//! Handing the outcome to whoever waits for it.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use protocol::job::{DOCUMENT_VERSION, JobResult, MAX_RESULT_BYTES, StepResult};

use crate::{
    failure::Failure,
    gateway::{Gateway, GatewayError, retry},
    input::Input,
};

/// Longest line about an error, in bytes.
const MAX_ERROR_BYTES: usize = 512;

/// The kubelet's termination message file.
#[derive(Debug, Clone)]
pub struct TerminationLog {
    path: PathBuf,
    create: bool,
}

impl TerminationLog {
    /// A path that was asked for is created; the default one is used only where a kubelet made it.
    pub fn new(asked: Option<PathBuf>) -> Self {
        let create = asked.is_some();
        Self {
            path: asked.unwrap_or_else(|| Path::new("/dev/termination-log").to_owned()),
            create,
        }
    }

    /// A message that cannot be written is worth a line, not a failure: the gateway has the result too.
    pub fn write(&self, line: &str) {
        let written = OpenOptions::new()
            .write(true)
            .truncate(true)
            .create(self.create)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        match written {
            Err(error) if self.create || error.kind() != io::ErrorKind::NotFound => {
                eprintln!("{}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

/// The result an earlier pod of this job handed in before it was lost, if any: nothing needs to be computed again.
pub fn earlier(gateway: &dyn Gateway, input: &Input) -> Option<String> {
    // A gateway that cannot be reached now is a matter for whoever needs it.
    let line = gateway.earlier().ok()?.result?;
    let result: JobResult = serde_json::from_str(&line).ok()?;
    (result.version == DOCUMENT_VERSION && result.identity_hash == input.document.identity.hash()).then_some(line)
}

/// Sends the result to the gateway and returns its line. If the gateway cannot be reached any more, the termination
/// message has to do; if it refuses the result, the job has failed.
pub fn deliver(input: &Input, gateway: &dyn Gateway, outcome: StepResult) -> Result<String, Failure> {
    let line = line(JobResult {
        version: DOCUMENT_VERSION,
        identity_hash: input.document.identity.hash(),
        outcome,
    });
    match retry(input.hand_in_by(), "result", || gateway.put_result(&line)) {
        Ok(()) => Ok(line),
        Err(error @ (GatewayError::Refused { .. } | GatewayError::Io { .. })) => Err(error.into()),
        Err(error) => {
            eprintln!("result: {error}; only the termination message has it");
            Ok(line)
        }
    }
}

/// One line of at most [`MAX_RESULT_BYTES`]. Of a vote the reasons are shortened first, then left out from the last seat
/// on: the mask says the same. Of a check the last classes and rejections go: the log has them.
fn line(mut result: JobResult) -> String {
    for pass in 0.. {
        let line = serde_json::to_string(&result).unwrap_or_default();
        if line.len() <= MAX_RESULT_BYTES || !shorten(&mut result.outcome, pass == 0) {
            return line;
        }
    }
    String::new()
}

/// Whether something could be left out.
fn shorten(outcome: &mut StepResult, first: bool) -> bool {
    match outcome {
        StepResult::Vote(vote) if first => {
            for seat in &mut vote.excluded {
                let words: Vec<&str> = seat.reason.split_whitespace().take(3).collect();
                seat.reason = words.join(" ").trim_end_matches(':').to_owned();
            }
            true
        }
        StepResult::Vote(vote) => vote.excluded.pop().is_some(),
        StepResult::Check(check) => {
            let data = check.data.as_mut();
            data.is_some_and(|data| data.classes.pop().is_some() || data.rejections.pop().is_some())
        }
        StepResult::Train(_) => false,
    }
}

/// `error: ...` on one line, short enough for a termination message.
pub fn error_line(failure: &Failure) -> String {
    let mut line = format!("error: {failure}").replace(|c: char| c.is_control(), " ");
    let mut end = MAX_ERROR_BYTES.min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use protocol::{
        job::{CheckResult, ClassCount, DataReport, ExcludedSeat, VoteResult},
        types::{B256, IncludedMask, ModelHash, Score},
    };

    use super::*;

    #[test]
    fn a_result_with_every_seat_left_out_still_fits() {
        let excluded = (0..50)
            .map(|seat| ExcludedSeat {
                seat,
                reason: format!("not fetched (not-found): {}", "x".repeat(100)),
            })
            .collect();
        let vote = VoteResult {
            aggregate: ModelHash::ZERO,
            score: Score::Against,
            mask: IncludedMask::default(),
            start_metric: "0.5".into(),
            aggregate_metric: "0.5".into(),
            excluded,
            fallback: None,
            unused: Vec::new(),
        };
        let result = JobResult {
            version: 1,
            identity_hash: B256::ZERO,
            outcome: StepResult::Vote(vote),
        };
        let line = line(result);
        assert!(
            line.len() <= MAX_RESULT_BYTES && line.len() > MAX_RESULT_BYTES - 100,
            "{}",
            line.len()
        );
        let back: JobResult = serde_json::from_str(&line).unwrap();
        let StepResult::Vote(vote) = back.outcome else {
            panic!("a vote is expected")
        };
        assert_eq!(vote.excluded[0].reason, "not fetched (not-found)");
    }

    #[test]
    fn a_check_of_many_classes_with_long_names_still_fits() {
        let class = |i: usize| ClassCount {
            name: format!("{i}{}", "n".repeat(120)),
            train: 4_000_000_000,
            test: 4_000_000_000,
        };
        let check = CheckResult {
            genesis_model: ModelHash::ZERO,
            train_samples: 1,
            test_samples: 1,
            classes: 16,
            device: "cpu".into(),
            data: Some(DataReport {
                rejections: vec!["r".repeat(100); 5],
                classes: (0..16).map(class).collect(),
                ..DataReport::default()
            }),
            base_model: None,
        };
        let line = line(JobResult {
            version: 1,
            identity_hash: B256::ZERO,
            outcome: StepResult::Check(check),
        });
        assert!(line.len() <= MAX_RESULT_BYTES, "{}", line.len());
        let back: JobResult = serde_json::from_str(&line).unwrap();
        let StepResult::Check(check) = back.outcome else {
            panic!("a check is expected")
        };
        let data = check.data.unwrap();
        assert!(data.classes.len() >= 5 && data.rejections.len() == 5);
    }

    #[test]
    fn an_error_is_one_short_line() {
        let failure = Failure::Gateway(GatewayError::Network("ü\n".repeat(1000)));
        let line = error_line(&failure);
        assert!(line.starts_with("error: gateway: ") && line.len() <= MAX_ERROR_BYTES && !line.contains('\n'));
    }
}
