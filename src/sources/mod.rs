//! Session sources: from the credentials of a request to a session.
//!
//! A [`Source`] knows neither the protocol of the request nor what is issued for the session. It looks only at
//! [`RequestCredentials`], and its answer is a [`Resolution`]. To add a type of source, add its file, a variant of
//! [`SourceKind`] and one of `Resolver`. What the types differ in is in `kind`.
//!
//! Credentials and sessions never reach an error or `Debug`.

mod anonymous;
mod assurance;
mod bearer;
mod calls;
mod circuit;
mod credentials;
mod envoy_metadata;
mod flight;
mod gate;
mod http;
mod introspection;
mod jwt;
mod kind;
mod kratos;
mod recorded;
mod rejection;
mod session_cache;
mod slots;
mod token_claims;

pub(crate) use anonymous::AnonymousSpec;
pub(crate) use assurance::{AssuranceSpec, LevelSpec};
pub(crate) use credentials::{AmbiguousCredentials, RequestCredentials};
pub(crate) use envoy_metadata::EnvoyMetadataSpec;
pub(crate) use introspection::{ClientCredential, IntrospectionSpec};
pub(crate) use jwt::{JwtSpec, KeyFile, KeyOrigin};
pub(crate) use kind::SourceKind;
pub(crate) use kratos::{CookieName, ExtendSpec, FileSecret, KratosSpec};
pub(crate) use recorded::RecordedAnswer;
pub(crate) use rejection::Rejection;
pub(crate) use session_cache::CacheSpec;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::AUTHORIZATION;

use crate::session::Assurance;
use crate::time::Timestamp;

use anonymous::Anonymous;
use bearer::Takes;
use envoy_metadata::EnvoyMetadata;
use introspection::Introspection;
use jwt::Jwt;
use kratos::Kratos;
use slots::{Slots, Waiting};

/// The limits of what a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// Bytes of a response.
    pub body: usize,
    /// Nested arrays and objects in a response.
    pub depth: usize,
}

impl SourceLimits {
    /// Returns the limits for a service that reads sessions of at most `body` bytes and `depth` levels. A response is one of
    /// their members.
    pub fn new(body: usize, depth: usize) -> Self {
        Self { body, depth: depth.saturating_sub(1) }
    }
}

/// The sources of a generation, by name.
#[derive(Debug, Default)]
pub struct Sources {
    sources: BTreeMap<String, Arc<Source>>,
    limits: Option<(SourceLimits, usize)>,
    /// The requests that wait for any of them.
    waiting: Arc<Slots>,
}

/// A source and its state: connections, and the calls in flight.
pub struct Source {
    name: String,
    kind: SourceKind,
    resolver: Resolver,
}

/// What a source starts with besides its settings.
struct Start {
    limits: SourceLimits,
    waiting: Waiting,
    seed: [u8; 32],
}

enum Resolver {
    Anonymous(Anonymous),
    EnvoyMetadata(Box<EnvoyMetadata>),
    Introspection(Introspection),
    Jwt(Box<Jwt>),
    Kratos(Kratos),
}

/// The credential of a request for one source. `Debug` does not show it.
#[derive(Clone)]
pub struct Credential(CredentialKind);

impl Credential {
    /// Returns `true` for a token of the `Authorization` header.
    pub fn is_bearer(&self) -> bool {
        match &self.0 {
            CredentialKind::Bearer(_) => true,
            CredentialKind::Claims(_) | CredentialKind::None => false,
            CredentialKind::Header { name, .. } => *name == AUTHORIZATION.as_str(),
        }
    }
}

