//! Canonical JSON (RFC 8785): what is hashed must have one form only.
//!
//! Restricted to integers that a double holds exactly. The general form prints doubles as ECMAScript does; documents of
//! this protocol carry decimal strings instead, so that nobody has to agree on how a float is printed.

use serde::Serialize;
use serde_json::Value;

/// Largest magnitude of an integer that every JSON reader keeps exactly (2^53 - 1).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    #[error("{0} is not an integer between -(2^53-1) and 2^53-1; write it as a decimal string")]
    Number(String),
    #[error("not representable as JSON: {0}")]
    Json(String),
}

impl CanonicalError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Json(_) => "json",
        }
    }
}

/// The canonical form of anything serde can turn into JSON.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|e| CanonicalError::Json(e.to_string()))?;
    check_numbers(&value)?;
    Ok(write_value(&value))
}

fn check_numbers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(n) => {
            let magnitude = n.as_i64().map(i64::unsigned_abs).or_else(|| n.as_u64());
            match magnitude {
                Some(m) if m <= MAX_INTEGER => Ok(()),
                _ => Err(CanonicalError::Number(n.to_string())),
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(map) => map.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// Writes a value whose numbers are known to be integers.
fn write_value(value: &Value) -> String {
    let mut out = String::new();
    write_into(value, &mut out);
    out
}

fn write_into(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(n) => out.push_str(&n.to_string()),
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_into(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_into(item, out);
            }
            out.push('}');
        }
    }
}

pub(crate) fn write_string(s: &str, out: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    out.push('"');
    if s.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.push_str(s);
        out.push('"');
        return;
    }
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                out.push_str("\\u00");
                out.push(HEX[(c as usize >> 4) & 15]);
                out.push(HEX[c as usize & 15]);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_by_utf16_units_as_the_rfc_shows() {
        // RFC 8785 section 3.2.3: code-point order would put the emoji after the Hebrew letter with dagesh.
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            to_string(&value).unwrap(),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn strings_are_escaped_as_little_as_possible() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}");
        assert_eq!(
            to_string(&value).unwrap(),
            "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\""
        );
    }

    #[test]
    fn nested_values_are_compact_and_sorted_at_every_level() {
        let value = json!({"b": [true, null, {"z": -1, "a": 2}], "a": "x"});
        assert_eq!(
            to_string(&value).unwrap(),
            r#"{"a":"x","b":[true,null,{"a":2,"z":-1}]}"#
        );
    }

    #[test]
    fn floats_and_integers_a_double_cannot_hold_are_refused() {
        assert!(matches!(to_string(&json!(0.5)), Err(CanonicalError::Number(_))));
        assert!(matches!(
            to_string(&json!([1u64 << 53])),
            Err(CanonicalError::Number(_))
        ));
        assert!(matches!(
            to_string(&json!({"a": -(1i64 << 53)})),
            Err(CanonicalError::Number(_))
        ));
        assert_eq!(to_string(&json!(MAX_INTEGER)).unwrap(), "9007199254740991");
    }
}
