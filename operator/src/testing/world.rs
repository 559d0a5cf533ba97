//! One client in one task, with everything around it.

use std::sync::Arc;

use crds::{Condition, FLClientStatus, conditions};
use k8s_openapi::api::{
    batch::v1::{Job, JobCondition, JobStatus},
    core::v1::Pod,
};
use kube::ResourceExt;
use protocol::{
    commitment::Vote,
    job::{JobInput, Step, StepResult},
    snapshot::{RoundState, TaskSnapshot},
    types::{Address, Amount, B256, Commitment, IncludedMask, ModelHash, Phase, Role, RoundDigest, Score, Timestamp},
};

use super::{
    FakeChain, FakeChains, FakeClock, FakeCluster, FakeStore, Faults,
    chain::participant,
    client,
    onchain::{definition, round, snapshot},
    results::{model, result_line},
    signing_secret, task,
};
use crate::{
    cluster::Key,
    controller::{
        Context, Settings,
        client::{ClientError, Next, reconcile},
        keys::KeyRing,
        metrics::Metrics,
    },
    randomness::SystemRandomness,
};

/// The client's key and account (the first of the well-known test mnemonic).
pub(crate) const PRIVATE_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const CONTRACT: Address = Address::repeat_byte(0x7a);
pub(crate) const STAKE: u128 = 64_000_000_000_000_000_000;

pub(crate) struct World {
    pub(crate) faults: Faults,
    pub(crate) cluster: Arc<FakeCluster>,
    pub(crate) chain: FakeChain,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) ctx: Context,
    pub(crate) key: Key,
    pub(crate) address: Address,
}

/// keccak of a vote, as the contract computes it.
pub(super) fn commitment(
    task: &TaskSnapshot,
    voter: Address,
    hash: ModelHash,
    score: Score,
    mask: IncludedMask,
    salt: B256,
) -> Commitment {
    let vote = Vote {
        chain_id: task.chain_id,
        task: task.task,
        round: task.round.round,
        voter,
        hash,
        score,
        mask,
    };
    vote.commitment(salt)
}

impl World {
    /// A client that has done nothing yet, in a task whose first round can be joined.
    pub(crate) fn new() -> Self {
        let faults = Faults::default();
        let address = crate::chain::SigningKey::from_text(PRIVATE_KEY.as_bytes())
            .expect("a key")
            .address();
        let document = definition();
        let cluster = Arc::new(FakeCluster::new(faults.clone()));
        cluster.put_task(task(CONTRACT, &document));
        cluster.put_client(client("alpha", Amount::from(STAKE)));
        cluster.put_secret(signing_secret("alpha-key", PRIVATE_KEY));
        let chain = FakeChain::new(faults.clone(), snapshot(address, &document));
        let store = Arc::new(FakeStore::new(faults.clone()));
        let clock = Arc::new(FakeClock::at(START));
        let ctx = Context {
            cluster: cluster.clone(),
            chains: Arc::new(FakeChains(chain.clone())),
            store: store.clone(),
            keys: Arc::new(KeyRing::of_secrets(clock.clone())),
            clock: clock.clone(),
            randomness: Arc::new(SystemRandomness),
            settings: Arc::new(Settings {
                namespace: "fl-alliance".to_owned(),
                tenant_namespaces: vec!["team".to_owned()],
                gateway_url: "http://gateway.fl-alliance:8080".to_owned(),
                gateway_ca: Some("-----BEGIN CERTIFICATE-----".to_owned()),
                stores: vec!["default".to_owned()],
            }),
            metrics: Arc::new(Metrics::new().expect("metrics register")),
        };
        Self {
            faults,
            cluster,
            chain,
            store,
            clock,
            ctx,
            key: Key::new("team", "alpha"),
            address,
        }
    }

    /// The same, staked and drawn into the running round: one other proposer and two other voters beside us.
    pub(crate) fn drawn(role: Role) -> Self {
        let world = Self::new();
        let us = world.address;
        world.chain.edit(|state| {
            let now = &mut state.now;
            now.accounts[0].ever_staked = true;
            now.accounts[0].stake_left = Amount::from(STAKE);
            let others = [
                (1, Role::Proposer),
                (2, Role::Proposer),
                (3, Role::Voter),
                (4, Role::Voter),
                (5, Role::Voter),
            ];
            for (byte, other) in others {
                now.participants
                    .push(participant(Address::repeat_byte(byte), other, Amount::from(STAKE), 100));
            }
            let seat = now
                .participants
                .iter()
                .position(|p| p.role == role)
                .expect("every role is drawn");
            now.participants[seat].account = us;
            now.state.phase = Phase::Propose;
            let round = &mut now.round;
            (round.joined, round.proposers) = (5, 2);
            round.phase = Phase::Propose;
            round.seed_block = Some(90);
            round.drawn_at = Some(Timestamp(START));
            round.drawn_block = Some(95);
            round.propose_deadline = Some(Timestamp(START + 100));
            round.draw_digest = RoundDigest(B256::repeat_byte(0xd1));
            round.round_digest = round.draw_digest;
        });
        world
    }

