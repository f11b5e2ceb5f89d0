//! Invalid input gets a problem document without a token and without session values, and the service keeps running.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Answer, Setup, TestApp, corpus, files_below, post, send, spawn_app};

fn refused(app: &TestApp, body: &[u8]) -> (u16, String, Answer) {
    let answer = send(app.api, &post("/hydrate/p", &[], body));
    answer.assert_is_problem();
    let kind = answer.json()["type"].as_str().unwrap().to_owned();
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200, "the next request is served");
    (answer.status, kind, answer)
}

#[test]
fn invalid_sessions_have_their_error_codes() {
    let app = spawn_app(&Setup::default());
    let nested = format!("{{\"subject\":\"u\",\"extra\":{{\"n\":{}{}}}}}", "[".repeat(2000), "]".repeat(2000));
    let huge = format!("{{\"subject\":\"u\",\"extra\":{{\"n\":1{}}}}}", "0".repeat(400));
    let cases: [(&[u8], u16, &str); 17] = [
        (b"", 400, "session.malformed"),
        (b"{\"subject\":\"canary", 400, "session.malformed"),
        (b"\xef\xbb\xbf{\"subject\":\"u\"}", 400, "session.malformed"),
        (b"{\"subject\":\"u\xff\"}", 400, "session.malformed"),
        (b"{\"subject\":\"\\ud800\"}", 400, "session.malformed"),
        (b"{\"subject\":\"u\"} {}", 400, "session.malformed"),
        (huge.as_bytes(), 400, "session.malformed"),
        (nested.as_bytes(), 400, "session.depth"),
        (b"{\"subject\":\"u\",\"extra\":{\"canary\":1,\"canary\":2}}", 400, "session.duplicate_member"),
        (b"{\"subject\":\"u\",\"SUBJECT\":\"v\"}", 400, "session.duplicate_member"),
        (b"[{\"subject\":\"u\"}]", 400, "session.invalid"),
        (b"{\"extra\":{}}", 400, "session.invalid"),
        (b"{\"subject\":null}", 400, "session.invalid"),
        (b"{\"subject\":42}", 400, "session.invalid"),
        (b"{\"subject\":\"u\",\"extra\":\"canary\"}", 400, "session.invalid"),
        (b"{\"subject\":\"u\",\"header\":{\"canary\":\"b\"}}", 400, "session.invalid"),
        (b"{\"subject\":\"\"}", 422, "session.empty_subject"),
    ];
    for (body, status, kind) in cases {
        let (found, found_kind, answer) = refused(&app, body);
        assert_eq!((found, found_kind.as_str()), (status, kind), "{}", String::from_utf8_lossy(body));
        assert!(!answer.text().contains("canary"));
    }
}

#[test]
fn limits_have_their_error_codes() {
    let app = spawn_app(&Setup {
        template: r#"{"a": {{Extra.a}}, "b": [{{#each Extra.l}}{{#each @root.Extra.l}}1{{/each}}{{/each}}]}"#,
        profile: "    missing: as_null",
        config: "limits: { body: 32KiB, depth: 16, claims: 1KiB, template_work: 1000 }",
        ..Setup::default()
    });
    let session = |extra: &str| format!("{{\"subject\":\"u\",\"extra\":{extra}}}").into_bytes();
    let cases = [
        (vec![b' '; 32 * 1024 + 1], 413, "request.body_too_large"),
        (session(&format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20))), 400, "session.depth"),
        (session(&format!("{{\"a\":\"{}\"}}", "x".repeat(2000))), 422, "template.limit"),
        (session(&format!("{{\"l\":[{}1]}}", "1,".repeat(100))), 422, "template.limit"),
    ];
    for (body, status, kind) in cases {
        let (found, found_kind, _) = refused(&app, &body);
        assert_eq!((found, found_kind.as_str()), (status, kind));
    }
}

#[test]
fn template_errors_name_the_path_without_the_value() {
    let app =
        spawn_app(&Setup { template: "{\"a\": \"{{Extra.a}}\"}", profile: "    missing: as_null", ..Setup::default() });
    let (status, kind, answer) = refused(&app, br#"{"subject":"u","extra":{"a":{"canary":"canary"}}}"#);
    assert_eq!((status, kind.as_str()), (422, "template.wrong_type"));
    assert!(answer.text().contains("Extra.a is an object") && !answer.text().contains("canary"), "{}", answer.text());
}

/// Posts each session in `folder` and returns the numbers of rejected and served sessions. The service must reject
/// exactly the files named `*.bad.json`.
fn check_sessions(app: &TestApp, folder: &Path) -> (usize, usize) {
    let mut count = (0, 0);
    for file in files_below(folder, "json") {
        let name = file.display();
        let body = fs::read(&file).unwrap();
        if file.to_string_lossy().ends_with(".bad.json") {
            let (status, kind, answer) = refused(app, &body);
            assert!((400..500).contains(&status) && kind.starts_with("session."), "{name}: {status} {kind}");
            for value in String::from_utf8_lossy(&body).split('"').filter(|value| value.len() > 10) {
                assert!(!answer.text().contains(value), "{name}");
            }
            count.0 += 1;
        } else {
            let answer = send(app.api, &post("/hydrate/p", &[], &body));
            let expires = body.windows(12).any(|window| window == b"\"expires_at\"");
            if answer.status == 422 && expires {
                assert_eq!(answer.json()["type"], "session.expired", "{name}");
                app.clock.set(1_772_280_000);
                assert_eq!(send(app.api, &post("/hydrate/p", &[], &body)).status, 200, "{name}");
                app.clock.set(crate::support::NOW);
            } else {
                assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            }
            count.1 += 1;
        }
    }
    count
}

#[test]
fn recorded_invalid_bodies_are_rejected_and_valid_ones_are_served() {
    let app = spawn_app(&Setup { profile: "    allow_empty_subject: true", ..Setup::default() });
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sessions");
    assert_eq!(check_sessions(&app, &fixtures), (11, 6));
    if let Some(folder) = corpus() {
        let folder = folder.join("sessions");
        let results = fs::read_to_string(folder.join("go-decode-results.jsonl")).unwrap();
        for result in results.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let is_bad = result["file"].as_str().unwrap().ends_with(".bad.json");
            assert!(is_bad || result["decodes"] == true, "{result}");
        }
        let count = check_sessions(&app, &folder);
        assert!(count.0 >= 16 && count.1 >= 14, "{count:?}");
    }
}
