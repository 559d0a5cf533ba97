//! One participant's site: what survives there (the ledger), what may get lost (Jobs), and how it carries decisions out.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use protocol::{
    action::{Action, Decision, JobRequest, Transaction},
    client::{ClientView, JobState, JobView, LedgerEntry},
    job::{CheckResult, DOCUMENT_VERSION, JobResult, Step, StepResult, TrainResult, VoteResult},
    snapshot::TaskSnapshot,
    types::{Address, B256, Commitment, IncludedMask, ModelHash, RoundDigest, Score, Timestamp},
};

use crate::{
    STAKE,
    chain::{CHAIN_ID, Signed},
};

#[derive(Debug, Clone)]
pub(crate) struct Job {
    view: JobView,
    done_at: u64,
    fate: JobState,
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) address: Address,
    pub(crate) suspended: bool,
    pub(crate) draining: bool,
    pub(crate) environment: u8,
    pub(crate) offline_until: u64,
    /// How many blocks old the state is that this site reads.
    pub(crate) lag: usize,
    /// The block of the last transaction of this site: it never decides on older state. Without this rule a site that
    /// reads late would stake twice.
    pub(crate) not_before: u64,
    pub(crate) skew: i64,
    /// Blocks until a transaction is mined.
    pub(crate) delay: u64,
    /// Blocks until a Job is done.
    pub(crate) job_blocks: u64,
    /// How the next Jobs end instead of succeeding: `retry`.
    pub(crate) failures: Vec<bool>,
    /// Re-runs of a vote give another result.
    pub(crate) flaky: u8,
    pub(crate) poke_delay: Option<u64>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) ledger: Vec<LedgerEntry>,
    pub(crate) in_flight: Option<(Signed, u64)>,
    /// Every commitment ever sent, by round and digest.
    pub(crate) committed: BTreeMap<(u32, RoundDigest), Commitment>,
}

impl Site {
    pub(crate) fn new(index: u8) -> Self {
        Self {
            address: Address::repeat_byte(index + 1),
            suspended: false,
            draining: false,
            environment: 0,
            offline_until: 0,
            lag: 0,
            not_before: 0,
            skew: 0,
            delay: 1,
            job_blocks: 2,
            failures: Vec::new(),
            flaky: 0,
            poke_delay: Some(2 * u64::from(index)),
            jobs: Vec::new(),
            ledger: Vec::new(),
            in_flight: None,
            committed: BTreeMap::new(),
        }
    }

    pub(crate) fn view(&self, snapshot: &TaskSnapshot, head: u64, head_time: u64, confirmations: u64) -> ClientView {
        ClientView {
            participant: self.address,
            stake: STAKE.into(),
            suspended: self.suspended,
            draining: self.draining,
            environment: B256::repeat_byte(self.environment),
            jobs: self.jobs.iter().map(|job| job.at(head)).collect(),
            ledger: self
                .ledger
                .iter()
                .filter(|e| e.round == snapshot.round.round)
                .cloned()
                .collect(),
            confirmed_block: snapshot.block.number.saturating_sub(confirmations),
            now: Timestamp(head_time.saturating_add_signed(self.skew)),
            block_time: 1,
            poke_delay: self.poke_delay,
            claim: true,
        }
    }

    /// Carries a decision out; returns the transaction it puts in flight.
    pub(crate) fn carry_out(
        &mut self,
        decision: &Decision,
        head: u64,
        genesis: ModelHash,
        sign: impl Fn(&Transaction) -> Option<Signed>,
    ) {
        for action in &decision.actions {
            match action {
                Action::StartJob(request) => self.start(request, head, genesis),
                Action::DeleteJob { name } => self.jobs.retain(|job| &job.view.name != name),
                Action::RecordVote(vote) => {
                    let entry = vote.entry(CHAIN_ID, crate::chain::task(), self.address, &[self.address[0]; 32]);
                    if !self.ledger.iter().any(|e| e.key() == entry.key()) {
                        self.ledger.push(entry);
                    }
                }
                Action::Send(transaction) if self.in_flight.is_none() => {
                    self.in_flight = sign(transaction).map(|signed| (signed, head + self.delay));
                }
                Action::Send(_) | Action::Publish { .. } | Action::WaitUntil(_) | Action::Stop(_) => {}
            }
        }
    }

    fn start(&mut self, request: &JobRequest, head: u64, genesis: ModelHash) {
        let identity = request.identity.clone();
        let name = identity.job_name("client");
        assert!(
            self.jobs.iter().all(|job| job.view.name != name),
            "{name} is started twice"
        );
        let result = JobResult {
            version: DOCUMENT_VERSION,
            identity_hash: identity.hash(),
            outcome: match identity.step {
                Step::Check => StepResult::Check(CheckResult {
                    genesis_model: genesis,
                    train_samples: 100,
                    test_samples: 20,
                    classes: 10,
                    device: "cpu".into(),
                    data: None,
                    base_model: None,
                }),
                Step::Train => StepResult::Train(TrainResult {
                    model: ModelHash(identity.hash()),
                    epochs: 1,
                    steps: 1,
                    loss: "1".into(),
                    test_metric: "0.5".into(),
                    seconds: "1".into(),
                    stopped_early: false,
                    privacy: None,
                    resumed_from: None,
                }),
                Step::Vote => {
                    let seats = identity
                        .seats
                        .iter()
                        .enumerate()
                        .filter(|(_, seat)| seat.contribution.is_some());
                    let mask = seats.fold(IncludedMask::default(), |mask, (k, _)| mask.with(k));
                    let aggregate = keccak256([identity.digest.0.as_slice(), &[self.flaky]].concat());
                    StepResult::Vote(VoteResult {
                        aggregate: ModelHash(aggregate),
                        score: Score::For,
                        mask,
                        start_metric: "0.5".into(),
                        aggregate_metric: "0.6".into(),
                        excluded: vec![],
                        fallback: None,
                        unused: vec![],
                    })
                }
            },
        };
        let fate = match self.failures.pop() {
            Some(retry) => JobState::Failed { retry },
            None => JobState::Succeeded(Box::new(result)),
        };
        let view = JobView {
            name,
            identity,
            state: JobState::Pending,
        };
        self.jobs.push(Job {
            view,
            done_at: head + self.job_blocks,
            fate,
        });
    }
}

impl Job {
    fn at(&self, head: u64) -> JobView {
        let state = if head >= self.done_at {
            self.fate.clone()
        } else {
            JobState::Running
        };
        JobView {
            state,
            ..self.view.clone()
        }
    }
}
