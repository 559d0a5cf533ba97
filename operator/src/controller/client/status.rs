//! FLClient status: pure. The same snapshot, Jobs and decision give the same status, so that nothing is written while
//! nothing happens.

use crds::{
    Condition, FLClient, FLClientStatus, Time,
    conditions::{self, ConditionStatus, NewCondition, reason, types},
    flclient::{ClientTotals, ExpectedSettlement, LedgerStatus},
    names, rfc3339,
};
use protocol::{
    action::{Action, ClientStep, Decision, StopReason},
    client::JobState,
    job::{Step, StepResult},
    outlook,
    snapshot::TaskSnapshot,
    types::{Address, Phase, Timestamp},
};

use super::{
    audit,
    duty::{self, Duty},
    hold::Hold,
    observe::{Observed, check_identity},
    problem::Problem,
    results::{last_training, last_vote, preflight},
    running,
};

/// Status while something stands in the way of deciding anything; what was known stays.
pub(super) fn held(object: &FLClient, hold: &Hold, now: Timestamp) -> FLClientStatus {
    let mut status = object.status.clone().unwrap_or_default();
    let mut set = Setter::new(object, &mut status, now);
    let Problem { reason, message } = &hold.problem;
    set.put(types::READY, false, reason, message);
    if let Some(condition) = hold.condition {
        set.put(condition, false, reason, message);
    }
    set.progress(false, hold.stalled, reason, message);
    status
}

/// Status of a client whose task, chain and key are at hand. `problem`: what went wrong while acting.
pub(super) fn following(
    observed: &Observed,
    decision: &Decision,
    problem: Option<&Problem>,
    totals: Option<&ClientTotals>,
) -> FLClientStatus {
    let before = &observed.object.status.clone().unwrap_or_default();
    let snapshot = &observed.snapshot;
    let address = observed.view.participant;
    let account = snapshot.account(address);
    let duty = duty::of(snapshot, address);
    let stop = stop_problem(observed, decision);
    let mut status = FLClientStatus {
        address: Some(address),
        stake: account.map(|account| account.stake_left),
        claimable: account.map(|account| account.claimable),
        expected: expected(snapshot, address),
        role: snapshot.participant(address).map(|us| us.role),
        step: Some(decision.step.as_str().to_owned()),
        round: Some(snapshot.round.round.0),
        duty_deadline: duty.and_then(|duty| duty.deadline).and_then(rfc3339),
        totals: totals.cloned().or_else(|| before.totals.clone()),
        last_vote: last_vote(&observed.jobs).or_else(|| before.last_vote.clone()),
        last_training: last_training(&observed.jobs).or_else(|| before.last_training.clone()),
        preflight: preflight(observed).or_else(|| before.preflight.clone()),
        running: running::of(observed, before),
        ledger: Some(observed.ledger.clone()).filter(|ledger| *ledger != LedgerStatus::default()),
        stopped: stop.as_ref().map(|stop| stop.reason.to_owned()),
        ..before.clone()
    };
    let elsewhere = audit::problem(observed);
    let mut set = Setter::new(&observed.object, &mut status, observed.view.now);
    match &elsewhere {
        Some(problem) => set.put(types::SIGNER_AVAILABLE, false, problem.reason, &problem.message),
        None => {
            let message = format!("the key of {address}");
            set.put(types::SIGNER_AVAILABLE, true, reason::SUCCEEDED, &message);
        }
    }
    funded(&mut set, stop.as_ref().or(problem));
    let job = job_problem(observed, decision.step);
    check(&mut set, observed, decision.step);
    pending(&mut set, observed);
    let passing = problem.or(job.as_ref());
    let trouble = stop.as_ref().or(passing).or(elsewhere.as_ref());
    at_risk(&mut set, observed, duty, trouble);
    let stalled = stop.is_some() || (elsewhere.is_some() && passing.is_none());
    ready(&mut set, observed, decision, duty, trouble, stalled);
    status
}

/// What the contract would do to this account's money if the round ended now.
fn expected(snapshot: &TaskSnapshot, address: Address) -> Option<ExpectedSettlement> {
    let outlook = outlook::of(snapshot)?;
    let (slash, reward) = outlook.of(snapshot, address)?;
    Some(ExpectedSettlement {
        outcome: outlook.outcome,
        reward,
        slash,
    })
}

