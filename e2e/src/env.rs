//! Where things are: what `e2e/cluster/env` prints, and the programs of this checkout.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::shell::{build_dir, root};

/// The data sets on this machine, a folder each, as `hack/data.py` makes them.
pub fn data_dir() -> PathBuf {
    build_dir().join("data")
}

/// Images are loaded into the node, or pulled from a registry, where the same tag gets new content.
pub fn pull_policy() -> &'static str {
    let pushed = std::env::var_os("E2E_REGISTRY").is_some_and(|registry| !registry.is_empty());
    if pushed { "Always" } else { "IfNotPresent" }
}

/// `fl-alliance/trainer:dev` or where it was pushed to.
pub fn image(name: &str) -> String {
    format!("{}:dev", image_repository(name))
}

/// The same without the tag.
pub fn image_repository(name: &str) -> String {
    let prefix = std::env::var("FLA_IMAGE_PREFIX").unwrap_or_else(|_| "fl-alliance".to_owned());
    format!("{prefix}/{name}")
}

/// The container of FLock's SDK by its digest, as `e2e/cluster/load` found it.
pub fn flock_sdk_image() -> Result<String> {
    std::env::var("FLA_FLOCK_SDK_IMAGE")
        .context("FLA_FLOCK_SDK_IMAGE is not set: run hack/images.sh --load, then eval \"$(e2e/cluster/env)\"")
}

/// A binary that `hack/images.sh` compiled, the same that is in the images.
pub fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("image").join(name)
}

/// The trainer's shared libraries.
pub fn libtorch() -> PathBuf {
    build_dir().join("libtorch/lib")
}