#[derive(Clone)]
enum CredentialKind {
    /// A bearer token.
    Bearer(String),
    /// No credential is needed.
    None,
    /// Claims that were verified before, as JSON.
    Claims(String),
    /// One header of the request to the source.
    Header { name: &'static str, value: String },
}

/// The answer to one request for a session.
#[derive(Debug)]
pub struct Resolved {
    /// The answer.
    pub resolution: Resolution,
    /// The call that was made or refused for it; `None` if there was none, or if it belongs to another request.
    pub call: Option<SourceCall>,
    /// Whether the call of another request was used.
    pub is_shared: bool,
    /// How the session cache was used; `None` without a cache.
    pub lookup: Option<CacheLookup>,
}

/// How a session cache was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLookup {
    /// The answer of an earlier call was used.
    Hit,
    /// The source was called.
    Miss,
    /// The call failed, and the session of an earlier call was used.
    Stale,
}

impl CacheLookup {
    /// Returns the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            CacheLookup::Hit => "hit",
            CacheLookup::Miss => "miss",
            CacheLookup::Stale => "stale",
        }
    }
}

/// What a source uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLoad {
    /// Entries of the session cache.
    pub sessions: usize,
    /// Bytes of the session cache.
    pub bytes: u64,
    /// Whether the source is not called because it failed.
    pub is_open: bool,
}

/// What became of the extension of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// The session lives longer.
    Extended,
    /// It could not be extended. The request is not affected.
    Failed,
    /// It was not found, and it is still valid or has ended.
    NotFound,
    /// It was not tried, because the admin API failed several times in a row or has too many calls.
    Skipped,
    /// It was too early.
    Unchanged,
}

impl Extension {
    /// Returns the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Extension::Extended => "extended",
            Extension::Failed => "failed",
            Extension::NotFound => "not_found",
            Extension::Skipped => "skipped",
            Extension::Unchanged => "unchanged",
        }
    }
}

/// What a source answers.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// The credential has no session, or one that ended.
    NoSession(Rejection),
    /// The source limits its callers.
    RateLimited(Arc<RateLimited>),
    /// The session.
    Session(Arc<ResolvedSession>),
    /// The source wants a higher assurance level before it returns the session.
    StepUp(Arc<StepUp>),
    /// It is not known whether there is a session.
    Unavailable(Arc<Unavailable>),
}

/// A session of a source. `Debug` shows none of its values.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedSession {
    /// The subject; not empty.
    pub subject: String,
    /// The whole session of the source, a JSON object.
    pub extra: String,
    /// How the person was authenticated.
    pub assurance: Assurance,
    /// The values of `Set-Cookie` with which the source renews the session cookie.
    pub set_cookies: Vec<String>,
    /// The end of the session.
    pub expires_at: Option<Timestamp>,
    /// How long the source permits its answer to be cached, if it says so.
    pub cache_for: Option<Duration>,
}

/// The source wants a higher assurance level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// Where a browser reaches that level.
    pub redirect_browser_to: String,
}

/// The source limits its callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimited {
    /// The headers that describe the limit.
    pub headers: Vec<(String, String)>,
}

/// A call failed. The message quotes nothing that the source sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The kind of failure, a metric label.
    pub failure: SourceFailure,
    /// What was expected and what was found.
    pub message: String,
}

/// The kinds of failures of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceFailure {
    /// As many calls as possible wait for the source.
    Busy,
    /// A gateway before the source cannot reach it.
    Gateway,
    /// The response is not what the source promises.
    Malformed,
    /// The source failed several times in a row and is not called for some time.
    Open,
    /// The connection ended before a response, or the source does not use HTTP.
    Reset,
    /// The response has a status from 500 that no gateway sends.
    ServerError,
    /// The response has another status that says nothing about the session.
    Status,
    /// The response was not complete in time.
    Timeout,
    /// The response is larger than the limit.
    TooLarge,
    /// The connection ended within the response.
    Truncated,
    /// The source cannot be reached.
    Unreachable,
}

/// One call of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCall {
    /// Its result.
    pub result: CallResult,
    /// The time it took; `None` if it was refused and not made.
    pub elapsed: Option<Duration>,
    /// The extension that followed it.
    pub extension: Option<Extension>,
}

