//! Something a person should know: a documented reason and a sentence that says what to do.

/// Shown as a condition on the FLClient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A constant of `crds::conditions::reason`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
