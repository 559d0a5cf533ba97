//! Signing keys by reference: a Secret in the same namespace as the object that names it.

use crds::{SignerRef, conditions::reason};

use crate::{
    chain::{SignerError, SigningKey},
    cluster::{Cluster, ClusterError, Key},
};

/// Why an object has no key. No message contains any part of a Secret's data.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("there is no Secret {0} in this namespace: create it with type fl-alliance.io/signing-key")]
    Missing(String),
    #[error("Secret {name}: {error}")]
    Unusable { name: String, error: SignerError },
}

impl KeyError {
    /// Stable, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::Missing(_) => "secret-missing",
            Self::Unusable { error, .. } => error.category(),
        }
    }

    /// The reason of the condition it ends in.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(_) => reason::WAITING,
            Self::Missing(_) => reason::SECRET_MISSING,
            Self::Unusable {
                error: SignerError::WrongType { .. },
                ..
            } => reason::SECRET_TYPE,
            Self::Unusable { .. } => reason::SECRET_INVALID,
        }
    }
}

/// Reads the key that `signer` names in `namespace`.
pub async fn load(cluster: &dyn Cluster, namespace: &str, signer: &SignerRef) -> Result<SigningKey, KeyError> {
    let name = &signer.secret_ref.name;
    let secret = cluster
        .secret(&Key::new(namespace, name))
        .await?
        .ok_or_else(|| KeyError::Missing(name.clone()))?;
    let data = secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect();
    SigningKey::from_secret(secret.type_.as_deref(), &data).map_err(|error| KeyError::Unusable {
        name: name.clone(),
        error,
    })
}