/// The result of a call, a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallResult {
    /// The call failed.
    Failed(SourceFailure),
    /// The keys of an issuer were fetched.
    Keys,
    /// There is no session.
    NoSession,
    /// The source limits its callers.
    RateLimited,
    /// There is a session.
    Session,
    /// The source wants a higher assurance level.
    StepUp,
}

impl CallResult {
    /// Returns the label.
    pub fn as_str(self) -> &'static str {
        match self {
            CallResult::Failed(SourceFailure::Busy) => "busy",
            CallResult::Failed(SourceFailure::Gateway) => "gateway",
            CallResult::Failed(SourceFailure::Malformed) => "malformed",
            CallResult::Failed(SourceFailure::Open) => "open",
            CallResult::Failed(SourceFailure::Reset) => "reset",
            CallResult::Failed(SourceFailure::ServerError) => "server_error",
            CallResult::Failed(SourceFailure::Status) => "status",
            CallResult::Failed(SourceFailure::Timeout) => "timeout",
            CallResult::Failed(SourceFailure::TooLarge) => "too_large",
            CallResult::Failed(SourceFailure::Truncated) => "truncated",
            CallResult::Failed(SourceFailure::Unreachable) => "unreachable",
            CallResult::Keys => "keys",
            CallResult::NoSession => "no_session",
            CallResult::RateLimited => "rate_limited",
            CallResult::Session => "session",
            CallResult::StepUp => "step_up",
        }
    }
}

impl Resolution {
    /// Returns the result of the call that had this answer.
    pub fn result(&self) -> CallResult {
        match self {
            Resolution::NoSession(_) => CallResult::NoSession,
            Resolution::RateLimited(_) => CallResult::RateLimited,
            Resolution::Session(_) => CallResult::Session,
            Resolution::StepUp(_) => CallResult::StepUp,
            Resolution::Unavailable(unavailable) => CallResult::Failed(unavailable.failure),
        }
    }

    /// Returns `true` if the source failed. An answer that is not understood is none: it can say something about the session.
    fn is_outage(&self) -> bool {
        use SourceFailure::{Malformed, Status};
        matches!(self, Resolution::Unavailable(unavailable) if !matches!(unavailable.failure, Malformed | Status))
    }

    fn unavailable(failure: SourceFailure, message: impl Into<String>) -> Self {
        Self::Unavailable(Arc::new(Unavailable { failure, message: message.into() }))
    }
}

impl Resolved {
    /// Returns an answer without a call.
    fn new(resolution: Resolution) -> Self {
        Self { resolution, call: None, is_shared: false, lookup: None }
    }
}

impl Sources {
    /// Returns the sources `kinds`. A source that is in `before` with the same settings keeps its state; with other settings
    /// it keeps what they do not change. The service works on `in_flight` requests at once, of which a part can wait for
    /// sources. `seed` is random and makes the hashes of credentials.
    pub fn new(
        kinds: &BTreeMap<String, SourceKind>,
        limits: SourceLimits,
        in_flight: usize,
        before: Option<&Sources>,
        seed: [u8; 32],
    ) -> Self {
        let before = before.filter(|before| before.limits == Some((limits, in_flight)));
        let waiting = before.map_or_else(|| Waiting::everywhere(in_flight), |before| Arc::clone(&before.waiting));
        let source = |(name, kind): (&String, &SourceKind)| {
            let known = before.and_then(|before| before.sources.get(name));
            let source = known.filter(|source| source.kind == *kind).cloned().unwrap_or_else(|| {
                let start = Start { limits, waiting: Waiting::new(in_flight, &waiting), seed };
                Arc::new(Source::new(name.clone(), kind.clone(), start, known.map(|source| &source.resolver)))
            });
            (name.clone(), source)
        };
        Self { sources: kinds.iter().map(source).collect(), limits: Some((limits, in_flight)), waiting }
    }

    /// Returns all sources, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.values().map(Arc::as_ref)
    }

    /// Returns the source `name`.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.get(name).map(Arc::as_ref)
    }
}

