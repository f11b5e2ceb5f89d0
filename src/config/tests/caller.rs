//! `callers` and their client certificates.

use super::super::serve::ClientCa;
use super::*;

#[test]
fn caller_has_exactly_one_kind_of_credential() {
    let one = |caller: &str| faults(&format!("{MINIMAL}callers: [{caller}]\n"), &[]).join("\n");
    assert!(
        one("{ name: a }")
            .contains("callers[0]: expected exactly one of basic, bearer, tls, header, networks, found none of them")
    );
    assert!(
        one("{ name: a, basic: { username: u, password_file: p }, bearer: { token_file: t } }")
            .contains("basic and bearer")
    );
    assert!(one("{ name: a, basic: { username: u } }").contains(
        "exactly one of password_file, password_files, password (only in the environment), passwords (only in the \
             environment), found none of them"
    ));
    assert!(one("{ name: a, bearer: { tokens: [hunter2] } }").contains("found the secret in the configuration file"));
    assert!(
        one("{ name: a, bearer: { token_files: [] } }")
            .contains("a non-empty list of distinct, non-empty strings, or one string")
    );
    assert!(!one("{ name: a, bearer: { token_files: [[hunter2]] } }").contains("hunter2"));
    assert!(one("hunter2").starts_with("callers[0]: expected a mapping, found text that is not shown, because"));
    assert!(one("{ name: a, bearer: { token: hunter2 } }").contains("found the secret in the configuration file"));
}

#[test]
fn caller_can_have_several_secrets() {
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
fn profiles_of_a_caller_must_be_configured() {
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
fn limits_of_a_caller_are_validated() {
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
fn client_certificates_require_a_client_ca() {
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
fn misspelt_credential_of_a_caller_is_one_error() {
    let found = faults(&format!("{MINIMAL}callers: [{{ name: a, network: 10.0.0.0/8 }}]\n"), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("callers[0].network: expected a known key (did you mean `networks`?)"), "{found:?}");
}
