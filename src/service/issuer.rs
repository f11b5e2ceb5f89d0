//! [`Issuer`]: from a peer and a session to a token.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use super::admission::{Admission, AdmittedRequest, Authenticated, Permit};
use super::cache::TokenCache;
use super::completion::{Comparison, Delivery, Posted};
use super::gauges::gauges;
use super::generation::ServedGeneration;
use super::outcome::{CacheUse, Outcome, Refusal};
use super::peer::Peer;
use super::record::Recorder;
use super::shadow::ShadowResult;
use super::signing_queue::SigningQueue;
use crate::claims::JwtId;
use crate::mint::UnsignedClaims;
use crate::sources::SourceLoad;
use crate::telemetry::SourceGauges;
use crate::time::{Clock, Timestamp};

/// Issues every token of a running service.
pub struct Issuer {
    current: ArcSwap<ServedGeneration>,
    tokens: TokenCache,
    signing: SigningQueue,
    admission: Admission,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    jwt_id: fn() -> JwtId,
}

/// The parts of an [`Issuer`].
#[derive(Debug)]
pub struct IssuerParts {
    /// The first generation.
    pub generation: ServedGeneration,
    /// The recorder of requests.
    pub recorder: Recorder,
    /// Bytes of the token cache.
    pub cache_bytes: u64,
    /// Threads that process requests.
    pub workers: usize,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Returns a random identifier for a new token.
    pub jwt_id: fn() -> JwtId,
}

impl Issuer {
    /// Returns an issuer with `parts`.
    pub fn new(parts: IssuerParts) -> Self {
        let IssuerParts { generation, recorder, cache_bytes, workers, clock, jwt_id } = parts;
        Self {
            current: ArcSwap::from_pointee(generation),
            tokens: TokenCache::new(cache_bytes),
            signing: SigningQueue::default(),
            admission: Admission::new(workers),
            recorder,
            clock,
            jwt_id,
        }
    }

    /// Returns the current generation. A request takes it once.
    pub fn current(&self) -> Arc<ServedGeneration> {
        self.current.load_full()
    }

    /// Replaces the generation, with a token cache of `cache_bytes` from now on. Requests in flight keep their
    /// generation.
    pub fn replace(&self, generation: ServedGeneration, cache_bytes: u64) {
        self.tokens.resize(cache_bytes);
        self.current.store(Arc::new(generation));
    }

    /// Returns the clock.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the cache of signed tokens.
    pub fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// Returns the recorder of requests.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Measures the gauges and returns all metrics in the OpenMetrics text format.
    pub fn metrics_text(&self) -> String {
        let metrics = self.recorder.metrics();
        metrics.token_cache(self.tokens.len(), self.tokens.bytes());
        metrics.load(self.admission.in_flight(), self.admission.connections.load(Ordering::Relaxed));
        let current = self.current();
        let sources = current.session_sources.iter().filter_map(|source| Some((source.name(), source.load()?)));
        metrics.set_session_sources(sources.map(|(name, load)| {
            let SourceLoad { sessions, bytes, is_open } = load;
            (name, SourceGauges { sessions, bytes, is_open })
        }));
        metrics.text(&gauges(&current.mint, self.now()))
    }

