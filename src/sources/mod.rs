//! JWK Sets from the network: HTTP, S3, Google Cloud Storage, Azure Blob Storage.
//!
//! [`RemoteSets`] holds the last good bytes of every source. A source that fails, or answers something that is no usable
//! set, changes nothing but its [`SourceStatus`]. Nothing here waits for its turn, logs or reads a clock: the caller says
//! when it is time, and brings the time and the chance.

mod fetch;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::code::ErrorCode;
use crate::keys::KeySet;
use fetch::{Clients, Failure, Fetched, Fetcher, Version};

/// Where a JWK Set on the network is. Neither `Debug` nor `Display` show a query, which may be the signature of a URL.
///
/// Plain `http` carries private keys in the clear: it belongs on networks where nobody else listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteSource {
    scheme: Scheme,
    /// The URL, or what stands behind its scheme.
    address: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scheme {
    Azblob,
    Gs,
    Http,
    S3,
}

impl Scheme {
    /// What stands before the address in a URL.
    fn prefix(self) -> &'static str {
        match self {
            Scheme::Azblob => "azblob://",
            Scheme::Gs => "gs://",
            Scheme::Http => "",
            Scheme::S3 => "s3://",
        }
    }
}

impl RemoteSource {
    /// The source at the URL `text`: `http`, `https`, `s3://bucket/key`, `gs://bucket/key`, `azblob://container/key`.
    ///
    /// # Errors
    /// What was found instead, in words that quote nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("text that is no URL")?;
        let kind = match scheme {
            "http" | "https" => Scheme::Http,
            "s3" => Scheme::S3,
            "gs" => Scheme::Gs,
            "azblob" => Scheme::Azblob,
            _ => return Err("a URL of another scheme".to_owned()),
        };
        if kind == Scheme::Http {
            let url = reqwest::Url::parse(text).map_err(|_| format!("a {scheme}:// URL that cannot be read"))?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(format!("a {scheme}:// URL with a user or a password"));
            }
            if url.fragment().is_some() {
                return Err(format!("a {scheme}:// URL with a fragment"));
            }
            return Ok(Self { scheme: kind, address: url.to_string() });
        }
        match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {}
            _ => return Err(format!("a {scheme}:// URL without a bucket and the name of an object in it")),
        }
        if rest.contains(['?', '#', '@']) {
            return Err(format!("a {scheme}:// URL with more than a bucket and the name of an object in it"));
        }
        Ok(Self { scheme: kind, address: rest.to_owned() })
    }

    /// Whether keys come from it in the clear over a network: plain `http` from another machine.
    pub fn is_in_the_clear(&self) -> bool {
        let url = reqwest::Url::parse(&self.address).ok().filter(|url| url.scheme() == "http");
        url.is_some_and(|url| {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// The whole URL, for a configuration; unlike `Display` it shows a query.
    pub fn url(&self) -> String {
        format!("{}{}", self.scheme.prefix(), self.address)
    }
}

impl fmt::Display for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.address.split('?').next().unwrap_or_default();
        let query = if self.address.contains('?') { "?…" } else { "" };
        write!(f, "{}{shown}{query}", self.scheme.prefix())
    }
}

impl fmt::Debug for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSource({self})")
    }
}

/// A name for each of `sources`, in their order: how it is shown, and a number behind that where one before is shown the
/// same, as URLs are that differ in their query alone. No two have the same name.
pub fn distinct_names<T: ToString>(sources: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |source: T| {
        let shown = source.to_string();
        let (mut name, mut count) = (shown.clone(), 1);
        while !taken.insert(name.clone()) {
            count += 1;
            name = format!("{shown} ({count})");
        }
        name
    };
    sources.into_iter().map(name).collect()
}

/// How often to ask, and what an answer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// No sooner than this, whatever the source says.
    pub least: Duration,
    /// Where the source says nothing; also the longest wait after failures.
    pub default: Duration,
    /// No later than this, whatever the source says.
    pub most: Duration,
    /// How long an answer may take, to its last byte.
    pub timeout: Duration,
    /// How many bytes it may have.
    pub bytes: usize,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            least: Duration::from_secs(10),
            default: Duration::from_secs(300),
            most: Duration::from_secs(3600),
            timeout: Duration::from_secs(10),
            bytes: 1 << 20,
        }
    }
}

