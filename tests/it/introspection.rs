//! Access tokens that an authorization server knows, and which source a bearer token belongs to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_issuer::{FakeIssuer, IssuerKey};
use crate::fake_kratos::{FakeKratos, response};
use crate::support::{Answer, NOW, Setup, TestApp, send, spawn_app, wait_until};

const PATH: &str = "/introspect";
const JSON: &str = "Content-Type: application/json\r\n";
const OPAQUE: &str = "Authorization: Bearer ory_at_opaque.token\r\n";

/// Starts the service with the source `hydra` and the check `api`.
fn app(server: &FakeIssuer, source: &str, check: &str) -> TestApp {
    let hydra = format!("hydra: {{ type: introspection, url: '{}', {source} }}", server.url(PATH));
    app_with(&hydra, &format!("sources: hydra, profile: p, {check}"))
}

fn app_with(sources: &str, check: &str) -> TestApp {
    let config = format!(
        "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\nlimits: {{ body: 4KiB, in_flight: 500, connections: 500 }}\n\
         reload: {{ interval: 100ms }}\n\
         sources: {{ {sources} }}\nchecks: {{ api: {{ {check} }} }}"
    );
    let files = &[("secret.txt", "s%cret canary\n"), ("token.txt", "canary-token\n")];
    spawn_app(&Setup { config: &config, template: r#"{"session": {{Extra}}}"#, files, ..Setup::default() })
}

fn request(headers: &str) -> Vec<u8> {
    format!(
        "GET /auth-request/api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-Method: GET\r\n\
         X-Original-URL: https://app.example/\r\n{headers}\r\n"
    )
    .into_bytes()
}

fn ask(app: &TestApp, headers: &str) -> Answer {
    send(app.api, &request(headers))
}

/// Returns the claims of an allowed request, or the code of a refused one.
fn result(app: &TestApp, headers: &str) -> Result<Value, String> {
    let answer = ask(app, headers);
    if answer.status == 200 {
        let token = answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        return Ok(serde_json::from_str(app.verify(&token).claims()).unwrap());
    }
    answer.assert_is_problem();
    Err(answer.json()["type"].as_str().unwrap().to_owned())
}

fn active(more: &str) -> String {
    format!(r#"{{"active":true,"sub":"u-1"{more}}}"#)
}

#[test]
fn answer_is_the_session_and_the_token_ends_with_it() {
    let server = FakeIssuer::start();
    server.will_send_json(PATH, &active(&format!(r#","exp":{},"scope":"read""#, NOW + 60)));
    let app = app(&server, "", "");
    let claims = result(&app, OPAQUE).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["exp"], &claims["session"]["scope"]),
        (&json!("u-1"), &json!(NOW + 60), &json!("read"))
    );
    let request = server.requests(PATH).pop().unwrap();
    assert!(request.head.starts_with("POST /introspect HTTP/1.1\r\n"), "{}", request.head);
    assert!(!request.head.to_lowercase().contains("authorization:"), "{}", request.head);
    assert!(!request.head.to_lowercase().contains("cookie:"));
    assert_eq!(request.body, "token=ory_at_opaque.token&token_type_hint=access_token");
    app.clock.set(NOW + 60);
    assert_eq!(result(&app, OPAQUE), Err("session.required".to_owned()), "the token ended");
}

#[test]
fn claimsmith_authenticates_as_the_configuration_says() {
    for (source, expected) in [
        // RFC 6749 section 2.3.1: encoded before they are joined.
        ("basic: { username: 'a:b', password_file: secret.txt }", "authorization: Basic YSUzQWI6cyUyNWNyZXQrY2FuYXJ5"),
        ("bearer: { token_file: token.txt }", "authorization: Bearer canary-token"),
    ] {
        let server = FakeIssuer::start();
        server.will_send_json(PATH, &active(""));
        let app = app(&server, source, "");
        result(&app, OPAQUE).unwrap();
        let head = server.requests(PATH).pop().unwrap().head;
        assert!(head.contains(&format!("\r\n{expected}\r\n")), "{head}");
    }
}

#[test]
fn failure_is_never_a_missing_session() {
    let server = FakeIssuer::start();
    let app = app(&server, "timeout: 200ms, basic: { username: c, password_file: secret.txt }", "");
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{".to_vec();
    let huge = response("200 OK", JSON, &active(&format!(r#","x":"{}""#, "x".repeat(5000))));
    for (name, bytes, status, expected) in [
        ("inactive", response("200 OK", JSON, r#"{"active":false}"#), 401, "session.required"),
        (
            "refresh token",
            response("200 OK", JSON, &active(r#","token_use":"refresh_token""#)),
            401,
            "session.required",
        ),
        ("expired", response("200 OK", JSON, &active(&format!(r#","exp":{NOW}"#))), 401, "session.required"),
        ("401", response("401 Unauthorized", JSON, "{}"), 503, "source.unavailable"),
        ("403", response("403 Forbidden", JSON, r#"{"redirect_browser_to":"https://x"}"#), 503, "source.unavailable"),
        ("404", response("404 Not Found", JSON, "{}"), 503, "source.unavailable"),
        ("429", response("429 Too Many Requests", "Retry-After: 9\r\n", ""), 429, "source.rate_limited"),
        (
            "redirect",
            response("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n", ""),
            503,
            "source.unavailable",
        ),
        ("500", response("500 Internal Server Error", JSON, r#"{"active":false}"#), 503, "source.unavailable"),
        ("truncated", truncated, 503, "source.unavailable"),
        ("huge", huge, 503, "source.unavailable"),
        ("HTML", response("200 OK", "Content-Type: text/html\r\n", r#"{"active":false}"#), 503, "source.unavailable"),
        (
            "duplicates",
            response("200 OK", JSON, r#"{"active":false,"active":true,"sub":"u"}"#),
            503,
            "source.unavailable",
        ),
        ("no subject", response("200 OK", JSON, r#"{"active":true}"#), 503, "source.unavailable"),
    ] {
        server.will_send(PATH, bytes);
        let answer = ask(&app, OPAQUE);
        assert_eq!(
            (answer.status, answer.json()["type"].as_str()),
            (status, Some(expected)),
            "{name} {}",
            answer.text()
        );
        assert!(answer.header("authorization").is_none());
        assert!(!answer.text().contains("canary") && !answer.text().contains("opaque"), "{}", answer.text());
        if name == "429" {
            assert_eq!(answer.header("retry-after"), Some("9"));
        }
    }
    server.will_hold(PATH, response("200 OK", JSON, &active("")));
    let start = Instant::now();
    assert_eq!(result(&app, OPAQUE), Err("source.unavailable".to_owned()));
    assert!(start.elapsed() >= Duration::from_millis(200));
    let metrics = app.get_admin("/metrics").text();
    assert!(
        metrics.contains("claimsmith_session_source_calls_total{source=\"hydra\",result=\"no_session\"} 3\n"),
        "{metrics}"
    );
    assert!(!metrics.contains("canary") && !metrics.contains("opaque"));
}

#[test]
fn concurrent_requests_with_one_token_share_a_call() {
    let server = FakeIssuer::start();
    server.will_hold(PATH, response("200 OK", JSON, &active("")));
    let app = app(&server, "timeout: 60s", "");
    let api = app.api;
    let requests: Vec<_> = (0..100).map(|_| std::thread::spawn(move || send(api, &request(OPAQUE)).status)).collect();
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_requests_in_flight 100\n"));
    server.release();
    assert!(requests.into_iter().all(|request| request.join().unwrap() == 200));
    assert_eq!(server.requests(PATH).len(), 1);
}

#[test]
fn cached_answer_needs_no_call() {
    let server = FakeIssuer::start();
    server.will_send_json(PATH, &active(&format!(r#","exp":{}"#, NOW + 20)));
    let app = app(&server, "cache: { ttl: 30s }", "");
    for _ in 0..3 {
        result(&app, OPAQUE).unwrap();
    }
    assert_eq!(server.requests(PATH).len(), 1);
    app.clock.set(NOW + 20);
    server.will_send_json(PATH, r#"{"active":false}"#);
    assert_eq!(result(&app, OPAQUE), Err("session.required".to_owned()), "the cached answer ends with its token");
}

#[test]
fn reload_keeps_cached_answers_over_a_new_secret_but_not_over_a_new_issuer_of_ours() {
    let server = FakeIssuer::start();
    server.will_send_json(PATH, &active(""));
    let app = app(&server, "cache: { ttl: 30s }, basic: { username: c, password_file: secret.txt }", "");
    let generation = |number: u32| {
        let line = format!("claimsmith_generation {number}\n");
        wait_until(|| app.get_admin("/metrics").text().contains(&line));
    };
    assert!(result(&app, OPAQUE).is_ok());
    app.folder.write("secret.txt", "another secret\n");
    generation(2);
    assert!(result(&app, OPAQUE).is_ok());
    let text = std::fs::read_to_string(app.folder.path().join("claimsmith.yaml")).unwrap();
    app.folder.write("claimsmith.yaml", &text.replace("https://issuer.example/", "https://other.example/"));
    generation(3);
    assert!(result(&app, OPAQUE).is_ok());
    assert_eq!(server.requests(PATH).len(), 2, "a cached answer can name the new issuer");
    let text = text.replace("https://issuer.example/", "https://other.example/");
    app.folder.write("claimsmith.yaml", &text.replace("username: c", "username: d"));
    generation(4);
    assert!(result(&app, OPAQUE).is_ok());
    assert_eq!(server.requests(PATH).len(), 3, "another client can get another answer");
}

#[test]
fn assurance_of_an_answer_serves_requirements() {
    let server = FakeIssuer::start();
    let source = "assurance: { authenticated_at: auth_time, level: acr, aal1: [pwd], aal2: [mfa] }";
    let app = app(&server, source, "require: { aal: aal2, max_auth_age: 15m }");
    for (more, expected) in [
        (format!(r#","acr":"mfa","auth_time":{}"#, NOW - 900), None),
        (format!(r#","acr":"pwd","auth_time":{NOW}"#), Some("session.level")),
        (format!(r#","acr":"mfa","auth_time":{}"#, NOW - 901), Some("session.age")),
        (r#","acr":"mfa""#.to_owned(), Some("session.age")),
        (format!(r#","auth_time":{NOW}"#), Some("session.level")),
    ] {
        server.will_send_json(PATH, &active(&more));
        assert_eq!(result(&app, OPAQUE).err().as_deref(), expected, "{more}");
    }
}

#[test]
fn bearer_token_reaches_only_the_source_that_it_belongs_to() {
    let (server, kratos, key) = (FakeIssuer::start(), FakeKratos::start(), IssuerKey::new("k1"));
    server.will_send_json(PATH, &active(""));
    server.will_send_json("/jwks", &key.set());
    let sources = format!(
        "{}, hydra: {{ type: introspection, url: '{}' }}, guest: {{ type: anonymous }}, \
         partner: {{ type: jwt, issuer: 'https://idp.example', audience: orders, algorithms: ES256, jwks: '{}' }}",
        kratos.source(""),
        server.url(PATH),
        server.url("/jwks"),
    );
    let app = app_with(&sources, "sources: [kratos, hydra, partner, guest], profile: p");
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let claims = |issuer: &str, subject: &str| {
        json!({"iss": issuer, "sub": subject, "aud": "orders", "exp": NOW + 60}).to_string()
    };
    let own = result(&app, &bearer("ory_st_token")).unwrap();
    assert_eq!(own["sub"], "i-1", "Kratos");
    let own_token = ask(&app, &bearer("ory_st_token")).header("authorization").unwrap().to_owned();
    let (kratos_calls, calls) = (kratos.calls(), || server.requests(PATH).len());
    assert_eq!((kratos_calls, calls()), (2, 0));

    assert_eq!(result(&app, &bearer(&key.sign(&claims("https://idp.example", "p-1")))).unwrap()["sub"], "p-1");
    assert_eq!((kratos.calls(), calls()), (2, 0), "neither of the others saw it");
    for (token, name) in [
        ("ory_at_a.b".to_owned(), "opaque"),
        (key.sign(&claims("https://other.example", "x")), "JWT of an unknown issuer"),
        (key.sign(&claims("https://idp.example/", "x")), "issuer with a slash"),
        (key.sign(r#"{"sub":"x"}"#), "JWT without an issuer"),
    ] {
        let before = calls();
        assert_eq!(result(&app, &bearer(&token)).unwrap()["sub"], "u-1", "{name}");
        assert_eq!((kratos.calls(), calls()), (2, before + 1), "{name}");
    }
    let before = calls();
    for (headers, name) in [
        (format!("Authorization: {own_token}\r\n"), "a token of our own"),
        (bearer(&key.sign(&claims("https://issuer.example", "x"))), "our issuer without its slash"),
        (bearer(&key.sign(r#"{"iss":"https://other","iss":"https://issuer.example/"}"#)), "two issuers"),
        (bearer("a.b.c"), "no JSON"),
        (bearer(&key.sign(&claims("https://idp.example", "p-1"))[..200]), "a cut token"),
    ] {
        assert_eq!(result(&app, &headers), Err("session.required".to_owned()), "{name}");
    }
    assert_eq!((kratos.calls(), calls()), (2, before), "nothing was sent anywhere");
    assert_eq!(result(&app, "").unwrap()["sub"], "anonymous", "no credential");
    let cookie = format!("Cookie: ory_kratos_session=c\r\n{}", bearer("ory_at_a.b"));
    assert_eq!(
        result(&app, &cookie).unwrap()["sub"],
        "i-1",
        "the order of the check decides between a cookie and a token"
    );
    let two = format!("{}{}", bearer("ory_at_a.b"), bearer("ory_at_a.b"));
    assert_eq!(result(&app, &two), Err("session.ambiguous".to_owned()));
}
