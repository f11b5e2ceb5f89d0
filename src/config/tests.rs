//! The configuration as a whole: what is accepted, and every way in which it is not.

use proptest::prelude::*;

use super::caller::{Credential, SecretSource};
use super::fault::Faults;
use super::field::{Field, Kind, Presence, Section, size_text};
use super::limits::Limits;
use super::log::Log;
use super::root::ROOT;
use super::serve::ClientCa;
use super::yaml::{self, Node, Quoting, Value};
use super::*;
use crate::claims::{Audience, Issuer, RegisteredInTemplate, SessionExpiry};
use crate::keys::TokenType;
use crate::mint::{Caching, HeaderName, Placement, ProfileSpec, Validate};
use crate::remote::RemoteSource;
use crate::secret::Secret;
use crate::session::SessionPath;
use crate::templates::{Missing, TemplateName};
use crate::time::Ttl;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

#[path = "../../tests/section.rs"]
mod section;

const MINIMAL: &str = "profiles:\n  id_token:\n    issuer: https://id.example.org/\n    jwks: file://keys/a.json\n";

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(text, Path::new("/etc/claimsmith"), &environment)
}

#[track_caller]
fn accepted(text: &str, environment: &[(&str, &str)]) -> Config {
    match parse(text, environment) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let error = parse(text, environment).expect_err("a configuration with faults");
    error.faults().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_fault(text: &str, environment: &[(&str, &str)], expected: &str) {
    let found = faults(text, environment);
    assert!(found.iter().any(|fault| fault == expected), "{expected}\nnot in\n{}", found.join("\n"));
}

fn with_profile(line: &str) -> String {
    format!("{MINIMAL}    {line}\n")
}

fn profile(config: &Config) -> &Profile {
    &config.profiles["id_token"]
}

#[test]
fn the_least_configuration_has_every_default() {
    let loaded = parse(MINIMAL, &[]).unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    let config = loaded.config;
    assert_eq!(config.serve.api, Listener { host: Host::parse("127.0.0.1").unwrap(), port: 4477 });
    assert_eq!(config.serve.admin.port, 4478);
    assert_eq!(config.serve.shutdown_timeout, Duration::from_secs(25));
    assert_eq!(config.serve.shutdown_delay, Duration::ZERO);
    assert_eq!(config.serve.workers, None);
    let limits = Limits {
        body: 1 << 20,
        depth: 192,
        claims: 64 << 10,
        template_work: 100_000,
        header: 64 << 10,
        request: Duration::from_secs(5),
        connections: 1024,
        connections_per_peer: 1024,
        token_cache: 32 << 20,
        in_flight: 1024,
        failed_attempts: 20,
        failed_delay: Duration::from_millis(250),
        keep_alive: Duration::from_secs(120),
        key_set: 1 << 20,
        key_fetch: Duration::from_secs(10),
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.templates, Path::new("/etc/claimsmith/templates"));
    assert_eq!(config.log, Log { level: LogLevel::Info, format: LogFormat::Json });
    assert_eq!((&config.audit, &config.traces), (&None, &None));
    assert_eq!(config.public_url, None);
    let path = SessionPath::parse("Extra.expires_at").unwrap();
    let jwks = KeySource::File("/etc/claimsmith/keys/a.json".into());
    let (name, issuer) = (ProfileName::parse("id_token").unwrap(), Issuer::parse("https://id.example.org/").unwrap());
    let spec = ProfileSpec {
        name: name.clone(),
        issuer: issuer.clone(),
        key_set: config.key_names()[&jwks].clone(),
        alg: None,
        typ: TokenType::JWT,
        ttl: Ttl::new(Duration::from_secs(900)).unwrap(),
        audience: None,
        template: TemplateName::parse("id_token").unwrap(),
        placement: Placement::Header { name: HeaderName::authorization(), scheme: Some("Bearer".into()) },
        missing: Missing::Error,
        expires_with: SessionExpiry::IfPresent(path),
        subject: SessionPath::subject(),
        allow_empty_subject: false,
        registered_claims: RegisteredInTemplate::Refuse,
        validate: Validate::Recorded,
        cache: Caching::On,
    };
    let expected = Profile { jwks: jwks.clone(), spec: spec.clone() };
    assert_eq!(profile(&config), &expected);
    let defaults = Profile::with_defaults(name, issuer, jwks).unwrap();
    assert_eq!(defaults.spec, ProfileSpec { key_set: String::new(), ..spec });
}

#[test]
fn the_design_documents_example_is_accepted() {
    let text = r#"
serve:
  api:   { host: 127.0.0.1, port: 4477 }
  admin: { host: 127.0.0.1, port: 4478 }
profiles:
  id_token:
    issuer: http://127.0.0.1:4455/
    jwks: file://keys/id_token.jwks.json
    ttl: 15m
    audience: [orders, billing]
    template: session
    placement: { header: Authorization, scheme: Bearer }
    missing: error
    expires_with: Extra.expires_at
callers:
  - { name: oathkeeper, basic: { username: oathkeeper, password_file: /run/secrets/oathkeeper } }
"#;
    let config = accepted(text, &[]);
    assert_eq!(profile(&config).spec.audience, Audience::new(vec!["orders".to_owned(), "billing".to_owned()]));
    assert!(matches!(profile(&config).spec.expires_with, SessionExpiry::Required(_)));
    let passwords = vec![SecretSource::File("/run/secrets/oathkeeper".into())];
    assert_eq!(config.callers[0].credential, Credential::Basic { username: "oathkeeper".into(), passwords });
    assert_eq!((&config.callers[0].profiles, config.callers[0].limits), (&None, CallerLimits::default()));
}

#[test]
fn files_from_windows_are_read() {
    accepted(&format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n")), &[]);
}

#[test]
fn json_is_a_configuration_too() {
    let config = accepted(r#"{"profiles": {"a": {"issuer": "x", "jwks": "k.json"}}, "log": {"format": "text"}}"#, &[]);
    assert_eq!(config.log.format, LogFormat::Text);
}

#[test]
fn every_fault_is_told_at_once_from_top_to_bottom() {
    let text = "\
serve:
  api: { host: 127.0.0.1, prot: 1 }
  workers: many
limits:
  body: 12MB
  request: 5
profiles:
  id token:
    issuer: 12
  b:
    isuer: x
    jwks: https://u:hunter2@example.org/keys
    ttl: 10ms
    audience: []
    alg: none
    placement: { header: Content-Length }
    missing: null
    expires_with: Subject
callers:
  - name: a
    basic: { username: 'x:y', password: hunter2 }
  - { name: a, bearer: hunter2 }
log: { level: verbose }
extra: 1
public_url: example.org
";
    let expected = [
        "serve.api.prot: expected a known key (did you mean `port`?), found an unknown one (line 2, column 27)",
        "serve.workers: expected a whole number from 0 to 1024, found the text `many` (line 3, column 12)",
        "limits.body: expected a size from 1KiB to 256MiB, such as 64KiB, found the text `12MB` (line 5, column 9)",
        "limits.request: expected a duration of 10ms or more, such as 5s, found the number `5` (line 6, column 12)",
        "profiles.id token: expected a name of up to 128 letters, digits, `_`, `-` and `.`, starting with a letter, \
         digit or `_`, found an invalid name (line 8, column 3)",
        "profiles.id token.jwks: expected a JWK Set: its path, or its file, base64, http, https, s3, gs or azblob URL, found \
         nothing (line 8, column 3)",
        "profiles.id token.issuer: expected text that is not empty, found a number, which is text only in quotes \
         (line 9, column 13)",
        "profiles.b.issuer: expected text that is not empty, found nothing (line 10, column 3)",
        "profiles.b.isuer: expected a known key (did you mean `issuer`?), found an unknown one (line 11, column 5)",
        "profiles.b.jwks: expected a JWK Set: its path, or its file, base64, http, https, s3, gs or azblob URL, found a https:// URL with \
         a user or a password (line 12, column 11)",
        "profiles.b.ttl: expected a duration of 1s or more, such as 15m or 1h30m, found the text `10ms` \
         (line 13, column 10)",
        "profiles.b.audience: expected a list of text that is not empty, found an empty list (line 14, column 15)",
        "profiles.b.alg: expected one of EdDSA, ES256, ES256K, ES384, ES512, HS256, HS384, HS512, PS256, PS384, PS512, \
         RS256, RS384, RS512, found the text `none` (line 15, column 10)",
        "profiles.b.placement.header: expected a header name that a token may travel in, such as Authorization or \
         X-Id-Token, found the text `Content-Length` (line 16, column 26)",
        "profiles.b.missing: expected one of error, as_null, omit, found nothing (line 17, column 14)",
        "profiles.b.expires_with: expected a dotted path that starts with `Extra.`, or none, found the text `Subject` \
         (line 18, column 19)",
        "callers[0].basic.username: expected a user name without a colon, found the text (line 21, column 24)",
        "callers[0].basic.password: expected a file that `password_file` names, or an environment variable, \
         found the secret in the configuration file (line 21, column 41)",
        "callers[1].name: expected each name once, found `a` a second time (line 22, column 13)",
        "callers[1].bearer: expected a mapping, found the text (line 22, column 24)",
        "log.level: expected one of error, warn, info, debug, trace, found the text `verbose` (line 23, column 15)",
        "extra: expected one of the keys serve, limits, templates, profiles, callers, reload, rotation, jwks_max_age, log, audit, traces, public_url, found an \
         unknown \
         one (line 24, column 1)",
        "public_url: expected an http or https URL without user, query or fragment, such as \
         https://tokens.example.org, found the text `example.org` (line 25, column 13)",
    ];
    let found = faults(text, &[]);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
    assert!(!found.join("\n").contains("hunter2"));
}

#[test]
fn an_empty_configuration_lacks_profiles() {
    for text in ["", "# nothing yet\n", "---\n", "{}"] {
        let found = faults(text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("profiles: expected a mapping of profile names, found nothing"), "{found:?}");
    }
    assert_fault(
        "profiles: {}",
        &[],
        "profiles: expected a mapping of at least one profile, by name, found none (line 1, column 11)",
    );
    assert_fault("[1]", &[], "configuration: expected a mapping, found a list (line 1, column 1)");
}

#[test]
fn a_profile_may_not_be_called_like_a_path() {
    assert_fault(
        "profiles: { hydrate: { issuer: a, jwks: b } }",
        &[],
        "profiles.hydrate: expected a name that is not reserved for a path of the service or for partials, found a reserved name (line 1, column 13)",
    );
}

#[test]
fn key_files_are_relative_to_the_configuration_unless_absolute() {
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
fn keys_on_the_network_are_named_by_urls_that_errors_do_not_show() {
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
fn a_rotation_that_would_lose_tokens_is_refused_with_the_place() {
    let with = |rotation: &str| {
        format!("profiles: {{ a: {{ issuer: a, jwks: k.json, ttl: 2h }} }}\njwks_max_age: 10m\nrotation: {rotation}")
    };
    let config = accepted(&with("{ every: 720h, lead: 1h }"), &[]);
    let hour = Duration::from_secs(3600);
    assert_eq!(config.rotation, Some(Rotation { every: 720 * hour, lead: hour, retire: None }));
    assert_eq!(
        faults(&with("{ lead: 10m }"), &[]),
        ["rotation.lead: expected longer than jwks_max_age, which is 600s, found 600s (line 3, column 19)"]
    );
    assert_eq!(
        faults(&with("{ retire: 119m }"), &[]),
        [
            "rotation.retire: expected at least the longest ttl of the profiles, which is 7200s, found 7140s (line 3, column 21)"
        ]
    );
    assert_eq!(
        faults(&with("{ every: 1h, lead: 1h }"), &[]),
        ["rotation.every: expected longer than lead, which is 3600s, found 3600s (line 3, column 20)"]
    );
    let elsewhere = "profiles: { a: { issuer: a, jwks: 's3://b/k' } }\nrotation: {}";
    assert_eq!(
        faults(elsewhere, &[]),
        ["rotation: expected a profile whose keys are in a file, found none (line 2, column 1)"]
    );
    let short = Config::parse(&with("{ lead: 11m }"), Path::new("/etc"), &[]).unwrap();
    assert!(short.warnings[0].starts_with("rotation.lead: 660s is less than 240s above"), "{:?}", short.warnings);
}

#[test]
fn placements_are_a_header_or_a_member() {
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
fn an_address_that_everyone_reaches_needs_a_decision() {
    let open = format!("serve: {{ api: {{ host: 0.0.0.0 }} }}\n{MINIMAL}");
    let found = faults(&open, &[]);
    assert_eq!(
        found,
        ["serve.api.host: expected a loopback address such as 127.0.0.1, or `callers`, or `client_auth: required` \
         below `tls`, or `allow_unauthenticated: true` if another component authenticates clients, found `0.0.0.0`, \
         which other hosts can reach, without callers (line 1, column 23)"]
    );
    let allowed = parse(&open, &[("CLAIMSMITH_SERVE_API_ALLOW_UNAUTHENTICATED", "true")]).unwrap();
    assert!(allowed.warnings[0].contains("anyone who can reach 0.0.0.0:4477"));
    let callers = "[{name: a, bearer: {token_file: t}}]";
    accepted(&open, &[("CLAIMSMITH_CALLERS", callers)]);
    assert_eq!(faults(&open, &[("CLAIMSMITH_CALLERS", "[]")]).len(), 1);
    let both = [("CLAIMSMITH_CALLERS", callers), ("CLAIMSMITH_SERVE_API_ALLOW_UNAUTHENTICATED", "true")];
    assert!(faults(&open, &both)[0].contains("false with callers"));
    assert_eq!(faults(&format!("{open}callers: 1\n"), &[]).len(), 1);
    assert_eq!(faults(&open, &[("CLAIMSMITH_SERVE_WORKERS", "many")]).len(), 2);
}

#[test]
fn two_listeners_need_two_ports() {
    assert_fault(
        &format!("serve: {{ admin: {{ port: 4477 }} }}\n{MINIMAL}"),
        &[],
        "serve.admin.port: expected a port other than the port of serve.api, found 4477 for both (line 1, column 25)",
    );
    accepted(&format!("serve: {{ admin: {{ port: 0 }}, api: {{ port: 0 }} }}\n{MINIMAL}"), &[]);
    accepted(&format!("serve: {{ admin: {{ port: 4477, host: 127.0.0.2 }} }}\n{MINIMAL}"), &[]);
}

#[test]
fn the_playground_is_off_unless_asked_for_and_warned_of_where_others_reach_it() {
    assert!(!accepted(MINIMAL, &[]).serve.playground);
    let on = format!("serve: {{ admin: {{ playground: true }} }}\n{MINIMAL}");
    let loaded = parse(&on, &[]).unwrap();
    assert_eq!((loaded.config.serve.playground, loaded.warnings.len()), (true, 0));
    let open = parse(&on, &[("CLAIMSMITH_SERVE_ADMIN_HOST", "0.0.0.0")]).unwrap();
    assert!(open.warnings[0].starts_with("serve.admin.playground: anyone who can reach 0.0.0.0:4478"));
    let off = [("CLAIMSMITH_SERVE_ADMIN_HOST", "0.0.0.0"), ("CLAIMSMITH_SERVE_ADMIN_PLAYGROUND", "false")];
    assert_eq!(parse(&on, &off).unwrap().warnings, [""; 0]);
}

#[test]
fn callers_have_exactly_one_credential() {
    let one = |caller: &str| faults(&format!("{MINIMAL}callers: [{caller}]\n"), &[]).join("\n");
    assert!(one("{ name: a }").contains("callers[0]: expected exactly one of basic, bearer, tls, found none of them"));
    assert!(
        one("{ name: a, basic: { username: u, password_file: p }, bearer: { token_file: t } }")
            .contains("basic and bearer")
    );
    assert!(one("{ name: a, basic: { username: u } }").contains(
        "exactly one of password_file, password_files, password (only in the environment), passwords (only in the \
             environment), found none of them"
    ));
    assert!(one("{ name: a, bearer: { tokens: [hunter2] } }").contains("found the secret in the configuration file"));
    assert!(one("{ name: a, bearer: { token_files: [] } }").contains("a list of text that is not empty"));
    assert!(!one("{ name: a, bearer: { token_files: [[hunter2]] } }").contains("hunter2"));
    assert!(one("hunter2").starts_with("callers[0]: expected a mapping, found the text ("));
    assert!(one("{ name: a, bearer: { token: hunter2 } }").contains("found the secret in the configuration file"));
}

#[test]
fn a_caller_may_have_several_secrets() {
    let text = format!(
        "{MINIMAL}callers:\n  - {{ name: a, basic: {{ username: u, password_files: [new, /old] }} }}\n  - name: b\n"
    );
    let config = accepted(&text, &[("CLAIMSMITH_CALLERS_1_BEARER_TOKENS", "['one, and', two]")]);
    let files = ["/etc/claimsmith/new", "/old"].map(|path| SecretSource::File(path.into()));
    assert_eq!(config.callers[0].credential, Credential::Basic { username: "u".into(), passwords: files.to_vec() });
    let tokens = ["one, and", "two"].map(|text| SecretSource::Inline(Secret::new(text.as_bytes().to_vec())));
    assert_eq!(config.callers[1].credential, Credential::Bearer { tokens: tokens.to_vec() });
}

#[test]
fn a_callers_profiles_are_configured_ones() {
    let with = |profiles: &str| {
        format!("{MINIMAL}callers: [{{ name: a, bearer: {{ token_file: t }}, profiles: {profiles} }}]\n")
    };
    assert_eq!(accepted(&with("id_token"), &[]).callers[0].profiles, Some(vec!["id_token".to_owned()]));
    assert_fault(
        &with("[id_token, id_tokne]"),
        &[],
        "callers[0].profiles: expected names of configured profiles (id_token) (did you mean `id_token`?), found \
         an unknown name at position 2 (line 5, column 59)",
    );
    assert!(!faults(&with("[hunter2]"), &[])[0].contains("hunter2"));
    assert_eq!(faults(&with("[]"), &[]).len(), 1);
}

#[test]
fn a_callers_limits_are_numbers_and_a_rate() {
    let with =
        |limits: &str| format!("{MINIMAL}callers: [{{ name: a, bearer: {{ token_file: t }}, limits: {limits} }}]\n");
    let limits = |text: &str| accepted(&with(text), &[]).callers[0].limits;
    let rate = |period, burst| Some(Rate { period, burst: NonZeroU32::new(burst).unwrap() });
    assert_eq!(limits("{}"), CallerLimits::default());
    assert_eq!(limits("{ rate: 100/s }").rate, rate(Duration::from_millis(10), 100));
    assert_eq!(limits("{ rate: 90/m }").rate, rate(Duration::from_secs(60) / 90, 1));
    assert_eq!(limits("{ rate: 1/h, burst: 5 }").rate, rate(Duration::from_secs(3600), 5));
    assert_eq!(limits("{ concurrency: 8 }").concurrency, NonZeroU32::new(8));
    for wrong in [
        "{ rate: 100 }",
        "{ rate: 0/s }",
        "{ rate: 01/s }",
        "{ rate: 1/d }",
        "{ rate: +1/s }",
        "{ burst: 5 }",
        "{ concurrency: 0 }",
        "{ rate: 9999999999/s }",
        "{ rate: /s }",
    ] {
        assert_eq!(faults(&with(wrong), &[]).len(), 1, "{wrong}");
    }
}

#[test]
fn certificates_of_callers_need_somebody_who_vouches_for_them() {
    let with = |tls: &str, caller: &str| {
        format!("serve: {{ api: {{ host: 0.0.0.0, {tls} }} }}\n{MINIMAL}callers: [{{ name: a, tls: {caller} }}]\n")
    };
    let (files, name) = ("cert_file: c, key_file: k", "{ subject: \"CN=a,O=b\" }");
    let config = accepted(&with(&format!("tls: {{ {files}, client_ca_file: /ca }}"), name), &[]);
    let client = Some(ClientCa { file: "/ca".into(), is_required: true });
    assert_eq!(config.serve.tls.unwrap().client, client);
    let optional = format!("tls: {{ {files}, client_ca_file: ca, client_auth: optional }}");
    assert!(!accepted(&with(&optional, name), &[]).serve.tls.unwrap().client.unwrap().is_required);
    for (tls, caller, expected) in [
        (format!("tls: {{ {files} }}"), name, "callers[0].tls: expected serve.api.tls.client_ca_file"),
        (String::new(), name, "callers[0].tls: expected serve.api.tls.client_ca_file"),
        (format!("tls: {{ {files}, client_auth: required }}"), name, "found no client_ca_file"),
        (format!("tls: {{ {files}, client_ca_file: ca, client_auth: none }}"), name, "optional or required with"),
        (optional.clone(), "{ subject: a }", "RFC 4514"),
        (optional.clone(), "{ spiffe: \"https://a/b\" }", "SPIFFE ID"),
        (optional.clone(), "{ dns: \"*.a\" }", "without wildcards"),
        (optional, "{ dns: a, subject: CN=a }", "exactly one of subject, spiffe, dns"),
    ] {
        assert!(
            faults(&with(&tls, caller), &[])[0].contains(expected),
            "{tls} {caller}: {:?}",
            faults(&with(&tls, caller), &[])
        );
    }
    let api = |rest: &str| format!("serve: {{ api: {{ host: 0.0.0.0, tls: {{ {files}, {rest} }} }} }}\n{MINIMAL}");
    accepted(&api("client_ca_file: ca"), &[]);
    assert!(faults(&api("client_ca_file: ca, client_auth: optional"), &[])[0].contains("without callers"));
}

#[test]
fn a_socket_stands_alone_unless_an_address_is_named() {
    let with = |api: &str| accepted(&format!("serve: {{ api: {{ {api} }} }}\n{MINIMAL}"), &[]).serve;
    let alone = with("unix: { path: api.sock }");
    assert_eq!(alone.unix, Some(UnixSocket { path: "/etc/claimsmith/api.sock".into(), mode: 0o660 }));
    assert!(!alone.has_api_address);
    let both = with("port: 4477, unix: { path: /run/api.sock, mode: \"0600\" }");
    assert!(both.has_api_address && both.unix.unwrap().mode == 0o600);
    assert!(with("port: 0").has_api_address);
    for mode in ["\"999\"", "\"66\"", "\"10660\"", "\"+66\"", "660"] {
        let text = format!("serve: {{ api: {{ unix: {{ path: p, mode: {mode} }} }} }}\n{MINIMAL}");
        assert_eq!(faults(&text, &[]).len(), 1, "{mode}");
    }
}

#[test]
fn any_key_can_come_from_the_environment() {
    let text = "\
profiles:
  id_token: { issuer: a, jwks: b }
  rule-1.x: { issuer: a, jwks: b }
callers:
  - { name: a, basic: { username: u, password_file: p } }
";
    let config = accepted(
        text,
        &[
            ("CLAIMSMITH_SERVE_API_PORT", "9000"),
            ("CLAIMSMITH_SERVE_SHUTDOWN_TIMEOUT", "1m"),
            ("CLAIMSMITH_LIMITS_BODY", "64KiB"),
            ("CLAIMSMITH_LOG_LEVEL", "debug"),
            ("CLAIMSMITH_TEMPLATES", "/t"),
            ("CLAIMSMITH_PROFILES_ID_TOKEN_TTL", "1h"),
            ("CLAIMSMITH_PROFILES_ID_TOKEN_ISSUER", "12"),
            ("CLAIMSMITH_PROFILES_ID_TOKEN_AUDIENCE", "orders, billing"),
            ("CLAIMSMITH_PROFILES_RULE_1_X_AUDIENCE", "['a,b']"),
            ("CLAIMSMITH_PROFILES_RULE_1_X_PLACEMENT", "{extra: token}"),
            ("CLAIMSMITH_CALLERS_0_BASIC_PASSWORD_FILE", "q"),
            ("CLAIMSMITH_CALLERS_1_NAME", "b"),
            ("CLAIMSMITH_CALLERS_1_BEARER_TOKEN", "a: token, with \"signs\""),
            ("CLAIMSMITH_CONFIG", "x"),
            ("CLAIMSMITH_TEST_ANYTHING", "x"),
            ("PATH", "x"),
        ],
    );
    assert_eq!(config.serve.api.port, 9000);
    assert_eq!(config.serve.shutdown_timeout, Duration::from_secs(60));
    assert_eq!(config.limits.body, 65_536);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.templates, Path::new("/t"));
    assert_eq!(profile(&config).spec.ttl.seconds(), 3600);
    assert_eq!(profile(&config).spec.issuer.as_str(), "12");
    assert_eq!(profile(&config).spec.audience, Audience::new(vec!["orders".into(), "billing".into()]));
    assert_eq!(config.profiles["rule-1.x"].spec.audience, Audience::new(vec!["a,b".into()]));
    assert_eq!(config.profiles["rule-1.x"].spec.placement, Placement::Extra("token".into()));
    let Credential::Bearer { tokens } = &config.callers[1].credential else { panic!("expected a token") };
    let [SecretSource::Inline(token)] = tokens.as_slice() else { panic!("expected one token of the environment") };
    assert_eq!(*token, Secret::new(b"a: token, with \"signs\"".to_vec()));
    assert!(!format!("{config:?}").contains("signs"));
}

#[test]
fn the_environment_alone_can_be_a_configuration() {
    let config = accepted(
        "",
        &[
            ("CLAIMSMITH_PROFILES", "{id_token: {issuer: a, jwks: b}}"),
            ("CLAIMSMITH_PROFILES_ID_TOKEN_TTL", "20m"),
            ("CLAIMSMITH_SERVE_API_PORT", "0"),
        ],
    );
    assert_eq!(profile(&config).spec.ttl.seconds(), 1200);
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
fn faults_of_the_environment_name_their_variable() {
    let one = |name: &str, value: &str, expected: &str| {
        let found = faults(MINIMAL, &[(name, value)]);
        assert_eq!(found, [expected], "{name}");
    };
    one(
        "CLAIMSMITH_SERVE_API_PORT",
        "http",
        "serve.api.port: expected a port from 0 to 65535, found the text `http` (from CLAIMSMITH_SERVE_API_PORT)",
    );
    one(
        "CLAIMSMITH_SERVE_API_PROT",
        "1",
        "configuration: expected a known variable (did you mean CLAIMSMITH_SERVE_API_PORT?), found an unknown one \
         (from \
         CLAIMSMITH_SERVE_API_PROT)",
    );
    one(
        "CLAIMSMITH_PROFILES_OTHER_THING_ISSUER",
        "x",
        "configuration: expected a key of a profile that the file or CLAIMSMITH_PROFILES has (known: id_token; other \
         variables cannot add one), found an unknown variable (from CLAIMSMITH_PROFILES_OTHER_THING_ISSUER)",
    );
    one(
        "CLAIMSMITH_CALLERS_3_NAME",
        "x",
        "configuration: expected a key of a caller, such as CLAIMSMITH_CALLERS_0_NAME, callers counted from 0 \
         without a \
         gap, found an unknown variable (from CLAIMSMITH_CALLERS_3_NAME)",
    );
    one(
        "CLAIMSMITH_WHATEVER_ELSE",
        "x",
        "configuration: expected the name of a key, such as CLAIMSMITH_SERVE_API_PORT, found an unknown variable (from \
         CLAIMSMITH_WHATEVER_ELSE)",
    );
    one(
        "CLAIMSMITH_CALLERS",
        "hunter2: [",
        "configuration: expected YAML, found what YAML cannot read (from CLAIMSMITH_CALLERS)",
    );
}

#[test]
fn a_variable_that_means_two_keys_is_refused() {
    let text = "profiles: { a-b: { issuer: a, jwks: b }, a_b: { issuer: a, jwks: b } }";
    accepted(text, &[]);
    assert_fault(
        text,
        &[("CLAIMSMITH_PROFILES_A_B_TTL", "1m")],
        "configuration: expected a variable that means one key, found profiles.a-b.ttl and profiles.a_b.ttl, which \
         this \
         name all means (from CLAIMSMITH_PROFILES_A_B_TTL)",
    );
}

#[test]
fn an_override_does_not_hide_a_fault_of_the_file() {
    let found = faults(&format!("serve: 5\n{MINIMAL}"), &[("CLAIMSMITH_SERVE_API_PORT", "1")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("serve: expected a mapping, found the number `5`"));
}

#[test]
#[cfg(not(feature = "otlp"))]
fn traces_are_rejected_without_the_feature_otlp() {
    let found = faults(&format!("{MINIMAL}traces: {{ endpoint: 'http://c:4318/v1/traces' }}\n"), &[]);
    let expected =
        "traces: expected a claimsmith that was built with the feature `otlp`, found one that was built without it";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

#[test]
#[cfg(feature = "otlp")]
fn what_is_told_has_a_place_to_go() {
    let config = accepted(
        &format!("{MINIMAL}audit: {{ to: file://audit.jsonl }}\ntraces: {{ endpoint: 'http://c:4318/v1/traces' }}\n"),
        &[("CLAIMSMITH_AUDIT_SUBJECT", "plain"), ("CLAIMSMITH_TRACES_SAMPLE_RATIO", "0.25")],
    );
    let to = AuditTarget::File("/etc/claimsmith/audit.jsonl".into());
    assert_eq!(config.audit, Some(AuditLog { to, subject: AuditSubject::Plain }));
    assert_eq!(config.traces.unwrap().sample_ratio.as_f64(), 0.25);
    let config = accepted(MINIMAL, &[("CLAIMSMITH_AUDIT_TO", "stdout")]);
    assert_eq!(config.audit, Some(AuditLog { to: AuditTarget::Stdout, subject: AuditSubject::Hash }));
    for (line, expected) in [
        ("audit: {}", "audit.to: expected stdout, or the file:// URL of a file, found nothing"),
        ("audit: { to: /var/log/audit }", "audit.to: expected stdout"),
        ("audit: { to: 'file://' }", "audit.to: expected stdout"),
        ("audit: { to: stdout, subject: some }", "audit.subject: expected one of hash, plain, none"),
        ("traces: { sample_ratio: 1 }", "traces.endpoint: expected an http or https URL"),
        ("traces: { endpoint: 'c:4318' }", "traces.endpoint: expected an http or https URL"),
        (
            "traces: { endpoint: 'http://c/', sample_ratio: 2 }",
            "traces.sample_ratio: expected a decimal number from 0 to 1, such as 0.1, found the number `2`",
        ),
    ] {
        let found = faults(&format!("{MINIMAL}{line}\n"), &[]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}\nnot in\n{found:?}");
    }
}

#[test]
fn keys_that_travel_in_the_clear_are_warned_about() {
    let warnings = |url: &str| {
        parse(&format!("profiles: {{ a: {{ issuer: a, jwks: '{url}' }} }}"), &[]).unwrap().warnings.join("\n")
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

#[test]
fn a_wildcard_listener_is_warned_about_without_a_public_url() {
    let text = "serve: { api: { host: 0.0.0.0 } }\nprofiles: { a: { issuer: issuer, jwks: b } }\n\
                callers: [{ name: c, bearer: { token_file: t } }]\n";
    assert!(parse(text, &[]).unwrap().warnings[1].starts_with("public_url: not set"));
    let config = parse(text, &[("CLAIMSMITH_PUBLIC_URL", "https://t.example/x/")]).unwrap();
    assert!(config.warnings[0].starts_with("serve.api.tls: not set, so the secrets of callers"));
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.config.public_url.as_ref().map(HttpUrl::as_str), Some("https://t.example/x"));
}

/// A configuration in which `value` stands at the path of a field.
fn around(path: &[&str], value: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((key, below)) = rest.split_first() {
        let sibling = match (path, rest.len()) {
            (["serve", "api", "tls", "cert_file"], 1) => "key_file: k, ",
            (["serve", "api", "tls", "key_file"], 1) => "cert_file: c, ",
            (["serve", "api", "tls", "client_auth"], 1) => "cert_file: c, key_file: k, client_ca_file: a, ",
            (["serve", "api", "tls", _], 1) => "cert_file: c, key_file: k, ",
            (["serve", "api", "unix", "mode"], 1) => "path: p, ",
            (["callers", "[]", "limits", "burst"], 1) => "rate: 1/s, ",
            (["callers", "[]", "profiles" | "limits", ..], _) if rest.len() == path.len() - 2 => {
                "name: n, bearer: { token_file: t }, "
            }
            (["callers", "[]", "tls", ..], _) if rest.len() == path.len() => {
                "profiles: { id_token: { issuer: a, jwks: b } }, \
                 serve: { api: { tls: { cert_file: c, key_file: k, client_ca_file: a } } }, "
            }
            (["callers", "[]", "basic", "username"], 1) => "password_file: p, ",
            (["callers", "[]", "basic", _], 1) => "username: u, ",
            (["profiles", "*", "placement", "scheme"], 1) => "header: X, ",
            (["profiles", "*", "issuer"], 1) => "jwks: b, ",
            (["profiles", "*", "jwks"], 1) => "issuer: a, ",
            (["profiles", "*", ..], _) if rest.len() == path.len() - 2 => "issuer: a, jwks: b, ",
            (["audit", "subject"], 1) => "to: stdout, ",
            (["traces", "sample_ratio"], 1) => "endpoint: 'http://c/', ",
            (["callers", "[]", "name"], 1) => "bearer: { token_file: t }, ",
            (["callers", "[]", ..], _) if rest.len() == path.len() - 2 => "name: n, ",
            _ if rest.len() == path.len() && *key != "profiles" => "profiles: { id_token: { issuer: a, jwks: b } }, ",
            _ => "",
        };
        match *key {
            "[]" => text.push_str("[ "),
            "*" => text.push_str("{ name: "),
            _ => text.push_str(&format!("{{ {sibling}{key}: ")),
        }
        rest = below;
    }
    text.push_str(value);
    path.iter().rev().for_each(|key| text.push_str(if *key == "[]" { " ]" } else { " }" }));
    text
}

fn each_field<'f>(
    section: &'static Section,
    path: &[&'static str],
    visit: &mut impl FnMut(&[&'static str], &'f Field),
) {
    for field in section.fields {
        let path = [path, &[field.name]].concat();
        visit(&path, field);
        match field.kind {
            Kind::Section(inner) => each_field(inner, &path, visit),
            Kind::Named(inner) => each_field(inner, &[path.as_slice(), &["*"]].concat(), visit),
            Kind::Many(inner) => each_field(inner, &[path.as_slice(), &["[]"]].concat(), visit),
            _ => {}
        }
    }
}

#[test]
#[cfg_attr(not(feature = "otlp"), ignore = "one of the examples configures traces")]
fn every_example_and_default_of_the_schema_is_accepted() {
    let mut count = 0;
    each_field(&ROOT, &[], &mut |path, field| {
        let default = match field.presence {
            Presence::Default(text) => Some(text),
            _ => None,
        };
        for value in field.examples.iter().copied().chain(default) {
            let text = around(path, value);
            if let Err(error) = parse(&text, &[]) {
                assert!(text.contains("0.0.0.0"), "{text}\n{error}");
            }
            count += 1;
        }
    });
    assert!(count > 60, "{count}");
}

#[test]
fn the_schema_has_every_key_that_a_file_may_have_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let mut keys = Vec::new();
    each_field(&ROOT, &[], &mut |path, field| {
        let pointer: String = path.iter().fold(String::new(), |pointer, key| match *key {
            "*" => pointer + "/additionalProperties",
            "[]" => pointer + "/items",
            key => format!("{pointer}/properties/{key}"),
        });
        let found = schema.pointer(&pointer);
        assert_eq!(found.is_some(), field.presence != Presence::EnvironmentOnly, "{pointer}");
        if let Some(found) = found {
            assert!(found["title"].is_string() && found["description"].is_string(), "{pointer}");
            assert_eq!(found.get("default").is_some(), matches!(field.presence, Presence::Default(_)), "{pointer}");
            keys.push(pointer);
        }
    });
    assert_eq!(count_properties(&schema), keys.len());
}

fn count_properties(schema: &serde_json::Value) -> usize {
    let inner = schema["properties"]
        .as_object()
        .map_or(0, |properties| properties.len() + properties.values().map(count_properties).sum::<usize>());
    inner
        + ["additionalProperties", "items"]
            .iter()
            .filter_map(|key| schema.get(key))
            .filter(|schema| schema.is_object())
            .map(count_properties)
            .sum::<usize>()
}

/// What a value must be, for a table.
fn kind_in_words(kind: Kind) -> String {
    match kind {
        Kind::Bool => "boolean".to_owned(),
        Kind::Choice(words) => format!("`{}`", words.join("`, `")),
        Kind::Count { least, most } => format!("{least} to {most}"),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Host | Kind::Path | Kind::Text(_) => "text".to_owned(),
        Kind::Many(_) => "list".to_owned(),
        Kind::Named(_) | Kind::Section(_) => "mapping".to_owned(),
        Kind::Port => "port".to_owned(),
        Kind::Ratio => "0 to 1".to_owned(),
        Kind::Size { least, most } => format!("size, {} to {}", size_text(least), size_text(most)),
        Kind::Texts => "list of text, or text".to_owned(),
    }
}

/// `docs/keys.md` as a link beside it.
fn linked(meaning: &str) -> String {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut parts = meaning.split("docs/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, rest| match rest.split_once(".md") {
        Some((name, rest)) if name.chars().all(is_name) => format!("{text}[{name}.md]({name}.md){rest}"),
        _ => format!("{text}docs/{rest}"),
    })
}

#[test]
fn the_reference_is_generated_from_the_table_of_keys() {
    let mut table = "| Key | Type | Default | Meaning | Variable |\n| --- | --- | --- | --- | --- |\n".to_owned();
    each_field(&ROOT, &[], &mut |path, field| {
        let (key, variable) =
            path.iter().fold((String::new(), "CLAIMSMITH".to_owned()), |(key, variable), step| match *step {
                "*" => (key + ".<name>", variable + "_<NAME>"),
                "[]" => (key + "[]", variable + "_<N>"),
                step if key.is_empty() => (step.to_owned(), format!("{variable}_{}", step.to_uppercase())),
                step => (format!("{key}.{step}"), format!("{variable}_{}", step.to_uppercase())),
            });
        let default = match field.presence {
            Presence::Default(text) => format!("`{text}`"),
            Presence::DefaultInWords(words) => words.to_owned(),
            Presence::Required => "required".to_owned(),
            Presence::Optional | Presence::EnvironmentOnly => String::new(),
        };
        let is_whole = matches!(field.kind, Kind::Section(_)) && field.presence == Presence::Optional;
        let variable = if is_whole { String::new() } else { format!("`{variable}`") };
        let (kind, meaning) = (kind_in_words(field.kind), linked(field.meaning));
        table.push_str(&format!("| `{key}` | {kind} | {default} | {meaning} | {variable} |\n"));
    });
    section::hold("docs/configuration.md", "every-key", &table);
}

#[test]
fn the_samples_of_the_reference_are_accepted() {
    let reference = include_str!("../../docs/configuration.md");
    let keys = include_str!("../../docs/keys.md");
    let samples = |text: &'static str| text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    // Those of Kubernetes are no configuration of ours.
    let samples: Vec<_> = samples(reference).chain(samples(keys).filter(|text| text.contains("profiles:"))).collect();
    assert!(samples.len() > 1);
    for sample in samples {
        accepted(sample, &[]);
    }
}

/// The tree of a text, to change it at random.
fn tree(text: &str) -> Node {
    yaml::parse(text, None, Quoting::Shown, &mut Faults::default()).unwrap()
}

#[test]
fn a_broken_value_anywhere_is_a_fault_and_no_panic() {
    each_field(&ROOT, &[], &mut |path, _| {
        for value in
            ["null", "{}", "[]", "[[]]", "{ a: 1 }", "-1", "true", "''", "' '", "\"\\0\"", "99999999999999999999"]
        {
            let text = around(path, value);
            let _ = parse(&text, &[]);
            assert!(matches!(tree(&text).value, Value::Map(_)), "{text}");
        }
        assert!(parse(&around(path, "null"), &[]).is_err(), "{path:?}");
    });
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z0-9:{}\\[\\],&*!|>'\"#%@` \\n\\-?~.]{0,120}") {
        let _ = parse(&text, &[]);
    }

    #[test]
    fn no_variable_makes_the_reader_panic(name in "[A-Z0-9_]{0,24}", value in "\\PC{0,40}") {
        let prefixes = ["CLAIMSMITH_", "CLAIMSMITH_PROFILES_", "CLAIMSMITH_CALLERS_", "CLAIMSMITH_SERVE_"];
        for prefix in prefixes {
            let _ = parse(MINIMAL, &[(&format!("{prefix}{name}"), &value)]);
        }
    }

    #[test]
    fn a_secret_of_the_environment_never_shows(secret in "[!-~]{8,40}") {
        let canary = format!("canary{secret}");
        for name in ["CLAIMSMITH_CALLERS_0_BEARER_TOKEN", "CLAIMSMITH_CALLERS", "CLAIMSMITH_CALLERS_0_BEARER",
                     "CLAIMSMITH_CALLERS_0_BASIC", "CLAIMSMITH_CALLERS_0_BASIC_USERNAME"] {
            match parse(MINIMAL, &[(name, &canary)]) {
                Ok(loaded) => {
                    let shown = format!("{loaded:?}");
                    prop_assert!(!shown.contains("canary"));
                }
                Err(error) => prop_assert!(!error.to_string().contains("canary"), "{}", error),
            }
        }
    }
}
