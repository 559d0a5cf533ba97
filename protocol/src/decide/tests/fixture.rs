//! A task with two proposers and two voters, at a block of choice, and this participant's view of it.

use alloy_primitives::I256;

use crate::{
    action::{Action, Decision, Transaction},
    client::{ClientView, JobState, JobView, LedgerEntry},
    commitment::LedgerKey,
    decide::{Clock, Context, decide},
    job::{CheckResult, DOCUMENT_VERSION, JobIdentity, JobResult, Step, StepResult, TrainResult, VoteResult},
    snapshot::{AccountState, BlockRef, ParticipantState, RoundState, TaskParameters, TaskSnapshot, TaskState},
    types::{
        Address, Amount, B256, Commitment, DefinitionHash, IncludedMask, ModelHash, Outcome, Phase, Role, Round,
        RoundDigest, Score, Timestamp,
    },
};

pub(super) const T0: u64 = 10_000;
pub(super) const HEAD: u64 = 500;

pub(super) fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

pub(super) fn model(byte: u8) -> ModelHash {
    ModelHash(hash(byte))
}

/// The participant whose decisions are looked at.
pub(super) fn me() -> Address {
    Address::repeat_byte(0x11)
}

pub(super) struct Scene {
    pub(super) snapshot: TaskSnapshot,
    pub(super) view: ClientView,
}

impl Scene {
    /// Round 3, roster open, nobody has joined; this account has nothing but tokens.
    pub(super) fn new() -> Self {
        let snapshot = TaskSnapshot {
            chain_id: 31337,
            task: Address::repeat_byte(0x7A),
            block: BlockRef {
                number: HEAD,
                hash: hash(1),
                timestamp: Timestamp(T0),
            },
            parameters: parameters(),
            state: state(),
            round: round(),
            participants: Vec::new(),
            accounts: vec![account()],
        };
        let view = ClientView {
            participant: me(),
            stake: 64u128.into(),
            suspended: false,
            draining: false,
            environment: hash(0xE0),
            jobs: Vec::new(),
            ledger: Vec::new(),
            confirmed_block: HEAD - 3,
            now: Timestamp(T0),
            block_time: 2,
            poke_delay: None,
            claim: true,
        };
        Self { snapshot, view }
    }

    /// Staked and checked.
    pub(super) fn ready() -> Self {
        let mut scene = Self::new();
        let account = &mut scene.snapshot.accounts[0];
        (account.ever_staked, account.stake_left) = (true, 64u128.into());
        scene.check_succeeded();
        scene
    }

    /// Drawn at T0; this participant has the role.
    pub(super) fn drawn(role: Role) -> Self {
        let mut scene = Self::ready();
        let mine = if role == Role::Proposer { 0 } else { 2 };
        scene.snapshot.participants = (0u8..4)
            .map(|k| {
                participant(
                    if k == mine {
                        me()
                    } else {
                        Address::repeat_byte(0x20 + k)
                    },
                    k < 2,
                )
            })
            .collect();
        let round = &mut scene.snapshot.round;
        (round.joined, round.proposers) = (4, 2);
        (round.seed_block, round.drawn_block, round.drawn_at) = (Some(480), Some(490), Some(Timestamp(T0)));
        round.propose_deadline = Some(Timestamp(T0 + 100));
        (round.draw_digest, round.round_digest) = (RoundDigest(hash(0xD0)), RoundDigest(hash(0xD0)));
        scene.phase(Phase::Propose);
        scene
    }

    /// Both contributions are in, the commit window opens now.
    pub(super) fn committing() -> Self {
        let mut scene = Self::drawn(Role::Voter);
        for (k, p) in scene.snapshot.participants.iter_mut().take(2).enumerate() {
            p.contribution = Some(model(0xC0 + k as u8));
            p.contributed_block = Some(HEAD - 4);
        }
        let round = &mut scene.snapshot.round;
        (round.contributed, round.round_digest) = (2, RoundDigest(hash(0xD1)));
        (round.commit_open, round.commit_deadline) = (Some(Timestamp(T0)), Some(Timestamp(T0 + 200)));
        scene.phase(Phase::Commit);
        scene
    }

