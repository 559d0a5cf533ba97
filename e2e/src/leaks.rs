//! Secrets, looked for in everything that somebody may read who may not read Secrets: logs, Events, specs, statuses.

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::shell::kubectl;

/// In which forms a secret may turn up is the operator's tests' affair as well: one list for both.
#[path = "../../operator/src/testing/needles.rs"]
mod needles;

use needles::Needles;

/// What must be found nowhere, with what it is.
#[derive(Debug, Default)]
pub struct Secrets(Needles);

impl Secrets {
    /// Text, in whatever form.
    ///
    /// # Errors
    /// If it is too short to be told from chance.
    pub fn text(&mut self, what: &str, text: &str) -> Result<()> {
        ensure!(text.len() >= 8, "{what} is too short to be looked for");
        self.0.text(what, text);
        Ok(())
    }

    /// A key written in hex: the text and the key.
    pub fn hex(&mut self, what: &str, digits: &str) -> Result<()> {
        ensure!(hex::decode(digits)?.len() >= 8, "{what} is too short to be looked for");
        self.0.hex(what, digits);
        Ok(())
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
        if self.0.names().any(|known| known == what) {
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
            _ => {
                ensure!(bytes.len() >= 8, "{what} is too short to be looked for");
                self.0.bytes(what, bytes);
                Ok(())
            }
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something of this name is looked for.
    pub fn know(&self, part: &str) -> bool {
        self.0.names().any(|what| what.contains(part))
    }

    /// What is in `text`, by name.
    pub fn found_in(&self, text: &str) -> Vec<&str> {
        self.0.found_in(text)
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
    fn what_is_too_short_to_be_found_is_refused_and_nothing_is_shown() {
        let mut secrets = Secrets::default();
        secrets.hex("key", &"a1b2c3d4".repeat(8)).unwrap();
        secrets.text("passphrase", "correct horse").unwrap();
        assert_eq!(secrets.found_in("the correct horse is here"), ["passphrase"]);
        assert!(secrets.text("short", "abc").is_err() && secrets.hex("shorter", "abcd").is_err());
        assert!(secrets.know("pass") && !secrets.know("short"));
        assert!(!format!("{secrets:?}").contains("horse"));
    }
}
