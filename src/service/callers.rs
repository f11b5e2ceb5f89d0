//! Callers: clients that can request tokens, with their profiles and limits. They authenticate with HTTP Basic (RFC
//! 7617), the only scheme that Oathkeeper supports, bearer tokens (RFC 6750), and client certificates.
//!
//! Credentials are compared in constant time, and always with every secret of every caller. The response time therefore
//! depends neither on the length of a secret nor on the position of a caller in the list.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::outcome::Refusal;
use super::peer::{CallerName, Credentials, Peer};
use super::slot::Slot;
use crate::code::ErrorCode;
use crate::config::{CallerLimits, KnownCaller, KnownCredential, Network, Rate};
use crate::secret::Secret;
use crate::telemetry::{CallerCounters, Metrics};
use crate::tls::{CertificateIdentity, CertificateName};

/// The callers that can request tokens. Without callers, no credentials are required.
#[derive(Default)]
pub struct Callers {
    known: Vec<Caller>,
}

/// A configured caller.
pub(super) struct Caller {
    state: Arc<CallerState>,
    credential: Credential,
    /// The profiles that it can request; `None` for all.
    profiles: Option<Vec<String>>,
}

/// The state of a caller that a reload keeps if its name and limits stay the same.
struct CallerState {
    name: CallerName,
    limits: CallerLimits,
    /// Requests in flight, counted only if `limits.concurrency` is set.
    in_flight: Arc<AtomicUsize>,
    rate: Option<DefaultDirectRateLimiter>,
    counters: CallerCounters,
}

enum Credential {
    Basic { username: Secret, passwords: Vec<Secret> },
    Bearer(Vec<Secret>),
    Certificate(CertificateName),
    Header(Vec<Secret>),
    Networks(Vec<Network>),
}

/// The credentials of a request as digests, so that they are hashed once and not for each secret.
enum PresentedCredentials {
    Basic { username: Secret, password: Secret },
    Bearer(Secret),
    Header(Secret),
}

/// A request was not authenticated.
#[derive(Debug)]
pub(super) struct AuthError {
    pub(super) refusal: Refusal,
    /// `true` if credentials were presented, because they can have been a guess.
    pub(super) is_attempt: bool,
}

/// The right of a caller to one request. Dropping it counts the request.
pub(super) struct CallerPermit {
    state: Arc<CallerState>,
    /// A slot of `limits.concurrency`, if that is set.
    slot: Option<Slot<Arc<AtomicUsize>>>,
    is_issued: bool,
}

impl Callers {
    /// Returns the callers `known`, counted in `metrics`. A caller that is in `before` with the same limits keeps its
    /// state.
    pub fn new(known: &[KnownCaller], before: Option<&Callers>, metrics: &Metrics) -> Self {
        let before = before.map_or(&[][..], |callers| &callers.known);
        let known = known.iter().map(|caller| {
            let is_same =
                |state: &&Arc<CallerState>| state.name.as_str() == caller.name && state.limits == caller.limits;
            let state = before.iter().map(|caller| &caller.state).find(is_same).cloned();
            Caller {
                state: state.unwrap_or_else(|| Arc::new(CallerState::new(caller, metrics))),
                credential: Credential::new(&caller.credential),
                profiles: caller.profiles.clone(),
            }
        });
        Self { known: known.collect() }
    }

    /// Returns `true` if anyone who reaches the listener can request tokens.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Authenticates `peer` as a caller. A trusted client certificate of a caller takes precedence over credentials,
    /// because a gateway can pass on headers of end users.
    ///
    /// # Errors
    /// [`AuthError`] with `caller.unauthenticated`, or with `caller.untrusted` for a proxy, if `peer` is not a caller.
    pub(super) fn authenticate(&self, peer: &Peer<'_>) -> Result<&Caller, AuthError> {
        if let Some(identity) = peer.transport.client()
            && let Some(caller) = self.known.iter().find(|caller| caller.credential.is_certificate_of(identity))
        {
            return Ok(caller);
        }
        let has_headers = self.known.iter().any(|caller| matches!(caller.credential, Credential::Header(_)));
        match peer.secrets.as_slice() {
            [value] if has_headers => {
                let presented = PresentedCredentials::Header(Secret::new(value.to_vec()));
                return self.matching(&presented).ok_or_else(|| AuthError::of(peer, "another secret", true));
            }
            [_, _, ..] if has_headers => return Err(AuthError::of(peer, "more than one secret header", true)),
            // Without such callers, an end user sent the header.
            _ => {}
        }
        let found = match peer.credentials {
            Credentials::OfClient => Err(("none of them", false)),
            Credentials::None => Err(("no Authorization header", false)),
            Credentials::Several => Err(("more than one Authorization header", true)),
            Credentials::Authorization(value) => match PresentedCredentials::parse(value) {
                Some(presented) => self.matching(&presented).ok_or(("other credentials", true)),
                None => Err(("an Authorization header that is neither Basic nor Bearer", true)),
            },
        };
        // An address does not authenticate the client that posts a session; a proxy sends the credentials of the
        // session itself.
        let is_proxy = matches!(peer.credentials, Credentials::OfClient);
        let address = peer.address.filter(|_| is_proxy);
        let is_near = |caller: &&Caller| address.is_some_and(|address| caller.credential.has_address(address));
        found.or_else(|(found, is_attempt)| {
            self.known.iter().find(is_near).ok_or_else(|| AuthError::of(peer, found, is_attempt))
        })
    }

