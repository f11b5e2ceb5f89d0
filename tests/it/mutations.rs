//! Sessions damaged at each position are served or rejected. The service never fails and never quotes a value.

use std::io::Write as _;
use std::net::TcpStream;

use crate::support::{Answer, Setup, TestApp, connect, post, read_response, spawn_app};

/// The values are long enough to be recognized in an error.
const SESSION: &str = r#"{"subject":"zoe-the-subject","extra":{"name":"Zo\u00eb O'Neil","n":[1,-2.5e3,true,null],
"mail":{"value":"zoe@example.com"}},"header":{"X-Header":["header-value"]},"match_context":{
"regexp_capture_groups":["orders-forty-two"],"url":{"Scheme":"https","User":null,"Path":"/v1/orders"},"method":"DELETE",
"header":{"Cookie":["cookie-value=1"]}}}"#;

const VALUES: [&str; 7] =
    ["zoe-the", "O'Neil", "zoe@example", "header-value", "orders-forty", "/v1/orders", "cookie-value"];

fn app() -> TestApp {
    let template = r#"{"name": "{{Extra.name}}", "first": {{first Extra.n}}, "mail": {{upper Extra.mail.value}},
        "group": {{MatchContext.RegexpCaptureGroups.[0]}}, "all": {{Extra}}, "header": {{Header}}}"#;
    spawn_app(&Setup { template, ..Setup::default() })
}

/// Sends `body` on a persistent connection.
fn hydrate(stream: &mut TcpStream, body: &[u8]) -> Answer {
    stream.write_all(&post("/hydrate/p", &[("Connection", "keep-alive")], body)).unwrap();
    read_response(stream, true)
}

#[track_caller]
fn assert_refused(answer: &Answer, place: &str) {
    answer.assert_is_problem();
    assert!([400, 422].contains(&answer.status), "{place}: {}", answer.text());
    let text = answer.text();
    assert!(!VALUES.iter().any(|value| text.contains(value)), "{place}: {text}");
}

#[test]
fn truncated_session_is_rejected() {
    let app = app();
    let mut stream = connect(app.api);
    assert_eq!(hydrate(&mut stream, SESSION.as_bytes()).status, 200);
    for end in 0..SESSION.len() {
        let answer = hydrate(&mut stream, &SESSION.as_bytes()[..end]);
        assert_refused(&answer, &format!("cut at {end}"));
    }
    assert_eq!(hydrate(&mut stream, SESSION.as_bytes()).status, 200);
}

#[test]
fn session_with_one_changed_byte_is_served_or_rejected() {
    let app = app();
    let mut stream = connect(app.api);
    let (mut served, mut refused) = (0, 0);
    for place in 0..SESSION.len() {
        for byte in *b"\"\\{]\0\xff" {
            let mut body = SESSION.as_bytes().to_vec();
            body[place] = byte;
            let answer = hydrate(&mut stream, &body);
            if answer.status == 200 {
                served += 1;
            } else {
                assert_refused(&answer, &format!("{byte:#x} at {place}"));
                refused += 1;
            }
        }
    }
    assert!(served > 100 && refused > 100, "{served} {refused}");
}
