//! Web3 secret storage, version 3: an encrypted key as geth, Foundry and most wallets write it.
//!
//! A few lines over RustCrypto instead of a keystore crate: those read files only, and believe a document that asks for
//! a terabyte of memory. Everything is checked by [`Keystore::parse`] before [`Keystore::open`] computes anything.

use aes::cipher::{KeyIvInit, StreamCipher};
use alloy::{
    primitives::{Address, Keccak256},
    signers::local::PrivateKeySigner,
};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What one keystore may cost. Everything that wallets write by themselves is well inside.
const MOST_SCRYPT_BYTES: u64 = 256 << 20;
/// n * r * p: twice that of geth's own parameters.
const MOST_SCRYPT_WORK: u64 = 1 << 22;
const MOST_PBKDF2_ROUNDS: u32 = 1 << 22;
const FORBIDDEN: &str = "kdfparams.n is too large for its r (RFC 7914): encrypt the key anew, with r = 8";
/// Documents are below a kilobyte.
const MOST_BYTES: usize = 16 << 10;

/// What is wrong with a keystore. No message contains any part of it but the addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    #[error("the keystore is not a Web3 secret storage of version 3: {0}")]
    Malformed(&'static str),
    #[error("the keystore asks for too much: {0}")]
    TooCostly(&'static str),
    #[error("the passphrase does not open the keystore")]
    WrongPassphrase,
    #[error("the keystore says it is of {said}, but holds the key of {found}")]
    OtherAddress { said: Address, found: Address },
    #[error("the keystore holds no valid secp256k1 key (zero or out of range)")]
    OutOfRange,
}

impl KeystoreError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "keystore-malformed",
            Self::TooCostly(_) => "keystore-costly",
            Self::WrongPassphrase => "keystore-passphrase",
            Self::OtherAddress { .. } => "keystore-address",
            Self::OutOfRange => "keystore-out-of-range",
        }
    }
}

#[derive(Deserialize)]
struct Document {
    version: u64,
    #[serde(default)]
    address: Option<String>,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

/// Those of both functions: which are there follows from `kdf`.
#[derive(Deserialize)]
struct KdfParams {
    dklen: u64,
    salt: String,
    n: Option<u64>,
    r: Option<u64>,
    p: Option<u64>,
    c: Option<u64>,
    prf: Option<String>,
}

enum Derivation {
    Scrypt(scrypt::Params),
    Pbkdf2 { rounds: u32 },
}

/// A document that can be opened, at a known cost.
pub struct Keystore {
    address: Option<Address>,
    derivation: Derivation,
    salt: Vec<u8>,
    iv: [u8; 16],
    ciphertext: [u8; 32],
    mac: [u8; 32],
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keystore").finish_non_exhaustive()
    }
}

impl Keystore {
    /// Reads and checks a document; quick.
    pub fn parse(json: &[u8]) -> Result<Self, KeystoreError> {
        if json.len() > MOST_BYTES {
            return Err(KeystoreError::Malformed("it is larger than any keystore"));
        }
        // serde's messages quote the document.
        let document: Document =
            serde_json::from_slice(json).map_err(|_| KeystoreError::Malformed("it is not such a JSON document"))?;
        if document.version != 3 {
            return Err(KeystoreError::Malformed("its version is another"));
        }
        let address = match document.address.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(Address::from(bytes::<20>(text, "address")?)),
        };
        let crypto = document.crypto;
        if crypto.cipher != "aes-128-ctr" {
            return Err(KeystoreError::Malformed("its cipher is not aes-128-ctr"));
        }
        if crypto.kdfparams.dklen != 32 {
            return Err(KeystoreError::Malformed("kdfparams.dklen is not 32"));
        }
        Ok(Self {
            address,
            derivation: derivation(&crypto.kdf, &crypto.kdfparams)?,
            salt: hex::decode(digits(&crypto.kdfparams.salt))
                .map_err(|_| KeystoreError::Malformed("kdfparams.salt is not hex"))?,
            iv: bytes(&crypto.cipherparams.iv, "cipherparams.iv")?,
            ciphertext: bytes(&crypto.ciphertext, "ciphertext")?,
            mac: bytes(&crypto.mac, "mac")?,
        })
    }

    /// Decrypts the key. Takes up to seconds of one core and 256 MiB: not for a thread that others wait for.
    pub fn open(&self, passphrase: &[u8]) -> Result<PrivateKeySigner, KeystoreError> {
        let mut derived = Zeroizing::new([0u8; 32]);
        match &self.derivation {
            Derivation::Scrypt(params) => scrypt::scrypt(passphrase, &self.salt, params, derived.as_mut())
                .map_err(|_| KeystoreError::Malformed("kdfparams are not those of scrypt"))?,
            Derivation::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(passphrase, &self.salt, *rounds, derived.as_mut());
            }
        }
        let mut hasher = Keccak256::new();
        hasher.update(&derived[16..]);
        hasher.update(self.ciphertext);
        if hasher.finalize() != self.mac {
            return Err(KeystoreError::WrongPassphrase);
        }
        let mut key = Zeroizing::new(self.ciphertext);
        let mut cipher = ctr::Ctr128BE::<aes::Aes128>::new_from_slices(&derived[..16], &self.iv)
            .map_err(|_| KeystoreError::Malformed("cipherparams.iv is not 16 bytes"))?;
        cipher.apply_keystream(key.as_mut());
        let signer = PrivateKeySigner::from_slice(key.as_ref()).map_err(|_| KeystoreError::OutOfRange)?;
        match self.address {
            Some(said) if said != signer.address() => Err(KeystoreError::OtherAddress {
                said,
                found: signer.address(),
            }),
            _ => Ok(signer),
        }
    }
}