/// What only a person can resolve.
fn stop_problem(observed: &Observed, decision: &Decision) -> Option<Problem> {
    let address = observed.view.participant;
    let stop = decision.actions.iter().find_map(|action| match action {
        Action::Stop(reason) => Some(reason),
        _ => None,
    })?;
    Some(match stop {
        StopReason::ForeignCommitment { commitment } => Problem::new(
            reason::FOREIGN_COMMITMENT,
            format!(
                "the chain holds commitment {commitment} of {address}, which this operator's vote ledger does not know: \
                 is the key used elsewhere? Otherwise restore the operator's Secrets from a backup"
            ),
        ),
        StopReason::GenesisMismatch { derived } => Problem::new(
            reason::GENESIS_MISMATCH,
            format!(
                "the definition gives genesis model {derived} here, the chain says {}: do not join",
                observed.snapshot.parameters.genesis_model
            ),
        ),
        StopReason::NotAllowed => Problem::new(
            reason::NOT_ALLOWED,
            format!(
                "{address} is not on the task's allow list: ask the creator {}",
                observed.snapshot.state.creator
            ),
        ),
        StopReason::StakeBelowEntry { entry } => Problem::new(
            reason::STAKE_BELOW_ENTRY,
            format!(
                "spec.stake {} is below the task's entry stake: raise it to {entry}",
                observed.view.stake
            ),
        ),
        StopReason::NotEnoughTokens { balance } => Problem::new(
            reason::NOT_ENOUGH_TOKENS,
            format!(
                "{address} holds {balance} of token {}, spec.stake is {}: send it the rest",
                observed.snapshot.state.token, observed.view.stake
            ),
        ),
    })
}

fn funded(set: &mut Setter<'_>, problem: Option<&Problem>) {
    match problem.filter(|p| [reason::LOW_FUNDS, reason::NOT_ENOUGH_TOKENS].contains(&p.reason)) {
        Some(problem) => set.put(types::FUNDED, false, problem.reason, &problem.message),
        None => set.put(types::FUNDED, true, reason::SUCCEEDED, "the key can pay what is due"),
    }
}

/// The preflight's outcome. While a failed check runs again the failure stays on show.
fn check(set: &mut Setter<'_>, observed: &Observed, step: ClientStep) {
    let identity = check_identity(&observed.snapshot, &observed.view);
    let job = identity.job_name(&observed.client.key.name);
    let view = observed.view.jobs.iter().find(|job| job.identity == identity);
    let problem = observed
        .jobs
        .iter()
        .find(|seen| seen.name == job)
        .and_then(|seen| seen.problem.as_ref());
    if let Some(problem) = problem {
        return set.put(types::PREFLIGHT, false, problem.reason, &problem.message);
    }
    if let Some(JobState::Succeeded(result)) = view.map(|view| &view.state)
        && let StepResult::Check(check) = &result.outcome
    {
        let mut message = format!(
            "{} samples to train on, {} to test on, {} classes, on {}",
            check.train_samples, check.test_samples, check.classes, check.device
        );
        if let Some(data) = check.data.as_ref().filter(|data| data.rejected > 0) {
            message += &format!("; {} of {} records were rejected", data.rejected, data.records);
            if let Some(first) = data.rejections.first() {
                message += &format!(", the first: {first}");
            }
        }
        return set.put(types::PREFLIGHT, true, reason::SUCCEEDED, &message);
    }
    let before = conditions::find(set.conditions, types::PREFLIGHT);
    let failed_before = before.is_some_and(|c| c.status == "False" && c.observed_generation == set.generation);
    if (view.is_some() || step == ClientStep::Checking) && !failed_before {
        let message = format!("Job {job} checks image, data, definition and device");
        set.set(types::PREFLIGHT, ConditionStatus::Unknown, reason::CHECKING, &message);
    } else if before.is_none() {
        set.set(
            types::PREFLIGHT,
            ConditionStatus::Unknown,
            reason::WAITING,
            "no check Job has run yet",
        );
    }
}

fn pending(set: &mut Setter<'_>, observed: &Observed) {
    let held_up = observed
        .jobs
        .iter()
        .find(|job| job.state == JobState::Pending && job.problem.is_some());
    match held_up.and_then(|job| job.problem.as_ref().map(|problem| (job, problem))) {
        Some((job, problem)) => {
            set.put(
                types::JOB_PENDING,
                true,
                problem.reason,
                &format!("Job {}: {}", job.name, problem.message),
            );
        }
        None => set.remove(types::JOB_PENDING),
    }
}

/// The problem of the Job this step depends on.
fn job_problem(observed: &Observed, step: ClientStep) -> Option<Problem> {
    let wanted = match step {
        ClientStep::Checking => Step::Check,
        ClientStep::Training => Step::Train,
        ClientStep::Evaluating => Step::Vote,
        _ => return None,
    };
    let digest = match wanted {
        Step::Check => None,
        Step::Train => Some(observed.snapshot.round.draw_digest),
        Step::Vote => Some(observed.snapshot.round.round_digest),
    };
    observed
        .jobs
        .iter()
        .filter(|job| job.identity.step == wanted && job.identity.environment == observed.view.environment)
        .filter(|job| digest.is_none_or(|digest| job.identity.digest == digest))
        .find_map(|job| job.problem.clone())
}

