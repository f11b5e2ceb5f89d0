//! Hostile connections and very many connections: none blocks the service for longer than `limits.request`, and other
//! clients are served meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use claimsmith::keys::SignatureAlg;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{Folder, Service, Setup, TestApp, connect, get, post, read_response, send, spawn_app, wait_until};

const SESSION: &[u8] = br#"{"subject":"u"}"#;
const OPENAPI: &[u8] = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";

fn app(config: &str) -> TestApp {
    spawn_app(&Setup { config, template: "{}", ..Setup::default() })
}

fn metric_of(admin: SocketAddr, series: &str) -> u64 {
    let text = send(admin, &get("/metrics")).text();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{series} is missing:\n{text}"))
}

fn metric(app: &TestApp, series: &str) -> u64 {
    metric_of(app.admin, series)
}

fn closed_count(app: &TestApp, reason: &str) -> u64 {
    metric(app, &format!("claimsmith_connections_cut_total{{reason=\"{reason}\"}}"))
}

/// Connects to `address` from `source`.
fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::new(IpAddr::V4(source.into()), 0)).unwrap();
    connect(&socket, &address).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Returns `true` if the service has closed `stream`. Ignores other bytes that arrive.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Sends a byte of `bytes` every 20 ms, repeatedly, until the service closes the connection. Returns the elapsed time.
fn send_slowly(stream: &mut TcpStream, bytes: &[u8]) -> Duration {
    let start = Instant::now();
    for byte in bytes.iter().cycle() {
        let is_over = is_closed(stream);
        stream.set_nonblocking(false).unwrap();
        if is_over || stream.write_all(&[*byte]).is_err() {
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(15), "it goes on for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

#[test]
fn client_that_never_reads_responses_is_disconnected() {
    let app = app("limits: { request: 1s }");
    let mut deaf = connect(app.api);
    // More than the buffers of both sides can hold.
    deaf.write_all(&OPENAPI.repeat(600)).unwrap();
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200, "others are served");
    wait_until(|| closed_count(&app, "answer") == 1);
    wait_until(|| metric(&app, "claimsmith_connections") == 0);
    let mut rest = Vec::new();
    let _ = deaf.read_to_end(&mut rest);
    assert!(rest.windows(12).filter(|bytes| bytes == b"HTTP/1.1 200").count() < 600);
    assert_eq!(closed_count(&app, "request"), 0);
}

/// Requests that the HTTP layer cannot take yet: it queues 16, and buffers 128 KiB behind them.
fn excessive_pipeline() -> Vec<u8> {
    let padding = "x".repeat(40_000);
    format!("GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Padding: {padding}\r\n\r\n").into_bytes().repeat(40)
}

#[test]
fn client_that_pipelines_and_reads_later_gets_every_response() {
    let app = app("limits: { request: 1h }");
    let mut deaf = connect(app.api);
    let mut writer = deaf.try_clone().unwrap();
    // On a busy machine, the responses take longer than the usual timeout.
    writer.set_write_timeout(None).unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(&OPENAPI.repeat(600)).unwrap();
        // The service does not read this until the responses are read.
        writer.write_all(&excessive_pipeline()).unwrap();
    });
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200, "others are served");
    // Connections are counted once a worker has them, and until it has dropped them.
    wait_until(|| metric(&app, "claimsmith_connections") == 1);
    for _ in 0..600 {
        assert_eq!(read_response(&mut deaf, true).status, 200);
    }
    for _ in 0..40 {
        assert_eq!(read_response(&mut deaf, true).status, 404);
    }
    writing.join().unwrap();
    assert_eq!(closed_count(&app, "pipeline"), 0);
}

#[test]
fn requests_behind_a_slow_last_response_are_not_processed() {
    let app = spawn_app(&Setup {
        config: "callers: [{ name: c, bearer: { token_file: token } }]
limits: { request: 1h, failed_attempts: 1, failed_delay: 1s }",
        files: &[("token", "a-token-of-some-length")],
        template: "{}",
        ..Setup::default()
    });
    let wrong = post("/hydrate/p", &[("Authorization", "Bearer another"), ("Connection", "keep-alive")], SESSION);
    assert_eq!(send(app.api, &wrong).status, 401);
    let mut eager = connect(app.api);
    let mut writer = eager.try_clone().unwrap();
    // The service closes the connection before it has read everything.
    let writing = std::thread::spawn(move || writer.write_all(&[wrong, excessive_pipeline()].concat()));
    assert_eq!(app.get("/.well-known/jwks.json").status, 200, "others are served");
    let answer = read_response(&mut eager, true);
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    let mut rest = Vec::new();
    let _ = eager.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    let _ = writing.join().unwrap();
    assert_eq!(closed_count(&app, "pipeline"), 0);
}

