//! Extension of sessions by the admin API of Kratos.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_kratos::{Behavior, FakeKratos, identity, response, session};
use crate::session_sources::{COOKIE, JSON, ask, claims};
use crate::support::{Answer, NOW, Setup, TestApp, claimsmith, serving_folder, spawn_app, stderr, wait_until};

/// Starts the service with a source that extends sessions.
fn app(kratos: &FakeKratos, keys: &str) -> TestApp {
    let config = format!(
        "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\n\
         sources:\n  kratos:\n    type: kratos\n    public: http://{0}\n    admin: http://{0}\n    timeout: 500ms\n{keys}\n\
         checks: {{ web: {{ sources: kratos, profile: p }} }}\nreload: {{ interval: 100ms }}",
        kratos.address
    );
    let (template, files) = ("{}", &[("key", "canary-api-key\n")][..]);
    spawn_app(&Setup { config: &config, template, profile: "    ttl: 10h", files, ..Setup::default() })
}

const EXTEND: &str = "    extend: { below: 1h }";

/// Returns a session that lives for `minutes` after the start.
fn lasting(minutes: i64) -> Value {
    let mut session = identity("i-1");
    session["expires_at"] = json!(format!("2026-11-23T{:02}:{:02}:00Z", 12 + minutes / 60, minutes % 60));
    session
}

fn expiry(app: &TestApp, answer: &Answer) -> i64 {
    claims(app, answer)["exp"].as_i64().unwrap() - NOW
}

fn extensions(app: &TestApp, result: &str) -> bool {
    let line = format!("claimsmith_session_extensions_total{{source=\"kratos\",result=\"{result}\"}} 1\n");
    app.get_admin("/metrics").text().contains(&line)
}

#[test]
fn session_near_its_end_is_extended_and_read_back() {
    for (status, body) in [("204 No Content", String::new()), ("200 OK", lasting(600).to_string())] {
        let kratos = FakeKratos::start();
        let app = app(&kratos, EXTEND);
        let renewed = format!("{JSON}Set-Cookie: ory_kratos_session=new; Path=/\r\n");
        kratos.will_send(session(&lasting(59)));
        kratos.will_extend(response(status, JSON, &body), response("200 OK", &renewed, &lasting(600).to_string()));
        let answer = ask(&app, COOKIE);
        assert_eq!(expiry(&app, &answer), 600 * 60, "{status}");
        assert_eq!(answer.header("set-cookie"), Some("ory_kratos_session=new; Path=/"));
        let patches = kratos.heads("PATCH ");
        assert_eq!(patches.len(), 1);
        assert!(
            patches[0].starts_with("PATCH /admin/sessions/6d5f9f2e-8c3a-4e1b-9f27-3b1f0c9a7d11/extend HTTP/1.1\r\n")
        );
        assert!(!patches[0].contains("c00kie") && !patches[0].contains("authorization"), "{}", patches[0]);
        assert!(extensions(&app, "extended"));
        assert_eq!(ask(&app, COOKIE).status, 200);
        assert_eq!(kratos.heads("PATCH ").len(), 1, "it is no longer near its end");
    }
}

#[test]
fn session_far_from_its_end_is_not_extended() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, EXTEND);
    kratos.will_send(session(&lasting(60)));
    assert_eq!(expiry(&app, &ask(&app, COOKIE)), 3600);
    assert_eq!(kratos.calls(), 1);
}

#[test]
fn extension_that_came_too_early_is_repeated_after_a_minute() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, EXTEND);
    kratos.will_send(session(&lasting(30)));
    kratos.will_extend(response("204 No Content", "", ""), session(&lasting(30)));
    for (second, count) in [(0, 1), (1, 1), (59, 1), (60, 2)] {
        app.clock.set(NOW + second);
        assert_eq!(expiry(&app, &ask(&app, COOKIE)), 30 * 60, "{second}");
        assert_eq!(kratos.heads("PATCH ").len(), count, "{second}");
        assert!(count == 2 || extensions(&app, "unchanged"));
    }
}

