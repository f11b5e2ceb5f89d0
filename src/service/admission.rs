//! Decides if a request can be processed now: authenticates the caller, takes a slot, and checks the caller's
//! permissions.
//!
//! A [`Permit`] holds its slot until it is dropped, and then counts the request for its caller.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::asked::unknown_profile;
use super::attempts::Attempts;
use super::cache::TokenCache;
use super::callers::{AuthError, Caller, CallerPermit};
use super::generation::{ServedGeneration, ServiceLimits};
use super::outcome::Refusal;
use super::peer::{CallerName, Credentials, Peer, Requester, Transport};
use super::slot::Slot;
use crate::claims::Grant;
use crate::code::ErrorCode;
use crate::mint::{IssueRequest, Profile, ProfileName};
use crate::session::{SessionDocument, SessionParts};
use crate::time::{Clock, Timestamp};

/// Throttled responses that wait at once. Further ones are sent without a delay, because a delay occupies a connection.
const MOST_WAITING: usize = 64;

/// The capacity of a service, shared by all requests.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Threads that process requests.
    workers: usize,
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    attempts: Mutex<Attempts>,
    /// Open connections.
    pub(crate) connections: AtomicUsize,
}

impl Admission {
    /// Returns the capacity for requests on `workers` threads.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            in_flight: AtomicUsize::default(),
            waiting: AtomicUsize::default(),
            attempts: Mutex::default(),
            connections: AtomicUsize::default(),
        }
    }

    /// Returns the number of requests for tokens in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the refusal of a failed authentication from `address` at `now`, after a delay if there were too many.
    async fn throttle(
        &self,
        address: Option<IpAddr>,
        limits: &ServiceLimits,
        now: Timestamp,
        refusal: Refusal,
    ) -> Refusal {
        let is_throttled = self.attempts.lock().unwrap_or_else(PoisonError::into_inner).is_too_many(
            address,
            limits.failed_attempts,
            now,
        );
        if !is_throttled {
            return refusal;
        }
        if let Some(_waiting) = Slot::take(&self.waiting, MOST_WAITING) {
            tokio::time::sleep(limits.failed_delay).await;
        }
        let detail = "too many failed authentications from this address; check the credentials and wait a minute";
        Refusal::new(ErrorCode::CallerSlowed, detail)
    }

    /// Authenticates `peer`.
    ///
    /// # Errors
    /// `caller.unauthenticated`, `caller.untrusted`, `caller.slowed`.
    pub(super) async fn authenticate<'s>(
        &self,
        generation: &'s ServedGeneration,
        peer: &Peer<'_>,
        clock: &dyn Clock,
    ) -> Result<Authenticated<'s>, Refusal> {
        require_certificate(generation, &peer.transport)?;
        let caller = if generation.callers.is_empty() && !matches!(peer.credentials, Credentials::OfClient) {
            None
        } else {
            match generation.callers.authenticate(peer) {
                Ok(caller) => Some(caller),
                Err(AuthError { refusal, is_attempt: false }) => return Err(refusal),
                Err(AuthError { refusal, is_attempt: true }) => {
                    return Err(self.throttle(peer.address, &generation.limits, clock.now(), refusal).await);
                }
            }
        };
        Ok(Authenticated { generation, caller })
    }

    /// Takes a slot for a token of `profile`.
    ///
    /// # Errors
    /// `service.overloaded`, `caller.forbidden`, `caller.concurrency`, `caller.rate`.
    pub(super) async fn admit<'s>(
        &'s self,
        authenticated: Authenticated<'s>,
        tokens: &'s TokenCache,
        profile: &str,
    ) -> Result<Permit<'s>, Refusal> {
        let requester = authenticated.requester();
        let Authenticated { generation, caller } = authenticated;
        let taken = self.take_slot(&generation.limits, caller, profile).await;
        let (slot, caller) = taken.map_err(|refusal| refusal.of(requester.clone()))?;
        let profile = generation.mint.profile(profile).ok_or_else(|| unknown_profile(generation, &requester, profile));
        Ok(Permit { generation, tokens, profile, requester, caller, _slot: slot })
    }

    /// Takes a slot for an authenticated request, and the permit of its caller.
    async fn take_slot(
        &self,
        limits: &ServiceLimits,
        caller: Option<&Caller>,
        profile: &str,
    ) -> Result<(Slot<&AtomicUsize>, Option<CallerPermit>), Refusal> {
        // Take the slot after authentication, so that unauthenticated clients cannot exhaust `limits.in_flight`.
        let Some(slot) = Slot::take(&self.in_flight, limits.in_flight) else {
            let detail = "as many requests are in flight as limits.in_flight allows; try again";
            return Err(Refusal::new(ErrorCode::ServiceOverloaded, detail));
        };
        let caller = caller.map(|caller| caller.permit(profile)).transpose()?;
        // A worker continues from one request to the next, so requests that wait for a worker are not counted. If all
        // workers are busy, let the requests that are ready reach this point first, so that excess requests are refused
        // before they wait. Excess requests are possible only with more connections than slots.
        let has_excess = self.connections.load(Ordering::Relaxed) > limits.in_flight;
        if has_excess && self.in_flight() >= self.workers {
            // Yield in its own task, because a connection's task can be polled again before others are.
            let _ = tokio::spawn(tokio::task::yield_now()).await;
        }
        Ok((slot, caller))
    }
}

