//! Carrying out a decision: first what stays in the cluster, then the transactions, one after the other.

use std::time::Duration;

use crds::conditions::reason;
use protocol::{
    action::{Action, Decision, JobRequest, Transaction},
    client::JobState,
    job::Step,
    types::{Amount, ModelHash, Timestamp},
};

use super::{
    ClientError,
    events::{self, Events},
    jobs::{
        prepare::{PrepareError, prepare},
        retry,
    },
    ledger::Ledger,
    observe::{Observed, wait_until},
    problem::Problem,
    stored_vote::vote_key,
};
use crate::{
    chain::{ChainError, Mined},
    cluster::{ClusterError, Created, Key},
    controller::{context::Context, patience::poke},
    gateway::{Owner, StoreError},
};

/// How soon to look again at what a person must mend outside the cluster.
const RETRY: Duration = Duration::from_secs(15);

/// Gas of the calls of one round, generously: approve and stake, join, contribute or commit and reveal, and a settlement.
const ROUND_GAS: u128 = 1_500_000;

/// What came of acting.
#[derive(Debug, Default)]
pub(super) struct Acted {
    /// Something changed that the next decision must see: look again at once.
    pub(super) again: bool,
    /// Look again after this even if nothing wakes us.
    pub(super) wait: Option<Duration>,
    /// What went wrong, the first thing only.
    pub(super) problem: Option<Problem>,
    /// The newest block one of our transactions is in.
    pub(super) mined_block: Option<u64>,
}

impl Acted {
    fn wait_at_most(&mut self, pause: Duration) {
        self.wait = Some(self.wait.map_or(pause, |wait| wait.min(pause)));
    }

    fn trouble(&mut self, problem: Problem, pause: Duration) {
        self.problem.get_or_insert(problem);
        self.wait_at_most(pause);
    }
}

/// Everything but transactions. These take no longer than a call.
pub(super) async fn locally(
    observed: &Observed,
    decision: &Decision,
    ctx: &Context,
    events: &Events<'_>,
) -> Result<Acted, ClientError> {
    let mut acted = Acted::default();
    for action in &decision.actions {
        match action {
            Action::DeleteJob { name } => {
                delete_job(observed, name, ctx).await?;
                // It may be wanted again.
                acted.wait_at_most(Duration::from_secs(1));
            }
            Action::RecordVote(vote) => {
                Ledger::new(ctx).record(&vote_key(observed), vote).await?;
                acted.again = true;
            }
            Action::StartJob(request) if !observed.view.suspended => {
                start_job(observed, request, ctx, events, &mut acted).await?;
            }
            Action::Publish { model } if !observed.view.suspended => publish(observed, *model, ctx, &mut acted).await,
            Action::WaitUntil(at) => {
                // Chain time may lag behind the wall clock by a block: never spin on a moment that has passed.
                let pause = wait_until(observed.view.now, *at).max(block_pause(observed));
                acted.wait_at_most(pause);
            }
            Action::StartJob(_) | Action::Publish { .. } | Action::Send(_) | Action::Stop(_) => {}
        }
    }
    if observed.view.suspended {
        end_everything(observed, ctx).await?;
    } else {
        retry_check(observed, ctx, &mut acted).await?;
    }
    Ok(acted)
}

/// The decision's transactions, until one of them changed the chain or could not be sent.
pub(super) async fn send(
    observed: &Observed,
    decision: &Decision,
    ctx: &Context,
    events: &Events<'_>,
) -> Result<Acted, ClientError> {
    let mut acted = Acted::default();
    if observed.view.suspended {
        return Ok(acted);
    }
    for action in &decision.actions {
        let Action::Send(transaction) = action else { continue };
        if let Some(problem) = no_funds(observed, transaction).await? {
            acted.trouble(problem, RETRY);
            continue;
        }
        let (sender, task) = (observed.sender.as_ref(), observed.snapshot.task);
        let outcome = if transaction.is_poke() {
            let block = block_pause(observed);
            let Some(outcome) = poke(sender, task, transaction, ctx.clock.as_ref(), block).await else {
                acted.wait_at_most(block);
                continue;
            };
            outcome
        } else {
            sender.send(task, transaction, deadline(observed, transaction)).await
        };
        count(observed, transaction, &outcome, ctx);
        match outcome {
            Ok(mined) if mined.success => {
                events.sent(transaction, &mined).await;
                acted.mined_block = Some(mined.block);
                acted.again = true;
                return Ok(acted);
            }
            Ok(mined) => {
                // Another transaction came between estimate and block; the next block shows what is true now.
                acted.mined_block = Some(mined.block);
                acted.trouble(
                    reverted(transaction, "it was mined and reverted"),
                    block_pause(observed),
                );
                return Ok(acted);
            }
            Err(error) => not_sent(observed, transaction, error, &mut acted)?,
        }
    }
    Ok(acted)
}

