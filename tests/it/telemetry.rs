//! The audit log, traces, key gauges and readiness.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use claimsmith::keys::{self, KeyId, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{
    NOW, Service, Setup, TestApp, command, post, send, serving_folder, spawn_app, stderr, wait_until,
};

const SESSION: &str = r#"{"subject":"zoe@example.org","extra":{"a":1}}"#;
/// printf %s zoe@example.org | sha256sum
const SUBJECT_SHA256: &str = "1763c758c09a8e6db400562ecd27c5f6ef6d3cefb5c88c0164adf2e4d79802c1";

fn audit_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn audit_log_has_a_line_for_each_issued_token_only() {
    let secret = [("caller.txt", "a secret of some length")];
    let app = spawn_app(&Setup {
        config: "audit: { to: 'file://audit.jsonl' }\ncallers: [{ name: gateway, bearer: { token_file: caller.txt } }]",
        files: &secret,
        ..Setup::default()
    });
    let authorized = [("Authorization", "Bearer a secret of some length")];
    let issued = send(app.api, &post("/issue/p", &authorized, SESSION.as_bytes())).json();
    assert_eq!(send(app.api, &post("/hydrate/p", &authorized, SESSION.as_bytes())).status, 200);
    assert_eq!(send(app.api, &post("/hydrate/p", &[], SESSION.as_bytes())).status, 401);
    assert_eq!(send(app.api, &post("/hydrate/p", &authorized, b"{}")).status, 400);
    let path = app.folder.path().join("audit.jsonl");
    wait_until(|| audit_lines(&path).len() == 2);
    let line = audit_lines(&path).remove(0);
    let request_id = line["request_id"].as_str().unwrap();
    assert_eq!(request_id.len(), 36);
    let expected = json!({
        "time": "2026-11-23T12:00:00Z",
        "event": "token_issued",
        "request_id": request_id,
        "caller": "gateway",
        "profile": "p",
        "jti": issued["jti"],
        "sub_sha256": SUBJECT_SHA256,
        "kid": "key-1",
        "alg": "ES256",
        "exp": NOW + 900,
        "cached": false,
    });
    assert_eq!(line, expected);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("eyJ") && !text.contains("zoe"), "{text}");
    assert!(app.get_admin("/metrics").text().contains("claimsmith_audit_lines_total 2\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn audit_subject_is_the_token_subject() {
    let app = spawn_app(&Setup {
        profile: "    subject: Extra.identity.id",
        config: "audit: { to: 'file://audit.jsonl', subject: plain }",
        ..Setup::default()
    });
    let token = app.token(r#"{"subject":"other","extra":{"identity":{"id":"x\"\n"}}}"#);
    let claims: Value = serde_json::from_str(token.claims()).unwrap();
    let path = app.folder.path().join("audit.jsonl");
    wait_until(|| audit_lines(&path).len() == 1);
    let line = audit_lines(&path).remove(0);
    for member in ["sub", "jti", "exp"] {
        assert_eq!(line[member], claims[member], "{member}");
    }
    assert_eq!((&line["sub"], &line["caller"]), (&json!("x\"\n"), &Value::Null));
}

#[test]
fn moved_audit_file_is_created_again() {
    let app = spawn_app(&Setup { config: "audit: { to: 'file://audit.jsonl', subject: none }", ..Setup::default() });
    let (path, moved) = (app.folder.path().join("audit.jsonl"), app.folder.path().join("audit.jsonl.1"));
    app.token(SESSION);
    wait_until(|| audit_lines(&path).len() == 1);
    fs::rename(&path, &moved).unwrap();
    app.token(SESSION);
    wait_until(|| audit_lines(&path).len() == 1);
    assert_eq!(audit_lines(&moved).len(), 1);
    assert!(audit_lines(&path)[0].as_object().unwrap().keys().all(|name| !name.starts_with("sub")));
}

#[test]
fn failing_audit_log_is_reported_by_readiness() {
    let app = spawn_app(&Setup {
        config: "audit: { to: 'file://log/audit.jsonl' }\nreload: { interval: 100ms }",
        files: &[("log/audit.jsonl", "")],
        ..Setup::default()
    });
    let folder = app.folder.path().join("log");
    fs::rename(&folder, app.folder.path().join("gone")).unwrap();
    app.token(SESSION);
    wait_until(|| app.get_admin("/health/ready").text().contains("\"audit\":{\"since\":\"2026-11-23T12:00:00Z\""));
    assert_eq!(app.get_admin("/health/ready").status, 200, "tokens are issued all the same");
    assert!(app.get_admin("/metrics").text().contains("claimsmith_audit_lines_lost_total 1\n"));
    fs::create_dir(&folder).unwrap();
    app.token(SESSION);
    wait_until(|| app.get_admin("/health/ready").json() == json!({"status": "ok"}));
    // The failed write can leave a partial line, so the next entry starts on a new line.
    let text = fs::read_to_string(folder.join("audit.jsonl")).unwrap();
    let events: Vec<Value> =
        text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["event"], &events[0]["count"]), (&json!("lines_lost"), &json!(1)), "{text}");
    assert_eq!((events.len(), &events[1]["event"]), (2, &json!("token_issued")), "{text}");
}

