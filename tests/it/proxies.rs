//! The endpoints for proxies: whom they trust, what they read, and what they answer. The names R1 to R12 in messages are
//! those of the table in docs/sessions.md.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_kratos::{FakeKratos, identity, response, session};
use crate::support::{
    Answer, NOW, Service, Setup, TestApp, connect, get, post, read_response, send, serving_folder, spawn_app,
};

const TRAEFIK: &[(&str, &str)] = &[
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "app.example"),
    ("X-Forwarded-Uri", "/a?b=c"),
];
const NGINX: &[(&str, &str)] = &[("X-Original-URL", "https://app.example/a?b=c"), ("X-Original-Method", "GET")];
/// Envoy sends no metadata beside the request line and `Host`.
const ENVOY: &[(&str, &str)] = &[];
const COOKIE: (&str, &str) = ("Cookie", "ory_kratos_session=c00kie");
const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml;q=0.9");

const LOGIN: &str = "login: 'https://id.example/login', origins: ['https://app.example']";
const ON_LOOPBACK: &str = "networks: 127.0.0.1";

/// Starts the service with a check `web` for the caller `caller`.
fn app(kratos: &FakeKratos, caller: &str, check: &str) -> TestApp {
    let config = format!(
        "callers: [{{ name: proxy, {caller} }}]\nsources: {{ {} }}\n\
         checks: {{ web: {{ sources: kratos, profile: p, {check} }} }}",
        kratos.source("")
    );
    let files = &[("secret", "a-secret-of-some-length\n"), ("token", "a-token-of-some-length\n")];
    let template = r#"{"email": {{Extra.identity.traits.email}}}"#;
    spawn_app(&Setup { config: &config, files, template, profile: "    missing: omit", ..Setup::default() })
}

fn request(method: &str, path: &str, version: &str, groups: &[&[(&str, &str)]]) -> Vec<u8> {
    let mut text = format!("{method} {path} {version}\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in groups.iter().copied().flatten() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    (text + "\r\n").into_bytes()
}

fn ask(app: &TestApp, path: &str, groups: &[&[(&str, &str)]]) -> Answer {
    send(app.api, &request("GET", path, "HTTP/1.1", groups))
}

/// Returns the status and the code.
#[track_caller]
fn refusal(answer: &Answer) -> (u16, String) {
    answer.assert_is_problem();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401, "{answer:?}");
    (answer.status, answer.json()["type"].as_str().unwrap().to_owned())
}

#[test]
fn allowed_is_200_without_a_body_for_every_method_and_version() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "headers: { X-User-Id: sub }");
    for (path, metadata) in
        [("/forward-auth/web", TRAEFIK), ("/auth-request/web", NGINX), ("/ext-authz/web/a?b=c", ENVOY)]
    {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-MADE-UP"] {
                // Without a length, HTTP/1.0 has no request body.
                let headers = &[COOKIE, ("Content-Length", "0")];
                let answer = send(app.api, &request(method, path, version, &[metadata, headers]));
                assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")), "{method} {version}");
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                assert_eq!(answer.header("x-user-id"), Some("i-1"));
                app.verify(answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap());
            }
        }
    }
}

#[test]
fn body_that_never_comes_is_not_awaited() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    let mut stream = connect(app.api);
    stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let text = request("GET", "/auth-request/web", "HTTP/1.1", &[NGINX, &[COOKIE, ("Content-Length", "10")]]);
    let text = String::from_utf8(text).unwrap().replace("Connection: close\r\n", "");
    stream.write_all(text.as_bytes()).unwrap();
    let answer = read_response(&mut stream, true);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
}

