//! FLRound: the readable mirror of one round, written by the task controller only. The chain stays the record.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use protocol::types::{Address, Amount, B256, Commitment, ModelHash, Outcome, Phase, Role, RoundDigest, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, NameRef};

/// Which round this mirrors.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "fl-alliance.io",
    version = "v1alpha1",
    kind = "FLRound",
    plural = "flrounds",
    shortname = "flr",
    category = "fl-alliance",
    namespaced,
    status = "FLRoundStatus",
    derive = "PartialEq",
    doc = "The mirror of one round of a task: who did what, who was paid, in which transaction. Written by the operator.",
    printcolumn(name = "TASK", type_ = "string", json_path = ".spec.taskRef.name"),
    printcolumn(name = "ROUND", type_ = "integer", json_path = ".spec.round"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "RESULT", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "MODEL", type_ = "string", json_path = ".status.nextModel"),
    printcolumn(name = "FINAL", type_ = "boolean", json_path = ".status.final"),
    printcolumn(
        name = "SCORE",
        type_ = "string",
        json_path = ".status.decision.voteScore",
        priority = "1"
    ),
    printcolumn(
        name = "SLASHED",
        type_ = "string",
        json_path = ".status.settlement.slashedTotal",
        priority = "1"
    ),
    printcolumn(
        name = "REWARDED",
        type_ = "string",
        json_path = ".status.settlement.rewardedTotal",
        priority = "1"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("an FLRound mirrors one round: its spec is immutable"))]
pub struct FLRoundSpec {
    /// The FLTask that owns this object.
    pub task_ref: NameRef,
    #[schemars(schema_with = "crate::schema::chain_id")]
    pub chain_id: u64,
    /// The task's contract.
    #[schemars(schema_with = "crate::schema::address")]
    pub task: Address,
    /// Counted from 0.
    #[schemars(schema_with = "crate::schema::small_count")]
    pub round: u32,
}

/// The round as last read from the chain.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FLRoundStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::phase")]
    pub phase: Option<Phase>,
    /// Absent until the round is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::outcome")]
    pub outcome: Option<Outcome>,
    /// Settled, and the settlement is confirmed: nothing here changes any more.
    #[serde(default)]
    pub r#final: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadlines: Option<Deadlines>,
    /// What proposers start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub start_model: Option<ModelHash>,
    /// What the next round starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub next_model: Option<ModelHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<DrawRecord>,
    /// Rolling keccak of draw and contributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub round_digest: Option<RoundDigest>,
    /// In draw order once drawn (proposers first, in seat order), in join order before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub participants: Vec<ParticipantRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<SettlementRecord>,
}

/// Ends of the windows; each absent until it is fixed on chain.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propose: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<Time>,
}

/// The draw of roles.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrawRecord {
    /// The block whose hash seeds the draw.
    #[schemars(schema_with = "crate::schema::count")]
    pub seed_block: u64,
    /// The round's digest right after the draw.
    #[schemars(schema_with = "crate::schema::hash")]
    pub digest: RoundDigest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub block: Option<u64>,
}

/// One participant of the round.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantRecord {
    #[schemars(schema_with = "crate::schema::address")]
    pub address: Address,
    #[schemars(schema_with = "crate::schema::role")]
    pub role: Role,
    /// Proposers only: position in the draw, the bit of votes' masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub seat: Option<u32>,
    #[schemars(schema_with = "crate::schema::count")]
    pub sample_count: u32,
    /// The stake of this round, fixed when it joined.
    #[schemars(schema_with = "crate::schema::amount")]
    pub stake: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contribution: Option<ContributionRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<CommitmentRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<RevealRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slashed: Option<AmountRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewarded: Option<AmountRecord>,
}

/// A proposer's model.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContributionRecord {
    #[schemars(schema_with = "crate::schema::hash")]
    pub model: ModelHash,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[schemars(schema_with = "crate::schema::count")]
    pub block: u64,
}

/// A voter's commitment.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitmentRecord {
    #[schemars(schema_with = "crate::schema::hash")]
    pub commitment: Commitment,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[schemars(schema_with = "crate::schema::count")]
    pub block: u64,
}

/// A voter's revealed vote.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevealRecord {
    /// The aggregate voted on.
    #[schemars(schema_with = "crate::schema::hash")]
    pub hash: ModelHash,
    #[schemars(schema_with = "crate::schema::score")]
    pub score: Score,
    /// Bit j: the j-th proposer's contribution was fetched and valid.
    #[schemars(schema_with = "crate::schema::count")]
    pub mask: u64,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[schemars(schema_with = "crate::schema::count")]
    pub block: u64,
}

/// An amount moved by the settlement.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AmountRecord {
    #[schemars(schema_with = "crate::schema::amount")]
    pub amount: Amount,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[schemars(schema_with = "crate::schema::count")]
    pub block: u64,
}

/// The winning vote.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// The hash that won; absent if nobody revealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub popular_hash: Option<ModelHash>,
    /// The winning group's mask.
    #[schemars(schema_with = "crate::schema::count")]
    pub mask: u64,
    /// Stake-weighted score inside the winning group.
    #[serde(with = "protocol::types::signed_decimal")]
    #[schemars(schema_with = "crate::schema::signed_amount")]
    pub vote_score: alloy_primitives::I256,
    #[schemars(schema_with = "crate::schema::amount")]
    pub winning_stake: Amount,
    /// Stake of all drawn voters: the quorum is measured against it.
    #[schemars(schema_with = "crate::schema::amount")]
    pub drawn_voter_stake: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[schemars(schema_with = "crate::schema::count")]
    pub block: u64,
}

/// The money of the round, moved in one call.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettlementRecord {
    #[schemars(schema_with = "crate::schema::amount")]
    pub slashed_total: Amount,
    /// To the caller of `slash`.
    #[schemars(schema_with = "crate::schema::amount")]
    pub bonus: Amount,
    /// What this round could pay.
    #[schemars(schema_with = "crate::schema::amount")]
    pub pot: Amount,
    #[schemars(schema_with = "crate::schema::amount")]
    pub rewarded_total: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub caller: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The transaction, once its log was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub transaction: Option<B256>,
    #[schemars(schema_with = "crate::schema::count")]
    pub block: u64,
}
