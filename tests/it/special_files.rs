//! Pipes, devices and directories where a file is expected: nothing waits for them, and SIGTERM ends the process in time.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::support::{Folder, Service, command, connect, get, post, send, serving_folder, stderr, wait_until};

const SESSION: &[u8] = br#"{"subject":"u"}"#;
const IRREGULAR: &str = "something that is not a regular file";
/// Longer than any wait in these tests, and shorter than the patience of an orchestrator.
const PATIENCE: Duration = Duration::from_secs(20);

/// Puts a pipe without a reader or a writer at `path`.
fn make_pipe(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs `command` and fails if it takes longer than [`PATIENCE`].
fn ended(command: &mut Command) -> Output {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} hangs: {}", stderr(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Sends SIGTERM and returns the time until the service has ended with 0.
fn stop(service: &mut Service) -> Duration {
    let start = Instant::now();
    service.signal("TERM");
    while service.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "SIGTERM is not obeyed: {}", service.log.lock().unwrap());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    start.elapsed()
}

fn ready(service: &Service) -> Value {
    service.get_admin("/health/ready").json()
}

fn is_served(service: &Service) -> bool {
    send(service.api, &post("/issue/p", &[], SESSION)).status == 200
}

#[test]
fn audit_log_must_be_a_regular_file() {
    for target in ["pipe", "folder", "socket", "/dev/null", "/dev/full", "/dev/stdout"] {
        let folder = serving_folder("", &format!("audit: {{ to: 'file://{target}' }}"));
        make_pipe(&folder.path().join("pipe"));
        fs::create_dir(folder.path().join("folder")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let output = ended(command(folder.path()).arg("serve"));
        assert_eq!(output.status.code(), Some(1), "{target}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("audit.to: cannot open ") && stderr(&output).contains(IRREGULAR),
            "{target}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn pipe_in_place_of_the_audit_log_stops_neither_requests_nor_the_shutdown() {
    let folder = serving_folder("", "audit: { to: 'file://audit.jsonl' }\nreload: { interval: 100ms }");
    let mut service = Service::start(folder);
    let path = service.folder.path().join("audit.jsonl");
    assert!(is_served(&service));
    wait_until(|| fs::read_to_string(&path).unwrap().lines().count() == 1);
    make_pipe(&path);
    assert!(is_served(&service));
    wait_until(|| ready(&service)["audit"]["faults"][0].as_str().is_some_and(|fault| fault.ends_with(IRREGULAR)));
    assert!(service.get_admin("/metrics").text().contains("claimsmith_audit_lines_lost_total 1\n"));
    fs::remove_file(&path).unwrap();
    assert!(is_served(&service));
    wait_until(|| ready(&service) == json!({"status": "ok"}));
    assert!(fs::read_to_string(&path).unwrap().contains(r#""event":"lines_lost","count":1"#));
    make_pipe(&path);
    assert!(is_served(&service));
    assert!(stop(&mut service) < Duration::from_secs(10));
}

#[test]
fn unread_standard_output_stops_neither_requests_nor_the_shutdown() {
    let folder = serving_folder("workers: 1", "audit: { to: stdout }");
    let mut command = command(folder.path());
    command.stdout(Stdio::piped());
    let mut service = Service::run(folder, command);
    // More lines than a pipe holds.
    let mut stream = connect(service.api);
    let kept = post("/issue/p", &[("Connection", "keep-alive")], SESSION);
    for _ in 0..600 {
        stream.write_all(&kept).unwrap();
        assert_eq!(crate::support::read_response(&mut stream, true).status, 200);
    }
    let took = stop(&mut service);
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(service.has_logged("audit lines may be lost: they could not be written in time"));
}

/// A server that answers its first `prompt` requests with `body`, and none after that.
fn hanging_server(body: Vec<u8>, prompt: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            if seen.fetch_add(1, Ordering::SeqCst) < prompt {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            } else {
                held.push(stream);
            }
        }
    });
    (format!("http://{address}"), count)
}

#[test]
fn shutdown_does_not_wait_for_any_read() {
    let folder = Folder::new();
    let set = fs::read(folder.write_key("keys.json", SignatureAlg::Es256, "key-1")).unwrap();
    let (keys, fetches) = hanging_server(set, 1);
    let (kratos, asked) = hanging_server(Vec::new(), 0);
    folder.write("secret", "a-secret-of-some-length");
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(
        "claimsmith.yaml",
        &format!(
            "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }}, shutdown_timeout: 2s }}\nreload: {{ interval: 100ms }}\n\
             limits: {{ key_fetch: 60s }}\n\
             profiles: {{ p: {{ issuer: i, jwks: keys.json }}, q: {{ issuer: i, jwks: '{keys}/keys.json', template: p }} }}\n\
             sources: {{ kratos: {{ type: kratos, public: '{kratos}', timeout: 30s }} }}\n\
             checks: {{ c: {{ sources: [kratos], profile: p }} }}\n\
             callers: [{{ name: a, basic: {{ username: u, password_file: secret }} }}, {{ name: proxy, networks: ['127.0.0.1/32'] }}]\n"
        ),
    );
    let mut service = Service::start(folder);
    for name in ["keys.json", "secret", "templates/p/claims.hbs", "templates/p/claims.schema.json", "claimsmith.yaml"] {
        make_pipe(&service.folder.path().join(name));
    }
    wait_until(|| ready(&service)["files"]["faults"].as_array().is_some_and(|faults| faults.len() >= 3));
    service.signal("HUP");
    wait_until(|| fetches.load(Ordering::SeqCst) > 1);
    let mut waiting = connect(service.api);
    let forwarded =
        "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\nX-Forwarded-Uri: /";
    waiting
        .write_all(
            format!("GET /forward-auth/c HTTP/1.1\r\nHost: x\r\n{forwarded}\r\nX-Session-Token: t\r\n\r\n").as_bytes(),
        )
        .unwrap();
    wait_until(|| asked.load(Ordering::SeqCst) == 1);
    let took = stop(&mut service);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn pipe_in_place_of_root_certificates_stops_nothing() {
    let folder = crate::support::folder_with_keys("https://127.0.0.1:9/keys.json", "", "");
    make_pipe(&folder.path().join("roots.pem"));
    for arguments in [&["serve"][..], &["check"], &["verify", "e30.e30.e30", "--jwks", "https://127.0.0.1:9/"]] {
        let output = ended(command(folder.path()).args(arguments).env("SSL_CERT_FILE", "roots.pem"));
        assert!(matches!(output.status.code(), Some(1 | 78)), "{arguments:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("found files that do not respond; check SSL_CERT_FILE"),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let traces = serving_folder("", "traces: { endpoint: 'https://127.0.0.1:9/v1/traces' }");
    make_pipe(&traces.path().join("roots.pem"));
    let output = ended(command(traces.path()).arg("serve").env("SSL_CERT_FILE", "roots.pem"));
    assert!(stderr(&output).contains("found files that do not respond; check SSL_CERT_FILE"), "{}", stderr(&output));

    // A source needs them first when a request comes.
    let config = "reload: { interval: 100ms }\nsources: { kratos: { type: kratos, public: 'https://127.0.0.1:9' } }\n\
                  checks: { c: { sources: [kratos], profile: q } }\ncallers: [{ name: proxy, networks: ['127.0.0.1/32'] }]";
    let folder = serving_folder("workers: 1", config);
    let text = fs::read_to_string(folder.path().join("claimsmith.yaml")).unwrap();
    let profile = "profiles: { q: { issuer: i, jwks: keys.json, template: p },";
    folder.write("claimsmith.yaml", &text.replace("profiles: {", profile));
    make_pipe(&folder.path().join("roots.pem"));
    let mut command = command(folder.path());
    command.env("SSL_CERT_FILE", "roots.pem");
    let mut service = Service::run(folder, command);
    let request = b"GET /auth-request/c HTTP/1.1\r\nHost: x\r\nX-Original-URI: /\r\nX-Session-Token: t\r\nConnection: close\r\n\r\n";
    let answer = send(service.api, request);
    assert_eq!(answer.json()["type"], "source.unavailable", "{}", answer.text());
    assert_eq!(send(service.api, &get("/.well-known/jwks.json")).status, 200);
    assert!(stop(&mut service) < Duration::from_secs(10));
}

#[cfg(feature = "object-stores")]
#[test]
fn pipe_in_place_of_a_credential_of_an_object_store_stops_nothing() {
    let (origin, _) = hanging_server(Vec::new(), 0);
    let folder = serving_folder("", "limits: { key_fetch: 1s }\nreload: { interval: 100ms }");
    make_pipe(&folder.path().join("token"));
    let environment = [
        ("AWS_ENDPOINT", origin.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "token"),
        ("AZURE_STORAGE_ACCOUNT", "a"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_FEDERATED_TOKEN_FILE", "token"),
        ("GOOGLE_SERVICE_ACCOUNT", "token"),
    ];
    let mut serve = command(folder.path());
    serve.envs(environment);
    let mut service = Service::run(folder, serve);
    let path = service.folder.path().join("claimsmith.yaml");
    let text = fs::read_to_string(&path).unwrap();
    for url in ["s3://bucket/keys.json", "azblob://bucket/keys.json", "gs://bucket/keys.json"] {
        let changed =
            text.replace("profiles: {", &format!("profiles: {{ q: {{ issuer: i, jwks: '{url}', template: p }},"));
        fs::write(&path, changed).unwrap();
        let output = ended(command(service.folder.path()).arg("check").envs(environment));
        assert_eq!(output.status.code(), Some(1), "{url}: {}", stderr(&output));
        wait_until(|| service.has_logged(url));
        assert!(is_served(&service), "{url}");
        assert_eq!(service.get_admin("/health/alive").status, 200, "{url}");
    }
    assert!(stop(&mut service) < Duration::from_secs(10));
}

#[test]
fn key_commands_end_at_special_files() {
    let folder = serving_folder("", "");
    folder.write("key.pem", "no key");
    for file in ["pipe", "folder", "/dev/null", "/dev/zero"] {
        make_pipe(&folder.path().join("pipe"));
        let _ = fs::create_dir(folder.path().join("folder"));
        for arguments in [
            &["keys", "generate", "--out", file][..],
            &["keys", "generate", "--unless-exists", "--out", file],
            &["keys", "rotate", file],
            &["keys", "rotate", "--now", file],
            &["keys", "rotate", "--dry-run", file],
            &["keys", "add", file, "--from", "keys.json"],
            &["keys", "add", "new.json", "--from", file],
            &["keys", "list", file],
            &["keys", "public", file],
        ] {
            let output = ended(command(folder.path()).args(arguments));
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
            assert!(stderr(&output).starts_with("error: "), "{arguments:?}: {}", stderr(&output));
        }
    }
    assert!(!folder.path().join(".pipe.lock").exists());
    assert!(!folder.path().join("new.json").exists());
}