    /// Returns the caller with these credentials.
    fn matching(&self, presented: &PresentedCredentials) -> Option<&Caller> {
        self.known
            .iter()
            .fold(None, |found, caller| if caller.credential.matches(presented) { Some(caller) } else { found })
    }
}

impl AuthError {
    fn of(peer: &Peer<'_>, found: &str, is_attempt: bool) -> Self {
        let refusal = match peer.credentials {
            Credentials::OfClient => {
                let detail = format!(
                    "expected a proxy that is a configured caller with `networks`, `header` or `tls`, found {found}"
                );
                Refusal::new(ErrorCode::CallerUntrusted, detail)
            }
            _ => {
                let detail =
                    format!("expected the credentials or the certificate of a configured caller, found {found}");
                Refusal::new(ErrorCode::CallerUnauthenticated, detail)
            }
        };
        Self { refusal, is_attempt }
    }
}

impl Caller {
    /// Returns its name.
    pub(super) fn name(&self) -> CallerName {
        self.state.name.clone()
    }

    /// Permits one request for `profile`.
    ///
    /// # Errors
    /// `caller.forbidden`, `caller.concurrency`, `caller.rate`.
    pub(super) fn permit(&self, profile: &str) -> Result<CallerPermit, Refusal> {
        let state = &self.state;
        // A refusal drops it, which counts the request.
        let mut permit = CallerPermit { state: Arc::clone(state), slot: None, is_issued: false };
        // Unknown profiles give the same refusal, so that a caller does not learn which profiles exist.
        if self.profiles.as_ref().is_some_and(|profiles| !profiles.iter().any(|name| name == profile)) {
            let detail = "this caller cannot request tokens of this profile; its `profiles` do not list it";
            return Err(Refusal::new(ErrorCode::CallerForbidden, detail));
        }
        if let Some(most) = state.limits.concurrency {
            permit.slot = Slot::take(Arc::clone(&state.in_flight), usize::try_from(most.get()).unwrap_or(usize::MAX));
            if permit.slot.is_none() {
                let detail = format!("caller exceeded limits.concurrency of {most} requests at once");
                return Err(Refusal::new(ErrorCode::CallerConcurrency, detail));
            }
        }
        if state.rate.as_ref().is_some_and(|rate| rate.check().is_err()) {
            return Err(Refusal::new(ErrorCode::CallerRate, "caller exceeded limits.rate"));
        }
        Ok(permit)
    }
}

impl CallerState {
    fn new(caller: &KnownCaller, metrics: &Metrics) -> Self {
        // A period of zero gives no quota; the configuration rejects it.
        let quota = |rate: Rate| Some(Quota::with_period(rate.period)?.allow_burst(rate.burst));
        Self {
            name: CallerName::new(&caller.name),
            limits: caller.limits,
            in_flight: Arc::default(),
            rate: caller.limits.rate.and_then(quota).map(RateLimiter::direct),
            counters: metrics.caller(&caller.name),
        }
    }
}

impl CallerPermit {
    /// Counts the request as `issued`.
    pub(super) fn set_issued(&mut self) {
        self.is_issued = true;
    }
}

impl Drop for CallerPermit {
    fn drop(&mut self) {
        self.state.counters.count(self.is_issued);
    }
}