/// As many requests as the HTTP layer buffers are usual behavior of a benchmark client.
#[test]
fn pipelined_requests_within_the_buffers_are_answered() {
    let app = app("");
    let mut stream = connect(app.api);
    let mut writer = stream.try_clone().unwrap();
    let request = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION);
    let writing = std::thread::spawn(move || writer.write_all(&request.repeat(2000)).unwrap());
    for _ in 0..2000 {
        assert_eq!(read_response(&mut stream, true).status, 200);
    }
    writing.join().unwrap();
    assert_eq!(closed_count(&app, "pipeline"), 0);
}

#[test]
fn slow_reader_gets_a_complete_response_of_usual_size() {
    let app = app("limits: { request: 500ms }");
    let session = format!("{{\"subject\":\"u\",\"extra\":{{\"text\":\"{}\"}}}}", "x".repeat(24 << 10));
    let mut slow = connect(app.api);
    slow.write_all(&post("/hydrate/p", &[], session.as_bytes())).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        match slow.read(&mut buffer).unwrap() {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(answer.ends_with(b"}") && answer.len() > session.len(), "{} bytes", answer.len());
    assert_eq!(closed_count(&app, "answer"), 0);
}

#[test]
fn byte_by_byte_head_times_out_on_a_kept_connection() {
    let app = app("limits: { request: 1s }");
    let mut stream = connect(app.api);
    stream.write_all(&post("/hydrate/p", &[("Connection", "keep-alive")], SESSION)).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
    stream.write_all(b"POST /hydrate/p HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let lasted = send_slowly(&mut stream, b"x");
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&lasted), "{lasted:?}");
    assert_eq!(closed_count(&app, "request"), 1);
    assert_eq!(metric(&app, "claimsmith_connections_unused_total"), 0);
}

/// The client sends nothing more, so neither a timer for bytes nor one for idle connections ends the connection.
#[test]
fn unfinished_chunked_body_does_not_keep_its_connection() {
    let app = app("limits: { request: 1s }");
    for path in ["GET /.well-known/jwks.json", "GET /nowhere", "POST /hydrate/q", "PUT /issue/p"] {
        let mut stream = connect(app.api);
        let head = format!("{path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na");
        stream.write_all(head.as_bytes()).unwrap();
        read_response(&mut stream, true);
        wait_until(|| metric(&app, "claimsmith_connections") == 0);
    }
    let mut half_closed = connect(app.api);
    half_closed.write_all(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na").unwrap();
    half_closed.shutdown(std::net::Shutdown::Write).unwrap();
    read_response(&mut half_closed, true);
    wait_until(|| metric(&app, "claimsmith_connections") == 0);
    let mut stream = connect(app.admin);
    stream.write_all(b"GET /health/alive HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na").unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
    stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the connection ends");
}

#[test]
fn unread_body_is_not_received_forever() {
    let app = app("limits: { request: 1s }");
    let mut stream = connect(app.api);
    stream.write_all(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut stream, true).status, 404);
    let lasted = send_slowly(&mut stream, b"1\r\nx\r\n");
    assert!(lasted < Duration::from_secs(4), "{lasted:?}");
    wait_until(|| metric(&app, "claimsmith_connections") == 0);
}

/// Complete requests keep a connection open.
#[test]
fn active_connection_outlives_the_request_timeout() {
    let app = app("limits: { request: 1s }");
    let mut stream = connect(app.api);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        stream.write_all(&post("/hydrate/p", &[("Connection", "keep-alive")], SESSION)).unwrap();
        assert_eq!(read_response(&mut stream, true).status, 200);
        std::thread::sleep(Duration::from_millis(40));
    }
    // A pause that is longer than the request timeout and shorter than keep_alive keeps it open too.
    std::thread::sleep(Duration::from_millis(1500));
    stream.write_all(&post("/hydrate/p", &[], SESSION)).unwrap();
    assert_eq!(read_response(&mut stream, true).status, 200);
    assert_eq!(closed_count(&app, "request"), 0);
}

