//! Sessions of Kratos, from a server that behaves in every way.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_kratos::{Behavior, FakeKratos, identity, response, session};
use crate::support::{Answer, NOW, Setup, TestApp, send, spawn_app, wait_until};
use crate::telemetry::{Collector, attribute};

const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// Starts the service with a check `web` behind a trusted proxy.
pub(crate) fn app(kratos: &FakeKratos, source: &str, check: &str, config: &str) -> TestApp {
    let text = format!(
        "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\nsources: {{ {} }}\n\
         checks: {{ web: {{ sources: kratos, profile: p, {check} }} }}\n{config}",
        kratos.source(source)
    );
    let template = r#"{"email": {{Extra.identity.traits.email}}, "path": {{MatchContext.url.Path}}}"#;
    spawn_app(&Setup { config: &text, template, ..Setup::default() })
}

/// Returns a request to the check `web` as Traefik sends it, with further header lines.
pub(crate) fn request(headers: &str) -> Vec<u8> {
    format!(
        "GET /forward-auth/web HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-Method: GET\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example\r\nX-Forwarded-Uri: /a%20b?c=d\r\n{headers}\r\n"
    )
    .into_bytes()
}

pub(crate) const COOKIE: &str = "Cookie: a=b; ory_kratos_session=c00kie; c=d\r\n";

pub(crate) fn ask(app: &TestApp, headers: &str) -> Answer {
    send(app.api, &request(headers))
}

#[track_caller]
pub(crate) fn code(answer: &Answer) -> String {
    answer.assert_is_problem();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()["type"].as_str().unwrap().to_owned()
}

pub(crate) fn claims(app: &TestApp, answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{answer:?}");
    let token = answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    serde_json::from_str(app.verify(token).claims()).unwrap()
}

#[test]
fn session_of_each_credential_becomes_a_token_and_nothing_else_is_forwarded() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    for (headers, forwarded) in [
        (COOKIE, "cookie: ory_kratos_session=c00kie"),
        ("X-Session-Token: ory_st_a\r\n", "x-session-token: ory_st_a"),
        ("Authorization: Bearer ory_st_b\r\n", "authorization: Bearer ory_st_b"),
        ("Cookie: ory_kratos_session=c\r\nX-Session-Token: ory_st_d\r\n", "x-session-token: ory_st_d"),
    ] {
        let answer = ask(&app, &format!("{headers}X-Other: o\r\nUser-Agent: u\r\n"));
        let claims = claims(&app, &answer);
        assert_eq!((&claims["sub"], &claims["email"]), (&json!("i-1"), &json!("mina@example.test")));
        assert_eq!(claims["path"], "/a b");
        assert_eq!(claims["exp"], NOW + 600, "the token ends with its session");
        let head = kratos.last_head();
        let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
        assert_eq!(lines.remove(0), "GET /sessions/whoami HTTP/1.1");
        lines.retain(|line| !line.starts_with("host: ") && !line.starts_with("user-agent: claimsmith/"));
        lines.sort_unstable();
        let mut expected = ["accept: application/json", forwarded];
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
}

#[test]
fn request_without_a_session_token_is_not_a_call() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    for (headers, challenge) in [
        ("", "Bearer"),
        ("Cookie: other=x\r\n", "Bearer"),
        ("Authorization: Bearer eyJh.eyJz.c2ln\r\n", INVALID_TOKEN),
        ("Authorization: Basic dTpw\r\n", "Bearer"),
    ] {
        let answer = ask(&app, headers);
        assert_eq!((answer.status, code(&answer).as_str()), (401, "session.required"), "{headers}");
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{headers}");
    }
    assert_eq!(kratos.calls(), 0);
    kratos.will_send(response("401 Unauthorized", JSON, "{}"));
    for (headers, challenge) in [(COOKIE, "Bearer"), ("Authorization: Bearer ory_st_x\r\n", INVALID_TOKEN)] {
        let answer = ask(&app, headers);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)), "{headers}");
    }
}