#[test]
fn failed_extension_fails_no_request() {
    let unauthorized = response("401 Unauthorized", JSON, "{}");
    for (name, extension, after) in [
        ("500", response("500 Internal Server Error", JSON, "{}"), session(&lasting(30))),
        ("401", unauthorized.clone(), session(&lasting(30))),
        ("400", response("400 Bad Request", JSON, "{}"), session(&lasting(30))),
        ("redirect", response("302 Found", "Location: http://127.0.0.1:1/\r\n", ""), session(&lasting(30))),
        ("reset", Vec::new(), session(&lasting(30))),
        ("not read back", response("204 No Content", "", ""), response("500 Internal Server Error", JSON, "{}")),
    ] {
        let kratos = FakeKratos::start();
        let app = app(&kratos, EXTEND);
        kratos.will_send(session(&lasting(30)));
        kratos.will_extend(extension, after);
        assert_eq!(expiry(&app, &ask(&app, COOKIE)), 30 * 60, "{name}");
        assert!(extensions(&app, "failed"), "{name}");
    }
    let kratos = FakeKratos::start();
    let dead = app(&kratos, EXTEND);
    kratos.will_send(session(&lasting(30)));
    kratos.will_extend(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n".to_vec(), session(&lasting(30)));
    assert_eq!(expiry(&dead, &ask(&dead, COOKIE)), 30 * 60, "a response that ends early");
    for behavior in [Behavior::Silence, Behavior::Bytes(response("204 No Content", "", ""))] {
        let kratos = FakeKratos::start();
        let silent = app(&kratos, EXTEND);
        kratos.will_send(session(&lasting(30)));
        kratos.will_extend_with(behavior, Vec::new());
        let start = Instant::now();
        assert_eq!(expiry(&silent, &ask(&silent, COOKIE)), 30 * 60, "no answer");
        assert!(start.elapsed() < Duration::from_millis(950), "both calls share the timeout: {:?}", start.elapsed());
        assert!(extensions(&silent, "failed"));
    }
}

#[test]
fn dead_admin_api_does_not_delay_requests() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, EXTEND);
    let session_of = |number: i64| {
        let mut body = lasting(30);
        body["id"] = json!(format!("session-{number}"));
        session(&body)
    };
    for number in 0..7 {
        kratos.will_send(session_of(number));
        kratos.will_extend_with(Behavior::Silence, session_of(number));
        let start = Instant::now();
        assert_eq!(expiry(&app, &ask(&app, &format!("X-Session-Token: {number}\r\n"))), 30 * 60);
        if number >= 5 {
            assert!(start.elapsed() < Duration::from_millis(400), "{number}: {:?}", start.elapsed());
        }
    }
    assert_eq!(kratos.heads("PATCH ").len(), 5, "there is no attempt while it is dead");
    let metrics = app.get_admin("/metrics").text();
    for (result, count) in [("failed", 5), ("skipped", 2)] {
        let line = format!("claimsmith_session_extensions_total{{source=\"kratos\",result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    kratos.will_send(session_of(6));
    kratos.will_extend(response("204 No Content", "", ""), session(&lasting(600)));
    wait_until(|| expiry(&app, &ask(&app, "X-Session-Token: 6\r\n")) == 600 * 60);
}

#[test]
fn session_that_is_not_found_is_read_once_more() {
    let not_found = || response("404 Not Found", JSON, "{}");
    let kratos = FakeKratos::start();
    let app = app(&kratos, EXTEND);
    kratos.will_send(session(&lasting(30)));
    kratos.will_extend(not_found(), session(&lasting(600)));
    assert_eq!(expiry(&app, &ask(&app, COOKIE)), 600 * 60, "another client extended it");
    assert!(extensions(&app, "not_found"));

    let kratos = FakeKratos::start();
    let app = self::app(&kratos, EXTEND);
    kratos.will_send(session(&lasting(30)));
    kratos.will_extend(not_found(), response("401 Unauthorized", JSON, "{}"));
    assert_eq!(ask(&app, COOKIE).status, 401, "it has ended");
}

#[test]
fn api_key_of_the_file_is_sent_to_the_admin_api_only() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, &format!("    admin_token_file: key\n{EXTEND}"));
    kratos.will_send(session(&lasting(30)));
    kratos.will_extend(response("204 No Content", "", ""), session(&lasting(30)));
    assert_eq!(ask(&app, COOKIE).status, 200);
    let patches = kratos.heads("PATCH ");
    assert!(patches[0].contains("authorization: Bearer canary-api-key\r\n"), "{}", patches[0]);
    assert!(kratos.heads("GET ").iter().all(|head| !head.contains("canary")));
    app.folder.write("key", "another-api-key\n");
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_generation 2\n"));
    assert_eq!(ask(&app, COOKIE).status, 200);
    assert_eq!(kratos.heads("PATCH ").len(), 1, "a reload does not forget the last attempt");
    app.clock.set(NOW + 60);
    assert_eq!(ask(&app, COOKIE).status, 200);
    assert!(kratos.heads("PATCH ")[1].contains("authorization: Bearer another-api-key\r\n"));
    app.folder.write("key", "\n");
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_reload_refused 1\n"));
    let ready = app.get_admin("/health/ready").text();
    assert!(ready.contains("sources.kratos.admin_token_file") && !ready.contains("another"), "{ready}");
}

#[test]
fn check_reports_a_missing_api_key_and_one_that_everyone_can_read() {
    let config = "callers: [{ name: proxy, networks: 10.0.0.1 }]
sources:
  kratos: { type: kratos, public: 'http://k', admin: 'http://k', admin_token_file: key, extend: { below: 1h } }
checks: { web: { sources: kratos, profile: p } }";
    let folder = serving_folder("", config);
    let missing = claimsmith(folder.path(), &["check"]);
    assert_eq!(missing.status.code(), Some(1));
    let expected = "sources.kratos.admin_token_file: expected a file that can be read";
    assert!(stderr(&missing).contains(expected), "{}", stderr(&missing));
    let key = folder.write("key", "an-api-key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let found = claimsmith(folder.path(), &["check"]);
    assert_eq!(found.status.code(), Some(0), "{}", stderr(&found));
    let warning = "every user of this host can read this secret of a session source";
    assert!(stderr(&found).contains(warning) && !stderr(&found).contains("an-api-key"), "{}", stderr(&found));
}
