//! Who signs: the one-of that names a key.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NameRef;

/// Who signs transactions: exactly one of.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secretRef) != has(self.awsKms)")
        .message("exactly one of secretRef and awsKms must be set")
)]
pub struct SignerRef {
    /// A Secret in the same namespace, of type `fl-alliance.io/signing-key`. It holds either a raw key (`privateKey`: 64
    /// hex digits, with or without 0x) or an encrypted one (`keystore`: the JSON of Web3 secret storage version 3, and
    /// `passphrase`). A Secret of any other type is refused, so nobody can point the operator at somebody else's Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// A key that stays in AWS KMS. The operator signs with its own cloud identity, so its configuration must grant this
    /// namespace this key (chart value `kms.keys`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_kms: Option<AwsKmsKey>,
}

/// An asymmetric KMS key of spec ECC_SECG_P256K1, for signing.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsKmsKey {
    /// Key id, key ARN, alias name or alias ARN: the very text that the operator's configuration grants.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9:/_-]+$"))]
    pub key_id: String,
}

impl SignerRef {
    /// The key in this Secret.
    pub fn secret(name: &str) -> Self {
        Self {
            secret_ref: Some(name.into()),
            aws_kms: None,
        }
    }
}
