//! Amounts as people write them: whole coins or tokens with decimals, lossless.

use protocol::types::{Amount, U256};

/// Decimals of native coins and of FlockToken.
const DECIMALS: usize = 18;

/// Text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount; write 64, 0.5, or 12wei for the smallest unit")]
pub struct AmountError(String);

/// `64`, `0.5` (units of 10^18, at most 18 decimals), or `12wei` (the smallest unit).
pub fn parse_amount(text: &str) -> Result<Amount, AmountError> {
    let bad = || AmountError(text.to_owned());
    if let Some(digits) = text.strip_suffix("wei") {
        return digits.parse().map_err(|_| bad());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > DECIMALS || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return Err(bad());
    }
    format!("{whole}{fraction:0<DECIMALS$}").parse().map_err(|_| bad())
}

/// `64`, `0.5`: the shortest form that [`parse_amount`] reads back as the same amount.
pub(super) fn show_amount(amount: Amount) -> String {
    let unit = U256::from(10).pow(U256::from(DECIMALS));
    let (whole, rest) = (amount.0 / unit, amount.0 % unit);
    if rest.is_zero() {
        return whole.to_string();
    }
    let fraction = format!("{rest:0>DECIMALS$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_without_loss() {
        for (text, wei) in [
            ("64", "64000000000000000000"),
            ("0.5", "500000000000000000"),
            ("1.000000000000000001", "1000000000000000001"),
            ("0", "0"),
            ("12wei", "12"),
        ] {
            assert_eq!(parse_amount(text).map(|a| a.to_string()), Ok(wei.to_owned()), "{text}");
        }
        for bad in [
            "",
            ".5",
            "5.",
            "-1",
            "1e3",
            "1,5",
            "0.0000000000000000001",
            "wei",
            "1.5wei",
            " 1",
            &"9".repeat(80),
        ] {
            assert!(parse_amount(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for wei in [
            "0",
            "1",
            "500000000000000000",
            "64000000000000000000",
            "123456789012345678901",
        ] {
            let amount: Amount = wei.parse().unwrap();
            assert_eq!(parse_amount(&show_amount(amount)), Ok(amount));
        }
        assert_eq!(show_amount("64500000000000000000".parse().unwrap()), "64.5");
    }
}
