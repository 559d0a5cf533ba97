//! Secrets, looked for in everything that somebody may read who may not read Secrets: logs, Events, specs, statuses.

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::shell::kubectl;

/// What must be found nowhere, with what it is.
#[derive(Default)]
pub struct Secrets(Vec<(String, Vec<String>)>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(what, _)| what)).finish()
    }
}

impl Secrets {
    /// Bytes: as hex of either case and as base64 of either alphabet.
    ///
    /// # Errors
    /// If they are too few to be told from chance.
    pub fn bytes(&mut self, what: impl Into<String>, bytes: &[u8]) -> Result<()> {
        let what = what.into();
        ensure!(bytes.len() >= 8, "{what} is too short to be looked for");
        let forms = vec![
            hex::encode(bytes),
            hex::encode_upper(bytes),
            BASE64_STANDARD.encode(bytes).trim_end_matches('=').to_owned(),
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
        ];
        self.0.push((what, forms));
        Ok(())
    }

    /// Text: as it is, and in every form of its bytes.
    pub fn text(&mut self, what: impl Into<String>, text: &str) -> Result<()> {
        self.bytes(what, text.as_bytes())?;
        if let Some((_, forms)) = self.0.last_mut() {
            forms.push(text.to_owned());
        }
        Ok(())
    }

    /// A key written in hex: the text and the key.
    pub fn hex(&mut self, what: &str, digits: &str) -> Result<()> {
        self.text(what, digits)?;
        self.bytes(what, &hex::decode(digits)?)
    }

    /// What Secrets of a namespace hold that only their readers may know, by the type of each. Those of Jobs come and go:
    /// look again while a task runs.
    pub fn of_namespace(&mut self, namespace: &str) -> Result<()> {
        let list: Value = serde_json::from_str(&kubectl(&["-n", namespace, "get", "secrets", "-o", "json"])?)?;
        for secret in list["items"].as_array().into_iter().flatten() {
            let name = secret["metadata"]["name"].as_str().unwrap_or_default();
            let fields = match secret["type"].as_str().unwrap_or_default() {
                "fl-alliance.io/signing-key" => &["privateKey", "passphrase"][..],
                "fl-alliance.io/job-input" => &["token"],
                "fl-alliance.io/token-key" => &["current", "previous"],
                "fl-alliance.io/ledger-seed" => &["seed"],
                "fl-alliance.io/vote-ledger" => &["vote.json"],
                "kubernetes.io/tls" => &["tls.key"],
                _ => continue,
            };
            for field in fields {
                let Some(data) = secret["data"][field].as_str() else {
                    continue;
                };
                self.field(
                    &format!("{namespace}/{name} {field}"),
                    field,
                    &BASE64_STANDARD.decode(data)?,
                )?;
            }
        }
        Ok(())
    }

    fn field(&mut self, what: &str, field: &str, bytes: &[u8]) -> Result<()> {
        if self.0.iter().any(|(known, _)| known == what) {
            return Ok(());
        }
        match field {
            "privateKey" => self.hex(what, String::from_utf8_lossy(bytes).trim().trim_start_matches("0x")),
            "passphrase" | "token" => self.text(what, String::from_utf8_lossy(bytes).trim()),
            "vote.json" => {
                let vote: Value = serde_json::from_slice(bytes)?;
                self.hex(what, vote["salt"].as_str().unwrap_or_default().trim_start_matches("0x"))
            }
            // Any line of a PEM file is enough to be found.
            "tls.key" => match String::from_utf8_lossy(bytes).lines().nth(1) {
                Some(line) => self.text(what, line),
                None => Ok(()),
            },
            _ => self.bytes(what, bytes),
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something of this name is looked for.
    pub fn know(&self, part: &str) -> bool {
        self.0.iter().any(|(what, _)| what.contains(part))
    }

    /// What is in `text`, by name.
    pub fn found_in(&self, text: &str) -> Vec<&str> {
        let there = |forms: &Vec<String>| forms.iter().any(|form| text.contains(form));
        self.0
            .iter()
            .filter(|(_, forms)| there(forms))
            .map(|(what, _)| what.as_str())
            .collect()
    }
}

/// Kinds of which spec and status are read. No Secrets: that is where secrets belong.
const KINDS: &str =
    "fltasks,flclients,flrounds,jobs,pods,configmaps,deployments,replicasets,leases,events.events.k8s.io";

/// Everything readable in these namespaces, and the FLChains: where from, and the text.
pub fn readable(namespaces: &[&str]) -> Result<Vec<(String, String)>> {
    let mut all = vec![("FLChains".to_owned(), kubectl(&["get", "flchains", "-o", "json"])?)];
    for namespace in namespaces {
        let objects = kubectl(&["-n", namespace, "get", KINDS, "-o", "json"])?;
        all.push((format!("objects of {namespace}"), objects));
        let pods = kubectl(&["-n", namespace, "get", "pods", "-o", "name"])?;
        for pod in pods.lines() {
            for previous in ["--previous=false", "--previous=true"] {
                // A pod may be gone by now, or its container be the first.
                let log = kubectl(&["-n", namespace, "logs", pod, "--all-containers", "--tail=-1", previous]);
                if let Ok(log) = log {
                    all.push((format!("log of {namespace}/{pod}"), log));
                }
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_whatever_form_it_is_written() {
        let mut secrets = Secrets::default();
        let digits = "a1b2c3d4".repeat(8);
        secrets.hex("key", &digits).unwrap();
        secrets.text("passphrase", "correct horse").unwrap();
        let key = hex::decode(&digits).unwrap();
        for text in [
            format!("0x{digits}"),
            digits.to_uppercase(),
            BASE64_STANDARD.encode(&key),
            BASE64_STANDARD.encode(&digits),
        ] {
            assert_eq!(secrets.found_in(&format!("<{text}>")).first(), Some(&"key"), "{text}");
        }
        assert_eq!(secrets.found_in("the correct horse is here"), ["passphrase"]);
        assert_eq!(
            secrets.found_in("a1b2c3d4 and a horse that is correct"),
            Vec::<&str>::new()
        );
        assert!(secrets.text("short", "abc").is_err());
        assert!(!format!("{secrets:?}").contains("horse"));
    }
}
