//! What a token costs: `POST /hydrate` against a bare actix-web echo of the same bytes, with the same workers, in one run.
//!
//! Servers run as child processes, so that their CPU time can be read from /proc apart from the client's. Rounds are
//! interleaved; the table shows medians, the spread, and each figure as a ratio to the echo.
//!
//! `claimsmith-bench [render | --quick]`; the product's binary must stand beside this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod render;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use claimsmith::keys::{self, KeyId, SignatureAlg};
use claimsmith::session::Session;

const WORKERS: usize = 2;
const CONNECTIONS: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve-echo") => serve_echo(Path::new(&arguments[1])),
        Some("render") => render::measure(7, Duration::from_millis(100)),
        Some("--quick") => {
            render::measure(2, Duration::from_millis(10));
            measure(2, Duration::from_millis(300));
        }
        None => measure(7, Duration::from_secs(2)),
        Some(other) => panic!("expected render, --quick or nothing, found {other}"),
    }
}

/// Answers every request with the bytes of a file, after it has read the whole body.
fn serve_echo(answer: &Path) {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let answer = web::Bytes::from(fs::read(answer).unwrap());
    actix_web::rt::System::new().block_on(async move {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        println!("{}", listener.local_addr().unwrap());
        HttpServer::new(move || {
            let answer = answer.clone();
            App::new().app_data(web::PayloadConfig::new(1 << 20)).default_service(web::to(move |body: web::Bytes| {
                let answer = answer.clone();
                async move {
                    std::hint::black_box(body);
                    HttpResponse::Ok().content_type("application/json").body(answer)
                }
            }))
        })
        .workers(WORKERS)
        .listen(listener)
        .unwrap()
        .run()
        .await
        .unwrap();
    });
}

/// A server under load.
struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    first_answer: Duration,
    rounds: Vec<Round>,
}

/// One round of load on one server.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_micros: f64,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn measure(rounds: usize, length: Duration) {
    let folder = std::env::temp_dir().join(format!("claimsmith-bench-{}", std::process::id()));
    fs::create_dir_all(folder.join("templates/session")).unwrap();
    let body = include_bytes!("../../templates/session/kratos.session.json").to_vec();
    let body = compact(&body);
    let request = request(&body);

    let mut servers = Vec::new();
    for (name, alg) in [("ES256", SignatureAlg::Es256), ("RS256", SignatureAlg::Rs256)] {
        servers.push(start_claimsmith(&folder, name, alg, &request));
    }
    let answer = exchange(&mut TcpStream::connect(servers[0].address).unwrap(), &request);
    let placed = folder.join("answer.json");
    fs::write(&placed, &answer).unwrap();
    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("serve-echo")
        .arg(&placed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().parse().unwrap();
    exchange(&mut TcpStream::connect(address).unwrap(), &request);
    servers.insert(0, Server { name: "echo", child, address, first_answer: started.elapsed(), rounds: Vec::new() });

    let idle: Vec<u64> = servers.iter().map(|server| resident_kib(server.child.id())).collect();
    for server in &servers {
        load(server, &request, length / 4);
    }
    for _ in 0..rounds {
        for server in &mut servers {
            let round = load(server, &request, length);
            server.rounds.push(round);
        }
    }
    report(&servers, &idle, body.len(), answer.len(), length);
    drop(servers);
    let _ = fs::remove_dir_all(folder);
}

/// The session as a gateway sends it, without white space.
fn compact(session: &[u8]) -> Vec<u8> {
    Session::parse(session, Default::default()).unwrap();
    claimsmith::json::Json::parse(session, Default::default()).unwrap().to_string().into_bytes()
}