#[test]
fn set_of_headers_is_always_the_same() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "headers: { X-User-Id: sub, X-Email: email, X-None: no.such.claim }");
    let names = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let known = ["date", "content-length", "cache-control", "connection", "x-request-id"];
        let names = answer.headers.iter().map(|(name, _)| name.to_lowercase());
        names.filter(|name| !known.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let full = ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE]]);
    let expected = ["authorization", "x-email", "x-none", "x-user-id"];
    let mut found = names(&full);
    found.sort_unstable();
    assert_eq!(found, expected, "R1, R2");
    assert_eq!(full.header("x-email"), Some("mina@example.test"));
    let mut without = identity("m\u{fc}ller\r\nX-Evil: 1");
    without["identity"]["traits"] = json!({});
    kratos.will_send(session(&without));
    let other = ask(&app, "/forward-auth/web", &[TRAEFIK, &[("Cookie", "ory_kratos_session=2")]]);
    let sorted = |answer: &Answer| {
        let mut names = names(answer);
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(&other), sorted(&full), "R2");
    assert_eq!(other.header("x-user-id"), Some("m%C3%BCller%0D%0AX-Evil: 1"), "R8");
    let lengths = |name: &str| other.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
    assert!(expected.iter().all(|name| lengths(name) == 1));
}

#[test]
fn each_endpoint_reads_only_its_own_metadata() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, LOGIN);
    for (path, metadata) in [("/forward-auth/web", NGINX), ("/auth-request/web", TRAEFIK)] {
        let answer = ask(&app, path, &[metadata, &[COOKIE]]);
        assert_eq!(refusal(&answer), (403, "request.metadata".to_owned()), "R3");
    }
    let mixed: &[(&str, &str)] = &[("X-Original-URL", "https://evil.example/x"), ("X-Original-Method", "GET")];
    let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, mixed, &[HTML]]);
    let back = "https://id.example/login?return_to=https%3A%2F%2Fapp.example%2Fa%3Fb%3Dc";
    assert_eq!((answer.status, answer.header("location")), (302, Some(back)), "R3");
}

