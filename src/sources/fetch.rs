//! One question to one source.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::HttpErrorKind;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectStore, RetryConfig};
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderName};
use zeroize::Zeroizing;

use super::schedule::Freshness;
use super::{RefreshPolicy, RemoteSource, Scheme};
use crate::code::ErrorCode;

/// An answer.
pub(super) enum Fetched {
    /// What is known already.
    Unchanged {
        /// For how long it need not be asked for again.
        lifetime: Duration,
    },
    /// Something, which may be what is known.
    New {
        /// What it is.
        bytes: Zeroizing<Vec<u8>>,
        /// What to ask with next time.
        version: Version,
        /// For how long it need not be asked for again.
        lifetime: Duration,
    },
}

/// What tells a source which state of it is known (RFC 9110 section 8.8).
#[derive(Clone, Debug, Default)]
pub(super) struct Version {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// No answer that counts. The message says what was expected and found, and quotes nothing of an answer.
pub(super) struct Failure {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn of(message: impl Into<String>) -> Self {
        Self::coded(ErrorCode::KeySourceUnavailable, message)
    }

    pub(super) fn coded(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }
}

/// What every question needs.
#[derive(Default)]
pub(super) struct Clients {
    /// Speaks TLS by the system's root certificates. Made once it is needed, since a service whose keys are files, or
    /// come over plain HTTP, may run where there are none.
    https: OnceLock<reqwest::Client>,
    http: OnceLock<reqwest::Client>,
    environment: Vec<(String, String)>,
}

impl Clients {
    pub(super) fn new(environment: &[(String, String)]) -> Self {
        let is_theirs = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
        let environment = environment.iter().filter(|(name, _)| is_theirs(name)).cloned().collect();
        Self { environment, ..Self::default() }
    }

    fn for_url(&self, url: &str) -> Result<&reqwest::Client, Failure> {
        let is_plain = url.starts_with("http://");
        let slot = if is_plain { &self.http } else { &self.https };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("claimsmith/", env!("CARGO_PKG_VERSION")));
        if is_plain {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|_| {
            Failure::of(
                "expected root certificates of the system, found none that can be used; name them in SSL_CERT_FILE",
            )
        })?;
        Ok(slot.get_or_init(|| client))
    }
}

/// Asks within bounds.
pub(super) struct Fetcher<'c> {
    pub(super) clients: &'c Clients,
    pub(super) policy: RefreshPolicy,
}