impl Source {
    fn new(name: String, kind: SourceKind, start: Start, before: Option<&Resolver>) -> Self {
        let resolver = match &kind {
            SourceKind::Anonymous(spec) => Resolver::Anonymous(Anonymous::new(spec)),
            SourceKind::EnvoyMetadata(spec) => Resolver::EnvoyMetadata(Box::new(EnvoyMetadata::new(
                EnvoyMetadataSpec::clone(spec),
                start.limits.depth,
            ))),
            SourceKind::Introspection(spec) => {
                let before = if let Some(Resolver::Introspection(before)) = before { Some(before) } else { None };
                Resolver::Introspection(Introspection::new(IntrospectionSpec::clone(spec), start, before))
            }
            SourceKind::Jwt(spec) => {
                let before = if let Some(Resolver::Jwt(before)) = before { Some(&**before) } else { None };
                Resolver::Jwt(Box::new(Jwt::new(JwtSpec::clone(spec), start, before)))
            }
            SourceKind::Kratos(spec) => {
                let before = if let Some(Resolver::Kratos(before)) = before { Some(before) } else { None };
                Resolver::Kratos(Kratos::new(KratosSpec::clone(spec), start, before))
            }
        };
        Self { name, kind, resolver }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the bearer tokens that it takes.
    fn takes(&self) -> Takes<'_> {
        match &self.resolver {
            Resolver::Anonymous(_) | Resolver::EnvoyMetadata(_) => Takes::Nothing,
            Resolver::Introspection(_) => Takes::AccessTokens,
            Resolver::Jwt(jwt) => Takes::Issuer(jwt.issuer()),
            Resolver::Kratos(_) => Takes::KratosTokens,
        }
    }

    /// Returns the credential for this source in a request, whose bearer token is of this source; `None` if there is none.
    fn credential(&self, request: &RequestCredentials<'_>) -> Result<Option<Credential>, AmbiguousCredentials> {
        match &self.resolver {
            Resolver::Anonymous(_) => Ok(Some(Credential(CredentialKind::None))),
            Resolver::EnvoyMetadata(metadata) => Ok(metadata.credential(request)),
            Resolver::Introspection(_) | Resolver::Jwt(_) => {
                let token = request.bearer()?;
                Ok(token.map(|token| Credential(CredentialKind::Bearer(token.to_owned()))))
            }
            Resolver::Kratos(kratos) => kratos.credential(request),
        }
    }

    /// Resolves `credential`, which this source found, to a session at `now`.
    pub async fn resolve(&self, credential: &Credential, now: Timestamp) -> Resolved {
        self.resolve_with(credential, now, false).await
    }

    /// As [`Source::resolve`], without the answers of earlier calls.
    pub async fn resolve_anew(&self, credential: &Credential, now: Timestamp) -> Resolved {
        self.resolve_with(credential, now, true).await
    }

    async fn resolve_with(&self, credential: &Credential, now: Timestamp, is_anew: bool) -> Resolved {
        match &self.resolver {
            Resolver::Anonymous(anonymous) => Resolved::new(anonymous.resolve()),
            Resolver::EnvoyMetadata(metadata) => Resolved::new(metadata.resolve(credential, now)),
            Resolver::Introspection(introspection) => introspection.resolve(credential, now, is_anew).await,
            Resolver::Jwt(jwt) => jwt.resolve(credential, now).await,
            Resolver::Kratos(kratos) => kratos.resolve(credential, now, is_anew).await,
        }
    }

    /// Returns what the source uses now; `None` if it makes no calls.
    pub fn load(&self) -> Option<SourceLoad> {
        match &self.resolver {
            Resolver::Anonymous(_) | Resolver::EnvoyMetadata(_) | Resolver::Jwt(_) => None,
            Resolver::Introspection(introspection) => Some(introspection.load()),
            Resolver::Kratos(kratos) => Some(kratos.load()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([redacted])")
    }
}

impl fmt::Debug for ResolvedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolvedSession").field("extra_bytes", &self.extra.len()).finish_non_exhaustive()
    }
}
