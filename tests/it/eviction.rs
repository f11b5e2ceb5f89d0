//! Idle connections make room for new ones, and connections end at their age. Probes and gateways are served meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Answer, Setup, TestApp, connect, get, post, read_response, send, spawn_app, wait_until};

const SESSION: &[u8] = br#"{"subject":"u"}"#;
const CALLER: [(&str, &str); 2] = [("Authorization", "Bearer a-token-of-some-length"), ("Connection", "keep-alive")];
const OPENAPI: &[u8] = b"HEAD /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";

fn app(config: &str) -> TestApp {
    let config = format!("callers: [{{ name: c, bearer: {{ token_file: t }} }}]\n{config}");
    let files = [("t", "a-token-of-some-length")];
    spawn_app(&Setup { config: &config, template: "{}", files: &files, ..Setup::default() })
}

fn metric(app: &TestApp, series: &str) -> u64 {
    let text = app.get_admin("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{series} is missing:\n{text}"))
}

/// Asserts that each of some requests on connections of their own is answered with 200. The bound is far below the time for
/// which other connections would keep a place, and far above what a busy host needs.
#[track_caller]
fn assert_served(address: SocketAddr, request: &[u8]) {
    let ask = || {
        let start = Instant::now();
        assert_eq!(send(address, request).status, 200);
        start.elapsed()
    };
    let fastest = (0..5).map(|_| ask()).min().unwrap();
    assert!(fastest < Duration::from_secs(4), "{fastest:?}");
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> Answer {
    stream.write_all(request).unwrap();
    read_response(stream, !request.starts_with(b"HEAD"))
}

#[test]
fn busy_admin_connections_do_not_keep_probes_out() {
    let app = app("");
    let mut held: Vec<TcpStream> = (0..64).map(|_| connect(app.admin)).collect();
    let version = get("/version");
    let kept = String::from_utf8(version).unwrap().replace("Connection: close\r\n", "").into_bytes();
    for round in 0..3 {
        // The most recent ones stay, so they are used again.
        held.retain_mut(|stream| {
            stream.write_all(&kept).is_ok() && stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0)
        });
        assert!(round > 0 || held.len() == 64, "{}", held.len());
        assert_served(app.admin, &get("/health/alive"));
        while held.len() < 64 {
            held.push(connect(app.admin));
        }
    }
}

#[test]
fn silent_admin_connections_do_not_keep_probes_out() {
    let app = app("limits: { request: 1h }");
    let _silent: Vec<TcpStream> = (0..300).map(|_| connect(app.admin)).collect();
    assert_served(app.admin, &get("/health/alive"));
    assert_served(app.admin, &get("/health/ready"));
}

#[test]
fn unread_admin_responses_do_not_keep_probes_out() {
    let app = app("limits: { request: 1h }");
    let mut deaf: Vec<TcpStream> = (0..64).map(|_| connect(app.admin)).collect();
    let many = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    for stream in &mut deaf {
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(&many);
    }
    assert_served(app.admin, &get("/health/alive"));
}

#[test]
fn idle_strangers_make_room_and_gateways_stay() {
    let app = app("limits: { connections: 64, request: 1h, keep_alive: 1h }\nserve: { workers: 1 }");
    let whole = post("/issue/p", &CALLER, SESSION);
    let mut gateway = connect(app.api);
    assert_eq!(ask(&mut gateway, &whole).status, 200);
    let mut strangers: Vec<TcpStream> = (0..63).map(|_| connect(app.api)).collect();
    for stream in &mut strangers {
        assert_eq!(ask(stream, OPENAPI).status, 200);
    }
    std::thread::sleep(Duration::from_millis(150));
    let mut later: Vec<TcpStream> = (0..20).map(|_| connect(app.api)).collect();
    for stream in &mut later {
        assert_eq!(ask(stream, &whole).status, 200, "another gateway is served");
    }
    let evicted = |app: &TestApp| metric(app, "claimsmith_connections_cut_total{reason=\"evicted\"}");
    wait_until(|| evicted(&app) == 20);
    wait_until(|| metric(&app, "claimsmith_connections") == 64);
    for (index, stream) in strangers.iter_mut().enumerate() {
        match index < 20 {
            true => assert_eq!(stream.read(&mut [0]).unwrap(), 0, "stranger {index} was idle for longest"),
            false => assert_eq!(ask(stream, OPENAPI).status, 200, "stranger {index} stays"),
        }
    }
    assert_eq!(ask(&mut gateway, &whole).status, 200);
}