impl Fetcher<'_> {
    /// Asks `source`, which is known in the state of `known`. Takes as long as the policy allows, and no longer.
    pub(super) async fn fetch(&self, source: &RemoteSource, known: Option<&Version>) -> Result<Fetched, Failure> {
        let answer = async {
            match source.scheme {
                Scheme::Http => self.over_http(&source.address, known).await,
                Scheme::Azblob | Scheme::Gs | Scheme::S3 => self.over_store(source, known).await,
            }
        };
        tokio::time::timeout(self.policy.timeout, answer).await.unwrap_or_else(|_| Err(self.too_slow()))
    }

    fn too_slow(&self) -> Failure {
        let message = format!("expected the whole answer within {:?}, found none by then", self.policy.timeout);
        Failure::coded(ErrorCode::KeySourceTimeout, message)
    }

    fn too_large(&self) -> Failure {
        let message = format!("expected at most {} bytes, found more", self.policy.bytes);
        Failure::coded(ErrorCode::KeySourceTooLarge, message)
    }

    async fn over_http(&self, url: &str, known: Option<&Version>) -> Result<Fetched, Failure> {
        let mut request =
            self.clients.for_url(url)?.get(url).header(header::ACCEPT, "application/jwk-set+json, application/json");
        if let Some(etag) = known.and_then(|known| known.etag.as_ref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        } else if let Some(time) = known.and_then(|known| known.last_modified.as_ref()) {
            request = request.header(header::IF_MODIFIED_SINCE, time);
        }
        let mut answer = request.send().await.map_err(|error| self.broken(&error))?;
        let headers = answer.headers().clone();
        let lifetime = lifetime(&headers, &self.policy);
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Fetched::Unchanged { lifetime }),
            status if status.is_redirection() => {
                let message = format!("expected 200, found {status}: redirects are not followed; name the final URL");
                return Err(Failure::of(message));
            }
            status => {
                let retry_after = text(&headers, &header::RETRY_AFTER)
                    .and_then(|seconds| seconds.trim().parse().ok())
                    .map(Duration::from_secs);
                return Err(Failure { retry_after, ..Failure::of(format!("expected 200, found {status}")) });
            }
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.broken(&error))? {
            if bytes.len() + chunk.len() > self.policy.bytes {
                return Err(self.too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        let version = Version {
            etag: text(&headers, &header::ETAG).map(str::to_owned),
            last_modified: text(&headers, &header::LAST_MODIFIED).map(str::to_owned),
        };
        Ok(Fetched::New { bytes, version, lifetime })
    }

    /// The kind of a failure of the HTTP client; its own text would show the URL with its query.
    fn broken(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            return self.too_slow();
        }
        Failure::of(match (error.is_connect(), os_error(error)) {
            (true, Some(reason)) => format!("expected a connection, found: {reason}"),
            (true, None) => {
                "expected a connection, found none: is the name right, and the certificate trusted?".to_owned()
            }
            (false, Some(reason)) => format!("expected a whole answer, found: {reason}"),
            (false, None) => "expected a whole answer, found one that breaks off or is no HTTP".to_owned(),
        })
    }

    async fn over_store(&self, source: &RemoteSource, known: Option<&Version>) -> Result<Fetched, Failure> {
        let (bucket, key) = source.address.split_once('/').unwrap_or_default();
        let store = self.store(source.scheme, bucket).map_err(|error| self.refused(&error))?;
        let path = Path::parse(key).map_err(|_| Failure::of("expected the name of an object, found another text"))?;
        let if_none_match = known.and_then(|known| known.etag.clone());
        let options = GetOptions { if_none_match, ..GetOptions::default() };
        let lifetime = self.policy.default;
        let answer = match store.get_opts(&path, options).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotModified { .. }) => return Ok(Fetched::Unchanged { lifetime }),
            Err(error) => return Err(self.refused(&error)),
        };
        let version = Version { etag: answer.meta.e_tag.clone(), last_modified: None };
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
        let mut chunks = answer.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.refused(&error))?;
            if bytes.len() + chunk.len() > self.policy.bytes {
                return Err(self.too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched::New { bytes, version, lifetime })
    }

    fn store(&self, scheme: Scheme, bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
        let retry = RetryConfig { max_retries: 0, retry_timeout: self.policy.timeout, ..RetryConfig::default() };
        let client = ClientOptions::new().with_timeout(self.policy.timeout).with_connect_timeout(self.policy.timeout);
        let settings = |prefix: &'static str| {
            self.clients
                .environment
                .iter()
                .filter(move |(name, _)| name.starts_with(prefix))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        };
        Ok(match scheme {
            Scheme::S3 | Scheme::Http => {
                let mut builder =
                    AmazonS3Builder::new().with_client_options(client).with_retry(retry).with_bucket_name(bucket);
                for (name, value) in settings("AWS_") {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                Arc::new(builder.build()?)
            }
            Scheme::Gs => {
                let mut builder = GoogleCloudStorageBuilder::new()
                    .with_client_options(client)
                    .with_retry(retry)
                    .with_bucket_name(bucket);
                for (name, value) in settings("GOOGLE_") {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                Arc::new(builder.build()?)
            }
            Scheme::Azblob => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_client_options(client)
                    .with_retry(retry)
                    .with_container_name(bucket);
                for (name, value) in settings("AZURE_") {
                    // The names that Ory's services read, beside the store's own.
                    let name = match name.as_str() {
                        "azure_storage_account" => "azure_storage_account_name",
                        "azure_storage_key" => "azure_storage_account_key",
                        name => name,
                    };
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                Arc::new(builder.build()?)
            }
        })
    }

    /// The kind of a failure of an object store; its own text would show what the store answered, which may be what was
    /// signed.
    fn refused(&self, error: &object_store::Error) -> Failure {
        Failure::of(match error {
            object_store::Error::NotFound { .. } => "expected the object, found no such one, or no such bucket".to_owned(),
            object_store::Error::PermissionDenied { .. } => {
                "expected credentials that may read the object, found ones that may not".to_owned()
            }
            object_store::Error::Unauthenticated { .. } => {
                "expected valid credentials, found none or others; they come from the store's own environment variables"
                    .to_owned()
            }
            error => match http_kind(error) {
                Some(HttpErrorKind::Timeout) => return self.too_slow(),
                Some(HttpErrorKind::Connect) => match os_error(error) {
                    Some(reason) => format!("expected a connection to the store, found: {reason}"),
                    None => "expected a connection to the store, found none".to_owned(),
                },
                Some(_) => "expected a whole answer of the store, found one that breaks off".to_owned(),
                None => "expected an answer of the store, found that it refuses, or that its environment variables (region, \
                         account, credentials, endpoint) do not fit"
                    .to_owned(),
            },
        })
    }
}

fn lifetime(headers: &HeaderMap, policy: &RefreshPolicy) -> Duration {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let cache_control = lines.collect::<Vec<_>>().join(",");
    Freshness {
        cache_control: Some(&cache_control),
        age: text(headers, &header::AGE),
        expires: text(headers, &header::EXPIRES),
        date: text(headers, &header::DATE),
    }
    .lifetime(policy)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// What the operating system says, somewhere below `error`: words such as "connection refused", which quote nothing.
fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.raw_os_error().is_some()
        {
            return Some(io.kind().to_string());
        }
        source = error.source();
    }
    None
}

fn http_kind(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(http) = error.downcast_ref::<object_store::client::HttpError>() {
            return Some(http.kind());
        }
        source = error.source();
    }
    None
}
