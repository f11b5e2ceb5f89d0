//! Checks that compare outputs in the documents with real outputs.

use std::fs;
use std::net::SocketAddr;

use claimsmith::keys::SignatureAlg;
use regex::Regex;
use serde_json::Value;

use super::markdown::repository;
use super::scratch::Scratch;
use super::{names, yaml};
use crate::support::{Folder, Service, claimsmith, command, post, send, stderr, stdout, wait_until};

/// The first command of the README.
const GENERATE: &str = "claimsmith keys generate --alg RS256 --out keys/id_token.jwks.json";

/// Replaces times and ids by their kind, so that the text is the same in each run.
fn masked(text: &str) -> String {
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap();
    let text = time.replace_all(text, "TIME");
    let id = Regex::new(r"[0-9a-f]{8}-(…|[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})").unwrap();
    id.replace_all(&text, "ID").into_owned()
}

/// Compares shown JSON with real JSON. A shown string with `…` is a prefix of the real string.
#[track_caller]
fn assert_alike(shown: &str, real: &str) {
    let value = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")) };
    let (left, right) = (value(shown), value(real));
    let order = |text: &str| {
        Regex::new(r#""(\w+)":"#).unwrap().find_iter(text).map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order(shown), order(real), "{shown}\nis shown, but the real output is\n{real}");
    assert!(is_alike(&left, &right), "{shown}\nis shown, but the real output is\n{real}");
}

fn is_alike(shown: &Value, real: &Value) -> bool {
    match (shown, real) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|r| is_alike(value, r)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_alike(left, right))
        }
        (Value::String(left), Value::String(right)) => {
            masked(left) == masked(right) || left.split_once('…').is_some_and(|(begin, _)| right.starts_with(begin))
        }
        _ => shown == real,
    }
}

/// Creates a directory with shipped templates, a key, and a configuration with `profiles`.
fn folder(templates: &[&str], profiles: &str, more: &str) -> Folder {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    for name in templates {
        let text = fs::read_to_string(repository().join("templates").join(name).join("claims.hbs")).unwrap();
        folder.write(&format!("templates/{name}/claims.hbs"), &text);
    }
    folder.write("claimsmith.yaml", &configuration(profiles, more));
    folder
}

fn configuration(profiles: &str, more: &str) -> String {
    format!(
        "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }} }}\nreload: {{ interval: 100ms }}\nprofiles:\n{profiles}{more}"
    )
}

fn get(address: SocketAddr, path: &str) -> String {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).text()
}

/// Waits until readiness reports a degraded condition, and returns the response.
fn degraded_condition(service: &Service) -> String {
    let mut response = String::new();
    wait_until(|| {
        response = get(service.admin, "/health/ready");
        response.contains("since")
    });
    response
}

pub(super) fn problem(shown: &str) {
    let service = Service::start(folder(&["identity"], "  identity: { issuer: i, jwks: keys.json }\n", ""));
    let session = r#"{"subject":"zoe","extra":{"identity":{"id":"7"}}}"#;
    assert_alike(shown, &send(service.api, &post("/hydrate/identity", &[], session.as_bytes())).text());
}

pub(super) fn rejected_template(shown: &str) {
    let profile = |template: &str| format!("  id_token: {{ issuer: i, jwks: keys.json, template: {template} }}\n");
    let service = Service::start(folder(&["identity", "session"], &profile("session"), ""));
    service.folder.write("claimsmith.yaml", &configuration(&profile("sesion"), ""));
    assert_alike(shown, &degraded_condition(&service));
}

pub(super) fn rejected_keys(shown: &str) {
    let service = Service::start(folder(&["session"], "  session: { issuer: i, jwks: keys.json }\n", ""));
    service.folder.write("keys.json", "no set");
    assert_alike(shown, &degraded_condition(&service));
}

pub(super) fn obstructed_secret(shown: &str) {
    let callers = "callers: [{ name: c, bearer: { token_file: token } }]\n";
    let folder = folder(&["session"], "  session: { issuer: i, jwks: keys.json }\n", callers);
    let token = folder.write("token", "a-token-of-some-length");
    let service = Service::start(folder);
    fs::remove_file(&token).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&token).unwrap();
    assert_alike(shown, &degraded_condition(&service));
}