#[test]
fn missing_or_ambiguous_metadata_is_refused() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    let refused = |path: &str, metadata: &[(&str, &str)]| {
        let answer = ask(&app, path, &[metadata, &[COOKIE]]);
        assert_eq!(refusal(&answer), (403, "request.metadata".to_owned()), "R9: {path} {metadata:?}");
    };
    for &(name, value) in TRAEFIK {
        let rest: Vec<_> = TRAEFIK.iter().copied().filter(|(other, _)| *other != name).collect();
        refused("/forward-auth/web", &rest);
        refused("/forward-auth/web", &[&rest[..], &[(name, value), (name, value)]].concat());
        for wrong in ["", "a b", "\u{fc}"] {
            refused("/forward-auth/web", &[&rest[..], &[(name, wrong)]].concat());
        }
    }
    for (name, wrong) in [
        ("X-Forwarded-Uri", "a"),
        ("X-Forwarded-Uri", "https://evil.example/"),
        ("X-Forwarded-Host", "a/b"),
        ("X-Forwarded-Host", "a@b"),
        ("X-Forwarded-Host", "a,b"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Method", "G/T"),
    ] {
        let rest = TRAEFIK.iter().copied().filter(|(other, _)| *other != name);
        refused("/forward-auth/web", &rest.chain([(name, wrong)]).collect::<Vec<_>>());
    }
    for metadata in [
        &[][..],
        &[("X-Original-URL", "https://app.example/")],
        &[("X-Original-URL", "https://app.example"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", "https://a@b/"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", "ftp://a/"), ("X-Original-Method", "GET")],
        &[("X-Original-URL", "https://a/"), ("X-Original-Method", "GET"), ("X-Original-URI", "/")],
        &[("X-Original-URI", "a")],
        &[("X-Original-URI", "/"), ("X-Original-URI", "/")],
    ] {
        refused("/auth-request/web", metadata);
    }
    let only_uri = ask(&app, "/auth-request/web", &[&[("X-Original-URI", "/a")], &[COOKIE]]);
    assert_eq!(only_uri.status, 200);
}

#[test]
fn only_trusted_peers_can_ask() {
    let kratos = FakeKratos::start();
    for (caller, headers, expected) in [
        ("networks: 192.0.2.0/24", &[][..], Err("caller.untrusted")),
        ("networks: [192.0.2.0/24, 127.0.0.0/8]", &[], Ok(())),
        ("header: { secret_file: secret }", &[], Err("caller.untrusted")),
        ("header: { secret_file: secret }", &[("X-Claimsmith-Secret", "another-secret")], Err("caller.untrusted")),
        (
            "header: { secret_file: secret }",
            &[("X-Claimsmith-Secret", "a-secret-of-some-length"), ("X-Claimsmith-Secret", "a-secret-of-some-length")],
            Err("caller.untrusted"),
        ),
        ("header: { secret_file: secret }", &[("X-Claimsmith-Secret", "a-secret-of-some-length")], Ok(())),
        (
            "header: { secret_file: secret }",
            &[("X_Claimsmith_Secret", "a-secret-of-some-length")],
            Err("caller.untrusted"),
        ),
        // A client's own Authorization is not that of the proxy.
        (
            "bearer: { token_file: token } }, { name: other, networks: 192.0.2.1",
            &[("Authorization", "Bearer a-token-of-some-length")],
            Err("caller.untrusted"),
        ),
    ] {
        let app = app(&kratos, caller, "");
        for (path, metadata) in
            [("/forward-auth/web", TRAEFIK), ("/auth-request/web", NGINX), ("/ext-authz/web/a", ENVOY)]
        {
            let answer = ask(&app, path, &[metadata, &[COOKIE], headers]);
            match expected {
                Ok(()) => assert_eq!(answer.status, 200, "R4, R11: {caller} {}", answer.text()),
                Err(code) => assert_eq!(refusal(&answer), (403, code.to_owned()), "R4, R11: {caller}"),
            }
            if metadata == ENVOY {
                continue;
            }
            let without_metadata = ask(&app, path, &[&[COOKIE], headers]);
            let other = expected.err().unwrap_or("request.metadata");
            assert_eq!(refusal(&without_metadata), (403, other.to_owned()), "an untrusted peer learns nothing else");
        }
    }
}

#[test]
fn address_of_a_proxy_is_not_enough_to_post_a_session() {
    let kratos = FakeKratos::start();
    let near = app(&kratos, ON_LOOPBACK, "");
    assert_eq!(near.hydrate(r#"{"subject":"u"}"#).status, 401);
    let secret = app(&kratos, "header: { secret_file: secret }", "");
    let body = br#"{"subject":"u"}"#;
    let headers = &[("X-Claimsmith-Secret", "a-secret-of-some-length"), ("Authorization", "Bearer of-an-end-user")];
    assert_eq!(send(secret.api, &post("/issue/p", headers, body)).status, 200);
}

#[test]
fn caller_can_use_only_checks_of_its_profiles() {
    let kratos = FakeKratos::start();
    let caller = "networks: 192.0.2.1 }, { name: proxy-of-q, networks: 127.0.0.1, profiles: q";
    let config = format!(
        "callers: [{{ name: proxy, {caller} }}]\nsources: {{ {} }}\nchecks:\n  p: {{ sources: kratos, profile: p }}\n  q: {{ sources: kratos, profile: q }}",
        kratos.source("")
    );
    let profile = "  q: { issuer: i, jwks: keys.json, template: p }";
    let app = spawn_app(&Setup { config: &config, profile, template: "{}", ..Setup::default() });
    assert_eq!(ask(&app, "/forward-auth/q", &[TRAEFIK, &[COOKIE]]).status, 200);
    for check in ["p", "unknown"] {
        let answer = ask(&app, &format!("/forward-auth/{check}"), &[TRAEFIK, &[COOKIE]]);
        assert_eq!(refusal(&answer), (403, "caller.forbidden".to_owned()), "{check}");
    }
}

#[test]
fn tokens_of_claimsmith_are_no_session() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE]]);
    let calls = kratos.calls();
    let token = answer.header("authorization").unwrap();
    let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, &[("Authorization", token)]]);
    assert_eq!((refusal(&answer), kratos.calls()), ((401, "session.required".to_owned()), calls), "R5");
}

