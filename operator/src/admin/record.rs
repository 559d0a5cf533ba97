//! Where the contracts are: written once, read by the other commands, by people, and by the charts.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use alloy::primitives::{Address, B256};
use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde::{Deserialize, Serialize};

use crate::cluster::FIELD_MANAGER;

/// Key of the whole document in a ConfigMap.
const DOCUMENT: &str = "deployment.json";

/// One contract on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    pub address: Address,
    /// keccak256 of the code at the address: what `trustedManagers` of an FLChain pins.
    pub code_hash: B256,
    /// That created it; absent for a token that was there before, and where the chain does not tell any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
}

/// The contracts of one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    pub chain_id: u64,
    pub genesis_hash: B256,
    /// The CREATE2 factory and the salt: with the owner and the token they make up the addresses.
    pub factory: Address,
    pub salt: B256,
    /// Owner of the manager (who may allow creators), and of the token if it was deployed here.
    pub owner: Address,
    pub token: Deployed,
    pub manager: Deployed,
    pub implementation: Deployed,
}

/// A file, or a ConfigMap in the cluster of the current kubeconfig or service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordPlace {
    File(PathBuf),
    ConfigMap { namespace: String, name: String },
}

impl FromStr for RecordPlace {
    type Err = String;

    /// `configmap:<namespace>/<name>`, otherwise a path.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("configmap:") {
            Some(name) => parse_config_map(name),
            None if text.is_empty() => Err("a path or configmap:<namespace>/<name>".to_owned()),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// `<namespace>/<name>`.
pub(super) fn parse_config_map(text: &str) -> Result<RecordPlace, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(RecordPlace::ConfigMap {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        }
        _ => Err("expected <namespace>/<name>".to_owned()),
    }
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::ConfigMap { namespace, name } => write!(f, "ConfigMap {namespace}/{name}"),
        }
    }
}

async fn config_maps(namespace: &str) -> anyhow::Result<Api<ConfigMap>> {
    let client = kube::Client::try_default().await.context("reaching the cluster")?;
    Ok(Api::namespaced(client, namespace))
}

impl RecordPlace {
    /// `None` if nothing was written there yet.
    pub async fn read(&self) -> anyhow::Result<Option<Deployment>> {
        let text = match self {
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(error).with_context(|| format!("reading {self}")),
            },
            Self::ConfigMap { namespace, name } => {
                let found = config_maps(namespace).await?.get_opt(name).await;
                let found = found.with_context(|| format!("reading {self}"))?;
                found
                    .and_then(|map| map.data)
                    .and_then(|mut data| data.remove(DOCUMENT))
            }
        };
        text.map(|text| serde_json::from_str(&text).with_context(|| format!("{self} is no record of a deployment")))
            .transpose()
    }

    /// The record, which must be there.
    pub async fn expect(&self) -> anyhow::Result<Deployment> {
        match self.read().await? {
            Some(deployment) => Ok(deployment),
            None => bail!("{self} holds no record of a deployment; run `chain deploy` first"),
        }
    }

    /// Replaces what is there.
    pub async fn write(&self, deployment: &Deployment) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(deployment)? + "\n";
        match self {
            Self::File(path) => {
                // Readers see the old document or the new one.
                let part = path.with_extension("part");
                std::fs::write(&part, text)
                    .and_then(|()| std::fs::rename(&part, path))
                    .with_context(|| format!("writing {self}"))
            }
            Self::ConfigMap { namespace, name } => {
                let map = ConfigMap {
                    metadata: ObjectMeta {
                        name: Some(name.clone()),
                        ..Default::default()
                    },
                    data: Some(config_map_data(deployment, text)),
                    ..Default::default()
                };
                let params = PatchParams::apply(FIELD_MANAGER).force();
                let written = config_maps(namespace)
                    .await?
                    .patch(name, &params, &Patch::Apply(&map))
                    .await;
                written.with_context(|| format!("writing {self}")).map(drop)
            }
        }
    }
}

/// The document, and its parts one by one for whoever cannot parse JSON.
fn config_map_data(deployment: &Deployment, document: String) -> BTreeMap<String, String> {
    let Deployment {
        chain_id,
        genesis_hash,
        factory: _,
        salt: _,
        owner,
        token,
        manager,
        implementation,
    } = deployment;
    [
        (DOCUMENT, document),
        ("chainId", chain_id.to_string()),
        ("genesisHash", genesis_hash.to_string()),
        ("owner", owner.to_string()),
        ("token", token.address.to_string()),
        ("manager", manager.address.to_string()),
        ("managerCodeHash", manager.code_hash.to_string()),
        ("implementation", implementation.address.to_string()),
        ("implementationCodeHash", implementation.code_hash.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Deployment {
        let deployed = |byte| Deployed {
            address: Address::repeat_byte(byte),
            code_hash: B256::repeat_byte(byte),
            transaction: None,
            block: Some(7),
        };
        Deployment {
            chain_id: 31337,
            genesis_hash: B256::repeat_byte(9),
            factory: Address::repeat_byte(7),
            salt: B256::ZERO,
            owner: Address::repeat_byte(8),
            token: deployed(1),
            manager: deployed(2),
            implementation: deployed(3),
        }
    }

    #[tokio::test]
    async fn a_record_in_a_file_reads_back_as_written() {
        let directory = tempfile::tempdir().unwrap();
        let place: RecordPlace = directory
            .path()
            .join("contracts.json")
            .display()
            .to_string()
            .parse()
            .unwrap();
        assert_eq!(place.read().await.unwrap(), None);
        assert!(place.expect().await.is_err());
        place.write(&deployment()).await.unwrap();
        assert_eq!(place.expect().await.unwrap(), deployment());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_config_map_holds_the_document_and_its_parts() {
        let data = config_map_data(&deployment(), "{}".to_owned());
        assert_eq!(data["managerCodeHash"], format!("0x{}", "02".repeat(32)));
        assert_eq!(data["token"].to_lowercase(), format!("0x{}", "01".repeat(20)));
        assert_eq!(data["chainId"], "31337");
    }

    #[test]
    fn places_are_told_apart() {
        assert_eq!("a/b.json".parse(), Ok(RecordPlace::File("a/b.json".into())));
        let map = RecordPlace::ConfigMap {
            namespace: "ns".to_owned(),
            name: "n".to_owned(),
        };
        assert_eq!("configmap:ns/n".parse(), Ok(map));
        for bad in ["", "configmap:", "configmap:n", "configmap:/n", "configmap:a/b/c"] {
            assert!(bad.parse::<RecordPlace>().is_err(), "{bad:?}");
        }
    }
}