pub(super) fn log_line(shown: &str) {
    let scratch = Scratch::new();
    let made = scratch.run(&format!("{GENERATE}\nclaimsmith serve"), ".", &[]);
    assert!(made.status.success(), "{}", stderr(&made));
    let read = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap();
    let api = read("serve.api").trim().parse().unwrap();
    send(api, &post("/hydrate/identity", &[], br#"{"subject":"zoe","extra":{"identity":{"id":"7"}}}"#));
    let logged = || read("serve.log").lines().find(|line| line.contains("\"request refused\"")).map(str::to_owned);
    wait_until(|| logged().is_some());
    assert_alike(shown, &logged().unwrap());
}

pub(super) fn lost_lines(shown: &str) {
    let profile = "  session: { issuer: i, jwks: keys.json }\n";
    let folder = folder(&["session"], profile, "audit: { to: 'file://log/audit.jsonl' }\n");
    folder.write("log/audit.jsonl", "");
    let service = Service::start(folder);
    let (log, gone) = (service.folder.path().join("log"), service.folder.path().join("gone"));
    let issue = || send(service.api, &post("/hydrate/session", &[], br#"{"subject":"zoe","extra":{}}"#));
    fs::rename(&log, gone).unwrap();
    assert_eq!(issue().status, 200);
    wait_until(|| get(service.admin, "/metrics").contains("claimsmith_audit_lines_lost_total 1\n"));
    fs::create_dir(&log).unwrap();
    issue();
    let audit = log.join("audit.jsonl");
    wait_until(|| fs::read_to_string(&audit).is_ok_and(|text| text.contains("token_issued")));
    let text = fs::read_to_string(audit).unwrap();
    let line = text.lines().find(|line| line.contains("lines_lost")).unwrap();
    assert_alike(shown, &line.replace("\"count\":1}", "\"count\":17}"));
}

pub(super) fn configuration_errors(shown: &str) {
    let folder = folder(&["session"], "  id_token:\n    isuer: i\n    issuer: i\n    jwks: k\n", "");
    let text = "profiles:\n  id_token:\n    isuer: i\n    issuer: i\n    jwks: keys.json\n";
    folder.write("claimsmith.yaml", text);
    let output = command(folder.path()).arg("serve").env("CLAIMSMITH_SERVE_API_PORT", "http").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains(shown.trim()), "{shown}\nis shown, but the real output is\n{}", stderr(&output));
}

pub(super) fn list_of_keys(shown: &str) {
    let scratch = Scratch::new();
    let (line, listed) = shown.split_once('\n').unwrap();
    let line = line.strip_prefix("$ ").unwrap();
    let made = format!("{GENERATE}\nclaimsmith keys rotate keys/id_token.jwks.json");
    assert!(scratch.run(&made, ".", &[]).status.success());
    let real = stdout(&scratch.run(line, ".", &[]));
    let even = |text: &str| {
        let lines = masked(text);
        lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(even(listed), even(&real), "{shown}\nis shown, but the real output is\n{real}");
}

pub(super) fn recorded_case(shown: &str) {
    let scratch = Scratch::new();
    let case = scratch.path().join("templates/identity/kratos.claims.json");
    let text = fs::read_to_string(&case).unwrap();
    assert!(text.contains("aal1"));
    fs::write(case, text.replace("aal1", "aal2")).unwrap();
    assert!(scratch.run(GENERATE, ".", &[]).status.success());
    let errors = stderr(&claimsmith(scratch.path(), &["check"]));
    assert!(errors.contains(shown.trim()), "{shown}\nis shown, but the real output is\n{errors}");
}

/// Runs the recorded case of a check: it passes, and with another code it fails.
pub(super) fn check_case(shown: &str) {
    let checks = "callers: [{ name: proxy, networks: 127.0.0.1 }]\n\
        sources: { kratos: { type: kratos, public: 'http://kratos:4433' } }\n\
        checks: { account: { sources: kratos, profile: p, require: { aal: aal2 } } }\n";
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("claimsmith.yaml", &format!("profiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\n{checks}"));
    folder.write("templates/p/claims.hbs", "{}");
    for (text, expected) in [(shown.to_owned(), 0), (shown.replace("session.level", "session.age"), 1)] {
        folder.write("templates/p/one.check.json", &text);
        let output = claimsmith(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(expected), "{}", stderr(&output));
    }
}

/// Uses the schema beside a template: matching claims are valid, others are not.
pub(super) fn claims_schema(shown: &str) {
    let folder = folder(&[], "  p: { issuer: i, jwks: keys.json }\n", "");
    folder.write("templates/p/claims.hbs", "{\"email\": {{Extra.email}}, \"roles\": {{Extra.roles}}}");
    folder.write("templates/p/claims.schema.json", shown);
    for (email, expected) in [("zoe@example.org", 0), ("zoe", 1)] {
        let extra = format!("{{\"email\":\"{email}\",\"roles\":[\"a\"]}}");
        folder.write("templates/p/one.session.json", &format!("{{\"subject\":\"zoe\",\"extra\":{extra}}}"));
        folder.write("templates/p/one.claims.json", &extra);
        let output = claimsmith(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(expected), "{email}: {}", stderr(&output));
    }
}

/// Checks a Kubernetes container: claimsmith accepts its arguments, and its volumes exist.
pub(super) fn check_container(value: &Value) {
    let container = &value["containers"][0];
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let wrong: Vec<_> = names::invalid_commands(&format!("claimsmith {}", arguments.join(" "))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for mount in container["volumeMounts"].as_array().unwrap() {
        let volumes = value["volumes"].as_array().unwrap();
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{value}");
        assert_eq!(mount.get("subPath"), None, "{value}");
    }
}

/// Checks an overlay of `deploy/kubernetes`: the images and ConfigMaps that it changes exist.
pub(super) fn check_overlay(value: &Value) {
    let folder = repository().join("deploy/kubernetes");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (base, deployment, rotate) = (read("kustomization.yaml"), read("deployment.yaml"), read("rotate.yaml"));
    for image in value["images"].as_array().unwrap() {
        let name = image["name"].as_str().unwrap();
        assert!([&base, &deployment, &rotate].iter().any(|text| text.contains(name)), "{name}");
    }
    let base = yaml::parse(&base).unwrap();
    for map in value["configMapGenerator"].as_array().unwrap() {
        let maps = base["configMapGenerator"].as_array().unwrap();
        assert!(maps.iter().any(|known| known["name"] == map["name"]), "{map}");
    }
}