#[test]
fn requests_without_a_login_are_no_refusals_in_the_metric_of_their_profile() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    for _ in 0..3 {
        assert_eq!(refusal(&ask(&app, "/forward-auth/web", &[TRAEFIK])), (401, "session.required".to_owned()));
    }
    assert_eq!(ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE]]).status, 200);
    let text = app.get_admin("/metrics").text();
    for line in [
        r#"claimsmith_profile_requests_total{profile="p",result="issued"} 1"#,
        r#"claimsmith_profile_requests_total{profile="p",result="login"} 3"#,
        r#"claimsmith_profile_requests_total{profile="p",result="refused"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nnot in\n{text}");
    }
}

#[test]
fn duplicate_credentials_are_refused() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    for headers in [
        &[("Authorization", "Bearer a"), ("Authorization", "Bearer b")][..],
        &[("Authorization", "Bearer a"), ("Authorization", "Basic b")],
        &[("Authorization", "Bearer a, Bearer b")],
        &[("Cookie", "ory_kratos_session=a; ory_kratos_session=b")],
        &[("Cookie", "ory_kratos_session=a"), ("Cookie", "ory_kratos_session=a")],
        &[("X-Session-Token", "a"), ("X-Session-Token", "a")],
        &[COOKIE, ("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
    ] {
        let answer = ask(&app, "/auth-request/web", &[NGINX, headers]);
        assert_eq!(refusal(&answer), (403, "session.ambiguous".to_owned()), "R6: {headers:?}");
    }
    assert_eq!(kratos.calls(), 0);
}

#[test]
fn names_that_a_service_cannot_tell_apart_are_neither_read_nor_let_through() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "headers: { X-User-Id: sub }");
    for name in [
        "X_User_Id",
        "x_user-id",
        "X.User.Id",
        "X!User~Id",
        "X_Forwarded_Host",
        "X-Forwarded_Uri",
        "X.Forwarded.Uri",
        "X_Session_Token",
        "X_Claimsmith_Secret",
    ] {
        let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, (name, "v")]]);
        assert_eq!(refusal(&answer), (403, "request.lookalike".to_owned()), "R7: {name}");
    }
    assert_eq!(ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, ("X_Other", "v"), ("X-User-Id", "v")]]).status, 200);
}

#[test]
fn name_like_that_of_the_token_is_refused() {
    let kratos = FakeKratos::start();
    let config = format!(
        "callers: [{{ name: proxy, {ON_LOOPBACK} }}]\nsources: {{ {} }}\nchecks: {{ web: {{ sources: kratos, profile: q }} }}",
        kratos.source("")
    );
    let profile = "  q: { issuer: i, jwks: keys.json, template: p, placement: { header: X-Id-Token } }";
    let app = spawn_app(&Setup { config: &config, profile, template: "{}", ..Setup::default() });
    for name in ["X_Id_Token", "X.Id.Token"] {
        let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, (name, "v")]]);
        assert_eq!(refusal(&answer), (403, "request.lookalike".to_owned()), "R7: {name}");
    }
    assert_eq!(ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, ("X-Id-Token", "v")]]).status, 200);
}

#[test]
fn name_of_a_check_is_one_plain_path_segment() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    for path in ["/forward-auth/unknown", "/auth-request/unknown", "/forward-auth/w%2Feb", "/forward-auth/%2e%2e"] {
        let metadata = if path.starts_with("/forward") { TRAEFIK } else { NGINX };
        let answer = ask(&app, path, &[metadata, &[COOKIE]]);
        assert_eq!(refusal(&answer), (403, "check.unknown".to_owned()), "R10: {path}");
    }
    for path in
        ["/forward-auth/web/x", "/forward-auth/", "/forward-auth", "/forward-auth/web/../web", "/auth-request//web"]
    {
        assert_eq!(ask(&app, path, &[TRAEFIK, &[COOKIE]]).status, 404, "R10: {path}");
    }
}