/// Why a source gave no set that can be used. Says nothing of what it answered but its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    source: RemoteSource,
    code: ErrorCode,
    message: String,
}

impl SourceError {
    /// The source.
    pub fn source(&self) -> &RemoteSource {
        &self.source
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What was expected and what was found.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.message)
    }
}

impl std::error::Error for SourceError {}

/// How a source is doing.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// The source.
    pub source: RemoteSource,
    /// How long ago it last gave or confirmed a good set; `None` where it never did.
    pub age: Option<Duration>,
    /// What has been wrong since then.
    pub fault: Option<SourceError>,
}

/// The last good sets of the sources that are wanted.
pub struct RemoteSets {
    clients: Clients,
    policy: Mutex<RefreshPolicy>,
    /// What failed since somebody asked, by code.
    failures: Mutex<Vec<SourceError>>,
    held: Mutex<BTreeMap<RemoteSource, Held>>,
}

/// What is known of one source.
#[derive(Default)]
struct Held {
    good: Option<Good>,
    fault: Option<SourceError>,
    failures: u32,
    due: Option<Instant>,
}

struct Good {
    bytes: Arc<Zeroizing<Vec<u8>>>,
    version: Version,
    confirmed: Instant,
}

impl RemoteSets {
    /// Sets from nowhere yet. Of `environment`, object stores take their own variables (`AWS_…`, `GOOGLE_…`, `AZURE_…`);
    /// others do not count.
    pub fn new(environment: &[(String, String)], policy: RefreshPolicy) -> Self {
        let clients = Clients::new(environment);
        Self { clients, policy: Mutex::new(policy), failures: Mutex::default(), held: Mutex::default() }
    }

    /// From now on an answer may take this long, and have this many bytes.
    pub fn bound(&self, timeout: Duration, bytes: usize) {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        (policy.timeout, policy.bytes) = (timeout, bytes);
    }

    fn policy(&self) -> RefreshPolicy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every failure since this was called last.
    pub fn take_failures(&self) -> Vec<SourceError> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on `wanted` are held, and no others: asks those that have not given a good set yet and are due.
    ///
    /// # Errors
    /// Every source that has given none. They stay wanted, and are asked again when they are due.
    pub async fn require(&self, wanted: &BTreeSet<RemoteSource>, now: Instant) -> Result<(), Vec<SourceError>> {
        let lacking: Vec<RemoteSource> = {
            let mut held = self.held();
            held.retain(|source, _| wanted.contains(source));
            for source in wanted {
                held.entry(source.clone()).or_default();
            }
            let is_lacking = |held: &Held| held.good.is_none() && held.is_due(now);
            held.iter().filter(|(_, held)| is_lacking(held)).map(|(source, _)| source.clone()).collect()
        };
        self.ask(lacking, now, &|| 0.0).await;
        let faults: Vec<_> = self.held().values().filter(|held| held.good.is_none()).filter_map(Held::fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The last good set of `source`.
    pub fn current(&self, source: &RemoteSource) -> Option<Arc<Zeroizing<Vec<u8>>>> {
        self.held().get(source)?.good.as_ref().map(|good| Arc::clone(&good.bytes))
    }

    /// Asks every source that is due at `now`; `chance` gives numbers from 0 to 1. Whether the bytes of any changed.
    pub async fn refresh(&self, now: Instant, chance: &dyn Fn() -> f64) -> bool {
        let due = self.held().iter().filter(|(_, held)| held.is_due(now)).map(|(source, _)| source.clone()).collect();
        self.ask(due, now, chance).await
    }

    /// Makes every source due.
    pub fn hasten(&self) {
        self.held().values_mut().for_each(|held| held.due = None);
    }

    /// When the next source is due; `None` without sources.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.held().values().map(|held| held.due.unwrap_or(now)).min()
    }

    /// How every source is doing.
    pub fn status(&self, now: Instant) -> Vec<SourceStatus> {
        let status = |(source, held): (&RemoteSource, &Held)| SourceStatus {
            source: source.clone(),
            age: held.good.as_ref().map(|good| now.saturating_duration_since(good.confirmed)),
            fault: held.fault.clone(),
        };
        self.held().iter().map(status).collect()
    }

    /// Asks `sources` all at once, and takes in what they answer; whether the bytes of any changed.
    async fn ask(&self, sources: Vec<RemoteSource>, now: Instant, chance: &dyn Fn() -> f64) -> bool {
        let policy = self.policy();
        let fetcher = Fetcher { clients: &self.clients, policy };
        let fetcher = &fetcher;
        let fetches = sources.into_iter().map(async |source| {
            let known = self.held().get(&source).and_then(|held| held.good.as_ref()).map(|good| good.version.clone());
            let answer = fetcher.fetch(&source, known.as_ref()).await;
            let answer = answer.and_then(|fetched| match &fetched {
                Fetched::New { bytes, .. } => match KeySet::parse(bytes) {
                    Ok(_) => Ok(fetched),
                    Err(error) => {
                        let message = format!("expected a JWK Set that can be used, found: {error}");
                        Err(Failure::coded(ErrorCode::KeySetInvalid, message))
                    }
                },
                Fetched::Unchanged { .. } => Ok(fetched),
            });
            (source, answer)
        });
        let mut has_changed = false;
        for (source, answer) in futures_util::future::join_all(fetches).await {
            let mut sources = self.held();
            let Some(held) = sources.get_mut(&source) else { continue };
            has_changed |= held.take(&source, answer, now, &policy, chance());
            // A source that fails is asked seldom, so this stays short even where nobody asks for it.
            if let Some(fault) = held.fault() {
                self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
            }
        }
        has_changed
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<RemoteSource, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RemoteSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.held().keys()).finish()
    }
}

