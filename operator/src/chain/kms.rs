//! Keys that stay in AWS KMS, through alloy's signer. Only in builds with the feature `aws-kms`.
//!
//! The operator's own cloud identity signs the requests: which key a namespace may use is for the operator's
//! configuration to say, and so is where the service is (`controller::keys`).

use std::{sync::Arc, time::Duration};

use alloy_signer_aws::{
    AwsSigner,
    aws_config::{self, BehaviorVersion, Region, timeout::TimeoutConfig},
    aws_sdk_kms::{
        Client,
        config::{Builder, SharedCredentialsProvider},
    },
};
use async_trait::async_trait;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{
    SigningKey,
    remote::{KeyService, RemoteKey},
    signer::chain_of,
};

pub use alloy_signer_aws::aws_sdk_kms::config::Credentials;

/// A window can be short: a service that does not answer by then is asked again at the next block.
const TIMEOUT: Duration = Duration::from_secs(10);

/// KMS by the identity of the process: its environment, its service account's role, or its node's.
#[derive(Debug, Clone, Default)]
pub struct AwsKms {
    credentials: Option<SharedCredentialsProvider>,
}

impl AwsKms {
    /// By these credentials instead.
    pub fn with_credentials(credentials: Credentials) -> Self {
        Self {
            credentials: Some(SharedCredentialsProvider::new(credentials)),
        }
    }
}

#[async_trait]
impl KeyService for AwsKms {
    async fn open(&self, key: &RemoteKey) -> Result<SigningKey, String> {
        // ring, as everywhere in this binary.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts);
        if let Some(region) = key.region() {
            loader = loader.region(Region::new(region));
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let mut config = Builder::from(&loader.load().await);
        // Of KMS alone: where the identity comes from is not the key's business.
        if let Some(endpoint) = &key.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        let signer = AwsSigner::new(Client::from_conf(config.build()), key.key_id.clone(), None)
            .await
            .map_err(|error| chain_of(&error))?;
        Ok(SigningKey::of(Arc::new(signer)))
    }
}
