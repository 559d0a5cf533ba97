//! Signing keys by reference: a Secret in the same namespace as the object that names it, or a key in KMS that the
//! operator's configuration grants that namespace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crds::{SignerRef, conditions::reason, signer::AwsKmsKey};
use k8s_openapi::api::core::v1::Secret;
use protocol::types::Timestamp;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    chain::{
        Encrypted, Held, KeystoreError, SignerError, SigningKey,
        remote::{KeyService, RemoteKey},
    },
    clock::Clock,
    cluster::{Cluster, ClusterError, Key},
};

/// Seconds after which a key nobody asked for is forgotten, and KMS asked again which key it has.
const KEPT: u64 = 900;

/// Why an object has no key. No message contains any part of a Secret's data.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("spec names no signer, or two: set exactly one of signer.secretRef and signer.awsKms")]
    Unnamed,
    #[error("there is no Secret {0} in this namespace: create it with type fl-alliance.io/signing-key")]
    Missing(String),
    #[error("Secret {name}: {error}")]
    Unusable { name: String, error: SignerError },
    #[error(
        "the operator's configuration does not grant namespace {namespace} the KMS key {key_id}: ask its administrator for \
         an entry in the chart value kms.keys"
    )]
    NotGranted { namespace: String, key_id: String },
    #[error("this build of the operator has no KMS: use an image built with the feature aws-kms, or a Secret")]
    NotBuilt,
    #[error("KMS key {key_id}: {error}")]
    Kms { key_id: String, error: String },
}

impl KeyError {
    /// Stable, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::Unnamed => "unnamed",
            Self::Missing(_) => "secret-missing",
            Self::Unusable { error, .. } => error.category(),
            Self::NotGranted { .. } => "kms-not-granted",
            Self::NotBuilt => "kms-not-built",
            Self::Kms { .. } => "kms",
        }
    }

    /// The reason of the condition it ends in.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(_) => reason::WAITING,
            Self::Unnamed => reason::SPEC_INVALID,
            Self::Missing(_) => reason::SECRET_MISSING,
            Self::Unusable { error, .. } => match error {
                SignerError::WrongType { .. } => reason::SECRET_TYPE,
                SignerError::Keystore(KeystoreError::WrongPassphrase) => reason::PASSPHRASE_WRONG,
                SignerError::Keystore(KeystoreError::TooCostly(_)) => reason::KEYSTORE_COSTLY,
                SignerError::Keystore(_) => reason::KEYSTORE_INVALID,
                _ => reason::SECRET_INVALID,
            },
            Self::NotGranted { .. } => reason::KMS_NOT_GRANTED,
            Self::NotBuilt => reason::KMS_NOT_BUILT,
            Self::Kms { .. } => reason::KMS_FAILED,
        }
    }

    /// Whether there is no key at all, so that waiting for it would be in vain; a service may answer later.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Cluster(_) | Self::Kms { .. })
    }
}

/// One entry of the operator's configuration: this namespace may sign with this KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsGrant {
    pub namespace: String,
    pub key: RemoteKey,
}

/// The same as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    namespace: String,
    key_id: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    endpoint: Option<Url>,
}

impl From<Entry> for KmsGrant {
    fn from(entry: Entry) -> Self {
        Self {
            namespace: entry.namespace,
            key: RemoteKey {
                key_id: entry.key_id,
                region: entry.region,
                endpoint: entry.endpoint,
            },
        }
    }
}

/// A list of [`KmsGrant`]s as JSON.
///
/// # Errors
/// What is wrong with it.
pub fn parse_grants(json: &str) -> Result<Vec<KmsGrant>, String> {
    let entries: Vec<Entry> = serde_json::from_str(json)
        .map_err(|error| format!("not a list of {{namespace, keyId, region?, endpoint?}}: {error}"))?;
    Ok(entries.into_iter().map(KmsGrant::from).collect())
}

