//! RPC URLs from the Secret an FLChain names, in the operator's own namespace.

use crds::FLChain;
use url::Url;

use super::error::ChainSetupError;
use crate::{
    cluster::{Cluster, Key},
    controller::context::Settings,
};

/// Reads and parses the list; the first is preferred.
pub(super) async fn read(
    chain: &FLChain,
    cluster: &dyn Cluster,
    settings: &Settings,
) -> Result<Vec<Url>, ChainSetupError> {
    let reference = &chain.spec.rpc.secret_ref;
    let key = Key::new(&settings.namespace, &reference.name);
    let missing = || ChainSetupError::SecretMissing {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        key: reference.key.clone(),
    };
    let secret = cluster.secret(&key).await?.ok_or_else(missing)?;
    let value = secret
        .data
        .unwrap_or_default()
        .remove(&reference.key)
        .ok_or_else(missing)?;
    parse(&String::from_utf8_lossy(&value.0))
}

fn parse(text: &str) -> Result<Vec<Url>, ChainSetupError> {
    let mut urls = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let url = Url::parse(line).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        urls.push(url.ok_or(ChainSetupError::NotAUrl { line: index + 1 })?);
    }
    if urls.is_empty() {
        Err(ChainSetupError::NoUrl)
    } else {
        Ok(urls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_one_a_line_with_comments() {
        let urls = parse("# ours\nhttps://rpc.example/v2/key\n\n http://node:8545 \n").unwrap();
        assert_eq!(urls.len(), 2);
        assert_eq!(urls[0].host_str(), Some("rpc.example"));
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_never_quoted() {
        let error = parse("http://a\nsecret-key-without-scheme\n").unwrap_err();
        assert!(matches!(error, ChainSetupError::NotAUrl { line: 2 }));
        assert!(!error.to_string().contains("secret-key"));
        assert!(matches!(parse("\n# nothing\n").unwrap_err(), ChainSetupError::NoUrl));
        assert!(matches!(
            parse("ftp://a").unwrap_err(),
            ChainSetupError::NotAUrl { line: 1 }
        ));
    }
}
