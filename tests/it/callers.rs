//! Caller authentication, permissions and limits.

use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{NOW, Setup, TestApp, connect, post, read_response, send, spawn_app, wait_until};

const CONFIG: &str = "callers:
  - { name: oathkeeper, basic: { username: oathkeeper, password_file: basic.txt } }
  - { name: batch, bearer: { token_file: bearer.txt } }";

fn app() -> TestApp {
    let files = &[("basic.txt", "a-password-of-some-length\n"), ("bearer.txt", "a-bearer-token-of-some-length")];
    spawn_app(&Setup { config: CONFIG, files, template: "{}", ..Setup::default() })
}

fn status(app: &TestApp, path: &str, authorization: &str) -> u16 {
    let answer = send(app.api, &post(path, &[("Authorization", authorization)], br#"{"subject":"u"}"#));
    if answer.status != 200 {
        answer.assert_is_problem();
        assert!(answer.header("www-authenticate").is_some());
    }
    answer.status
}

#[test]
fn callers_authenticate_only_with_their_own_credentials() {
    let app = app();
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for path in ["/hydrate/p", "/issue/p"] {
        assert_eq!(status(&app, path, &basic("oathkeeper:a-password-of-some-length")), 200);
        assert_eq!(status(&app, path, "Bearer a-bearer-token-of-some-length"), 200);
        for wrong in [
            &basic("oathkeeper:another"),
            &basic("batch:a-password-of-some-length"),
            &basic("oathkeeper"),
            "Bearer a-password-of-some-length",
            "Bearer the-end-users-own-token",
            "Basic ???",
            "Negotiate x",
        ] {
            assert_eq!(status(&app, path, wrong), 401, "{wrong}");
        }
    }
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 401);
    assert_eq!(app.get("/.well-known/jwks.json").status, 200);
    assert_eq!(app.get("/openapi.json").status, 200);
}

fn kind(app: &TestApp, path: &str, authorization: &str) -> (u16, String) {
    let answer = send(app.api, &post(path, &[("Authorization", authorization)], br#"{"subject":"u"}"#));
    answer.assert_is_problem();
    if answer.status == 429 {
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    (answer.status, answer.json()["type"].as_str().unwrap().to_owned())
}

fn has_metric(app: &TestApp, line: &str) -> bool {
    app.get_admin("/metrics").text().lines().any(|found| found == line)
}

#[test]
fn secret_rotation_rejects_no_request() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: c, bearer: { token_files: [next, last] } }]
limits: { failed_attempts: 1000000 }
reload: { interval: 100ms }",
        files: &[("next", "the-next-token-of-some-length"), ("last", "the-last-token-of-some-length")],
        template: "{}",
        ..Setup::default()
    });
    let ask = |token: &str| status(&app, "/issue/p", &format!("Bearer {token}"));
    assert_eq!(ask("the-next-token-of-some-length"), 200);
    assert_eq!(ask("the-last-token-of-some-length"), 200);
    assert_eq!(ask("another-token-of-some-length"), 401);
    app.folder.write("last", "the-next-token-of-some-length");
    wait_until(|| ask("the-last-token-of-some-length") != 200);
    assert_eq!(ask("the-next-token-of-some-length"), 200);
    app.folder.write("next", "a-token-that-is-newer-still");
    wait_until(|| ask("a-token-that-is-newer-still") == 200);
    assert_eq!(ask("the-next-token-of-some-length"), 200);
}