#[test]
fn slow_clients_do_not_block_other_clients() {
    let app = app("limits: { request: 2s }\nserve: { workers: 2 }");
    let whole = post("/hydrate/p", &[], SESSION);
    let mut slow: Vec<TcpStream> = (0..300).map(|_| connect(app.api)).collect();
    for (index, stream) in slow.iter_mut().enumerate() {
        // Either the end of the body is missing, or everything after the first header value.
        let part = if index % 3 == 0 { whole.len() - 5 } else { "POST /hydrate/p HTTP/1.1\r\nHost: x".len() };
        stream.write_all(&whole[..part]).unwrap();
    }
    let (mut asked, start) = (0, Instant::now());
    // They continue byte by byte, which must not extend their deadline.
    while start.elapsed() < Duration::from_secs(1) {
        for (index, stream) in slow.iter_mut().enumerate() {
            let _ = if index % 3 == 0 { Ok(()) } else { stream.write_all(b"x") };
        }
        let asks = Instant::now();
        assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
        assert!(asks.elapsed() < Duration::from_secs(1), "{:?}", asks.elapsed());
        asked += 1;
    }
    assert!(asked > 3, "{asked}");
    wait_until(|| metric(&app, "claimsmith_connections") == 0);
    assert_eq!(app.failures("request.timeout"), 100);
    assert_eq!(closed_count(&app, "request"), 200);
}

#[test]
fn slow_clients_do_not_block_the_admin_listener() {
    let app = app("limits: { request: 1s }");
    let mut slow: Vec<TcpStream> = (0..70).map(|_| connect(app.admin)).collect();
    for stream in &mut slow {
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
    }
    let start = Instant::now();
    assert_eq!(app.get_admin("/health/ready").status, 200, "those before it are gone by then");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let mut later = connect(app.admin);
    later.write_all(b"GET /health/alive HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut later, true).status, 200);
    later.write_all(b"GET /health/alive HTTP/1.1\r\n").unwrap();
    assert!(send_slowly(&mut later, b"x") < Duration::from_secs(4));
    // A client that never reads can send nothing more at some point, and then its connection is closed.
    let (mut deaf, start) = (connect(app.admin), Instant::now());
    while deaf.write_all(&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)).is_ok() {}
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
}

#[test]
fn pipelined_requests_are_answered_in_order_and_authenticated_one_by_one() {
    let app = spawn_app(&Setup {
        template: "{}",
        config: "callers: [{ name: c, bearer: { token_file: t } }]",
        files: &[("t", "a-token-of-some-length")],
        ..Setup::default()
    });
    let kept = ("Connection", "keep-alive");
    let right = [kept, ("Authorization", "Bearer a-token-of-some-length")];
    let session = |subject: &str| format!("{{\"subject\":\"{subject}\"}}").into_bytes();
    let mut bytes = post("/issue/p", &right, &session("first"));
    bytes.extend(post("/issue/p", &[kept], &session("second")));
    bytes.extend(post("/nowhere", &right, &session("third")));
    bytes.extend(post("/issue/p", &right, b"{}"));
    bytes.extend(post("/issue/p", &[kept, ("Authorization", "Bearer another")], &session("fifth")));
    bytes.extend(post("/issue/p", &right[1..], &session("last")));
    let mut stream = connect(app.api);
    stream.write_all(&bytes).unwrap();
    let answers: Vec<_> = (0..6).map(|_| read_response(&mut stream, true)).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 401, 404, 400, 401, 200]);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "there is one answer for each request");
    for (answer, subject) in [(&answers[0], "first"), (&answers[5], "last")] {
        let token = app.verify(answer.json()["token"].as_str().unwrap());
        let claims: serde_json::Value = serde_json::from_str(token.claims()).unwrap();
        assert_eq!(claims["sub"], subject);
    }
}

