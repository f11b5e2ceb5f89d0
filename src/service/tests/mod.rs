//! The issuer as a protocol adapter uses it, with a clock that the test sets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use uuid::Uuid;

use super::*;
use crate::claims::{Audience, Grant, Issuer as IssuerName, JwtId, RegisteredInTemplate, Scope, SessionExpiry};
use crate::code::ErrorCode;
use crate::config::{CallerLimits, KnownCaller, KnownCredential};
use crate::json::{Json, ReadLimits};
use crate::keys::{self, KeyId, SignatureAlg, TokenType};
use crate::mint::{Caching, GenerationParts, Mint, Placement, ProfileName, ProfileSpec, TemplateFiles, Validate};
use crate::secret::Secret;
use crate::session::{SessionParts, SessionPath};
use crate::sources::Sources;
use crate::telemetry::Metrics;
use crate::templates::{Missing, Syntax, TemplateName, TemplateText};
use crate::time::{Clock, Timestamp, Ttl};
use crate::tls::{Tls, TlsText};

mod metrics;
mod published;
mod token_cache;

const START: i64 = 1_800_000_000;

#[derive(Debug)]
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// Returns a different identifier for each token, so that a test can distinguish tokens.
fn next_id() -> JwtId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // The last bytes stay zero, so that all tokens have an equal spread.
    JwtId::new(Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 64))
}

/// A profile `p` with a lifetime of 100 seconds.
fn profile() -> ProfileSpec {
    ProfileSpec {
        name: ProfileName::parse("p").unwrap(),
        issuer: IssuerName::parse("https://issuer.example/").unwrap(),
        key_set: "keys".to_owned(),
        alg: None,
        typ: TokenType::JWT,
        ttl: Ttl::new(Duration::from_secs(100)).unwrap(),
        audience: Audience::new(vec!["orders".to_owned()]),
        template: TemplateName::parse("t").unwrap(),
        placement: Placement::Extra("token".to_owned()),
        missing: Missing::Error,
        expires_with: SessionExpiry::IfPresent(SessionPath::parse("Extra.expires_at").unwrap()),
        subject: SessionPath::subject(),
        allow_empty_subject: false,
        registered_claims: RegisteredInTemplate::Refuse,
        validate: Validate::Recorded,
        cache: Caching::On,
        shadow: false,
    }
}

fn key_set(kid: &str) -> String {
    keys::generate(SignatureAlg::Es256, None, &KeyId::parse(kid).unwrap()).unwrap().to_set().to_owned()
}

fn generation(profile: ProfileSpec, key_set: &str, callers: &[KnownCaller]) -> ServedGeneration {
    generation_of(vec![profile], key_set, callers)
}

