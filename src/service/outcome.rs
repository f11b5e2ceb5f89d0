//! The result of a request for a token, as plain data that every protocol can translate.

use std::fmt;
use std::sync::Arc;

use crate::code::ErrorCode;
use crate::mint::{IssueError, IssuedToken};
use crate::session::SessionError;
use crate::sources::Rejection;
use crate::time::Timestamp;

use super::peer::{CallerName, Requester};

/// A token was issued.
#[derive(Clone)]
pub struct Outcome {
    /// The token.
    pub token: Arc<IssuedToken>,
    /// How the cache was used.
    pub cache: CacheUse,
    /// The time of the request.
    pub at: Timestamp,
    /// The caller; `None` without configured callers.
    pub(super) caller: Option<CallerName>,
    /// `sub`, if the audit log records it.
    pub(super) subject: Option<String>,
}

impl Outcome {
    /// Returns the seconds until the token expires.
    pub fn expires_in(&self) -> i64 {
        self.token.expires_at.seconds_since(self.at)
    }
}

impl fmt::Debug for Outcome {
    /// Shows no value of the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").field("token", &self.token).field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// How the token cache was used for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// The token was signed for an earlier request, or for one that came at the same time.
    Hit,
    /// The token was signed for this request and cached.
    Miss,
    /// The token was signed for this request alone.
    Off,
}

/// No token was issued. Names members, paths and limits, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// What failed and what to do about it; empty for a bug in claimsmith.
    pub detail: String,
    /// Why the credential of a request behind a proxy was rejected. For the log only.
    pub(super) rejection: Option<Rejection>,
    /// Who was refused.
    pub(super) requester: Requester,
}

impl Refusal {
    /// Returns a refusal with `code`.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), rejection: None, requester: Requester::default() }
    }

    /// Returns the same refusal as one of `requester`.
    pub(super) fn of(self, requester: Requester) -> Self {
        Self { requester, ..self }
    }

    /// Returns the refusal of a profile that is not configured.
    pub fn unknown_profile() -> Self {
        let detail = "expected the name of a configured profile in the path, found a name that is not configured";
        Self::new(ErrorCode::ProfileUnknown, detail)
    }

    /// Returns the refusal for a bug in claimsmith, of which only the log has details.
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "")
    }
}

impl From<IssueError> for Refusal {
    fn from(error: IssueError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