#[test]
fn connection_limit_per_address_leaves_other_addresses_alone() {
    let app = app("limits: { connections: 100, connections_per_peer: 2, request: 20s }");
    let kept = post("/hydrate/p", &[("Connection", "keep-alive")], SESSION);
    let mut held: Vec<TcpStream> = (0..2).map(|_| connect(app.api)).collect();
    for stream in &mut held {
        stream.write_all(&kept).unwrap();
        assert_eq!(read_response(stream, true).status, 200);
    }
    let mut third = connect(app.api);
    third.write_all(&kept).unwrap();
    let answer = read_response(&mut third, true);
    answer.assert_is_problem();
    assert_eq!((answer.status, answer.json()["type"].as_str()), (429, Some("caller.connections")));
    assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
    assert_eq!(app.failures("caller.connections"), 1);

    let mut neighbour = connect_from([127, 0, 0, 2], app.api);
    neighbour.write_all(&kept).unwrap();
    assert_eq!(read_response(&mut neighbour, true).status, 200, "another address has its own");

    // Connections beyond those that get a 503 are closed without a response.
    let mut silent: Vec<TcpStream> = (0..60).map(|_| connect(app.api)).collect();
    wait_until(|| closed_count(&app, "peer") >= 40);
    wait_until(|| silent.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count() >= 40);
    assert!(metric(&app, "claimsmith_connections") < 25);
    neighbour.write_all(&kept).unwrap();
    assert_eq!(read_response(&mut neighbour, true).status, 200);
    held[0].write_all(&kept).unwrap();
    assert_eq!(read_response(&mut held[0], true).status, 200, "those that were there first go on");
    drop((held, silent));
    wait_until(|| metric(&app, "claimsmith_connections") <= 1);
    wait_until(|| app.hydrate(r#"{"subject":"u"}"#).status == 200);
}

#[test]
fn excess_connections_wait_and_are_served_later() {
    let app = app("limits: { connections: 16, request: 1s, keep_alive: 1s }\nserve: { workers: 1 }");
    let mut all: Vec<TcpStream> = (0..120).map(|_| connect(app.api)).collect();
    let whole = post("/hydrate/p", &[], SESSION);
    let mut last = all.split_off(90);
    drop(all);
    // Each of the last connections that was not closed gets a response.
    let mut answered = 0;
    for stream in &mut last {
        let mut answer = Vec::new();
        if stream.write_all(&whole).is_ok() && stream.read_to_end(&mut answer).is_ok() && !answer.is_empty() {
            let text = String::from_utf8(answer).unwrap();
            assert!(text.starts_with("HTTP/1.1 200") || text.contains("service.connections"), "{text}");
            answered += 1;
        }
    }
    assert!(answered > 0);
    drop(last);
    wait_until(|| app.hydrate(r#"{"subject":"u"}"#).status == 200);
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
}

#[test]
fn silent_tls_connections_do_not_exhaust_handshakes() {
    let (certificate, key) = crate::tls::server_pair();
    let app = spawn_app(&Setup {
        template: "{}",
        config: "serve: { workers: 1, api: { tls: { cert_file: tls.crt, key_file: tls.key } } }\nlimits: { request: 3s }",
        files: &[("tls.crt", &certificate), ("tls.key", &key)],
        ..Setup::default()
    });
    let silent: Vec<TcpStream> = (0..400).map(|_| connect(app.api)).collect();
    wait_until(|| metric(&app, "claimsmith_connections") == 400);
    let start = Instant::now();
    assert!(crate::tls::is_served(app.api), "others get their handshake");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    wait_until(|| closed_count(&app, "handshake") == 400);
    wait_until(|| metric(&app, "claimsmith_connections") == 0);
    drop(silent);
}

/// Raises the limit of open files of this process to at least `count`.
fn raise_descriptors(count: u64) -> Result<(), u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(count), maximum: maximum.map(|maximum| maximum.max(count)) };
    setrlimit(Resource::Nofile, raised).map_err(|_| maximum.unwrap_or_default())
}

fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Prints the figure in docs/reliability.md: `cargo test ten_thousand_idle -- --nocapture`.
#[test]
fn ten_thousand_idle_connections_do_not_block_requests() {
    const IDLE: usize = 10_000;
    if let Err(most) = raise_descriptors(IDLE as u64 + 500) {
        println!("SKIPPED: {IDLE} connections need more open files than the {most} that this process may have");
        assert!(most < IDLE as u64 + 500, "the bound could have been raised");
        return;
    }
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(
        "claimsmith.yaml",
        "serve: { api: { port: 0 }, admin: { port: 0 }, workers: 2 }\nlimits: { connections: 20000, in_flight: 64 }\n\
         profiles: { p: { issuer: i, jwks: keys.json } }\n",
    );
    let service = Service::start(folder);
    let whole = post("/hydrate/p", &[], SESSION);
    assert_eq!(send(service.api, &whole).status, 200);
    let before = resident_bytes(service.child.id());
    let asks = b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut idle: Vec<TcpStream> = Vec::with_capacity(IDLE);
    for _ in 0..IDLE / 100 {
        let mut some: Vec<TcpStream> = (0..100).map(|_| connect(service.api)).collect();
        some.iter_mut().for_each(|stream| stream.write_all(asks).unwrap());
        some.iter_mut().for_each(|stream| assert_eq!(read_response(stream, false).status, 404));
        idle.append(&mut some);
    }
    assert_eq!(metric_of(service.admin, "claimsmith_connections"), IDLE as u64);
    let each = resident_bytes(service.child.id()).saturating_sub(before) / IDLE as u64;
    println!("{IDLE} idle connections: {each} bytes each");
    assert!(each < 64 << 10, "{each} bytes for each idle connection");
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(send(service.api, &whole).status, 200);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    assert_eq!(service.get_admin("/health/ready").json(), json!({"status": "ok"}));
    for stream in idle.iter_mut().step_by(1000) {
        stream.write_all(asks).unwrap();
        assert_eq!(read_response(stream, false).status, 404, "an idle connection goes on");
    }
    // Stop the service first, so that no local port stays in TIME_WAIT.
    drop(service);
}
