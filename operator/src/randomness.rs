//! Secret randomness as an argument.

use rand::TryRngCore;

/// Bytes nobody can guess. A simulation passes its own, so that a run can be repeated.
pub trait Randomness: Send + Sync + 'static {
    /// # Errors
    /// What the source says; nothing usable is in `bytes` then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), String>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), String> {
        rand::rngs::OsRng
            .try_fill_bytes(bytes)
            .map_err(|error| error.to_string())
    }
}
