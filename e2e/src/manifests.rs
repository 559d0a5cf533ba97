//! The manifests a user would write, for a task of the demo's kind.

use alloy::primitives::Address;
use serde_json::{Value, json};

use crate::{env, key::TestKey, site::CHAIN};

/// Marks what a run made outside of namespaces, and the namespaces, so that the next run can sweep.
pub const LABEL: &str = "fl-alliance.io/e2e";

/// One token.
pub const TOKEN: u128 = 1_000_000_000_000_000_000;

/// A list that `kubectl apply` takes whole.
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A Secret with a signing key.
pub fn signing_key(namespace: &str, name: &str, key: &TestKey) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "fl-alliance.io/signing-key",
        "metadata": {"namespace": namespace, "name": name},
        "stringData": {"privateKey": key.hex()},
    })
}

/// A Secret with an encrypted signing key.
pub fn encrypted_key(namespace: &str, name: &str, keystore: &str, passphrase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "fl-alliance.io/signing-key",
        "metadata": {"namespace": namespace, "name": name},
        // As a file of one line would be.
        "stringData": {"keystore": keystore, "passphrase": format!("{passphrase}\n")},
    })
}

/// What differs between the tasks of the scenarios.
#[derive(Debug, Clone)]
pub struct TaskShape {
    pub rounds: u32,
    pub min_participants: u16,
    pub max_participants: u16,
    /// Share of proposers, as the manifest writes it.
    pub distribution_rate: &'static str,
    pub slashed_per_stake: &'static str,
    /// Whole tokens.
    pub entry_stake: u128,
    pub min_stake_threshold: u128,
    /// Seconds.
    pub windows: Windows,
    pub reward_pool: u128,
    pub epochs: u32,
    pub learning_rate: &'static str,
    /// Width of the MLP's hidden layer.
    pub hidden: u32,
    /// How much worse than its start an aggregate may be and still get a vote for it.
    pub epsilon: &'static str,
    /// As the definition has it.
    pub aggregation: Value,
}

/// Seconds.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    pub join: u32,
    pub propose: u32,
    pub commit: u32,
    pub reveal: u32,
}

impl Default for TaskShape {
    /// Six participants, two proposers and four voters a round; windows end early when everybody has acted.
    fn default() -> Self {
        Self {
            rounds: 5,
            min_participants: 6,
            max_participants: 6,
            distribution_rate: "0.34",
            slashed_per_stake: "0.05",
            entry_stake: 64,
            min_stake_threshold: 24,
            windows: Windows {
                join: 30,
                propose: 90,
                commit: 90,
                reveal: 45,
            },
            reward_pool: 1000,
            epochs: 1,
            learning_rate: "0.05",
            hidden: 128,
            epsilon: "0.05",
            aggregation: json!({"rule": "mean/v1", "weighted": false}),
        }
    }
}

impl TaskShape {
    /// The smallest that is still a federated task: for scenarios that are about something else than learning.
    pub fn tiny(rounds: u32, participants: u16) -> Self {
        Self {
            rounds,
            min_participants: participants,
            max_participants: participants,
            windows: Windows {
                join: 60,
                propose: 120,
                commit: 120,
                reveal: 60,
            },
            hidden: 16,
            // A few dozen test records are noisy; these scenarios are not about learning.
            epsilon: "0.5",
            ..Self::default()
        }
    }
}

/// The training definition of the scenarios: an MLP on Fashion-MNIST.
pub fn definition(shape: &TaskShape) -> Value {
    json!({
        "schemaVersion": 1,
        "architecture": {"mlp": {"inputs": 784, "hidden": [shape.hidden], "outputs": 10}},
        "training": {
            "optimizer": {"sgd": {"learningRate": shape.learning_rate, "momentum": "0.9", "weightDecay": "0"}},
            "batchSize": 64, "epochs": shape.epochs,
        },
        "preprocessing": {"mean": "0.2860", "std": "0.3530"},
        "seed": 1,
        "split": {"testPercent": 20},
        "aggregation": shape.aggregation,
        "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": shape.epsilon},
        "maxModelBytes": 16_777_216,
    })
}

/// An FLTask that creates its contract.
pub fn created_task(namespace: &str, name: &str, manager: Address, salt: &str, shape: &TaskShape) -> Value {
    let tokens = |whole: u128| (whole * TOKEN).to_string();
    let w = shape.windows;
    json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLTask",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "chainRef": {"name": CHAIN},
            "definition": definition(shape),
            "create": {
                "manager": format!("{manager:#x}"),
                "salt": salt,
                "signer": {"secretRef": {"name": "creator"}},
                "parameters": {
                    "metadata": "{\"name\":\"Fashion-MNIST\"}",
                    "totalNumberOfRounds": shape.rounds,
                    "minNumberOfParticipants": shape.min_participants,
                    "maxNumberOfParticipants": shape.max_participants,
                    "entryStake": tokens(shape.entry_stake),
                    "minStakeThreshold": tokens(shape.min_stake_threshold),
                    "participantsDistributionRate": shape.distribution_rate,
                    "slashedPerStake": shape.slashed_per_stake,
                    "bonusRatioForSlashCaller": 1000,
                    "quorumBps": 5000,
                    "joinWindow": w.join, "proposeWindow": w.propose, "commitWindow": w.commit, "revealWindow": w.reveal,
                    "stallTimeout": 2 * (w.join + w.propose + w.commit + w.reveal),
                    "initialRewardPool": tokens(shape.reward_pool),
                },
            },
        },
    })
}

/// An FLTask that joins a contract which exists; the definition comes from the store.
pub fn joined_task(namespace: &str, name: &str, contract: Address) -> Value {
    json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLTask",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"chainRef": {"name": CHAIN}, "contract": format!("{contract:#x}")},
    })
}

/// An FLClient on the data of client `index`.
pub fn client(namespace: &str, name: &str, task: &str, stake: u128, index: usize, image: &str) -> Value {
    json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLClient",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "taskRef": {"name": task},
            "signer": {"secretRef": {"name": name}},
            "stake": (stake * TOKEN).to_string(),
            "data": {"volume": {"pvc": {"claimName": "data", "subPath": format!("client-{index}")}}, "format": "idx"},
            "trainer": {
                "image": image, "imagePullPolicy": env::pull_policy(),
                "resources": {
                    "requests": {"cpu": "10m", "memory": "64Mi"},
                    "limits": {"memory": "1Gi"},
                },
                "scratchSize": "256Mi",
                "device": "cpu",
            },
        },
    })
}
