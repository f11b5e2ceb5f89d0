//! Message framing: bytes of a body are never parsed as a request, whatever the response was.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::support::{Setup, TestApp, connect, post, read_all_statuses, read_response, send, spawn_app};

const SESSION: &[u8] = br#"{"subject":"u"}"#;

/// A body that contains a request. Its response would have a status that no other request here gets.
fn smuggling_body() -> Vec<u8> {
    let mut body = vec![b' '; 3000];
    body.extend(post("/smuggled", &[("Connection", "keep-alive")], b""));
    body
}

/// Sends `first` on a persistent connection and returns the status of each response until the connection closes.
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

/// Checks that the first response has `status`, followed by the response to the next request or by the end.
#[track_caller]
fn assert_framed(app: &TestApp, first: &[u8], status: u16, next: u16) {
    let found = statuses(app, first);
    assert!(found == [status] || found == [status, next], "expected {status} and then {next} or the end: {found:?}");
    assert_eq!(send(app.api, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status, 200);
}

#[test]
fn request_inside_a_rejected_body_is_not_answered() {
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
fn body_of_an_unauthenticated_request_is_not_parsed_as_a_request() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: c, bearer: { token_file: token } }]",
        files: &[("token", "a-token-of-some-length")],
        ..Setup::default()
    });
    assert_framed(&app, &post("/hydrate/p", &[("Connection", "keep-alive")], &smuggling_body()), 401, 401);
}

#[test]
fn bytes_after_an_upgrade_request_are_framed_by_content_length() {
    let app = spawn_app(&Setup::default());
    for connection in ["Upgrade", "keep-alive, Upgrade"] {
        let websocket = [("Connection", connection), ("Upgrade", "websocket")];
        assert_eq!(statuses(&app, &post("/hydrate/p", &websocket, SESSION)), [200]);
        for other in ["h2c", "anything"] {
            assert_framed(
                &app,
                &post("/hydrate/p", &[("Connection", connection), ("Upgrade", other)], SESSION),
                200,
                400,
            );
        }
    }
}

#[test]
fn request_after_one_that_closes_the_connection_is_not_processed() {
    let app = spawn_app(&Setup::default());
    let later = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION);
    let http10 = |connection: &str| {
        let text = String::from_utf8(post("/hydrate/p", &[("Connection", connection)], SESSION)).unwrap();
        text.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
    };
    let chunked = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let firsts = [
        post("/hydrate/p", &[("Connection", "close")], SESSION),
        post("/hydrate/p", &[("Connection", "Close, TE")], SESSION),
        http10("close"),
        http10("TE"),
        chunked.to_vec(),
    ];
    for first in firsts {
        let mut stream = connect(app.api);
        stream.write_all(&[first.as_slice(), &later, &later].concat()).unwrap();
        assert_eq!(read_response(&mut stream, true).status, 200);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "", "{}", String::from_utf8_lossy(&first));
    }
    let health = b"GET /health/alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = connect(app.admin);
    stream.write_all(&health.repeat(2)).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn client_that_expects_100_continue_is_rejected_before_its_body() {
    let app = spawn_app(&Setup { config: "limits: { body: 2KiB }", ..Setup::default() });
    let mut stream = connect(app.api);
    stream
        .write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
        .unwrap();
    let mut answer = read_response(&mut stream, true);
    if answer.status == 100 {
        answer = read_response(&mut stream, true);
    }
    assert_eq!(answer.status, 413);
}

