//! Remote files: the last good bytes of each URL, over HTTP, S3, Google Cloud Storage or Azure Blob Storage.
//!
//! [`RemoteFiles`] replaces the bytes of a file only with bytes that pass the check of its [`FileKind`]. A source that fails,
//! or returns anything else, changes only its [`SourceStatus`]. This module does not know what the files contain. It never
//! logs, sleeps or reads a clock: the caller decides when to refresh, and passes the time and a source of randomness.

mod blocking;
mod client;
mod error;
mod fetch;
mod http;
mod invalid;
#[cfg(feature = "object-stores")]
mod local_stores;
#[cfg(feature = "object-stores")]
mod object;
mod policy;
mod proxy;
mod response;
mod schedule;
mod source;
#[cfg(feature = "object-stores")]
mod stores;

pub(crate) use blocking::Turns;
pub(crate) use client::{built, built_now, http_client};
pub use error::FetchError;
pub use invalid::InvalidSource;
pub use policy::{FailureCodes, FailureHints, FileKind, RefreshPolicy};
pub(crate) use proxy::plain_http_proxy;
pub use source::RemoteSource;
pub(crate) use source::{distinct_names, without_secrets};

use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use fetch::Clients;
use response::{Fetched, Version};

/// Files to track, each with its kind. A URL can be wanted as one kind only.
pub type WantedFiles = BTreeMap<RemoteSource, &'static FileKind>;

/// The state of one source.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// The source.
    pub source: RemoteSource,
    /// The time since it last returned or confirmed a valid file; `None` if it never did.
    pub age: Option<Duration>,
    /// The error of the last fetch, if that failed.
    pub error: Option<FetchError>,
}

/// The last good bytes of all tracked files.
pub struct RemoteFiles {
    clients: Clients,
    policy: Mutex<RefreshPolicy>,
    /// Failures since the last [`RemoteFiles::take_failures`].
    failures: Mutex<Vec<FetchError>>,
    tracked: Mutex<BTreeMap<RemoteSource, TrackedFile>>,
}

/// The state of one tracked file.
struct TrackedFile {
    kind: &'static FileKind,
    last_good: Option<LastGood>,
    error: Option<FetchError>,
    /// The number of failures since the last successful fetch.
    failures: u32,
    /// The time of the next fetch; `None` means now.
    due: Option<Instant>,
}

struct LastGood {
    bytes: Arc<Zeroizing<Vec<u8>>>,
    version: Version,
    confirmed: Instant,
}

impl RemoteFiles {
    /// Returns an instance that tracks no files yet. Object stores read their own variables from `environment` (`AWS_…`,
    /// `GOOGLE_…`, `AZURE_…`); all others are ignored.
    pub fn new(environment: &[(String, String)], policy: RefreshPolicy) -> Self {
        let clients = Clients::new(environment);
        Self { clients, policy: Mutex::new(policy), failures: Mutex::default(), tracked: Mutex::default() }
    }

    /// Sets the time and size limits for responses to later fetches.
    pub(crate) fn set_limits(&self, timeout: Duration, max_bytes: usize) {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        (policy.timeout, policy.max_bytes) = (timeout, max_bytes);
    }

