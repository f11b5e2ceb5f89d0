//! What the log, the response, the metrics and the audit log report about a refused request.

use std::fs;

use serde_json::Value;

use crate::support::{Answer, Service, Setup, TestApp, get, post, send, serving_folder, spawn_app, wait_until};

const GATEWAY: (&str, &str) = ("Authorization", "Bearer the-token-of-the-gateway");
const ONE_PROFILE: (&str, &str) = ("Authorization", "Bearer the-token-of-one-profile");

/// Two profiles, a caller for all of them and one for the first.
fn setup(config: &'static str) -> Setup<'static> {
    Setup {
        profile: "  orders: { issuer: i, jwks: keys.json, template: p }",
        config,
        files: &[("gateway", "the-token-of-the-gateway"), ("one", "the-token-of-one-profile")],
        template: r#"{"email": {{Extra.email}}}"#,
        ..Setup::default()
    }
}

const CALLERS: &str = "callers:\n  - { name: gateway, bearer: { token_file: gateway } }\n  \
                       - { name: one, bearer: { token_file: one }, profiles: [p] }\n";

fn ask(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(app.api, &post(path, headers, br#"{"subject":"u"}"#))
}

fn detail(answer: &Answer) -> String {
    answer.assert_is_problem();
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[test]
fn only_a_caller_learns_the_names_of_profiles() {
    let app = spawn_app(&setup(CALLERS));
    let found = detail(&ask(&app, "/issue/order", &[GATEWAY]));
    assert_eq!(found, "expected the name of a configured profile in the path, found `order`; did you mean `orders`?");
    let escaped = detail(&ask(&app, "/issue/%22%0a%E2%80%AE", &[GATEWAY]));
    assert!(escaped.ends_with(r"found `\u{22}\u{a}\u{202e}`"), "{escaped}");
    let long = detail(&ask(&app, &format!("/issue/{}", "x".repeat(5000)), &[GATEWAY]));
    assert!(long.len() < 200, "{long}");

    // A caller for one profile, a client that is not authenticated, and a verifier.
    let forbidden = ask(&app, "/issue/order", &[ONE_PROFILE]);
    let strangers = [
        forbidden,
        ask(&app, "/issue/order", &[]),
        ask(&app, "/issue/order", &[("Authorization", "Bearer guess")]),
        send(app.api, &get("/order/.well-known/jwks.json")),
    ];
    for answer in strangers {
        assert!(answer.status >= 401, "{answer:?}");
        assert!(!detail(&answer).contains("order"), "{answer:?}");
    }
    // Without callers anyone is a stranger.
    let open = spawn_app(&Setup { config: "", ..setup("") });
    let answer = ask(&open, "/issue/order", &[]);
    assert_eq!(answer.status, 404);
    assert!(!detail(&answer).contains("order"), "{answer:?}");
}

#[test]
fn failures_are_counted_by_profile_and_caller_and_names_that_clients_make_up_are_not() {
    let app = spawn_app(&setup(CALLERS));
    for _ in 0..2 {
        assert_eq!(ask(&app, "/issue/orders", &[GATEWAY]).status, 422);
    }
    assert_eq!(ask(&app, "/issue/orders", &[ONE_PROFILE]).status, 403);
    assert_eq!(ask(&app, "/issue/orders", &[]).status, 401);
    for name in 0..50 {
        assert_eq!(ask(&app, &format!("/issue/made-up-{name}"), &[GATEWAY]).status, 404);
    }
    let body = br#"{"subject":"u","extra":{"email":"e"}}"#;
    assert_eq!(send(app.api, &post("/issue/orders", &[GATEWAY], body)).status, 200);
    let text = app.get_admin("/metrics").text();
    for line in [
        r#"claimsmith_failures_total{code="template.missing_value",profile="orders",caller="gateway"} 2"#,
        r#"claimsmith_failures_total{code="caller.forbidden",profile="orders",caller="one"} 1"#,
        r#"claimsmith_failures_total{code="caller.unauthenticated",profile="orders",caller="unknown"} 1"#,
        r#"claimsmith_failures_total{code="profile.unknown",profile="unknown",caller="gateway"} 50"#,
        r#"claimsmith_profile_requests_total{profile="orders",result="refused"} 3"#,
        r#"claimsmith_profile_requests_total{profile="orders",result="issued"} 1"#,
        r#"claimsmith_profile_requests_total{profile="p",result="issued"} 0"#,
        r#"claimsmith_profile_requests_total{profile="p",result="login"} 0"#,
        r#"claimsmith_profile_requests_total{profile="unknown",result="refused"} 50"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nnot in\n{text}");
    }
    assert!(!text.contains("made-up"), "{text}");
}

#[test]
fn log_line_names_profile_caller_peer_and_what_was_asked_for() {
    let folder = serving_folder("", "callers: [{ name: gateway, bearer: { token_file: gateway } }]");
    folder.write("gateway", "the-token-of-the-gateway");
    let service = Service::start(folder);
    let long = format!("/issue/{}", "n".repeat(100));
    for (path, id, headers) in [
        ("/issue/p", "known", &[GATEWAY][..]),
        ("/issue/p%0anext", "unknown", &[GATEWAY]),
        (&long, "long", &[GATEWAY]),
        ("/issue/secret-of-a-user", "stranger", &[]),
    ] {
        let headers: Vec<_> = headers.iter().copied().chain([("X-Request-Id", id)]).collect();
        assert!(send(service.api, &post(path, &headers, b"[]")).status >= 400);
    }
    let line = |id: &str| -> Value {
        let log = service.log.lock().unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.into_iter().find(|line| line["request_id"] == id).unwrap_or_default()
    };
    wait_until(|| !line("stranger").is_null());
    let of = |id: &str, names: [&str; 3]| {
        let line = line(id);
        assert_eq!(line["peer"], "127.0.0.1", "{line}");
        names.map(|name| line[name].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(of("known", ["profile", "caller", "asked"]), ["p", "gateway", ""]);
    assert_eq!(of("unknown", ["profile", "caller", "asked"]), ["unknown", "gateway", r"p\u{a}next"]);
    assert_eq!(of("long", ["profile", "caller", "asked"]), ["unknown", "gateway", &format!("{}…", "n".repeat(64))]);
    // What was not looked up is not logged.
    assert_eq!(of("stranger", ["profile", "caller", "asked"]), ["unknown", "unknown", ""]);
}

#[test]
fn request_id_of_the_gateway_is_adopted_if_it_is_plain() {
    let app = spawn_app(&Setup { config: "audit: { to: 'file://audit.jsonl' }", ..Setup::default() });
    let with = |ids: &[&str], body: &[u8]| {
        let headers: Vec<_> = ids.iter().map(|id| ("X-Request-Id", *id)).collect();
        let answer = send(app.api, &post("/issue/p", &headers, body));
        (answer.header("x-request-id").unwrap().to_owned(), answer)
    };
    let (id, answer) = with(&["kong-7#1"], br#"{"subject":"u"}"#);
    assert_eq!((id.as_str(), answer.status), ("kong-7#1", 200));
    let (id, answer) = with(&["0B54F1E2-3c1d-4d0f-9c51-0a4f8c1b2d3e"], b"[]");
    assert_eq!(id, "0B54F1E2-3c1d-4d0f-9c51-0a4f8c1b2d3e");
    assert_eq!(answer.json()["instance"], "urn:uuid:0b54f1e2-3c1d-4d0f-9c51-0a4f8c1b2d3e");
    assert_eq!(with(&["kong-7#1"], b"[]").1.json()["instance"], "#kong-7%231");
    let too_long = "a".repeat(65);
    for ids in [&[][..], &["one", "two"], &["a b"], &["<script>"], &[&too_long], &["a\"b"], &["{\"a\":1}"]] {
        let (id, answer) = with(ids, b"[]");
        assert_eq!(id.len(), 36, "{ids:?}");
        assert_eq!(answer.json()["instance"], format!("urn:uuid:{id}"), "{ids:?}");
    }
    let path = app.folder.path().join("audit.jsonl");
    wait_until(|| fs::read_to_string(&path).is_ok_and(|text| text.contains(r#""request_id":"kong-7#1""#)));
    let keys = send(app.api, b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nX-Request-Id: j1\r\n\r\n");
    assert_eq!(keys.header("x-request-id"), Some("j1"));
}

#[test]
fn refused_requests_have_audit_lines_without_their_content() {
    const CANARY: &str = "canary9d2e";
    let config = format!("audit: {{ to: 'file://audit.jsonl', refused: true }}\n{CALLERS}");
    let app = spawn_app(&Setup { config: &config, ..setup("") });
    let bodies = [
        format!(r#"{{"subject":"{CANARY}","extra":{{"{CANARY}":1}}}}"#),
        format!(r#"{{"subject":"{CANARY}", {CANARY}"#),
        format!(r#"{{"subject":"","extra":{{"email":"{CANARY}"}}}}"#),
    ];
    let credentials = format!("Bearer {CANARY}");
    let path = app.folder.path().join("audit.jsonl");
    let made_up = format!("/hydrate/{CANARY}");
    let mut requests = 0;
    for body in &bodies {
        for (target, authorization) in [
            ("/issue/p", GATEWAY.1),
            ("/hydrate/orders", ONE_PROFILE.1),
            (&made_up, GATEWAY.1),
            ("/issue/p", &credentials),
        ] {
            let headers = [("Authorization", authorization), ("Cookie", CANARY), ("X-Request-Id", "r-1")];
            let answer = send(app.api, &post(&format!("{target}?q={CANARY}"), &headers, body.as_bytes()));
            assert!(answer.status >= 400, "{answer:?}");
            requests += 1;
        }
    }
    // Paths that issue no token cause no lines.
    assert_eq!(send(app.api, &get("/nothing")).status, 404);
    let body = format!(r#"{{"subject":"u","extra":{{"email":"{CANARY}"}}}}"#);
    assert_eq!(send(app.api, &post("/issue/p", &[GATEWAY], body.as_bytes())).status, 200);
    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    wait_until(|| lines().len() == requests + 1);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(CANARY) && !text.contains("the-token-of"), "{text}");
    let lines = lines();
    assert_eq!(lines.last().unwrap()["event"], "token_issued");
    let of = |index: usize, name: &str| lines[index][name].as_str().unwrap_or("none").to_owned();
    for (index, expected) in [
        ["template.missing_value", "gateway", "p"],
        ["caller.forbidden", "one", "orders"],
        ["profile.unknown", "gateway", "none"],
        ["caller.unauthenticated", "none", "p"],
    ]
    .iter()
    .enumerate()
    {
        assert_eq!([of(index, "code"), of(index, "caller"), of(index, "profile")], *expected, "{text}");
        assert_eq!(
            [of(index, "event"), of(index, "peer"), of(index, "request_id")],
            ["request_refused", "127.0.0.1", "r-1"]
        );
    }
    assert_eq!(lines[1]["status"], 403);
}
