//! What a file must be, and when and within which limits it is fetched.

use std::time::Duration;

use crate::code::ErrorCode;

/// A kind of file: how to request it, when it is valid, and how its failures are reported. Every kind is a `static`, which
/// its address identifies.
#[derive(Debug)]
pub struct FileKind {
    /// The `Accept` header of HTTP requests.
    pub accept: &'static str,
    /// Checks the bytes of a file. An error gives the expected and the found content, and must not quote the bytes.
    pub check: fn(&[u8]) -> Result<(), String>,
    /// The codes of its errors.
    pub codes: FailureCodes,
    /// What its errors advise.
    pub hints: FailureHints,
}

/// The error codes for each kind of failed fetch.
#[derive(Clone, Copy, Debug)]
pub struct FailureCodes {
    /// The check rejected the bytes.
    pub invalid: ErrorCode,
    /// The response took too long.
    pub timeout: ErrorCode,
    /// The response was too large.
    pub too_large: ErrorCode,
    /// The source could not be reached, or returned an error.
    pub unavailable: ErrorCode,
}

/// The advice for those failed fetches whose cause does not depend on the source alone.
#[derive(Clone, Copy, Debug)]
pub struct FailureHints {
    /// The response took too long.
    pub timeout: &'static str,
    /// The response was too large.
    pub too_large: &'static str,
}

/// Limits for the time between two fetches, and for each response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// The shortest time between two fetches, even if the source allows a shorter one.
    pub min_interval: Duration,
    /// The time between two fetches if the source specifies none; also the longest delay after failures.
    pub default_interval: Duration,
    /// The longest time between two fetches, even if the source allows a longer one.
    pub max_interval: Duration,
    /// The time limit for a complete response.
    pub timeout: Duration,
    /// The size limit for a response.
    pub max_bytes: usize,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            min_interval: Duration::from_secs(10),
            default_interval: Duration::from_secs(300),
            max_interval: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
            max_bytes: 1 << 20,
        }
    }
}
