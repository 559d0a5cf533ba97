//! Keys that another service holds.

use async_trait::async_trait;
use url::Url;

use super::SigningKey;

/// Which key, and where its service is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteKey {
    /// Key id, ARN or alias.
    pub key_id: String,
    /// Default: the one in the ARN, else what the process's environment says.
    pub region: Option<String>,
    /// Default: the service's own in that region.
    pub endpoint: Option<Url>,
}

impl RemoteKey {
    /// The region that was configured, or the one in the ARN.
    pub fn region(&self) -> Option<String> {
        // arn:aws:kms:eu-west-1:111122223333:key/...
        let in_arn = || {
            let mut parts = self.key_id.split(':');
            (parts.next() == Some("arn")).then(|| parts.nth(2))?.map(str::to_owned)
        };
        self.region.clone().or_else(in_arn).filter(|region| !region.is_empty())
    }
}

/// Where such keys are opened.
#[async_trait]
pub trait KeyService: Send + Sync + 'static {
    /// Asks the service for the key's address. An error is a sentence for a person.
    async fn open(&self, key: &RemoteKey) -> Result<SigningKey, String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_configured_one_or_that_of_the_arn() {
        let key = |id: &str, region: Option<&str>| RemoteKey {
            key_id: id.to_owned(),
            region: region.map(str::to_owned),
            endpoint: None,
        };
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(key(arn, None).region().as_deref(), Some("eu-west-1"));
        assert_eq!(key(arn, Some("us-east-1")).region().as_deref(), Some("us-east-1"));
        assert_eq!(key("alias/participant", None).region(), None);
        assert_eq!(key("arn:aws:kms", None).region(), None);
    }
}
