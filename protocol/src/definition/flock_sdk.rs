//! Definitions of two kinds: what our trainer computes, and what a container of FLock's SDK computes.
//!
//! A container brings its own network, its own training and its own aggregation; its models are bytes to us. What is left
//! to agree upon is which container it is, to the byte, because all voters must get the same aggregate out of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Definition, DefinitionError, Evaluation, MAX_DEFINITION_BYTES, MAX_INTEGER, Metric, SCHEMA_VERSION, canonical,
    checks::count,
};
use crate::{
    genesis,
    model::{self, ModelError, OpaqueHeader},
    types::{B256, DefinitionHash, ModelHash, ParseError},
};

/// The digest of an OCI image: `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageDigest(B256);

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl FromStr for ImageDigest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = text
            .strip_prefix("sha256:")
            .filter(|digits| digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        digits
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| ParseError {
                value: text.to_owned(),
                expected: "an image digest (sha256: and 64 lower-case hex digits)",
            })
    }
}

impl TryFrom<String> for ImageDigest {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ImageDigest> for String {
    fn from(digest: ImageDigest) -> Self {
        digest.to_string()
    }
}

/// What the container runs on, in the words of images and of the node label `kubernetes.io/arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cpu {
    Amd64,
    Arm64,
}

impl Cpu {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// In the words of Rust's `std::env::consts::ARCH`.
    pub fn rust_name(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// The container, pinned: another build of the same source may add up in another order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlockSdk {
    pub image: ImageDigest,
    pub cpu: Cpu,
}

/// The definition of a task for containers as written, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SdkDocument {
    pub schema_version: u32,
    pub flock_sdk: FlockSdk,
    /// Accuracy: what the container's `evaluate` answers is better when it is higher; loss: when it is lower.
    pub evaluation: Evaluation,
    /// Largest valid contribution, in bytes.
    pub max_model_bytes: u64,
}

impl SdkDocument {
    fn check(&self) -> Result<(), DefinitionError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(DefinitionError::Version(self.schema_version));
        }
        self.evaluation.check()?;
        if !matches!(self.evaluation.metric, Metric::Accuracy | Metric::Loss) {
            return Err(DefinitionError::Fit(format!(
                "evaluation.metric {}: a container answers with one number: accuracy if higher is better, else loss",
                self.evaluation.metric.as_str()
            )));
        }
        count(
            "maxModelBytes",
            self.max_model_bytes,
            OpaqueHeader::BYTES as u64 + 1..=MAX_INTEGER,
            "between 513 (a header of 512 bytes and a parameter) and 2^53-1",
        )
    }
}

/// A definition for containers whose ranges were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdkDefinition {
    document: SdkDocument,
    canonical: String,
    hash: DefinitionHash,
}

impl SdkDefinition {
    fn new(document: SdkDocument) -> Result<Self, DefinitionError> {
        document.check()?;
        let canonical = canonical::to_string(&document)?;
        let hash = DefinitionHash(B256::from(<[u8; 32]>::from(Sha256::digest(canonical.as_bytes()))));
        Ok(Self {
            document,
            canonical,
            hash,
        })
    }

    pub fn flock_sdk(&self) -> &FlockSdk {
        &self.document.flock_sdk
    }

    pub fn evaluation(&self) -> &Evaluation {
        &self.document.evaluation
    }

    pub fn max_model_bytes(&self) -> u64 {
        self.document.max_model_bytes
    }

    pub fn hash(&self) -> DefinitionHash {
        self.hash
    }
}

/// A definition of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskDefinition {
    /// For our trainer.
    Trainer(Box<Definition>),
    FlockSdk(SdkDefinition),
}

impl TaskDefinition {
    /// Reads and checks a definition in any JSON form.
    pub fn parse(bytes: &[u8]) -> Result<Self, DefinitionError> {
        if !is_for_containers(bytes) {
            return Definition::parse(bytes).map(Box::new).map(Self::Trainer);
        }
        if bytes.len() > MAX_DEFINITION_BYTES {
            return Err(DefinitionError::TooLarge(bytes.len()));
        }
        let document = serde_json::from_slice(bytes).map_err(|e| DefinitionError::Syntax(e.to_string()))?;
        SdkDefinition::new(document).map(Self::FlockSdk)
    }

    /// [`TaskDefinition::parse`], and its hash must be the one the chain names.
    pub fn parse_expecting(bytes: &[u8], expected: DefinitionHash) -> Result<Self, DefinitionError> {
        let definition = Self::parse(bytes)?;
        let actual = definition.hash();
        if actual == expected {
            Ok(definition)
        } else {
            Err(DefinitionError::Hash { expected, actual })
        }
    }

