//! Where things are: what `e2e/cluster/env` prints, and the programs of this checkout.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::shell::{build_dir, root};

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: eval \"$(e2e/cluster/env)\""))
}

/// The shared model store on this host.
pub fn store_dir() -> Result<PathBuf> {
    variable("FLA_STORE_DIR").map(PathBuf::from)
}

/// The shared model store on the node.
pub fn node_store_dir() -> Result<String> {
    variable("FLA_NODE_STORE_DIR")
}

/// The data sets on this host.
pub fn data_dir() -> Result<PathBuf> {
    variable("FLA_DATA_DIR").map(PathBuf::from)
}

/// The data sets on the node.
pub fn node_data_dir() -> Result<String> {
    variable("FLA_NODE_DATA_DIR")
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

/// A binary that `hack/images.sh` compiled, the same that is in the images.
pub fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("image").join(name)
}

/// The trainer's shared libraries.
pub fn libtorch() -> PathBuf {
    build_dir().join("libtorch/lib")
}
