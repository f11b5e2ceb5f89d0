//! The processes under load: the product, started as an operator starts it, and the bare echo that it is compared with.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use claimsmith::keys::SignatureAlg;
use serde_json::Value;

use crate::fixture;
use crate::machine::{self, CpuTime};

pub(crate) const WORKERS: usize = 2;

/// A folder that is gone when it is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("claimsmith-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    started: Instant,
    messages: Receiver<String>,
}

impl Process {
    pub(crate) fn cpu(&self) -> CpuTime {
        CpuTime::of(self.child.id())
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        machine::resident_kib(self.child.id()) as f64 / 1024.0
    }

    /// How long ago the process was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends one request on a connection of its own and reads its answer's body; anything but 200 is a fault of the case.
    pub(crate) fn ask(&self, request: &[u8]) -> Vec<u8> {
        let (status, body) = exchange(self.address, request).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        body
    }

    pub(crate) fn hang_up(&self) {
        assert!(Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits until the process has logged `message` once more; whether it did in time.
    pub(crate) fn said(&self, message: &str, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while let Ok(line) = self.messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line == message {
                return true;
            }
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which of the configuration's newer keys the product knows, by its own JSON Schema: so that older binaries can be
/// measured too.
#[derive(Clone, Copy)]
pub(crate) struct Abilities {
    /// `profiles.*.cache` and `limits.token_cache`
    pub(crate) has_cache: bool,
}

impl Abilities {
    pub(crate) fn of_product() -> Self {
        let output = Command::new(product()).arg("schema").output().unwrap();
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        let profile = &schema["properties"]["profiles"]["additionalProperties"]["properties"];
        let limits = &schema["properties"]["limits"]["properties"];
        Self { has_cache: !profile["cache"].is_null() && !limits["token_cache"].is_null() }
    }
}

/// One profile of a configuration under test.
pub(crate) struct ProfileText {
    pub(crate) name: String,
    pub(crate) keys: String,
    pub(crate) template: &'static str,
    pub(crate) is_cached: bool,
}

/// What else the configuration of a product under test says.
#[derive(Default)]
pub(crate) struct Settings {
    /// Whole lines of YAML, ended by line feeds.
    pub(crate) lines: String,
    /// More of each profile, such as `, ttl: 20s`.
    pub(crate) of_profiles: String,
}

/// Writes key sets of one key for some algorithms, as `<name>.json`.
pub(crate) fn write_keys(folder: &Folder, sets: &[(&str, SignatureAlg, Option<u32>)]) {
    for (name, alg, bits) in sets {
        folder.write(&format!("{name}.json"), &fixture::key_set(*alg, *bits, 1));
    }
}

/// Starts the product over `profiles`, whose key files stand in `folder` already, and waits until it serves.
pub(crate) fn start(folder: &Folder, profiles: &[ProfileText], abilities: Abilities, settings: &Settings) -> Process {
    for template in ["session", "identity"] {
        folder.write(&format!("templates/{template}/claims.hbs"), fixture::template_text(template));
    }
    let mut text = format!(
        "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }}, workers: {WORKERS} }}\n{}profiles:\n",
        settings.lines
    );
    for ProfileText { name, keys, template, is_cached } in profiles {
        let cache = if abilities.has_cache && !is_cached { ", cache: off" } else { "" };
        text.push_str(&format!(
            "  {name}: {{ issuer: \"https://id.example.org/\", jwks: {keys}.json, template: {template}{cache}{} }}\n",
            settings.of_profiles
        ));
    }
    folder.write("claimsmith.yaml", &text);
    let started = Instant::now();
    let mut command = Command::new(product());
    command.arg("--config").arg(folder.0.join("claimsmith.yaml")).arg("serve").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let serving = loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "claimsmith ended before it served");
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "serving" {
            break event;
        }
        if event["level"] == "ERROR" || event.is_null() {
            eprint!("{line}");
        }
    };
    let address = |name: &str| serving[name].as_str().and_then(|address| address.parse().ok());
    let (address, admin) = (address("api").unwrap(), address("admin"));
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            // Refusals are many under bad requests, and nobody waits for them.
            if line.contains("\"level\":\"INFO\"")
                && let Ok(event) = serde_json::from_str::<Value>(&line)
                && let Some(message) = event["message"].as_str()
            {
                let _ = sender.send(message.to_owned());
            }
        }
    });
    Process { child, address, admin, started, messages }
}