/// Refuses a peer over TLS without a trusted client certificate if the listener requires one. Handshakes check this too,
/// but a connection can be older than the authority, or outlive its certificate.
fn require_certificate(generation: &ServedGeneration, transport: &Transport) -> Result<(), Refusal> {
    let is_required = generation.client_authority.as_ref().is_some_and(|authority| authority.is_required());
    match transport {
        Transport::Tls { client: None } if is_required => {
            let detail = "expected a client certificate that client_ca_file trusts and that is valid now, found none on \
                          this connection";
            Err(Refusal::new(ErrorCode::CallerUnauthenticated, detail))
        }
        Transport::Plain | Transport::Tls { .. } => Ok(()),
    }
}

/// A peer that was authenticated for one request, which did not take a slot.
pub(crate) struct Authenticated<'s> {
    generation: &'s ServedGeneration,
    /// `None` without configured callers.
    caller: Option<&'s Caller>,
}

impl<'s> Authenticated<'s> {
    /// Returns the generation that serves the request.
    pub(super) fn generation(&self) -> &'s ServedGeneration {
        self.generation
    }

    /// Returns a function that adds this requester to a refusal, for failures before the request takes a slot.
    pub(crate) fn refuser(&self) -> impl FnOnce(Refusal) -> Refusal + use<> {
        let requester = self.requester();
        move |refusal| refusal.of(requester)
    }

    fn requester(&self) -> Requester {
        self.caller.map_or(Requester::Anyone, |caller| Requester::Caller(caller.name()))
    }
}

/// The right to one token of one profile.
pub struct Permit<'s> {
    generation: &'s ServedGeneration,
    tokens: &'s TokenCache,
    /// A profile that is not configured is refused once the request was received.
    profile: Result<&'s Profile, Refusal>,
    requester: Requester,
    caller: Option<CallerPermit>,
    _slot: Slot<&'s AtomicUsize>,
}

