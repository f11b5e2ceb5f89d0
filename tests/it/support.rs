//! Runs the service for a test, and sends requests byte for byte.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use claimsmith::app::{Application, BackgroundTasks};
use claimsmith::code::ErrorCode;
use claimsmith::config::Config;
use claimsmith::keys::{self, KeyId, SignatureAlg, VerifiedToken};
use claimsmith::mint::BuildFault;
use claimsmith::reload::{Files, ReloadOutcome, Reloader};
use claimsmith::remote::{RefreshPolicy, RemoteFiles};
use claimsmith::time::{Clock, Timestamp};
use serde_json::Value;

use crate::openapi::assert_code_is_documented;

/// 2026-11-23T12:00:00Z
pub(crate) const NOW: i64 = 1_795_435_200;

/// A clock that a test sets.
#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// A temporary directory that is removed at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("claimsmith-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes `text` into the file `name` and creates its parent directories.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a JWK Set with one new key.
    pub(crate) fn write_key(&self, name: &str, alg: SignatureAlg, kid: &str) -> PathBuf {
        self.write(name, keys::generate(alg, None, &KeyId::parse(kid).unwrap()).unwrap().to_set())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The service in a thread of its own. Dropping this stops the service.
pub(crate) struct TestApp {
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The gRPC listener, if the configuration has one.
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) clock: TestClock,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    pub(crate) folder: Folder,
}

/// Differences from the default service of a test.
#[derive(Default)]
pub(crate) struct Setup<'s> {
    /// The template of the profile `p`.
    pub(crate) template: &'s str,
    /// Additional lines of the profile `p`, indented by four spaces.
    pub(crate) profile: &'s str,
    /// Additional lines of the configuration.
    pub(crate) config: &'s str,
    /// The algorithm of the key, ES256 by default.
    pub(crate) alg: Option<SignatureAlg>,
    /// Additional files.
    pub(crate) files: &'s [(&'s str, &'s str)],
}

/// Starts the service with the one profile `p`.
pub(crate) fn spawn_app(setup: &Setup<'_>) -> TestApp {
    let folder = Folder::new();
    folder.write_key("keys.json", setup.alg.unwrap_or(SignatureAlg::Es256), "key-1");
    folder.write(
        "templates/p/claims.hbs",
        if setup.template.is_empty() { "{\"session\": {{Extra}}}" } else { setup.template },
    );
    for (name, text) in setup.files {
        folder.write(name, text);
    }
    let text = format!(
        "profiles:\n  p:\n    issuer: https://issuer.example/\n    jwks: keys.json\n{}\n{}\n",
        setup.profile, setup.config
    );
    let environment = [
        ("CLAIMSMITH_SERVE_API_PORT".to_owned(), "0".to_owned()),
        ("CLAIMSMITH_SERVE_ADMIN_PORT".to_owned(), "0".to_owned()),
    ];
    folder.write("claimsmith.yaml", &text);
    let clock = TestClock(Arc::new(AtomicI64::new(NOW)));
    let base = folder.path().to_path_buf();
    let remote = Arc::new(RemoteFiles::new(&[], RefreshPolicy::default()));
    let read_config = move |files: &mut Files, _: Option<&Config>| {
        let text = files.read_text(&base.join("claimsmith.yaml")).unwrap_or_default();
        Config::parse(&text, &base, &environment).map_err(|error| {
            let fault = |fault: &claimsmith::config::Fault| {
                BuildFault::new(ErrorCode::ConfigInvalid, "claimsmith.yaml", fault.to_string())
            };
            error.faults().iter().map(fault).collect()
        })
    };
    let mut reloader = Reloader::new(Box::new(read_config), Arc::clone(&remote));
    let ReloadOutcome::Replaced(generation) = reloader.check(clock.now()) else { panic!("the files cannot be served") };

    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (send, started) = mpsc::channel();
    let app_clock = clock.clone();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = Application::bind(*generation, Arc::new(app_clock)).unwrap();
            send.send((app.api_address().unwrap(), app.admin_address(), app.grpc_address())).unwrap();
            app.run_with(BackgroundTasks::new(reloader, remote), async {
                let _ = stopped.await;
            })
            .await
            .unwrap();
        });
    });
    let (api, admin, grpc) = started.recv_timeout(Duration::from_secs(20)).unwrap();
    TestApp { api, admin, grpc, clock, stop: Some(stop), thread: Some(thread), folder }
}

