//! Variables of the environment.

use super::*;

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
fn environment_alone_can_be_a_configuration() {
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
fn errors_name_the_variable() {
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
        "configuration: expected YAML, found a syntax error (from CLAIMSMITH_CALLERS)",
    );
}

#[test]
fn ambiguous_variable_is_rejected() {
    let text = "profiles: { a-b: { issuer: a, jwks: b }, a_b: { issuer: a, jwks: b } }";
    accepted(text, &[]);
    assert_fault(
        text,
        &[("CLAIMSMITH_PROFILES_A_B_TTL", "1m")],
        "configuration: expected a variable that names one key, found profiles.a-b.ttl and profiles.a_b.ttl; set these keys \
         in the file instead (from CLAIMSMITH_PROFILES_A_B_TTL)",
    );
}

#[test]
fn variable_below_a_value_is_rejected() {
    assert_fault(
        &format!("{MINIMAL}log: debug\n"),
        &[("CLAIMSMITH_LOG_LEVEL", "debug")],
        "log.level: expected only mappings and lists above this key, found a value of another type; correct the \
         configuration or remove the variable (from CLAIMSMITH_LOG_LEVEL)",
    );
}

#[test]
fn override_does_not_hide_an_error_of_the_file() {
    let found = faults(&format!("serve: 5\n{MINIMAL}"), &[("CLAIMSMITH_SERVE_API_PORT", "1")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("serve: expected a mapping, found the number `5`"));
}

proptest! {
    #[test]
    fn no_variable_causes_a_panic(name in "[A-Z0-9_]{0,24}", value in "\\PC{0,40}") {
        let prefixes = ["CLAIMSMITH_", "CLAIMSMITH_PROFILES_", "CLAIMSMITH_CALLERS_", "CLAIMSMITH_SERVE_"];
        for prefix in prefixes {
            let _ = parse(MINIMAL, &[(&format!("{prefix}{name}"), &value)]);
        }
    }
}

proptest! {
    #[test]
    fn secrets_of_the_environment_are_never_shown(secret in "[!-~]{8,40}") {
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
