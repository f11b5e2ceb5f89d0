//! Who asks, and what may that caller ask for? HTTP Basic (RFC 7617), which is all that Oathkeeper can send, bearer
//! (RFC 6750), and client certificates.
//!
//! Credentials are compared in constant time, and every secret of every caller is compared every time, so that neither
//! a secret's length nor a caller's place in the list shows in the time an answer takes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::problem::Problem;
use crate::code::ErrorCode;
use crate::config::{CallerLimits, KnownCaller, KnownCredential, Rate};
use crate::secret::Secret;
use crate::telemetry::{CallerCounters, Metrics};
use crate::tls::{CertificateName, HolderNames};

/// Who may ask for tokens. Nobody is asked for credentials where this is empty.
#[derive(Default)]
pub struct Callers {
    known: Vec<Caller>,
}

/// A caller of the configuration.
pub(super) struct Caller {
    state: Arc<CallerState>,
    credential: Credential,
    /// The profiles that it may ask for; `None` for every one.
    profiles: Option<Vec<String>>,
}

/// What goes on from generation to generation where a caller stays as it is.
struct CallerState {
    name: String,
    limits: CallerLimits,
    in_flight: AtomicU32,
    rate: Option<DefaultDirectRateLimiter>,
    counters: CallerCounters,
}

enum Credential {
    Basic { username: Secret, passwords: Vec<Secret> },
    Bearer(Vec<Secret>),
    Certificate(CertificateName),
}

/// What a request presents, as digests, so that it is hashed once and not for each secret.
enum Presented {
    Basic { username: Secret, password: Secret },
    Bearer(Secret),
}

/// The peer of a request that is no caller.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) problem: Problem,
    /// Whether it presented anything, which may have been a guess.
    pub(super) is_attempt: bool,
}

/// A caller's turn: one request of it that is worked on.
pub(super) struct Turn<'c> {
    state: &'c CallerState,
    is_counted: bool,
    is_issued: bool,
}

impl Callers {
    /// The callers that are `known`, counted in `metrics`. Who was there `before`, with the same limits, goes on where
    /// it was.
    pub fn new(known: &[KnownCaller], before: Option<&Callers>, metrics: &Metrics) -> Self {
        let before = before.map_or(&[][..], |callers| &callers.known);
        let known = known.iter().map(|caller| {
            let is_same = |state: &&Arc<CallerState>| state.name == caller.name && state.limits == caller.limits;
            let state = before.iter().map(|caller| &caller.state).find(is_same).cloned();
            Caller {
                state: state.unwrap_or_else(|| Arc::new(CallerState::new(caller, metrics))),
                credential: Credential::new(&caller.credential),
                profiles: caller.profiles.clone(),
            }
        });
        Self { known: known.collect() }
    }

    /// Whether anybody who reaches the listener may ask.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Who sent a request with these headers, on a connection whose client's certificate has these names. A caller that
    /// is known by its certificate is that one, whatever the headers say, which its end users may have written.
    ///
    /// # Errors
    /// [`Unknown`] with `caller.unauthenticated` where it was none of the callers.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&HolderNames>,
    ) -> Result<&Caller, Unknown> {
        if let Some(names) = certificate
            && let Some(caller) = self.known.iter().find(|caller| caller.credential.is_certificate_of(names))
        {
            return Ok(caller);
        }
        let refused = |found: &str, is_attempt| {
            let detail = format!("expected the credentials or the certificate of a configured caller, found {found}");
            Unknown { problem: Problem::new(ErrorCode::CallerUnauthenticated, detail), is_attempt }
        };
        let mut values = headers.get_all(AUTHORIZATION);
        let Some(value) = values.next() else { return Err(refused("no Authorization header", false)) };
        if values.next().is_some() {
            return Err(refused("more than one Authorization header", true));
        }
        let Some(presented) = Presented::parse(value.as_bytes()) else {
            return Err(refused("an Authorization header of another form", true));
        };
        let found = self
            .known
            .iter()
            .fold(None, |found, caller| if caller.credential.matches(&presented) { Some(caller) } else { found });
        found.ok_or_else(|| refused("others", true))
    }
}

impl Caller {
    /// Lets the caller ask for a token of `profile` now.
    ///
    /// # Errors
    /// `caller.forbidden`, `caller.concurrency`, `caller.rate`.
    pub(super) fn turn(&self, profile: &str) -> Result<Turn<'_>, Problem> {
        let state = &*self.state;
        let mut turn = Turn { state, is_counted: false, is_issued: false };
        // Known profiles and others alike, so that a caller does not learn which there are.
        if self.profiles.as_ref().is_some_and(|profiles| !profiles.iter().any(|name| name == profile)) {
            let detail = "expected one of the profiles that this caller may ask for, found another in the path";
            return Err(Problem::new(ErrorCode::CallerForbidden, detail));
        }
        if let Some(most) = state.limits.concurrency {
            let before = state.in_flight.fetch_add(1, Ordering::Relaxed);
            turn.is_counted = true;
            if before >= most.get() {
                let detail = format!("expected at most {most} requests of this caller at once, found one more");
                return Err(Problem::new(ErrorCode::CallerConcurrency, detail));
            }
        }
        if state.rate.as_ref().is_some_and(|rate| rate.check().is_err()) {
            let detail = "expected this caller to keep to its limits.rate, found one request too early";
            return Err(Problem::new(ErrorCode::CallerRate, detail));
        }
        Ok(turn)
    }
}

