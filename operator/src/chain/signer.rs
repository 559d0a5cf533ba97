//! Signing keys: where they come from, and that they never show.

use std::{collections::BTreeMap, fmt, sync::Arc};

use alloy::{
    primitives::{Address, B256, Signature},
    signers::{Signer, local::PrivateKeySigner},
};
use crds::names::{KEYSTORE_FIELD, PASSPHRASE_FIELD, SECRET_TYPE_SIGNING_KEY, SIGNING_KEY_FIELD};
use zeroize::Zeroizing;

use super::keystore::{Keystore, KeystoreError};

/// Why a Secret gives no key. No message contains any part of the Secret's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    #[error("the Secret has type {found:?}, not {SECRET_TYPE_SIGNING_KEY:?}")]
    WrongType { found: String },
    #[error("the Secret has neither a field {SIGNING_KEY_FIELD:?} nor a field {KEYSTORE_FIELD:?}")]
    MissingField,
    #[error("the Secret has both {SIGNING_KEY_FIELD:?} and {KEYSTORE_FIELD:?}: which one counts must be plain")]
    TwoKeys,
    #[error("the Secret has a field {KEYSTORE_FIELD:?} and no field {PASSPHRASE_FIELD:?} to open it with")]
    NoPassphrase,
    #[error("the field {SIGNING_KEY_FIELD:?} is not 64 hex digits")]
    NotHex,
    #[error("the field {SIGNING_KEY_FIELD:?} is not a valid secp256k1 key (zero or out of range)")]
    OutOfRange,
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
}

impl SignerError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "wrong-type",
            Self::MissingField => "missing-field",
            Self::TwoKeys => "two-keys",
            Self::NoPassphrase => "no-passphrase",
            Self::NotHex => "not-hex",
            Self::OutOfRange => "out-of-range",
            Self::Keystore(error) => error.category(),
        }
    }
}

/// What a Secret of the right type holds.
#[derive(Debug)]
pub enum Held {
    Key(SigningKey),
    Encrypted(Encrypted),
}

/// A key that costs time and memory to get at.
pub struct Encrypted {
    keystore: Keystore,
    passphrase: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}

impl Encrypted {
    /// Up to seconds of one core and a quarter of a gigabyte.
    pub fn open(&self) -> Result<SigningKey, SignerError> {
        Ok(SigningKey::from(self.keystore.open(&self.passphrase)?))
    }
}

/// Something that signs for one secp256k1 account: a key in this process (zeroized with its last copy), or one that
/// stays in a service. `Debug` shows the address only.
#[derive(Clone)]
pub struct SigningKey {
    signer: Arc<dyn Signer + Send + Sync>,
}

impl From<PrivateKeySigner> for SigningKey {
    fn from(signer: PrivateKeySigner) -> Self {
        Self {
            signer: Arc::new(signer),
        }
    }
}

impl SigningKey {
    /// Whatever signs.
    pub fn of(signer: Arc<dyn Signer + Send + Sync>) -> Self {
        Self { signer }
    }

    /// From a Secret's `type` and `data` (already base64-decoded). The type is asked for so that nobody can point the
    /// operator at any Secret.
    pub fn from_secret<B: AsRef<[u8]>>(
        secret_type: Option<&str>,
        data: &BTreeMap<String, B>,
    ) -> Result<Held, SignerError> {
        let found = secret_type.unwrap_or_default();
        if found != SECRET_TYPE_SIGNING_KEY {
            return Err(SignerError::WrongType {
                found: found.to_owned(),
            });
        }
        match (data.get(SIGNING_KEY_FIELD), data.get(KEYSTORE_FIELD)) {
            (Some(_), Some(_)) => Err(SignerError::TwoKeys),
            (None, None) => Err(SignerError::MissingField),
            (Some(text), None) => Self::from_text(text.as_ref()).map(Held::Key),
            (None, Some(json)) => {
                let passphrase = data.get(PASSPHRASE_FIELD).ok_or(SignerError::NoPassphrase)?.as_ref();
                Ok(Held::Encrypted(Encrypted {
                    keystore: Keystore::parse(json.as_ref())?,
                    passphrase: Zeroizing::new(without_line_feed(passphrase).to_vec()),
                }))
            }
        }
    }