    /// Returns the shared capacity.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Authenticates `peer`, for a protocol that reads the request only afterwards.
    ///
    /// # Errors
    /// `caller.unauthenticated`, `caller.untrusted`, `caller.slowed`.
    pub(crate) async fn authenticate<'s>(
        &self,
        generation: &'s ServedGeneration,
        peer: &Peer<'_>,
    ) -> Result<Authenticated<'s>, Refusal> {
        self.admission.authenticate(generation, peer, &*self.clock).await
    }

    /// Admits `peer` to one token of `profile`. Does not fail for an unknown profile, because a peer without permission
    /// must not learn which profiles exist. [`Permit::read_posted`] fails instead.
    ///
    /// # Errors
    /// `caller.unauthenticated`, `caller.slowed`, `service.overloaded`, `caller.forbidden`, `caller.concurrency`,
    /// `caller.rate`.
    pub async fn admit<'s>(
        &'s self,
        generation: &'s ServedGeneration,
        peer: &Peer<'_>,
        profile: &str,
    ) -> Result<Permit<'s>, Refusal> {
        self.admit_authenticated(self.authenticate(generation, peer).await?, profile).await
    }

    /// As [`Issuer::admit`], for a peer that was authenticated.
    pub(super) async fn admit_authenticated<'s>(
        &'s self,
        authenticated: Authenticated<'s>,
        profile: &str,
    ) -> Result<Permit<'s>, Refusal> {
        self.admission.admit(authenticated, &self.tokens, profile).await
    }

    /// Issues the token of `admitted`: from the cache, or rendered and signed. Concurrent equal requests share one
    /// signature.
    ///
    /// # Errors
    /// The codes of [`IssueError`](crate::mint::IssueError), `keys.busy`, and `internal` for a bug in claimsmith or if
    /// the threads for slow keys cannot be started.
    pub async fn issue(&self, admitted: AdmittedRequest<'_>) -> Result<Outcome, Refusal> {
        let AdmittedRequest { mut permit, request } = admitted;
        let mint = &permit.generation().mint;
        let now = self.clock.now();
        let params = mint.token_params(&request, now)?;
        let key = request.cache_key(&params);
        let subject = self.recorder.audits_subject().then(|| params.subject().to_owned());
        let make = async {
            let draft = mint.draft(&request, params, self.jwt_id)?;
            self.signing.sign(draft).await
        };
        let (token, cache) = match &key {
            None => (Arc::new(make.await?), CacheUse::Off),
            Some(key) => {
                let found = match self.tokens.find(key, now) {
                    Some(token) => (token, CacheUse::Hit),
                    None => self.tokens.find_or_make(key, now, make).await?,
                };
                self.tokens.keep_extra(&request);
                found
            }
        };
        permit.set_issued();
        Ok(Outcome { token, cache, at: now, caller: permit.caller(), subject })
    }

    /// Issues the token for the session `body`. If its profile is in shadow mode and the token would be delivered in
    /// the session, compares instead. A client that gets only the token has no other token to use, so a token is issued
    /// for it in shadow mode, too.
    ///
    /// # Errors
    /// The errors of [`Permit::read_posted`] and [`Issuer::issue`]. A comparison has no errors.
    pub(crate) async fn issue_posted<'m>(
        &self,
        permit: Permit<'m>,
        body: &'m [u8],
        delivery: Delivery,
    ) -> Result<Posted<'m>, Refusal> {
        if delivery == Delivery::InSession
            && let Some(profile) = permit.shadow_profile()
        {
            let (profile, at, caller) = (profile.clone(), self.clock.now(), permit.caller());
            let result = self.compare(permit, body, at);
            return Ok(Posted::Compared(Comparison { profile, at, caller, result }));
        }
        let (admitted, document) = permit.read_posted(body)?;
        let placement = &admitted.request().profile().spec().placement;
        let outcome = self.issue(admitted).await?;
        Ok(Posted::Issued { document, placement, outcome })
    }

    /// Compares the claims of the session `body` with the claims of the token in it. Nothing is signed.
    fn compare(&self, permit: Permit<'_>, body: &[u8], now: Timestamp) -> ShadowResult {
        let claims = |(admitted, _): (AdmittedRequest<'_>, _)| {
            let AdmittedRequest { mut permit, request } = admitted;
            let mint = &permit.generation().mint;
            let params = mint.token_params(&request, now)?;
            let claims = mint.draft(&request, params, self.jwt_id)?.claims().as_str().to_owned();
            permit.set_issued();
            Ok(claims)
        };
        let limits = permit.generation().limits.read_limits();
        ShadowResult::of(permit.read_posted(body).and_then(claims), body, limits)
    }

    /// Returns the claims of `admitted` without signing them, for a server that signs them itself. The session must be
    /// valid as for a token.
    ///
    /// # Errors
    /// The codes of [`IssueError`](crate::mint::IssueError), except codes about keys.
    pub fn unsigned_claims(&self, admitted: AdmittedRequest<'_>) -> Result<UnsignedClaims, Refusal> {
        let AdmittedRequest { mut permit, request } = admitted;
        let claims = permit.generation().mint.unsigned_claims(&request, self.clock.now())?;
        permit.set_issued();
        Ok(claims)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("tokens", &self.tokens)
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}
