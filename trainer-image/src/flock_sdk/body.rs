//! The body of a call: JSON with base64 in it, made while it is sent.

use std::io::{self, Read};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::parameters::Parameters;

/// Bytes encoded at once; three bytes are four characters.
const BLOCK: usize = 48 << 10;

/// A reader of the body, whose length is known before the first byte.
pub(super) struct Body {
    parts: std::vec::IntoIter<Part>,
    current: Option<Source>,
    length: u64,
}

enum Part {
    Text(String),
    Encoded(Parameters),
}

enum Source {
    Text(io::Cursor<String>),
    Encoded(Box<Encoder>),
}

impl Body {
    /// `train` or `evaluate`; no parameters are null.
    pub(super) fn of_one(method: &str, parameters: &Parameters) -> Self {
        let head = format!(r#"{{"method":"{method}","parameters":"#);
        let mut parts = vec![Part::Text(head)];
        if parameters.len() == 0 {
            parts.push(Part::Text("null}".into()));
        } else {
            parts.push(Part::Text("\"".into()));
            parts.push(Part::Encoded(parameters.clone()));
            parts.push(Part::Text("\"}".into()));
        }
        Self::new(parts)
    }

    /// `aggregate`.
    pub(super) fn of_many(method: &str, list: &[&Parameters]) -> Self {
        let mut parts = vec![Part::Text(format!(r#"{{"method":"{method}","parameters_list":["#))];
        for (i, parameters) in list.iter().enumerate() {
            parts.push(Part::Text(if i == 0 { "\"" } else { ",\"" }.into()));
            parts.push(Part::Encoded((*parameters).clone()));
            parts.push(Part::Text("\"".into()));
        }
        parts.push(Part::Text("]}".into()));
        Self::new(parts)
    }

    fn new(parts: Vec<Part>) -> Self {
        let length = parts.iter().map(Part::length).sum();
        Self {
            parts: parts.into_iter(),
            current: None,
            length,
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Encoded(parameters) => parameters.len().div_ceil(3) * 4,
        }
    }

    fn open(self) -> io::Result<Source> {
        Ok(match self {
            Self::Text(text) => Source::Text(io::Cursor::new(text)),
            Self::Encoded(parameters) => Source::Encoded(Box::new(Encoder {
                file: Box::new(parameters.open()?),
                text: String::new(),
                given: 0,
            })),
        })
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.current {
                None => 0,
                Some(Source::Text(text)) => text.read(out)?,
                Some(Source::Encoded(encoder)) => encoder.read(out)?,
            };
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            match self.parts.next() {
                Some(part) => self.current = Some(part.open()?),
                None => return Ok(0),
            }
        }
    }
}

struct Encoder {
    file: Box<dyn Read>,
    text: String,
    given: usize,
}

impl Read for Encoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            let mut block = Vec::with_capacity(BLOCK);
            self.file.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
            self.text.clear();
            self.given = 0;
            STANDARD.encode_string(&block, &mut self.text);
        }
        let left = &self.text.as_bytes()[self.given..];
        let n = left.len().min(out.len());
        out[..n].copy_from_slice(&left[..n]);
        self.given += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use protocol::model::Metadata;

    use super::*;
    use crate::flock_sdk::parameters::Unsealed;

    fn written(mut body: Body) -> serde_json::Value {
        let mut text = String::new();
        let promised = body.length();
        body.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, promised);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn parameters_of_every_length_are_encoded_as_one_piece() {
        let folder = tempfile::tempdir().unwrap();
        for len in [1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 2] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
            let mut model = Unsealed::create(&folder.path().join("model")).unwrap();
            model.write_all(&bytes).unwrap();
            let (parameters, _) = model.seal(&Metadata::none()).unwrap();
            let encoded = serde_json::json!(STANDARD.encode(&bytes));
            let one = written(Body::of_one("train", &parameters));
            assert_eq!((&one["method"], &one["parameters"]), (&"train".into(), &encoded));
            let many = written(Body::of_many("aggregate", &[&parameters, &parameters]));
            assert_eq!(many["parameters_list"], serde_json::json!([encoded, encoded]));
        }
    }

    #[test]
    fn no_parameters_are_null() {
        let body = written(Body::of_one("evaluate", &Parameters::none()));
        assert_eq!(body, serde_json::json!({"method": "evaluate", "parameters": null}));
    }
}