impl Credential {
    fn new(known: &KnownCredential) -> Self {
        match known {
            KnownCredential::Basic { username, passwords } => {
                Self::Basic { username: Secret::new(username.as_bytes().to_vec()), passwords: passwords.clone() }
            }
            KnownCredential::Bearer { tokens } => Self::Bearer(tokens.clone()),
            KnownCredential::Certificate(name) => Self::Certificate(name.clone()),
            KnownCredential::Header { secrets } => Self::Header(secrets.clone()),
            KnownCredential::Networks(networks) => Self::Networks(networks.clone()),
        }
    }

    fn is_certificate_of(&self, identity: &CertificateIdentity) -> bool {
        matches!(self, Credential::Certificate(name) if identity.has_name(name))
    }

    fn has_address(&self, address: IpAddr) -> bool {
        matches!(self, Credential::Networks(networks) if networks.iter().any(|network| network.contains(address)))
    }

    fn matches(&self, presented: &PresentedCredentials) -> bool {
        let any =
            |secrets: &[Secret], given: &Secret| secrets.iter().fold(false, |found, secret| found | (secret == given));
        match (self, presented) {
            (Credential::Basic { username, passwords }, PresentedCredentials::Basic { username: name, password }) => {
                (username == name) & any(passwords, password)
            }
            (Credential::Bearer(tokens), PresentedCredentials::Bearer(presented)) => any(tokens, presented),
            (Credential::Header(secrets), PresentedCredentials::Header(presented)) => any(secrets, presented),
            _ => false,
        }
    }
}

impl PresentedCredentials {
    fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, rest) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"basic") {
            let mut decoded = STANDARD.decode(rest).ok()?;
            let colon = decoded.iter().position(|byte| *byte == b':')?;
            let password = Secret::new(decoded.split_off(colon + 1));
            decoded.pop();
            return Some(Self::Basic { username: Secret::new(decoded), password });
        }
        scheme.eq_ignore_ascii_case(b"bearer").then(|| Self::Bearer(Secret::new(rest.to_vec())))
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|caller| &caller.state.name)).finish()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.state.name).finish()
    }
}

