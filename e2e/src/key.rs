//! Keys of test accounts, made anew for each run.

use std::process::Command;

use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use anyhow::Result;

use crate::shell::{run, tool};

/// One account. Test coins only.
#[derive(Clone)]
pub struct TestKey(PrivateKeySigner);

impl std::fmt::Debug for TestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestKey({})", self.address())
    }
}

impl TestKey {
    pub fn random() -> Self {
        Self(PrivateKeySigner::random())
    }

    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// 64 hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0.to_bytes())
    }

    /// The key encrypted, as Foundry's `cast` writes it.
    pub fn keystore(&self, passphrase: &str) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let key = self.hex();
        run(Command::new(tool("cast"))
            .args([
                "wallet",
                "import",
                "key",
                "--private-key",
                &key,
                "--unsafe-password",
                passphrase,
            ])
            .arg("--keystore-dir")
            .arg(folder.path()))?;
        Ok(std::fs::read_to_string(folder.path().join("key"))?)
    }

    pub fn signer(&self) -> &PrivateKeySigner {
        &self.0
    }
}
