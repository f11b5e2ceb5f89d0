//! What a check does with recorded answers of its sources: `check-session`, and the recorded cases of checks.

use std::process::Output;

use claimsmith::keys::{self, SignatureAlg};
use serde_json::{Value, json};

use crate::fake_issuer::IssuerKey;
use crate::support::{Folder, claimsmith, stderr, stdout};

const AT: &str = "2026-03-01T10:00:00Z";
const CONFIG: &str = "profiles: { p: { issuer: 'https://i.example/', jwks: keys.json, ttl: 15m } }\n\
    callers: [{ name: proxy, networks: 127.0.0.1 }]\n\
    sources:\n  kratos: { type: kratos, public: 'http://kratos:4433' }\n  \
    hydra: { type: introspection, url: 'http://hydra/introspect' }\n  \
    partner: { type: jwt, issuer: 'https://idp.example', audience: [orders], algorithms: [ES256], jwks: partner.json }\n  \
    guest: { type: anonymous, subject: guest }\n\
    checks:\n  web:\n    sources: [kratos, hydra, partner, guest]\n    profile: p\n    headers: { X-User: sub, X-Plan: plan }\n    metadata: { user: sub, n: n, plan: plan }\n  \
    strict:\n    sources: kratos\n    profile: p\n    require: { aal: aal2, max_auth_age: 15m }\n    \
    login: https://id.example/login\n    origins: ['https://app.example']\n";

fn whoami(aal: &str, authenticated_at: &str) -> Value {
    json!({"id": "s-1", "active": true, "expires_at": "2026-03-01T10:05:00Z", "authenticated_at": authenticated_at,
        "authenticator_assurance_level": aal, "identity": {"id": "u-1", "n": 9_007_199_254_740_993_i64}})
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("partner.json", &IssuerKey::new("k1").set());
    folder
        .write("templates/p/claims.hbs", r#"{"n": {{default Extra.identity.n 0}}, "path": {{MatchContext.URL.Path}}}"#);
    folder.write("claimsmith.yaml", CONFIG);
    folder.write("aal1.json", &whoami("aal1", "2026-03-01T09:50:00Z").to_string());
    folder.write("aal2.json", &whoami("aal2", "2026-03-01T09:50:00Z").to_string());
    folder.write("old.json", &whoami("aal2", "2026-03-01T09:40:00Z").to_string());
    folder
}

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    claimsmith(folder.path(), &[&["check-session"], arguments, &["--at", AT]].concat())
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&stdout(output))
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

#[test]
fn recorded_session_shows_claims_headers_and_requirements() {
    let folder = folder();
    let arguments = ["web", "--session", "aal1.json", "--url", "https://app.example/a?b", "--json"];
    let output = run(&folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("9007199254740993"), "numbers stay exact: {}", stdout(&output));
    let shown = json_of(&output);
    assert_eq!(shown["ok"], true);
    assert_eq!(shown["source"], json!({"name": "kratos", "type": "kratos", "result": "session", "reason": null}));
    assert_eq!(shown["status"], json!({"forward_auth": 200, "auth_request": 200}));
    let claims = &shown["claims"];
    assert_eq!(
        (&claims["sub"], &claims["path"], &claims["iss"]),
        (&json!("u-1"), &json!("/a"), &json!("https://i.example/"))
    );
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 300, "the token ends with the session");
    let headers = json!([{"name": "authorization", "value": "Bearer <token>"}, {"name": "x-user", "value": "u-1"},
        {"name": "x-plan", "value": ""}]);
    assert_eq!(shown["headers"], headers);
    let metadata = json!([{"name": "user", "value": "u-1"}, {"name": "n", "value": 9_007_199_254_740_993_i64}]);
    assert_eq!(shown["metadata"], metadata, "missing claims are left out");
    let text = stdout(&run(&folder, &arguments[..arguments.len() - 1]));
    assert!(text.contains("dynamic metadata of Envoy: n: 9007199254740993\n"), "{text}");
    let expiry = json!([{"requirement": "expiry", "expected": "after 2026-03-01T10:00:00Z",
        "found": "2026-03-01T10:05:00Z", "met": true}]);
    assert_eq!(shown["requirements"], expiry);

    let signed = json_of(&run(&folder, &[&arguments[..], &["--sign"]].concat()));
    let token = signed["headers"][0]["value"].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let set = std::fs::read(folder.path().join("keys.json")).unwrap();
    let verified: Value = serde_json::from_str(keys::verify(&token, &set).unwrap().claims()).unwrap();
    assert_eq!(verified, signed["claims"]);
}