/// Opens keys, and keeps them while somebody asks for them and their Secret stays as it is. A key that is dropped is
/// wiped from memory.
pub struct KeyRing {
    clock: Arc<dyn Clock>,
    /// `None`: this build has no KMS.
    service: Option<Arc<dyn KeyService>>,
    grants: Vec<KmsGrant>,
    kept: Mutex<HashMap<Source, Kept>>,
    /// One at a time, whoever asks: each may need a quarter of a gigabyte.
    opening: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("grants", &self.grants.len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Source {
    Secret(Key),
    Kms(RemoteKey),
}

struct Kept {
    /// uid and resourceVersion of the Secret it came from.
    version: Option<Version>,
    since: Timestamp,
    used: Timestamp,
    /// Also what failed: a wrong passphrase costs as much as the right one, and stays wrong until the Secret changes.
    outcome: Result<SigningKey, SignerError>,
}

#[derive(Clone, PartialEq, Eq)]
struct Version {
    uid: String,
    resource_version: String,
}

impl KeyRing {
    pub fn new(clock: Arc<dyn Clock>, service: Option<Arc<dyn KeyService>>, grants: Vec<KmsGrant>) -> Self {
        Self {
            clock,
            service,
            grants,
            kept: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Secrets alone.
    pub fn of_secrets(clock: Arc<dyn Clock>) -> Self {
        Self::new(clock, None, Vec::new())
    }

    /// The key that `signer` names for an object in `namespace`.
    pub async fn load(
        &self,
        cluster: &dyn Cluster,
        namespace: &str,
        signer: &SignerRef,
    ) -> Result<SigningKey, KeyError> {
        match (&signer.secret_ref, &signer.aws_kms) {
            (Some(secret), None) => self.of_secret(cluster, Key::new(namespace, &secret.name)).await,
            (None, Some(key)) => self.of_kms(namespace, key).await,
            _ => Err(KeyError::Unnamed),
        }
    }

    async fn of_secret(&self, cluster: &dyn Cluster, key: Key) -> Result<SigningKey, KeyError> {
        let source = Source::Secret(key.clone());
        let secret = if is_object_name(&key.name) {
            cluster.secret(&key).await?
        } else {
            None
        };
        let Some(secret) = secret else {
            self.lock().remove(&source);
            return Err(KeyError::Missing(key.name));
        };
        let unusable = |error| KeyError::Unusable {
            name: key.name.clone(),
            error,
        };
        let version = version_of(&secret);
        let type_ = secret.type_;
        let data = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, Zeroizing::new(value.0)))
            .collect();
        let kept = self.find(&source, |kept| version.is_some() && kept.version == version);
        if let Some(outcome) = kept {
            return outcome.map_err(unusable);
        }
        // Whatever this version holds, the key of the one before it leaves memory.
        self.lock().remove(&source);
        match SigningKey::from_secret(type_.as_deref(), &data).map_err(unusable)? {
            Held::Key(key) => {
                // Deriving its address is the dearest step of a look at a client at rest.
                if version.is_some() {
                    self.keep(source, version, Ok(key.clone()));
                }
                Ok(key)
            }
            Held::Encrypted(encrypted) => {
                let outcome = self.open(&source, &version, encrypted).await;
                outcome.map_err(unusable)
            }
        }
    }

    /// On a thread of its own: everything else goes on meanwhile.
    async fn open(
        &self,
        source: &Source,
        version: &Option<Version>,
        encrypted: Encrypted,
    ) -> Result<SigningKey, SignerError> {
        let _one_at_a_time = self.opening.lock().await;
        // Opened by another reconcile while this one waited.
        if let Some(outcome) = self.find(source, |kept| version.is_some() && kept.version == *version) {
            return outcome;
        }
        let opened = tokio::task::spawn_blocking(move || encrypted.open()).await;
        // Only a panic ends it otherwise.
        let outcome = opened.unwrap_or(Err(SignerError::Keystore(KeystoreError::Malformed(
            "it cannot be opened",
        ))));
        self.keep(source.clone(), version.clone(), outcome.clone());
        outcome
    }

    async fn of_kms(&self, namespace: &str, asked: &AwsKmsKey) -> Result<SigningKey, KeyError> {
        let grant = self
            .grants
            .iter()
            .find(|grant| grant.namespace == namespace && grant.key.key_id == asked.key_id)
            .ok_or_else(|| KeyError::NotGranted {
                namespace: namespace.to_owned(),
                key_id: asked.key_id.clone(),
            })?;
        let service = self.service.as_ref().ok_or(KeyError::NotBuilt)?;
        let source = Source::Kms(grant.key.clone());
        let now = self.clock.now();
        // An alias may be given another key.
        if let Some(Ok(key)) = self.find(&source, |kept| kept.since.until(now) < KEPT) {
            return Ok(key);
        }
        let key = service.open(&grant.key).await.map_err(|error| KeyError::Kms {
            key_id: asked.key_id.clone(),
            error,
        })?;
        self.keep(source, None, Ok(key.clone()));
        Ok(key)
    }

    fn find(&self, source: &Source, fits: impl Fn(&Kept) -> bool) -> Option<Result<SigningKey, SignerError>> {
        let now = self.clock.now();
        let mut all = self.lock();
        if let Some(kept) = all.get_mut(source) {
            kept.used = now;
        }
        // What nobody uses any more leaves memory.
        all.retain(|_, kept| kept.used.until(now) < KEPT);
        let kept = all.get(source).filter(|kept| fits(kept))?;
        Some(kept.outcome.clone())
    }

    fn keep(&self, source: Source, version: Option<Version>, outcome: Result<SigningKey, SignerError>) {
        let now = self.clock.now();
        let kept = Kept {
            version,
            since: now,
            used: now,
            outcome,
        };
        self.lock().insert(source, kept);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The schema refuses any other; here, because a name becomes part of a path: `../../other/secrets/key` must lead nowhere.
fn is_object_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !name.is_empty() && name.bytes().all(inside) && !name.starts_with('.') && !name.contains("..")
}

/// `None` for what no API server wrote.
fn version_of(secret: &Secret) -> Option<Version> {
    Some(Version {
        uid: secret.metadata.uid.clone()?,
        resource_version: secret.metadata.resource_version.clone()?,
    })
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
