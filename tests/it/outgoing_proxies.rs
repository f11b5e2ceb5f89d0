//! Proxies of the environment: requests to this host never reach them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::support::{Folder, Service, claimsmith, command, folder_with_keys, post, send, stderr, wait_until};

/// A server that answers every request with one body, and records the request lines.
struct Origin {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    fn start(body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or_default();
                let line = String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
                seen.lock().unwrap().push(line);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nLast-Modified: Sun, 29 Nov 2026 00:00:00 GMT\r\n\
                    Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn key_set() -> Vec<u8> {
    let folder = Folder::new();
    let path = folder.write_key("keys.json", claimsmith::keys::SignatureAlg::Es256, "key-1");
    std::fs::read(path).unwrap()
}

#[test]
fn keys_and_traces_on_this_host_use_no_proxy() {
    let (origin, proxy) = (Origin::start(key_set()), Origin::start(key_set()));
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        origin.requests.lock().unwrap().clear();
        let traces = format!("traces: {{ endpoint: 'http://{}/v1/traces' }}", origin.address);
        let folder = folder_with_keys(&format!("http://localhost:{}/keys.json", origin.address.port()), "", &traces);
        let mut command = command(folder.path());
        command.env(variable, format!("http://user:canary@{}", proxy.address));
        let service = Service::run(folder, command);
        assert_eq!(send(service.api, &post("/issue/p", &[], br#"{"subject":"u"}"#)).status, 200);
        wait_until(|| origin.requests().iter().any(|line| line.starts_with("POST /v1/traces")));
        assert!(origin.requests().iter().any(|line| line.starts_with("GET /keys.json")), "{:?}", origin.requests());
        assert!(!service.has_logged("canary"));
    }
    assert_eq!(proxy.requests(), [""; 0], "private keys or traces crossed the proxy");
}

#[test]
fn object_store_on_this_host_uses_no_proxy() {
    let (origin, proxy) = (Origin::start(key_set()), Origin::start(key_set()));
    let folder = folder_with_keys("s3://bucket/keys.json", "", "");
    let mut command = command(folder.path());
    command.arg("check").envs([
        ("AWS_ENDPOINT", format!("http://{}", origin.address)),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("HTTP_PROXY", format!("http://{}", proxy.address)),
    ]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(proxy.requests(), [""; 0], "private keys crossed the proxy");
    assert!(!origin.requests().is_empty());
}

#[test]
fn plain_http_through_a_proxy_causes_a_warning_without_its_credentials() {
    let proxy = Origin::start(key_set());
    let traces = "traces: { endpoint: 'http://collector.example/v1/traces' }";
    let folder = folder_with_keys("http://keys.example/keys.json?canary", "", traces);
    let mut with_proxy = command(folder.path());
    with_proxy.arg("check").env("HTTP_PROXY", format!("http://user:canary@{}", proxy.address));
    let output = with_proxy.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for key in
        ["jwks: requests to http://keys.example/keys.json", "traces.endpoint: requests to http://collector.example"]
    {
        assert!(stderr(&output).contains(&format!("note: {key}")), "{key}: {}", stderr(&output));
    }
    assert!(stderr(&output).contains("pass the proxy of HTTP_PROXY without TLS"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("canary"), "{}", stderr(&output));
    let without = claimsmith(folder.path(), &["check"]);
    assert!(!stderr(&without).contains("pass the proxy"), "{}", stderr(&without));
}