#[test]
fn insufficient_session_shows_what_it_lacks_and_where_a_browser_goes() {
    let folder = folder();
    let browser = ["--browser", "--url", "https://app.example/a", "--json"];
    for (file, status, code, query, met) in [
        ("aal1.json", 302, "session.level", "aal=aal2&", [true, false, true]),
        ("old.json", 302, "session.age", "refresh=true&", [true, true, false]),
    ] {
        let output = run(&folder, &[&["strict", "--session", file][..], &browser].concat());
        assert_eq!(output.status.code(), Some(1));
        let shown = json_of(&output);
        assert_eq!((&shown["ok"], &shown["error"]["code"]), (&json!(false), &json!(code)), "{file}");
        assert_eq!(shown["status"], json!({"forward_auth": status, "auth_request": 401}));
        let location = format!("https://id.example/login?{query}return_to=https%3A%2F%2Fapp.example%2Fa");
        assert_eq!(shown["headers"][0], json!({"name": "location", "value": location}));
        let found: Vec<_> = shown["requirements"].as_array().unwrap().iter().map(|one| one["met"].clone()).collect();
        assert_eq!(found, met, "{shown}");
    }
    assert_eq!(run(&folder, &["strict", "--session", "aal2.json"]).status.code(), Some(0));
    let text = stdout(&run(&folder, &["strict", "--session", "aal1.json"]));
    assert!(text.contains("source kratos (kratos): session\n"), "{text}");
    assert!(text.contains("aal: not met; expected aal2 or more, found aal1\n"), "{text}");
    assert!(
        text.contains("answer: 401 at /forward-auth and /ext-authz, 401 at /auth-request: expected a session of aal2"),
        "{text}"
    );
    let late = claimsmith(
        folder.path(),
        &["check-session", "web", "--session", "aal1.json", "--at", "2026-03-01T10:05:00Z", "--json"],
    );
    assert_eq!(json_of(&late)["error"]["code"], "session.required", "the session ended");
}