#[test]
fn repeated_headers_of_a_rate_limit_are_all_passed_on() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    let headers = "Retry-After: 17\r\nRateLimit-Policy: 10;w=1\r\nRateLimit-Policy: 50;w=60\r\n";
    kratos.will_send(response("429 Too Many Requests", headers, ""));
    let answer = ask(&app, COOKIE);
    let policies = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("ratelimit-policy"));
    let mut policies: Vec<_> = policies.map(|(_, value)| value.as_str()).collect();
    policies.sort_unstable();
    assert_eq!((policies, answer.header("retry-after")), (vec!["10;w=1", "50;w=60"], Some("17")));
}

#[test]
fn session_at_the_limit_of_depth_is_read_and_a_deeper_one_is_an_answer_that_is_not_understood() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "limits: { depth: 32 }");
    for (levels, status) in [(31, 200), (32, 503), (33, 503)] {
        let mut deep = identity("i-1");
        deep["deep"] = (2..levels).fold(json!([]), |inner, _| json!([inner]));
        kratos.will_send(session(&deep));
        assert_eq!(ask(&app, COOKIE).status, status, "{levels}");
    }
}

#[test]
fn each_response_of_kratos_has_its_own_answer() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    let aal = r#"{"error":{"id":"session_aal2_required"},"redirect_browser_to":"https://id.example/l?aal=aal2"}"#;
    let mut inactive = identity("i-1");
    inactive["active"] = json!(false);
    let mut ended = identity("i-1");
    ended["expires_at"] = json!("2026-11-23T11:59:59Z");
    let without_identity = json!({ "active": true, "identity": null, "devices": null });
    let truncated =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{\"active\"".to_vec();
    let with_type = |kind: &str| response("200 OK", kind, &identity("i-1").to_string());
    for (name, bytes, status, expected) in [
        ("401", response("401 Unauthorized", JSON, "{}"), 401, "session.required"),
        ("inactive", session(&inactive), 401, "session.required"),
        ("ended", session(&ended), 401, "session.required"),
        ("AAL", response("403 Forbidden", JSON, aal), 401, "session.level"),
        ("403", response("403 Forbidden", JSON, "{}"), 503, "source.unavailable"),
        ("429", response("429 Too Many Requests", "Retry-After: 17\r\n", ""), 429, "source.rate_limited"),
        ("500", response("500 Internal Server Error", JSON, "{}"), 503, "source.unavailable"),
        ("404", response("404 Not Found", JSON, "{}"), 503, "source.unavailable"),
        ("redirect", response("302 Found", "Location: http://127.0.0.1:1/\r\n", ""), 503, "source.unavailable"),
        ("truncated", truncated, 503, "source.unavailable"),
        ("not HTTP", b"SSH-2.0-x\r\n".to_vec(), 503, "source.unavailable"),
        ("HTML", with_type("Content-Type: text/html\r\n"), 503, "source.unavailable"),
        ("no type", with_type(""), 503, "source.unavailable"),
        ("no identity", session(&without_identity), 503, "source.unavailable"),
        ("no JSON", response("200 OK", JSON, "{\"active\":"), 503, "source.unavailable"),
        ("reset", Vec::new(), 503, "source.unavailable"),
    ] {
        kratos.will_send(bytes);
        let answer = ask(&app, COOKIE);
        assert_eq!((answer.status, code(&answer).as_str()), (status, expected), "{name}: {}", answer.text());
        assert!(answer.header("authorization").is_none());
        match name {
            "429" => assert_eq!(answer.header("retry-after"), Some("17")),
            "AAL" => {
                let body = answer.json();
                assert_eq!(body["redirect_browser_to"], "https://id.example/l?aal=aal2");
                assert_eq!(body["error"]["id"], "session_aal2_required");
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
            }
            _ => {}
        }
    }
    let metrics = app.get_admin("/metrics").text();
    for (result, count) in [
        ("no_session", 2),
        ("session", 1),
        ("step_up", 1),
        ("rate_limited", 1),
        ("status", 2),
        ("server_error", 1),
        ("malformed", 5),
        ("reset", 2),
        ("truncated", 1),
    ] {
        let line = format!("claimsmith_session_source_calls_total{{source=\"kratos\",result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains("claimsmith_session_source_call_duration_seconds_count{source=\"kratos\"} 16\n"));
}

#[test]
fn call_is_limited_in_time_and_size() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "timeout: 150ms", "", "limits: { body: 2KiB }");
    let mut huge = identity("i-1");
    huge["padding"] = json!("x".repeat(4096));
    kratos.will_send(session(&huge));
    let answer = ask(&app, COOKIE);
    assert_eq!((answer.status, code(&answer).as_str()), (503, "source.unavailable"));
    assert!(!answer.text().contains("limits") && !answer.text().contains("kratos"), "{}", answer.text());
    let count = |result: &str| {
        let line = format!("claimsmith_session_source_calls_total{{source=\"kratos\",result=\"{result}\"}} ");
        let metrics = app.get_admin("/metrics").text();
        metrics.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!(count("too_large"), 1);
    let endless = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n";
    kratos.will_send([endless.as_bytes(), &[b' '; 4096], b"\r\n"].concat());
    assert_eq!((ask(&app, COOKIE).status, count("too_large")), (503, 2));
    kratos.will(Behavior::Silence);
    let start = Instant::now();
    let answer = ask(&app, COOKIE);
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert_eq!((answer.status, code(&answer).as_str()), (503, "source.unavailable"));
    assert_eq!(count("timeout"), 1);
    assert_eq!(answer.header("retry-after"), Some("1"));
    kratos.will(Behavior::Dripped(session(&identity("i-1"))));
    let start = Instant::now();
    assert_eq!((ask(&app, COOKIE).status, count("timeout")), (503, 2), "each byte comes in time, but not all of them");
    assert!(start.elapsed() < Duration::from_secs(2));
    kratos.will_send(session(&identity("i-2")));
    assert_eq!(claims(&app, &ask(&app, COOKIE))["sub"], "i-2", "the next call succeeds");
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Type: text/html\r\n\r\n";
    kratos.will_send([hints.as_slice(), &session(&identity("i-3"))].concat());
    assert_eq!(claims(&app, &ask(&app, COOKIE))["sub"], "i-3", "an interim response is not the response");
}

