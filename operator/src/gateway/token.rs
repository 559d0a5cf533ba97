//! Bearer tokens: claims and an HMAC-SHA256 over them, by a key that only gateway and controller hold.
//!
//! `base64url(claims JSON) "." base64url(HMAC(key, claims part as sent))`. Not Kubernetes tokens: trainer pods have no
//! service account, and a token must name one Job, the hashes it may read and the moment it ends.

use std::{fmt, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use protocol::types::{Address, ModelHash, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Version written into and expected of every token.
pub const TOKEN_VERSION: u32 = 1;

/// Longest token accepted, in bytes: a round of 100 participants needs about 15 KiB.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Why a token or key is no good. Never contains any part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("no bearer token")]
    Missing,
    #[error("the token is not one of this gateway's: {0}")]
    Invalid(&'static str),
    #[error("the token expired at {exp} (now {now})")]
    Expired { exp: u64, now: u64 },
    #[error("the token key is {0}; 32 random bytes or more are needed")]
    BadKey(String),
}

impl TokenError {
    /// Stable, for metrics and answers.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Missing => "TokenMissing",
            Self::Invalid(_) => "TokenInvalid",
            Self::Expired { .. } => "TokenExpired",
            Self::BadKey(_) => "TokenKeyInvalid",
        }
    }
}

/// One model a Job may read, and the participants below whose paths it may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadGrant {
    pub hash: ModelHash,
    /// Tried in this order, after the gateway's own staging.
    pub holders: Vec<Address>,
}

/// What one Job may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobClaims {
    pub v: u32,
    /// `<namespace>/<job name>`.
    pub job: String,
    pub chain: u64,
    pub task: Address,
    /// Whose path uploads go below.
    pub participant: Address,
    pub reads: Vec<ReadGrant>,
    /// May write one model.
    pub write_model: bool,
    /// The model is for others at once (a contribution), not only once the controller says so (an aggregate).
    pub publish: bool,
    /// Largest model read or written, in bytes.
    pub max_bytes: u64,
    /// Largest checkpoint kept; 0 (and absent): none is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checkpoint_bytes: u64,
    /// Unix seconds; from then on the token is refused.
    pub exp: Timestamp,
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// What the controller may do: everything below `/v1` that is not a Job's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminClaims {
    pub v: u32,
    pub admin: bool,
    pub exp: Timestamp,
}

/// Claims whose HMAC and time are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claims {
    Job(JobClaims),
    Admin(AdminClaims),
}

/// The HMAC key. Wiped on drop; its `Debug` shows nothing.
#[derive(Clone)]
pub struct TokenKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl TokenKey {
    pub const MIN_BYTES: usize = 32;

    /// The bytes as they are; fewer than 32 are refused.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TokenError> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() < Self::MIN_BYTES {
            return Err(TokenError::BadKey(format!("{} bytes long", bytes.len())));
        }
        Ok(Self(bytes))
    }

    /// A file's bytes exactly as they are (a Secret's key mounted as a file), no trimming.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let bytes = std::fs::read(path)
            .map_err(|error| TokenError::BadKey(format!("not readable at {}: {error}", path.display())))?;
        Self::new(bytes)
    }

    pub fn sign_job(&self, claims: &JobClaims) -> Result<String, TokenError> {
        self.sign(claims)
    }

    pub fn sign_admin(&self, exp: Timestamp) -> Result<String, TokenError> {
        self.sign(&AdminClaims {
            v: TOKEN_VERSION,
            admin: true,
            exp,
        })
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let json = serde_json::to_vec(claims).map_err(|_| TokenError::Invalid("its claims are not JSON"))?;
        let mut token = URL_SAFE_NO_PAD.encode(json);
        let tag = self.mac(token.as_bytes())?.finalize().into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        Ok(token)
    }

    fn mac(&self, message: &[u8]) -> Result<Hmac<Sha256>, TokenError> {
        // HMAC takes keys of any length; the error type is there for other MACs.
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| TokenError::BadKey("of no use".to_owned()))?;
        mac.update(message);
        Ok(mac)
    }

    /// In constant time.
    fn signed(&self, message: &[u8], tag: &[u8]) -> bool {
        self.mac(message).is_ok_and(|mac| mac.verify_slice(tag).is_ok())
    }
}

/// The keys a gateway accepts: the current one, and during a rotation the one before.
#[derive(Debug, Clone)]
pub struct KeyRing {
    current: TokenKey,
    previous: Option<TokenKey>,
}

impl KeyRing {
    pub fn new(current: TokenKey, previous: Option<TokenKey>) -> Self {
        Self { current, previous }
    }