fn request(body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /hydrate/p HTTP/1.1\r\nHost: claimsmith\r\nUser-Agent: Go-http-client/1.1\r\nContent-Type: application/json\r\n\
         Accept-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn start_claimsmith(folder: &Path, name: &'static str, alg: SignatureAlg, request: &[u8]) -> Server {
    fs::write(folder.join("templates/session/claims.hbs"), include_str!("../../templates/session/claims.hbs")).unwrap();
    let key = keys::generate(alg, None, &KeyId::new("bench")).unwrap();
    fs::write(folder.join(format!("{name}.json")), key.to_set()).unwrap();
    let config = folder.join(format!("{name}.yaml"));
    let text = format!(
        "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }}, workers: {WORKERS} }}\n\
         profiles: {{ p: {{ issuer: i, jwks: {name}.json, template: session }} }}\n"
    );
    fs::write(&config, text).unwrap();
    let started = Instant::now();
    let mut child =
        Command::new(product()).arg("--config").arg(config).arg("serve").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "claimsmith ended before it served");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "serving" {
            break event["api"].as_str().unwrap().parse().unwrap();
        }
    };
    exchange(&mut TcpStream::connect(address).unwrap(), request);
    let first_answer = started.elapsed();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Server { name, child, address, first_answer, rounds: Vec::new() }
}

fn product() -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name("claimsmith");
    assert!(path.exists(), "expected the claimsmith binary at {}: build it with cargo build --release", path.display());
    path
}

/// Sends one request and reads its answer's body.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the server closed the connection");
        buffer.extend_from_slice(&chunk[..read]);
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse::<usize>().unwrap())
            .unwrap();
        if buffer.len() == end + 4 + length {
            return buffer.split_off(end + 4);
        }
    }
}

/// Keeps every connection busy for `length`.
fn load(server: &Server, request: &[u8], length: Duration) -> Round {
    let done = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let cpu_before = cpu_ticks(server.child.id());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(server.address).unwrap();
                stream.set_nodelay(true).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    exchange(&mut stream, request);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(length);
        stop.store(true, Ordering::Relaxed);
    });
    let seconds = started.elapsed().as_secs_f64();
    let ticks = cpu_ticks(server.child.id()) - cpu_before;
    let count = done.load(Ordering::Relaxed) as f64;
    Round { per_second: count / seconds, cpu_micros: ticks as f64 * 10_000.0 / count }
}

/// User and system time of a process in clock ticks of a hundredth of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn report(servers: &[Server], idle: &[u64], request_bytes: usize, answer_bytes: usize, length: Duration) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown CPU");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let size = fs::metadata(product()).unwrap().len() as f64 / (1024.0 * 1024.0);
    println!(
        "{model}, {cores} cores; claimsmith {}; {} rounds of {:.1} s, {CONNECTIONS} connections, {WORKERS} workers; \
         {request_bytes} bytes in, {answer_bytes} bytes out; binary {size:.1} MiB\n",
        env!("CARGO_PKG_VERSION"),
        servers[0].rounds.len(),
        length.as_secs_f64()
    );
    println!("| server | requests/s | / echo | server CPU µs/request | / echo | idle resident MiB | first answer ms |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let (echo_rate, _) = middle(&servers[0].rounds, |round| round.per_second);
    let (echo_cpu, _) = middle(&servers[0].rounds, |round| round.cpu_micros);
    for (server, idle) in servers.iter().zip(idle) {
        let (rate, rate_spread) = middle(&server.rounds, |round| round.per_second);
        let (cpu, cpu_spread) = middle(&server.rounds, |round| round.cpu_micros);
        println!(
            "| {} | {rate:.0} ({rate_spread}) | {:.2} | {cpu:.1} ({cpu_spread}) | {:.2} | {:.1} | {:.0} |",
            server.name,
            rate / echo_rate,
            cpu / echo_cpu,
            *idle as f64 / 1024.0,
            server.first_answer.as_secs_f64() * 1000.0
        );
    }
}

/// The median of the rounds, and the least and the most.
fn middle(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> (f64, String) {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    let spread = format!("{:.0}–{:.0}", figures[0], figures[figures.len() - 1]);
    (figures[figures.len() / 2], spread)
}