    /// RFC 8785 form, the bytes that are hashed, stored and handed to trainers.
    pub fn canonical(&self) -> &str {
        match self {
            Self::Trainer(definition) => definition.canonical(),
            Self::FlockSdk(definition) => &definition.canonical,
        }
    }

    /// SHA-256 of [`TaskDefinition::canonical`].
    pub fn hash(&self) -> DefinitionHash {
        match self {
            Self::Trainer(definition) => definition.hash(),
            Self::FlockSdk(definition) => definition.hash,
        }
    }

    /// Largest valid contribution.
    pub fn max_model_bytes(&self) -> u64 {
        match self {
            Self::Trainer(definition) => definition.max_model_bytes,
            Self::FlockSdk(definition) => definition.document.max_model_bytes,
        }
    }

    /// The name of the genesis model.
    pub fn genesis_hash(&self) -> Result<ModelHash, ModelError> {
        match self {
            Self::Trainer(definition) => genesis::hash(definition),
            Self::FlockSdk(_) => model::write_opaque_genesis(std::io::sink()),
        }
    }
}

/// Whether the document says so itself, however wrong the rest of it is.
pub(super) fn is_for_containers(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "flockSdk")]
        flock_sdk: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Kind>(bytes).is_ok_and(|kind| kind.flock_sdk.is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "schemaVersion": 1,
            "flockSdk": {"image": format!("sha256:{}", "5a".repeat(32)), "cpu": "amd64"},
            "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": "0.05"},
            "maxModelBytes": 65536,
        })
    }

    fn parse(document: &Value) -> Result<TaskDefinition, DefinitionError> {
        TaskDefinition::parse(document.to_string().as_bytes())
    }

    #[test]
    fn a_definition_for_containers_has_one_form_and_the_genesis_model_without_parameters() {
        let definition = parse(&document()).unwrap();
        assert_eq!(
            definition.canonical(),
            format!(
                r#"{{"evaluation":{{"direction":"higherIsBetter","epsilon":"0.05","metric":"accuracy"}},"flockSdk":{{"cpu":"amd64","image":"sha256:{}"}},"maxModelBytes":65536,"schemaVersion":1}}"#,
                "5a".repeat(32)
            )
        );
        assert_eq!(
            definition.hash().to_string(),
            hex::encode(Sha256::digest(definition.canonical()))
        );
        assert_eq!(
            definition.genesis_hash().unwrap().to_string(),
            "b1f784e300fa9cd568ad6a21efb952ace3d73c18d314cf873423df404be4ba0c"
        );
        let again = TaskDefinition::parse_expecting(definition.canonical().as_bytes(), definition.hash());
        assert_eq!(again.unwrap(), definition);
    }

    #[test]
    fn a_definition_for_our_trainer_is_read_as_before() {
        let bytes = include_bytes!("example.json");
        let ours = Definition::parse(bytes).unwrap();
        let read = TaskDefinition::parse(bytes).unwrap();
        assert_eq!((read.hash(), read.canonical()), (ours.hash(), ours.canonical()));
        assert_eq!(read.genesis_hash().unwrap(), genesis::hash(&ours).unwrap());
    }

    #[test]
    fn what_does_not_pin_the_container_is_refused() {
        let with = |path: &str, value: Value| {
            let mut changed = document();
            *changed.pointer_mut(path).unwrap() = value;
            parse(&changed).unwrap_err()
        };
        for (path, value, category) in [
            ("/flockSdk/image", json!("example.org/sample:1"), "syntax"),
            (
                "/flockSdk/image",
                json!(format!("sha256:{}", "5A".repeat(32))),
                "syntax",
            ),
            ("/flockSdk/cpu", json!("riscv64"), "syntax"),
            ("/evaluation/metric", json!("auroc"), "fit"),
            ("/evaluation/direction", json!("lowerIsBetter"), "range"),
            ("/maxModelBytes", json!(512), "range"),
            ("/schemaVersion", json!(2), "version"),
        ] {
            assert_eq!(with(path, value.clone()).category(), category, "{path} {value}");
        }
        let mut both = document();
        both["training"] = json!({});
        assert_eq!(parse(&both).unwrap_err().category(), "syntax");
    }

    #[test]
    fn our_trainer_says_what_the_task_is_for() {
        let error = Definition::parse(document().to_string().as_bytes()).unwrap_err();
        assert_eq!(error, DefinitionError::FlockSdk);
    }
}