fn generation_of(profiles: Vec<ProfileSpec>, key_set: &str, callers: &[KnownCaller]) -> ServedGeneration {
    let text = TemplateText { name: "t".to_owned(), text: r#"{"email": {{Extra.email}}}"#.to_owned() };
    let template = TemplateFiles { syntax: Syntax::Handlebars, text, schema: None, cases: Vec::new() };
    let parts = GenerationParts {
        profiles,
        key_sets: BTreeMap::from([("keys".to_owned(), key_set.as_bytes().to_vec().into())]),
        templates: BTreeMap::from([("t".to_owned(), template)]),
        ..GenerationParts::default()
    };
    let (mint, _) = Mint::build(&parts, Timestamp::from_seconds(START)).unwrap();
    ServedGeneration {
        mint: Arc::new(mint),
        sources: None,
        callers: Callers::new(callers, None, &Metrics::new()),
        session_sources: Sources::default(),
        checks: BTreeMap::new(),
        client_authority: None,
        limits: ServiceLimits {
            body: 1 << 20,
            depth: 32,
            header: 1 << 16,
            request: Duration::from_secs(5),
            in_flight: 2,
            failed_attempts: 10,
            failed_delay: Duration::ZERO,
        },
        public_url: None,
        jwks_max_age: 300,
    }
}

struct Service {
    issuer: Issuer,
    clock: Arc<TestClock>,
}

impl Service {
    fn new(generation: ServedGeneration) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let issuer = Issuer::new(IssuerParts {
            generation,
            recorder: Recorder::new(Arc::new(Metrics::new()), None, None),
            cache_bytes: 1 << 20,
            workers: 1,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            jwt_id: next_id,
        });
        Self { issuer, clock }
    }

    fn standard() -> Self {
        Self::new(generation(profile(), &key_set("first"), &[]))
    }

    async fn issue_to(&self, peer: &Peer<'_>, profile: &str, body: &str) -> Result<Outcome, Refusal> {
        let generation = self.issuer.current();
        let permit = self.issuer.admit(&generation, peer, profile).await?;
        let (admitted, _) = permit.read_posted(body.as_bytes())?;
        self.issuer.issue(admitted).await
    }

    /// Issues a token to a peer without credentials. Waits for it, because on a busy host a key can seem slow, and then
    /// another thread signs.
    fn issue(&self, body: &str) -> Result<Outcome, Refusal> {
        block_on(self.issue_to(&anyone(), "p", body))
    }

    fn issue_granted(&self, body: &str, grant: Grant) -> Result<Outcome, Refusal> {
        let issued = async {
            let generation = self.issuer.current();
            let permit = self.issuer.admit(&generation, &anyone(), "p").await?;
            let (admitted, _) = permit.read_posted(body.as_bytes())?;
            self.issuer.issue(admitted.with_grant(grant)).await
        };
        block_on(issued)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn anyone() -> Peer<'static> {
    Peer { address: None, transport: Transport::Plain, credentials: Credentials::None, secrets: Vec::new() }
}

const SESSION: &str = r#"{"subject":"zoe","extra":{"email":"zoe@example.org"}}"#;

fn jti(outcome: &Result<Outcome, Refusal>) -> JwtId {
    outcome.as_ref().unwrap().token.jti
}

fn claims(outcome: &Outcome) -> Json<'static> {
    use base64::Engine as _;
    let payload = outcome.token.jws.as_str().split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    Json::parse(&bytes, ReadLimits::default()).unwrap().into_owned()
}

fn code(result: Result<Outcome, Refusal>) -> ErrorCode {
    result.unwrap_err().code
}

#[test]
fn cached_token_is_served_until_a_tenth_of_its_lifetime_is_left() {
    let service = Service::standard();
    let first = service.issue(SESSION);
    assert_eq!(first.as_ref().unwrap().cache, CacheUse::Miss);
    assert_eq!(first.as_ref().unwrap().expires_in(), 100);
    service.clock.advance(89);
    let second = service.issue(SESSION);
    assert_eq!((jti(&second), second.as_ref().unwrap().cache), (jti(&first), CacheUse::Hit));
    assert_eq!(second.unwrap().expires_in(), 11);
    service.clock.advance(1);
    let third = service.issue(SESSION);
    assert_ne!(jti(&third), jti(&first));
    assert_eq!(third.unwrap().expires_in(), 100);
}

