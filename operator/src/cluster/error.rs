//! What can go wrong between us and the API server.

/// Each variant is one thing a controller treats differently.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    #[error("not permitted: {0}; check the operator's Role in that namespace")]
    Forbidden(String),
    #[error("the API server refuses the object: {0}")]
    Invalid(String),
    #[error("the object changed meanwhile: {0}")]
    Conflict(String),
    #[error("the namespace is going away: {0}")]
    Terminating(String),
    #[error("the API server answered: {0}")]
    Other(String),
}

impl ClusterError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Terminating(_) => "terminating",
            Self::Other(_) => "other",
        }
    }
}

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let message = status.message.clone();
                match status.code {
                    403 if message.contains("being terminated") => Self::Terminating(message),
                    401 | 403 => Self::Forbidden(message),
                    400 | 422 => Self::Invalid(message),
                    409 => Self::Conflict(message),
                    _ => Self::Other(message),
                }
            }
            kube::Error::HyperError(_) | kube::Error::Service(_) => Self::Unreachable(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}
