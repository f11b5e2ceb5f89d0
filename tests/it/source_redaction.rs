//! Credentials, sessions and tokens of session sources never appear in a log line, a metric, a trace or an error, and the
//! reason of a rejection is only in the log and in a metric.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::fake_issuer::{FakeIssuer, IssuerKey};
use crate::fake_kratos::{FakeKratos, identity, response, session};
use crate::support::{Answer, Folder, Service, command, get, send, wait_until};
use crate::telemetry::Collector;

/// Part of each secret in these tests.
const CANARY: &str = "canary9d3b";
const JSON: &str = "Content-Type: application/json\r\n";
const FAR: i64 = 4_000_000_000;

struct Servers {
    kratos: FakeKratos,
    hydra: FakeIssuer,
    key: IssuerKey,
    other: IssuerKey,
}

impl Servers {
    fn start() -> Self {
        let (key, other) = (IssuerKey::new("k1"), IssuerKey::new("k1"));
        Self { kratos: FakeKratos::start(), hydra: FakeIssuer::start(), key, other }
    }

    fn sources(&self) -> String {
        format!(
            "sources: {{ {}, hydra: {{ type: introspection, url: '{}', basic: {{ username: c, password_file: secret.txt }} }}, \
             partner: {{ type: jwt, issuer: 'https://idp.example', audience: [orders], algorithms: [ES256], \
             jwks: partner.json }}, guest: {{ type: anonymous, subject: guest }} }}",
            self.kratos.source(
                "admin: 'http://127.0.0.1:9', admin_token_file: secret.txt, cache: { ttl: 1h }, extend: { below: 1h }"
            ),
            self.hydra.url("/introspect")
        )
    }

    /// The header of each request, the reason of its rejection, and whether it gets a token.
    fn requests(&self) -> Vec<(String, Option<&'static str>, bool)> {
        let claims = |more: Value| {
            let mut claims =
                json!({"iss": "https://idp.example", "sub": CANARY, "aud": "orders", "exp": FAR, "x": CANARY});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            claims.to_string()
        };
        let good = claims(json!({}));
        let bearer = |token: String| format!("Authorization: Bearer {token}\r\n");
        let header = |header: Value| header.to_string();
        let mut requests = vec![
            (format!("Cookie: ory_kratos_session={CANARY}\r\n"), None, true),
            (format!("X-Session-Token: {CANARY}\r\n"), None, true),
            (format!("Cookie: ory_kratos_session={CANARY}; ory_kratos_session={CANARY}\r\n"), None, false),
            (bearer(format!("ory_at_{CANARY}")), None, true),
            (bearer(self.key.sign(&good)), None, true),
            (bearer(self.other.sign(&good)), Some("signature"), false),
            (
                bearer(self.key.sign_with(&header(json!({"alg": "ES256", "kid": CANARY})), &good)),
                Some("unknown_key"),
                false,
            ),
            (
                bearer(self.key.sign_with(&header(json!({"alg": "HS256", "kid": "k1"})), &good)),
                Some("algorithm"),
                false,
            ),
            (
                bearer(self.key.sign_with(&header(json!({"alg": "ES256", "kid": "k1", "crit": [CANARY]})), &good)),
                Some("malformed"),
                false,
            ),
            (
                bearer(self.key.sign_with(&header(json!({"alg": "ES256", "kid": "k1", "typ": CANARY})), &good)),
                Some("type"),
                false,
            ),
        ];
        for (more, reason) in [
            (json!({"exp": 1}), "expired"),
            (json!({"nbf": FAR}), "not_yet_valid"),
            (json!({"aud": CANARY}), "audience"),
            (json!({"sub": ""}), "subject"),
            (json!({"cnf": {"jkt": CANARY}}), "bound"),
            (json!({"iss": "https://own.example/"}), "issuer"),
        ] {
            requests.push((bearer(self.key.sign(&claims(more))), Some(reason), false));
        }
        requests
    }
}