#[test]
fn answers_of_each_kind_of_source_can_be_shown() {
    let folder = folder();
    folder.write("empty.json", "{}");
    folder.write("step.json", r#"{"redirect_browser_to":"https://id.example/login?aal=aal2"}"#);
    folder.write("inactive.json", r#"{"active":false}"#);
    folder.write("refresh.json", r#"{"active":true,"sub":"u","token_use":"refresh_token"}"#);
    let claims = r#"{"iss":"https://idp.example","aud":"orders","sub":"p","exp":4000000000}"#;
    folder.write("claims.json", claims);
    folder.write("other.json", &claims.replace("orders", "billing"));
    for (file, more, result, reason, code) in [
        ("empty.json", &["--status", "401"][..], "no_session", json!("inactive"), "session.required"),
        ("step.json", &["--status", "403"], "step_up", Value::Null, "session.level"),
        ("empty.json", &["--status", "429"], "rate_limited", Value::Null, "source.rate_limited"),
        ("empty.json", &["--status", "503"], "gateway", Value::Null, "source.unavailable"),
        ("empty.json", &[], "malformed", Value::Null, "source.unavailable"),
        ("inactive.json", &["--source", "hydra"], "no_session", json!("inactive"), "session.required"),
        ("refresh.json", &["--source", "hydra"], "no_session", json!("type"), "session.required"),
        ("claims.json", &["--source", "partner"], "session", Value::Null, ""),
        ("other.json", &["--source", "partner"], "no_session", json!("audience"), "session.required"),
        ("empty.json", &["--source", "guest"], "session", Value::Null, ""),
    ] {
        let shown = json_of(&run(&folder, &[&["web", "--session", file, "--json"], more].concat()));
        assert_eq!((&shown["source"]["result"], &shown["source"]["reason"]), (&json!(result), &reason), "{shown}");
        assert_eq!(shown["error"]["code"].as_str().unwrap_or_default(), code, "{shown}");
        if code == "session.required" {
            let is_token = more[0] == "--source";
            let challenge = if is_token { r#"Bearer error="invalid_token""# } else { "Bearer" };
            let header = json!({"name": "www-authenticate", "value": challenge});
            assert!(shown["headers"].as_array().unwrap().contains(&header), "{shown}");
        }
    }
}

#[test]
fn response_that_is_too_large_for_some_proxies_is_noted() {
    let folder = folder();
    let mut large = whoami("aal1", "2026-03-01T09:50:00Z");
    large["identity"]["n"] = json!("x".repeat(3000));
    folder.write("large.json", &large.to_string());
    for (file, expected) in [("large.json", true), ("aal1.json", false)] {
        let output = run(&folder, &["web", "--session", file]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stderr(&output).contains("proxy_buffer_size"), expected, "{file}: {}", stderr(&output));
    }
}

#[test]
fn recorded_cases_of_checks_are_run_by_check_and_stop_a_start() {
    let folder = folder();
    let case = |check: &str, expected: Value| {
        let mut case = json!({"check": check, "at": AT, "answer": {"body": whoami("aal1", "2026-03-01T09:50:00Z")},
            "request": {"url": "https://app.example/a", "accepts_html": true}});
        case.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        case.to_string()
    };
    let claims = json!({"n": 9_007_199_254_740_993_i64, "path": "/a"});
    let good = json!({"claims": claims, "headers": {"X-User": "u-1"}});
    let location = "https://id.example/login?aal=aal2&return_to=https%3A%2F%2Fapp.example%2Fa";
    let denial = json!({"denial": {"code": "session.level", "location": location}});
    folder.write("templates/p/web.check.json", &case("web", good.clone()));
    folder.write("templates/p/strict.check.json", &case("strict", denial.clone()));
    folder.write("templates/p/other.check.json", &case("wbe", good.clone()));
    let output = claimsmith(folder.path(), &["check", "--json"]);
    let shown = json_of(&output);
    assert_eq!((output.status.code(), &shown["ok"]), (Some(0), &json!(true)), "{shown}");
    let note = "templates/p/other.check.json: not run, because there is no check `wbe`";
    assert!(shown["notes"].as_array().unwrap().contains(&json!(note)), "{shown}");

    for (name, text, expected) in [
        (
            "claims",
            case("web", json!({"claims": {"n": 1, "path": "/a"}})),
            "claims.n: expected 1, found 9007199254740993",
        ),
        (
            "header",
            case("web", json!({"claims": claims, "headers": {"X-Plan": "gold"}})),
            "headers.X-Plan: expected \"gold\", found ",
        ),
        ("passes", case("web", denial), "expected the denial session.level, found claims"),
        ("denied", case("strict", good), "expected claims, found: expected a session of aal2"),
        (
            "code",
            case("strict", json!({"denial": {"code": "session.age"}})),
            "code: expected session.age, found session.level",
        ),
        (
            "place",
            case("strict", json!({"denial": {"code": "session.level", "location": "https://x"}})),
            "location: expected https://x, found https://id",
        ),
        ("member", case("web", json!({"claims": {}, "cliams": {}})), "found `cliams`"),
        ("both", case("web", json!({"claims": {}, "denial": {}})), "expected either `claims` or `denial`"),
        ("time", r#"{"check":"web","claims":{}}"#.to_owned(), "expected `at`"),
        ("text", "{".to_owned(), "cannot read the case"),
    ] {
        folder.write("templates/p/case.check.json", &text);
        let output = claimsmith(folder.path(), &["check", "--json"]);
        let shown = json_of(&output);
        let fault = &shown["faults"][0];
        assert_eq!(
            (output.status.code(), &fault["code"]),
            (Some(1), &json!("template.recorded_case")),
            "{name}: {shown}"
        );
        assert_eq!(fault["path"], "templates/p/case.check.json");
        assert!(fault["message"].as_str().unwrap().contains(expected), "{name}: {fault}");
    }
    assert_eq!(claimsmith(folder.path(), &["serve"]).status.code(), Some(78));
    let shown = run(&folder, &["web", "--session", "aal1.json"]);
    assert_eq!(shown.status.code(), Some(0), "a case that fails can still be looked at");
}

#[test]
fn cases_of_checks_can_be_lines_of_a_file() {
    let folder = folder();
    let line = |id: &str, check: &str| {
        json!({"id": id, "check": check, "at": AT, "answer": {"body": whoami("aal2", "2026-03-01T09:50:00Z")},
            "claims": {"n": 9_007_199_254_740_993_i64, "path": "/"}})
    };
    let of_template = json!({"id": "t", "template": "{\"a\": 1}", "session": {"subject": "u"}, "claims": {"a": 1}});
    folder.write("good.jsonl", &format!("{}\n{of_template}\n{}\n", line("a", "web"), line("b", "strict")));
    let output = claimsmith(folder.path(), &["test", "good.jsonl"]);
    assert_eq!(stdout(&output), "3 passed, 0 failed\n", "{}", stderr(&output));
    folder.write("bad.jsonl", &line("c", "nope").to_string());
    let output = claimsmith(folder.path(), &["test", "bad.jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "FAIL \"c\"\n  expected `check` to be the name of a configured check, found `nope`\n";
    assert!(stdout(&output).starts_with(expected), "{}", stdout(&output));
}

#[test]
fn shipped_cases_of_ory_proxy_hold_for_its_check() {
    let folder = folder();
    let config = |require: &str| {
        format!(
            "templates: {}/templates\n\
             profiles: {{ ory_proxy: {{ issuer: 'https://i.example/', jwks: keys.json, ttl: 60s, cache: off }} }}\n\
             callers: [{{ name: proxy, networks: 127.0.0.1 }}]\n\
             sources: {{ ory: {{ type: kratos, public: 'https://x.projects.oryapis.com', cookies: ['ory_session_*'] }} }}\n\
             checks: {{ ory_proxy: {{ sources: ory, profile: ory_proxy, {require} }} }}\n",
            env!("CARGO_MANIFEST_DIR")
        )
    };
    folder.write("claimsmith.yaml", &config(""));
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    folder.write("claimsmith.yaml", &config("require: { max_auth_age: 1s }"));
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("second_factor.check.json: the check `ory_proxy` does not decide as recorded"),
        "{}",
        stderr(&output)
    );
}
