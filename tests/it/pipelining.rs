//! Pipelined requests: one response for each, in order, framed for its own request, and none behind the last one.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use crate::support::{Setup, TestApp, connect, post, spawn_app};

const SESSION: &[u8] = br#"{"subject":"u"}"#;

/// A request, and the parts of its response.
#[derive(Clone)]
struct Sent {
    bytes: Vec<u8>,
    version: &'static str,
    status: u16,
    has_body: bool,
    is_last: bool,
}

fn read(method: &str, path: &str, version: &'static str, headers: &str, status: u16) -> Sent {
    let bytes = format!("{method} {path} {version}\r\nHost: x\r\n{headers}\r\n").into_bytes();
    let is_last = match version {
        "HTTP/1.0" => !headers.contains("keep-alive"),
        _ => headers.contains("close"),
    };
    Sent { bytes, version, status, has_body: method != "HEAD", is_last }
}

fn posted(headers: &[(&str, &str)], body: &[u8], status: u16, is_last: bool) -> Sent {
    let mut all = vec![("Connection", "keep-alive")];
    all.extend(headers);
    Sent { bytes: post("/hydrate/p", &all, body), version: "HTTP/1.1", status, has_body: true, is_last }
}

fn chunked() -> Sent {
    let head = "POST /hydrate/p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "8;a=b\r\n{\"subjec\r\n7\r\nt\":\"u\"}\r\n0\r\nTrailer: x\r\n\r\n";
    let bytes = format!("{head}{body}").into_bytes();
    Sent { bytes, version: "HTTP/1.1", status: 200, has_body: true, is_last: false }
}

/// Writes `bytes` in parts of `size`. Returns everything that comes until the service closes the connection.
fn exchange(address: SocketAddr, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut stream = connect(address);
    stream.set_nodelay(true).unwrap();
    for part in bytes.chunks(size) {
        if stream.write_all(part).is_err() {
            break;
        }
        if size < bytes.len() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    answers
}

/// Checks that `answers` are the responses to `sent`, read as a client that knows its requests reads them.
#[track_caller]
fn assert_answers(mut answers: &[u8], sent: &[Sent], context: &str) {
    for (index, sent) in sent.iter().enumerate() {
        let at = answers.windows(4).position(|window| window == b"\r\n\r\n");
        let at = at.unwrap_or_else(|| panic!("{context}: response {index} is missing: {answers:?}"));
        let head = std::str::from_utf8(&answers[..at]).unwrap().to_ascii_lowercase();
        answers = &answers[at + 4..];
        let expected = format!("{} {}", sent.version.to_ascii_lowercase(), sent.status);
        assert!(head.starts_with(&expected), "{context}: response {index} is not {expected}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if sent.has_body {
            let (body, rest) = answers.split_at(length.parse().unwrap());
            assert!(body.trim_ascii_end().ends_with(b"}"), "{context}: response {index} has another body");
            answers = rest;
        }
        let is_kept = head.contains("connection: keep-alive");
        let is_closed = head.contains("connection: close");
        match sent.version {
            "HTTP/1.0" => assert_eq!(is_kept, !sent.is_last, "{context}: response {index}: {head}"),
            _ => assert_eq!(is_closed, sent.is_last, "{context}: response {index}: {head}"),
        }
        if sent.is_last {
            break;
        }
    }
    assert!(answers.is_empty(), "{context}: there is more: {}", String::from_utf8_lossy(answers));
}

fn assert_each_order(address: SocketAddr, kinds: &[(&str, Sent)]) {
    for (first_name, first) in kinds {
        for (second_name, second) in kinds {
            for (third_name, third) in kinds {
                let sent = [first.clone(), second.clone(), third.clone()];
                let bytes: Vec<u8> = sent.iter().flat_map(|sent| sent.bytes.clone()).collect();
                let context = format!("{first_name}, {second_name}, {third_name}");
                assert_answers(&exchange(address, &bytes, bytes.len()), &sent, &context);
            }
        }
    }
}

fn app() -> TestApp {
    spawn_app(&Setup { template: "{}", ..Setup::default() })
}

const KEYS: &str = "/.well-known/jwks.json";
const KEEP: &str = "Connection: keep-alive\r\n";

#[test]
fn each_response_is_framed_for_its_own_request() {
    let app = app();
    let kinds = [
        ("HEAD", read("HEAD", KEYS, "HTTP/1.1", "", 200)),
        ("GET", read("GET", KEYS, "HTTP/1.1", "", 200)),
        ("HEAD 1.0", read("HEAD", KEYS, "HTTP/1.0", KEEP, 200)),
        ("GET 1.0", read("GET", KEYS, "HTTP/1.0", KEEP, 200)),
        ("last GET 1.0", read("GET", KEYS, "HTTP/1.0", "", 200)),
        ("last GET", read("GET", KEYS, "HTTP/1.1", "Connection: close\r\n", 200)),
        ("last HEAD", read("HEAD", KEYS, "HTTP/1.1", "Connection: TE, Close\r\n", 200)),
        ("POST", posted(&[], SESSION, 200, false)),
        ("rejected POST", posted(&[], b"{}", 400, false)),
        ("upgrade", posted(&[("Upgrade", "websocket")], SESSION, 200, true)),
        ("chunks", chunked()),
    ];
    // `Connection: TE, Close` is in another case than the marks of this module.
    let kinds = kinds.map(|(name, sent)| (name, Sent { is_last: sent.is_last || name.starts_with("last"), ..sent }));
    assert_each_order(app.api, &kinds);
}

#[test]
fn each_response_of_the_admin_listener_is_framed_for_its_own_request() {
    let app = app();
    let kinds = [
        ("HEAD", read("HEAD", "/health/alive", "HTTP/1.1", "", 200)),
        ("GET", read("GET", "/version", "HTTP/1.1", "", 200)),
        ("GET 1.0", read("GET", "/version", "HTTP/1.0", KEEP, 200)),
        ("last GET", read("GET", "/version", "HTTP/1.1", "Connection: close\r\n", 200)),
    ];
    assert_each_order(app.admin, &kinds);
}

#[test]
fn each_response_is_framed_at_every_split() {
    let app = app();
    let sent = [
        read("GET", KEYS, "HTTP/1.1", "", 200),
        read("HEAD", KEYS, "HTTP/1.1", "", 200),
        posted(&[], SESSION, 200, false),
        chunked(),
        read("HEAD", KEYS, "HTTP/1.0", KEEP, 200),
        read("GET", KEYS, "HTTP/1.1", "", 200),
    ];
    let bytes: Vec<u8> = sent.iter().flat_map(|sent| sent.bytes.clone()).collect();
    std::thread::scope(|scope| {
        for sizes in [[5, 7], [11, 13], [29, 47], [64, 101], [150, 333]] {
            let (bytes, sent) = (&bytes, &sent);
            scope.spawn(move || {
                for size in sizes {
                    assert_answers(&exchange(app.api, bytes, size), sent, &format!("in parts of {size} bytes"));
                }
            });
        }
    });
}

#[test]
fn bodies_of_pipelined_requests_do_not_close_the_connection() {
    let app = app();
    let session = format!("{{\"subject\":\"u\",\"extra\":{{\"pad\":\"{}\"}}}}", "x".repeat(20_000));
    let sent = vec![posted(&[], session.as_bytes(), 200, false); 16];
    let bytes: Vec<u8> = sent.iter().flat_map(|sent| sent.bytes.clone()).collect();
    assert_answers(&exchange(app.api, &bytes, bytes.len()), &sent, "16 bodies");
}

#[test]
fn client_gets_its_last_response_although_it_sends_more() {
    let app = app();
    let mut stream = connect(app.api);
    let last = read("GET", "/openapi.json", "HTTP/1.1", "Connection: close\r\n", 200);
    let more = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION).repeat(300);
    stream.write_all(&[last.bytes.clone(), more].concat()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).expect("the connection is closed, and not reset");
    assert_answers(&answers, &[last], "one");
    let metrics = app.get_admin("/metrics").text();
    assert!(metrics.contains("claimsmith_connections_cut_total{reason=\"pipeline\"} 0"), "{metrics}");
}
