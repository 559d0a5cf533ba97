//! Reading answers: parameters are decoded while they arrive, everything else is small.

use std::io::{self, BufRead, Read, Write};

use base64::{engine::general_purpose::STANDARD, read::DecoderReader};

/// Longest key that is looked at.
const MAX_KEY: usize = 256;
const BLOCK: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// The connection, or the file it is written to.
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Wrong(&'static str),
    #[error("more than {0} bytes")]
    TooLarge(u64),
}

/// Decodes `parameters` of a JSON object into `out` and returns how many bytes there were. Other keys are passed over.
pub(super) fn parameters(reader: impl BufRead, out: &mut impl Write, limit: u64) -> Result<u64, AnswerError> {
    let mut json = Json { reader };
    if json.next()? != b'{' {
        return Err(NOT_AN_OBJECT);
    }
    let mut found = None;
    let mut next = json.next()?;
    while next != b'}' {
        if next != b'"' {
            return Err(NO_JSON);
        }
        let key = json.key()?;
        if json.next()? != b':' {
            return Err(NO_JSON);
        }
        match json.next()? {
            b'"' if key == b"parameters" && found.is_none() => found = Some(json.decode(out, limit)?),
            _ if key == b"parameters" => return Err(AnswerError::Wrong("its parameters are no base64 string")),
            first => json.skip(first)?,
        }
        next = match json.next()? {
            b',' => json.next()?,
            b'}' => b'}',
            _ => return Err(NO_JSON),
        };
    }
    found.ok_or(AnswerError::Wrong("it has no parameters"))
}

const NO_JSON: AnswerError = AnswerError::Wrong("it is not JSON");
const NOT_AN_OBJECT: AnswerError = AnswerError::Wrong("it is not a JSON object");

struct Json<R> {
    reader: R,
}

impl<R: BufRead> Json<R> {
    fn byte(&mut self) -> Result<u8, AnswerError> {
        let byte = *self
            .reader
            .fill_buf()?
            .first()
            .ok_or(AnswerError::Wrong("it ends early"))?;
        self.reader.consume(1);
        Ok(byte)
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Result<u8, AnswerError> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\r' | b'\t' => {}
                byte => return Ok(byte),
            }
        }
    }

    /// The rest of a key, its escapes as they are written.
    fn key(&mut self) -> Result<Vec<u8>, AnswerError> {
        let mut key = Vec::new();
        loop {
            match self.byte()? {
                b'"' => return Ok(key),
                b'\\' => key.extend([b'\\', self.byte()?]),
                byte => key.push(byte),
            }
            if key.len() > MAX_KEY {
                return Err(NO_JSON);
            }
        }
    }

    /// The rest of a base64 string.
    fn decode(&mut self, out: &mut impl Write, limit: u64) -> Result<u64, AnswerError> {
        let mut text = UntilQuote {
            reader: &mut self.reader,
            ended: false,
        };
        let mut decoder = DecoderReader::new(&mut text, &STANDARD);
        let mut block = vec![0u8; BLOCK];
        let mut total = 0u64;
        loop {
            let n = match decoder.read(&mut block) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(AnswerError::Wrong("its parameters are no base64"));
                }
                Err(error) => return Err(error.into()),
            };
            if n == 0 {
                break;
            }
            total += n as u64;
            if total > limit {
                return Err(AnswerError::TooLarge(limit));
            }
            out.write_all(&block[..n])?;
        }
        if text.ended {
            Ok(total)
        } else {
            Err(AnswerError::Wrong("it ends early"))
        }
    }

    /// The rest of any value that begins with `first`.
    fn skip(&mut self, first: u8) -> Result<(), AnswerError> {
        let mut depth = 0u32;
        let mut byte = first;
        loop {
            match byte {
                b'"' => self.skip_string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1).ok_or(NO_JSON)?,
                _ => {}
            }
            // A number or a word ends where something else begins, which is left to be read.
            let peeked = *self
                .reader
                .fill_buf()?
                .first()
                .ok_or(AnswerError::Wrong("it ends early"))?;
            if depth == 0 && matches!(peeked, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(());
            }
            byte = self.byte()?;
        }
    }

    fn skip_string(&mut self) -> Result<(), AnswerError> {
        loop {
            match self.byte()? {
                b'"' => return Ok(()),
                b'\\' => drop(self.byte()?),
                _ => {}
            }
        }
    }
}

/// The reader up to a quote, which is taken and not given.
struct UntilQuote<'a, R> {
    reader: &'a mut R,
    ended: bool,
}