#[test]
fn original_path_is_returned_to_as_it_came() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, LOGIN);
    let uri = ("X-Forwarded-Uri", "/a/%2e%2e/b%2Fc//d?e=%20&f");
    let rest: Vec<_> = TRAEFIK.iter().copied().filter(|(name, _)| *name != uri.0).collect();
    let answer = ask(&app, "/forward-auth/web", &[&rest, &[uri, HTML]]);
    let encoded = "%2Fa%2F%252e%252e%2Fb%252Fc%2F%2Fd%3Fe%3D%2520%26f";
    let expected = format!("https://id.example/login?return_to=https%3A%2F%2Fapp.example{encoded}");
    assert_eq!(answer.header("location"), Some(expected.as_str()), "R10");
}

/// Sends a request to the endpoint for Envoy with the `Host` of the original request.
fn ask_envoy(app: &TestApp, method: &str, target: &str, host: &str, headers: &[(&str, &str)]) -> Answer {
    let text = String::from_utf8(request(method, target, "HTTP/1.1", &[headers])).unwrap();
    send(app.api, text.replace("Host: x", &format!("Host: {host}")).as_bytes())
}

#[test]
fn envoy_describes_the_original_request_by_its_own_request_line_and_host() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, LOGIN);
    let login = "https://id.example/login?return_to=https%3A%2F%2Fapp.example";
    let encoded = "%2Fa%2F%252e%252e%2Fb%252Fc%2F%2Fd%3Fe%3D%2520%26f%2Fg";
    for (target, host, location) in [
        ("/ext-authz/web/a/%2e%2e/b%2Fc//d?e=%20&f/g", "app.example", format!("{login}{encoded}")),
        ("/ext-authz/web/", "app.example", format!("{login}%2F")),
        ("/ext-authz/web//evil.example/", "app.example", format!("{login}%2F%2Fevil.example%2F")),
        // With path_override, the original path is unknown.
        ("/ext-authz/web", "app.example", "https://id.example/login".to_owned()),
        ("/ext-authz/web?return_to=/x", "app.example", "https://id.example/login".to_owned()),
        ("/ext-authz/web/a", "evil.example", "https://id.example/login".to_owned()),
    ] {
        // Metadata of other proxies changes nothing.
        let answer = ask_envoy(&app, "GET", target, host, &[TRAEFIK, NGINX, &[HTML]].concat());
        assert_eq!((answer.status, answer.header("location")), (302, Some(location.as_str())), "R3, R10: {target}");
    }
    let post = ask_envoy(&app, "POST", "/ext-authz/web/a", "app.example", &[HTML, ("Content-Length", "0")]);
    assert_eq!(refusal(&post), (401, "session.required".to_owned()), "the method is that of the original request");
}

#[test]
fn original_path_behind_envoy_never_chooses_the_check() {
    let kratos = FakeKratos::start();
    let config = format!(
        "callers: [{{ name: proxy, {ON_LOOPBACK} }}]\nsources: {{ {}, nobody: {{ type: anonymous }} }}\n\
         checks:\n  web: {{ sources: kratos, profile: p }}\n  web2: {{ sources: nobody, profile: p }}",
        kratos.source("")
    );
    let app = spawn_app(&Setup { config: &config, template: "{}", ..Setup::default() });
    assert_eq!(ask_envoy(&app, "GET", "/ext-authz/web2/", "x", &[]).status, 200);
    for path in ["/../web2/", "/..%2Fweb2/", "/%2e%2e/web2/", "/../../ext-authz/web2/", "//../web2", "/;/../web2"] {
        let answer = ask_envoy(&app, "GET", &format!("/ext-authz/web{path}"), "x", &[]);
        assert_eq!(refusal(&answer), (401, "session.required".to_owned()), "R10: {path}");
    }
    for path in ["/ext-authz/web%2Fx", "/ext-authz/web%2F..%2Fweb2/", "/ext-authz/%77eb3/", "/ext-authz/*"] {
        let answer = ask_envoy(&app, "GET", path, "x", &[]);
        assert_eq!(refusal(&answer), (403, "check.unknown".to_owned()), "R10: {path}");
    }
    for path in ["/ext-authz", "/ext-authz/", "/ext-authz//web2/", "/ext-authz?web2"] {
        assert_eq!(ask_envoy(&app, "GET", path, "x", &[]).status, 404, "R10: {path}");
    }
}