#[test]
fn connections_of_callers_are_not_evicted() {
    let app = app("limits: { connections: 4, request: 1h }");
    let whole = post("/issue/p", &CALLER, SESSION);
    let mut gateways: Vec<TcpStream> = (0..4).map(|_| connect(app.api)).collect();
    for stream in &mut gateways {
        assert_eq!(ask(stream, &whole).status, 200);
    }
    std::thread::sleep(Duration::from_millis(150));
    for _ in 0..40 {
        let answer = send(app.api, &get("/openapi.json"));
        assert_eq!((answer.status, answer.json()["type"].as_str()), (503, Some("service.connections")));
    }
    for stream in &mut gateways {
        assert_eq!(ask(stream, &whole).status, 200);
    }
}

#[test]
fn request_in_progress_is_not_evicted() {
    let app = app("limits: { connections: 4, request: 1h }");
    let whole = post("/issue/p", &CALLER, SESSION);
    let mut uploads: Vec<TcpStream> = (0..4).map(|_| connect(app.api)).collect();
    for stream in &mut uploads {
        stream.write_all(&whole[..whole.len() - 5]).unwrap();
    }
    wait_until(|| metric(&app, "claimsmith_requests_in_flight") == 4);
    std::thread::sleep(Duration::from_millis(150));
    for _ in 0..10 {
        assert_eq!(send(app.api, &get("/openapi.json")).status, 503);
    }
    for stream in &mut uploads {
        assert_eq!(ask(stream, &SESSION[SESSION.len() - 5..]).status, 200);
    }
}

#[test]
fn silent_connections_do_not_keep_gateways_out() {
    let app = app("limits: { connections: 16, request: 1h, keep_alive: 1h }\nserve: { workers: 1 }");
    let _silent: Vec<TcpStream> = (0..200).map(|_| connect(app.api)).collect();
    let whole = post("/issue/p", &CALLER[..1], SESSION);
    // Connections that came within 100 ms are not evicted for a response, so the first ones can get 503.
    wait_until(|| send(app.api, &whole).status == 200);
    assert_served(app.api, &whole);
    assert!(metric(&app, "claimsmith_connections_cut_total{reason=\"evicted\"}") > 100);
}

#[test]
fn stalled_handshakes_do_not_keep_gateways_out() {
    let (certificate, key) = crate::tls::server_pair();
    let app = spawn_app(&Setup {
        template: "{}",
        config: "serve: { workers: 1, api: { tls: { cert_file: tls.crt, key_file: tls.key } } }\n\
                 limits: { connections: 16, request: 1h }",
        files: &[("tls.crt", &certificate), ("tls.key", &key)],
        ..Setup::default()
    });
    let _silent: Vec<TcpStream> = (0..200).map(|_| connect(app.api)).collect();
    std::thread::sleep(Duration::from_millis(150));
    assert!(crate::tls::is_served(app.api));
    assert!(metric(&app, "claimsmith_connections") <= 34);
}

#[test]
fn connection_ends_at_its_age_with_a_response() {
    let app = app("limits: { connection_age: 300ms }");
    let whole = post("/issue/p", &CALLER, SESSION);
    let mut stream = connect(app.api);
    let start = Instant::now();
    let mut count = 0;
    loop {
        let answer = ask(&mut stream, &whole);
        assert_eq!(answer.status, 200);
        count += 1;
        if answer.header("connection") == Some("close") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() >= Duration::from_millis(300) && count > 1, "{count} in {:?}", start.elapsed());
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
}

#[test]
fn connection_has_no_age_limit_if_it_is_zero() {
    let app = app("limits: { connection_age: 0s }");
    let mut stream = connect(app.api);
    assert_eq!(ask(&mut stream, &post("/issue/p", &CALLER, SESSION)).header("connection"), None);
}
