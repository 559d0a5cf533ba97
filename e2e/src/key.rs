//! Keys of test accounts, made anew for each run.

use alloy::{primitives::Address, signers::local::PrivateKeySigner};

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

    pub fn signer(&self) -> &PrivateKeySigner {
        &self.0
    }
}
