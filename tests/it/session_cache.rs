//! Sessions that are used again without another call, and sources that are not called.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_kratos::{Behavior, FakeKratos, identity, response, session};
use crate::session_sources::{COOKIE, JSON, app, ask, claims, code};
use crate::support::{NOW, TestApp, wait_until};

const CACHE: &str = "cache: { ttl: 30s }";

fn metrics(app: &TestApp) -> String {
    app.get_admin("/metrics").text()
}

#[test]
fn cached_session_needs_no_call_until_its_ttl_ends() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, CACHE, "", "");
    for (second, calls) in [(0, 1), (1, 1), (29, 1), (30, 2), (59, 2), (60, 3)] {
        app.clock.set(NOW + second);
        assert_eq!(claims(&app, &ask(&app, COOKIE))["sub"], "i-1");
        assert_eq!(kratos.calls(), calls, "{second}");
    }
    let metrics = metrics(&app);
    for line in [
        "claimsmith_session_cache_lookups_total{source=\"kratos\",result=\"hit\"} 3\n",
        "claimsmith_session_cache_lookups_total{source=\"kratos\",result=\"miss\"} 3\n",
        "claimsmith_session_cache_sessions{source=\"kratos\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    assert_eq!(ask(&app, "Cookie: ory_kratos_session=another\r\n").status, 200);
    assert_eq!(kratos.calls(), 4, "another credential is another session");
}

#[test]
fn session_is_cached_no_longer_than_kratos_permits_and_than_it_lives() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "cache: { ttl: 1h, stale_if_error: 1h }", "", "");
    let headers = format!("{JSON}Ory-Session-Cache-For: 10\r\n");
    kratos.will_send(response("200 OK", &headers, &identity("i-1").to_string()));
    for (second, calls) in [(0, 1), (9, 1), (10, 2)] {
        app.clock.set(NOW + second);
        assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, calls), "{second}");
    }
    kratos.will_send(session(&identity("i-1")));
    let other = "Cookie: ory_kratos_session=2\r\n";
    app.clock.set(NOW + 599);
    assert_eq!((ask(&app, other).status, kratos.calls()), (200, 3));
    kratos.will_send(response("500 Internal Server Error", JSON, "{}"));
    app.clock.set(NOW + 600);
    assert_eq!((ask(&app, other).status, kratos.calls()), (503, 4), "an ended session is not used");
}

#[test]
fn logout_takes_effect_after_the_ttl_and_a_login_after_a_second() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, CACHE, "", "");
    assert_eq!(ask(&app, COOKIE).status, 200);
    kratos.will_send(response("401 Unauthorized", JSON, "{}"));
    app.clock.set(NOW + 29);
    assert_eq!(ask(&app, COOKIE).status, 200);
    app.clock.set(NOW + 30);
    assert_eq!(code(&ask(&app, COOKIE)), "session.required");
    kratos.will_send(session(&identity("i-1")));
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (401, 2), "in the same second");
    app.clock.set(NOW + 31);
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 3));
}

#[test]
fn stale_session_is_used_only_while_calls_fail() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "cache: { ttl: 30s, stale_if_error: 60s }", "", "");
    assert_eq!(ask(&app, COOKIE).status, 200);
    kratos.will_send(response("500 Internal Server Error", JSON, "{}"));
    for (second, status) in [(30, 200), (89, 200), (90, 503)] {
        app.clock.set(NOW + second);
        assert_eq!(ask(&app, COOKIE).status, status, "{second}");
    }
    assert_eq!(kratos.calls(), 4, "each of them was a call");
    assert!(metrics(&app).contains("claimsmith_session_cache_lookups_total{source=\"kratos\",result=\"stale\"} 2\n"));
    app.clock.set(NOW + 31);
    kratos.will_send(response("401 Unauthorized", JSON, "{}"));
    assert_eq!(ask(&app, COOKIE).status, 401, "an answer is not a failure");
}

#[test]
fn failures_are_not_cached_without_a_cache_or_in_it() {
    for source in ["", "cache: { ttl: 30s, stale_if_error: 60s }"] {
        let kratos = FakeKratos::start();
        let app = app(&kratos, source, "", "");
        kratos.will_send(response("500 Internal Server Error", JSON, "{}"));
        assert_eq!(ask(&app, COOKIE).status, 503);
        kratos.will_send(session(&identity("i-1")));
        assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 2));
    }
}

#[test]
fn slow_source_does_not_delay_cached_sessions() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "cache: { ttl: 30s }, timeout: 20s", "", "");
    assert_eq!(ask(&app, COOKIE).status, 200);
    kratos.will(Behavior::Silence);
    let api = app.api;
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            std::thread::spawn(move || {
                let mut stream = crate::support::connect(api);
                let head = format!(
                    "GET /forward-auth/web HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n\
                     X-Forwarded-Host: a\r\nX-Forwarded-Uri: /\r\nCookie: ory_kratos_session={number}\r\n\r\n"
                );
                std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
                stream
            })
        })
        .collect();
    let streams: Vec<_> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    wait_until(|| kratos.calls() == 21);
    let start = Instant::now();
    assert_eq!(ask(&app, COOKIE).status, 200);
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(streams);
}

