//! Jobs: which computation is wanted, what became of it, and which nobody wants any more.

use super::context::{Context, Plan};
use crate::{
    action::{Action, JobRequest},
    client::JobState,
    job::{JobIdentity, JobResult, Seat, Step},
    snapshot::ParticipantState,
    types::{ModelHash, Phase, Round, RoundDigest, Timestamp},
};

/// Finished Jobs of this many rounds before the current one are kept for people to look at.
const ROUNDS_KEPT: u32 = 2;

impl Context<'_> {
    /// The preflight: it depends on definition and environment only, so one success serves many rounds.
    pub(super) fn check_identity(&self) -> JobIdentity {
        self.identity(Step::Check, Round(0), ModelHash::ZERO, RoundDigest::ZERO, Vec::new())
    }

    pub(super) fn train_identity(&self) -> JobIdentity {
        let round = &self.snapshot.round;
        self.identity(
            Step::Train,
            round.round,
            round.start_model,
            round.draw_digest,
            Vec::new(),
        )
    }

    pub(super) fn vote_identity(&self) -> JobIdentity {
        let round = &self.snapshot.round;
        let seats = self.snapshot.proposers().map(seat).collect();
        self.identity(Step::Vote, round.round, round.start_model, round.round_digest, seats)
    }

    fn identity(
        &self,
        step: Step,
        round: Round,
        start_model: ModelHash,
        digest: RoundDigest,
        seats: Vec<Seat>,
    ) -> JobIdentity {
        JobIdentity {
            chain_id: self.snapshot.chain_id,
            task: self.snapshot.task,
            participant: self.view.participant,
            step,
            definition: self.snapshot.parameters.definition_hash,
            round,
            start_model,
            digest,
            seats,
            environment: self.view.environment,
        }
    }
}

fn seat(proposer: &ParticipantState) -> Seat {
    Seat {
        proposer: proposer.account,
        sample_count: proposer.sample_count,
        contribution: proposer.contribution,
    }
}

/// What became of a wanted Job.
pub(super) enum Progress<'a> {
    /// Asked for now, or asked for before and not finished.
    Running,
    Done(&'a JobResult),
    /// It will not be tried again.
    Failed,
    /// There is none, and it is too late to start it.
    TooLate,
}

/// Finds the Job or asks for it. A Job that failed for a reason that may go away is deleted, and so started again at the
/// next look. A result counts only if it answers exactly this input.
pub(super) fn require<'a>(
    cx: &Context<'a>,
    plan: &mut Plan,
    identity: JobIdentity,
    finish_by: Timestamp,
    fetch_until: Timestamp,
) -> Progress<'a> {
    let in_time = finish_by > cx.clock.late();
    let Some(job) = cx.view.jobs.iter().find(|job| job.identity == identity) else {
        if !in_time {
            return Progress::TooLate;
        }
        plan.want(identity.clone());
        plan.act(Action::StartJob(JobRequest {
            identity,
            finish_by,
            fetch_until,
        }));
        return Progress::Running;
    };
    match &job.state {
        JobState::Pending | JobState::Running => {
            plan.want(identity);
            Progress::Running
        }
        JobState::Succeeded(result) => {
            let answers = result.identity_hash == identity.hash();
            plan.want(identity);
            if answers {
                Progress::Done(result)
            } else {
                Progress::Failed
            }
        }
        JobState::Failed { retry: true } if in_time => {
            plan.retry(&job.name);
            Progress::Running
        }
        JobState::Failed { .. } => {
            plan.want(identity);
            Progress::Failed
        }
    }
}

/// Deletes Jobs of the current round with another input (a reorg, a changed trainer), Jobs of rounds that do not exist,
/// unfinished Jobs that serve no purpose any more, and finished ones beyond the last few rounds.
pub(super) fn delete_unwanted(cx: &Context<'_>, plan: &mut Plan) {
    let current = cx.snapshot.state.current_round;
    let ended = cx.phase() == Phase::Ended;
    let (check, train, vote) = (cx.check_identity(), cx.train_identity(), cx.vote_identity());
    for job in &cx.view.jobs {
        let id = &job.identity;
        let finished = matches!(job.state, JobState::Succeeded(_) | JobState::Failed { .. });
        let of_an_earlier_round = || {
            id.step != Step::Check
                && (id.chain_id, id.task, id.participant) == (check.chain_id, check.task, check.participant)
                && (id.round < current || ended)
                && id.round.0.saturating_add(ROUNDS_KEPT) >= current.0
        };
        let of_interest = finished && ([&check, &train, &vote].contains(&id) || of_an_earlier_round());
        if !plan.wants(id) && !of_interest && !plan.retries(&job.name) {
            plan.act(Action::DeleteJob { name: job.name.clone() });
        }
    }
}