#[test]
fn unopenable_audit_log_prevents_startup() {
    let folder = serving_folder("", "audit: { to: 'file://nowhere/audit.jsonl' }");
    let output = command(folder.path()).arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("audit.to: cannot open nowhere/audit.jsonl"), "{}", stderr(&output));
}

#[test]
fn audit_lines_are_flushed_at_shutdown() {
    let mut service = Service::start(serving_folder("", "audit: { to: 'file://audit.jsonl' }"));
    for _ in 0..20 {
        assert_eq!(send(service.api, &post("/hydrate/p", &[], SESSION.as_bytes())).status, 200);
    }
    service.signal("TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert_eq!(audit_lines(&service.folder.path().join("audit.jsonl")).len(), 20);
}

#[test]
fn stdout_contains_only_audit_lines() {
    let folder = serving_folder("", "audit: { to: stdout }");
    let mut child = command(folder.path()).arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let api = address_of_the_api(&mut log);
    assert_eq!(send(api, &post("/hydrate/p", &[], SESSION.as_bytes())).status, 200);
    let status = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    let mut lines = String::new();
    child.stdout.take().unwrap().read_to_string(&mut lines).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap()["event"], "token_issued");
}

/// A collector that accepts all requests until the test process ends.
#[derive(Clone)]
pub(crate) struct Collector {
    address: SocketAddr,
    /// Head and body of each request.
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Collector {
    /// Starts a collector that responds with `status`.
    pub(crate) fn start(status: &'static str) -> Self {
        Self::start_with(Some(status))
    }

    /// Starts a collector that reads requests, never responds and keeps the connections open.
    fn stalled() -> Self {
        Self::start_with(None)
    }

    fn start_with(status: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let requests = Arc::clone(&collector.requests);
        std::thread::spawn(move || {
            let mut unanswered = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|length| length > 0) {}
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0);
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                requests.lock().unwrap().push((head, serde_json::from_slice(&body).unwrap_or_default()));
                match status {
                    Some(status) => {
                        let headers = "Content-Length: 2\r\nConnection: close";
                        let _ = write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{headers}\r\n\r\n{{}}");
                    }
                    None => unanswered.push(reader),
                }
            }
        });
        collector
    }

    pub(crate) fn config(&self, more: &str) -> String {
        format!("traces: {{ endpoint: 'http://{}/v1/traces'{more} }}", self.address)
    }

    pub(crate) fn spans(&self) -> Vec<Value> {
        let requests = self.requests.lock().unwrap();
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let resources = requests.iter().flat_map(|(_, body)| list(body, "resourceSpans"));
        resources.flat_map(|resource| list(&resource, "scopeSpans")).flat_map(|scope| list(&scope, "spans")).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.requests.lock().unwrap().iter().map(|(head, body)| format!("{head}{body}")).collect()
    }
}

/// Returns an attribute of a span, regardless of its type.
pub(crate) fn attribute<'s>(span: &'s Value, name: &str) -> Option<&'s Value> {
    let attribute = span["attributes"].as_array()?.iter().find(|attribute| attribute["key"] == name)?;
    attribute["value"].as_object()?.values().next()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hydrate_with(app: &TestApp, path: &str, traceparent: &str, session: &str) -> u16 {
    send(app.api, &post(path, &[("traceparent", traceparent), ("tracestate", "canary=1")], session.as_bytes())).status
}

