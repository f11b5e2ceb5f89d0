//! Responses of all kinds of sources.

use std::error::Error;
use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::FetchFailure;
use super::policy::RefreshPolicy;

/// The capacity for a response of unknown length; most key sets fit, so that no copy of a key is left behind by growth.
const INITIAL_CAPACITY: usize = 16 << 10;

/// A successful response.
pub(super) enum Fetched {
    /// The version that the request named is still current.
    Unchanged {
        /// How long the file stays fresh.
        lifetime: Duration,
    },
    /// A complete file, whose bytes may be the known ones.
    New {
        /// The content.
        bytes: Zeroizing<Vec<u8>>,
        /// The validators for the next conditional request.
        version: Version,
        /// How long the file stays fresh.
        lifetime: Duration,
    },
}

/// Validators for conditional requests (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default)]
pub(super) struct Version {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// The body of a response, up to a maximum size.
pub(super) struct Body {
    bytes: Zeroizing<Vec<u8>>,
    max_bytes: usize,
}

impl Body {
    pub(super) fn new(policy: &RefreshPolicy) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(INITIAL_CAPACITY)), max_bytes: policy.max_bytes }
    }

    /// Appends `chunk`.
    ///
    /// # Errors
    /// Returns [`FetchFailure::TooLarge`] if the body exceeds its maximum size.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), FetchFailure> {
        if self.bytes.len() + chunk.len() > self.max_bytes {
            return Err(FetchFailure::TooLarge(self.max_bytes));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }
}

/// Returns the operating system error below `error`, such as "connection refused". It is safe to show, because it quotes
/// nothing.
pub(super) fn os_error(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.raw_os_error().is_some()
        {
            return Some(io.kind());
        }
        source = error.source();
    }
    None
}