#[test]
fn unreachable_kratos_is_not_a_missing_session() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    drop(kratos);
    let answer = ask(&app, COOKIE);
    assert_eq!((answer.status, code(&answer).as_str()), (503, "source.unavailable"));
}

#[test]
fn a_thousand_concurrent_requests_of_a_session_share_one_call() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "timeout: 60s", "", "limits: { connections: 2000, in_flight: 2000, request: 60s }");
    kratos.will(Behavior::Held(session(&identity("i-1"))));
    let api = app.api;
    let requests: Vec<_> = (0..1000).map(|_| std::thread::spawn(move || send(api, &request(COOKIE)).status)).collect();
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_requests_in_flight 1000\n"));
    kratos.release();
    assert!(requests.into_iter().all(|request| request.join().unwrap() == 200));
    assert_eq!(kratos.calls(), 1);
    let metrics = app.get_admin("/metrics").text();
    assert!(metrics.contains("claimsmith_session_source_calls_total{source=\"kratos\",result=\"session\"} 1\n"));
}

#[test]
fn sessions_of_other_credentials_are_never_shared() {
    for cache in ["", "cache: { ttl: 30s }"] {
        let kratos = FakeKratos::start();
        let app = app(&kratos, &format!("timeout: 20s, {cache}"), "", "");
        kratos.will(Behavior::HeldByCookie);
        let api = app.api;
        let ask_as = move |id: String| send(api, &request(&format!("Cookie: ory_kratos_session={id}\r\n")));
        let ids = || (0..20).map(|number| format!("i-{}", number % 4));
        let waiting: Vec<_> = ids().map(|id| (id.clone(), std::thread::spawn(move || ask_as(id)))).collect();
        wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_requests_in_flight 20\n"));
        wait_until(|| kratos.calls() == 4);
        kratos.release();
        for (id, answer) in waiting {
            assert_eq!(claims(&app, &answer.join().unwrap())["sub"], id, "{cache}");
        }
        for id in ids() {
            assert_eq!(claims(&app, &ask_as(id.clone()))["sub"], id, "{cache}");
        }
        assert_eq!(kratos.calls(), if cache.is_empty() { 24 } else { 4 });
    }
}

