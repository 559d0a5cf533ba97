//! Base models: large frozen weights that participants have on a volume. A definition names the SHA-256 of a manifest,
//! and the manifest names the files.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::types::ModelHash;

/// Largest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// What a manifest is called where it is written; any name is found.
pub const MANIFEST_FILE: &str = "manifest.json";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("it cannot be read: {0}")]
    Syntax(String),
    #[error("it lists no file")]
    Empty,
    #[error("{0:?} is no name of a file in the folder")]
    Name(String),
    #[error("{0:?} is listed twice")]
    Twice(String),
    #[error("its files have more than 2^50 bytes")]
    TooLarge,
}

/// The files of a base model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub files: Vec<ManifestFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// In the manifest's folder, or below it with `/`.
    pub name: String,
    pub sha256: ModelHash,
    pub bytes: u64,
}

impl Manifest {
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| ManifestError::Syntax(e.to_string()))?;
        if manifest.files.is_empty() {
            return Err(ManifestError::Empty);
        }
        let mut seen = HashSet::new();
        for file in &manifest.files {
            let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\0', '\\']);
            if file.name.len() > 1024 || file.name.split('/').any(odd) {
                return Err(ManifestError::Name(file.name.clone()));
            }
            if !seen.insert(&file.name) {
                return Err(ManifestError::Twice(file.name.clone()));
            }
        }
        if manifest.bytes() > 1 << 50 {
            return Err(ManifestError::TooLarge);
        }
        Ok(manifest)
    }

    /// Of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_files_of_its_own_folder_once_each() {
        let file = |name: &str| format!(r#"{{"name":{name:?},"sha256":"{}","bytes":7}}"#, "ab".repeat(32));
        let parse = |files: &[String]| Manifest::parse(format!(r#"{{"files":[{}]}}"#, files.join(",")).as_bytes());
        let good = parse(&[file("a.safetensors"), file("sub/b.json")]).unwrap();
        assert_eq!((good.files.len(), good.bytes()), (2, 14));
        for name in ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/.", "a\\b"] {
            assert_eq!(parse(&[file(name)]), Err(ManifestError::Name(name.to_owned())));
        }
        assert_eq!(
            parse(&[file("a"), file("a")]),
            Err(ManifestError::Twice("a".to_owned()))
        );
        assert_eq!(parse(&[]), Err(ManifestError::Empty));
        assert!(matches!(Manifest::parse(b"{}"), Err(ManifestError::Syntax(_))));
    }
}
