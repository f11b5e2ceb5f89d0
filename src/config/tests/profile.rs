//! `profiles`.

use std::collections::BTreeSet;

use super::*;

#[test]
fn audience_must_not_repeat_an_entry() {
    assert_fault(
        "profiles: { a: { issuer: a, jwks: b, audience: [one, one] } }",
        &[],
        "profiles.a.audience: expected a non-empty list of distinct, non-empty strings, or one string, found a duplicate; \
         remove it (line 1, column 48)",
    );
}

#[test]
fn profile_name_must_not_be_reserved() {
    assert_fault(
        "profiles: { hydrate: { issuer: a, jwks: b } }",
        &[],
        "profiles.hydrate: expected a name that is not reserved for a path of the service or for partials, found \
         a reserved name; choose another name (line 1, column 13)",
    );
}

#[test]
fn relative_key_files_are_below_the_configuration_directory() {
    for (written, file) in [
        ("file://keys/x.json", "/etc/claimsmith/keys/x.json"),
        ("file:///abs/x.json", "/abs/x.json"),
        ("keys/x.json", "/etc/claimsmith/keys/x.json"),
        ("/abs/x.json", "/abs/x.json"),
    ] {
        let config = accepted(&format!("profiles: {{ id_token: {{ issuer: a, jwks: '{written}' }} }}"), &[]);
        assert_eq!(profile(&config).jwks, KeySource::File(file.into()));
    }
}

#[test]
fn key_urls_are_parsed_and_not_shown_in_errors() {
    for url in ["https://id.example/keys?canary", "s3://keys/a/b.json", "gs://keys/a", "azblob://keys/a"] {
        let config = accepted(&format!("profiles: {{ a: {{ issuer: a, jwks: '{url}' }} }}"), &[]);
        assert_eq!(config.remote_sources(), BTreeSet::from([RemoteSource::parse(url).unwrap()]));
        assert!(!format!("{config:?}").contains("canary"));
    }
    for url in ["https://u:canary@id.example/", "s3://canary", "base64://canary!", "vault://canary", "file://"] {
        let found = faults(&format!("profiles: {{ a: {{ issuer: a, jwks: '{url}' }} }}"), &[]).join("\n");
        assert!(!found.contains("canary"), "{found}");
    }
}

#[test]
fn placement_is_a_header_or_a_member() {
    let placement =
        |text: &str| profile(&accepted(&with_profile(&format!("placement: {text}")), &[])).spec.placement.clone();
    let header = |name: &str, scheme: Option<&str>| Placement::Header {
        name: HeaderName::parse(name).unwrap(),
        scheme: scheme.map(str::to_owned),
    };
    assert_eq!(placement("{ header: x-id-token }"), header("X-Id-Token", None));
    assert_eq!(placement("{ header: authorization }"), header("Authorization", Some("Bearer")));
    assert_eq!(placement("{ header: Authorization, scheme: '' }"), header("Authorization", None));
    assert_eq!(placement("{ header: X-A, scheme: Token }"), header("X-A", Some("Token")));
    assert_eq!(placement("{ extra: token }"), Placement::Extra("token".into()));
    assert_fault(
        &with_profile("placement: { extra: token, header: X }"),
        &[],
        "profiles.id_token.placement: expected exactly one of header, extra, found header and extra (line 5, column \
         25)",
    );
    assert_fault(
        &with_profile("placement: { scheme: Bearer }"),
        &[],
        "profiles.id_token.placement: expected exactly one of header, extra, found none of them (line 5, column 5)",
    );
    assert!(
        faults(&with_profile("placement: { extra: t, scheme: Bearer }"), &[])[0].contains("scheme only with header")
    );
    assert_fault(
        &with_profile("placement: { extra: expires_at }"),
        &[],
        "profiles.id_token.placement: expected a member of extra that expires_with does not read, found `expires_at`, \
         which the token would replace (line 5, column 16)",
    );
    let replaced = faults(&with_profile("placement: { extra: a }\n    subject: Extra.a.id"), &[]);
    assert!(replaced[0].contains("that subject does not read"), "{replaced:?}");
}

#[test]
fn token_type_is_a_media_type_without_parameters() {
    let with = |typ: &str| format!("{MINIMAL}    typ: {typ}\n");
    assert_eq!(profile(&accepted(&with("at+jwt"), &[])).spec.typ.as_str(), "at+jwt");
    let environment = [("CLAIMSMITH_PROFILES_ID_TOKEN_TYP", "at+jwt")];
    assert_eq!(profile(&accepted(MINIMAL, &environment)).spec.typ.as_str(), "at+jwt");
    let found = faults(&with("\"at+jwt; v=1\""), &[]);
    let expected =
        "profiles.id_token.typ: expected a media type without parameters, such as JWT or at+jwt, found the text";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

#[test]
fn keys_over_plain_http_cause_a_warning() {
    let warnings = |url: &str| {
        let text = format!("profiles: {{ a: {{ issuer: 'https://a.example/', jwks: '{url}' }} }}");
        parse(&text, &[]).unwrap().warnings.join("\n")
    };
    for url in ["http://keys.example/a?canary", "http://192.0.2.1/a", "http://[2001:db8::1]/a"] {
        let found = warnings(url);
        assert!(
            found.starts_with("jwks: private keys are fetched from http://") && !found.contains("canary"),
            "{found}"
        );
    }
    for url in ["https://keys.example/a", "http://127.0.0.1:1/a", "http://localhost/a", "http://[::1]/a", "s3://a/b"] {
        assert_eq!(warnings(url), "", "{url}");
    }
}
