//! Values that cannot be wrong once they exist: addresses, hashes, rounds, token amounts, roles, phases.

use std::{fmt, str::FromStr};

pub use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

/// A value that could not be parsed; the message names the value and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct ParseError {
    pub value: String,
    pub expected: &'static str,
}

macro_rules! hash_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub B256);

        impl $name {
            pub const ZERO: Self = Self(B256::ZERO);

            pub fn is_zero(&self) -> bool {
                self.0.is_zero()
            }
        }

        impl fmt::Display for $name {
            /// 64 lower-case hex digits, no prefix: the form used in file names and object keys.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(alloy_primitives::hex::Buffer::<32>::new().format(&self.0.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            /// Accepts 64 hex digits of either case, with or without `0x`.
            fn from_str(s: &str) -> Result<Self, ParseError> {
                let digits = s.strip_prefix("0x").unwrap_or(s);
                let mut out = [0u8; 32];
                hex::decode_to_slice(digits, &mut out)
                    .map_err(|_| ParseError { value: s.to_owned(), expected: "a hash of 64 hex digits" })?;
                Ok(Self(B256::from(out)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl From<B256> for $name {
            fn from(value: B256) -> Self {
                Self(value)
            }
        }
    };
}

hash_newtype! {
    /// SHA-256 of a model file's bytes; its name everywhere.
    ModelHash
}
hash_newtype! {
    /// SHA-256 of a training definition in RFC 8785 form.
    DefinitionHash
}
hash_newtype! {
    /// keccak256 over a vote and its salt (protocol.md section 2.4).
    Commitment
}
hash_newtype! {
    /// The contract's rolling keccak of a round's draw and contributions.
    RoundDigest
}

/// Counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(pub u32);

impl Round {
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tokens in the smallest unit (1 token = 10^18). A decimal string in every document: JSON numbers lose digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub U256);

impl Amount {
    pub const ZERO: Self = Self(U256::ZERO);

    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<u128> for Amount {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({})", self.0)
    }
}

impl FromStr for Amount {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let bad = || ParseError {
            value: s.to_owned(),
            expected: "an amount in decimal digits (smallest unit)",
        };
        if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        U256::from_str_radix(s, 10).map(Self).map_err(|_| bad())
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Unix seconds, the chain's unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn saturating_add(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `self` until `later`, 0 if that has passed.
    pub fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

/// What the draw made of an account (contract numbering: 0 none, 1 voter, 2 proposer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Role {
    #[default]
    None,
    Voter,
    Proposer,
}

/// A pure view of stored times and the block's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    Join,
    Draw,
    Propose,
    Commit,
    Reveal,
    Finish,
    Settle,
    Ended,
}

/// How a finished round ended (the rows of protocol.md section 2's table).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Outcome {
    #[default]
    None,
    Accepted,
    Tie,
    Rejected,
    Inconclusive,
    Empty,
    Void,
}

/// A vote's score: +1 or -1, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "i8", try_from = "i8")]
pub enum Score {
    For,
    Against,
}

impl From<Score> for i8 {
    fn from(score: Score) -> i8 {
        match score {
            Score::For => 1,
            Score::Against => -1,
        }
    }
}

impl TryFrom<i8> for Score {
    type Error = ParseError;

    fn try_from(value: i8) -> Result<Self, ParseError> {
        match value {
            1 => Ok(Self::For),
            -1 => Ok(Self::Against),
            other => Err(ParseError {
                value: other.to_string(),
                expected: "a score of 1 or -1",
            }),
        }
    }
}

/// Bit j: the contribution of the j-th drawn proposer was fetched and valid. At most 50 proposers can be drawn, so 64 bits are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncludedMask(pub u64);

impl IncludedMask {
    pub fn with(self, seat: usize) -> Self {
        Self(self.0 | 1u64.checked_shl(seat as u32).unwrap_or(0))
    }

    pub fn contains(self, seat: usize) -> bool {
        seat < 64 && self.0 >> seat & 1 == 1
    }

    pub fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// Serde form of a signed 256-bit number: a decimal string.
pub mod signed_decimal {
    use alloy_primitives::I256;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &I256, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<I256, D::Error> {
        I256::from_dec_str(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
