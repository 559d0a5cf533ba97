//! A module's base model: found on the participant's volumes by the hash of its manifest, verified, read.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use protocol::{
    base_model::{MAX_MANIFEST_BYTES, Manifest, ManifestError, ManifestFile},
    job::BaseReport,
    types::{B256, ModelHash},
};
use sha2::{Digest, Sha256};

use crate::gateway::Meter;

const BLOCK: usize = 1 << 20;

/// Where lines about the work go: a Job's log, or standard error where the answer of a command is on standard output.
pub type Say = fn(&str);

#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error("no manifest with SHA-256 {manifest} is in {}", .places.join(", "))]
    NotFound { manifest: ModelHash, places: Vec<String> },
    #[error("the definition names a base model by its manifest {0}, and no volume with one is mounted")]
    NoVolume(ModelHash),
    #[error("{}: {error}", .path.display())]
    Manifest { path: PathBuf, error: ManifestError },
    #[error("{}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} has {found} bytes, its manifest says {expected}", .path.display())]
    Size { path: PathBuf, found: u64, expected: u64 },
    #[error("{} hashes to {found}, its manifest says {expected}", .path.display())]
    Hash {
        path: PathBuf,
        found: ModelHash,
        expected: ModelHash,
    },
}

impl BaseError {
    /// Whether another try may well succeed: a volume that cannot be read now, but nothing in it is missing or wrong.
    pub fn is_passing(&self) -> bool {
        let Self::Unreadable { error, .. } = self else {
            return false;
        };
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
        !matches!(error.kind(), NotFound | PermissionDenied | NotADirectory | IsADirectory)
    }
}

/// A base model whose files are what its manifest says.
#[derive(Debug)]
pub struct Base {
    files: Vec<PathBuf>,
    pub report: BaseReport,
}

impl Base {
    /// Looks for the manifest in `places` and verifies its files. If they have the sizes and times they had when the
    /// `check` verified them (`verified`), they are not read for it again.
    pub fn find(places: &[String], wanted: ModelHash, verified: Option<B256>, say: Say) -> Result<Self, BaseError> {
        if places.is_empty() {
            return Err(BaseError::NoVolume(wanted));
        }
        for place in places {
            if let Some((path, bytes)) = manifest_in(Path::new(place), wanted)? {
                let manifest = Manifest::parse(&bytes).map_err(|error| BaseError::Manifest {
                    path: path.clone(),
                    error,
                })?;
                say(&format!(
                    "base model: manifest {} of {} files",
                    path.display(),
                    manifest.files.len()
                ));
                let folder = path.parent().unwrap_or(Path::new("/"));
                return Self::verify(folder, wanted, &manifest, verified, say);
            }
        }
        Err(BaseError::NotFound {
            manifest: wanted,
            places: places.to_vec(),
        })
    }

    fn verify(
        folder: &Path,
        wanted: ModelHash,
        manifest: &Manifest,
        verified: Option<B256>,
        say: Say,
    ) -> Result<Self, BaseError> {
        let files: Vec<PathBuf> = manifest.files.iter().map(|file| folder.join(&file.name)).collect();
        let stamp = stamp(wanted, manifest, &files)?;
        if verified == Some(stamp) {
            say("base model: its files are as the check verified them");
        } else {
            for (file, path) in manifest.files.iter().zip(&files) {
                check_hash(file, path, say)?;
            }
            say(&format!("base model: {} bytes verified", manifest.bytes()));
        }
        Ok(Self {
            files,
            report: BaseReport {
                manifest: wanted,
                files: u32::try_from(manifest.files.len()).unwrap_or(u32::MAX),
                bytes: manifest.bytes(),
                stamp,
            },
        })
    }

    /// Files of tensors.
    pub fn weights(&self) -> impl Iterator<Item = &Path> {
        let files = self.files.iter().map(PathBuf::as_path);
        files.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
    }
}

/// The file of a folder that has this hash.
fn manifest_in(folder: &Path, wanted: ModelHash) -> Result<Option<(PathBuf, Vec<u8>)>, BaseError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| BaseError::Unreadable { path, error }
    };
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        // Through links: a volume made from a ConfigMap or a cache of models has them.
        let about = fs::metadata(&path);
        if !is_json || !about.is_ok_and(|about| about.is_file() && about.len() <= MAX_MANIFEST_BYTES) {
            continue;
        }
        let bytes = fs::read(&path).map_err(unreadable(&path))?;
        if named(Sha256::digest(&bytes).into()) == wanted {
            return Ok(Some((path, bytes)));
        }
    }
    Ok(None)
}

fn named(digest: [u8; 32]) -> ModelHash {
    ModelHash(B256::from(digest))
}

/// SHA-256 over the manifest's name and every file's name, size and time of last change; sizes must be the manifest's.
fn stamp(wanted: ModelHash, manifest: &Manifest, files: &[PathBuf]) -> Result<B256, BaseError> {
    let mut digest = Sha256::new();
    digest.update(wanted.0);
    for (file, path) in manifest.files.iter().zip(files) {
        let unreadable = |error| BaseError::Unreadable {
            path: path.clone(),
            error,
        };
        let about = fs::metadata(path).map_err(unreadable)?;
        if about.len() != file.bytes {
            return Err(BaseError::Size {
                path: path.clone(),
                found: about.len(),
                expected: file.bytes,
            });
        }
        let changed = about.modified().map_err(unreadable)?;
        let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
        digest.update(file.name.as_bytes());
        digest.update([0]);
        digest.update(about.len().to_le_bytes());
        digest.update(changed.as_nanos().to_le_bytes());
    }
    Ok(B256::from(<[u8; 32]>::from(digest.finalize())))
}

