//! Bytes that are not one plain HTTP/1.1 request: other protocols, oversized heads, half-closed and stalled connections.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Setup, TestApp, connect, post, read_response, send, spawn_app};

const SESSION: &[u8] = br#"{"subject":"u"}"#;

fn app(config: &str) -> TestApp {
    spawn_app(&Setup { config, template: "{}", ..Setup::default() })
}

/// Returns what the service sends until it closes the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn http2_preface_on_a_plaintext_port_is_rejected() {
    let app = app("");
    for address in [app.api, app.admin] {
        let mut stream = connect(address);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    }
}

#[test]
fn more_than_96_header_fields_are_rejected() {
    let app = app("");
    let request = |count: usize| {
        let fields: String = (0..count - 1).map(|index| format!("X-{index}: v\r\n")).collect();
        format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
    };
    for address in [app.api, app.admin] {
        let mut stream = connect(address);
        stream.write_all(request(96).as_bytes()).unwrap();
        assert_ne!(read_response(&mut stream, true).status, 431);
        stream.write_all(request(97).as_bytes()).unwrap();
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

#[test]
fn endless_head_is_rejected_at_128_kib() {
    let app = app("");
    for address in [app.api, app.admin] {
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ").unwrap();
        let sent = (0..4096).take_while(|_| stream.write_all(&[b'x'; 1024]).is_ok()).count();
        assert!(sent < 4096 || rest(&mut stream).starts_with("HTTP/1.1 431"), "{sent} KiB");
    }
    assert_eq!(send(app.api, &post("/hydrate/p", &[], SESSION)).status, 200);
}

#[test]
fn endless_body_behind_its_response_is_not_read_to_the_end() {
    let app = app("limits: { request: 1h }");
    for target in ["POST /nowhere", "GET /openapi.json", "POST /hydrate/q"] {
        for length in ["Content-Length: 99999999999\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n"] {
            let mut stream = connect(app.api);
            stream.write_all(format!("{target} HTTP/1.1\r\nHost: x\r\n{length}").as_bytes()).unwrap();
            let block = vec![b'x'; 64 << 10];
            let sent = (0..1000).take_while(|_| stream.write_all(&block).is_ok()).count();
            // The buffers of both sides hold some more.
            assert!(sent < 400, "{target} {length:?}: {sent} blocks of 64 KiB");
        }
    }
}

#[test]
fn half_closed_client_gets_all_its_responses() {
    let app = app("");
    let whole = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION);
    for count in [1, 2, 5] {
        let mut stream = connect(app.api);
        stream.write_all(&whole.repeat(count)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        for _ in 0..count {
            assert_eq!(read_response(&mut stream, true).status, 200);
        }
        assert_eq!(rest(&mut stream), "");
    }
}

#[test]
fn part_of_a_pipelined_head_times_out() {
    let app = app("limits: { request: 500ms }");
    let mut stream = connect(app.api);
    let mut bytes = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION);
    bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost:");
    stream.write_all(&bytes).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
    let start = Instant::now();
    assert_eq!(rest(&mut stream), "");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn pipelined_request_with_an_expectation_is_answered_in_turn() {
    let app = app("");
    let mut stream = connect(app.api);
    let mut bytes = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION);
    bytes.extend(post("/hydrate/p", &[("Connection", "keep-alive"), ("Expect", "100-continue")], b""));
    let head = String::from_utf8(bytes).unwrap();
    let (first, second) = head.split_at(head.rfind("POST").unwrap());
    let second = second.replace("Content-Length: 0", &format!("Content-Length: {}", SESSION.len()));
    stream.write_all(format!("{first}{second}").as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
    assert_eq!(read_response(&mut stream, false).status, 100);
    stream.write_all(SESSION).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
}

#[test]
fn upgrade_without_a_protocol_ends_the_connection() {
    let app = app("");
    let mut stream = connect(app.api);
    let bytes = post("/hydrate/p", &[("Connection", "upgrade")], SESSION).repeat(2);
    stream.write_all(&bytes).unwrap();
    let answer = read_response(&mut stream, true);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(rest(&mut stream), "");
}
