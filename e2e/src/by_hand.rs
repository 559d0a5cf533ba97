//! A participant without any operator: its own key, the chain by plain calls, the shared store by plain files, and the
//! trainer as a program. It knows nothing of the cluster.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy::primitives::{Address, B256, U256};
use anyhow::{Context, Result, bail, ensure};
use operator::{
    admin::Account,
    chain::bindings::{FlockTask, token::FlockToken},
};
use protocol::{
    commitment::Vote,
    job::{
        DOCUMENT_VERSION, DataFormat, Device, INPUT_FILE, JobIdentity, JobInput, JobResult, Seat, Step, StepResult,
        VoteResult,
    },
    snapshot::TaskSnapshot,
    types::{ModelHash, Phase, Role, Round, RoundDigest, Timestamp},
};

use crate::{
    depot::STORE,
    devnet::Devnet,
    key::TestKey,
    trainer::trainer,
    wait::{Look, until},
};

/// Longest wait for anything in a round.
const PATIENCE: Duration = Duration::from_secs(300);

/// One participant of one task.
#[derive(Debug)]
pub struct ByHand<'a> {
    devnet: &'a Devnet,
    key: TestKey,
    account: Account,
    task: Address,
    /// Folder with its records.
    data: PathBuf,
    /// The trainer's `file://` gateway: what it reads must be here, what it writes ends here.
    desk: tempfile::TempDir,
    /// The definition as it lies in the store.
    definition: String,
}

impl<'a> ByHand<'a> {
    /// Reads the definition from the store, by the hash on chain.
    pub async fn new(devnet: &'a Devnet, key: TestKey, task: Address, data: PathBuf) -> Result<Self> {
        let now = devnet.snapshot(task, None, &[]).await?;
        let hash = ModelHash(now.parameters.definition_hash.0);
        let stored = devnet.depot.stored(now.chain_id, hash)?;
        let definition = String::from_utf8(stored.context("the definition is not in the store")?)?;
        Ok(Self {
            devnet,
            account: devnet.account(&key).await?,
            key,
            task,
            data,
            desk: tempfile::tempdir()?,
            definition,
        })
    }

    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Stakes, takes part in every round until the task has ended, and claims.
    pub async fn take_part(&self, stake: u128) -> Result<()> {
        let amount = U256::from(stake);
        let approve = FlockToken::approveCall {
            spender: self.task,
            value: amount,
        };
        self.account.call(self.devnet.token(), approve).await?;
        self.account.call(self.task, FlockTask::stakeCall { amount }).await?;
        let rounds = self
            .devnet
            .snapshot(self.task, None, &[])
            .await?
            .parameters
            .total_rounds;
        for round in 0..rounds {
            self.round(round)
                .await
                .with_context(|| format!("round {round} by hand"))?;
        }
        self.account.call(self.task, FlockTask::claimRewardsCall {}).await?;
        Ok(())
    }

    async fn until(&self, what: &str, round: u32, ready: impl Fn(&TaskSnapshot) -> bool) -> Result<TaskSnapshot> {
        until(&format!("{what} of round {round}"), PATIENCE, || async {
            let now = self.devnet.snapshot(self.task, None, &[]).await?;
            let passed = now.round.round.0 > round || now.state.phase == Phase::Ended;
            if !passed && !ready(&now) {
                return Ok(Look::Not(format!("{:?}", now.round.phase)));
            }
            let settled = self.devnet.snapshot(self.task, Some(round), &[]).await?;
            Ok(Look::Done(settled))
        })
        .await
    }

    async fn round(&self, round: u32) -> Result<()> {
        self.until("joining", round, |s| s.round.round.0 == round).await?;
        let join = FlockTask::joinRoundCall {
            round: U256::from(round),
            sampleCount: 300,
        };
        self.account.call(self.task, join).await?;
        let drawn = self.until("the draw", round, |s| s.round.drawn_at.is_some()).await?;
        let role = drawn
            .participant(self.address())
            .context("not among the participants")?
            .role;
        match role {
            Role::Proposer => self.propose(&drawn).await?,
            Role::Voter => self.vote(round).await?,
            Role::None => bail!("drawn without a role"),
        }
        self.until("the settlement", round, |s| s.round.settled).await.map(drop)
    }

    async fn propose(&self, drawn: &TaskSnapshot) -> Result<()> {
        let identity = self.identity(drawn, Step::Train, drawn.round.draw_digest, Vec::new());
        let deadline = drawn.round.propose_deadline.context("no deadline")?;
        let StepResult::Train(trained) = self.run(drawn, identity, deadline)? else {
            bail!("the trainer answered something else");
        };
        self.publish(trained.model)?;
        let call = FlockTask::contributeCall {
            round: U256::from(drawn.round.round.0),
            drawDigest: drawn.round.draw_digest.0,
            modelHash: trained.model.0,
        };
        self.account.call(self.task, call).await?;
        Ok(())
    }