#[test]
fn token_is_capped_by_the_session_and_refused_after_its_end() {
    let service = Service::standard();
    let session = format!(r#"{{"subject":"zoe","extra":{{"email":"z","expires_at":{}}}}}"#, START + 30);
    assert_eq!(service.issue(&session).unwrap().expires_in(), 30);
    service.clock.advance(29);
    let last = service.issue(&session).unwrap();
    assert_eq!((last.expires_in(), last.cache), (1, CacheUse::Hit), "no other token would live longer");
    service.clock.advance(1);
    assert_eq!(code(service.issue(&session)), ErrorCode::SessionExpired);
}

#[test]
fn different_sessions_never_share_a_token() {
    let service = Service::standard();
    let mut seen = Vec::new();
    for session in [
        SESSION,
        r#"{"subject":"zoe","extra":{"email":"eve@example.org"}}"#,
        r#"{"subject":"eve","extra":{"email":"zoe@example.org"}}"#,
        r#"{"subject":"zoe","extra":{"email":null}}"#,
    ] {
        let outcome = service.issue(session);
        assert!(!seen.contains(&jti(&outcome)), "{session}");
        seen.push(jti(&outcome));
    }
    let unread = r#"{"subject":"zoe","extra":{"email":"zoe@example.org","unread":1},"header":{"A":["b"]}}"#;
    assert_eq!(jti(&service.issue(unread)), seen[0], "what the template does not read makes no other token");
}

#[test]
fn session_in_parts_gets_the_token_of_the_posted_session() {
    let service = Service::standard();
    let posted = service.issue(SESSION);
    let generation = service.issuer.current();
    let from_parts = async {
        let permit = service.issuer.admit(&generation, &anyone(), "p").await?;
        let extra = Some(r#"{"email":"zoe@example.org"}"#);
        let parts = SessionParts { subject: "zoe".into(), extra, ..SessionParts::default() };
        service.issuer.issue(permit.read_parts(parts)?).await
    };
    let from_parts = block_on(from_parts);
    assert_eq!(jti(&from_parts), jti(&posted));
    assert_eq!(from_parts.unwrap().cache, CacheUse::Hit);
}

#[test]
fn grant_decides_claims_and_its_token_is_not_shared() {
    let service = Service::standard();
    let plain = service.issue(SESSION);
    assert_eq!(claims(plain.as_ref().unwrap()).member("aud").unwrap().to_string(), r#"["orders"]"#);
    let grant =
        Grant { audience: Audience::new(vec!["billing".to_owned()]), scope: Scope::parse("read"), ..Grant::default() };
    let granted = service.issue_granted(SESSION, grant.clone());
    assert_ne!(jti(&granted), jti(&plain));
    let payload = claims(granted.as_ref().unwrap());
    assert_eq!(payload.member("aud").unwrap().to_string(), r#"["billing"]"#);
    assert_eq!(payload.member("scope").unwrap().to_string(), "\"read\"");
    assert_eq!(jti(&service.issue_granted(SESSION, grant)), jti(&granted));
    assert_eq!(jti(&service.issue(SESSION)), jti(&plain));
}

#[test]
fn profile_without_cache_signs_every_token() {
    let service = Service::new(generation(ProfileSpec { cache: Caching::Off, ..profile() }, &key_set("k"), &[]));
    let (first, second) = (service.issue(SESSION), service.issue(SESSION));
    assert_ne!(jti(&first), jti(&second));
    assert_eq!(second.unwrap().cache, CacheUse::Off);
}

#[test]
fn new_key_or_changed_profile_gets_new_tokens_at_once() {
    let service = Service::standard();
    let first = service.issue(SESSION);
    service.issuer.replace(generation(profile(), &key_set("second"), &[]), 1 << 20);
    let second = service.issue(SESSION);
    assert_eq!(second.as_ref().unwrap().token.kid.as_str(), "second");
    assert_ne!(jti(&first), jti(&second));
    let longer = ProfileSpec { ttl: Ttl::new(Duration::from_secs(200)).unwrap(), ..profile() };
    service.issuer.replace(generation(longer, &key_set("second"), &[]), 1 << 20);
    assert_eq!(service.issue(SESSION).unwrap().expires_in(), 200);
}

#[test]
fn request_in_flight_keeps_the_generation_that_it_took() {
    let service = Service::standard();
    let generation_before = service.issuer.current();
    let issued = async {
        let permit = service.issuer.admit(&generation_before, &anyone(), "p").await?;
        service.issuer.replace(generation(profile(), &key_set("second"), &[]), 1 << 20);
        let (admitted, _) = permit.read_posted(SESSION.as_bytes())?;
        service.issuer.issue(admitted).await
    };
    let outcome = block_on(issued).unwrap();
    assert_eq!(outcome.token.kid.as_str(), "first");
}

#[test]
fn equal_requests_at_the_same_time_share_one_signature() {
    let mut generation = generation(profile(), &key_set("slow"), &[]);
    generation.limits.in_flight = 50;
    // A key that was seen to be slow signs on another thread, so that requests overlap.
    let signer = generation.mint.profile("p").unwrap().keys().signing_keys().next().unwrap();
    signer.note_pace(Duration::from_millis(50));
    assert!(signer.is_slow());
    let service = Service::new(generation);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcomes = runtime.block_on(join_all((0..50).map(|_| service.issue_to(&ANYONE, "p", SESSION))));
    let signed = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().cache == CacheUse::Miss).count();
    assert_eq!(signed, 1);
    assert!(outcomes.iter().all(|outcome| jti(outcome) == jti(&outcomes[0])));
}

static ANYONE: Peer<'static> =
    Peer { address: None, transport: Transport::Plain, credentials: Credentials::None, secrets: Vec::new() };

#[test]
fn slots_are_limited_and_return() {
    let service = Service::standard();
    let generation = service.issuer.current();
    let admit = || service.issuer.admit(&generation, &ANYONE, "p").now_or_never().unwrap();
    let (first, second) = (admit().unwrap(), admit().unwrap());
    assert_eq!(service.issuer.admission().in_flight(), 2);
    assert_eq!(admit().unwrap_err().code, ErrorCode::ServiceOverloaded);
    drop(first);
    assert!(service.issue(SESSION).is_ok());
    drop(second);
    assert_eq!(service.issuer.admission().in_flight(), 0);
}

#[test]
fn unknown_profile_is_refused_after_admission() {
    let service = Service::standard();
    let issued = service.issue_to(&ANYONE, "q", SESSION).now_or_never().unwrap();
    assert_eq!(code(issued), ErrorCode::ProfileUnknown);
    // An invalid body is not read before that.
    let issued = service.issue_to(&ANYONE, "q", "{").now_or_never().unwrap();
    assert_eq!(code(issued), ErrorCode::ProfileUnknown);
}

#[test]
fn caller_is_authenticated_before_its_profiles_are_checked() {
    let credential = KnownCredential::Bearer { tokens: vec![Secret::new(b"t0ken".to_vec())] };
    let caller = KnownCaller {
        name: "gateway".to_owned(),
        credential,
        profiles: Some(vec!["p".to_owned()]),
        limits: CallerLimits::default(),
    };
    let service = Service::new(generation(profile(), &key_set("k"), &[caller]));
    let issue = |credentials, profile| {
        let peer = Peer { address: None, transport: Transport::Plain, credentials, secrets: Vec::new() };
        block_on(service.issue_to(&peer, profile, SESSION))
    };
    assert_eq!(code(issue(Credentials::None, "p")), ErrorCode::CallerUnauthenticated);
    assert_eq!(code(issue(Credentials::Several, "p")), ErrorCode::CallerUnauthenticated);
    assert_eq!(code(issue(Credentials::Authorization(b"Bearer other"), "q")), ErrorCode::CallerUnauthenticated);
    assert_eq!(code(issue(Credentials::Authorization(b"Bearer t0ken"), "q")), ErrorCode::CallerForbidden);
    let outcome = issue(Credentials::Authorization(b"Bearer t0ken"), "p").unwrap();
    assert_eq!(outcome.caller.unwrap().as_str(), "gateway");
}

#[test]
fn claims_without_a_signature_need_no_key() {
    let pending = key_set("later").replace("\"kty\"", &format!("\"nbf\":{},\"kty\"", START + 1000));
    let service = Service::new(generation(profile(), &pending, &[]));
    assert_eq!(code(service.issue(SESSION)), ErrorCode::KeyUnavailable);
    let unsigned = |body: &str| {
        let generation = service.issuer.current();
        let permit = service.issuer.admit(&generation, &ANYONE, "p").now_or_never().unwrap()?;
        let (admitted, _) = permit.read_posted(body.as_bytes())?;
        service.issuer.unsigned_claims(admitted)
    };
    let claims = unsigned(SESSION).unwrap();
    assert_eq!((claims.subject.as_str(), claims.claims.as_str()), ("zoe", r#"{"email":"zoe@example.org"}"#));
    assert_eq!(claims.ends_by, None);
    let inactive = r#"{"subject":"zoe","extra":{"email":"z","active":false}}"#;
    assert_eq!(unsigned(inactive).unwrap_err().code, ErrorCode::SessionInactive);
    let anonymous = r#"{"subject":"","extra":{"email":"z"}}"#;
    assert_eq!(unsigned(anonymous).unwrap_err().code, ErrorCode::SessionEmptySubject);
}

#[test]
fn depth_limit_of_the_generation_applies_to_sessions() {
    let mut generation = generation(profile(), &key_set("k"), &[]);
    generation.limits.depth = 3;
    let service = Service::new(generation);
    let nested = |value: &str| format!(r#"{{"subject":"zoe","extra":{{"email":"z","a":{value}}}}}"#);
    assert!(service.issue(&nested("[]")).is_ok());
    assert_eq!(code(service.issue(&nested("[[]]"))), ErrorCode::SessionDepth);
}

#[test]
fn requests_let_others_come_first_only_if_there_is_an_excess() {
    let service = Service::standard();
    let generation = service.issuer.current();
    block_on(async {
        for (connections, waits) in [(1, false), (2, false), (3, true)] {
            service.issuer.admission().connections.store(connections, Ordering::Relaxed);
            let mut admit = std::pin::pin!(service.issuer.admit(&generation, &ANYONE, "p"));
            let first = admit.as_mut().now_or_never();
            assert_eq!(first.is_none(), waits, "{connections} connections, 2 slots");
            if first.is_none() {
                assert!(admit.await.is_ok());
            }
        }
    });
}

#[test]
fn permit_and_callers_show_names_and_no_secret() {
    let credential = KnownCredential::Bearer { tokens: vec![Secret::new(b"t0ken".to_vec())] };
    let caller =
        KnownCaller { name: "gateway".to_owned(), credential, profiles: None, limits: CallerLimits::default() };
    let service = Service::new(generation(profile(), &key_set("k"), &[caller]));
    let generation = service.issuer.current();
    let credentials = Credentials::Authorization(b"Bearer t0ken");
    let peer = Peer { address: None, transport: Transport::Plain, credentials, secrets: Vec::new() };
    assert_eq!(format!("{credentials:?}"), "Authorization");
    assert_eq!(format!("{:?} {:?}", Credentials::None, Credentials::Several), "None Several");
    let permit = block_on(service.issuer.admit(&generation, &peer, "p")).unwrap();
    assert_eq!(format!("{permit:?}"), "Permit { caller: Some(CallerPermit(CallerName(\"gateway\"))), .. }");
    assert_eq!(format!("{:?}", permit.caller().unwrap()), "CallerName(\"gateway\")");
    assert_eq!(format!("{:?}", generation.callers), "[CallerName(\"gateway\")]");
    let id = RequestId::new(Uuid::from_u128(7));
    assert_eq!(id.to_string(), "00000000-0000-0000-0000-000000000007");
}

#[test]
fn listener_that_requires_certificates_admits_nobody_without_one() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["id.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (pem, key) = (certificate.pem(), key.serialize_pem());
    let admit = |is_required, transport| {
        let text = TlsText {
            certificates: pem.as_bytes(),
            key: key.as_bytes(),
            client_ca: Some((pem.as_bytes(), is_required)),
        };
        let (tls, _) = Tls::parse(&text, Timestamp::from_seconds(START)).unwrap();
        let mut generation = generation(profile(), &key_set("k"), &[]);
        generation.client_authority = tls.authority().cloned();
        let service = Service::new(generation);
        let peer = Peer { address: None, transport, credentials: Credentials::None, secrets: Vec::new() };
        block_on(service.issue_to(&peer, "p", SESSION)).map(drop).map_err(|refusal| refusal.code)
    };
    assert_eq!(admit(true, Transport::Tls { client: None }), Err(ErrorCode::CallerUnauthenticated));
    assert_eq!(admit(false, Transport::Tls { client: None }), Ok(()));
    assert_eq!(admit(true, Transport::Plain), Ok(()), "a listener without TLS checks no certificates");
}
