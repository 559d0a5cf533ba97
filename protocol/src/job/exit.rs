//! How a trainer process ends.

/// Exit codes of the trainer. Those of [`ExitCode::FINAL`] fail the Job at once, [`ExitCode::Stopped`] does not count as
/// a failure (podFailurePolicy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    Ok = 0,
    /// Worth another try: network, gateway not reachable.
    Transient = 1,
    /// The data cannot be read as the format says, or is empty.
    Data = 64,
    /// The definition cannot be run.
    Definition = 65,
    /// Out of memory (also what a killed process looks like: 137).
    Memory = 66,
    /// The input document is not what this trainer understands.
    Input = 67,
    /// The requested device is not there.
    Device = 68,
    /// The gateway refused this Job (token, different second write).
    Refused = 69,
    /// Stopped by SIGTERM, which comes from outside: an eviction, a node that is drained. 128 + 15, as shells say it.
    Stopped = 143,
}

impl ExitCode {
    pub const FINAL: [i32; 6] = [64, 65, 66, 67, 68, 69];

    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Transient,
            64 => Self::Data,
            65 => Self::Definition,
            66 | 137 => Self::Memory,
            67 => Self::Input,
            68 => Self::Device,
            69 => Self::Refused,
            143 => Self::Stopped,
            _ => return None,
        })
    }
}
