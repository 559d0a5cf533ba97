//! Secrets as they may turn up where they must not. The scenarios on a cluster read this file too.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};

/// What must be found nowhere, with what it is.
#[derive(Default)]
pub(crate) struct Needles(Vec<(String, Vec<String>)>);

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Needles {
    /// Bytes: as hex of either case, as base64 of either alphabet, and as `{:?}` shows a list of numbers. Too few of them
    /// could not be told from chance.
    pub(crate) fn bytes(&mut self, what: &str, bytes: &[u8]) {
        assert!(bytes.len() >= 8, "{what} is too short to be looked for");
        let debug = format!("{bytes:?}");
        let forms = vec![
            hex::encode(bytes),
            hex::encode_upper(bytes),
            BASE64_STANDARD.encode(bytes).trim_end_matches('=').to_owned(),
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
            debug.trim_matches(['[', ']']).to_owned(),
        ];
        self.0.push((what.to_owned(), forms));
    }

    /// Text: as it is, and in every form of its bytes.
    pub(crate) fn text(&mut self, what: &str, text: &str) {
        self.bytes(what, text.as_bytes());
        if let Some((_, forms)) = self.0.last_mut() {
            forms.push(text.to_owned());
            // As a JSON string inside of another.
            forms.push(text.replace('"', "\\\""));
        }
    }

    /// A key written in hex: the text and the key.
    pub(crate) fn hex(&mut self, what: &str, digits: &str) {
        let key = hex::decode(digits);
        assert!(key.is_ok(), "{what} is not hex");
        self.text(what, digits);
        self.bytes(what, &key.unwrap_or_default());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Of all that is looked for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(what, _)| what.as_str())
    }

    /// What is in `text`, by name.
    pub(crate) fn found_in(&self, text: &str) -> Vec<&str> {
        let there = |forms: &Vec<String>| forms.iter().any(|form| text.contains(form));
        self.0
            .iter()
            .filter(|(_, forms)| there(forms))
            .map(|(what, _)| what.as_str())
            .collect()
    }
}

#[test]
fn a_secret_is_found_in_whatever_form() {
    let mut needles = Needles::default();
    needles.hex("key", &"a1b2c3d4".repeat(8));
    needles.text("passphrase", "open \"sesame\"");
    let bytes: Vec<u8> = [0xa1, 0xb2, 0xc3, 0xd4].repeat(8);
    for text in [
        format!("0x{}", "a1b2c3d4".repeat(8)),
        "A1B2C3D4".repeat(8),
        BASE64_STANDARD.encode(&bytes),
        BASE64_STANDARD.encode("a1b2c3d4".repeat(8)),
        format!("{bytes:?}"),
    ] {
        assert_eq!(
            needles.found_in(&format!("before {text} after")).first(),
            Some(&"key"),
            "{text}"
        );
    }
    let quoted = serde_json::to_string("open \"sesame\"").unwrap();
    assert_eq!(needles.found_in(&quoted), ["passphrase"]);
    assert_eq!(needles.found_in("a1b2c3d4 open sesame"), Vec::<&str>::new());
    // And shows itself to nobody.
    assert!(!format!("{needles:?}").contains("sesame"));
}