    /// From 64 hex digits in ASCII.
    pub fn from_text(text: &[u8]) -> Result<Self, SignerError> {
        let text = text.trim_ascii();
        let digits = text.strip_prefix(b"0x").unwrap_or(text);
        let mut key = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(digits, key.as_mut()).map_err(|_| SignerError::NotHex)?;
        let signer = PrivateKeySigner::from_slice(key.as_ref()).map_err(|_| SignerError::OutOfRange)?;
        Ok(signer.into())
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Signs a hash. What a service says when it does not is for a person; it contains no key.
    pub async fn sign(&self, hash: &B256) -> Result<Signature, String> {
        self.signer.sign_hash(hash).await.map_err(|error| chain_of(&error))
    }
}

/// An error with its causes: the outermost often says only that something went wrong.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// Files of passphrases end with one, and editors add it unasked.
pub(crate) fn without_line_feed(passphrase: &[u8]) -> &[u8] {
    let text = passphrase.strip_suffix(b"\n").unwrap_or(passphrase);
    text.strip_suffix(b"\r").unwrap_or(text)
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

    fn secret(fields: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        fields.iter().map(field).collect()
    }

    fn read(fields: &[(&str, &str)]) -> Result<Held, SignerError> {
        SigningKey::from_secret(Some(SECRET_TYPE_SIGNING_KEY), &secret(fields))
    }

    fn parse(value: &str) -> Result<SigningKey, SignerError> {
        match read(&[(SIGNING_KEY_FIELD, value)])? {
            Held::Key(key) => Ok(key),
            Held::Encrypted(_) => panic!("a raw key"),
        }
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
        let data = secret(&[(SIGNING_KEY_FIELD, KEY)]);
        for found in ["Opaque", ""] {
            let error = SigningKey::from_secret(Some(found).filter(|f| !f.is_empty()), &data).unwrap_err();
            assert_eq!(
                error,
                SignerError::WrongType {
                    found: found.to_owned()
                }
            );
        }
        assert_eq!(read(&[]).unwrap_err(), SignerError::MissingField);
        let both = [(SIGNING_KEY_FIELD, KEY), (KEYSTORE_FIELD, "{}")];
        assert_eq!(read(&both).unwrap_err(), SignerError::TwoKeys);
        assert_eq!(read(&[(KEYSTORE_FIELD, "{}")]).unwrap_err(), SignerError::NoPassphrase);
        let empty = [(KEYSTORE_FIELD, "{}"), (PASSPHRASE_FIELD, "secret")];
        assert!(matches!(read(&empty).unwrap_err(), SignerError::Keystore(_)));
        assert_eq!(parse("0x1234").unwrap_err(), SignerError::NotHex);
        assert_eq!(parse(&"g".repeat(64)).unwrap_err(), SignerError::NotHex);
        assert_eq!(parse(&"0".repeat(64)).unwrap_err(), SignerError::OutOfRange);
        assert_eq!(parse(&"f".repeat(64)).unwrap_err(), SignerError::OutOfRange);
    }

    #[test]
    fn debug_and_errors_say_nothing_about_the_key() {
        let key = parse(KEY).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({ADDRESS})"));
        assert_eq!(
            format!("{:?}", read(&[(SIGNING_KEY_FIELD, KEY)]).unwrap()),
            format!("Key(SigningKey({ADDRESS}))")
        );
        let nearly = &KEY[..63];
        assert!(!parse(nearly).unwrap_err().to_string().contains(&nearly[..8]));
    }

    #[test]
    fn one_line_feed_at_the_end_of_a_passphrase_is_the_editors() {
        for text in ["open sesame", "open sesame\n", "open sesame\r\n"] {
            assert_eq!(without_line_feed(text.as_bytes()), b"open sesame", "{text:?}");
        }
        assert_eq!(without_line_feed(b"two\n\n"), b"two\n");
        assert_eq!(without_line_feed(b" kept "), b" kept ");
    }
}