    /// Every proposer contributed; voters may commit.
    pub(crate) fn open_commit(&self) {
        self.chain.edit(|state| {
            let now = &mut state.now;
            now.state.phase = Phase::Commit;
            let proposers = now.participants.iter_mut().filter(|p| p.role == Role::Proposer);
            for (seat, proposer) in proposers.enumerate() {
                proposer.contribution.get_or_insert(model(0xa0 + seat as u8));
                proposer.contributed_block.get_or_insert(98);
            }
            let opened = now.block.timestamp;
            let round = &mut now.round;
            round.phase = Phase::Commit;
            round.contributed = round.proposers;
            round.commit_open = Some(opened);
            round.commit_deadline = Some(opened.saturating_add(100));
            round.reveal_deadline = Some(opened.saturating_add(200));
            round.round_digest = RoundDigest(B256::repeat_byte(0xd2));
        });
    }

    /// The other voters committed too; votes may be revealed.
    pub(crate) fn open_reveal(&self) {
        self.chain.edit(|state| {
            let now = &mut state.now;
            now.state.phase = Phase::Reveal;
            for voter in now.participants.iter_mut().filter(|p| p.role == Role::Voter) {
                voter.commitment.get_or_insert(Commitment(B256::repeat_byte(0x0c)));
                voter.committed_block.get_or_insert(99);
            }
            let opened = now.block.timestamp;
            let round = &mut now.round;
            round.phase = Phase::Reveal;
            round.committed = 3;
            round.reveal_open = Some(opened);
            round.reveal_deadline = Some(opened.saturating_add(100));
            state.confirmed = now.block.number;
        });
    }

    /// The running round is settled, the next one can be joined.
    pub(crate) fn next_round(&self) {
        self.chain.edit(|state| {
            let mut settled = state.now.clone();
            settled.round.settled = true;
            settled.round.settled_block = Some(settled.block.number);
            state.past.push(settled);
            let next = state.now.round.round.next();
            state.now.round = RoundState { round: next, ..round() };
            state.now.state.current_round = next;
            state.now.state.phase = Phase::Join;
            state.now.participants.clear();
            state.confirmed = state.now.block.number;
        });
    }

    /// Everything on chain so far is confirmed.
    pub(crate) fn confirm(&self) {
        self.chain.edit(|state| state.confirmed = state.now.block.number);
    }

    pub(crate) async fn reconcile(&self) -> Result<Next, ClientError> {
        reconcile(&self.key, &self.ctx).await
    }

    pub(crate) fn status(&self) -> FLClientStatus {
        self.cluster
            .edit(|state| state.clients[&self.key].status.clone().unwrap_or_default())
    }

    /// Reason and message of a condition, if it is there with this status.
    pub(crate) fn condition(&self, type_: &str, status: &str) -> Option<(String, String)> {
        let all = self.status().conditions;
        let found: &Condition = conditions::find(&all, type_).filter(|c| c.status == status)?;
        Some((found.reason.clone(), found.message.clone()))
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.cluster
            .edit(|state| state.notes.iter().map(|note| note.reason.clone()).collect())
    }

    /// Jobs of one step, by name.
    pub(crate) fn jobs(&self, step: Step) -> Vec<Job> {
        let of_step = |job: &&Job| job.labels().get(crds::names::LABEL_STEP).map(String::as_str) == Some(step.as_str());
        self.cluster
            .edit(|state| state.jobs.values().filter(of_step).cloned().collect())
    }

    /// The one Job of a step.
    pub(crate) fn job(&self, step: Step) -> Job {
        let mut jobs = self.jobs(step);
        assert_eq!(jobs.len(), 1, "{step:?} Jobs");
        jobs.remove(0)
    }

    /// What the Job's pod reads.
    pub(crate) fn input(&self, job: &Job) -> JobInput {
        let key = Key::new("team", job.name_any());
        let secret = self.cluster.edit(|state| state.secrets[&key].clone());
        serde_json::from_slice(&secret.data.expect("data")["input.json"].0).expect("an input document")
    }

    /// The trainer ends well: its line is at the gateway, the Job is complete.
    pub(crate) fn succeed(&self, step: Step, outcome: StepResult) {
        let job = self.job(step);
        self.store.put_result(
            "team",
            &job.name_any(),
            result_line(&self.input(&job).identity, outcome),
        );
        self.set_job_condition(&job.name_any(), "Complete", None);
    }

    /// The trainer ends badly, as the Job controller and the kubelet show it.
    pub(crate) fn fail(&self, step: Step, exit_code: i32, message: &str) {
        let name = self.job(step).name_any();
        self.put_pod(
            &name,
            serde_json::json!({
                "phase": "Failed",
                "containerStatuses": [{
                    "name": "trainer", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "terminated": { "exitCode": exit_code, "message": message } },
                }],
            }),
        );
        self.set_job_condition(&name, "Failed", Some("PodFailurePolicy"));
    }

    pub(crate) fn set_job_condition(&self, name: &str, type_: &str, reason: Option<&str>) {
        let at = crds::rfc3339(self.ctx.clock.now());
        self.cluster.edit(|state| {
            let job = state.jobs.get_mut(&Key::new("team", name)).expect("the Job");
            job.status = Some(JobStatus {
                conditions: Some(vec![JobCondition {
                    type_: type_.to_owned(),
                    status: "True".to_owned(),
                    reason: reason.map(str::to_owned),
                    last_transition_time: at,
                    ..JobCondition::default()
                }]),
                ..JobStatus::default()
            });
        });
    }

    /// A pod of a Job, with this status.
    pub(crate) fn put_pod(&self, job: &str, status: serde_json::Value) {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": format!("{job}-x"), "namespace": "team",
                "labels": { "batch.kubernetes.io/job-name": job },
            },
            "status": status,
        }))
        .expect("a pod");
        self.cluster
            .edit(|state| state.pods.insert(Key::new("team", pod.name_any()), pod));
    }
}
