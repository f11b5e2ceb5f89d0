//! What a configuration as a whole accepts, and which errors it reports. The other files test one section each.

use crate::mint::ProfileName;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::credential::{Credential, SecretSource};
use super::limits::Limits;
use super::log::Log;
use super::*;
use crate::claims::{Audience, Issuer, RegisteredInTemplate, SessionExpiry};
use crate::keys::TokenType;
use crate::mint::{Caching, HeaderName, Placement, ProfileSpec, Validate};
use crate::remote::RemoteSource;
use crate::secret::Secret;
use crate::session::SessionPath;
use crate::templates::{Missing, TemplateName};
use crate::time::Ttl;

mod caller;
mod checks;
mod environment;
mod operation;
mod profile;
mod serve;
mod table;

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
fn minimal_configuration_has_every_default() {
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
        connection_age: Duration::from_secs(3600),
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
        shadow: false,
    };
    let expected = Profile { jwks: jwks.clone(), spec: spec.clone() };
    assert_eq!(profile(&config), &expected);
    let defaults = Profile::with_defaults(name, issuer, jwks).unwrap();
    assert_eq!(defaults.spec, ProfileSpec { key_set: String::new(), ..spec });
}

#[test]
fn complete_example_is_accepted() {
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
fn byte_order_mark_and_crlf_are_accepted() {
    accepted(&format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n")), &[]);
}

#[test]
fn json_is_accepted() {
    let config = accepted(r#"{"profiles": {"a": {"issuer": "x", "jwks": "k.json"}}, "log": {"format": "text"}}"#, &[]);
    assert_eq!(config.log.format, LogFormat::Text);
}

#[test]
fn all_errors_are_reported_in_file_order() {
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
        "limits.request: expected a duration of 10ms or more, such as 5s, found the number `5`; add the unit: 5s, 5m or 5h (line 6, column 12)",
        "profiles.id token: expected a name of up to 128 letters, digits, `_`, `-` and `.`, starting with a letter, \
         digit or `_`, found an invalid name (line 8, column 3)",
        "profiles.id token.jwks: expected a JWK Set: its path, or its file, base64, http, https, s3, gs or azblob URL, found \
         nothing (line 8, column 3)",
        "profiles.id token.issuer: expected text that is not empty, found a number, which is text only in quotes \
         (line 9, column 13)",
        "profiles.b.issuer: expected text that is not empty, found nothing (line 10, column 3)",
        "profiles.b.isuer: expected a known key (did you mean `issuer`?), found an unknown one (line 11, column 5)",
        "profiles.b.jwks: expected a JWK Set: its path, or its file, base64, http, https, s3, gs or azblob URL, found a URL \
         with the scheme https and a user or a password (line 12, column 11)",
        "profiles.b.ttl: expected a duration of 1s or more, such as 15m or 1h30m, found the text `10ms` \
         (line 13, column 10)",
        "profiles.b.audience: expected a non-empty list of distinct, non-empty strings, or one string, found an \
         empty list (line 14, column 15)",
        "profiles.b.alg: expected one of EdDSA, ES256, ES256K, ES384, ES512, HS256, HS384, HS512, PS256, PS384, PS512, \
         RS256, RS384, RS512, found the text `none` (line 15, column 10)",
        "profiles.b.placement.header: expected a header name that a token may travel in, such as Authorization or \
         X-Id-Token, found the text `Content-Length` (line 16, column 26)",
        "profiles.b.missing: expected one of error, as_null, omit, found nothing (line 17, column 14)",
        "profiles.b.expires_with: expected a dotted path that starts with `Extra.`, or none, found the text `Subject` \
         (line 18, column 19)",
        "callers[0].basic.username: expected a user name without a colon, found text that is not shown, because it \
         may be a secret (line 21, column 24)",
        "callers[0].basic.password: expected a file that `password_file` names, or an environment variable, \
         found the secret in the configuration file (line 21, column 41)",
        "callers[1].name: expected each name once, found `a` a second time (line 22, column 13)",
        "callers[1].bearer: expected a mapping, found text that is not shown, because it may be a secret \
         (line 22, column 24)",
        "log.level: expected one of error, warn, info, debug, trace, found the text `verbose` (line 23, column 15)",
        "extra: expected one of the keys serve, limits, templates, profiles, callers, sources, checks, reload, rotation, jwks_max_age, log, audit, traces, public_url; `extra` is a key of profiles.<name>.placement, found an \
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
fn empty_configuration_lacks_profiles() {
    for text in ["", "# nothing yet\n", "---\n", "{}"] {
        let found = faults(text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("profiles: expected a mapping of names, such as `name: { … }`, found nothing"),
            "{found:?}"
        );
    }
    assert_fault(
        "profiles: {}",
        &[],
        "profiles: expected a mapping of at least one profile, by name, found none (line 1, column 11)",
    );
    assert_fault("[1]", &[], "configuration: expected a mapping, found a list (line 1, column 1)");
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(text in "[a-z0-9:{}\\[\\],&*!|>'\"#%@` \\n\\-?~.]{0,120}") {
        let _ = parse(&text, &[]);
    }
}
