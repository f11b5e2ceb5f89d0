//! One fetch of one source, within the time and size limits.

use super::error::FetchFailure;
use super::http::HttpClients;
use super::policy::{FileKind, RefreshPolicy};
use super::response::{Fetched, Version};
use super::source::{Location, RemoteSource};
#[cfg(feature = "object-stores")]
use super::stores::ObjectStores;

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
