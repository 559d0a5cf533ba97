//! Fractions in documents: decimal strings, because JSON floats have no canonical form and lose digits on the way.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::ParseError;

const EXPECTED: &str = "a plain decimal such as \"0.05\" (no sign but -, no exponent, at most 32 characters)";

/// A finite decimal number as it was written. `0.5` and `0.50` are equal in value but hash differently, so equality is
/// that of the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decimal(String);

impl Decimal {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        // The grammar checked at parsing is a subset of what `f64` reads; 32 digits are always finite.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl FromStr for Decimal {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let unsigned = s.strip_prefix('-').unwrap_or(s);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let well_formed = s.len() <= 32
            && digits(whole)
            && (whole.len() == 1 || !whole.starts_with('0'))
            && fraction.is_none_or(digits)
            && !(s.starts_with('-') && unsigned.bytes().all(|b| b == b'0' || b == b'.'));
        if well_formed {
            Ok(Self(s.to_owned()))
        } else {
            Err(ParseError {
                value: s.to_owned(),
                expected: EXPECTED,
            })
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({})", self.0)
    }
}

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_decimals_keep_their_text_and_give_the_nearest_double() {
        for (text, value) in [
            ("0", 0.0),
            ("0.05", 0.05),
            ("-1.5", -1.5),
            ("0.2860", 0.286),
            ("12", 12.0),
        ] {
            let decimal: Decimal = text.parse().unwrap();
            assert_eq!(decimal.to_string(), text);
            assert_eq!(decimal.to_f64(), value);
        }
    }

    #[test]
    fn rubbish_is_refused_with_the_value_in_the_message() {
        for text in [
            "", ".", "1.", ".5", "+1", "01", "1e3", "NaN", "inf", "-", "-0", "-0.00", " 1", "1_0", "0x1", "１",
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text:?}");
        }
        assert!("1".repeat(33).parse::<Decimal>().is_err());
        assert!(
            "1e3"
                .parse::<Decimal>()
                .unwrap_err()
                .to_string()
                .starts_with("\"1e3\" is not a plain decimal")
        );
    }

    #[test]
    fn a_json_number_is_not_a_decimal() {
        assert!(serde_json::from_str::<Decimal>("0.5").is_err());
        assert!(serde_json::from_str::<Decimal>("\"0.5\"").is_ok());
    }
}
