//! Result lines as a trainer writes them.

use protocol::{
    job::{CheckResult, DOCUMENT_VERSION, JobIdentity, JobResult, StepResult, TrainResult, VoteResult},
    types::{B256, IncludedMask, ModelHash, Score},
};

pub(crate) fn model(byte: u8) -> ModelHash {
    ModelHash(B256::repeat_byte(byte))
}

pub(crate) fn result_line(identity: &JobIdentity, outcome: StepResult) -> String {
    let result = JobResult {
        version: DOCUMENT_VERSION,
        identity_hash: identity.hash(),
        outcome,
    };
    serde_json::to_string(&result).expect("a result is JSON")
}

pub(crate) fn checked() -> StepResult {
    StepResult::Check(CheckResult {
        genesis_model: model(0x60),
        train_samples: 800,
        test_samples: 200,
        classes: 10,
        device: "cpu".to_owned(),
        data: None,
        base_model: None,
    })
}

pub(crate) fn trained() -> StepResult {
    StepResult::Train(TrainResult {
        model: model(0xaa),
        epochs: 1,
        steps: 13,
        loss: "0.5".to_owned(),
        test_metric: "0.8".to_owned(),
        seconds: "3".to_owned(),
        stopped_early: false,
        privacy: None,
        resumed_from: None,
    })
}

pub(crate) fn voted(aggregate: ModelHash, score: Score) -> StepResult {
    StepResult::Vote(VoteResult {
        aggregate,
        score,
        mask: IncludedMask(0b11),
        start_metric: "0.7".to_owned(),
        aggregate_metric: "0.8".to_owned(),
        excluded: Vec::new(),
        fallback: None,
        unused: Vec::new(),
    })
}
