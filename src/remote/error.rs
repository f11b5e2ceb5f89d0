//! Errors of fetches. Their messages quote nothing that a server sent, because it may be part of a private key.

use std::time::Duration;

use super::policy::FileKind;
use super::source::RemoteSource;
use crate::code::ErrorCode;

/// A failed fetch of one source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{remote}: {}", self.cause())]
pub struct FetchError {
    remote: RemoteSource,
    code: ErrorCode,
    failure: FetchFailure,
    hint: Option<&'static str>,
}

impl FetchError {
    pub(super) fn new(remote: RemoteSource, kind: &FileKind, failure: FetchFailure) -> Self {
        let (code, hint) = match failure {
            FetchFailure::Invalid(_) => (kind.codes.invalid, None),
            FetchFailure::Timeout(_) => (kind.codes.timeout, Some(kind.hints.timeout)),
            FetchFailure::TooLarge(_) => (kind.codes.too_large, Some(kind.hints.too_large)),
            FetchFailure::Unavailable { .. } => (kind.codes.unavailable, None),
        };
        Self { remote, code, failure, hint }
    }

    /// Returns the source that was fetched.
    pub fn remote(&self) -> &RemoteSource {
        &self.remote
    }

    /// Returns the error code, which the kind of the file defines.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the delay before the next fetch that the source asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.failure.retry_after()
    }

    /// Returns the cause and the advice, without the source.
    pub(crate) fn cause(&self) -> String {
        match self.hint {
            Some(hint) => format!("{}; {hint}", self.failure),
            None => self.failure.to_string(),
        }
    }
}

/// The cause of a failed fetch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchFailure {
    /// The check of the file rejected the bytes, for this reason.
    #[error("{0}")]
    Invalid(String),
    /// The response was not complete after this time.
    #[error("expected a complete response within {0:?}, found none")]
    Timeout(Duration),
    /// The response has more than this many bytes.
    #[error("expected at most {0} bytes, found more")]
    TooLarge(usize),
    /// The source cannot be reached, or returned something other than the file.
    #[error("{message}")]
    Unavailable {
        /// The expected and the actual result.
        message: String,
        /// The delay before the next fetch that the source asks for.
        retry_after: Option<Duration>,
    },
}

impl FetchFailure {
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after: None }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Invalid(_) | Self::Timeout(_) | Self::TooLarge(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::remote::{FailureCodes, FailureHints};

    #[test]
    fn fetch_error_shows_its_cause_once() {
        let code = ErrorCode::Internal;
        let codes = FailureCodes { invalid: code, timeout: code, too_large: code, unavailable: code };
        let hints = FailureHints { timeout: "wait", too_large: "split it" };
        let kind = FileKind { accept: "", check: |_| Ok(()), codes, hints };
        let remote = RemoteSource::parse("https://keys.example/jwks.json").unwrap();
        let error = FetchError::new(remote.clone(), &kind, FetchFailure::unavailable("found 404"));
        assert!(error.to_string().ends_with("found 404") && error.source().is_none(), "{error}");
        let error = FetchError::new(remote, &kind, FetchFailure::TooLarge(9));
        assert_eq!(error.cause(), "expected at most 9 bytes, found more; split it");
    }
}
