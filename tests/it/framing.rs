//! Where one request ends and the next begins: bytes of a body are never taken for a request, whatever was answered.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::support::{Setup, TestApp, connect, post, read_answer, send, spawn_app};

const SESSION: &[u8] = br#"{"subject":"u"}"#;

/// A body that holds a request, with the mark of being answered: a status that nothing else here gets.
fn smuggling_body() -> Vec<u8> {
    let mut body = vec![b' '; 3000];
    body.extend(post("/smuggled", &[("Connection", "keep-alive")], b""));
    body
}

/// Sends `first` on a connection that is kept and returns the status of each answer until it closes.
fn statuses(app: &TestApp, first: &[u8]) -> Vec<u16> {
    let mut stream = connect(app.api);
    let _ = stream.write_all(first);
    let _ = stream.write_all(&post("/hydrate/p", &[], SESSION));
    let _ = stream.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

/// The first answer is `status`; behind it comes either the answer to the next request, or the end.
#[track_caller]
fn assert_framed(app: &TestApp, first: &[u8], status: u16, next: u16) {
    let found = statuses(app, first);
    assert!(found == [status] || found == [status, next], "expected {status} and then {next} or the end: {found:?}");
    assert_eq!(send(app.api, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status, 200);
}

#[test]
fn a_refused_body_that_holds_a_request_is_not_answered_twice() {
    let app = spawn_app(&Setup { config: "limits: { body: 2KiB }", ..Setup::default() });
    let body = smuggling_body();
    let kept = [("Connection", "keep-alive")];
    assert_framed(&app, &post("/hydrate/p", &kept, &body), 413, 200);
    assert_framed(&app, &post("/nowhere", &kept, &body), 404, 200);
    let mut put = post("/hydrate/p", &kept, &body);
    put.splice(0..4, *b"PUT");
    assert_framed(&app, &put, 405, 200);
    let cookie = "c".repeat(70 * 1024);
    let mut headers = kept.to_vec();
    headers.push(("Cookie", &cookie));
    assert_framed(&app, &post("/hydrate/p", &headers, &body), 431, 200);
}

#[test]
fn an_unknown_callers_body_is_not_taken_for_a_request() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: c, bearer: { token_file: token } }]",
        files: &[("token", "a-token-of-some-length")],
        ..Setup::default()
    });
    assert_framed(&app, &post("/hydrate/p", &[("Connection", "keep-alive")], &smuggling_body()), 401, 401);
}

#[test]
fn what_follows_an_upgrade_is_read_by_its_length_or_not_at_all() {
    let app = spawn_app(&Setup::default());
    for connection in ["Upgrade", "keep-alive, Upgrade"] {
        let websocket = [("Connection", connection), ("Upgrade", "websocket")];
        assert_eq!(statuses(&app, &post("/hydrate/p", &websocket, SESSION)), [200]);
        for other in ["h2c", "anything"] {
            assert_framed(
                &app,
                &post("/hydrate/p", &[("Connection", connection), ("Upgrade", other)], SESSION),
                200,
                200,
            );
        }
    }
}

#[test]
fn a_waiting_client_is_refused_without_its_body() {
    let app = spawn_app(&Setup { config: "limits: { body: 2KiB }", ..Setup::default() });
    let mut stream = connect(app.api);
    stream
        .write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
        .unwrap();
    let mut answer = read_answer(&mut stream, true);
    if answer.status == 100 {
        answer = read_answer(&mut stream, true);
    }
    assert_eq!(answer.status, 413);
}

#[test]
fn a_head_that_comes_too_slowly_ends_in_time() {
    let app = spawn_app(&Setup { config: "limits: { request: 1s }", ..Setup::default() });
    let mut stream = connect(app.api);
    stream.write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
}

#[test]
fn a_head_request_is_answered_without_a_body() {
    let app = spawn_app(&Setup::default());
    let mut stream = connect(app.api);
    stream.write_all(b"HEAD /hydrate/p HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = read_answer(&mut stream, false);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    stream.write_all(&post("/hydrate/p", &[], SESSION)).unwrap();
    assert_eq!(read_answer(&mut stream, true).status, 200);
}

#[test]
fn a_profile_is_found_by_its_decoded_name_and_odd_names_get_problems() {
    let app = spawn_app(&Setup::default());
    for path in ["/hydrate/%70", "/hydrate/p?", "/hydrate/p?%ff=%zz", "/hydrate/p?a=b&a=c#d"] {
        assert_eq!(app.post(path, r#"{"subject":"u"}"#).status, 200, "{path}");
    }
    for path in [
        "/hydrate/%ff",
        "/hydrate/%ff%fe%c3",
        "/hydrate/%00",
        "/hydrate/%zz",
        "/hydrate/%",
        "/hydrate/p%2f",
        "/hydrate/%2570",
        "/hydrate/p/",
        "/hydrate//p",
        "//hydrate/p",
        "/hydrate/../hydrate/p",
        "/hydrate/P",
        "/hydrate/%C3%A9",
        "/issue/%ff",
    ] {
        let answer = app.post(path, r#"{"subject":"u"}"#);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        answer.assert_is_problem();
    }
    for path in ["/%ff/.well-known/jwks.json", "/%00/.well-known/openid-configuration", "/%2e/.well-known/jwks.json"] {
        let answer = app.get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        answer.assert_is_problem();
    }
}

#[test]
fn as_many_headers_as_a_browser_and_its_proxies_send_are_read() {
    let app = spawn_app(&Setup::default());
    let names: Vec<String> = (0..90).map(|index| format!("X-Header-{index}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(send(app.api, &post("/hydrate/p", &headers, SESSION)).status, 200);
    let names: Vec<String> = (0..500).map(|index| format!("X-Header-{index}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let answer = send(app.api, &post("/hydrate/p", &headers, SESSION));
    assert!(answer.status == 200 || (400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
}

#[test]
fn a_header_value_outside_ascii_passes() {
    let app = spawn_app(&Setup::default());
    let mut bytes =
        format!("POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nX-Name: ", SESSION.len()).into_bytes();
    bytes.extend_from_slice(b"\xe9\xff\xc3\xa9\r\nConnection: close\r\n\r\n");
    bytes.extend_from_slice(SESSION);
    assert_eq!(send(app.api, &bytes).status, 200);
}