#[test]
fn new_login_is_seen_although_an_older_session_is_cached() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "cache: { ttl: 10m }", "require: { max_auth_age: 90s }", "");
    assert_eq!(ask(&app, COOKIE).status, 200);
    app.clock.set(NOW + 60);
    assert_eq!((code(&ask(&app, COOKIE)), kratos.calls()), ("session.age".to_owned(), 2));
    let mut later = identity("i-1");
    later["authenticated_at"] = json!("2026-11-23T12:00:59Z");
    kratos.will_send(session(&later));
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 3), "in the same second");
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 3));
}

#[test]
fn insufficient_session_is_not_a_login_too_old_while_calls_fail() {
    for stale in ["", ", stale_if_error: 10m"] {
        let kratos = FakeKratos::start();
        let source = format!("cache: {{ ttl: 10m{stale} }}");
        let app = app(&kratos, &source, "require: { max_auth_age: 90s }", "");
        assert_eq!(ask(&app, COOKIE).status, 200);
        kratos.will_send(response("503 Service Unavailable", JSON, ""));
        app.clock.set(NOW + 60);
        let answer = ask(&app, COOKIE);
        assert_eq!((answer.status, code(&answer).as_str()), (503, "source.unavailable"), "{stale}");
    }
}

#[test]
fn answer_that_is_not_understood_is_not_replaced_by_a_stale_session() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "cache: { ttl: 30s, stale_if_error: 60s }", "", "");
    assert_eq!(ask(&app, COOKIE).status, 200);
    app.clock.set(NOW + 30);
    let without_identity = session(&json!({ "active": true, "identity": null }));
    for (bytes, status) in [
        (without_identity, 503),
        (response("403 Forbidden", JSON, "{}"), 503),
        (response("404 Not Found", JSON, "{}"), 503),
        (response("500 Internal Server Error", JSON, "{}"), 200),
        (Vec::new(), 200),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{".to_vec(), 200),
    ] {
        kratos.will_send(bytes.clone());
        assert_eq!(ask(&app, COOKIE).status, status, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn renewed_cookie_is_relayed_once() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, CACHE, "", "");
    let headers = format!("{JSON}Set-Cookie: ory_kratos_session=new\r\n");
    kratos.will_send(response("200 OK", &headers, &identity("i-1").to_string()));
    assert_eq!(ask(&app, COOKIE).header("set-cookie"), Some("ory_kratos_session=new"));
    assert_eq!(ask(&app, COOKIE).header("set-cookie"), None);
    assert_eq!(kratos.calls(), 1);
}

#[test]
fn dead_source_is_not_called_until_it_recovers() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    kratos.will_send(response("503 Service Unavailable", "", ""));
    for _ in 0..5 {
        assert_eq!(code(&ask(&app, COOKIE)), "source.unavailable");
    }
    let answer = ask(&app, COOKIE);
    assert_eq!((code(&answer).as_str(), kratos.calls()), ("source.unavailable", 5));
    assert!(metrics(&app).contains("claimsmith_session_source_calls_total{source=\"kratos\",result=\"open\"} 1\n"));
    assert!(metrics(&app).contains("claimsmith_session_source_open{source=\"kratos\"} 1\n"));
    kratos.will_send(session(&identity("i-1")));
    wait_until(|| ask(&app, COOKIE).status == 200);
    assert!(metrics(&app).contains("claimsmith_session_source_open{source=\"kratos\"} 0\n"));
}

#[test]
fn reload_keeps_cached_sessions_of_unchanged_sources() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, CACHE, "", "reload: { interval: 100ms }");
    assert_eq!(ask(&app, COOKIE).status, 200);
    let file = app.folder.path().join("claimsmith.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    app.folder.write("claimsmith.yaml", &format!("{text}\njwks_max_age: 1m\n"));
    wait_until(|| metrics(&app).contains("claimsmith_generation 2\n"));
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 1));
    app.folder.write("claimsmith.yaml", &text.replace("ttl: 30s }", "ttl: 30s }, timeout: 7s"));
    wait_until(|| metrics(&app).contains("claimsmith_generation 3\n"));
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 1), "a setting that changes no answer");
    app.folder.write("claimsmith.yaml", &text.replace("ttl: 30s", "ttl: 31s"));
    wait_until(|| metrics(&app).contains("claimsmith_generation 4\n"));
    assert_eq!((ask(&app, COOKIE).status, kratos.calls()), (200, 2));
}