    /// Both voters have committed, this one from its ledger; the reveal window opens now.
    pub(super) fn revealing() -> Self {
        let mut scene = Self::committing();
        let entry = scene.entry();
        scene.view.ledger.push(entry.clone());
        for p in &mut scene.snapshot.participants[2..] {
            p.commitment = Some(if p.account == me() {
                entry.commitment
            } else {
                Commitment(hash(0x99))
            });
            p.committed_block = Some(HEAD - 3);
        }
        let round = &mut scene.snapshot.round;
        round.committed = 2;
        (round.reveal_open, round.reveal_deadline) = (Some(Timestamp(T0)), Some(Timestamp(T0 + 80)));
        scene.phase(Phase::Reveal);
        scene
    }

    pub(super) fn phase(&mut self, phase: Phase) {
        self.snapshot.state.phase = phase;
        self.snapshot.round.phase = phase;
    }

    /// Head and wall clock, seconds after T0.
    pub(super) fn at(&mut self, head: u64, wall: u64) {
        self.snapshot.block.timestamp = Timestamp(T0 + head);
        self.view.now = Timestamp(T0 + wall);
    }

    pub(super) fn row(&mut self) -> &mut ParticipantState {
        self.snapshot
            .participants
            .iter_mut()
            .find(|p| p.account == me())
            .unwrap()
    }

    /// The vote that this participant stored.
    pub(super) fn entry(&self) -> LedgerEntry {
        let key = LedgerKey {
            chain_id: self.snapshot.chain_id,
            task: self.snapshot.task,
            round: self.snapshot.round.round,
            voter: me(),
            round_digest: self.snapshot.round.round_digest,
        };
        key.entry(&[7; 32], model(0xA9), Score::For, IncludedMask(3))
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&self.snapshot, &self.view)
    }

    pub(super) fn sent(&self) -> Vec<Transaction> {
        self.decide()
            .actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Send(transaction) => Some(transaction),
                _ => None,
            })
            .collect()
    }

    pub(super) fn awaits(&self) -> (String, Option<u64>) {
        let awaiting = self.decide().awaiting.unwrap();
        (awaiting.what, awaiting.until.map(|t| t.0 - T0))
    }

    pub(super) fn identity(&self, step: Step) -> JobIdentity {
        let context = Context {
            snapshot: &self.snapshot,
            view: &self.view,
            account: &self.snapshot.accounts[0],
            clock: Clock::new(self.snapshot.block.timestamp, self.view.now, self.view.block_time),
        };
        match step {
            Step::Check => context.check_identity(),
            Step::Train => context.train_identity(),
            Step::Vote => context.vote_identity(),
        }
    }

    pub(super) fn job(&mut self, name: &str, identity: JobIdentity, state: JobState) {
        self.view.jobs.push(JobView {
            name: name.into(),
            identity,
            state,
        });
    }

    pub(super) fn succeeded(&mut self, step: Step, outcome: StepResult) {
        let identity = self.identity(step);
        let result = JobResult {
            version: DOCUMENT_VERSION,
            identity_hash: identity.hash(),
            outcome,
        };
        self.job(step.as_str(), identity, JobState::Succeeded(Box::new(result)));
    }

    pub(super) fn check_succeeded(&mut self) {
        self.succeeded(Step::Check, StepResult::Check(check_result()));
    }

    pub(super) fn trained(&mut self, model: ModelHash) {
        let result = TrainResult {
            model,
            epochs: 1,
            steps: 1,
            loss: "1".into(),
            test_metric: "0.5".into(),
            seconds: "1".into(),
            stopped_early: false,
            privacy: None,
            resumed_from: None,
        };
        self.succeeded(Step::Train, StepResult::Train(result));
    }

    pub(super) fn voted(&mut self, aggregate: ModelHash, score: Score, mask: u64) {
        let result = VoteResult {
            aggregate,
            score,
            mask: IncludedMask(mask),
            start_metric: "0.5".into(),
            aggregate_metric: "0.6".into(),
            excluded: Vec::new(),
            fallback: None,
            unused: Vec::new(),
        };
        self.succeeded(Step::Vote, StepResult::Vote(result));
    }
}

