//! Fetches from object stores: S3, Google Cloud Storage, Azure Blob Storage. Their settings and credentials come from the
//! environment variables that each store's own tools read.
//!
//! The library reads files that these variables name, such as `AWS_WEB_IDENTITY_TOKEN_FILE`, so each fetch has its own thread.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectStore, RetryConfig};

use super::blocking::Turns;
use super::error::FetchFailure;
use super::local_stores::LocalWithoutProxy;
use super::object::{ObjectLocation, Store};
use super::policy::RefreshPolicy;
use super::response::{Body, Fetched, Version, os_error};

/// The settings of all object stores.
pub(super) struct ObjectStores {
    settings: Settings,
    /// The fetches of each object, so that at most one of them hangs.
    turns: Mutex<BTreeMap<ObjectLocation, Turns>>,
}

/// The environment variables of all object stores.
#[derive(Clone)]
struct Settings(Arc<[(String, String)]>);

impl ObjectStores {
    pub(super) fn new(environment: &[(String, String)]) -> Self {
        let is_setting = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
        let environment = environment.iter().filter(|(name, _)| is_setting(name)).cloned().collect();
        Self { settings: Settings(environment), turns: Mutex::default() }
    }

    /// Fetches the object at `location`, conditionally if `known` is the version of the current bytes.
    ///
    /// # Errors
    /// Returns [`FetchFailure`] if the store does not return the complete object.
    pub(super) async fn fetch(
        &self,
        location: &ObjectLocation,
        known: Option<&Version>,
        policy: &RefreshPolicy,
    ) -> Result<Fetched, FetchFailure> {
        let turns =
            self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(location.clone()).or_default().clone();
        let (settings, location, known, policy) = (self.settings.clone(), location.clone(), known.cloned(), *policy);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            let fetch = settings.fetch(&location, known.as_ref(), &policy);
            Some(runtime.block_on(async {
                let fetched = tokio::time::timeout(policy.timeout, fetch).await;
                fetched.unwrap_or(Err(FetchFailure::Timeout(policy.timeout)))
            }))
        };
        let failed = || Err(FetchFailure::unavailable("expected a thread for the fetch, found none"));
        turns.run(work).await.flatten().unwrap_or_else(failed)
    }
}

impl Settings {
    async fn fetch(
        &self,
        location: &ObjectLocation,
        known: Option<&Version>,
        policy: &RefreshPolicy,
    ) -> Result<Fetched, FetchFailure> {
        let store = self.connect(location, policy).map_err(|error| failure(&error, policy))?;
        let path = Path::parse(&location.name)
            .map_err(|_| FetchFailure::unavailable("expected an object name, found empty or relative path segments"))?;
        let if_none_match = known.and_then(|known| known.etag.clone());
        let options = GetOptions { if_none_match, ..GetOptions::default() };
        let lifetime = policy.default_interval;
        let response = match store.get_opts(&path, options).await {
            Ok(response) => response,
            Err(object_store::Error::NotModified { .. }) => return Ok(Fetched::Unchanged { lifetime }),
            Err(error) => return Err(failure(&error, policy)),
        };
        let version = Version { etag: response.meta.e_tag.clone(), last_modified: None };
        let mut body = Body::new(policy);
        let mut chunks = response.into_stream();
        while let Some(chunk) = chunks.next().await {
            body.push(&chunk.map_err(|error| failure(&error, policy))?)?;
        }
        Ok(Fetched::New { bytes: body.into_bytes(), version, lifetime })
    }

    fn connect(&self, location: &ObjectLocation, policy: &RefreshPolicy) -> object_store::Result<Arc<dyn ObjectStore>> {
        let retry = RetryConfig { max_retries: 0, retry_timeout: policy.timeout, ..RetryConfig::default() };
        let client = ClientOptions::new().with_timeout(policy.timeout).with_connect_timeout(policy.timeout);
        let bucket = &location.bucket;
        let connector = LocalWithoutProxy { timeout: policy.timeout };
        Ok(match location.store {
            Store::Azblob => {
                let builder = MicrosoftAzureBuilder::new().with_http_connector(connector);
                let builder = builder.with_client_options(client).with_retry(retry).with_container_name(bucket);
                let settings = self.with_prefix("AZURE_");
                Arc::new(settings.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
            }
            Store::Gs => {
                let builder = GoogleCloudStorageBuilder::new().with_http_connector(connector);
                let builder = builder.with_client_options(client).with_retry(retry).with_bucket_name(bucket);
                let settings = self.with_prefix("GOOGLE_");
                Arc::new(settings.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
            }
            Store::S3 => {
                let builder = AmazonS3Builder::new().with_http_connector(connector);
                let builder = builder.with_client_options(client).with_retry(retry).with_bucket_name(bucket);
                let settings = self.with_prefix("AWS_");
                Arc::new(settings.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
            }
        })
    }

    /// Returns the variables with `prefix` that are settings of a store.
    fn with_prefix<K: FromStr>(&self, prefix: &'static str) -> impl Iterator<Item = (K, String)> {
        let variables = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        variables.filter_map(|(name, value)| {
            let name = match name.as_str() {
                // Ory's services read these two names, the store has others for them.
                "AZURE_STORAGE_ACCOUNT" => "azure_storage_account_name".to_owned(),
                "AZURE_STORAGE_KEY" => "azure_storage_account_key".to_owned(),
                name => name.to_ascii_lowercase(),
            };
            Some((name.parse().ok()?, value.clone()))
        })
    }
}

/// Describes an error of an object store, whose own text would show what the store returned.
fn failure(error: &object_store::Error, policy: &RefreshPolicy) -> FetchFailure {
    FetchFailure::unavailable(match error {
        object_store::Error::NotFound { .. } => {
            "expected the object, found no such object or bucket; check the URL".to_owned()
        }
        object_store::Error::PermissionDenied { .. } => {
            "expected credentials that can read the object, found credentials without read access; grant read access"
                .to_owned()
        }
        object_store::Error::Unauthenticated { .. } => {
            "expected valid credentials, found none or invalid ones; set the environment variables of the store"
                .to_owned()
        }
        error => match http_kind(error) {
            Some(HttpErrorKind::Timeout) => return FetchFailure::Timeout(policy.timeout),
            Some(HttpErrorKind::Connect) => match os_error(error) {
                Some(reason) => format!("expected a connection to the store, found: {reason}"),
                None => {
                    "expected a connection to the store, found none; check the host name and the server certificate"
                        .to_owned()
                }
            },
            Some(_) => "expected a complete response from the store, found a truncated one".to_owned(),
            None => "expected the object, found an error of the store; check its environment variables (region, \
                     account, credentials, endpoint)"
                .to_owned(),
        },
    })
}

fn http_kind(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        source = error.source();
    }
    None
}
