//! FLChain: one EVM chain as this operator sees it. Cluster-scoped, because where the operator connects to is the
//! administrator's choice, not a tenant's.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use kube::{CustomResource, KubeSchema};
use protocol::types::{Address, B256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, SecretKeyRef};

/// A chain, how to reach it, when a block counts as settled, and which contracts are trusted there.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fl-alliance.io",
    version = "v1alpha1",
    kind = "FLChain",
    plural = "flchains",
    shortname = "flch",
    category = "fl-alliance",
    status = "FLChainStatus",
    derive = "PartialEq",
    doc = "A chain: identity, RPC endpoints, confirmations, fee cap and the task managers trusted there.",
    printcolumn(name = "CHAIN-ID", type_ = "integer", json_path = ".spec.chainId"),
    printcolumn(name = "ENDPOINT", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
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
pub struct FLChainSpec {
    /// The chain's id (`eth_chainId`); immutable.
    #[schemars(schema_with = "crate::schema::chain_id")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("chainId is immutable: make another FLChain"))]
    pub chain_id: u64,
    /// Hash of block 0, 0x and 64 hex digits: two chains may share an id, but not this. Immutable.
    #[schemars(schema_with = "crate::schema::bytes32")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("genesisHash is immutable: make another FLChain"))]
    pub genesis_hash: B256,
    pub rpc: RpcSpec,
    /// When a block counts as settled.
    #[serde(default)]
    pub confirmations: Confirmations,
    /// The operator never offers more than this per unit of gas, in gwei. Without it, a re-send stops at ten times the
    /// base fee of the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::gwei")]
    pub max_fee_per_gas_gwei: Option<String>,
    /// Task managers whose tasks may be joined. Empty: none is, and nothing is ever staked on this chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub trusted_managers: Vec<TrustedManager>,
    /// Expected seconds between blocks; measured if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub block_time_seconds: Option<u32>,
    /// Namespace of the operator that reports on this chain in `status`. Where several operators share a cluster, the
    /// others use the chain and leave its status alone. Absent: every operator reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub operator_namespace: Option<String>,
}

/// Where the RPC endpoints are listed.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RpcSpec {
    /// A Secret in the operator's own namespace (URLs carry API keys). The value is one URL a line, http or https;
    /// the first is preferred, the others are used when it fails or lags.
    pub secret_ref: SecretKeyRef,
}

/// When a block counts as settled. At most one may be set; neither means a depth of 12.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.depth) && has(self.finalized))").message("set depth or finalized, not both")
)]
pub struct Confirmations {
    /// So many blocks on top of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub depth: Option<u32>,
    /// The chain's own `finalized` tag; may only be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("finalized may only be true: leave it out otherwise"))]
    pub finalized: Option<bool>,
}

/// What [`Confirmations`] comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmationRule {
    Depth(u32),
    Finalized,
}

/// Depth used when an FLChain names none.
pub const DEFAULT_DEPTH: u32 = 12;

impl Confirmations {
    pub fn rule(&self) -> ConfirmationRule {
        match (self.finalized, self.depth) {
            (Some(true), _) => ConfirmationRule::Finalized,
            (_, depth) => ConfirmationRule::Depth(depth.unwrap_or(DEFAULT_DEPTH)),
        }
    }
}

/// A FlockTaskManager and the code it and its tasks must have.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedManager {
    #[schemars(schema_with = "crate::schema::address")]
    pub address: Address,
    /// keccak256 of the manager's code (`EXTCODEHASH`).
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub code_hash: B256,
    /// keccak256 of the code of the task implementation the manager clones.
    #[schemars(schema_with = "crate::schema::bytes32")]
    pub task_code_hash: B256,
}

/// Health of the chain's endpoints, said once here and not on every task. Block heads are metrics, not status: an idle
/// chain writes nothing.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FLChainStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Host of the endpoint in use, never the URL (it may carry an API key).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Endpoints the Secret lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::small_count")]
    pub endpoints: Option<u32>,
    /// The trusted managers as found on chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<ManagerStatus>,
}

/// One trusted manager as found on chain.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagerStatus {
    #[schemars(schema_with = "crate::schema::address")]
    pub address: Address,
    /// Both code hashes are as expected.
    pub verified: bool,
    /// The token its tasks stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub token: Option<Address>,
    /// The implementation its tasks are clones of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::address")]
    pub implementation: Option<Address>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_default_to_a_depth_and_prefer_finality_when_asked() {
        assert_eq!(Confirmations::default().rule(), ConfirmationRule::Depth(DEFAULT_DEPTH));
        assert_eq!(
            Confirmations {
                depth: Some(0),
                finalized: None
            }
            .rule(),
            ConfirmationRule::Depth(0)
        );
        assert_eq!(
            Confirmations {
                depth: None,
                finalized: Some(true)
            }
            .rule(),
            ConfirmationRule::Finalized
        );
    }
}