impl<'s> Permit<'s> {
    /// Reads a posted session for the profile. Also returns the document, for adapters that return it to the client.
    ///
    /// # Errors
    /// `profile.unknown` and the errors of [`SessionDocument::parse`].
    pub fn read_posted<'m>(self, body: &'m [u8]) -> Result<(AdmittedRequest<'m>, SessionDocument<'m>), Refusal>
    where
        's: 'm,
    {
        let (profile, limits) = (self.profile.clone()?, self.generation.limits.read_limits());
        let (request, document) = self.tokens.read_posted(profile, body, limits)?;
        Ok((AdmittedRequest { permit: self, request }, document))
    }

    /// Reads a session in parts for the profile.
    ///
    /// # Errors
    /// `profile.unknown` and the errors of [`Session::from_parts`](crate::session::Session::from_parts).
    pub fn read_parts<'m>(self, parts: SessionParts<'m>) -> Result<AdmittedRequest<'m>, Refusal>
    where
        's: 'm,
    {
        let (profile, limits) = (self.profile.clone()?, self.generation.limits.read_limits());
        let request = self.tokens.read_parts(profile, parts, limits)?;
        Ok(AdmittedRequest { permit: self, request })
    }

    /// Returns the name of the profile if it is in shadow mode.
    pub(super) fn shadow_profile(&self) -> Option<&'s ProfileName> {
        self.profile.as_ref().ok().map(|profile| profile.spec()).filter(|spec| spec.shadow).map(|spec| &spec.name)
    }

    /// Returns the generation that serves the request.
    pub(super) fn generation(&self) -> &'s ServedGeneration {
        self.generation
    }

    /// Returns the caller; `None` without configured callers.
    pub(super) fn caller(&self) -> Option<CallerName> {
        self.requester.caller().cloned()
    }

    /// Returns a function that adds this requester to a refusal, for failures while the permit is held.
    pub fn refuser(&self) -> impl FnOnce(Refusal) -> Refusal + use<> {
        let requester = self.requester.clone();
        move |refusal| refusal.of(requester)
    }

    /// Counts the request as `issued`.
    pub(super) fn set_issued(&mut self) {
        if let Some(caller) = &mut self.caller {
            caller.set_issued();
        }
    }
}

/// An admitted request for one profile, with the session that was read for this profile.
#[derive(Debug)]
pub struct AdmittedRequest<'m> {
    pub(super) permit: Permit<'m>,
    pub(super) request: IssueRequest<'m>,
}

impl<'m> AdmittedRequest<'m> {
    /// Returns the same request with `grant`.
    #[must_use]
    pub fn with_grant(self, grant: Grant) -> Self {
        Self { request: self.request.with_grant(grant), ..self }
    }

    /// Returns the profile, the session and the grant.
    pub fn request(&self) -> &IssueRequest<'m> {
        &self.request
    }
}

impl fmt::Debug for Authenticated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("caller", &self.caller).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    #[test]
    fn only_a_limited_number_of_throttled_responses_wait() {
        let limits = ServiceLimits {
            body: 0,
            depth: 0,
            header: 0,
            request: Duration::ZERO,
            in_flight: 0,
            failed_attempts: 1,
            failed_delay: Duration::from_secs(3600),
        };
        let admission = Admission::new(1);
        admission.waiting.store(MOST_WAITING, Ordering::Relaxed);
        let fail = || {
            let refusal = Refusal::new(ErrorCode::CallerUnauthenticated, "");
            let mut throttled = pin!(admission.throttle(None, &limits, Timestamp::from_seconds(0), refusal));
            match throttled.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(refusal) => refusal.code,
                Poll::Pending => panic!("it waits"),
            }
        };
        assert_eq!(
            [fail(), fail(), fail()],
            [ErrorCode::CallerUnauthenticated, ErrorCode::CallerSlowed, ErrorCode::CallerSlowed]
        );
        assert_eq!(admission.waiting.load(Ordering::Relaxed), MOST_WAITING);
    }

    #[test]
    fn dropped_slot_returns_and_a_failed_take_counts_nothing() {
        let count = AtomicUsize::new(0);
        let first = Slot::take(&count, 2);
        let second = Slot::take(&count, 2);
        assert!(first.is_some() && second.is_some() && Slot::take(&count, 2).is_none());
        drop(first);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(Slot::take(&count, 2).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}
