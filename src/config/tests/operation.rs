//! `rotation`, `audit` and `traces`.

use super::*;
use crate::config::rotation::Rotation;

#[test]
fn rotation_that_would_lose_tokens_is_rejected() {
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
        ["rotation: expected a profile whose `jwks` is a file, found no such profile; remove \
          `rotation` or set `jwks` to a file (line 2, column 1)"]
    );
    let short = Config::parse(&with("{ lead: 11m }"), Path::new("/etc"), &[]).unwrap();
    assert!(short.warnings[0].starts_with("rotation.lead: 660s is less than 240s above"), "{:?}", short.warnings);
}

#[test]
#[cfg(not(feature = "otlp"))]
fn traces_are_rejected_without_the_feature_otlp() {
    let found = faults(&format!("{MINIMAL}traces: {{ endpoint: 'http://c:4318/v1/traces' }}\n"), &[]);
    let expected = "traces: expected a binary with the feature `otlp`, found one without it; remove this key or build \
                    claimsmith with `otlp`";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

#[test]
fn audit_log_has_a_target() {
    let config =
        accepted(&format!("{MINIMAL}audit: {{ to: file://audit.jsonl }}\n"), &[("CLAIMSMITH_AUDIT_SUBJECT", "plain")]);
    let to = AuditTarget::File("/etc/claimsmith/audit.jsonl".into());
    assert_eq!(config.audit, Some(AuditLog { to, subject: AuditSubject::Plain, refused: false }));
    let config = accepted(MINIMAL, &[("CLAIMSMITH_AUDIT_TO", "stdout"), ("CLAIMSMITH_AUDIT_REFUSED", "true")]);
    assert_eq!(config.audit, Some(AuditLog { to: AuditTarget::Stdout, subject: AuditSubject::Hash, refused: true }));
    assert_single_faults(&[
        ("audit: {}", "audit.to: expected stdout, or the file:// URL of a file, found nothing"),
        ("audit: { to: /var/log/audit }", "audit.to: expected stdout"),
        ("audit: { to: 'file://' }", "audit.to: expected stdout"),
        ("audit: { to: stdout, subject: some }", "audit.subject: expected one of hash, plain, none"),
    ]);
}

#[test]
#[cfg(feature = "otlp")]
fn traces_have_an_endpoint_and_a_sample_ratio() {
    let config = accepted(
        &format!("{MINIMAL}traces: {{ endpoint: 'http://c:4318/v1/traces' }}\n"),
        &[("CLAIMSMITH_TRACES_SAMPLE_RATIO", "0.25")],
    );
    assert_eq!(config.traces.unwrap().sample_ratio.as_f64(), 0.25);
    assert_single_faults(&[
        ("traces: { sample_ratio: 1 }", "traces.endpoint: expected an http or https URL"),
        ("traces: { endpoint: 'c:4318' }", "traces.endpoint: expected an http or https URL"),
        (
            "traces: { endpoint: 'http://c/', sample_ratio: 2 }",
            "traces.sample_ratio: expected a decimal number from 0 to 1, such as 0.1, found the number `2`",
        ),
    ]);
}

/// Asserts that each line, added to a valid configuration, causes one error that starts with the text beside it.
#[track_caller]
fn assert_single_faults(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        let found = faults(&format!("{MINIMAL}{line}\n"), &[]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}\nnot in\n{found:?}");
    }
}
