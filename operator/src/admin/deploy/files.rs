//! What a deployment looks like to Helm and to Kubernetes.

use alloy::primitives::{B256, hex};
use crds::{
    FLChain, FLChainSpec, SecretKeyRef,
    flchain::{RpcSpec, TrustedManager},
};
use serde::Serialize;
use serde_json::json;

use super::super::record::{Deployed, Deployment};

/// Key of the RPC Secret that holds the URLs.
const RPC_KEY: &str = "urls";
/// Longest name of an FLChain.
const LONGEST_NAME: usize = 40;

/// How the chain is called in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainNames {
    pub(super) chain: String,
    pub(super) rpc_secret: String,
}

impl ChainNames {
    /// With what was asked for, or names that follow from the chain's id.
    pub(super) fn new(chain_id: u64, chain: Option<&str>, rpc_secret: Option<&str>) -> Self {
        let chain = chain.map_or_else(|| format!("chain-{chain_id}"), str::to_owned);
        Self {
            rpc_secret: rpc_secret.map_or_else(|| format!("{chain}-rpc"), str::to_owned),
            chain,
        }
    }
}

/// An object name that Kubernetes and the FLChain definition take.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: char| c != '-';
    let good = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.chars().all(inner)
        && text.starts_with(edge)
        && text.ends_with(edge);
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "expected at most {LONGEST_NAME} of a-z, 0-9 and -, with a letter or digit at either end"
        ))
    }
}

fn trusted(deployment: &Deployment) -> TrustedManager {
    TrustedManager {
        address: deployment.manager.address,
        code_hash: deployment.manager.code_hash,
        task_code_hash: deployment.implementation.code_hash,
    }
}

/// Values for the chart `fl-alliance`: `helm install -f`.
pub(super) fn values(deployment: &Deployment, names: &ChainNames) -> anyhow::Result<String> {
    let TrustedManager {
        address,
        code_hash,
        task_code_hash,
    } = trusted(deployment);
    let values = json!({"chain": {
        "create": true,
        "name": names.chain,
        "chainId": deployment.chain_id,
        "genesisHash": word(deployment.genesis_hash),
        "rpc": {"existingSecret": names.rpc_secret, "key": RPC_KEY},
        "trustedManagers": [{
            "address": address.to_string(),
            "codeHash": word(code_hash),
            "taskCodeHash": word(task_code_hash),
        }],
    }});
    Ok(header(deployment, names) + &yaml(&values)?)
}

/// An FLChain: `kubectl apply -f`.
pub(super) fn manifest(deployment: &Deployment, names: &ChainNames) -> anyhow::Result<String> {
    let chain = FLChain::new(
        &names.chain,
        FLChainSpec {
            chain_id: deployment.chain_id,
            genesis_hash: deployment.genesis_hash,
            rpc: RpcSpec {
                secret_ref: SecretKeyRef {
                    name: names.rpc_secret.clone(),
                    key: RPC_KEY.to_owned(),
                },
            },
            confirmations: Default::default(),
            max_fee_per_gas_gwei: None,
            trusted_managers: vec![trusted(deployment)],
            block_time_seconds: None,
            operator_namespace: None,
        },
    );
    Ok(header(deployment, names) + &yaml(&chain)?)
}

/// Hex digits in quotes: some readers of YAML take them for very large numbers otherwise.
fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let quoted = serde_yaml_ng::to_string(value)?
        .lines()
        .map(|line| match line.split_once(": 0x") {
            Some((name, digits)) => format!("{name}: \"0x{digits}\"\n"),
            None => format!("{line}\n"),
        })
        .collect();
    Ok(quoted)
}

/// What the format has no field for, as comments.
fn header(deployment: &Deployment, names: &ChainNames) -> String {
    let line = |name: &str, deployed: &Deployed| {
        let block = deployed.block.map(|b| format!(", block {b}")).unwrap_or_default();
        let transaction = deployed
            .transaction
            .map(|t| format!(", transaction {t}"))
            .unwrap_or_default();
        format!(
            "#   {name:<16}{}, code {}{block}{transaction}\n",
            deployed.address, deployed.code_hash
        )
    };
    let ChainNames { rpc_secret, .. } = names;
    format!(
        "# Written by `fl-alliance-operator chain deploy`: the contracts of chain {}.\n#   {:<16}{}\n#   {:<16}{}, salt \
         {}\n{}{}{}# The RPC endpoints are not written down here, since they may carry API keys. Put them, one a line, into \
         a Secret in\n# the operator's namespace:\n#   kubectl -n <namespace> create secret generic {rpc_secret} \
         --from-file={RPC_KEY}=<file>\n",
        deployment.chain_id,
        "owner",
        deployment.owner,
        "CREATE2 factory",
        deployment.factory,
        deployment.salt,
        line("token", &deployment.token),
        line("manager", &deployment.manager),
        line("implementation", &deployment.implementation),
    )
}

fn word(hash: B256) -> String {
    hex::encode_prefixed(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        for good in ["a", "chain-31337", &"a".repeat(40)] {
            assert_eq!(parse_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(41)] {
            assert!(parse_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_chain_without_a_name_is_called_by_its_id() {
        let names = ChainNames::new(7, None, None);
        assert_eq!(
            (names.chain.as_str(), names.rpc_secret.as_str()),
            ("chain-7", "chain-7-rpc")
        );
        let named = ChainNames::new(7, Some("main"), Some("urls"));
        assert_eq!((named.chain.as_str(), named.rpc_secret.as_str()), ("main", "urls"));
    }
}