    fn policy(&self) -> RefreshPolicy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes and returns all failures since the last call.
    pub(crate) fn take_failures(&self) -> Vec<FetchError> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tracks `wanted` and forgets all other files. Fetches the files that are due and have no good bytes yet.
    ///
    /// # Errors
    /// Returns the error of every file without good bytes. Those files stay tracked, and later calls fetch them again once
    /// they are due.
    pub async fn track_and_fetch(&self, wanted: &WantedFiles, now: Instant) -> Result<(), Vec<FetchError>> {
        let missing: Vec<RemoteSource> = {
            let mut tracked = self.tracked();
            // Bytes that passed the check of another kind are not known to be good.
            tracked.retain(|source, file| wanted.get(source).is_some_and(|kind| ptr::eq(*kind, file.kind)));
            for (source, kind) in wanted {
                tracked.entry(source.clone()).or_insert_with(|| TrackedFile::new(kind));
            }
            let is_missing = |file: &TrackedFile| file.last_good.is_none() && file.is_due(now);
            tracked.iter().filter(|(_, file)| is_missing(file)).map(|(source, _)| source.clone()).collect()
        };
        self.fetch(missing, now, &|| 0.0).await;
        let tracked = self.tracked();
        let without_bytes = tracked.values().filter(|file| file.last_good.is_none());
        let errors: Vec<FetchError> = without_bytes.filter_map(|file| file.error.clone()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Returns the last good bytes of `source`; `None` if it is not tracked or never returned a valid file.
    pub fn current(&self, source: &RemoteSource) -> Option<Arc<Zeroizing<Vec<u8>>>> {
        self.tracked().get(source)?.last_good.as_ref().map(|good| Arc::clone(&good.bytes))
    }

    /// Fetches every file that is due at `now`. Returns `true` if the bytes of any file changed.
    ///
    /// `chance` returns random numbers between 0 and 1, which spread the fetches of a fleet over time.
    pub async fn refresh(&self, now: Instant, chance: &(dyn Fn() -> f64 + Sync)) -> bool {
        let due =
            self.tracked().iter().filter(|(_, file)| file.is_due(now)).map(|(source, _)| source.clone()).collect();
        self.fetch(due, now, chance).await
    }

    /// Makes every file due immediately.
    pub fn mark_all_due(&self) {
        self.tracked().values_mut().for_each(|file| file.due = None);
    }

    /// Returns the time of the next fetch; `None` if no file is tracked.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.tracked().values().map(|file| file.due.unwrap_or(now)).min()
    }

    /// Returns the status of every source at `now`.
    pub fn status(&self, now: Instant) -> Vec<SourceStatus> {
        let status = |(source, file): (&RemoteSource, &TrackedFile)| SourceStatus {
            source: source.clone(),
            age: file.last_good.as_ref().map(|good| now.saturating_duration_since(good.confirmed)),
            error: file.error.clone(),
        };
        self.tracked().iter().map(status).collect()
    }

    /// Fetches `sources` concurrently and stores the results. Returns `true` if the bytes of any file changed.
    async fn fetch(&self, sources: Vec<RemoteSource>, now: Instant, chance: &(dyn Fn() -> f64 + Sync)) -> bool {
        let policy = &self.policy();
        let fetches = sources.into_iter().map(async |source| {
            let known = self.tracked().get(&source).map(|file| (file.kind, file.version()));
            let (kind, version) = known?;
            let result = self.clients.fetch(&source, kind, version.as_ref(), policy).await;
            Some((source, kind, result))
        });
        let mut has_changed = false;
        for (source, kind, result) in futures_util::future::join_all(fetches).await.into_iter().flatten() {
            let mut tracked = self.tracked();
            // The file may have been forgotten, or be wanted as another kind, since the fetch began.
            let Some(file) = tracked.get_mut(&source).filter(|file| ptr::eq(file.kind, kind)) else { continue };
            match result {
                Ok(fetched) => has_changed |= file.apply(fetched, now, chance()),
                Err(failure) => {
                    let error = FetchError::new(source, kind, failure);
                    file.fail(error.clone(), now, policy, chance());
                    // Failing sources are fetched rarely, so this list stays short even if nobody takes it.
                    self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                }
            }
        }
        has_changed
    }

    fn tracked(&self) -> MutexGuard<'_, BTreeMap<RemoteSource, TrackedFile>> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RemoteFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tracked().keys()).finish()
    }
}

impl TrackedFile {
    fn new(kind: &'static FileKind) -> Self {
        Self { kind, last_good: None, error: None, failures: 0, due: None }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    fn version(&self) -> Option<Version> {
        self.last_good.as_ref().map(|good| good.version.clone())
    }

    /// Records a successful fetch. Returns `true` if the bytes changed.
    fn apply(&mut self, fetched: Fetched, now: Instant, chance: f64) -> bool {
        (self.failures, self.error) = (0, None);
        let (lifetime, has_changed) = match fetched {
            Fetched::Unchanged { lifetime } => {
                if let Some(good) = &mut self.last_good {
                    good.confirmed = now;
                }
                (lifetime, false)
            }
            Fetched::New { bytes, version, lifetime } => {
                let has_changed = self.last_good.as_ref().is_none_or(|good| **good.bytes != *bytes);
                self.last_good = Some(LastGood { bytes: Arc::new(bytes), version, confirmed: now });
                (lifetime, has_changed)
            }
        };
        self.due = Some(now + schedule::after_success(lifetime, chance));
        has_changed
    }

    /// Records a failed fetch. The last good bytes stay.
    fn fail(&mut self, error: FetchError, now: Instant, policy: &RefreshPolicy, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        let retry_after = error.retry_after();
        self.error = Some(error);
        self.due = Some(now + schedule::after_failure(self.failures, retry_after, policy, chance));
    }
}