fn at_risk(set: &mut Setter<'_>, observed: &Observed, duty: Option<Duty>, trouble: Option<&Problem>) {
    let due = duty.and_then(|duty| duty.deadline.map(|deadline| (duty.kind, deadline)));
    let cause = if observed.view.suspended {
        Some((reason::SUSPENDED, "the task is suspended".to_owned()))
    } else {
        trouble.map(|problem| (problem.reason, problem.message.clone()))
    };
    match (due, cause) {
        (Some((kind, deadline)), Some((reason, why))) => {
            let message = format!(
                "round {}: {} must be done {}, else stake is slashed; {why}",
                observed.snapshot.round.round,
                kind.as_str(),
                until(Some(deadline)).trim_start(),
            );
            set.put(types::DUTY_AT_RISK, true, reason, &message);
        }
        _ => set.remove(types::DUTY_AT_RISK),
    }
}

fn ready(
    set: &mut Setter<'_>,
    observed: &Observed,
    decision: &Decision,
    duty: Option<Duty>,
    trouble: Option<&Problem>,
    stopped: bool,
) {
    let sentence = sentence(observed, decision);
    let (ready, stalled, reason, message) = if observed.object.metadata.deletion_timestamp.is_some() {
        let message = match duty {
            Some(duty) => format!(
                "being deleted; first its duty to {} is done{}; to give it up, annotate with {}=true",
                duty.kind.as_str(),
                until(duty.deadline),
                names::ANNOTATION_ABANDON
            ),
            None => "being deleted".to_owned(),
        };
        (false, false, reason::DELETING, message)
    } else if observed.view.suspended {
        let risk = duty.map_or_else(String::new, |duty| {
            format!(
                "; its duty to {} is not done{}",
                duty.kind.as_str(),
                until(duty.deadline)
            )
        });
        (
            false,
            false,
            reason::SUSPENDED,
            format!("the FLTask is suspended: no Job, no transaction{risk}"),
        )
    } else if let Some(problem) = trouble {
        (false, stopped, problem.reason, problem.message.clone())
    } else {
        match decision.step {
            ClientStep::Removed => {
                let message = "too little stake was left after a slash: the contract removed this account; what is \
                               left is claimed at the end";
                (false, true, reason::REMOVED, message.to_owned())
            }
            ClientStep::Claimed => (
                true,
                false,
                reason::COMPLETED,
                "stake and rewards are claimed".to_owned(),
            ),
            ClientStep::Drained => (true, false, reason::DRAINED, sentence),
            ClientStep::Checking => (false, false, reason::CHECKING, sentence),
            ClientStep::Staking => (false, false, reason::IN_PROGRESS, sentence),
            ClientStep::Stopped => (false, true, reason::WAITING, sentence),
            _ => (true, false, reason::RUNNING, sentence),
        }
    };
    set.put(types::READY, ready, reason, &message);
    set.progress(ready, stalled, reason, &message);
}

/// What is awaited, and until when.
fn sentence(observed: &Observed, decision: &Decision) -> String {
    let round = observed.snapshot.round.round;
    match &decision.awaiting {
        Some(awaiting) => format!("{}{}", awaiting.what, until(awaiting.until)),
        None if observed.snapshot.state.phase == Phase::Ended => "the task has ended".to_owned(),
        None => format!("round {round}: {}", decision.step.as_str()),
    }
}

fn until(at: Option<Timestamp>) -> String {
    at.and_then(rfc3339)
        .map(|time| format!(" until {}", time.0))
        .unwrap_or_default()
}

/// Sets conditions of one status at one time and generation.
struct Setter<'a> {
    conditions: &'a mut Vec<Condition>,
    generation: Option<i64>,
    now: Time,
}

impl<'a> Setter<'a> {
    fn new(object: &FLClient, status: &'a mut FLClientStatus, now: Timestamp) -> Self {
        status.observed_generation = object.metadata.generation;
        Self {
            conditions: &mut status.conditions,
            generation: object.metadata.generation,
            now: rfc3339(now).unwrap_or_else(|| Time(Default::default())),
        }
    }

    fn set(&mut self, type_: &'static str, status: ConditionStatus, reason: &'static str, message: &str) {
        conditions::set(
            self.conditions,
            NewCondition::new(type_, status, reason, message),
            self.generation,
            &self.now,
        );
    }

    fn put(&mut self, type_: &'static str, status: bool, reason: &'static str, message: &str) {
        self.set(type_, status.into(), reason, message);
    }

    fn remove(&mut self, type_: &str) {
        conditions::remove(self.conditions, type_);
    }

    /// kstatus: `Stalled` if only a person can help, `Reconciling` if it is worked on, neither if all is well.
    fn progress(&mut self, ready: bool, stalled: bool, reason: &'static str, message: &str) {
        for (type_, present) in [
            (types::STALLED, !ready && stalled),
            (types::RECONCILING, !ready && !stalled),
        ] {
            if present {
                self.put(type_, true, reason, message);
            } else {
                self.remove(type_);
            }
        }
    }
}