#[test]
fn requests_that_wait_for_a_source_leave_slots_to_others() {
    let kratos = FakeKratos::start();
    let cached = "timeout: 20s, cache: { ttl: 30s }";
    let app = app(&kratos, cached, "", "limits: { in_flight: 16, connections: 200, request: 30s }");
    let known = "Cookie: ory_kratos_session=known\r\n";
    assert_eq!(ask(&app, known).status, 200);
    kratos.will(Behavior::Held(session(&identity("i-1"))));
    let api = app.api;
    let waiting: Vec<_> = (0..8).map(|_| std::thread::spawn(move || send(api, &request(COOKIE)).status)).collect();
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_requests_in_flight 8\n"));
    for _ in 0..8 {
        let answer = ask(&app, COOKIE);
        assert_eq!((answer.status, code(&answer).as_str()), (503, "source.unavailable"));
        assert_eq!(ask(&app, known).status, 200, "a cached session needs no call");
    }
    kratos.release();
    assert!(waiting.into_iter().all(|request| request.join().unwrap() == 200));
    let metrics = app.get_admin("/metrics").text();
    for (result, count) in [("session", 2), ("busy", 8)] {
        let line = format!("claimsmith_session_source_calls_total{{source=\"kratos\",result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains("claimsmith_session_source_call_duration_seconds_count{source=\"kratos\"} 2\n"));
}

#[test]
fn kratos_that_closes_connections_is_not_called_until_it_recovers() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    kratos.will_send(Vec::new());
    for _ in 0..5 {
        assert_eq!(code(&ask(&app, COOKIE)), "source.unavailable");
    }
    let calls = kratos.calls();
    assert_eq!(ask(&app, COOKIE).status, 503);
    assert_eq!(kratos.calls(), calls);
    let metrics = app.get_admin("/metrics").text();
    for (result, count) in [("reset", 5), ("open", 1)] {
        let line = format!("claimsmith_session_source_calls_total{{source=\"kratos\",result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    kratos.will_send(session(&identity("i-1")));
    wait_until(|| ask(&app, COOKIE).status == 200);
}

#[test]
fn credentials_that_fail_at_once_open_the_circuit_for_a_second_only() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "timeout: 20s", "", "");
    kratos.will(Behavior::Held(response("503 Service Unavailable", "", "")));
    let api = app.api;
    let ask_as = move |number| send(api, &request(&format!("Cookie: ory_kratos_session={number}\r\n"))).status;
    let waiting: Vec<_> = (0..20).map(|number| std::thread::spawn(move || ask_as(number))).collect();
    wait_until(|| kratos.calls() == 20);
    kratos.will_send(session(&identity("i-1")));
    kratos.release();
    assert!(waiting.into_iter().all(|request| request.join().unwrap() == 503));
    let start = Instant::now();
    wait_until(|| ask(&app, COOKIE).status == 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn renewed_session_cookie_is_relayed_and_no_other() {
    let kratos = FakeKratos::start();
    let app = app(&kratos, "", "", "");
    let cookies =
        "Content-Type: application/json\r\nSet-Cookie: ory_kratos_session=new; Path=/\r\nSet-Cookie: csrf=x\r\n";
    kratos.will_send(response("200 OK", cookies, &identity("i-1").to_string()));
    let answer = ask(&app, COOKIE);
    let relayed: Vec<_> = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
    assert_eq!(relayed.len(), 1, "{answer:?}");
    assert_eq!(relayed[0].1, "ory_kratos_session=new; Path=/");
}

#[test]
fn anonymous_source_decides_if_no_other_credential_is_present() {
    let kratos = FakeKratos::start();
    let text = format!(
        "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\nsources: {{ {}, guest: {{ type: anonymous, subject: guest }} }}\n\
         checks: {{ web: {{ sources: [kratos, guest], profile: p }} }}",
        kratos.source("")
    );
    let app = spawn_app(&Setup { config: &text, template: "{}", ..Setup::default() });
    assert_eq!(claims(&app, &ask(&app, ""))["sub"], "guest");
    assert_eq!(claims(&app, &ask(&app, COOKIE))["sub"], "i-1");
    kratos.will_send(response("401 Unauthorized", JSON, "{}"));
    assert_eq!(ask(&app, COOKIE).status, 401, "the failure of the first source with a credential is final");
    let calls = kratos.calls();
    for (headers, status) in [("Authorization: Bearer eyJh.eyJz.c2ln\r\n", 401), ("Authorization: Bearer a b\r\n", 403)]
    {
        let answer = ask(&app, headers);
        assert_eq!((answer.status, kratos.calls()), (status, calls), "a token that no source takes is no guest");
    }
    assert_eq!(claims(&app, &ask(&app, "Authorization: Basic dTpw\r\n"))["sub"], "guest");
}

#[test]
fn token_that_envoy_did_not_verify_is_no_guest() {
    let text = "callers: [{ name: proxy, networks: 127.0.0.1 }]
\
        sources: { envoy: { type: envoy_metadata, key: claims }, guest: { type: anonymous, subject: guest } }
\
        checks: { web: { sources: [envoy, guest], profile: p } }";
    let app = spawn_app(&Setup { config: text, template: "{}", ..Setup::default() });
    assert_eq!(claims(&app, &ask(&app, ""))["sub"], "guest");
    assert_eq!(ask(&app, "Authorization: Bearer eyJh.eyJz.c2ln\r\n").status, 401);
}

#[test]
fn answer_of_a_source_is_a_span_below_the_one_of_its_request() {
    let (kratos, collector) = (FakeKratos::start(), Collector::start("200 OK"));
    let app = app(&kratos, "cache: { ttl: 30s }", "", &collector.config(""));
    let traceparent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    assert_eq!(ask(&app, &format!("{COOKIE}{traceparent}")).status, 200);
    assert_eq!(ask(&app, &format!("{COOKIE}{traceparent}")).status, 200);
    kratos.will_send(response("500 Internal Server Error", JSON, "{}"));
    assert_eq!(ask(&app, &format!("X-Session-Token: canary\r\n{traceparent}")).status, 503);
    wait_until(|| collector.spans().len() == 6);
    let spans = collector.spans();
    let (sources, requests): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span["name"] == "session source");
    assert!(requests.iter().all(|span| span["name"] == "forward-auth"), "{requests:?}");
    let of = |index: usize, name: &str| attribute(sources[index], name).cloned().unwrap_or_default();
    for (index, (result, cached)) in
        [("session", false), ("session", true), ("server_error", false)].into_iter().enumerate()
    {
        let parent = requests.iter().find(|span| span["spanId"] == sources[index]["parentSpanId"]);
        assert!(parent.is_some(), "{index}");
        assert_eq!(sources[index]["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(of(index, "claimsmith.source"), "kratos");
        assert_eq!(
            (of(index, "claimsmith.source.result"), of(index, "claimsmith.source.cached")),
            (json!(result), json!(cached))
        );
        assert_eq!(of(index, "claimsmith.source.shared"), false);
    }
    assert_eq!(of(2, "error.type"), "server_error");
    assert!(!collector.text().contains("canary") && !collector.text().contains("c00kie"));
}

/// A server that ends each connection when its second request comes, as one does that closes idle connections.
fn short_connections(count: usize) -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(count) {
            let (mut stream, mut head) = (stream.unwrap(), [0; 4096]);
            assert!(stream.read(&mut head).unwrap() > 0);
            let answer = String::from_utf8(session(&identity("i-1"))).unwrap().replace("Connection: close\r\n", "");
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.read(&mut head);
        }
    });
    address
}

#[test]
fn call_on_a_connection_that_ends_is_made_again() {
    let kratos = FakeKratos::start();
    let address = short_connections(3);
    let source = kratos.source("");
    let app = {
        let text = format!(
            "callers: [{{ name: proxy, networks: 127.0.0.1 }}]\nsources: {{ {} }}\nserve: {{ workers: 1 }}\n\
             checks: {{ web: {{ sources: kratos, profile: p }} }}\n",
            source.replace(&kratos.address.to_string(), &address.to_string())
        );
        spawn_app(&Setup { config: &text, template: "{}", ..Setup::default() })
    };
    for _ in 0..3 {
        assert_eq!(ask(&app, COOKIE).status, 200);
    }
    assert_eq!(kratos.calls(), 0);
}
