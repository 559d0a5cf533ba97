//! Signing keys: where they come from, and that they never show.

use std::{collections::BTreeMap, fmt};

use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use crds::names::{SECRET_TYPE_SIGNING_KEY, SIGNING_KEY_FIELD};
use zeroize::Zeroizing;

/// Why a Secret gives no key. No message contains any part of the Secret's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    #[error("the Secret has type {found:?}, not {SECRET_TYPE_SIGNING_KEY:?}")]
    WrongType { found: String },
    #[error("the Secret has no field {SIGNING_KEY_FIELD:?}")]
    MissingField,
    #[error("the field {SIGNING_KEY_FIELD:?} is not 64 hex digits")]
    NotHex,
    #[error("the field {SIGNING_KEY_FIELD:?} is not a valid secp256k1 key (zero or out of range)")]
    OutOfRange,
}

impl SignerError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "wrong-type",
            Self::MissingField => "missing-field",
            Self::NotHex => "not-hex",
            Self::OutOfRange => "out-of-range",
        }
    }
}

/// A secp256k1 key. Zeroized when dropped; `Debug` shows the address only.
#[derive(Clone)]
pub struct SigningKey {
    signer: PrivateKeySigner,
}

impl SigningKey {
    /// From a Secret's `type` and `data` (already base64-decoded). The type is asked for so that nobody can point the
    /// operator at any Secret.
    pub fn from_secret<B: AsRef<[u8]>>(
        secret_type: Option<&str>,
        data: &BTreeMap<String, B>,
    ) -> Result<Self, SignerError> {
        let found = secret_type.unwrap_or_default();
        if found != SECRET_TYPE_SIGNING_KEY {
            return Err(SignerError::WrongType {
                found: found.to_owned(),
            });
        }
        Self::from_text(data.get(SIGNING_KEY_FIELD).ok_or(SignerError::MissingField)?.as_ref())
    }

    /// From 64 hex digits in ASCII.
    pub fn from_text(text: &[u8]) -> Result<Self, SignerError> {
        let text = text.trim_ascii();
        let digits = text.strip_prefix(b"0x").unwrap_or(text);
        let mut key = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(digits, key.as_mut()).map_err(|_| SignerError::NotHex)?;
        let signer = PrivateKeySigner::from_slice(key.as_ref()).map_err(|_| SignerError::OutOfRange)?;
        Ok(Self { signer })
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    pub(super) fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn secret(value: &str) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(SIGNING_KEY_FIELD.to_owned(), value.as_bytes().to_vec())])
    }

    fn parse(value: &str) -> Result<SigningKey, SignerError> {
        SigningKey::from_secret(Some(SECRET_TYPE_SIGNING_KEY), &secret(value))
    }

    #[test]
    fn a_key_is_read_with_and_without_prefix_and_white_space() {
        for text in [
            KEY.to_owned(),
            format!("0x{KEY}"),
            format!("  {KEY}\n"),
            KEY.to_uppercase(),
        ] {
            assert_eq!(parse(&text).unwrap().address().to_string(), ADDRESS, "{text:?}");
        }
    }

    #[test]
    fn each_defect_of_a_secret_has_its_own_error() {
        let data = secret(KEY);
        let wrong = SigningKey::from_secret(Some("Opaque"), &data).unwrap_err();
        assert_eq!(
            wrong,
            SignerError::WrongType {
                found: "Opaque".to_owned()
            }
        );
        assert_eq!(
            SigningKey::from_secret(None, &data).unwrap_err(),
            SignerError::WrongType { found: String::new() }
        );
        let empty = BTreeMap::<String, Vec<u8>>::new();
        assert_eq!(
            SigningKey::from_secret(Some(SECRET_TYPE_SIGNING_KEY), &empty).unwrap_err(),
            SignerError::MissingField
        );
        assert_eq!(parse("0x1234").unwrap_err(), SignerError::NotHex);
        assert_eq!(parse(&"g".repeat(64)).unwrap_err(), SignerError::NotHex);
        assert_eq!(parse(&"0".repeat(64)).unwrap_err(), SignerError::OutOfRange);
        assert_eq!(parse(&"f".repeat(64)).unwrap_err(), SignerError::OutOfRange);
    }

    #[test]
    fn debug_and_errors_say_nothing_about_the_key() {
        let key = parse(KEY).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({ADDRESS})"));
        let nearly = &KEY[..63];
        assert!(!parse(nearly).unwrap_err().to_string().contains(&nearly[..8]));
    }
}