fn not_sent(
    observed: &Observed,
    transaction: &Transaction,
    error: ChainError,
    acted: &mut Acted,
) -> Result<(), ClientError> {
    let address = observed.view.participant;
    let name = transaction.name();
    let next_block = block_pause(observed);
    match error {
        // Somebody else was quicker with what anyone may send.
        ChainError::Reverted { .. } if transaction.is_poke() => acted.wait_at_most(next_block),
        ChainError::Reverted { reason } => acted.trouble(reverted(transaction, &reason), next_block),
        ChainError::LowFunds { balance, needed, .. } => acted.trouble(
            Problem::new(
                reason::LOW_FUNDS,
                format!("{address} holds {balance} wei, {name} needs {needed}: send native coin to {address}"),
            ),
            RETRY,
        ),
        ChainError::FeeCap { .. } => {
            acted.trouble(
                Problem::new(reason::FEE_CAP_REACHED, format!("{name} is not sent: {error}")),
                next_block,
            );
        }
        ChainError::ForeignPending { .. } => {
            acted.trouble(
                Problem::new(reason::FOREIGN_TRANSACTION, format!("{name} waits: {error}")),
                next_block,
            );
        }
        ChainError::NotSigned(_) => {
            acted.trouble(
                Problem::new(reason::NOT_SIGNED, format!("{name} is {error}")),
                next_block,
            );
        }
        // The effect is looked for on chain before anything is sent again.
        ChainError::NotMined(_) | ChainError::Fenced(_) => acted.wait_at_most(next_block),
        other => return Err(other.into()),
    }
    Ok(())
}

fn reverted(transaction: &Transaction, why: &str) -> Problem {
    Problem::new(
        reason::TRANSACTION_REVERTED,
        format!(
            "the contract refuses {}: {why}; decided anew at the next block",
            transaction.name()
        ),
    )
}

/// Whether the key cannot pay. Before anything is staked or joined it must be able to pay for a whole round: once drawn,
/// a call that cannot be paid costs stake.
async fn no_funds(observed: &Observed, transaction: &Transaction) -> Result<Option<Problem>, ClientError> {
    let address = observed.view.participant;
    let Some(account) = observed.snapshot.account(address) else {
        return Ok(None);
    };
    let enters = matches!(
        transaction,
        Transaction::Approve { .. } | Transaction::Stake { .. } | Transaction::JoinRound { .. }
    );
    let needed = if enters {
        Amount::from(observed.sender.price().await?.saturating_mul(ROUND_GAS))
    } else {
        Amount::from(1)
    };
    Ok((account.native_balance < needed).then(|| {
        Problem::new(
            reason::LOW_FUNDS,
            format!(
                "{address} holds {} wei, {} is not sent below {needed} (the gas of a round): send native coin to {address}",
                account.native_balance,
                transaction.name()
            ),
        )
    }))
}

/// By when a transaction must be mined, so that the sender knows what is urgent.
fn deadline(observed: &Observed, transaction: &Transaction) -> Option<Timestamp> {
    let round = &observed.snapshot.round;
    match transaction {
        Transaction::Contribute { .. } => round.propose_deadline,
        Transaction::CommitVote { .. } => round.commit_deadline,
        Transaction::RevealVote { .. } => round.reveal_deadline,
        Transaction::JoinRound { .. } => Some(round.join_deadline),
        _ => None,
    }
}

fn count(observed: &Observed, transaction: &Transaction, outcome: &Result<Mined, ChainError>, ctx: &Context) {
    let label = match outcome {
        Ok(mined) if mined.success => "mined",
        Ok(_) => "failed",
        Err(error) => error.category(),
    };
    let chain = &observed.task.spec.chain_ref.name;
    ctx.metrics
        .transactions
        .with_label_values(&[chain, transaction.name(), label])
        .inc();
}

/// At least a second, at most a block: the state is not going to be another one before.
fn block_pause(observed: &Observed) -> Duration {
    Duration::from_secs(observed.view.block_time.clamp(1, 30))
}

