//! `serve`: listeners and the playground.

use super::*;

#[test]
fn non_loopback_address_requires_a_decision() {
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
fn listeners_need_different_addresses() {
    assert_fault(
        &format!("serve: {{ admin: {{ port: 4477 }} }}\n{MINIMAL}"),
        &[],
        "serve.admin.port: expected a port other than the port of serve.api, found 4477 for both (line 1, column 25)",
    );
    accepted(&format!("serve: {{ admin: {{ port: 0 }}, api: {{ port: 0 }} }}\n{MINIMAL}"), &[]);
    accepted(&format!("serve: {{ admin: {{ port: 4477, host: 127.0.0.2 }} }}\n{MINIMAL}"), &[]);
}

#[test]
fn playground_is_off_by_default_and_causes_a_warning_off_loopback() {
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
fn unix_socket_replaces_the_default_address() {
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
fn wildcard_listener_without_public_url_causes_a_warning() {
    let text = "serve: { api: { host: 0.0.0.0 } }\nprofiles: { a: { issuer: https://a.example/, jwks: b } }\n\
                callers: [{ name: c, bearer: { token_file: t } }]\n";
    assert!(parse(text, &[]).unwrap().warnings[1].starts_with("public_url: not set"));
    let config = parse(text, &[("CLAIMSMITH_PUBLIC_URL", "https://t.example/x/")]).unwrap();
    assert!(config.warnings[0].starts_with("serve.api.tls: not set, so the secrets of callers"));
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.config.public_url.as_ref().map(HttpUrl::as_str), Some("https://t.example/x"));
}

#[test]
fn grpc_listener_has_an_address_of_its_own_and_a_known_check() {
    let text = |serve: &str| {
        format!(
            "serve: {{ {serve} }}\n{MINIMAL}sources: {{ k: {{ type: anonymous }} }}\n\
             checks: {{ web: {{ sources: k, profile: id_token }} }}\n\
             callers: [{{ name: envoy, networks: 10.0.0.0/8 }}]\n"
        )
    };
    assert_eq!(accepted(&text(""), &[]).serve.grpc, None);
    let grpc = accepted(&text("grpc: { check: web }"), &[]).serve.grpc.unwrap();
    assert_eq!((grpc.listener.port, grpc.check.as_deref()), (4479, Some("web")));
    assert!(grpc.listener.host.is_loopback());
    for (serve, expected) in [
        (
            "grpc: { port: 4477 }",
            "serve.grpc.port: expected a port other than the port of serve.api, found 4477 for both",
        ),
        ("grpc: { port: 4478 }", "serve.grpc.port: expected a port other than the port of serve.admin"),
        ("grpc: { check: other }", "serve.grpc.check: expected the name of a configured check, found `other`"),
        (
            "grpc: { tls: true }",
            "serve.grpc.tls: expected one of the keys host, port, check; `tls` is a key of serve.api",
        ),
    ] {
        let found = faults(&text(serve), &[]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{serve}: {found:?}");
    }
    let open = parse(&text("grpc: { host: 0.0.0.0 }"), &[]).unwrap();
    assert!(open.warnings.iter().any(|warning| warning.ends_with("sent to 0.0.0.0:4479 unencrypted over gRPC")));
}