fn ask(api: SocketAddr, check: &str, headers: &str) -> Answer {
    let request = format!(
        "GET /auth-request/{check} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-Method: GET\r\n\
         X-Original-URL: https://app.example/{CANARY}\r\n{headers}\r\n"
    );
    send(api, request.as_bytes())
}

fn resolve(admin: SocketAddr, source: &str, header: &str, value: &str) -> Answer {
    let body = json!({"source": source, "header": header, "value": value}).to_string();
    let length = body.len();
    let request = format!(
        "POST /playground/resolve HTTP/1.1\r\nHost: 127.0.0.1:4478\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    send(admin, request.as_bytes())
}

#[test]
fn credentials_and_sessions_are_in_no_log_metric_trace_or_error() {
    let servers = Servers::start();
    let mut person = identity(CANARY);
    person["expires_at"] = json!("2086-05-02T08:30:00Z");
    person["traits"] = json!({"email": CANARY});
    servers.kratos.will_send(session(&person));
    servers.hydra.will_send_json("/introspect", &json!({"active": true, "sub": CANARY, "x": CANARY}).to_string());
    let collector = Collector::start("200 OK");
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("partner.json", &servers.key.set());
    folder.write("secret.txt", CANARY);
    folder.write("templates/p/claims.hbs", r#"{"session": {{Extra}}}"#);
    folder.write(
        "claimsmith.yaml",
        &format!(
            "log: {{ level: trace }}\nserve: {{ api: {{ port: 0 }}, admin: {{ port: 0, playground: true, \
             playground_sources: true }} }}\nprofiles: {{ p: {{ issuer: 'https://own.example/', jwks: keys.json }} }}\n\
             callers: [{{ name: proxy, networks: 127.0.0.1 }}]\n{}\n\
             checks:\n  api: {{ sources: [kratos, partner, hydra], profile: p, headers: {{ X-User: sub }} }}\n  \
             site: {{ sources: [kratos, guest], profile: p }}\n  web: {{ sources: kratos, profile: p }}\n{}\n",
            servers.sources(),
            collector.config("")
        ),
    );
    let mut trace = command(folder.path());
    trace.env("RUST_LOG", "trace");
    let service = Service::run(folder, trace);
    let (mut answers, mut secrets, mut reasons) = (String::new(), Vec::new(), BTreeSet::new());
    let mut told = BTreeSet::new();
    let mut note = |answer: &Answer, has_token: bool| {
        assert_eq!(answer.status == 200, has_token, "{}", answer.text());
        match answer.header("authorization") {
            Some(token) => secrets.push(token.strip_prefix("Bearer ").unwrap().to_owned()),
            None => answers.push_str(&answer.text()),
        }
    };
    for (headers, reason, has_token) in servers.requests() {
        let answer = ask(service.api, "api", &headers);
        note(&answer, has_token);
        if let Some(reason) = reason {
            let mut problem = answer.json();
            problem.as_object_mut().unwrap().remove("instance");
            told.insert(problem.to_string());
            reasons.insert(reason);
        }
    }
    servers.hydra.will_send_json("/introspect", &json!({"active": false, "x": CANARY}).to_string());
    note(&ask(service.api, "api", &format!("Authorization: Bearer ory_at_{CANARY}2\r\n")), false);
    note(&ask(service.api, "web", &format!("Authorization: Bearer e30.{CANARY}.e30\r\n")), false);
    note(&ask(service.api, "site", ""), true);
    reasons.extend(["inactive", "no_source"]);
    for (status, body) in [
        ("403 Forbidden", format!(r#"{{"redirect_browser_to":"https://id.example/?x={CANARY}"}}"#)),
        ("401 Unauthorized", CANARY.to_owned()),
        ("500 Internal Server Error", CANARY.to_owned()),
        ("200 OK", format!(r#"{{"active":true,"{CANARY}":1,"{CANARY}":2}}"#)),
        ("200 OK", format!(r#"{{"active":true,"identity":{{"id":["{CANARY}"]}}}}"#)),
    ] {
        servers.kratos.will_send(response(status, JSON, &body));
        let answer = ask(service.api, "web", &format!("X-Session-Token: {CANARY}{}\r\n", body.len()));
        // Where a browser reaches a higher level is for the client.
        if !status.starts_with("403") {
            note(&answer, false);
        }
    }
    servers.kratos.will_send(session(&person));
    for (source, header, value, result) in [
        ("kratos", "Cookie", format!("ory_kratos_session={CANARY}p"), "session"),
        (
            "partner",
            "Authorization",
            format!("Bearer {}", servers.other.sign(r#"{"iss":"https://idp.example"}"#)),
            "no_session",
        ),
        ("hydra", "Authorization", format!("Bearer ory_at_{CANARY}3"), "no_session"),
    ] {
        let answer = resolve(service.admin, source, header, &value);
        assert_eq!((answer.status, &answer.json()["result"]), (200, &json!(result)), "{}", answer.text());
        let text: Option<Value> = answer.json()["session"].as_str().map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(text, (result == "session").then(|| json!({"subject": CANARY, "extra": person})));
    }
    for (source, header) in [(CANARY, "Cookie"), ("kratos", "Authorization"), ("kratos", CANARY)] {
        let answer = resolve(service.admin, source, header, &format!("Bearer a.{CANARY}.c"));
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("request.malformed")), "{}", answer.text());
        answers.push_str(&answer.text());
    }

    assert_eq!(told.len(), 1, "the client is told no reason: {told:?}");
    let metrics = send(service.admin, &get("/metrics")).text();
    for reason in &reasons {
        assert!(metrics.contains(&format!("reason=\"{reason}\"")), "{reason}\n{metrics}");
        wait_until(|| service.has_logged(&format!("\"reason\":\"{reason}\"")));
    }
    wait_until(|| collector.spans().len() > 2 * servers.requests().len());
    let log = service.log.lock().unwrap().clone();
    assert!(log.matches("\"level\":\"DEBUG\"").count() > 5, "the log was on: {log}");
    secrets.extend(
        servers
            .requests()
            .into_iter()
            .filter_map(|(headers, ..)| Some(headers.split("Bearer ").nth(1)?.trim().to_owned())),
    );
    assert!(secrets.len() > 10);
    for (name, text) in [("log", &log), ("answers", &answers), ("metrics", &metrics), ("traces", &collector.text())] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(CANARY)).collect();
        assert_eq!(lines, [""; 0], "{name}");
        let shown = secrets.iter().find(|secret| text.contains(secret.as_str()));
        assert_eq!(shown, None, "{name}");
    }
}

#[test]
fn playground_resolves_nothing_unless_it_is_permitted() {
    let servers = Servers::start();
    let start = |serve: &str| {
        let folder = Folder::new();
        folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
        folder.write("partner.json", &servers.key.set());
        folder.write("secret.txt", CANARY);
        folder.write("templates/p/claims.hbs", "{}");
        let text = format!(
            "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0, {serve} }} }}\n\
             profiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\n{}\n",
            servers.sources()
        );
        folder.write("claimsmith.yaml", &text);
        folder
    };
    let service = Service::start(start("playground: true"));
    let answer = resolve(service.admin, "kratos", "Cookie", "ory_kratos_session=c");
    assert_eq!((answer.status, servers.kratos.calls()), (404, 0), "{}", answer.text());
    let sources = |service: &Service| {
        let request = "GET /playground/profiles HTTP/1.1\r\nHost: 127.0.0.1:4478\r\nConnection: close\r\n\r\n";
        send(service.admin, request.as_bytes()).json()["sources"].clone()
    };
    assert_eq!(sources(&service), json!([]));
    let service = Service::start(start("playground: true, playground_sources: true"));
    assert_eq!(sources(&service), json!(["guest", "hydra", "kratos", "partner"]));
    for serve in ["playground_sources: true", "playground: true, playground_sources: true, host: 0.0.0.0"] {
        let folder = start(serve);
        let output = crate::support::claimsmith(folder.path(), &["check", "--json"]);
        let shown: Value = serde_json::from_str(&crate::support::stdout(&output)).unwrap();
        assert_eq!(shown["faults"][0]["key"], "serve.admin.playground_sources", "{shown}");
    }
}