#[test]
fn ambiguous_description_by_envoy_is_refused() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    for host in ["a/b", "a@b", "a,b", "a b", "", "a\r\nHost: b"] {
        let answer = ask_envoy(&app, "GET", "/ext-authz/web/", host, &[COOKIE]);
        let found = (answer.status != 400).then(|| refusal(&answer));
        // The HTTP parser itself refuses several hosts.
        assert!(found.is_none_or(|found| found == (403, "request.metadata".to_owned())), "R9: {host:?} {answer:?}");
    }
    assert_eq!(ask_envoy(&app, "GET", "/ext-authz/web/", "app.example:8080", &[COOKIE]).status, 200);
}

#[test]
fn renewed_cookie_does_not_decide_a_request() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    let headers = "Content-Type: application/json\r\nSet-Cookie: ory_kratos_session=new; HttpOnly\r\n";
    kratos.will_send(response("200 OK", headers, &identity("i-1").to_string()));
    let answer = ask(&app, "/auth-request/web", &[NGINX, &[COOKIE]]);
    assert_eq!((answer.status, answer.header("set-cookie")), (200, Some("ory_kratos_session=new; HttpOnly")), "R12");
    kratos.will_send(session(&identity("i-1")));
    let answer = ask(&app, "/auth-request/web", &[NGINX, &[COOKIE]]);
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "R12");
}

#[test]
fn browsers_are_redirected_and_other_clients_are_challenged() {
    let kratos = FakeKratos::start();
    let check = format!("{LOGIN}, require: {{ aal: aal1, max_auth_age: 15m }}");
    let app = app(&kratos, ON_LOOPBACK, &check);
    let back = "return_to=https%3A%2F%2Fapp.example%2Fa%3Fb%3Dc";
    let mut old = identity("i-1");
    old["authenticated_at"] = json!("2026-11-23T11:40:00Z");
    let mut weak = identity("i-1");
    weak["authenticator_assurance_level"] = json!("aal0");
    let json = "Content-Type: application/json\r\n";
    let aal = r#"{"redirect_browser_to":"https://id.example/kratos?aal=aal2"}"#;
    for (bytes, code, location) in [
        (response("401 Unauthorized", json, "{}"), "session.required", format!("https://id.example/login?{back}")),
        (session(&old), "session.age", format!("https://id.example/login?refresh=true&{back}")),
        (session(&weak), "session.level", format!("https://id.example/login?aal=aal1&{back}")),
        (response("403 Forbidden", json, aal), "session.level", format!("https://id.example/kratos?aal=aal2&{back}")),
    ] {
        kratos.will_send(bytes);
        let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, HTML]]);
        assert_eq!((answer.status, answer.header("location")), (302, Some(location.as_str())), "{code}");
        assert_eq!((answer.header("content-length"), answer.header("cache-control")), (Some("0"), Some("no-store")));
        for (path, metadata, headers) in [
            ("/forward-auth/web", TRAEFIK, &[COOKIE][..]),
            ("/auth-request/web", NGINX, &[COOKIE, HTML]),
            ("/auth-request/web", NGINX, &[COOKIE]),
        ] {
            let answer = ask(&app, path, &[metadata, headers]);
            assert_eq!(refusal(&answer), (401, code.to_owned()));
            assert_eq!(answer.json()["redirect_browser_to"], location);
            assert_eq!(answer.header("location"), Some(location.as_str()));
            let challenge = answer.header("www-authenticate").unwrap();
            let expected = match code {
                "session.required" => "Bearer",
                _ => "Bearer error=\"insufficient_user_authentication\", acr_values=",
            };
            assert!(challenge.starts_with(expected), "{challenge}");
            assert_eq!(challenge.contains("max_age=\"900\""), code != "session.required", "{challenge}");
        }
    }
    let post: Vec<_> =
        TRAEFIK.iter().map(|(name, value)| (*name, if *value == "GET" { "POST" } else { value })).collect();
    assert_eq!(ask(&app, "/forward-auth/web", &[&post, &[COOKIE, HTML]]).status, 401, "a body would be lost");
    let elsewhere: Vec<_> = TRAEFIK
        .iter()
        .map(|(name, value)| (*name, if *value == "app.example" { "evil.example" } else { value }))
        .collect();
    let answer = ask(&app, "/forward-auth/web", &[&elsewhere, &[HTML]]);
    assert_eq!(answer.header("location"), Some("https://id.example/login"), "no return to a host of the client");
}

