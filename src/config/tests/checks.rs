//! The sections `sources` and `checks`, and the callers that can use them.

use std::time::Duration;

use super::*;
use crate::session::AssuranceLevel;
use crate::sources::{ClientCredential, CookieName, KeyOrigin, SourceKind};

/// A configuration with a proxy that can use the check, whose further settings are `check`.
fn with_check(check: &str) -> String {
    with(
        "kratos: { type: kratos, public: 'http://kratos:4433' }",
        &format!("sources: kratos, profile: id_token{check}"),
    )
}

fn with(sources: &str, check: &str) -> String {
    format!(
        "{MINIMAL}callers: [{{ name: proxy, networks: [10.0.0.0/8] }}]\nsources: {{ {sources} }}\nchecks: {{ web: {{ {check} }} }}\n"
    )
}

#[test]
fn check_and_source_have_their_defaults_and_settings() {
    let config = accepted(&with_check(""), &[]);
    let SourceKind::Kratos(kratos) = &config.sources["kratos"] else { panic!("another type") };
    assert_eq!((kratos.public.as_str(), kratos.timeout), ("http://kratos:4433/", Duration::from_secs(2)));
    assert_eq!(kratos.cookies, [CookieName::parse("ory_kratos_session").unwrap()]);
    assert_eq!(kratos.subject.to_string(), "identity.id");
    let check = &config.checks["web"];
    assert_eq!((check.sources.as_slice(), check.profile.as_str()), (&["kratos".to_owned()][..], "id_token"));
    assert!(!check.require.is_set() && check.login.is_none() && check.headers.is_empty());

    let text = with_check(
        ", require: { aal: aal2, max_auth_age: 15m }, login: 'https://id.example/login', \
         origins: ['https://a.example', 'https://b.example'], headers: { X-User-Id: sub, X-Email: a.b }",
    );
    let check = &accepted(&text, &[]).checks["web"];
    assert_eq!(check.require.level, Some(AssuranceLevel::Aal2));
    assert_eq!(check.require.max_age, Some(Duration::from_secs(900)));
    assert_eq!(check.login.as_ref().unwrap().origins.len(), 2);
    assert_eq!(check.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-user-id", "x-email"]);
}

#[test]
fn variables_override_sources_and_checks() {
    let environment = [
        ("CLAIMSMITH_SOURCES_KRATOS_TIMEOUT", "300ms"),
        ("CLAIMSMITH_CHECKS_WEB_REQUIRE_AAL", "aal1"),
        ("CLAIMSMITH_CHECKS_WEB_HEADERS", "{X-A: sub}"),
    ];
    let config = accepted(&with_check(""), &environment);
    let SourceKind::Kratos(kratos) = &config.sources["kratos"] else { panic!("another type") };
    assert_eq!(kratos.timeout, Duration::from_millis(300));
    let check = &config.checks["web"];
    assert_eq!((check.require.level, check.headers.len()), (Some(AssuranceLevel::Aal1), 1));
    assert_fault(
        &with_check(""),
        &[("CLAIMSMITH_SOURCES_OTHER_PUBLIC", "http://a")],
        "configuration: expected a key of one of the sources in the file (kratos), found an unknown variable (from \
         CLAIMSMITH_SOURCES_OTHER_PUBLIC)",
    );
}

#[test]
fn each_contradiction_is_an_error_with_its_path() {
    let kratos = "kratos: { type: kratos, public: 'http://k' }";
    let guest = "kratos: { type: kratos, public: 'http://k' }, guest: { type: anonymous }";
    for (sources, check, expected) in [
        ("kratos: { type: kratos }", "sources: kratos, profile: id_token", "sources.kratos.public: expected an http"),
        (
            "a: { type: other }",
            "sources: a, profile: id_token",
            "sources.a.type: expected one of anonymous, envoy_metadata, introspection, jwt, kratos",
        ),
        (
            "a: { type: envoy_metadata }",
            "sources: a, profile: id_token",
            "sources.a.key: expected text that is not empty, found nothing",
        ),
        (
            "a: { type: envoy_metadata, key: k }, b: { type: envoy_metadata, key: k, issuer: i }",
            "sources: [a, b], profile: id_token",
            "checks.web.sources: expected one source for metadata of envoy.filters.http.jwt_authn at k",
        ),
        (
            "a: { type: envoy_metadata, key: k }",
            "sources: a, profile: id_token, require: { aal: aal2 }",
            "checks.web.require: expected sources whose sessions say what aal is compared with",
        ),
        (kratos, "sources: kratos, profile: id_token, metadata: { 'a b': sub }", "checks.web.metadata: expected"),
        (
            "a: { type: anonymous, public: 'http://k' }",
            "sources: a, profile: id_token",
            "sources.a.public: expected only keys of this type of source (type, subject), found a key of another type",
        ),
        (
            "kratos: { type: kratos, public: 'http://k', cookies: 'a b' }",
            "sources: kratos, profile: id_token",
            "sources.kratos.cookies: ",
        ),
        (
            "kratos: { type: kratos, public: 'http://k', subject: 'a..b' }",
            "sources: kratos, profile: id_token",
            "sources.kratos.subject: ",
        ),
        (
            kratos,
            "sources: krato, profile: id_token",
            "checks.web.sources: expected a configured source (kratos; did you mean `kratos`?), found `krato`",
        ),
        (
            kratos,
            "sources: kratos, profile: id_tokn",
            "checks.web.profile: expected a configured profile (id_token; did you mean `id_token`?)",
        ),
        (kratos, "sources: kratos", "checks.web.profile: "),
        (
            "kratos: { type: kratos, public: 'http://k/sessions/whoami/' }",
            "sources: kratos, profile: id_token",
            "found one that ends with /sessions/whoami; remove that",
        ),
        (
            kratos,
            "sources: kratos, profile: id_token, login: 'https://l/', origins: [a.example]",
            "found `a.example`, which is no origin; write the scheme and the host",
        ),
        (
            kratos,
            "sources: kratos, profile: id_token, headers: { X_User: sub }",
            "checks.web.headers: expected a mapping of header names",
        ),
        (kratos, "sources: kratos, profile: id_token, headers: { Connection: sub }", "checks.web.headers: "),
        (kratos, "sources: kratos, profile: id_token, headers: { X-A: sub, x-a: sub }", "found `x-a` a second time"),
        (kratos, "sources: kratos, profile: id_token, headers: { Authorization: sub }", "checks.web.headers: "),
        (
            kratos,
            "sources: kratos, profile: id_token, origins: 'https://a.example'",
            "checks.web.origins: expected login beside origins",
        ),
        (
            kratos,
            "sources: kratos, profile: id_token, login: 'https://l', origins: 'https://a.example/b'",
            "checks.web.origins: ",
        ),
        (
            kratos,
            "sources: kratos, profile: id_token, require: { max_auth_age: 10ms }",
            "checks.web.require.max_auth_age: ",
        ),
        (
            guest,
            "sources: [kratos, guest], profile: id_token, require: { aal: aal1 }",
            "checks.web.require: expected no requirements",
        ),
        (
            guest,
            "sources: [guest, kratos], profile: id_token",
            "checks.web.sources: expected an anonymous source only as the last one",
        ),
    ] {
        let found = faults(&with(sources, check), &[]).join("\n");
        assert!(found.contains(expected), "{expected}\nnot in\n{found}");
    }
}

#[test]
fn sources_of_tokens_have_their_defaults_and_settings() {
    let sources = "hydra: { type: introspection, url: 'http://hydra/i', basic: { username: u, password_file: p }, cache: { ttl: 30s } }, \
                   partner: { type: jwt, issuer: 'https://idp.example/', audience: [a, b], algorithms: [ES256, EdDSA], \
                   assurance: { authenticated_at: auth_time, level: acr, aal2: mfa } }";
    let config = accepted(&with(sources, "sources: [hydra, partner], profile: id_token"), &[]);
    let SourceKind::Introspection(hydra) = &config.sources["hydra"] else { panic!("another type") };
    assert_eq!((hydra.subject.to_string().as_str(), hydra.timeout), ("sub", Duration::from_secs(2)));
    assert_eq!(hydra.own_issuers.len(), 1, "tokens of the profile are no sessions");
    assert!(hydra.audience.is_empty() && hydra.cache.is_some());
    let Some(ClientCredential::Basic { password, .. }) = &hydra.client else { panic!("another credential") };
    assert!(password.file.ends_with("p"));
    let SourceKind::Jwt(partner) = &config.sources["partner"] else { panic!("another type") };
    let KeyOrigin::Discovery(document) = &partner.keys else { panic!("another origin") };
    assert_eq!(document.to_string(), "https://idp.example/.well-known/openid-configuration");
    assert_eq!((partner.leeway, partner.typ.as_deref()), (Duration::from_secs(30), None));
    assert!(config.sources["partner"].knows_level() && config.sources["partner"].knows_age());
    assert!(!config.sources["hydra"].knows_level() && !config.sources["hydra"].knows_age());
}

#[test]
fn contradictions_of_sources_of_tokens_are_errors() {
    let jwt = "type: jwt, audience: a, algorithms: ES256, issuer";
    let check = "sources: s, profile: id_token";
    for (sources, check, expected) in [
        ("s: { type: introspection }".to_owned(), check, "sources.s.url: expected an http"),
        (
            "s: { type: introspection, url: 'http://i', basic: { username: u, password_file: p }, bearer: { token_file: t } }"
                .to_owned(),
            check,
            "sources.s.bearer: expected either basic or bearer, found both",
        ),
        ("s: { type: jwt, issuer: 'https://i', algorithms: ES256 }".to_owned(), check, "sources.s.audience: "),
        ("s: { type: jwt, issuer: 'https://i', audience: a }".to_owned(), check, "sources.s.algorithms: "),
        ("s: { type: jwt, issuer: i, audience: a, algorithms: HS256 }".to_owned(), check, "sources.s.algorithms: "),
        ("s: { type: jwt, issuer: i, audience: a, algorithms: none }".to_owned(), check, "sources.s.algorithms: "),
        (format!("s: {{ {jwt}: i }}"), check, "sources.s.issuer: expected an http or https URL for discovery"),
        (format!("s: {{ {jwt}: i, jwks: 's3://a/b' }}"), check, "sources.s.jwks: "),
        (format!("s: {{ {jwt}: i, jwks: k, leeway: 6m }}"), check, "sources.s.leeway: "),
        (format!("s: {{ {jwt}: i, jwks: k, assurance: {{ level: acr }} }}"), check, "sources.s.assurance.aal2: "),
        (format!("s: {{ {jwt}: i, jwks: k, assurance: {{ aal2: b }} }}"), check, "sources.s.assurance.level: "),
        (
            format!("s: {{ {jwt}: i, jwks: k }}"),
            "sources: s, profile: id_token, require: { aal: aal2, max_auth_age: 1m }",
            "checks.web.require: expected sources whose sessions say what aal and max_auth_age is compared with; set assurance of \
             the source, found the source `s`",
        ),
        (
            format!("s: {{ {jwt}: i, jwks: k, assurance: {{ level: acr, aal2: b }} }}"),
            "sources: s, profile: id_token, require: { aal: aal2, max_auth_age: 1m }",
            "checks.web.require: expected sources whose sessions say what max_auth_age is compared with",
        ),
        (
            "s: { type: introspection, url: 'http://i' }, t: { type: introspection, url: 'http://j' }".to_owned(),
            "sources: [s, t], profile: id_token",
            "checks.web.sources: expected one source for access tokens, because they do not say to which source they belong, \
             found `s` and `t`",
        ),
        (
            format!("s: {{ {jwt}: i, jwks: k }}, t: {{ {jwt}: i, jwks: l }}"),
            "sources: [s, t], profile: id_token",
            "checks.web.sources: expected one source for JWTs of i",
        ),
        (
            "s: { type: kratos, public: 'http://k' }, t: { type: kratos, public: 'http://l' }".to_owned(),
            "sources: [s, t], profile: id_token",
            "checks.web.sources: expected one source for session tokens of Kratos",
        ),
    ] {
        let found = faults(&with(&sources, check), &[]).join("\n");
        assert!(found.contains(expected), "{expected}\nnot in\n{found}");
    }
}

#[test]
fn keys_of_another_issuer_without_tls_are_a_warning() {
    let sources = "s: { type: jwt, issuer: 'http://idp.example', audience: a, algorithms: ES256 }";
    let text = with(sources, "sources: s, profile: id_token");
    let warnings = parse(&text, &[]).unwrap().warnings.join("\n");
    assert!(warnings.contains("sources.s: public keys are fetched from http://idp.example/"), "{warnings}");
}

#[test]
fn token_of_a_check_travels_in_a_header_without_underscores() {
    for (placement, expected) in [
        ("{ extra: token }", "checks.web.profile: expected a profile whose placement is a header"),
        ("{ header: X_Token }", "checks.web.profile: expected a profile whose header has no underscore"),
        ("{ header: Cache-Control }", "checks.web.profile: expected a profile whose header has no other meaning"),
        ("{ header: X-Request-Id }", "checks.web.profile: expected a profile whose header has no other meaning"),
    ] {
        let text = with_check("").replace("callers:", &format!("    placement: {placement}\ncallers:"));
        let found = faults(&text, &[]).join("\n");
        assert!(found.contains(expected), "{expected}\nnot in\n{found}");
    }
    let text = with_check(", headers: { X-Token: sub }");
    let text = text.replace("callers:", "    placement: { header: X-Token }\ncallers:");
    assert!(faults(&text, &[]).join("\n").contains("checks.web.headers: expected plain headers other than"));
}

#[test]
fn checks_need_a_caller_that_a_proxy_can_be() {
    for (caller, is_enough) in [
        ("networks: [10.0.0.0/8, 'fd00::/8']", true),
        ("header: { secret_file: s }", true),
        ("bearer: { token_file: t }", false),
        ("basic: { username: u, password_file: p }", false),
    ] {
        let text = with_check("").replace("networks: [10.0.0.0/8]", caller);
        let found = parse(&text, &[]).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(!found.contains("checks: expected a caller with `networks`"), is_enough, "{caller}: {found}");
    }
    for wrong in ["10.0.0.1/8", "10.0.0.0/33", "proxy.example"] {
        let text = with_check("").replace("10.0.0.0/8", wrong);
        assert!(faults(&text, &[]).join("\n").contains("callers[0].networks: "), "{wrong}");
    }
}

#[test]
fn cache_and_extension_of_a_source_are_validated() {
    let source = |keys: &str| {
        with(&format!("kratos: {{ type: kratos, public: 'http://k', {keys} }}"), "sources: kratos, profile: id_token")
    };
    let text = source("cache: { ttl: 30s }, admin: 'http://a', admin_token_file: key, extend: { below: 6h }");
    let config = accepted(&text, &[]);
    let SourceKind::Kratos(kratos) = &config.sources["kratos"] else { panic!("another type") };
    let cache = kratos.cache.unwrap();
    assert_eq!((cache.ttl.as_secs(), cache.stale_if_error.as_secs(), cache.size), (30, 0, 16 << 20));
    let extend = kratos.extend.as_ref().unwrap();
    assert_eq!((extend.below.as_secs(), extend.admin.as_str()), (6 * 3600, "http://a/"));
    assert_eq!(extend.token.as_ref().unwrap().file, Path::new("/etc/claimsmith/key"));
    for (keys, expected) in [
        ("cache: {}", "sources.kratos.cache.ttl: expected a duration"),
        ("cache: { ttl: 10ms }", "sources.kratos.cache.ttl: "),
        ("cache: { ttl: 30s, size: 1KiB }", "sources.kratos.cache.size: "),
        ("extend: { below: 6h }", "sources.kratos.admin: expected an http or https URL"),
        ("admin: 'http://a'", "sources.kratos.admin: expected extend beside admin, found no extend"),
        ("admin_token_file: key", "sources.kratos.admin_token_file: expected extend beside admin_token_file"),
    ] {
        let found = faults(&source(keys), &[]).join("\n");
        assert!(found.contains(expected), "{expected}\nnot in\n{found}");
    }
}
