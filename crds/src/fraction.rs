//! A share between 0 and 1, written as people write it and passed to the contract scaled by 10^18.

use std::{fmt, str::FromStr};

use protocol::types::ParseError;
use serde::{Deserialize, Serialize};

/// One in the contract's scale.
pub const ONE: u64 = 1_000_000_000_000_000_000;

/// A number from 0 to 1 with at most 18 decimals; `0.125` is 125000000000000000 on the contract, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(u64);

impl Fraction {
    /// From the contract's scale; `None` above 1.
    pub fn from_scaled(scaled: u64) -> Option<Self> {
        (scaled <= ONE).then_some(Self(scaled))
    }

    /// In the contract's scale: 10^18 is 1.
    pub fn scaled(self) -> u64 {
        self.0
    }
}

impl FromStr for Fraction {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let bad = || ParseError {
            value: s.to_owned(),
            expected: "a number from 0 to 1 with at most 18 decimals",
        };
        let (whole, decimals) = s.split_once('.').unwrap_or((s, "0"));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !matches!(whole, "0" | "1") || decimals.is_empty() || decimals.len() > 18 || !digits(decimals) {
            return Err(bad());
        }
        let scaled = format!("{whole}{decimals:0<18}").parse::<u64>().map_err(|_| bad())?;
        Self::from_scaled(scaled).ok_or_else(bad)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:018}", self.0 % ONE);
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / ONE),
            rest => write!(f, "{}.{rest}", self.0 / ONE),
        }
    }
}

impl Serialize for Fraction {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_scaled_exactly_and_printed_back() {
        for (text, scaled) in [
            ("0", 0),
            ("1", ONE),
            ("0.1", 100_000_000_000_000_000),
            ("0.125", 125_000_000_000_000_000),
            ("0.000000000000000001", 1),
        ] {
            let fraction: Fraction = text.parse().expect(text);
            assert_eq!(fraction.scaled(), scaled);
            assert_eq!(fraction.to_string(), text);
        }
        assert_eq!("1.0".parse::<Fraction>().expect("one").scaled(), ONE);
    }

    #[test]
    fn what_is_not_a_fraction_is_refused() {
        for text in [
            "",
            "2",
            "1.1",
            "-0.1",
            ".5",
            "0.",
            "0,5",
            "0.1234567890123456789",
            "1e-1",
            "01",
        ] {
            assert!(text.parse::<Fraction>().is_err(), "{text:?}");
        }
    }
}
