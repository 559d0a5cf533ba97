//! The contract's state of one task at one block: the only chain input of a decision.

use serde::{Deserialize, Serialize};

use crate::types::{
    Address, Amount, B256, Commitment, DefinitionHash, ModelHash, Outcome, Phase, Role, Round, RoundDigest, Score,
    Timestamp,
};

/// Fixed for the life of a task (`parameters()` of the contract).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskParameters {
    pub metadata: String,
    pub definition_hash: DefinitionHash,
    pub genesis_model: ModelHash,
    pub total_rounds: u32,
    pub min_participants: u16,
    pub max_participants: u16,
    pub entry_stake: Amount,
    pub min_stake_threshold: Amount,
    /// Share of proposers, 1e18-scaled.
    pub distribution_rate: u64,
    /// 1e18 = all of the round's stake.
    pub slashed_per_stake: u64,
    /// Of 10000.
    pub bonus_ratio: u16,
    /// Of 10000.
    pub quorum_bps: u16,
    /// Windows in seconds.
    pub join_window: u32,
    pub propose_window: u32,
    pub commit_window: u32,
    pub reveal_window: u32,
    pub stall_timeout: u32,
    pub initial_reward_pool: Amount,
    pub allow_list_enabled: bool,
}

/// Where and when a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    pub number: u64,
    pub hash: B256,
    pub timestamp: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSnapshot {
    pub chain_id: u64,
    pub task: Address,
    pub block: BlockRef,
    pub parameters: TaskParameters,
    pub state: TaskState,
    /// The current round (the last one once the task has ended).
    pub round: RoundState,
    /// Draw order once drawn (proposers first, in seat order), join order before.
    pub participants: Vec<ParticipantState>,
    /// The accounts asked for, in the order asked.
    pub accounts: Vec<AccountState>,
}

impl TaskSnapshot {
    pub fn participant(&self, account: Address) -> Option<&ParticipantState> {
        self.participants.iter().find(|p| p.account == account)
    }

    pub fn account(&self, account: Address) -> Option<&AccountState> {
        self.accounts.iter().find(|a| a.account == account)
    }

    pub fn proposers(&self) -> impl Iterator<Item = &ParticipantState> {
        self.participants.iter().filter(|p| p.role == Role::Proposer)
    }

    pub fn voters(&self) -> impl Iterator<Item = &ParticipantState> {
        self.participants.iter().filter(|p| p.role == Role::Voter)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    pub current_round: Round,
    pub phase: Phase,
    pub finish_requested: bool,
    pub participants: u32,
    pub total_stakes: Amount,
    pub total_claimable: Amount,
    pub reward_pool: Amount,
    pub last_settled_at: Timestamp,
    pub created_at: Timestamp,
    pub created_block: u64,
    pub creator: Address,
    pub manager: Address,
    pub token: Address,
}

/// `None` where it has not happened yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundState {
    pub round: Round,
    pub phase: Phase,
    pub outcome: Outcome,
    pub settled: bool,
    pub joined: u16,
    pub proposers: u16,
    pub contributed: u16,
    pub committed: u16,
    pub revealed: u16,
    pub join_deadline: Timestamp,
    pub seed_block: Option<u64>,
    pub drawn_at: Option<Timestamp>,
    pub propose_deadline: Option<Timestamp>,
    pub commit_open: Option<Timestamp>,
    pub commit_deadline: Option<Timestamp>,
    pub reveal_open: Option<Timestamp>,
    pub reveal_deadline: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub drawn_block: Option<u64>,
    pub finished_block: Option<u64>,
    pub settled_block: Option<u64>,
    pub start_model: ModelHash,
    /// The round whose accepted aggregate `start_model` is; `None`: the genesis model.
    pub start_model_round: Option<Round>,
    pub popular_hash: Option<ModelHash>,
    pub popular_mask: u64,
    /// Stake-weighted, inside the winning group; decimal because it can be negative.
    #[serde(with = "crate::types::signed_decimal")]
    pub vote_score: alloy_primitives::I256,
    pub winning_stake: Amount,
    pub drawn_voter_stake: Amount,
    pub next_hash: Option<ModelHash>,
    pub draw_digest: RoundDigest,
    pub round_digest: RoundDigest,
    pub slashed_total: Amount,
    pub bonus: Amount,
    pub pot: Amount,
    pub rewarded_total: Amount,
    pub slash_caller: Option<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantState {
    pub account: Address,
    pub role: Role,
    pub sample_count: u32,
    /// Fixed at `joinRound`.
    pub stake: Amount,
    pub contribution: Option<ModelHash>,
    pub contributed_block: Option<u64>,
    pub commitment: Option<Commitment>,
    pub committed_block: Option<u64>,
    pub vote: Option<RevealedVote>,
    pub revealed_block: Option<u64>,
    pub slashed: Amount,
    pub rewarded: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealedVote {
    pub hash: ModelHash,
    pub score: Score,
    pub mask: crate::types::IncludedMask,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    pub account: Address,
    pub allowed: bool,
    pub ever_staked: bool,
    pub removed: bool,
    pub claimed: bool,
    pub stake_left: Amount,
    pub claimable: Amount,
    pub rounds_joined: u32,
    pub token_balance: Amount,
    pub allowance: Amount,
    /// Wei.
    pub native_balance: Amount,
}