/// The product's binary: the one beside this, or another to compare with.
pub(crate) fn product() -> PathBuf {
    let path = match std::env::var_os("CLAIMSMITH_BENCH_BINARY") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe().unwrap().with_file_name("claimsmith"),
    };
    assert!(path.exists(), "expected the claimsmith binary at {}: build it with cargo build --release", path.display());
    path
}

/// Starts an echo that answers `/hydrate/<name>` with the bytes given under that name.
pub(crate) fn start_echo(folder: &Folder, answers: &BTreeMap<String, Vec<u8>>) -> Process {
    for (name, answer) in answers {
        fs::create_dir_all(folder.0.join("answers")).unwrap();
        fs::write(folder.0.join("answers").join(name), answer).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("serve-echo").arg(folder.0.join("answers"));
    start_own(command)
}

/// Starts a service that calls `url` with the cookie of each request, and answers with `token`.
pub(crate) fn start_bare_proxy(url: &str, token: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["serve-bare-proxy", url, token]);
    start_own(command)
}

/// Starts this binary as a server, which prints its address.
fn start_own(mut command: Command) -> Process {
    let started = Instant::now();
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().parse().unwrap();
    Process { child, address, admin: None, started, messages: channel().1 }
}

/// Reads the whole body of every request, then answers with the bytes of the file that its path ends in.
pub(crate) fn serve_echo(folder: &Path) {
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
    let mut answers = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        answers.insert(name, web::Bytes::from(fs::read(path).unwrap()));
    }
    actix_web::rt::System::new().block_on(async move {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        println!("{}", listener.local_addr().unwrap());
        HttpServer::new(move || {
            let answers = answers.clone();
            let answer = web::to(move |request: HttpRequest, body: web::Bytes| {
                let answer = request.path().rsplit('/').next().and_then(|name| answers.get(name)).cloned();
                std::hint::black_box(body);
                async move {
                    match answer {
                        Some(answer) => HttpResponse::Ok().content_type("application/json").body(answer),
                        None => HttpResponse::NotFound().finish(),
                    }
                }
            });
            App::new().app_data(web::PayloadConfig::new(1 << 20)).default_service(answer)
        })
        .workers(WORKERS)
        .listen(listener)
        .unwrap()
        .run()
        .await
        .unwrap();
    });
}

/// Calls `url` with the cookie of each request, reads the response, and answers with `token` in a header: the least that a
/// service beside a proxy can do, with the HTTP client of claimsmith.
pub(crate) fn serve_bare_proxy(url: &str, token: &str) {
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let (url, value) = (url.to_owned(), format!("Bearer {token}"));
    actix_web::rt::System::new().block_on(async move {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        println!("{}", listener.local_addr().unwrap());
        HttpServer::new(move || {
            let (client, url, value) = (client.clone(), url.clone(), value.clone());
            let answer = web::to(move |request: HttpRequest| {
                let cookie = request.headers().get("cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
                let call =
                    client.get(&url).header("accept", "application/json").header("cookie", cookie.unwrap_or_default());
                let value = value.clone();
                async move {
                    match call.send().await {
                        Ok(response) if response.status() == 200 => {
                            std::hint::black_box(response.bytes().await.unwrap());
                            let mut response = HttpResponse::Ok();
                            response.insert_header(("authorization", value.as_str()));
                            response.insert_header(("cache-control", "no-store"));
                            response.body(web::Bytes::new())
                        }
                        _ => HttpResponse::ServiceUnavailable().finish(),
                    }
                }
            });
            App::new().default_service(answer)
        })
        .workers(WORKERS)
        .listen(listener)
        .unwrap()
        .run()
        .await
        .unwrap();
    });
}

/// Sends `request` on a new connection and reads status and body of the answer, which has to come within ten seconds.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request)?;
    let mut buffer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(&chunk[..read]);
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if buffer.len() >= end + 4 + length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            return Ok((status, buffer.split_off(end + 4)));
        }
    }
}