#[test]
fn fresh_login_that_is_still_too_old_is_not_redirected_again() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, &format!("{LOGIN}, require: {{ max_auth_age: 1s }}"));
    let mut fresh = identity("i-1");
    fresh["authenticated_at"] = json!("2026-11-23T11:59:57Z");
    kratos.will_send(session(&fresh));
    let answer = ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, HTML]]);
    assert_eq!((refusal(&answer), answer.header("location")), ((401, "session.age".to_owned()), None));
    app.clock.set(NOW + 10);
    assert_eq!(ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, HTML]]).status, 302);
}

#[test]
fn browser_whose_session_ended_only_here_is_sent_to_log_in_again() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, LOGIN);
    let to =
        |refresh: &str| format!("https://id.example/login?{refresh}return_to=https%3A%2F%2Fapp.example%2Fa%3Fb%3Dc");
    let ask = || ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE, HTML]]);
    app.clock.set(NOW + 3600);
    let answer = ask();
    assert_eq!((answer.status, answer.header("location")), (302, Some(to("refresh=true&").as_str())));
    kratos.will_send(response("401 Unauthorized", "Content-Type: application/json\r\n", "{}"));
    let answer = ask();
    assert_eq!((answer.status, answer.header("location")), (302, Some(to("").as_str())));
}