impl TestApp {
    /// Returns the number of failures with `code`, of all profiles and callers.
    pub(crate) fn failures(&self, code: &str) -> u64 {
        let series = format!("claimsmith_failures_total{{code=\"{code}\",");
        let text = self.get_admin("/metrics").text();
        let counts =
            text.lines().filter_map(|line| line.strip_prefix(&series)?.rsplit_once(' ')?.1.parse::<u64>().ok());
        counts.sum()
    }

    /// `POST /hydrate/p`
    pub(crate) fn hydrate(&self, session: &str) -> Answer {
        self.post("/hydrate/p", session)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        send(self.api, &post(path, &[], body.as_bytes()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        send(self.api, &get(path))
    }

    /// Posts to the admin listener, which has no operation of the API, whatever the path.
    pub(crate) fn post_admin(&self, path: &str, body: &str) -> Answer {
        send_unchecked(self.admin, &post(path, &[], body.as_bytes()))
    }

    pub(crate) fn get_admin(&self, path: &str) -> Answer {
        send(self.admin, &get(path))
    }

    /// Verifies the token in `header.Authorization` with the served keys and returns it.
    pub(crate) fn token(&self, session: &str) -> VerifiedToken {
        let answer = self.hydrate(session);
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.verify(answer.json()["header"]["Authorization"][0].as_str().unwrap().strip_prefix("Bearer ").unwrap())
    }

    pub(crate) fn verify(&self, token: &str) -> VerifiedToken {
        keys::verify(token, &self.get("/.well-known/jwks.json").body).unwrap()
    }

    /// Returns the claims of the token for `session`, including the registered claims.
    pub(crate) fn claims(&self, session: &str) -> Value {
        serde_json::from_str(self.token(session).claims()).unwrap()
    }

    /// Returns the status and the problem document of a rejected request.
    pub(crate) fn refusal(&self, session: &str) -> (u16, Value) {
        let answer = self.hydrate(session);
        answer.assert_is_problem();
        (answer.status, answer.json())
    }
}

impl TestApp {
    /// Begins the graceful shutdown.
    pub(crate) fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Returns a directory for [`Service::start`] with the profile `p`, which signs with `keys.json` and whose claims are
/// `{}`. `serve` is further keys of `serve`, and `config` further lines of the configuration.
pub(crate) fn serving_folder(serve: &str, config: &str) -> Folder {
    let folder = folder_with_keys("keys.json", serve, config);
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder
}

/// Like [`serving_folder`], with the keys at `jwks`.
pub(crate) fn folder_with_keys(jwks: &str, serve: &str, config: &str) -> Folder {
    let folder = Folder::new();
    folder.write("templates/p/claims.hbs", "{}");
    let text = format!(
        "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }}, {serve} }}\nprofiles: {{ p: {{ issuer: i, jwks: '{jwks}' }} }}\n"
    );
    folder.write("claimsmith.yaml", &format!("{text}{config}\n"));
    folder
}

/// The real binary, serving the `claimsmith.yaml` of its directory. Dropping this stops it.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: Folder,
    /// Returns the log so far.
    pub(crate) log: Arc<Mutex<String>>,
}

impl Service {
    /// Starts `claimsmith serve` in `folder` and reads its addresses from its log.
    pub(crate) fn start(folder: Folder) -> Self {
        let command = command(folder.path());
        Self::run(folder, command)
    }

    /// Like [`Service::start`], but the shell first runs `first` in the process, such as `ulimit -n 64`.
    pub(crate) fn start_after(folder: Folder, first: &str) -> Self {
        let command = command_after(folder.path(), first);
        Self::run(folder, command)
    }

    /// Like [`Service::start`], with `command`.
    #[expect(clippy::zombie_processes, reason = "the drop of Service waits for it")]
    pub(crate) fn run(folder: Folder, mut command: Command) -> Self {
        let mut child = command.arg("serve").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        loop {
            let mut line = String::new();
            assert_ne!(
                lines.read_line(&mut line).unwrap(),
                0,
                "the service ended before it served:\n{}",
                log.lock().unwrap()
            );
            log.lock().unwrap().push_str(&line);
            let event: Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("the service did not serve: {line}"));
            if event["message"] == "serving" {
                let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
                let (api, admin) = (address("api"), address("admin"));
                let further = Arc::clone(&log);
                std::thread::spawn(move || {
                    for line in lines.lines().map_while(Result::ok) {
                        further.lock().unwrap().push_str(&format!("{line}\n"));
                    }
                });
                return Self { child, api, admin, folder, log };
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        send(self.api, &get(path))
    }

    pub(crate) fn get_admin(&self, path: &str) -> Answer {
        send(self.admin, &get(path))
    }

    /// Returns `true` if the log contains `text`.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().contains(text)
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `holds` returns `true`, at most ten seconds.
#[track_caller]
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "the condition did not become true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the bytes of a GET request that closes its connection.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Returns the bytes of a POST request that closes its connection.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        bytes.push_str("Connection: close\r\n");
    }
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An HTTP response as received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    pub(crate) fn assert_is_problem(&self) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
        assert!(problem["instance"].as_str().unwrap().starts_with("urn:uuid:"), "{problem}");
        assert!(!self.text().contains("eyJ"), "a token in a refusal");
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends `bytes` on a new connection and reads one response. Its error code must be one that the operation of the API
/// listener documents.
pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    let answer = send_unchecked(address, bytes);
    assert_code_is_documented(bytes, &answer);
    answer
}

fn send_unchecked(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    // The service can respond and close before it has read everything.
    let _ = stream.write_all(bytes);
    read_response(&mut stream, !bytes.starts_with(b"HEAD"))
}

/// Sends only `bytes`, and returns the statuses of all responses until the connection closes.
pub(crate) fn read_all_statuses(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let text = String::from_utf8_lossy(&answers);
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

/// Reads one response and leaves the bytes after it.
pub(crate) fn read_response(stream: &mut TcpStream, has_body: bool) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // A signal interrupted the read.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => panic!("the connection ended in an answer's head: {other:?}: {}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    assert_eq!(answer.header("transfer-encoding"), None, "no answer is chunked");
    assert_eq!(answer.header("content-encoding"), None, "no answer is compressed");
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    if has_body && status != 304 && status != 100 {
        answer.body = vec![0; length];
        stream.read_exact(&mut answer.body).unwrap();
    }
    answer
}

/// Runs the binary in `folder`.
pub(crate) fn claimsmith(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

/// Returns a command for the binary in `folder`, without the claimsmith variables of the environment.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimsmith"));
    command.current_dir(folder);
    // This includes CLAIMSMITH_CORPUS, which only tests use and which the binary rejects as an unknown key.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLAIMSMITH_")) {
        command.env_remove(name);
    }
    command
}

/// Like [`command`], but the shell first runs `first` in the process.
pub(crate) fn command_after(folder: &Path, first: &str) -> Command {
    let binary = command(folder);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first} && exec \"$0\" \"$@\"")]).arg(binary.get_program()).current_dir(folder);
    for (name, value) in binary.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns all files below `folder` with this extension.
pub(crate) fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found
}

/// Returns the directory of recorded sessions, if it exists beside the repository. Tests must also check fixtures,
/// because a clone has no such directory.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("CLAIMSMITH_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    folder.is_dir().then_some(folder)
}