    async fn vote(&self, round: u32) -> Result<()> {
        let open = self
            .until("the commit window", round, |s| s.round.phase == Phase::Commit)
            .await?;
        let seats: Vec<Seat> = open
            .proposers()
            .map(|p| Seat {
                proposer: p.account,
                sample_count: p.sample_count,
                contribution: p.contribution,
            })
            .collect();
        for hash in seats.iter().filter_map(|seat| seat.contribution) {
            self.fetch(open.chain_id, hash)?;
        }
        let deadline = open.round.commit_deadline.context("no deadline")?;
        let identity = self.identity(&open, Step::Vote, open.round.round_digest, seats);
        let StepResult::Vote(vote) = self.run(&open, identity, deadline)? else {
            bail!("the trainer answered something else");
        };
        let salt = B256::random();
        let commitment = self.sealed(&open, &vote).commitment(salt);
        let commit = FlockTask::commitVoteCall {
            round: U256::from(round),
            roundDigest: open.round.round_digest.0,
            commitment: commitment.0,
        };
        self.account.call(self.task, commit).await?;
        self.until("the reveal window", round, |s| s.round.phase == Phase::Reveal)
            .await?;
        self.publish(vote.aggregate)?;
        let reveal = FlockTask::revealVoteCall {
            round: U256::from(round),
            aggregateHash: vote.aggregate.0,
            score: i8::from(vote.score),
            includedMask: U256::from(vote.mask.0),
            salt,
        };
        self.account.call(self.task, reveal).await?;
        Ok(())
    }

    fn sealed(&self, open: &TaskSnapshot, vote: &VoteResult) -> Vote {
        Vote {
            chain_id: open.chain_id,
            task: self.task,
            round: open.round.round,
            voter: self.address(),
            hash: vote.aggregate,
            score: vote.score,
            mask: vote.mask,
        }
    }

    fn identity(&self, now: &TaskSnapshot, step: Step, digest: RoundDigest, seats: Vec<Seat>) -> JobIdentity {
        JobIdentity {
            chain_id: now.chain_id,
            task: self.task,
            participant: self.address(),
            step,
            definition: now.parameters.definition_hash,
            round: Round(now.round.round.0),
            start_model: now.round.start_model,
            digest,
            seats,
            environment: B256::ZERO,
        }
    }

    /// Runs the trainer on an input document, with the start model on the desk.
    fn run(&self, now: &TaskSnapshot, identity: JobIdentity, deadline: Timestamp) -> Result<StepResult> {
        if identity.start_model != now.parameters.genesis_model {
            self.fetch(now.chain_id, identity.start_model)?;
        }
        let step = identity.step.as_str();
        let reserve = 20;
        let input = JobInput {
            version: DOCUMENT_VERSION,
            identity,
            definition: self.definition.clone(),
            genesis_model: now.parameters.genesis_model,
            gateway: format!("file://{}", self.desk.path().display()),
            data_directory: self.data.display().to_string(),
            data_format: DataFormat::Idx,
            device: Device::Cpu,
            finish_by: Timestamp(deadline.0.saturating_sub(reserve)),
            fetch_until: Timestamp(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 10),
            checkpoints: None,
            base_directories: Vec::new(),
            base_verified: None,
        };
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(INPUT_FILE), serde_json::to_string(&input)?)?;
        let path = folder.path().display().to_string();
        let log = folder.path().join("termination-log").display().to_string();
        let said = trainer(&[
            step,
            "--input-dir",
            &path,
            "--scratch",
            &path,
            "--termination-log",
            &log,
        ])?;
        let line = said.lines().last().context("the trainer said nothing")?;
        let result: JobResult = serde_json::from_str(line).with_context(|| format!("the trainer said {line:?}"))?;
        ensure!(
            result.identity_hash == input.identity.hash(),
            "the result answers another input"
        );
        Ok(result.outcome)
    }

    /// From the store onto the desk, whoever holds it.
    fn fetch(&self, chain: u64, hash: ModelHash) -> Result<()> {
        let desk = self.desk.path().join(hash.to_string());
        if !desk.exists() {
            let stored = self.devnet.depot.stored(chain, hash)?;
            fs::write(
                desk,
                stored.with_context(|| format!("nobody has put {hash} into the store"))?,
            )?;
        }
        Ok(())
    }

    /// From the desk into the store, below our own address.
    fn publish(&self, hash: ModelHash) -> Result<()> {
        let desk = self.desk.path().join(hash.to_string());
        if !desk.exists() {
            return Ok(()); // The start model: others have it.
        }
        let (chain, task, participant) = (self.devnet.deployment.chain_id, self.task, self.address());
        let name = format!("{STORE}/{chain}/{task:#x}/{participant:#x}/{hash}");
        self.devnet.depot.write(&name, &fs::read(desk)?)
    }
}