#[test]
fn own_failures_are_5xx_for_every_proxy() {
    let kratos = FakeKratos::start();
    let config = format!(
        "callers: [{{ name: proxy, {ON_LOOPBACK} }}]\nsources: {{ {} }}\nchecks: {{ web: {{ sources: kratos, profile: p }} }}",
        kratos.source("")
    );
    let app = spawn_app(&Setup { config: &config, template: r#"{"a": {{Extra.no_such_member}}}"#, ..Setup::default() });
    for (path, metadata) in [("/forward-auth/web", TRAEFIK), ("/auth-request/web", NGINX)] {
        let answer = ask(&app, path, &[metadata, &[COOKIE]]);
        assert_eq!(refusal(&answer), (500, "template.missing_value".to_owned()));
    }
}

#[test]
fn requests_are_counted_by_route_and_profile() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, ON_LOOPBACK, "");
    assert_eq!(ask(&app, "/forward-auth/web", &[TRAEFIK, &[COOKIE]]).status, 200);
    assert_eq!(ask(&app, "/forward-auth/web", &[TRAEFIK]).status, 401);
    let metrics = app.get_admin("/metrics").text();
    for line in [
        r#"claimsmith_http_requests_total{route="/forward-auth/{check}",status="200"} 1"#,
        r#"claimsmith_http_requests_total{route="/forward-auth/{check}",status="401"} 1"#,
        r#"claimsmith_tokens_issued_total{profile="p",alg="ES256"} 1"#,
        r#"claimsmith_failures_total{code="session.required",profile="p",caller="proxy"} 1"#,
        r#"claimsmith_caller_requests_total{caller="proxy",result="issued"} 1"#,
        r#"claimsmith_caller_requests_total{caller="proxy",result="refused"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn credentials_and_sessions_never_reach_a_log_a_metric_or_a_problem() {
    let kratos = FakeKratos::start();
    let mut secret = identity("canary-identity");
    secret["identity"]["traits"] = json!({ "email": "canary-email" });
    let config = format!(
        "log: {{ level: trace }}\naudit: {{ to: 'file://audit.jsonl' }}\ncallers: [{{ name: proxy, header: {{ secret_file: secret }} }}]\n\
         sources: {{ {} }}\nchecks: {{ web: {{ sources: kratos, profile: p, {LOGIN} }} }}",
        kratos.source("")
    );
    let folder = serving_folder("", &config);
    folder.write("secret", "canary-proxy-secret-of-some-length");
    let service = Service::start(folder);
    let sent = |headers: &[(&str, &str)]| {
        let secret: &[(&str, &str)] = &[("X-Claimsmith-Secret", "canary-proxy-secret-of-some-length")];
        let uri = ("X-Forwarded-Uri", "/canary-path?canary-query");
        let rest: Vec<_> = TRAEFIK.iter().copied().filter(|(name, _)| *name != uri.0).collect();
        send(service.api, &request("GET", "/forward-auth/web", "HTTP/1.1", &[&rest, &[uri], secret, headers]))
    };
    let json = "Content-Type: application/json\r\n";
    let mut shown = String::new();
    let cookie = ("Cookie", "ory_kratos_session=canary-cookie");
    for bytes in [
        session(&secret),
        response("401 Unauthorized", json, r#"{"error":{"reason":"canary-reason"}}"#),
        response("403 Forbidden", json, "canary-forbidden"),
        response("500 Internal Server Error", json, "canary-error"),
        response("200 OK", json, "canary-malformed"),
        response("200 OK", "Content-Type: canary/type\r\n", "{}"),
    ] {
        kratos.will_send(bytes);
        let answer = sent(&[cookie]);
        if answer.status != 200 {
            shown.push_str(&answer.json()["detail"].to_string());
            shown.push_str(&answer.json()["title"].to_string());
        }
    }
    for headers in [
        &[("X-Session-Token", "canary-token")][..],
        &[("Authorization", "Bearer canary-bearer"), ("Authorization", "Bearer canary-bearer-2")],
        &[("Cookie", "ory_kratos_session=canary-1; ory_kratos_session=canary-2")],
        &[("X_Forwarded_Uri", "canary-lookalike")],
    ] {
        shown.push_str(&sent(headers).text());
    }
    shown = shown.replace("%2Fcanary-path%3Fcanary-query", "");
    let wrong = request("GET", "/forward-auth/web", "HTTP/1.1", &[TRAEFIK, &[("X-Claimsmith-Secret", "canary-guess")]]);
    shown.push_str(&send(service.api, &wrong).text());
    shown.push_str(&send(service.admin, &get("/metrics")).text());
    shown.push_str(&service.log.lock().unwrap());
    shown.push_str(&std::fs::read_to_string(service.folder.path().join("audit.jsonl")).unwrap_or_default());
    assert!(shown.contains("source.unavailable") && shown.contains("caller.untrusted"), "{shown}");
    let found: Vec<&str> =
        shown.match_indices("canary").map(|(at, _)| &shown[at..(at + 40).min(shown.len())]).collect();
    assert_eq!(found, [""; 0]);
    let logged = service.log.lock().unwrap().clone();
    let lines = logged.lines().filter(|line| line.contains("session.required"));
    let levels: Vec<Value> = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].clone()).collect();
    assert!(!levels.is_empty() && levels.iter().all(|level| level == "DEBUG"), "{levels:?}");
    let value: Value = serde_json::from_slice(&sent(&[cookie]).body).unwrap();
    assert_eq!(value["type"], "source.unavailable");
}
