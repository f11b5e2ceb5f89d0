//! Values of sessions, keys and callers never appear in a log line, a metric or an error.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use claimsmith::keys::{self, KeyId, SignatureAlg};
use serde_json::Value;

use crate::support::{Folder, claimsmith, command, get, post, send, wait_until};
use crate::telemetry::Collector;

/// Part of each secret in these tests.
const CANARY: &str = "canary7c1f";

fn canaries(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(CANARY)).collect()
}

/// Returns the private members of all keys in the directory.
fn private_members(folder: &Folder) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    let key = set["keys"][0].as_object().unwrap();
    ["d", "p", "q", "dp", "dq", "qi"].iter().filter_map(|name| key.get(*name)?.as_str().map(str::to_owned)).collect()
}

#[test]
fn running_service_logs_no_secret_at_trace_level() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Rs256, "key-1");
    folder.write(
        "templates/p/claims.hbs",
        r#"{"name": "{{Extra.name}}", "age": {{int Extra.age}}, "t": {{unix Extra.t}}}"#,
    );
    folder.write(
        "templates/q/claims.hbs",
        r#"{"{{Extra.name}}": {{index Extra Extra.name}}, "m": {{regexMatch Extra.name "^a+$"}}}"#,
    );
    folder.write("basic.txt", &format!("{CANARY}-password-of-some-length"));
    let collector = Collector::start("200 OK");
    let config = "log: { level: trace }\nserve: { api: { port: 0 }, admin: { port: 0 } }\n\
                  limits: { claims: 1KiB, failed_delay: 1ms }\nprofiles:\n  \
                  p: { issuer: i, jwks: keys.json }\n  q: { issuer: i, jwks: keys.json }\n\
                  callers: [{ name: gateway, basic: { username: gateway, password_file: basic.txt } }]\n\
                  audit: { to: 'file://audit.jsonl', refused: true }\n";
    folder.write("claimsmith.yaml", &format!("{config}{}\n", collector.config("")));
    let mut child = command(folder.path())
        .arg("serve")
        .env("RUST_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let (api, admin) = loop {
        let mut line = String::new();
        assert_ne!(std::io::BufRead::read_line(&mut log, &mut line).unwrap(), 0, "{seen}");
        seen.push_str(&line);
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "serving" {
            let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
            break (address("api"), address("admin"));
        }
    };

    let good = format!("Basic {}", base64(&format!("gateway:{CANARY}-password-of-some-length")));
    let bad = format!("Bearer {CANARY}");
    let sessions = [
        format!(r#"{{"subject":"{CANARY}","extra":{{"name":"{CANARY}","age":"7","t":"2026-01-01T00:00:00Z"}}}}"#),
        format!(r#"{{"subject":"u","extra":{{"name":{{"{CANARY}":1}}}}}}"#),
        format!(r#"{{"subject":"u","extra":{{"name":"x","age":"{CANARY}"}}}}"#),
        format!(r#"{{"subject":"u","extra":{{"name":"x","age":1,"t":"{CANARY}"}}}}"#),
        format!(r#"{{"subject":"u","extra":{{"name":"{CANARY}"}}}}"#),
        format!(r#"{{"subject":"u","extra":{{"name":"{}"}}}}"#, CANARY.repeat(200)),
        format!(r#"{{"subject":"u","extra":{{"expires_at":"{CANARY}"}}}}"#),
        format!(r#"{{"subject":"u","extra":{{"{CANARY}":1,"{CANARY}":2}}}}"#),
        format!(r#"{{"subject":"u","header":{{"{CANARY}":"{CANARY}"}}}}"#),
        format!(r#"{{"subject":"u","extra":"{CANARY}"}}"#),
        format!(r#"{{"subject":"u", {CANARY}"#),
        format!("{{\"subject\":\"u{CANARY}\\ud800\"}}"),
        CANARY.to_owned(),
    ];
    let mut answers = String::new();
    let mut tokens = Vec::new();
    for session in &sessions {
        // A caller gets the name of a profile back that is not configured; nobody else does.
        for (path, is_known) in [("/hydrate/p", true), ("/issue/q", true), (&format!("/hydrate/{CANARY}"), false)] {
            for authorization in [&good, &bad].into_iter().skip(usize::from(!is_known)) {
                let headers = [
                    ("Authorization", authorization.as_str()),
                    ("Cookie", &format!("session={CANARY}")),
                    // Not adopted, because of the quotation mark.
                    ("X-Request-Id", &format!("{CANARY}\"")),
                    ("Traceparent", CANARY),
                    ("Tracestate", &format!("{CANARY}={CANARY}")),
                    ("Baggage", &format!("{CANARY}={CANARY}")),
                    ("Content-Encoding", CANARY),
                    ("Upgrade", CANARY),
                    ("Expect", CANARY),
                ];
                let path = format!("{path}?token={CANARY}");
                let answer = send(api, &post(&path, &headers, session.as_bytes()));
                if answer.status == 200 {
                    let text = answer.text();
                    let start = text.find("eyJ").unwrap();
                    tokens.push(text[start..].split('"').next().unwrap().to_owned());
                } else {
                    answer.assert_is_problem();
                    answers.push_str(&answer.text());
                    answers.push('\n');
                }
            }
        }
    }
    for broken in [
        format!("POST /hydrate/p HTTP/1.1\r\nHost: x\r\nContent-Length: {CANARY}\r\n\r\n"),
        format!("{CANARY}\r\n\r\n"),
    ] {
        let mut stream = crate::support::connect(api);
        let _ = std::io::Write::write_all(&mut stream, broken.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_string(&mut answers);
    }
    let metrics = send(admin, &get("/metrics")).text();
    let keys = send(api, &get("/.well-known/jwks.json")).text();
    let audit = || std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    let requests = sessions.len() * 5;
    wait_until(|| audit().lines().count() == requests && collector.spans().len() > requests);
    let (audit, traces) = (audit(), collector.text());
    child.kill().unwrap();
    log.read_to_string(&mut seen).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    child.wait().unwrap();

    assert!(!tokens.is_empty(), "at least one session got a token, or this test looks at nothing");
    assert!(seen.lines().count() > 70, "the log was on: {seen}");
    for (name, text) in [
        ("log", &seen),
        ("answers", &answers),
        ("metrics", &metrics),
        ("keys", &keys),
        ("audit lines", &audit),
        ("traces", &traces),
    ] {
        assert_eq!(canaries(text), [""; 0], "{name}");
        for secret in private_members(&folder).iter().chain(&tokens) {
            assert!(!text.contains(secret.as_str()), "the {name} hold a private member or a token");
        }
    }
}

/// A process that is killed at the end of its test, even if the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Adds, removes and damages keys while the service logs at trace level. The keys come from a file that it rotates and
/// from a server whose URL contains a secret.
#[test]
fn key_changes_log_no_secret_at_trace_level() {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    let remote = keys::generate(SignatureAlg::EdDsa, None, &KeyId::parse("remote").unwrap()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys?signature={CANARY}", listener.local_addr().unwrap());
    let body = remote.to_set().to_owned();
    // Serves valid sets and garbage in turn, until the test process ends.
    std::thread::spawn(move || {
        for (count, mut stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let _ = stream.read(&mut [0; 4096]);
            let body = if count % 2 == 0 { &body } else { CANARY };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"{CANARY}\"\r\n\r\n", body.len());
            let _ = std::io::Write::write_all(&mut stream, format!("{head}{body}").as_bytes());
        }
    });
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(
        "claimsmith.yaml",
        &format!(
            "log: {{ level: trace }}\nserve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }} }}\nreload: {{ interval: 100ms }}\n\
             rotation: {{ every: 24h, lead: 1h }}\nprofiles:\n  p: {{ issuer: i, jwks: keys.json }}\n  \
             q: {{ issuer: i, jwks: '{url}', template: p }}\n"
        ),
    );
    let log_path = folder.path().join("log");
    let child = command(folder.path())
        .arg("serve")
        .env("RUST_LOG", "trace")
        .stderr(std::fs::File::create(&log_path).unwrap())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let log = || std::fs::read_to_string(&log_path).unwrap();
    wait_until(|| log().contains("\"serving\"") && log().contains("key added") && log().contains("\"reloaded\""));
    let serving: Value = log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|event: &Value| event["message"] == "serving")
        .unwrap();
    let admin = serving["admin"].as_str().unwrap().parse().unwrap();
    let mut readiness = String::new();
    let mut secrets: Vec<String> = Vec::new();
    let remember = |text: &str, secrets: &mut Vec<String>| {
        let set: Value = serde_json::from_str(text).unwrap();
        secrets.extend(set["keys"].as_array().unwrap().iter().filter_map(|key| Some(key["d"].as_str()?.to_owned())));
    };
    remember(remote.to_set(), &mut secrets);
    let rotated = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
    remember(&rotated, &mut secrets);
    let broken = [
        rotated.trim_end().trim_end_matches('}').to_owned(),
        rotated.replace(&secrets[1], "?").replace(&secrets[2], &secrets[1]).replace('?', &secrets[2]),
        rotated.replace("\"d\": \"", &format!("\"d\": \"{CANARY}")),
        format!("{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"{CANARY}\"}}]}}"),
        CANARY.to_owned(),
    ];
    for (count, broken) in broken.iter().enumerate() {
        folder.write("keys.json", broken);
        wait_until(|| log().matches("reload rejected").count() > count);
        let status = Command::new("kill").args(["-HUP", &child.0.id().to_string()]).status().unwrap();
        assert!(status.success());
        for path in ["/health/ready", "/metrics"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            readiness.push_str(&send(admin, request.as_bytes()).text());
        }
    }
    wait_until(|| log().contains("key source failing"));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert!(secrets.len() == 3 && readiness.contains("\"reload\""), "{readiness}");
    for (name, text) in [("log", &log()), ("readiness and metrics", &readiness)] {
        assert_eq!(canaries(text), [""; 0], "{name}");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "the {name} hold a private member");
        }
    }
}

#[test]
fn failing_commands_quote_no_secret() {
    let folder = Folder::new();
    let key = folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    let text = std::fs::read_to_string(&key).unwrap();
    let members = private_members(&folder);
    folder.write("broken.json", text.trim_end().trim_end_matches('}'));
    folder.write("mismatched.json", &text.replace(&members[0], &members[0].chars().rev().collect::<String>()));
    folder.write("single.json", &format!("{{\"kty\":\"oct\",\"k\":\"{CANARY}{CANARY}\"}}"));
    folder.write("short.json", &format!("{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"{CANARY}\"}}]}}"));
    folder.write(
        "odd.json",
        &format!("{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"a\",\"k\":[\"{CANARY}\"]}},\"{CANARY}\"]}}"),
    );
    folder.write("session.json", &format!(r#"{{"subject":"u","extra":{{"a":{{"b":"{CANARY}"}}}}}}"#));
    folder.write(
        "claimsmith.yaml",
        &format!(
            "profiles: {{ p: {{ issuer: i, jwks: broken.json }} }}\ncallers:\n  \
             - {{ name: a, bearer: {{ token: {CANARY} }} }}\n  - {{ name: b, basic: {{ username: u, password: {CANARY} }} }}\n"
        ),
    );
    let mut all = String::new();
    for arguments in [
        &["keys", "list", "broken.json"][..],
        &["keys", "public", "mismatched.json"],
        &["keys", "list", "mismatched.json", "--json"],
        &["keys", "list", "single.json"],
        &["keys", "list", "short.json"],
        &["keys", "list", "odd.json"],
        &["keys", "rotate", "broken.json"],
        &["keys", "rotate", "mismatched.json", "--now"],
        &["keys", "rotate", "odd.json"],
        &["keys", "add", "short.json", "--from", "broken.json"],
        &["check"],
        &["serve"],
        &["render", "--text", "{\"a\": \"{{Extra.a}}\"}", "--session", "session.json"],
        &["render", "--text", "{\"a\": {{unix Extra.a.b}}}", "--session", "session.json"],
        &["render", "--text", "{\"a\": {{upper Extra.a.b.c}}}", "--session", "session.json"],
        &["render", "--text", "{{ if eq .Extra.a 1 }}", "--syntax", "go", "--session", "session.json"],
        &["render", "--text", "{\"a\": {{ .Extra.a.b }}}", "--syntax", "go", "--session", "session.json"],
        &["render", "--text", "{\"a\": {{ add .Extra.a.b.c 1 }}}", "--syntax", "go", "--session", "session.json"],
        &["render", "--text", "{\"a\": {{ index .Extra.a.b 70 }}}", "--syntax", "go", "--session", "session.json"],
        &["verify", &format!("{CANARY}.{CANARY}.{CANARY}"), "--jwks", "keys.json"],
        &["verify", &format!("e30.{CANARY}.{CANARY}"), "--jwks", "short.json"],
    ] {
        let output = claimsmith(folder.path(), arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        all.push_str(&String::from_utf8_lossy(&output.stdout));
        all.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(canaries(&all), [""; 0]);
    assert!(!all.contains(&members[0]));
}

fn base64(text: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)
}
