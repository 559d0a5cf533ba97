//! FLChain status from the health of its endpoints and what its managers look like: pure.

use crds::{
    FLChain, FLChainStatus, Time,
    conditions::{self, NewCondition, reason, types},
    flchain::ManagerStatus,
    rfc3339,
};
use protocol::types::Timestamp;

use super::error::ChainSetupError;
use crate::chain::ChainHealth;

/// What one look at a chain found.
#[derive(Debug)]
pub(super) struct Seen {
    pub health: ChainHealth,
    /// Host of the endpoint in use.
    pub endpoint: Option<String>,
    pub endpoints: u32,
    pub managers: Vec<ManagerStatus>,
}

/// The status after a look, or after the endpoints could not even be tried.
pub(super) fn of(chain: &FLChain, seen: &Result<Seen, ChainSetupError>, now: Timestamp) -> FLChainStatus {
    let before = chain.status.clone().unwrap_or_default();
    let generation = chain.metadata.generation;
    let time = rfc3339(now).unwrap_or_else(|| Time(Default::default()));
    let mut status = FLChainStatus {
        observed_generation: generation,
        ..before
    };
    let mut conditions = std::mem::take(&mut status.conditions);
    let mut set = |type_, value: bool, reason, message: String| {
        conditions::set(
            &mut conditions,
            NewCondition::new(type_, value, reason, message),
            generation,
            &time,
        );
    };
    match seen {
        Err(error) => {
            set(types::READY, false, error.reason(), error.to_string());
            set(types::RPC_AVAILABLE, false, error.reason(), error.to_string());
        }
        Ok(seen) => {
            let (usable, why) = verdict(&seen.health);
            set(types::RPC_AVAILABLE, usable, why, sentence(&seen.health));
            let skewed = matches!(seen.health, ChainHealth::ClockSkew { .. });
            let clocks = if skewed {
                reason::CLOCKS_DIFFER
            } else {
                reason::CLOCKS_AGREE
            };
            if usable {
                let said = if skewed {
                    seen.health.to_string()
                } else {
                    "chain time and wall clock agree".to_owned()
                };
                set(types::CLOCK_SKEW, skewed, clocks, said);
            }
            let distrusted: Vec<_> = seen
                .managers
                .iter()
                .filter(|m| !m.verified)
                .map(|m| m.address.to_string())
                .collect();
            let trusted = distrusted.is_empty();
            if usable {
                let (code, said) = if trusted {
                    (
                        reason::SUCCEEDED,
                        format!("{} trusted managers have the expected code", seen.managers.len()),
                    )
                } else {
                    let said = format!(
                        "without the expected code: {}; compare with what the contracts' owner publishes",
                        distrusted.join(", ")
                    );
                    (reason::CODE_MISMATCH, said)
                };
                set(types::MANAGERS_TRUSTED, trusted, code, said.clone());
                if trusted {
                    // Tasks on a chain that stands still go on as far as they can, but it is not as it should be.
                    set(types::READY, why == reason::AVAILABLE, why, sentence(&seen.health));
                } else {
                    set(types::READY, false, code, said);
                }
                status.managers = seen.managers.clone();
            } else {
                set(types::READY, false, why, sentence(&seen.health));
            }
            status.endpoint = seen.endpoint.clone();
            status.endpoints = Some(seen.endpoints);
        }
    }
    status.conditions = conditions;
    status
}

fn verdict(health: &ChainHealth) -> (bool, &'static str) {
    match health {
        ChainHealth::Healthy { .. } | ChainHealth::ClockSkew { .. } => (true, reason::AVAILABLE),
        ChainHealth::Stalled { .. } => (true, reason::RPC_LAGGING),
        ChainHealth::Connecting | ChainHealth::RpcUnreachable { .. } => (false, reason::RPC_UNREACHABLE),
        ChainHealth::Lagging { .. } => (false, reason::RPC_LAGGING),
        ChainHealth::WrongChainId { .. } => (false, reason::WRONG_CHAIN_ID),
        ChainHealth::WrongGenesis { .. } => (false, reason::WRONG_GENESIS),
    }
}

/// Without what changes by itself (ages, heads), so that an idle chain writes nothing.
fn sentence(health: &ChainHealth) -> String {
    match health {
        ChainHealth::Stalled { .. } => {
            "the newest block is old: the chain or its endpoints stand still; check the nodes".to_owned()
        }
        ChainHealth::Lagging { .. } => {
            "every endpoint that answers is behind a block seen before: wait for it to catch up, or put a better URL first"
                .to_owned()
        }
        other => other.to_string(),
    }
}