#[test]
fn span_continues_the_incoming_trace_and_describes_the_token() {
    let collector = Collector::start("200 OK");
    let app = spawn_app(&Setup { config: &collector.config(""), ..Setup::default() });
    assert_eq!(hydrate_with(&app, "/hydrate/p", &format!("00-{TRACE}-{PARENT}-01"), SESSION), 200);
    assert_eq!(hydrate_with(&app, "/issue/p", &format!("00-{TRACE}-{PARENT}-01"), "{}"), 400);
    assert_eq!(hydrate_with(&app, "/issue/canary", "no such thing", SESSION), 404);
    app.get("/.well-known/jwks.json");
    wait_until(|| collector.spans().len() == 4);
    let spans = collector.spans();

    let span = &spans[0];
    assert_eq!(
        (&span["name"], &span["traceId"], &span["parentSpanId"]),
        (&json!("hydrate"), &json!(TRACE), &json!(PARENT))
    );
    assert_eq!(span["kind"], 2, "a server's");
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/hydrate/{profile}")),
        ("http.response.status_code", json!("200")),
        ("claimsmith.profile", json!("p")),
        ("claimsmith.outcome", json!("issued")),
        ("claimsmith.kid", json!("key-1")),
        ("claimsmith.alg", json!("ES256")),
        ("claimsmith.cached", json!(false)),
    ] {
        let found = attribute(span, name).map(|found| found.as_i64().map_or(found.clone(), |n| json!(n.to_string())));
        assert_eq!(found, Some(value), "{name} of {span}");
    }
    let refused = &spans[1];
    assert_eq!(
        (&refused["name"], attribute(refused, "error.type")),
        (&json!("issue"), Some(&json!("session.invalid")))
    );
    assert_eq!(attribute(refused, "claimsmith.outcome"), Some(&json!("refused")));
    assert_eq!(
        (attribute(refused, "claimsmith.profile"), attribute(refused, "claimsmith.kid")),
        (Some(&json!("p")), None)
    );
    let unknown = &spans[2];
    assert_ne!(unknown["traceId"], TRACE, "what cannot be read begins a trace");
    assert_eq!(attribute(unknown, "claimsmith.profile"), None);
    assert_eq!(spans[3]["name"], "/.well-known/jwks.json");

    let text = collector.text();
    assert!(text.starts_with("POST /v1/traces HTTP/1.1\r\n") && text.contains("application/json"), "{text}");
    assert!(text.contains(r#""stringValue":"claimsmith""#), "the service has a name: {text}");
    for word in ["zoe", "eyJ", "canary"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_trace_spans_total 4\n"));
}

#[test]
fn sampling_follows_the_parent_or_the_configured_ratio() {
    let collector = Collector::start("200 OK");
    let config = collector.config(", sample_ratio: 0");
    let app = spawn_app(&Setup { config: &config, ..Setup::default() });
    assert_eq!(app.hydrate(SESSION).status, 200);
    assert_eq!(hydrate_with(&app, "/hydrate/p", &format!("00-{TRACE}-{PARENT}-00"), SESSION), 200);
    assert_eq!(hydrate_with(&app, "/hydrate/p", &format!("00-{TRACE}-{PARENT}-01"), SESSION), 200);
    // Shutdown flushes the pending spans.
    drop(app);
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0]["parentSpanId"], PARENT);
}

#[test]
fn repeated_traceparent_is_ignored() {
    let collector = Collector::start("200 OK");
    let app = spawn_app(&Setup { config: &collector.config(""), ..Setup::default() });
    let other = format!("00-{}-{PARENT}-01", TRACE.replace('0', "1"));
    let headers = [("traceparent", format!("00-{TRACE}-{PARENT}-01")), ("traceparent", other)];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(send(app.api, &post("/hydrate/p", &headers, SESSION.as_bytes())).status, 200);
    drop(app);
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert!(spans[0]["parentSpanId"].as_str().unwrap_or_default().is_empty(), "it begins a trace: {spans:?}");
    assert_ne!(spans[0]["traceId"], TRACE);
}

#[test]
fn stalled_collector_does_not_delay_requests() {
    let collector = Collector::stalled();
    let app = spawn_app(&Setup { config: &collector.config(""), ..Setup::default() });
    assert_eq!(app.hydrate(SESSION).status, 200);
    wait_until(|| collector.spans().len() == 1);
    // The export of the first span waits for the collector, which never responds.
    for _ in 0..20 {
        assert_eq!(app.hydrate(SESSION).status, 200);
    }
    let metrics = app.get_admin("/metrics").text();
    assert!(metrics.contains("claimsmith_trace_spans_total 0\n"), "{metrics}");
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
}

#[test]
fn spans_that_the_collector_rejects_are_counted() {
    let collector = Collector::start("400 Bad Request");
    let app = spawn_app(&Setup { config: &collector.config(""), ..Setup::default() });
    assert_eq!(app.hydrate(SESSION).status, 200);
    wait_until(|| app.get_admin("/metrics").text().contains("claimsmith_trace_spans_lost_total 1\n"));
    assert_eq!(app.get_admin("/health/ready").json(), json!({"status": "ok"}));
}

