//! Where the chain is, and which key signs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy::{
    primitives::{Address, Bytes, TxKind},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::send::Account;
use crate::{
    chain::{
        ChainError, ChainIdentity,
        keystore::Keystore,
        rpc::{Rpc, RpcConfig},
        signer::without_line_feed,
        transport::HttpTransport,
    },
    clock::SystemClock,
};

/// Environment variable with a private key, for where no file is at hand.
const KEY_VARIABLE: &str = "FLA_PRIVATE_KEY";
/// The same with a keystore's passphrase.
const PASSPHRASE_VARIABLE: &str = "FLA_PASSPHRASE";

/// How the chain is reached.
#[derive(Debug, Clone, Args)]
pub struct RpcArgs {
    /// JSON-RPC endpoint (http or https). It may carry an API key: prefer the environment variable.
    #[arg(long, env = "FLA_RPC_URL", hide_env_values = true)]
    pub rpc_url: Url,
    /// Seconds to keep trying until the endpoint answers; 0: one try.
    #[arg(long, default_value_t = 0)]
    pub wait: u64,
}

/// Which key signs.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// File with the private key: 64 hex digits, 0x and white space allowed. Without it the variable FLA_PRIVATE_KEY
    /// is read.
    #[arg(long, env = "FLA_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// File with an encrypted key instead (Web3 secret storage, as geth and `cast wallet` write it).
    #[arg(long, env = "FLA_KEYSTORE", conflicts_with = "key_file")]
    pub keystore: Option<PathBuf>,
    /// File with what opens the keystore. Without it the variable FLA_PASSPHRASE is read.
    #[arg(long, env = "FLA_PASSPHRASE_FILE", requires = "keystore")]
    pub passphrase_file: Option<PathBuf>,
    /// Send transactions of the kind before EIP-1559. Chains whose blocks have no base fee get them without being asked.
    #[arg(long, env = "FLA_LEGACY")]
    pub legacy: bool,
}

impl KeyArgs {
    /// The key's account on a chain.
    pub(super) fn account(&self, chain: Connection) -> anyhow::Result<Account> {
        Ok(Account::new(chain, self.signer()?).legacy(self.legacy))
    }

    /// Reads the key. No error contains any part of it.
    pub fn signer(&self) -> anyhow::Result<PrivateKeySigner> {
        if let Some(path) = &self.keystore {
            let json = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            return Ok(Keystore::parse(&json)?.open(without_line_feed(self.passphrase()?.as_bytes()))?);
        }
        let text = match &self.key_file {
            Some(path) => read_secret(path)?,
            None => match std::env::var(KEY_VARIABLE) {
                Ok(text) => Zeroizing::new(text),
                Err(_) => bail!("no key: give --key-file, or set {KEY_VARIABLE}"),
            },
        };
        parse_key(&text)
    }

    fn passphrase(&self) -> anyhow::Result<Zeroizing<String>> {
        match &self.passphrase_file {
            Some(path) => read_secret(path),
            None => match std::env::var(PASSPHRASE_VARIABLE) {
                Ok(text) => Ok(Zeroizing::new(text)),
                Err(_) => bail!("no passphrase: give --passphrase-file, or set {PASSPHRASE_VARIABLE}"),
            },
        }
    }
}

fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Zeroizing::new(text))
}

pub(super) fn parse_key(text: &str) -> anyhow::Result<PrivateKeySigner> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut key = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(digits, key.as_mut())
        .ok()
        .context("the key is not 64 hex digits")?;
    PrivateKeySigner::from_slice(key.as_ref())
        .ok()
        .context("the key is not a valid secp256k1 key")
}

/// One chain, by one endpoint.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) rpc: Arc<Rpc>,
    pub(super) identity: ChainIdentity,
}

impl Connection {
    /// Connects and asks which chain it is.
    pub async fn open(args: &RpcArgs) -> anyhow::Result<Self> {
        let transport =
            HttpTransport::new(args.rpc_url.clone(), Duration::from_secs(20)).map_err(anyhow::Error::msg)?;
        let config = RpcConfig {
            chain: "command".to_owned(),
            expected: None,
            stale_after: u64::MAX,
        };
        let rpc = Arc::new(Rpc::new(config, vec![Arc::new(transport)], Arc::new(SystemClock), None));
        let until = std::time::Instant::now() + Duration::from_secs(args.wait);
        let identity = loop {
            match rpc.identity().await {
                Ok(identity) => break identity,
                Err(ChainError::Unreachable(_)) if std::time::Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Self { rpc, identity })
    }

    /// The code at an address at the newest block; empty if there is none.
    pub async fn code(&self, account: Address) -> Result<Bytes, ChainError> {
        self.rpc.call("eth_getCode", json!([account, "latest"])).await
    }

    /// One view call at the newest block.
    pub async fn read<C: SolCall>(&self, contract: Address, call: C) -> Result<C::Return, ChainError> {
        let input = Bytes::from(call.abi_encode());
        let answer: Bytes = self
            .rpc
            .call("eth_call", json!([{"to": contract, "input": input}, "latest"]))
            .await?;
        if answer.is_empty() && self.code(contract).await?.is_empty() {
            return Err(ChainError::NoCode(contract.to_string()));
        }
        C::abi_decode_returns(&answer).map_err(|error| ChainError::BadAnswer(format!("{}: {error}", C::SIGNATURE)))
    }

    /// Wei.
    pub async fn balance(&self, account: Address) -> Result<alloy::primitives::U256, ChainError> {
        self.rpc.call("eth_getBalance", json!([account, "latest"])).await
    }
}

/// For messages: the call's target or "a new contract".
pub(super) fn target(to: TxKind) -> String {
    match to {
        TxKind::Call(address) => address.to_string(),
        TxKind::Create => "a new contract".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_file_and_errors_do_not_show_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n";
        std::fs::write(file.path(), text).unwrap();
        let args = KeyArgs {
            key_file: Some(file.path().to_owned()),
            keystore: None,
            passphrase_file: None,
            legacy: false,
        };
        let address = args.signer().unwrap().address();
        assert_eq!(address.to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

        std::fs::write(file.path(), &text[..60]).unwrap();
        let error = format!("{:#}", args.signer().unwrap_err());
        assert!(!error.contains(&text[2..10]), "{error}");
        assert!(parse_key(&"0".repeat(64)).is_err());
    }

    #[test]
    fn a_keystore_opens_with_the_passphrase_in_a_file() {
        let (keystore, passphrase) = (
            tempfile::NamedTempFile::new().unwrap(),
            tempfile::NamedTempFile::new().unwrap(),
        );
        std::fs::write(keystore.path(), include_str!("../testing/keystore.json")).unwrap();
        std::fs::write(passphrase.path(), "correct horse battery staple\n").unwrap();
        let args = KeyArgs {
            key_file: None,
            keystore: Some(keystore.path().to_owned()),
            passphrase_file: Some(passphrase.path().to_owned()),
            legacy: false,
        };
        let address = args.signer().unwrap().address();
        assert_eq!(address.to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        std::fs::write(passphrase.path(), "wrong horse").unwrap();
        let error = format!("{:#}", args.signer().unwrap_err());
        assert!(error.contains("does not open") && !error.contains("horse"), "{error}");
    }
}