fn check_hash(file: &ManifestFile, path: &Path, say: Say) -> Result<(), BaseError> {
    let (found, _) = hash_file(path, say).map_err(|error| BaseError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    if found == file.sha256 {
        Ok(())
    } else {
        Err(BaseError::Hash {
            path: path.to_owned(),
            found,
            expected: file.sha256,
        })
    }
}

/// SHA-256 and length.
fn hash_file(path: &Path, say: Say) -> io::Result<(ModelHash, u64)> {
    let mut file = File::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut meter = Meter::new(format!("verifying {name}"), Some(file.metadata()?.len()));
    let mut digest = Sha256::new();
    let mut buffer = vec![0u8; BLOCK];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((named(digest.finalize().into()), bytes));
        }
        digest.update(&buffer[..n]);
        bytes += n as u64;
        if let Some(line) = meter.add(n as u64) {
            say(&line);
        }
    }
}

/// The manifest of all files in and below a folder, in the order of their names; one that is there already is left out.
pub fn manifest_of(folder: &Path, say: Say) -> Result<Manifest, BaseError> {
    let mut names = Vec::new();
    list(folder, "", &mut names)?;
    names.sort();
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let path = folder.join(&name);
        let (sha256, bytes) = hash_file(&path, say).map_err(|error| BaseError::Unreadable { path, error })?;
        files.push(ManifestFile { name, sha256, bytes });
    }
    Ok(Manifest { files })
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), BaseError> {
    let unreadable = |error| BaseError::Unreadable {
        path: folder.to_owned(),
        error,
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        // What begins with a dot is of whoever keeps the folder.
        if entry.file_name().to_string_lossy().starts_with('.') || name == protocol::base_model::MANIFEST_FILE {
            continue;
        }
        if fs::metadata(&path).map_err(unreadable)?.is_dir() {
            list(&path, &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(_: &str) {}

    fn volume() -> (tempfile::TempDir, ModelHash) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("a.safetensors"), "weights").unwrap();
        fs::write(folder.path().join("sub/config.json"), "{}").unwrap();
        fs::write(folder.path().join(".hidden"), "x").unwrap();
        let text = serde_json::to_string(&manifest_of(folder.path(), quiet).unwrap()).unwrap();
        fs::write(folder.path().join("manifest.json"), &text).unwrap();
        fs::write(folder.path().join("other.json"), "{}").unwrap();
        (folder, named(Sha256::digest(text).into()))
    }

    #[test]
    fn a_folder_is_what_its_manifest_says_and_read_once() {
        let (folder, manifest) = volume();
        let empty = tempfile::tempdir().unwrap();
        let places = [empty.path(), folder.path()].map(|path| path.display().to_string());
        let base = Base::find(&places, manifest, None, quiet).unwrap();
        assert_eq!((base.report.files, base.report.bytes), (2, 9));
        let weights: Vec<_> = base.weights().collect();
        assert_eq!(weights, [folder.path().join("a.safetensors")]);

        // Changed behind the back of size and time: believed, because the check had seen it.
        let path = folder.path().join("a.safetensors");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "weightX").unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        assert!(Base::find(&places, manifest, Some(base.report.stamp), quiet).is_ok());
        // Without the check's word, or with another time, it is read.
        let wrong = |verified| Base::find(&places, manifest, verified, quiet).unwrap_err().to_string();
        let message = wrong(None);
        assert!(
            message.contains("a.safetensors hashes to ") && message.contains("its manifest says"),
            "{message}"
        );
        let later = time + std::time::Duration::from_secs(1);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert_eq!(wrong(Some(base.report.stamp)), message);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let (folder, manifest) = volume();
        let places = [folder.path().display().to_string()];
        let problem = || Base::find(&places, manifest, None, quiet).unwrap_err().to_string();
        fs::write(folder.path().join("a.safetensors"), "weight").unwrap();
        assert!(
            problem().ends_with("a.safetensors has 6 bytes, its manifest says 7"),
            "{}",
            problem()
        );
        fs::remove_file(folder.path().join("a.safetensors")).unwrap();
        assert!(problem().contains("a.safetensors: No such file"), "{}", problem());
        fs::write(folder.path().join("manifest.json"), "{ }").unwrap();
        assert!(problem().starts_with("no manifest with SHA-256"), "{}", problem());
        assert!(matches!(
            Base::find(&[], manifest, None, quiet),
            Err(BaseError::NoVolume(_))
        ));
    }

    #[test]
    fn only_a_volume_that_cannot_be_read_now_is_tried_again() {
        let unreadable = |error: io::Error| {
            let path = PathBuf::from("a.safetensors");
            BaseError::Unreadable { path, error }.is_passing()
        };
        assert!(unreadable(io::ErrorKind::TimedOut.into()));
        assert!(!unreadable(io::ErrorKind::NotFound.into()));
        assert!(!BaseError::NoVolume(ModelHash::ZERO).is_passing());
    }
}