pub(super) fn check_result() -> CheckResult {
    CheckResult {
        genesis_model: model(0x6E),
        train_samples: 77,
        test_samples: 9,
        classes: 10,
        device: "cpu".into(),
        data: None,
        base_model: None,
    }
}

fn parameters() -> TaskParameters {
    TaskParameters {
        metadata: "{}".into(),
        definition_hash: DefinitionHash(hash(0xDE)),
        genesis_model: model(0x6E),
        total_rounds: 10,
        min_participants: 3,
        max_participants: 4,
        entry_stake: 64u128.into(),
        min_stake_threshold: 24u128.into(),
        distribution_rate: 500_000_000_000_000_000,
        slashed_per_stake: 125_000_000_000_000_000,
        bonus_ratio: 1000,
        quorum_bps: 5000,
        join_window: 50,
        propose_window: 100,
        commit_window: 200,
        reveal_window: 80,
        stall_timeout: 1000,
        initial_reward_pool: 1000u128.into(),
        allow_list_enabled: false,
    }
}

fn state() -> TaskState {
    TaskState {
        current_round: Round(3),
        phase: Phase::Join,
        finish_requested: false,
        participants: 4,
        total_stakes: Amount::ZERO,
        total_claimable: Amount::ZERO,
        reward_pool: Amount::ZERO,
        last_settled_at: Timestamp(T0 - 10),
        created_at: Timestamp(T0 - 2000),
        created_block: 1,
        creator: Address::ZERO,
        manager: Address::ZERO,
        token: Address::repeat_byte(0x70),
    }
}

fn round() -> RoundState {
    RoundState {
        round: Round(3),
        phase: Phase::Join,
        outcome: Outcome::None,
        settled: false,
        joined: 0,
        proposers: 0,
        contributed: 0,
        committed: 0,
        revealed: 0,
        join_deadline: Timestamp(T0 + 40),
        seed_block: None,
        drawn_at: None,
        propose_deadline: None,
        commit_open: None,
        commit_deadline: None,
        reveal_open: None,
        reveal_deadline: None,
        finished_at: None,
        settled_at: None,
        drawn_block: None,
        finished_block: None,
        settled_block: None,
        start_model: model(0x57),
        start_model_round: Some(Round(2)),
        popular_hash: None,
        popular_mask: 0,
        vote_score: I256::ZERO,
        winning_stake: Amount::ZERO,
        drawn_voter_stake: Amount::ZERO,
        next_hash: None,
        draw_digest: RoundDigest::ZERO,
        round_digest: RoundDigest::ZERO,
        slashed_total: Amount::ZERO,
        bonus: Amount::ZERO,
        pot: Amount::ZERO,
        rewarded_total: Amount::ZERO,
        slash_caller: None,
    }
}

fn account() -> AccountState {
    AccountState {
        account: me(),
        allowed: true,
        ever_staked: false,
        removed: false,
        claimed: false,
        stake_left: Amount::ZERO,
        claimable: Amount::ZERO,
        rounds_joined: 0,
        token_balance: 100u128.into(),
        allowance: Amount::ZERO,
        native_balance: 1u128.into(),
    }
}

pub(super) fn participant(account: Address, proposer: bool) -> ParticipantState {
    ParticipantState {
        account,
        role: if proposer { Role::Proposer } else { Role::Voter },
        sample_count: 50,
        stake: 64u128.into(),
        contribution: None,
        contributed_block: None,
        commitment: None,
        committed_block: None,
        vote: None,
        revealed_block: None,
        slashed: Amount::ZERO,
        rewarded: Amount::ZERO,
    }
}