    /// Checks form, HMAC, version and time, in this order: nothing of an unsigned token is parsed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid("it is too long"));
        }
        let (claims, tag) = token
            .split_once('.')
            .ok_or(TokenError::Invalid("it has no two parts"))?;
        let tag = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| TokenError::Invalid("its second part is not base64url"))?;
        // Both are always computed, so that the time taken does not tell which key matched.
        let by_current = self.current.signed(claims.as_bytes(), &tag);
        let by_previous = self
            .previous
            .as_ref()
            .is_some_and(|key| key.signed(claims.as_bytes(), &tag));
        if !(by_current | by_previous) {
            return Err(TokenError::Invalid("its signature is by another key"));
        }
        let json = URL_SAFE_NO_PAD
            .decode(claims)
            .map_err(|_| TokenError::Invalid("its first part is not base64url"))?;
        let (claims, version, exp) = parse(&json)?;
        if version != TOKEN_VERSION {
            return Err(TokenError::Invalid("its version is not known here"));
        }
        if now >= exp {
            return Err(TokenError::Expired { exp: exp.0, now: now.0 });
        }
        Ok(claims)
    }
}

fn parse(json: &[u8]) -> Result<(Claims, u32, Timestamp), TokenError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        admin: bool,
    }
    let bad = |_| TokenError::Invalid("its claims are not what this gateway understands");
    let kind: Kind = serde_json::from_slice(json).map_err(bad)?;
    if kind.admin {
        let claims: AdminClaims = serde_json::from_slice(json).map_err(bad)?;
        let (v, exp) = (claims.v, claims.exp);
        Ok((Claims::Admin(claims), v, exp))
    } else {
        let claims: JobClaims = serde_json::from_slice(json).map_err(bad)?;
        let (v, exp) = (claims.v, claims.exp);
        Ok((Claims::Job(claims), v, exp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TokenKey {
        TokenKey::new(vec![byte; 32]).unwrap()
    }

    fn claims() -> JobClaims {
        JobClaims {
            v: TOKEN_VERSION,
            job: "team/a-0-train-01234567".to_owned(),
            chain: 31337,
            task: Address::repeat_byte(1),
            participant: Address::repeat_byte(2),
            reads: vec![ReadGrant {
                hash: ModelHash([3; 32].into()),
                holders: vec![Address::repeat_byte(4)],
            }],
            write_model: true,
            publish: false,
            max_bytes: 10,
            checkpoint_bytes: 0,
            exp: Timestamp(100),
        }
    }

    #[test]
    fn a_token_says_after_verification_what_was_signed() {
        let token = key(1).sign_job(&claims()).unwrap();
        let ring = KeyRing::new(key(1), None);
        assert_eq!(ring.verify(&token, Timestamp(99)), Ok(Claims::Job(claims())));
    }

    #[test]
    fn the_claims_have_the_documented_names() {
        let json = serde_json::to_value(claims()).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let mut expected = [
            "v",
            "job",
            "chain",
            "task",
            "participant",
            "reads",
            "writeModel",
            "publish",
            "maxBytes",
            "exp",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(json["task"], "0x0101010101010101010101010101010101010101");
        assert_eq!(json["exp"], 100);
    }

    #[test]
    fn a_token_ends_at_its_second() {
        let token = key(1).sign_admin(Timestamp(100)).unwrap();
        let ring = KeyRing::new(key(1), None);
        assert!(matches!(ring.verify(&token, Timestamp(99)), Ok(Claims::Admin(_))));
        assert_eq!(
            ring.verify(&token, Timestamp(100)),
            Err(TokenError::Expired { exp: 100, now: 100 })
        );
    }

    #[test]
    fn the_key_before_is_accepted_and_the_one_before_that_is_not() {
        let token = key(1).sign_job(&claims()).unwrap();
        assert!(KeyRing::new(key(2), Some(key(1))).verify(&token, Timestamp(0)).is_ok());
        let refused = KeyRing::new(key(3), Some(key(2))).verify(&token, Timestamp(0));
        assert_eq!(refused.unwrap_err().category(), "TokenInvalid");
    }

    #[test]
    fn any_changed_character_makes_it_invalid() {
        let token = key(1).sign_job(&claims()).unwrap();
        let ring = KeyRing::new(key(1), None);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let refused = ring.verify(&changed, Timestamp(0)).unwrap_err();
            assert_eq!(refused.category(), "TokenInvalid", "character {at}");
        }
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        let ring = KeyRing::new(key(1), None);
        for garbage in ["", ".", "a.b", "....", "ä.ö", &"x".repeat(MAX_TOKEN_BYTES + 1)] {
            assert_eq!(
                ring.verify(garbage, Timestamp(0)).unwrap_err().category(),
                "TokenInvalid"
            );
        }
    }

    #[test]
    fn claims_of_an_unknown_version_or_with_unknown_names_are_refused() {
        let ring = KeyRing::new(key(1), None);
        for text in [
            r#"{"v":2,"admin":true,"exp":9}"#,
            r#"{"v":1,"admin":true,"exp":9,"more":1}"#,
            "[]",
            "{}",
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let token = key(1).sign(&value).unwrap();
            assert_eq!(
                ring.verify(&token, Timestamp(0)).unwrap_err().category(),
                "TokenInvalid",
                "{text}"
            );
        }
    }

    #[test]
    fn a_short_key_is_refused_and_none_is_ever_shown() {
        assert_eq!(TokenKey::new(vec![7; 31]).unwrap_err().category(), "TokenKeyInvalid");
        assert_eq!(
            format!("{:?}", KeyRing::new(key(7), None)),
            "KeyRing { current: TokenKey(..), previous: None }"
        );
    }
}