impl Held {
    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    fn fault(&self) -> Option<SourceError> {
        self.fault.clone()
    }

    /// Takes in an answer; whether the bytes changed.
    fn take(
        &mut self,
        source: &RemoteSource,
        answer: Result<Fetched, Failure>,
        now: Instant,
        policy: &RefreshPolicy,
        chance: f64,
    ) -> bool {
        let (wait, has_changed) = match answer {
            Ok(fetched) => {
                (self.failures, self.fault) = (0, None);
                match fetched {
                    Fetched::Unchanged { lifetime } => {
                        if let Some(good) = &mut self.good {
                            good.confirmed = now;
                        }
                        (schedule::after_success(lifetime, chance), false)
                    }
                    Fetched::New { bytes, version, lifetime } => {
                        let has_changed = self.good.as_ref().is_none_or(|good| **good.bytes != *bytes);
                        self.good = Some(Good { bytes: Arc::new(bytes), version, confirmed: now });
                        (schedule::after_success(lifetime, chance), has_changed)
                    }
                }
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                let Failure { code, message, retry_after } = failure;
                self.fault = Some(SourceError { source: source.clone(), code, message });
                (schedule::after_failure(self.failures, retry_after, policy, chance), false)
            }
        };
        self.due = Some(now + wait);
        has_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sources_have_one_name() {
        assert_eq!(distinct_names(["a", "b", "a", "a", "a (2)"]), ["a", "b", "a (2)", "a (3)", "a (2) (2)"]);
    }

    #[test]
    fn urls_are_named_without_what_may_be_secret() {
        let shown = |text: &str| RemoteSource::parse(text).map(|source| source.to_string());
        assert_eq!(shown("https://id.example/keys.json?sig=canary").unwrap(), "https://id.example/keys.json?…");
        assert_eq!(shown("s3://bucket/a/b.json").unwrap(), "s3://bucket/a/b.json");
        for wrong in [
            "https://u:canary@id.example/",
            "https://canary@id.example/",
            "https://id.example/#canary",
            "https://",
            "http://[canary/",
            "s3://canary",
            "s3:///canary",
            "gs://canary/",
            "azblob://canary@account/x",
            "s3://canary/x?versionId=1",
            "ftp://canary/x",
            "canary",
        ] {
            let found = shown(wrong).unwrap_err();
            assert!(!found.contains("canary"), "{found}");
        }
        let source = RemoteSource::parse("https://id.example/?canary").unwrap();
        assert!(!format!("{source:?}").contains("canary"));
    }
}
