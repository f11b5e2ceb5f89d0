//! Remote key sets from servers that misbehave in every way: the last good key set stays, and the error is reported.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use claimsmith::keys::{self, KeyId, KeySet, SignatureAlg};
use claimsmith::reload::SIGNING_KEY_SET;
use claimsmith::remote::{RefreshPolicy, RemoteFiles, RemoteSource, WantedFiles};
use serde_json::json;

use crate::support::{Service, Setup, folder_with_keys, post, send, spawn_app, wait_until};

/// The behavior of the server.
#[derive(Clone)]
enum Answer {
    /// Sends these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Sends one of these bytes every 200 ms, which takes much longer than the timeout of a fetch.
    Dripping(Vec<u8>),
    /// Sends nothing for much longer than the timeout of a fetch.
    Silence,
}

/// A server with configurable responses, which records its requests.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(Answer::Silence));
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (told, asks, ended) = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let answer = told.lock().unwrap().clone();
                let asks = Arc::clone(&asks);
                std::thread::spawn(move || serve(stream, &answer, &asks));
            }
        });
        Self { address, answer, asked, stop, thread: Some(thread) }
    }

    fn will(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn source(&self) -> RemoteSource {
        RemoteSource::parse(&format!("http://{}/keys.json?canary=1", self.address)).unwrap()
    }

    fn last_asked(&self) -> String {
        self.asked.lock().unwrap().last().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, asked: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    asked.lock().unwrap().push(String::from_utf8(head).unwrap());
    match answer {
        Answer::Bytes(bytes) => drop(stream.write_all(bytes)),
        Answer::Dripping(bytes) => {
            for byte in bytes {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        Answer::Silence => std::thread::sleep(Duration::from_secs(30)),
    }
}

fn set(kid: &str) -> String {
    keys::generate(SignatureAlg::Es256, None, &KeyId::parse(kid).unwrap()).unwrap().to_set().to_owned()
}

/// Returns a key set with two keys named `kid`.
pub(crate) fn twice(kid: &str) -> String {
    let [mut one, other] = [set(kid), set(kid)].map(|set| serde_json::from_str::<serde_json::Value>(&set).unwrap());
    one["keys"].as_array_mut().unwrap().push(other["keys"][0].clone());
    one.to_string()
}

/// Returns a key set whose key `kid` has the private members of one key and the public members of another.
pub(crate) fn mixed(kid: &str) -> String {
    let [mut one, other] = [set(kid), set(kid)].map(|set| serde_json::from_str::<serde_json::Value>(&set).unwrap());
    one["keys"][0]["d"] = other["keys"][0]["d"].clone();
    one.to_string()
}

fn response(status: &str, headers: &str, body: &str) -> Answer {
    let text =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len());
    Answer::Bytes(text.into_bytes())
}

fn good(kid: &str) -> Answer {
    response("200 OK", "ETag: \"1\"\r\nCache-Control: max-age=60\r\n", &set(kid))
}

fn policy() -> RefreshPolicy {
    RefreshPolicy { timeout: Duration::from_secs(2), max_bytes: 64 << 10, ..RefreshPolicy::default() }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(future)
}

fn kid_of(sets: &RemoteFiles, source: &RemoteSource) -> Option<String> {
    let set = KeySet::parse(&sets.current(source)?).unwrap();
    set.signing_keys().next().map(|key| key.kid().as_str().to_owned())
}

fn wanted(sources: impl IntoIterator<Item = RemoteSource>) -> WantedFiles {
    sources.into_iter().map(|source| (source, &SIGNING_KEY_SET)).collect()
}

/// Tracks the source of `server`, which returned a key set with the key `first` at `now`.
async fn held(server: &Server, now: Instant) -> RemoteFiles {
    let sets = RemoteFiles::new(&[], policy());
    server.will(good("first"));
    sets.track_and_fetch(&wanted([server.source()]), now).await.unwrap();
    sets
}

#[test]
fn failing_source_keeps_its_last_good_key_set_and_recovers() {
    let html = "<html>canary</html>";
    let whole = set("other");
    let truncated = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", whole.len(), &whole[..whole.len() / 2]);
    let huge = response("200 OK", "", &" ".repeat(65 << 10));
    let public_alone = response(
        "200 OK",
        "",
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"canary","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    let cases = [
        (response("500 Internal Server Error", "", "canary"), "found 500"),
        (response("404 Not Found", "", "canary"), "found 404"),
        (response("204 No Content", "", ""), "found 204"),
        (response("200 OK", "Content-Type: text/html\r\n", html), "expected a JWK Set in JSON"),
        (response("200 OK", "", &whole[..whole.len() / 2]), "expected a JWK Set in JSON"),
        (response("200 OK", "", ""), "expected a JWK Set in JSON"),
        (response("200 OK", "", r#"{"keys":[]}"#), "private key that can sign"),
        (public_alone, "private key that can sign"),
        (response("200 OK", "", &twice("again")), "expected a JWK Set that can be used, found: "),
        (response("200 OK", "", &mixed("again")), "expected a JWK Set that can be used, found: "),
        (Answer::Bytes(truncated.into_bytes()), "expected a complete HTTP response"),
        (huge, "expected at most 65536 bytes"),
        (response("302 Found", "Location: https://elsewhere.example/canary\r\n", ""), "redirects are not followed"),
        (Answer::Bytes(Vec::new()), "expected a complete HTTP response"),
        (Answer::Bytes(b"\x16\x03\x01 this is no HTTP canary".to_vec()), "expected a complete HTTP response"),
        (Answer::Silence, "within 2s"),
        (Answer::Dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"keys\":".to_vec()), "within 2s"),
    ];
    let server = Server::start();
    block(async {
        let mut now = Instant::now();
        let sets = held(&server, now).await;
        for (answer, wanted) in cases {
            let before = now;
            server.will(answer);
            now += Duration::from_secs(60);
            assert!(!sets.refresh(now, &|| 0.0).await);
            let status = sets.status(now).remove(0);
            let fault = status.error.unwrap_or_else(|| panic!("expected a fault: {wanted}")).to_string();
            assert!(fault.contains(wanted) && fault.contains("/keys.json?…: "), "{fault}\n{wanted}");
            assert!(!fault.contains("canary"), "{fault}");
            assert_eq!(status.age, Some(now - before));
            assert_eq!(kid_of(&sets, &server.source()).as_deref(), Some("first"), "{wanted}");

            server.will(good("first"));
            now += Duration::from_secs(10);
            sets.refresh(now, &|| 0.0).await;
            let status = sets.status(now).remove(0);
            assert!(status.error.is_none() && status.age == Some(Duration::ZERO), "after {wanted}");
        }
        server.will(good("second"));
        assert!(sets.refresh(now + Duration::from_secs(60), &|| 0.0).await);
        assert_eq!(kid_of(&sets, &server.source()).as_deref(), Some("second"));
    });
}

#[test]
fn stale_source_is_fetched_with_a_conditional_request() {
    let server = Server::start();
    block(async {
        let now = Instant::now();
        let sets = held(&server, now).await;
        assert_eq!(sets.next_due(now), Some(now + Duration::from_secs(60)));
        sets.refresh(now + Duration::from_secs(59), &|| 0.0).await;
        assert_eq!(server.asked.lock().unwrap().len(), 1, "the file is still fresh");

        server.will(response("304 Not Modified", "Cache-Control: max-age=120\r\n", ""));
        let later = now + Duration::from_secs(60);
        assert!(!sets.refresh(later, &|| 0.0).await);
        assert!(server.last_asked().to_ascii_lowercase().contains("if-none-match: \"1\""), "{}", server.last_asked());
        assert_eq!(sets.status(later)[0].age, Some(Duration::ZERO));
        assert_eq!(sets.next_due(later), Some(later + Duration::from_secs(120)));
        sets.mark_all_due();
        assert_eq!(sets.next_due(later), Some(later));
    });
}

#[test]
fn flapping_source_is_fetched_less_often_until_it_recovers() {
    let server = Server::start();
    block(async {
        let mut now = Instant::now();
        let sets = held(&server, now).await;
        now += Duration::from_secs(60);
        server.will(response("503 Service Unavailable", "", ""));
        for wait in [10, 20, 40] {
            sets.refresh(now, &|| 0.0).await;
            assert_eq!(sets.next_due(now), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
        }
        server.will(response("503 Service Unavailable", "Retry-After: 200\r\n", ""));
        sets.refresh(now, &|| 0.0).await;
        assert_eq!(sets.next_due(now), Some(now + Duration::from_secs(200)));
        now += Duration::from_secs(200);
        server.will(good("first"));
        sets.refresh(now, &|| 0.0).await;
        assert_eq!(sets.next_due(now), Some(now + Duration::from_secs(60)));
    });
}

#[test]
fn sources_without_a_key_set_fail_and_unwanted_ones_are_forgotten() {
    let (one, other) = (Server::start(), Server::start());
    block(async {
        let now = Instant::now();
        let sets = held(&one, now).await;
        other.will(response("500 Internal Server Error", "", ""));
        let both = wanted([one.source(), other.source()]);
        let faults = sets.track_and_fetch(&both, now).await.unwrap_err();
        assert_eq!((faults.len(), faults[0].remote()), (1, &other.source()));
        assert!(sets.current(&one.source()).is_some());
        other.will(good("other"));
        assert!(sets.track_and_fetch(&both, now).await.is_err(), "the source is not due yet");
        assert!(sets.refresh(now + Duration::from_secs(10), &|| 0.0).await);
        assert!(sets.track_and_fetch(&both, now + Duration::from_secs(10)).await.is_ok());
        sets.track_and_fetch(&wanted([other.source()]), now).await.unwrap();
        assert!(sets.current(&one.source()).is_none() && sets.status(now).len() == 1);
    });
}

#[test]
fn closed_port_is_reported_as_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment: Vec<(String, String)> = [
        ("AWS_ENDPOINT", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "canary".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "canary".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut sources = vec![RemoteSource::parse(&format!("http://{address}/")).unwrap()];
    if cfg!(feature = "object-stores") {
        sources.push(RemoteSource::parse("s3://keys/a.json").unwrap());
    }
    let count = sources.len();
    let files = RemoteFiles::new(&environment, policy());
    let errors = block(files.track_and_fetch(&wanted(sources), Instant::now())).unwrap_err();
    for error in errors.iter().map(ToString::to_string) {
        assert!(error.contains("connection refused") && !error.contains("canary"), "{error}");
    }
    assert_eq!(errors.len(), count);
}

/// Covers only the GET requests of the two protocols.
#[test]
#[cfg(feature = "object-stores")]
fn google_and_azure_stores_use_their_own_settings() {
    let server = Server::start();
    server.will(response(
        "200 OK",
        "ETag: \"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-ms-blob-type: BlockBlob\r\n",
        &set("stored"),
    ));
    let endpoint = format!("http://{}", server.address);
    let account = json!({"gcs_base_url": endpoint, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""});
    let environment: Vec<(String, String)> = [
        ("GOOGLE_SERVICE_ACCOUNT_KEY", account.to_string()),
        ("AZURE_STORAGE_ACCOUNT", "account".to_owned()),
        ("AZURE_STORAGE_KEY", "Y2FuYXJ5".to_owned()),
        ("AZURE_STORAGE_ENDPOINT", endpoint),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let sets = RemoteFiles::new(&environment, policy());
    for (url, path) in [("gs://bucket/a/b.json", "/bucket/a"), ("azblob://bucket/a/b.json", "/bucket/a/b.json")] {
        let source = RemoteSource::parse(url).unwrap();
        block(sets.track_and_fetch(&wanted([source.clone()]), Instant::now())).unwrap();
        assert_eq!(kid_of(&sets, &source).as_deref(), Some("stored"));
        assert!(server.last_asked().contains(path), "{}", server.last_asked());
    }
}

/// Starts a service whose profile `p` signs with the keys at `path` of `server`, with these lines of configuration.
fn serve_keys_of(server: &Server, path: &str, config: &str) -> Service {
    Service::start(folder_with_keys(&format!("http://{}/{path}", server.address), "", config))
}

#[test]
fn service_keeps_its_remote_key_set_when_the_source_fails() {
    let server = Server::start();
    server.will(good("remote"));
    let service = serve_keys_of(&server, "k?canary", "");
    let kid = || {
        let set = service.get("/.well-known/jwks.json");
        let answer = send(service.api, &post("/issue/p", &[], br#"{"subject":"u"}"#)).json();
        // None if the keys changed between the two requests.
        keys::verify(answer["token"].as_str().unwrap(), &set.body).ok().map(|token| token.kid().as_str().to_owned())
    };
    let ready = || service.get_admin("/health/ready").text();
    let metrics = || service.get_admin("/metrics").text();
    assert_eq!(kid().as_deref(), Some("remote"));
    server.will(response("200 OK", "", "<html>canary</html>"));
    service.signal("HUP");
    wait_until(|| ready().contains("key_sources"));
    assert!(!ready().contains("canary"), "{}", ready());
    assert!(
        metrics().contains(&format!("claimsmith_key_source_failing{{source=\"http://{}/k?…\"}} 1", server.address))
    );
    assert_eq!(kid().as_deref(), Some("remote"));
    server.will(good("next"));
    service.signal("HUP");
    wait_until(|| kid().as_deref() == Some("next"));
    wait_until(|| ready() == "{\"status\":\"ok\"}");
}

#[test]
fn source_limits_are_configurable_and_failures_counted_by_code() {
    let server = Server::start();
    server.will(good("remote"));
    let service = serve_keys_of(&server, "k", "limits: { key_set: 4KiB, key_fetch: 2s }");
    let metrics = || service.get_admin("/metrics").text();
    let huge = format!("{}{}", set("huge"), " ".repeat(5000));
    for (answer, code) in [
        (Answer::Silence, "keys.source_timeout"),
        (response("200 OK", "", &huge), "keys.source_too_large"),
        (response("500 Internal Server Error", "", ""), "keys.source_unavailable"),
        (response("200 OK", "", "<html>"), "keys.invalid"),
    ] {
        server.will(answer);
        service.signal("HUP");
        let line = format!(
            "claimsmith_key_source_failures_total{{source=\"http://{}/k\",code=\"{code}\"}} 1\n",
            server.address
        );
        wait_until(|| metrics().contains(&line));
        let answer = send(service.api, &post("/issue/p", &[], br#"{"subject":"u"}"#));
        assert_eq!(answer.status, 200, "the last good set stays: {}", answer.text());
    }
    // The configured limits also apply at startup.
    server.will(response("200 OK", "", &huge));
    let output = crate::support::claimsmith(service.folder.path(), &["check", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["faults"][0]["code"], "keys.source_too_large", "{report}");
    server.will(good("next"));
    service.signal("HUP");
    wait_until(|| service.get_admin("/health/ready").text() == "{\"status\":\"ok\"}");
}

#[test]
fn new_profile_waits_for_its_source_while_others_are_served() {
    let server = Server::start();
    server.will(response("500 Internal Server Error", "", ""));
    let app = spawn_app(&Setup { template: "{}", config: "reload: { interval: 100ms }", ..Setup::default() });
    let config = std::fs::read_to_string(app.folder.path().join("claimsmith.yaml")).unwrap();
    let line = format!("profiles:\n  q: {{ issuer: j, jwks: 'http://{}/k', template: p }}\n", server.address);
    app.folder.write("claimsmith.yaml", &config.replace("profiles:\n", &line));
    wait_until(|| app.get_admin("/health/ready").text().contains("found 500"));
    assert_eq!(app.post("/issue/p", r#"{"subject":"u"}"#).status, 200);
    assert_eq!(app.post("/issue/q", r#"{"subject":"u"}"#).status, 404);
    server.will(good("late"));
    wait_until_long(|| app.post("/issue/q", r#"{"subject":"u"}"#).status == 200);
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
}

/// Like [`wait_until`], but longer than the shortest time between two fetches, which is ten seconds.
#[track_caller]
fn wait_until_long(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "the condition did not become true");
        std::thread::sleep(Duration::from_millis(50));
    }
}