#[test]
fn environment_sets_otlp_headers_and_shutdown_flushes_spans() {
    let collector = Collector::start("200 OK");
    let folder = serving_folder("", &collector.config(""));
    let mut child = command(folder.path())
        .arg("serve")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=trial")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let api = address_of_the_api(&mut log);
    assert_eq!(send(api, &post("/issue/p", &[], SESSION.as_bytes())).status, 200);
    let status = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    assert!(log.all(|line| !line.contains("of-the-collector")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(collector.spans().len(), 1);
    let text = collector.text();
    for part in
        ["authorization: Bearer of-the-collector\r\n", "deployment.environment.name", "trial", "service.version"]
    {
        assert!(text.contains(part), "{part} not in {text}");
    }
}

/// Returns the address that the service logs.
fn address_of_the_api(log: &mut impl Iterator<Item = String>) -> SocketAddr {
    let mut events = log.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let serving = events.find(|event| event["message"] == "serving").unwrap();
    serving["api"].as_str().unwrap().parse().unwrap()
}

/// Returns a JWK Set of ES256 keys (kid, nbf, exp).
fn key_set(members: &[(&str, Option<i64>, Option<i64>)]) -> String {
    let member = |(kid, nbf, exp): &(&str, Option<i64>, Option<i64>)| {
        let generated = keys::generate(SignatureAlg::Es256, None, &KeyId::parse(*kid).unwrap()).unwrap();
        let mut key = serde_json::from_str::<Value>(generated.to_set()).unwrap()["keys"][0].take();
        for (name, time) in [("nbf", nbf), ("exp", exp)] {
            if let Some(time) = time {
                key[name] = (*time).into();
            }
        }
        key
    };
    json!({ "keys": members.iter().map(member).collect::<Vec<_>>() }).to_string()
}

/// Returns the sample of this series.
fn sample(metrics: &str, series: &str) -> Option<i64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn key_gauges_follow_the_clock() {
    let keys = key_set(&[("old", Some(NOW - 5000), Some(NOW + 100)), ("next", Some(NOW + 50), Some(NOW + 1000))]);
    let app = spawn_app(&Setup {
        files: &[("other.json", &keys)],
        config: "  q: { issuer: i, jwks: other.json, template: p, ttl: 5m }\n  \
                 r: { issuer: i, jwks: other.json, template: p }\n\
                 reload: { interval: 100ms }",
        ..Setup::default()
    });
    let set = app.folder.path().join("other.json").display().to_string();
    let read = |name: &str| sample(&app.get_admin("/metrics").text(), &format!("claimsmith_{name}"));
    let of_q = || {
        [
            "profile_can_sign",
            "signing_key_age_seconds",
            "signing_key_next_change_seconds",
            "signing_key_end_seconds",
            "signing_key_publication_end_seconds",
        ]
        .map(|name| read(&format!("{name}{{profile=\"q\"}}")))
    };
    let states =
        || ["active", "pending", "retired"].map(|state| read(&format!("keys{{set=\"{set}\",state=\"{state}\"}}")));
    // The longest TTL of the set is the 15 minutes of the profile r.
    assert_eq!(of_q(), [Some(1), Some(5000), Some(50), Some(1000), Some(1000)]);
    assert_eq!(states(), [Some(1), Some(1), Some(0)]);
    assert_eq!(read(&format!("keys_published{{set=\"{set}\"}}")), Some(2));
    assert_eq!((read("templates"), read("profiles")), (Some(1), Some(3)));
    assert_eq!(read("generation_taken_timestamp_seconds"), Some(NOW));
    app.clock.set(NOW + 150);
    assert_eq!(of_q(), [Some(1), Some(100), Some(850), Some(850), Some(1750)]);
    assert_eq!(states(), [Some(1), Some(0), Some(1)]);
    app.clock.set(NOW + 1000);
    assert_eq!(of_q(), [Some(0), None, None, None, None]);
    assert_eq!(read(&format!("keys_published{{set=\"{set}\"}}")), Some(1));
    // A key without times has no age, so its gauges stay constant.
    assert_eq!(read("profile_can_sign{profile=\"p\"}"), Some(1));
    assert_eq!(read("signing_key_age_seconds{profile=\"p\"}"), None);
    assert_eq!(read("signing_key_next_change_seconds{profile=\"p\"}"), None);

    wait_until(|| {
        app.get_admin("/health/ready").json()["signing_keys"]["faults"].as_array().is_some_and(|f| f.len() == 2)
    });
    let ready = app.get_admin("/health/ready");
    assert_eq!(ready.status, 200, "key sets are served, and the profile p issues");
    let fault = ready.json()["signing_keys"]["faults"][0].as_str().unwrap().to_owned();
    assert!(fault.starts_with("profile q: expected a key whose nbf has come"), "{fault}");
    app.folder.write("other.json", &key_set(&[("new", None, None)]));
    wait_until(|| app.get_admin("/health/ready").json() == json!({"status": "ok"}));
    assert_eq!(read("generation_taken_timestamp_seconds"), Some(NOW + 1000));
}