impl CallerState {
    fn new(caller: &KnownCaller, metrics: &Metrics) -> Self {
        // A period of zero has no quota; the configuration has none.
        let quota = |rate: Rate| Some(Quota::with_period(rate.period)?.allow_burst(rate.burst));
        Self {
            name: caller.name.clone(),
            limits: caller.limits,
            in_flight: AtomicU32::new(0),
            rate: caller.limits.rate.and_then(quota).map(RateLimiter::direct),
            counters: metrics.caller(&caller.name),
        }
    }
}

impl<'c> Turn<'c> {
    /// Whose it is.
    pub(super) fn caller(&self) -> &'c str {
        &self.state.name
    }

    /// The request got its token.
    pub(super) fn issued(&mut self) {
        self.is_issued = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_counted {
            self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
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
        }
    }

    fn is_certificate_of(&self, names: &HolderNames) -> bool {
        matches!(self, Credential::Certificate(name) if names.include(name))
    }

    fn matches(&self, presented: &Presented) -> bool {
        let any =
            |secrets: &[Secret], word: &Secret| secrets.iter().fold(false, |found, secret| found | (secret == word));
        match (self, presented) {
            (Credential::Basic { username, passwords }, Presented::Basic { username: name, password }) => {
                (username == name) & any(passwords, password)
            }
            (Credential::Bearer(tokens), Presented::Bearer(presented)) => any(tokens, presented),
            _ => false,
        }
    }
}

impl Presented {
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

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.state.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use std::num::NonZeroU32;
    use std::time::Duration;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        map
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
        callers.authenticate(&headers(&[value]), None).unwrap().state.name.clone()
    }

    #[test]
    fn each_caller_is_known_by_any_of_its_own_credentials() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(name(&two(), &basic("oathkeeper:pa:ss")), "oathkeeper");
        assert_eq!(name(&two(), &basic("oathkeeper:next")), "oathkeeper");
        assert_eq!(name(&two(), "bearer t0ken"), "batch");
        assert_eq!(name(&two(), "Bearer t0ken-next"), "batch");
        assert!(Callers::default().is_empty() && !two().is_empty());
    }

    #[test]
    fn other_credentials_are_refused_without_being_quoted() {
        let token_as_basic = format!("Basic {}", STANDARD.encode("t0ken"));
        let password_as_bearer = "Bearer oathkeeper:pa:ss";
        for values in [
            &[][..],
            &["Bearer t0ke"],
            &["Bearer t0ken2"],
            &["Bearer"],
            &["Basic !!!"],
            &["Digest t0ken"],
            &[&token_as_basic],
            &[password_as_bearer],
            &["Bearer t0ken", "Bearer t0ken"],
        ] {
            let unknown = two().authenticate(&headers(values), None).unwrap_err();
            assert_eq!(unknown.problem.code, ErrorCode::CallerUnauthenticated);
            assert_eq!(unknown.is_attempt, !values.is_empty(), "who presents nothing guesses nothing");
            assert!(!unknown.problem.detail.contains("t0ke") && !unknown.problem.detail.contains("pa:ss"));
        }
    }

    #[test]
    fn limits_hold_across_generations_and_room_comes_back() {
        let rate = Rate { period: Duration::from_secs(3600), burst: NonZeroU32::new(3).unwrap() };
        let mut known = caller("a", KnownCredential::Bearer { tokens: vec![secret("t0ken")] });
        known.limits = CallerLimits { concurrency: NonZeroU32::new(2), rate: Some(rate) };
        known.profiles = Some(vec!["p".to_owned()]);
        let turn = |callers: &Callers, profile: &str| {
            let caller = callers.authenticate(&headers(&["Bearer t0ken"]), None).unwrap();
            caller.turn(profile).map(drop).map_err(|problem| problem.code)
        };
        let first = callers(&[known.clone()], None);
        assert_eq!(turn(&first, "q"), Err(ErrorCode::CallerForbidden));
        let held: Vec<_> = (0..2).map(|_| first.known[0].turn("p").unwrap()).collect();
        let second = callers(&[known.clone()], Some(&first));
        assert_eq!(turn(&second, "p"), Err(ErrorCode::CallerConcurrency));
        drop(held);
        assert_eq!([turn(&second, "p"), turn(&second, "p")], [Ok(()), Err(ErrorCode::CallerRate)]);
        known.limits.rate = Some(Rate { burst: NonZeroU32::new(1).unwrap(), ..rate });
        let third = callers(&[known], Some(&second));
        assert_eq!([turn(&third, "p"), turn(&third, "p")], [Ok(()), Err(ErrorCode::CallerRate)]);
    }
}