impl fmt::Debug for CallerPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallerPermit").field(&self.state.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Transport;
    use std::num::NonZeroU32;
    use std::time::Duration;

    fn peer<'r>(values: &[&'r str]) -> Peer<'r> {
        let credentials = match values {
            [] => Credentials::None,
            [value] => Credentials::Authorization(value.as_bytes()),
            _ => Credentials::Several,
        };
        Peer { address: None, transport: Transport::Plain, credentials, secrets: Vec::new() }
    }

    fn caller(name: &str, credential: KnownCredential) -> KnownCaller {
        KnownCaller { name: name.to_owned(), credential, profiles: None, limits: CallerLimits::default() }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn callers(known: &[KnownCaller], before: Option<&Callers>) -> Callers {
        Callers::new(known, before, &Metrics::new())
    }

    fn two() -> Callers {
        let passwords = vec![secret("pa:ss"), secret("next")];
        let basic = KnownCredential::Basic { username: "oathkeeper".to_owned(), passwords };
        let bearer = KnownCredential::Bearer { tokens: vec![secret("t0ken"), secret("t0ken-next")] };
        callers(&[caller("oathkeeper", basic), caller("batch", bearer)], None)
    }

    fn name(callers: &Callers, value: &str) -> String {
        callers.authenticate(&peer(&[value])).unwrap().state.name.as_str().to_owned()
    }

    #[test]
    fn caller_is_known_by_any_of_its_credentials() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(name(&two(), &basic("oathkeeper:pa:ss")), "oathkeeper");
        assert_eq!(name(&two(), &basic("oathkeeper:next")), "oathkeeper");
        assert_eq!(name(&two(), "bearer t0ken"), "batch");
        assert_eq!(name(&two(), "Bearer t0ken-next"), "batch");
        assert!(Callers::default().is_empty() && !two().is_empty());
        let tokens = vec![secret("t0ken"), secret("t0ken")];
        let twice = callers(&[caller("batch", KnownCredential::Bearer { tokens })], None);
        assert_eq!(name(&twice, "Bearer t0ken"), "batch", "a secret that is configured twice counts once");
        assert_eq!(format!("{:?}", twice.known[0]), "Caller(CallerName(\"batch\"))");
    }

    #[test]
    fn other_credentials_are_refused_without_being_quoted() {
        let token_as_basic = format!("Basic {}", STANDARD.encode("t0ken"));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let (wrong_password, wrong_name) = (basic("oathkeeper:pa:s"), basic("oathkeepe:pa:ss"));
        let password_as_bearer = "Bearer oathkeeper:pa:ss";
        for values in [
            &[][..],
            &["Bearer t0ke"],
            &["Bearer t0ken2"],
            &["Bearer"],
            &["Basic !!!"],
            &["Digest t0ken"],
            &[&token_as_basic],
            &[&wrong_password],
            &[&wrong_name],
            &[password_as_bearer],
            &["Bearer t0ken", "Bearer t0ken"],
        ] {
            let error = two().authenticate(&peer(values)).unwrap_err();
            assert_eq!(error.refusal.code, ErrorCode::CallerUnauthenticated);
            assert_eq!(error.is_attempt, !values.is_empty(), "a request without credentials is not a guess");
            assert!(!error.refusal.detail.contains("t0ke") && !error.refusal.detail.contains("pa:ss"));
        }
    }

    #[test]
    fn proxy_is_known_by_its_network_or_secret_and_not_by_the_credentials_of_its_clients() {
        let basic = KnownCredential::Bearer { tokens: vec![secret("t0ken")] };
        let header = KnownCredential::Header { secrets: vec![secret("s3cret"), secret("s3cret-next")] };
        let networks = KnownCredential::Networks(vec![Network::parse("10.0.0.0/8").unwrap()]);
        let callers = callers(&[caller("bearer", basic), caller("header", header), caller("near", networks)], None);
        let near: Option<IpAddr> = Some("10.1.2.3".parse().unwrap());
        let authorization = Credentials::Authorization(b"Bearer t0ken");
        for (address, credentials, secrets, expected) in [
            (near, Credentials::OfClient, &[][..], Ok("near")),
            (None, Credentials::OfClient, &[], Err((ErrorCode::CallerUntrusted, false))),
            (None, Credentials::OfClient, &["s3cret"], Ok("header")),
            (None, Credentials::OfClient, &["s3cret-next"], Ok("header")),
            (near, Credentials::OfClient, &["s3cret"], Ok("header")),
            (near, Credentials::OfClient, &["guess"], Err((ErrorCode::CallerUntrusted, true))),
            (near, Credentials::OfClient, &["s3cret", "s3cret"], Err((ErrorCode::CallerUntrusted, true))),
            (None, authorization, &[], Ok("bearer")),
            (near, authorization, &[], Ok("bearer")),
            (near, Credentials::None, &[], Err((ErrorCode::CallerUnauthenticated, false))),
            (near, Credentials::Authorization(b"Bearer guess"), &[], Err((ErrorCode::CallerUnauthenticated, true))),
            (None, Credentials::Authorization(b"Bearer guess"), &[], Err((ErrorCode::CallerUnauthenticated, true))),
        ] {
            let secrets = secrets.iter().map(|secret| secret.as_bytes()).collect();
            let peer = Peer { address, transport: Transport::Plain, credentials, secrets };
            let found = callers.authenticate(&peer);
            let found = found.map(|caller| caller.state.name.as_str());
            assert_eq!(found.map_err(|error| (error.refusal.code, error.is_attempt)), expected, "{peer:?}");
        }
    }

    #[test]
    fn limits_last_across_generations_and_slots_come_back() {
        let rate = Rate { period: Duration::from_secs(3600), burst: NonZeroU32::new(3).unwrap() };
        let mut known = caller("a", KnownCredential::Bearer { tokens: vec![secret("t0ken")] });
        known.limits = CallerLimits { concurrency: NonZeroU32::new(2), rate: Some(rate) };
        known.profiles = Some(vec!["p".to_owned()]);
        let permit = |callers: &Callers, profile: &str| {
            let caller = callers.authenticate(&peer(&["Bearer t0ken"])).unwrap();
            caller.permit(profile).map(drop).map_err(|refusal| refusal.code)
        };
        let first = callers(&[known.clone()], None);
        assert_eq!(permit(&first, "q"), Err(ErrorCode::CallerForbidden));
        let held: Vec<_> = (0..2).map(|_| first.known[0].permit("p").unwrap()).collect();
        let second = callers(&[known.clone()], Some(&first));
        assert_eq!(permit(&second, "p"), Err(ErrorCode::CallerConcurrency));
        drop(held);
        assert_eq!([permit(&second, "p"), permit(&second, "p")], [Ok(()), Err(ErrorCode::CallerRate)]);
        known.limits.rate = Some(Rate { burst: NonZeroU32::new(1).unwrap(), ..rate });
        let third = callers(&[known], Some(&second));
        assert_eq!([permit(&third, "p"), permit(&third, "p")], [Ok(()), Err(ErrorCode::CallerRate)]);
    }
}
