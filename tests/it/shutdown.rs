//! Graceful shutdown of the real binary.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Service, connect, post, read_response, send, serving_folder, wait_until};

/// Starts `claimsmith serve` with two workers and these additional keys of `serve`.
fn start(serve: &str) -> Service {
    Service::start(serving_folder(&format!("workers: 2, {serve}"), ""))
}

#[test]
fn in_flight_request_finishes_and_new_connections_are_refused() {
    let mut service = start("shutdown_timeout: 20s");
    let body = br#"{"subject":"u"}"#;
    let whole = post("/hydrate/p", &[], body);
    let (first, rest) = whole.split_at(whole.len() - 5);

    let mut idle = connect(service.api);
    idle.write_all(&post("/hydrate/p", &[("Connection", "keep-alive")], body)).unwrap();
    assert_eq!(read_response(&mut idle, true).status, 200);
    let mut in_flight = connect(service.api);
    in_flight.write_all(first).unwrap();
    // The service has read the head once both workers have answered a later request on another connection.
    for _ in 0..4 {
        assert_eq!(send(service.api, &whole).status, 200);
    }

    service.signal("TERM");
    wait_until(|| TcpStream::connect(service.api).is_err());
    assert!(service.child.try_wait().unwrap().is_none(), "it waits for the request in flight");
    in_flight.write_all(rest).unwrap();
    assert_eq!(read_response(&mut in_flight, true).status, 200);
    let finished = Instant::now();
    let status = service.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(finished.elapsed() < Duration::from_secs(10), "an idle connection does not hold it up");
}

#[test]
fn readiness_returns_503_before_listeners_close() {
    let mut service = start("shutdown_delay: 2s");
    assert_eq!(service.get_admin("/health/ready").status, 200);
    service.signal("TERM");
    wait_until(|| service.get_admin("/health/ready").status == 503);
    let answer = service.get_admin("/health/ready");
    assert_eq!(answer.json()["reason"], "stopping");
    assert_eq!(send(service.api, &post("/hydrate/p", &[], br#"{"subject":"u"}"#)).status, 200);
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn endless_request_is_closed_at_the_shutdown_timeout() {
    let mut service = start("shutdown_timeout: 1s");
    let mut in_flight = connect(service.api);
    in_flight.write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{").unwrap();
    for _ in 0..4 {
        assert_eq!(send(service.api, &post("/hydrate/p", &[], br#"{"subject":"u"}"#)).status, 200);
    }
    service.signal("TERM");
    wait_until(|| service.child.try_wait().unwrap().is_some());
}
