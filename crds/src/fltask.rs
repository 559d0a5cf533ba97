//! FLTask: one federated-learning task, joined (`contract`) or created (`create`).

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use protocol::{
    snapshot::TaskParameters,
    types::{Address, Amount, B256, DefinitionHash, ModelHash, Outcome, Phase},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, DefinitionDocument, Fraction, NameRef, SignerRef};

/// Rounds kept as FLRounds when `roundsHistoryLimit` is absent.
pub const DEFAULT_ROUNDS_HISTORY: u32 = 20;

/// What one site wants of one task.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fl-alliance.io",
    version = "v1alpha1",
    kind = "FLTask",
    plural = "fltasks",
    shortname = "flt",
    category = "fl-alliance",
    namespaced,
    status = "FLTaskStatus",
    derive = "PartialEq",
    doc = "A federated-learning task on a chain: joined by its contract's address, or created.",
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "ROUND", type_ = "integer", json_path = ".status.round", description = "Counted from 0."),
    printcolumn(name = "PROPOSED", type_ = "string", json_path = ".status.proposed"),
    printcolumn(name = "COMMITTED", type_ = "string", json_path = ".status.committed"),
    printcolumn(name = "REVEALED", type_ = "string", json_path = ".status.revealed"),
    printcolumn(name = "DEADLINE", type_ = "string", json_path = ".status.deadline"),
    printcolumn(name = "LAST-RESULT", type_ = "string", json_path = ".status.lastResult.outcome"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "ROUNDS", type_ = "integer", json_path = ".status.rounds", priority = "1"),
    printcolumn(name = "CONTRACT", type_ = "string", json_path = ".status.contract", priority = "1"),
    printcolumn(name = "MODEL", type_ = "string", json_path = ".status.globalModel", priority = "1"),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = "1"
    ),
    printcolumn(
        name = "MESSAGE",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = "1"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("the name may have at most 40 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.contract) != has(self.create)")
        .message("exactly one of contract and create must be set"),
    validation = Rule::new("has(self.contract) == has(oldSelf.contract) && (!has(self.contract) || self.contract == oldSelf.contract)")
        .message("contract is immutable: make another FLTask"),
    validation = Rule::new("has(self.create) == has(oldSelf.create) && (!has(self.create) || self.create == oldSelf.create)")
        .message("create is immutable: make another FLTask"),
    validation = Rule::new("has(self.definition) == has(oldSelf.definition) && (!has(self.definition) || self.definition == oldSelf.definition)")
        .message("definition is immutable: make another FLTask"),
    validation = Rule::new("has(self.storeRef) == has(oldSelf.storeRef) && (!has(self.storeRef) || self.storeRef == oldSelf.storeRef)")
        .message("storeRef is immutable: make another FLTask"),
    validation = Rule::new("!has(self.create) || has(self.definition)")
        .message("a task that is created needs a definition")
)]
pub struct FLTaskSpec {
    /// The FLChain the task lives on. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("chainRef is immutable: make another FLTask"))]
    pub chain_ref: NameRef,
    /// Address of an existing task. Immutable; excludes `create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub contract: Option<Address>,
    /// Create the task. Immutable; excludes `contract`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<CreateTask>,
    /// The training definition, hashed in RFC 8785 form. Optional when joining: it is then fetched from the store by the
    /// hash on chain. It has no defaults and no floats. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<DefinitionDocument>,
    /// The model store; `default` if absent. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<NameRef>,
    /// Send this task's draw, finish and slash transactions as soon as they are due, whether or not this site takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<Keeper>,
    /// Stop everything for this task now: no Job, no transaction. What is at risk is said in the conditions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// FLRounds kept; older ones are deleted (the chain stays the record). 20 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub rounds_history_limit: Option<u32>,
}

impl FLTaskSpec {
    pub fn rounds_history_limit(&self) -> u32 {
        self.rounds_history_limit.unwrap_or(DEFAULT_ROUNDS_HISTORY)
    }

    /// Name of the store to use.
    pub fn store(&self) -> &str {
        self.store_ref
            .as_ref()
            .map_or(crate::names::DEFAULT_STORE, |store| &store.name)
    }
}

/// Whether and with which key this site keeps the task moving.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.enabled || has(self.signer)").message("a keeper needs a signer of its own")
)]
pub struct Keeper {
    pub enabled: bool,
    /// A key of its own: a client's key has one transaction in flight at a time, and reveals must not wait for pokes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerRef>,
}

/// Everything `createTask` needs.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateTask {
    /// A FlockTaskManager that the FLChain trusts and that allows this creator.
    #[schemars(schema_with = "crate::schema::address")]
    pub manager: Address,
    /// 0x and 64 hex digits. The manager makes one task for (creator, salt), so a creator that was interrupted finds
    /// its task again.
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub salt: B256,
    /// The creator's key: pays gas and the initial reward pool.
    pub signer: SignerRef,
    pub parameters: TaskParametersSpec,
}

