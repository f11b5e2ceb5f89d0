//! Hostile headers of end users have no effect on a hydrator call. The tests use raw sockets.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::support::{Setup, TestApp, connect, post, read_response, send, spawn_app};

const SESSION: &[u8] = br#"{"subject":"u","extra":{"a":1}}"#;

fn app() -> TestApp {
    spawn_app(&Setup::default())
}

/// Checks that the next request is served as usual.
fn assert_serves(app: &TestApp) {
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
}

#[test]
fn headers_about_encoding_range_and_upgrade_are_ignored() {
    let app = app();
    for headers in [
        &[("Accept-Encoding", "gzip, br, zstd")][..],
        &[("Content-Encoding", "gzip")],
        &[("Content-Encoding", "br"), ("Accept-Encoding", "identity;q=0")],
        &[("Content-Type", "text/plain")],
        &[("Accept", "text/html")],
        &[("If-None-Match", "*"), ("If-Modified-Since", "Mon, 23 Nov 2026 12:00:00 GMT"), ("If-Match", "\"x\"")],
        &[("Range", "bytes=0-1"), ("TE", "trailers, deflate")],
        &[("X-Forwarded-For", "1.2.3.4"), ("X-HTTP-Method-Override", "DELETE"), ("Forwarded", "for=x")],
        &[("Connection", "close, TE"), ("Keep-Alive", "timeout=1")],
        &[("Connection", "keep-alive")],
        &[("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")],
        &[("Expect", "something-else")],
        &[("Cookie", "a=\"b\"; c=\\"), ("Cookie", "d")],
        &[("Authorization", "Bearer x"), ("Authorization", "Basic y")],
    ] {
        let answer = send(app.api, &post("/hydrate/p", headers, SESSION));
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        assert!(answer.json()["header"]["Authorization"][0].is_string());
    }
}

#[test]
fn websocket_upgrade_is_served_as_a_plain_post() {
    let app = app();
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut stream = connect(app.api);
    stream.write_all(&post("/hydrate/p", &headers, SESSION)).unwrap();
    let answer = read_response(&mut stream, true);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is closed behind the answer");

    let too_large = vec![b' '; 2 << 20];
    assert_eq!(send(app.api, &post("/hydrate/p", &headers, &too_large)).status, 413);
    assert_serves(&app);
}

#[test]
fn client_that_expects_100_continue_gets_it() {
    let app = app();
    let mut stream = connect(app.api);
    let head = format!(
        "POST /hydrate/p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        SESSION.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream, false).status, 100);
    stream.write_all(SESSION).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
}

#[test]
fn large_cookies_are_accepted_up_to_the_limit() {
    let app = app();
    let cookie = "c".repeat(60 * 1024);
    assert_eq!(send(app.api, &post("/hydrate/p", &[("Cookie", &cookie)], SESSION)).status, 200);
    for size in [70 * 1024, 200 * 1024] {
        let cookie = "c".repeat(size);
        assert_eq!(send(app.api, &post("/hydrate/p", &[("Cookie", &cookie)], SESSION)).status, 431, "{size}");
    }
    assert_serves(&app);
}

#[test]
fn chunked_and_pipelined_requests_are_served_in_order() {
    let app = app();
    let mut chunked = b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in SESSION.chunks(7) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let mut all = chunked.clone();
    all.extend(post("/hydrate/p", &[("Connection", "keep-alive")], b"nonsense"));
    all.extend(chunked);
    let mut stream = connect(app.api);
    stream.write_all(&all).unwrap();
    let statuses: Vec<_> = (0..3).map(|_| read_response(&mut stream, true).status).collect();
    assert_eq!(statuses, [200, 400, 200]);
}

#[test]
fn chunked_body_is_limited() {
    let app = spawn_app(&Setup { config: "limits: { body: 4KiB }", ..Setup::default() });
    let mut bytes = b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..10 {
        bytes.extend_from_slice(b"400\r\n");
        bytes.extend_from_slice(&[b' '; 1024]);
        bytes.extend_from_slice(b"\r\n");
    }
    let answer = send(app.api, &bytes);
    assert_eq!((answer.status, &answer.json()["type"]), (413, &"request.body_too_large".into()));
    assert_serves(&app);
}

#[test]
fn http_1_0_is_answered() {
    let app = app();
    let head = format!("POST /hydrate/p HTTP/1.0\r\nContent-Length: {}\r\n\r\n", SESSION.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(SESSION);
    assert_eq!(send(app.api, &bytes).status, 200);
}

#[test]
fn slow_or_incomplete_body_times_out() {
    let app = spawn_app(&Setup { config: "limits: { request: 1500ms }", ..Setup::default() });
    let mut stream = connect(app.api);
    stream.write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{").unwrap();
    let answer = read_response(&mut stream, true);
    assert_eq!((answer.status, &answer.json()["type"]), (408, &"request.timeout".into()));

    let mut stream = connect(app.api);
    stream.write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{rest}");
    assert_serves(&app);
}

#[test]
fn invalid_http_does_not_stop_the_service() {
    let app = app();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /hydrate/p HTTP/1.1\r\nContent-Length: 1\r\n\r\na",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = connect(app.api);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_serves(&app);
    }
}

#[test]
fn other_methods_and_paths_get_problems() {
    let app = app();
    for (method, path, status, allow) in [
        ("GET", "/hydrate/p", 405, Some("POST")),
        ("PUT", "/issue/p", 405, Some("POST")),
        ("DELETE", "/.well-known/jwks.json", 405, Some("GET, HEAD")),
        ("POST", "/openapi.json", 405, Some("GET, HEAD")),
        ("GET", "/", 404, None),
        ("GET", "/hydrate", 404, None),
        ("POST", "/hydrate/p/x", 404, None),
        ("POST", "/hydrate/other", 404, None),
        ("POST", "/hydrate/%2e%2e%2fp", 404, None),
        ("GET", "/nobody/.well-known/jwks.json", 404, None),
    ] {
        let bytes = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = send(app.api, bytes.as_bytes());
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
        answer.assert_is_problem();
    }
    let long = format!("/hydrate/{}", "p".repeat(5000));
    assert_eq!(app.post(&long, "{}").status, 404);
}