#[test]
fn callers_get_tokens_only_for_their_profiles() {
    let app = spawn_app(&Setup {
        profile: "  q: { issuer: i, jwks: keys.json, template: p }",
        config: "callers:
  - { name: one, bearer: { token_file: one }, profiles: [q] }
  - { name: all, bearer: { token_file: all } }",
        files: &[("one", "the-token-of-the-one-caller"), ("all", "the-token-of-the-other-caller")],
        template: "{}",
        ..Setup::default()
    });
    let one = "Bearer the-token-of-the-one-caller";
    assert_eq!(status(&app, "/issue/q", one), 200);
    for path in ["/issue/p", "/hydrate/p", "/issue/nothing-of-that-name"] {
        assert_eq!(kind(&app, path, one), (403, "caller.forbidden".to_owned()), "{path}");
    }
    let all = "Bearer the-token-of-the-other-caller";
    assert_eq!((status(&app, "/issue/p", all), status(&app, "/issue/q", all)), (200, 200));
    assert_eq!(kind(&app, "/issue/nothing-of-that-name", all).0, 404);
    assert!(has_metric(&app, r#"claimsmith_caller_requests_total{caller="one",result="issued"} 1"#));
    assert!(has_metric(&app, r#"claimsmith_caller_requests_total{caller="one",result="refused"} 3"#));
    assert!(has_metric(&app, r#"claimsmith_caller_requests_total{caller="all",result="issued"} 2"#));
    assert!(has_metric(&app, r#"claimsmith_caller_requests_total{caller="all",result="refused"} 1"#));
    for (profile, count) in [("p", 2), ("unknown", 1)] {
        let labels = format!(r#"code="caller.forbidden",profile="{profile}",caller="one""#);
        assert!(has_metric(&app, &format!("claimsmith_failures_total{{{labels}}} {count}")));
    }
    assert!(has_metric(&app, r#"claimsmith_failures_total{code="profile.unknown",profile="unknown",caller="all"} 1"#));
}

#[test]
fn rate_limit_applies_only_to_its_caller() {
    let app = spawn_app(&Setup {
        config: "callers:
  - { name: busy, bearer: { token_file: busy }, limits: { rate: 1/h, burst: 2 } }
  - { name: calm, bearer: { token_file: calm } }
reload: { interval: 100ms }",
        files: &[("busy", "the-token-of-the-busy-caller"), ("calm", "the-token-of-the-calm-caller")],
        template: "{\"version\": 1}",
        ..Setup::default()
    });
    let busy = "Bearer the-token-of-the-busy-caller";
    let calm = "Bearer the-token-of-the-calm-caller";
    assert_eq!((status(&app, "/issue/p", busy), status(&app, "/issue/p", busy)), (200, 200));
    assert_eq!(kind(&app, "/issue/p", busy), (429, "caller.rate".to_owned()));
    assert_eq!(status(&app, "/issue/p", calm), 200);
    app.folder.write("templates/p/claims.hbs", "{\"version\": 2}");
    wait_until(|| has_metric(&app, "claimsmith_generation 2"));
    assert_eq!(kind(&app, "/issue/p", busy), (429, "caller.rate".to_owned()), "a reload gives nothing back");
}

#[test]
fn caller_concurrency_is_limited() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: c, bearer: { token_file: t }, limits: { concurrency: 1 } }]",
        files: &[("t", "a-token-of-some-length")],
        template: "{}",
        ..Setup::default()
    });
    let token = "Bearer a-token-of-some-length";
    let whole = post("/issue/p", &[("Authorization", token)], br#"{"subject":"u"}"#);
    let (first, rest) = whole.split_at(whole.len() - 5);
    let mut held = connect(app.api);
    held.write_all(first).unwrap();
    wait_until(|| has_metric(&app, "claimsmith_requests_in_flight 1"));
    assert_eq!(kind(&app, "/issue/p", token), (429, "caller.concurrency".to_owned()));
    held.write_all(rest).unwrap();
    assert_eq!(read_response(&mut held, true).status, 200);
    wait_until(|| has_metric(&app, "claimsmith_requests_in_flight 0"));
    assert_eq!(status(&app, "/issue/p", token), 200);
}

#[test]
fn failed_attempts_are_throttled_but_valid_credentials_are_not() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: c, bearer: { token_file: t } }]
limits: { failed_attempts: 3, failed_delay: 200ms }",
        files: &[("t", "a-token-of-some-length")],
        template: "{}",
        ..Setup::default()
    });
    let (right, wrong) = ("Bearer a-token-of-some-length", "Bearer another-token-of-some-length");
    for _ in 0..5 {
        assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 401, "who presents nothing guesses nothing");
    }
    for _ in 0..3 {
        assert_eq!(kind(&app, "/issue/p", wrong), (401, "caller.unauthenticated".to_owned()));
    }
    let start = Instant::now();
    let answer = send(app.api, &post("/issue/p", &[("Authorization", wrong), ("Connection", "keep-alive")], b"{}"));
    assert_eq!((answer.status, answer.json()["type"].as_str()), (401, Some("caller.slowed")));
    assert_eq!((answer.header("retry-after"), answer.header("connection")), (None, Some("close")));
    assert!(answer.header("www-authenticate").is_some());
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(status(&app, "/issue/p", right), 200);
    assert_eq!(app.failures("caller.slowed"), 1);
    assert_eq!(app.failures("caller.unauthenticated"), 8);
    app.clock.set(NOW + 60);
    assert_eq!(kind(&app, "/issue/p", wrong), (401, "caller.unauthenticated".to_owned()), "it is forgotten in time");
}

#[test]
fn end_user_authorization_is_ignored_when_no_callers_are_configured() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    assert_eq!(status(&app, "/hydrate/p", "Bearer the-end-users-own-token"), 200);
}