async fn start_job(
    observed: &Observed,
    request: &JobRequest,
    ctx: &Context,
    events: &Events<'_>,
    acted: &mut Acted,
) -> Result<(), ClientError> {
    let objects = match prepare(observed, request, ctx).await {
        Ok(objects) => objects,
        Err(PrepareError::Chain(error)) => return Err(error.into()),
        Err(PrepareError::Problem(problem)) => {
            acted.trouble(problem, RETRY);
            return Ok(());
        }
    };
    let namespace = &observed.client.key.namespace;
    // The Secret first: a pod without its input would wait for the kubelet's next try.
    let wrote = async {
        if ctx.cluster.create_secret(namespace, &objects.secret).await? == Created::Existed {
            // Left by a process that died before it made the Job, perhaps long ago: its token may have expired.
            let key = Key::new(namespace, objects.secret.metadata.name.clone().unwrap_or_default());
            ctx.cluster.delete_secret(&key).await?;
            ctx.cluster.create_secret(namespace, &objects.secret).await?;
        }
        ctx.cluster.create_job(namespace, &objects.job).await
    };
    match wrote.await {
        Ok(Created::New) => {
            let name = objects.job.metadata.name.unwrap_or_default();
            ctx.metrics
                .jobs
                .with_label_values(&[namespace, request.identity.step.as_str(), "started"])
                .inc();
            events.job_started(&name, request).await;
        }
        Ok(Created::Existed) => {}
        Err(ClusterError::Terminating(why)) => {
            // Reveals and commitments that need no further Job still go out.
            let problem = Problem::new(reason::POD_NOT_ADMITTED, format!("no new Job is possible: {why}"));
            acted.trouble(problem, RETRY);
        }
        Err(ClusterError::Invalid(why)) => {
            let problem = Problem::new(
                reason::POD_NOT_ADMITTED,
                format!("the API server refuses the trainer's Job: {why}; correct spec.trainer"),
            );
            acted.trouble(problem, RETRY);
        }
        Err(error) => return Err(error.into()),
    }
    // Whether the pod starts is looked at soon.
    acted.wait_at_most(Duration::from_secs(5));
    Ok(())
}

async fn delete_job(observed: &Observed, name: &str, ctx: &Context) -> Result<(), ClientError> {
    let key = Key::new(&observed.client.key.namespace, name);
    let job = observed.view.jobs.iter().find(|job| job.name == name);
    let runs = job.is_some_and(|job| matches!(job.state, JobState::Pending | JobState::Running));
    if runs {
        // A pod about to start must not lose its input and count as failed.
        ctx.cluster.delete_job(&key).await?;
        ctx.cluster.delete_secret(&key).await?;
    } else {
        // Only the Job is ever listed: if this ends in between, the Secret must not be what is left.
        ctx.cluster.delete_secret(&key).await?;
        ctx.cluster.delete_job(&key).await?;
    }
    Ok(())
}

async fn publish(observed: &Observed, model: ModelHash, ctx: &Context, acted: &mut Acted) {
    let owner = Owner {
        chain: observed.snapshot.chain_id,
        task: observed.snapshot.task,
        participant: observed.view.participant,
    };
    match ctx.store.publish(owner, model).await {
        Ok(()) => {}
        // Voted without an aggregate of our own (the start model), or the store was replaced: others hold it too.
        Err(StoreError::Missing(_)) => {}
        Err(error) => {
            let reason = if matches!(error, StoreError::Full) {
                reason::STORE_FULL
            } else {
                reason::STORE_UNREACHABLE
            };
            acted.trouble(
                Problem::new(reason, format!("model {model} is not published yet: {error}")),
                RETRY,
            );
        }
    }
}

/// A suspended task does nothing at all: what runs is ended.
async fn end_everything(observed: &Observed, ctx: &Context) -> Result<(), ClientError> {
    for job in &observed.view.jobs {
        if matches!(job.state, JobState::Pending | JobState::Running) {
            delete_job(observed, &job.name, ctx).await?;
        }
    }
    Ok(())
}

/// A check that failed is made again after a while, and at once when spec or definition changed (another identity).
async fn retry_check(observed: &Observed, ctx: &Context, acted: &mut Acted) -> Result<(), ClientError> {
    let since = events::failing_since(&observed.object);
    for job in observed.jobs.iter().filter(|job| job.identity.step == Step::Check) {
        let (JobState::Failed { .. }, Some(failed_at)) = (&job.state, job.failed_at) else {
            continue;
        };
        let next = retry::next_try(since.unwrap_or(failed_at), failed_at);
        if next <= observed.view.now {
            delete_job(observed, &job.name, ctx).await?;
            acted.wait_at_most(Duration::from_secs(1));
        } else {
            acted.wait_at_most(wait_until(observed.view.now, next));
        }
    }
    Ok(())
}
