//! What the gateway refuses or fails at, and how it says so over HTTP.

use std::{error::Error as _, io};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::types::ModelHash;

use super::token::TokenError;

/// One reason per thing a caller would do something different about.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(transparent)]
    Unauthorized(#[from] TokenError),
    #[error("the token does not grant this: {0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    BadRequest(String),
    #[error("Content-Length is required")]
    LengthRequired,
    #[error("{length} bytes are more than the {limit} allowed here")]
    TooLarge { length: u64, limit: u64 },
    #[error("the bytes sent hash to {actual}, declared was {declared}")]
    WrongBytes { declared: ModelHash, actual: ModelHash },
    #[error("a result is one line of JSON, of at most {} bytes", protocol::job::MAX_RESULT_BYTES)]
    BadResult,
    #[error("this Job has written model {existing} already; a Job writes one model")]
    OtherModel { existing: ModelHash },
    #[error("this Job has written another result already; a Job writes one result")]
    OtherResult,
    #[error("this Job has handed in its result; there is nothing to go on with")]
    Over,
    #[error("a Job keeps a checkpoint every {0} s at most")]
    TooSoon(u64),
    #[error("{0}")]
    NotFound(&'static str),
    #[error("the sender stopped before the declared length, or sent nothing for too long")]
    Incomplete,
    #[error("too many uploads at once; try again in a few seconds")]
    Busy,
    #[error("no space left on the volume of the gateway or of the store")]
    Full,
    #[error("the bytes at rest of {0} are not what their name says")]
    Corrupt(ModelHash),
    #[error("the store cannot be used: {0}")]
    Store(String),
    #[error("the staging volume cannot be used: {0}")]
    Staging(String),
    #[error("the gateway cannot be set up: {0}")]
    Setup(String),
}

impl GatewayError {
    /// Stable, for metrics; also the `error` of an answer.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unauthorized(token) => token.category(),
            Self::Forbidden(_) => "NotGranted",
            Self::BadRequest(_) => "BadRequest",
            Self::LengthRequired => "LengthRequired",
            Self::TooLarge { .. } => "TooLarge",
            Self::WrongBytes { .. } => "WrongBytes",
            Self::BadResult => "BadResult",
            Self::OtherModel { .. } => "OtherModel",
            Self::OtherResult => "OtherResult",
            Self::Over => "ResultThere",
            Self::TooSoon(_) => "TooSoon",
            Self::NotFound(_) => "NotFound",
            Self::Incomplete => "Incomplete",
            Self::Busy => "Busy",
            Self::Full => "DiskFull",
            Self::Corrupt(_) => "Corrupt",
            Self::Store(_) => "StoreUnavailable",
            Self::Staging(_) => "StagingUnavailable",
            Self::Setup(_) => "Setup",
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongBytes { .. } | Self::BadResult => StatusCode::UNPROCESSABLE_ENTITY,
            Self::OtherModel { .. } | Self::OtherResult | Self::Over => StatusCode::CONFLICT,
            Self::TooSoon(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Corrupt(_) | Self::Store(_) | Self::Staging(_) | Self::Setup(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// An IO error of the staging volume.
    pub(super) fn staging(error: io::Error) -> Self {
        if is_full(&error) {
            Self::Full
        } else {
            Self::Staging(error.to_string())
        }
    }

    /// An IO error of the store's own directory.
    pub(super) fn store_io(error: io::Error) -> Self {
        if is_full(&error) {
            Self::Full
        } else {
            Self::Store(error.to_string())
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl From<object_store::Error> for GatewayError {
    fn from(error: object_store::Error) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if inner.downcast_ref::<io::Error>().is_some_and(is_full) {
                return Self::Full;
            }
            cause = inner.source();
        }
        Self::Store(error.to_string())
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        // Paths and system errors are for the log, not for a caller.
        let message = match &self {
            Self::Store(_) => "the store cannot be used at present".to_owned(),
            Self::Staging(_) | Self::Setup(_) => "the gateway's volume cannot be used at present".to_owned(),
            other => other.to_string(),
        };
        let body = Json(serde_json::json!({ "error": self.category(), "message": message }));
        let mut response = (self.status(), body).into_response();
        match &self {
            Self::Unauthorized(_) => {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Busy => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
            .extensions_mut()
            .insert(Refusal(self.category(), self.to_string()));
        response
    }
}

/// Travels with a refusing response to the layer that logs and counts: category and full message.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) &'static str, pub(super) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_wherever_it_happens() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(GatewayError::staging(full()).status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(
            GatewayError::store_io(full()).status(),
            StatusCode::INSUFFICIENT_STORAGE
        );
        let wrapped = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(full()),
        };
        assert_eq!(GatewayError::from(wrapped).status(), StatusCode::INSUFFICIENT_STORAGE);
        let other = object_store::Error::Generic {
            store: "x",
            source: "else".into(),
        };
        assert_eq!(GatewayError::from(other).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