#[test]
fn slow_head_times_out() {
    let app = spawn_app(&Setup { config: "limits: { request: 1s }", ..Setup::default() });
    let mut stream = connect(app.api);
    stream.write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn head_response_has_no_body() {
    let app = spawn_app(&Setup::default());
    let mut stream = connect(app.api);
    stream.write_all(b"HEAD /hydrate/p HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = read_response(&mut stream, false);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    stream.write_all(&post("/hydrate/p", &[], SESSION)).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
}

#[test]
fn profile_names_are_percent_decoded_and_odd_names_get_problems() {
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
fn usual_number_of_headers_is_accepted() {
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
fn non_ascii_header_value_is_accepted() {
    let app = spawn_app(&Setup::default());
    let mut bytes =
        format!("POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nX-Name: ", SESSION.len()).into_bytes();
    bytes.extend_from_slice(b"\xe9\xff\xc3\xa9\r\nConnection: close\r\n\r\n");
    bytes.extend_from_slice(SESSION);
    assert_eq!(send(app.api, &bytes).status, 200);
}

/// A request for [`smuggled`]: its head after the request line, and the bytes after the head.
struct Trick {
    name: &'static str,
    bytes: Vec<u8>,
    /// The allowed statuses, one list for each interpretation that the standard allows. The request that is hidden in a
    /// body would get a 404.
    readings: &'static [&'static [u16]],
}

const REFUSED: &[&[u16]] = &[&[400]];
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

fn trick(name: &'static str, head: &str, body: &str, readings: &'static [&'static [u16]]) -> Trick {
    let bytes = format!("POST /hydrate/p HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}").into_bytes();
    Trick { name, bytes, readings }
}

/// Encodes a session in chunks. `size` writes the size line.
fn chunked(size: &str, end: &str) -> String {
    format!("{size}{}{end}{HIDDEN}", r#"{"subject":"u"}"#)
}

/// RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6 and 7. Ambiguous requests are rejected and their connection is closed. A body
/// is never parsed as a second request.
#[test]
fn ambiguous_framing_is_rejected_and_closes_the_connection() {
    let app = spawn_app(&Setup::default());
    let te = "Transfer-Encoding: chunked\r\n";
    let session = r#"{"subject":"u"}"#;
    let hidden = format!("{session}{HIDDEN}");
    let whole = format!("f\r\n{session}\r\n0\r\n\r\n");
    let mut tricks = vec![
        trick("length and chunks", &format!("Content-Length: 15\r\n{te}"), &hidden, REFUSED),
        trick("chunks and length", &format!("{te}Content-Length: 15\r\n"), &hidden, REFUSED),
        trick("chunks and length 0", &format!("{te}Content-Length: 0\r\n"), &whole, REFUSED),
        trick("two lengths", "Content-Length: 15\r\nContent-Length: 99\r\n", &hidden, REFUSED),
        trick("a length twice", "Content-Length: 15\r\nContent-Length: 15\r\n", &hidden, REFUSED),
        trick("chunks twice", &format!("{te}{te}"), &whole, REFUSED),
        trick("chunks and identity", &format!("{te}Transfer-Encoding: identity\r\n"), &whole, REFUSED),
        trick("no host", "", "", &[&[400]]),
        trick("two hosts", "Host: y\r\nContent-Length: 15\r\n", session, REFUSED),
        trick("a folded header", "X-A: a\r\n Content-Length: 15\r\n", session, REFUSED),
        trick("a folded header with a tab", "X-A: a\r\n\tContent-Length: 15\r\n", session, REFUSED),
        trick("a folded first header", " X-A: a\r\nContent-Length: 15\r\n", session, REFUSED),
        trick("a space before the colon", "Content-Length : 15\r\n", &hidden, REFUSED),
        trick("a tab before the colon", "Transfer-Encoding\t: chunked\r\n", &hidden, REFUSED),
        trick("a header without a name", ": 15\r\n", session, REFUSED),
        trick("a header without a colon", "Content-Length 15\r\n", session, REFUSED),
        trick("a NUL in a value", "X-A: a\0b\r\nContent-Length: 15\r\n", session, REFUSED),
        trick("a NUL in a name", "X\0A: a\r\nContent-Length: 15\r\n", session, REFUSED),
        trick("a bare CR in a value", "X-A: a\rContent-Length: 99\r\nContent-Length: 15\r\n", session, REFUSED),
        trick("a bare CR at the end of a value", "X-A: a\r\r\nContent-Length: 15\r\n", session, REFUSED),
        // A recipient may accept a bare LF as a line terminator (section 2.2), but then it must do so everywhere.
        trick("a bare LF after a header", "X-A: a\nContent-Length: 15\r\n", session, &[&[200], &[400]]),
        trick("a bare LF and two lengths", "X-A: a\nContent-Length: 99\r\nContent-Length: 15\r\n", session, REFUSED),
        trick("a bare LF and both framings", "Content-Length: 15\nTransfer-Encoding: chunked\r\n", &hidden, REFUSED),
        trick(
            "a body behind an Expect",
            "Expect: 100-continue\r\nContent-Length: 54\r\n",
            &hidden,
            &[&[100, 400], &[400]],
        ),
        // Without a length, the length is 0 (section 6.3), so the bytes after the head are the next request.
        trick("no length", "", HIDDEN, &[&[400, 404]]),
        trick("an honest length", "Content-Length: 15\r\n", HIDDEN, &[&[400, 400], &[400]]),
        trick("an honest body of chunks", te, &whole, &[&[200]]),
        trick(
            "a trailer that looks like a request",
            te,
            &format!("f\r\n{session}\r\n0\r\n{HIDDEN}"),
            &[&[200], &[400]],
        ),
        trick("a chunk extension", te, &format!("f;a=\"b\"\r\n{session}\r\n0\r\n\r\n"), &[&[200], &[400]]),
    ];
    tricks[7].bytes = b"POST /hydrate/p HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"subject\":\"u\"}".to_vec();
    for length in
        ["+15", "-15", "0x0f", "15, 15", "15 15", "15,", "\"15\"", "1e1", "99999999999999999999999", "", "15;"]
    {
        tricks.push(trick("a length of another form", &format!("Content-Length: {length}\r\n"), &hidden, REFUSED));
    }
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "gzip, chunked",
        "chunked;a",
        "identity",
        "\x0bchunked",
        "\"chunked\"",
        "chunked,",
        ",chunked",
        "",
    ] {
        tricks.push(trick("another coding", &format!("Transfer-Encoding: {coding}\r\n"), &whole, REFUSED));
    }
    for size in [
        "g\r\n",
        "0x0f\r\n",
        "+f\r\n",
        "-f\r\n",
        "\r\n",
        ";\r\n",
        "f\n",
        "f\r",
        "f;a\n",
        "f;\0\r\n",
        "ffffffffffffffff1\r\n",
        "fffffffffffffffffffffffffffffffff\r\n",
        "f f\r\n",
    ] {
        tricks.push(trick("another chunk size", te, &chunked(size, "\r\n0\r\n\r\n"), REFUSED));
    }
    for end in ["0\r\n\r\n", "\n0\r\n\r\n", "xx0\r\n\r\n", "\r\n0\n\n", "\r\nx\r\n"] {
        tricks.push(trick("another end of a chunk", te, &chunked("f\r\n", end), REFUSED));
    }
    let lines: [(&'static str, &str, &'static [&'static [u16]]); 11] = [
        ("a later version", "POST /hydrate/p HTTP/1.2", REFUSED),
        ("another version", "POST /hydrate/p HTTP/2.0", REFUSED),
        ("no version", "POST /hydrate/p", REFUSED),
        ("another protocol", "POST /hydrate/p HTTPS/1.1", REFUSED),
        ("a space in the path", "POST /hydrate/p x HTTP/1.1", REFUSED),
        ("a NUL in the path", "POST /hydrate/p\0 HTTP/1.1", REFUSED),
        ("a bare CR in the line", "POST /hydrate/p\rX HTTP/1.1", REFUSED),
        ("a method that is none", "PO(ST /hydrate/p HTTP/1.1", REFUSED),
        // Servers must accept the absolute form (section 3.2.2).
        ("the absolute form", "POST http://other.example/hydrate/p HTTP/1.1", &[&[200]]),
        ("the absolute form of nothing here", "POST http://other.example/ HTTP/1.1", &[&[404]]),
        ("an empty line before", "\r\nPOST /hydrate/p HTTP/1.1", &[&[200], &[400]]),
    ];
    for (name, line, readings) in lines {
        let bytes =
            format!("{line}\r\nHost: x\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{session}").into_bytes();
        tricks.push(Trick { name, bytes, readings });
    }
    let others: [(&'static str, &str, &'static [&'static [u16]]); 5] = [
        ("chunks in HTTP/1.0", "POST /hydrate/p HTTP/1.0\r\nTransfer-Encoding: chunked", REFUSED),
        ("HTTP/1.0 without a length", "POST /hydrate/p HTTP/1.0", REFUSED),
        ("a tunnel", "CONNECT other.example:443 HTTP/1.1\r\nHost: x", &[&[404]]),
        ("a body of a GET", "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nContent-Length: 39", &[&[200]]),
        ("a body of a HEAD", "HEAD /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: 39", &[&[405]]),
    ];
    for (name, line, readings) in others {
        tricks.push(Trick { name, bytes: format!("{line}\r\n\r\n{HIDDEN}").into_bytes(), readings });
    }

    let mut refused = 0;
    for Trick { name, bytes, readings } in tricks {
        let found = read_all_statuses(app.api, &bytes);
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert!(readings.contains(&found.as_slice()), "{name}: {found:?}, expected one of {readings:?}\n{shown:?}");
        refused += usize::from(readings.len() == 1 && found == [400]);
    }
    assert!(refused > 50, "{refused}");
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
    let metrics = app.get_admin("/metrics").text();
    let count = |series: &str| -> usize {
        metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or_default()
    };
    let malformed = count("claimsmith_connections_cut_total{reason=\"malformed\"}");
    assert!(malformed + 20 > refused && malformed > 30, "{malformed} of {refused} are reported");
}