fn derivation(name: &str, params: &KdfParams) -> Result<Derivation, KeystoreError> {
    match name {
        "scrypt" => scrypt_params(params).map(Derivation::Scrypt),
        "pbkdf2" => {
            if params.prf.as_deref() != Some("hmac-sha256") {
                return Err(KeystoreError::Malformed("kdfparams.prf is not hmac-sha256"));
            }
            let rounds = params.c.filter(|&c| c > 0);
            let rounds = rounds.ok_or(KeystoreError::Malformed("kdfparams.c is missing"))?;
            match u32::try_from(rounds) {
                Ok(rounds) if rounds <= MOST_PBKDF2_ROUNDS => Ok(Derivation::Pbkdf2 { rounds }),
                _ => Err(KeystoreError::TooCostly("pbkdf2 with more than four million rounds")),
            }
        }
        _ => Err(KeystoreError::Malformed("its kdf is neither scrypt nor pbkdf2")),
    }
}

fn scrypt_params(params: &KdfParams) -> Result<scrypt::Params, KeystoreError> {
    let missing = KeystoreError::Malformed("kdfparams are not those of scrypt");
    let (Some(n), Some(r), Some(p)) = (params.n, params.r, params.p) else {
        return Err(missing);
    };
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
        return Err(missing);
    }
    // The work area of n blocks, and the p blocks it starts from.
    let blocks = n.saturating_add(p);
    if r.saturating_mul(128).saturating_mul(blocks) > MOST_SCRYPT_BYTES + (1 << 20) {
        return Err(KeystoreError::TooCostly("scrypt with more than 256 MiB"));
    }
    if n.saturating_mul(r).saturating_mul(p) > MOST_SCRYPT_WORK {
        return Err(KeystoreError::TooCostly(
            "scrypt with more than four million blocks (n * r * p)",
        ));
    }
    let (r, p) = (
        u32::try_from(r).unwrap_or(u32::MAX),
        u32::try_from(p).unwrap_or(u32::MAX),
    );
    let log_n = u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX);
    scrypt::Params::new(log_n, r, p, 32).map_err(|_| KeystoreError::Malformed(FORBIDDEN))
}

fn digits(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

/// Hex of exactly `N` bytes.
fn bytes<const N: usize>(text: &str, field: &'static str) -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0u8; N];
    hex::decode_to_slice(digits(text), &mut bytes).map_err(|_| {
        KeystoreError::Malformed(match field {
            "address" => "address is not 20 bytes of hex",
            "cipherparams.iv" => "cipherparams.iv is not 16 bytes of hex",
            "ciphertext" => "ciphertext is not 32 bytes of hex",
            _ => "mac is not 32 bytes of hex",
        })
    })?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "keystore_tests.rs"]
mod tests;