/// The parameters of a task, fixed for its life. Amounts in the token's smallest unit.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minNumberOfParticipants <= self.maxNumberOfParticipants")
        .message("minNumberOfParticipants must not exceed maxNumberOfParticipants"),
    validation = Rule::new("self.stallTimeout >= 2 * (self.joinWindow + self.proposeWindow + self.commitWindow + self.revealWindow)")
        .message("stallTimeout must be at least twice the sum of the windows")
)]
pub struct TaskParametersSpec {
    /// A JSON document for people and indexers, at most 4096 bytes.
    #[schemars(length(max = 4096))]
    pub metadata: String,
    #[schemars(schema_with = "crate::schema::rounds")]
    pub total_number_of_rounds: u32,
    #[schemars(schema_with = "crate::schema::participants")]
    pub min_number_of_participants: u16,
    #[schemars(schema_with = "crate::schema::participants")]
    pub max_number_of_participants: u16,
    /// A participant's first stake must reach it.
    #[schemars(schema_with = "crate::schema::amount")]
    pub entry_stake: Amount,
    /// Below it after a settlement, a participant is removed for good.
    #[schemars(schema_with = "crate::schema::amount")]
    pub min_stake_threshold: Amount,
    /// Share of proposers among the participants, above 0, at most 0.5; for instance "0.1".
    #[schemars(schema_with = "crate::schema::fraction")]
    pub participants_distribution_rate: Fraction,
    /// Share of a round's stake that a slash takes, for instance "0.05".
    #[schemars(schema_with = "crate::schema::fraction")]
    pub slashed_per_stake: Fraction,
    /// Share of what is slashed that goes to the caller of `slash`, of 10000.
    #[schemars(range(min = 0, max = 2000))]
    pub bonus_ratio_for_slash_caller: u16,
    /// Share of the drawn voters' stake the winning vote must exceed, of 10000.
    #[schemars(range(min = 0, max = 9999))]
    pub quorum_bps: u16,
    /// Seconds.
    #[schemars(schema_with = "crate::schema::window")]
    pub join_window: u32,
    /// Seconds.
    #[schemars(schema_with = "crate::schema::window")]
    pub propose_window: u32,
    /// Seconds.
    #[schemars(schema_with = "crate::schema::window")]
    pub commit_window: u32,
    /// Seconds.
    #[schemars(schema_with = "crate::schema::window")]
    pub reveal_window: u32,
    /// Seconds without a settlement after which anyone may end the task.
    #[schemars(schema_with = "crate::schema::stall_timeout")]
    pub stall_timeout: u32,
    #[schemars(schema_with = "crate::schema::amount")]
    pub initial_reward_pool: Amount,
    /// Present (even empty): only these accounts, and those the creator adds later, may take part. Absent: open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::addresses")]
    pub allow_list: Option<Vec<Address>>,
}

impl TaskParametersSpec {
    /// As the contract holds them, given what was derived from the definition. The accounts of the allow list are not
    /// part of the contract's parameters; `createTask` takes them beside.
    pub fn parameters(&self, definition_hash: DefinitionHash, genesis_model: ModelHash) -> TaskParameters {
        TaskParameters {
            metadata: self.metadata.clone(),
            definition_hash,
            genesis_model,
            total_rounds: self.total_number_of_rounds,
            min_participants: self.min_number_of_participants,
            max_participants: self.max_number_of_participants,
            entry_stake: self.entry_stake,
            min_stake_threshold: self.min_stake_threshold,
            distribution_rate: self.participants_distribution_rate.scaled(),
            slashed_per_stake: self.slashed_per_stake.scaled(),
            bonus_ratio: self.bonus_ratio_for_slash_caller,
            quorum_bps: self.quorum_bps,
            join_window: self.join_window,
            propose_window: self.propose_window,
            commit_window: self.commit_window,
            reveal_window: self.reveal_window,
            stall_timeout: self.stall_timeout,
            initial_reward_pool: self.initial_reward_pool,
            allow_list_enabled: self.allow_list.is_some(),
        }
    }
}

/// The task as last read from the chain. The chain is the record; this is its mirror.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FLTaskStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The task's contract, joined or created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub contract: Option<Address>,
    /// The transaction that created it, if this operator sent it and knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub created_transaction: Option<B256>,
    /// The manager the contract is registered at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub manager: Option<Address>,
    /// The token it stakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub token: Option<Address>,
    /// SHA-256 of the definition in RFC 8785 form, as the chain has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub definition_hash: Option<DefinitionHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub genesis_model: Option<ModelHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::phase")]
    pub phase: Option<Phase>,
    /// The current round, counted from 0; the last one once the task has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub round: Option<u32>,
    /// Rounds of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub rounds: Option<u32>,
    /// Participants of the round: joined so far, or drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub participants: Option<u32>,
    /// Contributions of the round, of the drawn proposers: "1/2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<String>,
    /// Commitments of the round, of the drawn voters: "1/3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<String>,
    /// Reveals of the round, of the commitments (of the voters while commitments are possible).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revealed: Option<String>,
    /// End of the running window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The current global model: what the current round starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub global_model: Option<ModelHash>,
    /// The last settled round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_result: Option<RoundSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::amount")]
    pub reward_pool: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::amount")]
    pub total_stakes: Option<Amount>,
    /// Clients of this operator in this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub clients: Option<u32>,
    /// Rounds below this one are mirrored and final; mirroring goes on from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub mirrored_rounds: Option<u32>,
}

/// How a settled round ended.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundSummary {
    #[schemars(schema_with = "crate::schema::small_count")]
    pub round: u32,
    #[schemars(schema_with = "crate::schema::outcome")]
    pub outcome: Outcome,
    /// Stake-weighted score of the winning votes.
    #[schemars(schema_with = "crate::schema::signed_amount")]
    #[serde(with = "protocol::types::signed_decimal")]
    pub vote_score: alloy_primitives::I256,
    /// Model the round led to: the aggregate if accepted, else what it started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hash")]
    pub model: Option<ModelHash>,
}