impl<R: BufRead> Read for UntilQuote<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let buffer = self.reader.fill_buf()?;
        let most = &buffer[..buffer.len().min(out.len())];
        let n = most.iter().position(|&byte| byte == b'"').unwrap_or(most.len());
        out[..n].copy_from_slice(&most[..n]);
        let quoted = n < most.len();
        self.reader.consume(n + usize::from(quoted));
        self.ended = quoted;
        Ok(n)
    }
}

/// The number in `{"accuracy": ...}`. Python writes NaN and infinities, which JSON does not have.
pub(super) fn accuracy(text: &str) -> Result<f64, AnswerError> {
    let parsed = serde_json::from_str(text).or_else(|error| {
        let numbers = text
            .replace("-Infinity", "\"nan\"")
            .replace("Infinity", "\"nan\"")
            .replace("NaN", "\"nan\"");
        serde_json::from_str(&numbers).map_err(|_| error)
    });
    let answer: serde_json::Value = parsed.map_err(|_| NO_JSON)?;
    match &answer["accuracy"] {
        serde_json::Value::String(text) if text == "nan" => Ok(f64::NAN),
        value => value.as_f64().ok_or(AnswerError::Wrong("it has no number as accuracy")),
    }
}

/// What an error page says happened: the exception's type, and the line it stands in. Flask's debugger puts both into the
/// title.
pub(super) fn exception(page: &str) -> Option<(String, String)> {
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    let title = title.split("// Werkzeug").next().unwrap_or(title);
    let line: String = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    let name = line.split(':').next().unwrap_or_default().trim().to_owned();
    (!name.is_empty()).then_some((name, line))
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, AnswerError> {
        // A buffer of a few bytes, so that everything is cut somewhere.
        let mut out = Vec::new();
        let reader = io::BufReader::with_capacity(5, text.as_bytes());
        parameters(reader, &mut out, 1000).map(|n| {
            assert_eq!(n, out.len() as u64);
            out
        })
    }

    #[test]
    fn parameters_are_found_wherever_they_stand() {
        let bytes: Vec<u8> = (0..200).collect();
        let text = STANDARD.encode(&bytes);
        for answer in [
            format!(r#"{{"parameters":"{text}"}}"#),
            format!("{{\n  \"parameters\": \"{text}\"\n}}\n"),
            format!(r#"{{"a":[{{"b":"]}}\""}},-1.5e3],"parameters":"{text}","z":null}}"#),
            format!(r#"{{ "n" : 12 , "t":true, "e":{{}}, "parameters" : "{text}" }}"#),
        ] {
            assert_eq!(read(&answer).unwrap(), bytes, "{answer}");
        }
        assert_eq!(read(r#"{"parameters":""}"#).unwrap(), b"");
    }

    #[test]
    fn anything_else_is_said_to_be_wrong() {
        for answer in [
            "",
            "no",
            "[]",
            "{}",
            r#"{"accuracy":1}"#,
            r#"{"parameters":null}"#,
            r#"{"parameters":["QUJD"]}"#,
            r#"{"parameters":"QUJ"}"#,
            r#"{"parameters":"QU-D"}"#,
            r#"{"parameters":"QUJD"#,
            r#"{"parameters":"QUJD""#,
            r#"{"parameters":"QUJD";"#,
            r#"{"a":1"#,
            r#"{"a":}}"#,
        ] {
            assert!(matches!(read(answer), Err(AnswerError::Wrong(_))), "{answer}");
        }
    }

    #[test]
    fn what_is_larger_than_a_model_may_be_is_not_kept() {
        let text = STANDARD.encode(vec![0u8; 1001]);
        assert!(matches!(
            read(&format!(r#"{{"parameters":"{text}"}}"#)),
            Err(AnswerError::TooLarge(1000))
        ));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_not_numbers() {
        assert_eq!(accuracy("{\"accuracy\": 0.5}\n").unwrap(), 0.5);
        assert_eq!(accuracy(r#"{"accuracy":-3}"#).unwrap(), -3.0);
        for word in ["NaN", "Infinity", "-Infinity"] {
            assert!(accuracy(&format!(r#"{{"accuracy":{word}}}"#)).unwrap().is_nan());
        }
        for wrong in [
            r#"{"accuracy":null}"#,
            r#"{"accuracy":"0.5"}"#,
            r#"{"loss":1}"#,
            "0.5",
            "<html>",
        ] {
            assert!(matches!(accuracy(wrong), Err(AnswerError::Wrong(_))), "{wrong}");
        }
    }

    #[test]
    fn an_error_page_names_its_exception() {
        let page = "<!doctype html>\n<title>ValueError: could not convert 'x'\n // Werkzeug Debugger</title>";
        assert_eq!(
            exception(page),
            Some(("ValueError".to_owned(), "ValueError: could not convert 'x'".to_owned()))
        );
        assert_eq!(exception("no page"), None);
    }
}
