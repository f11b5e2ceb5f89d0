//! One fetch of one source, within the time and size limits.

use std::error::Error;
use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::FetchFailure;
use super::http::HttpClients;
use super::source::Location;
#[cfg(feature = "object-stores")]
use super::stores::ObjectStores;
use super::{FileKind, RefreshPolicy, RemoteSource};

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

/// Clients for every kind of source.
pub(super) struct Clients {
    http: HttpClients,
    #[cfg(feature = "object-stores")]
    stores: ObjectStores,
}

impl Clients {
    #[cfg_attr(not(feature = "object-stores"), expect(unused_variables, reason = "only object stores have settings"))]
    pub(super) fn new(environment: &[(String, String)]) -> Self {
        Self {
            http: HttpClients::default(),
            #[cfg(feature = "object-stores")]
            stores: ObjectStores::new(environment),
        }
    }

    /// Fetches `source`, conditionally if `known` is the version of the current bytes.
    ///
    /// # Errors
    /// Returns [`FetchFailure`] if no complete response arrives within the limits of `policy`, or if the check of `kind`
    /// rejects it.
    pub(super) async fn fetch(
        &self,
        source: &RemoteSource,
        kind: &FileKind,
        known: Option<&Version>,
        policy: &RefreshPolicy,
    ) -> Result<Fetched, FetchFailure> {
        let response = async {
            match source.location() {
                Location::Http(url) => self.http.fetch(url, kind.accept, known, policy).await,
                #[cfg(feature = "object-stores")]
                Location::Object(object) => self.stores.fetch(object, known, policy).await,
            }
        };
        let fetched = tokio::time::timeout(policy.timeout, response)
            .await
            .unwrap_or(Err(FetchFailure::Timeout(policy.timeout)))?;
        if let Fetched::New { bytes, .. } = &fetched {
            (kind.check)(bytes).map_err(FetchFailure::Invalid)?;
        }
        Ok(fetched)
    }
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
