//! Attacks from docs/threat-model.md that no other test covers, and their failure.

use std::fs;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use claimsmith::keys::{self, KeyId, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{
    Folder, Service, Setup, TestApp, claimsmith, post, read_all_statuses, send, spawn_app, stderr, wait_until,
};

const ONE: &str = "Bearer the-token-of-the-one-caller";
const ALL: &str = "Bearer the-token-of-the-other-caller";

/// Two profiles. The caller `one` may use only one of them.
fn two_callers() -> TestApp {
    spawn_app(&Setup {
        template: "{\"name\": {{Extra.name}}}",
        profile: "  q: { issuer: i, jwks: keys.json, template: p }",
        config: "callers:
  - { name: one, bearer: { token_file: one }, profiles: [q] }
  - { name: all, bearer: { token_file: all } }
limits: { failed_attempts: 1000000 }
reload: { interval: 100ms }",
        files: &[("one", "the-token-of-the-one-caller"), ("all", "the-token-of-the-other-caller")],
        ..Setup::default()
    })
}

fn request_token(app: &TestApp, path: &str, authorization: &str, session: &str) -> (u16, String) {
    let answer = send(app.api, &post(path, &[("Authorization", authorization)], session.as_bytes()));
    (answer.status, answer.text())
}

fn metric_lines(app: &TestApp) -> usize {
    app.get_admin("/metrics").text().lines().count()
}

#[test]
fn path_encodings_never_reach_another_profile() {
    let app = two_callers();
    let session = r#"{"subject":"u","extra":{"name":"n"}}"#;
    assert_eq!(request_token(&app, "/issue/q", ONE, session).0, 200);
    assert_eq!(request_token(&app, "/issue/%71", ONE, session).0, 200, "the decoded name counts");
    for path in [
        "/issue/p",
        "/issue/%70",
        "/issue/%2570",
        "/issue/P",
        "/issue/p%00",
        "/issue/p%20",
        "/issue/q%2f..%2fp",
        "/issue/q/../p",
        "/issue/./p",
        "/issue//p",
        "//issue/p",
        "/issue/q;p",
        "/issue/q\\p",
        "/issue/%ff",
        "/issue/%",
        "/hydrate/../issue/p",
        "http://x/issue/p",
    ] {
        let (status, text) = request_token(&app, path, ONE, session);
        assert!([403, 404].contains(&status) && !text.contains("eyJ"), "{path}: {status} {text}");
    }
    for path in ["/issue/q?profile=p", "/issue/q#/issue/p", "http://p/issue/q"] {
        let answer: Value = serde_json::from_str(&request_token(&app, path, ONE, session).1).unwrap();
        let claims: Value = serde_json::from_str(app.verify(answer["token"].as_str().unwrap()).claims()).unwrap();
        assert_eq!(claims["iss"], "i", "{path} is the profile q");
    }
}

#[test]
fn cached_tokens_require_permission_for_the_profile() {
    let app = two_callers();
    let session = r#"{"subject":"u","extra":{"name":"n"}}"#;
    let (first, again) = (request_token(&app, "/issue/p", ALL, session), request_token(&app, "/issue/p", ALL, session));
    assert_eq!((first.0, &first), (200, &again), "it is in the cache");
    for authorization in [ONE, "Bearer another-token", "Basic eDp5", ""] {
        let (status, text) = request_token(&app, "/issue/p", authorization, session);
        assert!([401, 403].contains(&status) && !text.contains("eyJ"), "{authorization}: {text}");
    }
    let of_q = request_token(&app, "/issue/q", ALL, session);
    assert_ne!(of_q.1, first.1, "another profile has a token of its own");
    app.folder.write("all", "the-secret-has-changed-meanwhile");
    wait_until(|| request_token(&app, "/issue/p", "Bearer the-secret-has-changed-meanwhile", session).0 == 200);
    assert_eq!(request_token(&app, "/issue/p", ALL, session).0, 401, "an old secret finds nothing in the cache");
}

#[test]
fn near_miss_credentials_are_rejected() {
    let app = spawn_app(&Setup {
        template: "{}",
        config: "callers:
  - { name: a, basic: { username: user, password_file: password } }
  - { name: b, bearer: { token_file: token } }
limits: { failed_attempts: 1000000 }",
        files: &[("password", "a-password-of-some-length"), ("token", "a-token-of-some-length")],
        ..Setup::default()
    });
    let status = |headers: &str| {
        let request =
            format!("POST /issue/p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 15\r\n{headers}\r\n");
        send(app.api, format!("{request}{{\"subject\":\"u\"}}").as_bytes()).status
    };
    let basic = |text: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(text));
    let right = basic("user:a-password-of-some-length");
    assert_eq!((status(&right), status("Authorization: Bearer a-token-of-some-length\r\n")), (200, 200));
    for headers in [
        String::new(),
        basic("user:"),
        basic(":a-password-of-some-length"),
        basic("user:a-password-of-some-length\n"),
        basic("user:a-password-of-some-length\0"),
        basic("USER:a-password-of-some-length"),
        basic("user:a-token-of-some-length"),
        basic("a-password-of-some-length"),
        format!("{right}{right}"),
        format!("{right}authorization: Bearer a-token-of-some-length\r\n"),
        right.replace("Authorization", "Proxy-Authorization"),
        right.replace("Basic ", "Basic\t"),
        right.replace("Basic ", "Basic:"),
        "Authorization: Bearer a-token-of-some-length, Basic x\r\n".to_owned(),
        "Authorization: Bearer A-token-of-some-length\r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization:\r\n".to_owned(),
        "X-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\n".to_owned(),
        "X-Claimsmith-Caller: b\r\nCookie: caller=b\r\n".to_owned(),
    ] {
        assert_eq!(status(&headers), 401, "{headers}");
    }
    for folded in ["Authorization : Bearer a-token-of-some-length\r\n", "X: y\r\n Authorization: Bearer t\r\n"] {
        assert_eq!(status(folded), 400, "{folded}");
    }
}

/// Values that look alike, or that are ambiguous when concatenated.
fn lookalikes() -> Vec<String> {
    let values = [
        "null",
        "\"null\"",
        "\"\"",
        "\" \"",
        "1",
        "\"1\"",
        "1.0",
        "1e0",
        "true",
        "\"true\"",
        "[]",
        "{}",
        "[null]",
        "[[]]",
        "[1,2]",
        "[\"1\",\"2\"]",
        "[\"1,2\"]",
        "{\"a\":1}",
        "{\"a\":\"1\"}",
        "\"{}\"",
        "\"-\"",
        "\"=\"",
        "\"\\u0000\"",
        "\"a\"",
        "\"A\"",
        "\"a\\u0301\"",
        "\"\\u00e1\"",
        "\"\\\\u0061\"",
    ];
    let mut sessions = Vec::new();
    for value in values {
        sessions.push(format!(r#"{{"subject":"u","extra":{{"a":{value},"b":"x"}}}}"#));
        sessions.push(format!(r#"{{"subject":"u","extra":{{"a":"x","b":{value}}}}}"#));
    }
    for (subject, a, b) in [("u", "xy", "z"), ("u", "x", "yz"), ("ux", "y", "z"), ("uxy", "z", ""), ("", "", "")] {
        sessions.push(format!(r#"{{"subject":"{subject}","extra":{{"a":"{a}","b":"{b}"}}}}"#));
        sessions.push(format!(r#"{{"subject":"{subject}","extra":{{"b":"{a}","a":"{b}"}}}}"#));
    }
    for rest in ["", r#","extra":null"#, r#","extra":{}"#, r#","extra":{"a":1}"#, r#","extra":{"b":1}"#] {
        sessions.push(format!(r#"{{"subject":"u"{rest}}}"#));
    }
    sessions
}

#[test]
fn similar_sessions_never_share_a_token() {
    let app = spawn_app(&Setup {
        template: r#"{"a": {{Extra.a}}, "b": {{Extra.b}}, "kind": {{#if Extra.a}}1{{else}}0{{/if}}}"#,
        profile: "    missing: as_null
    allow_empty_subject: true
  fresh: { issuer: 'https://issuer.example/', jwks: keys.json, template: p, missing: as_null, allow_empty_subject: true,
           cache: off }",
        ..Setup::default()
    });
    let claims = |path: &str, session: &str| {
        let answer = app.post(path, session).json();
        let mut claims: Value = serde_json::from_str(app.verify(answer["token"].as_str().unwrap()).claims()).unwrap();
        claims.as_object_mut().unwrap().remove("jti");
        claims.to_string()
    };
    // The second round is served from the cache.
    for _ in 0..2 {
        for session in lookalikes() {
            assert_eq!(claims("/issue/p", &session), claims("/issue/fresh", &session), "{session}");
        }
    }
    let metrics = app.get_admin("/metrics").text();
    assert!(metrics.contains("claimsmith_token_cache_lookups_total{result=\"hit\"}"), "{metrics}");
}

#[test]
fn removed_key_leaves_no_cached_token() {
    let app = spawn_app(&Setup { template: "{}", config: "reload: { interval: 100ms }", ..Setup::default() });
    let session = r#"{"subject":"u"}"#;
    let token = || app.post("/issue/p", session).json()["token"].as_str().unwrap().to_owned();
    let leaked = token();
    assert_eq!(token(), leaked);
    app.folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    wait_until(|| token() != leaked);
    let set = app.get("/.well-known/jwks.json").body;
    assert!(keys::verify(&leaked, &set).is_err(), "the old key is not published any more");
    assert_eq!(keys::verify(&token(), &set).unwrap().kid(), &KeyId::parse("key-1").unwrap());
}

#[test]
fn ambiguous_message_length_is_rejected() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    let body = r#"{"subject":"u"}"#;
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = String::from_utf8(post("/issue/p", &[], body.as_bytes())).unwrap();
    let cases = [
        (format!("{length}Transfer-Encoding: chunked\r\n\r\n{chunked}"), "both lengths"),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunked}"), "both lengths, the other way"),
        (format!("{length}Transfer-Encoding: chunked\r\n\r\n{body}"), "both, and a body by its length"),
        (format!("{length}{length}\r\n{body}"), "the length twice"),
        (format!("{length}Content-Length: 5\r\n\r\n{body}"), "two lengths"),
        (format!("Content-Length: {0}, {0}\r\n\r\n{body}", body.len()), "a list of lengths"),
        (format!("Content-Length: +{}\r\n\r\n{body}", body.len()), "a sign"),
        (format!("Content-Length: -1\r\n\r\n{body}"), "a length below nothing"),
        (format!("Content-Length: 0x0f\r\n\r\n{body}"), "a hexadecimal length"),
        (format!("Content-Length: 99999999999999999999\r\n\r\n{body}"), "a length beyond any"),
        (format!("Content-Length : 15\r\n\r\n{body}"), "a space before the colon"),
        (format!("Transfer-Encoding: xchunked\r\n\r\n{chunked}"), "an unknown coding"),
        (format!("Transfer-Encoding: gzip, chunked\r\n\r\n{chunked}"), "two codings"),
        (format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunked}"), "chunked, but not last"),
        (format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"), "the coding twice"),
        (format!("Transfer-Encoding: \u{b}chunked\r\n\r\n{chunked}"), "a control character"),
        (format!("Transfer-Encoding: chunked\r\n\r\n{}", chunked.replace("\r\n", "\n")), "line feeds alone"),
        (format!("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{body}"), "a chunk beyond any"),
        (format!("{length}X: a\0b\r\n\r\n{body}"), "a zero in a header"),
        (format!("{length}X: a\rb\r\n\r\n{body}"), "a carriage return in a header"),
        (format!("Host: y\r\n{length}\r\n{body}"), "two hosts"),
    ];
    for (rest, name) in cases {
        let found =
            read_all_statuses(app.api, format!("POST /issue/p HTTP/1.1\r\nHost: x\r\n{rest}{smuggled}").as_bytes());
        assert_eq!(found, [400], "{name}");
    }
}

#[test]
fn ambiguous_json_gets_no_token() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    let bodies: &[&[u8]] = &[
        br#"{"subject":"u","subject":"admin"}"#,
        br#"{"subject":"u","\u0073ubject":"admin"}"#,
        br#"{"subject":"u","SUBJECT":"admin"}"#,
        "{\"subject\":\"u\",\"\u{17f}ubject\":\"admin\"}".as_bytes(),
        br#"{"subject":"u","extra":{"a":1},"Extra":{"a":2}}"#,
        br#"{"subject":"u","extra":{"a":1,"\u0061":2}}"#,
        br#"{"subject":"u","unknown":{"a":{"b":1,"b":2}}}"#,
        br#"{"subject":"u","header":{"A":["1"],"A":["2"]}}"#,
        b"{\"subject\":\"\xff\"}",
        b"{\"subject\":\"\xc0\xaf\"}",
        b"{\"subject\":\"\xed\xa0\x80\"}",
        br#"{"subject":"\ud800"}"#,
        br#"{"subject":"\udc00\ud800"}"#,
        b"\xef\xbb\xbf{\"subject\":\"u\"}",
        b"\xff\xfe{\0\"\0s\0",
        br#"{"subject":"u","extra":{"a":1e400}}"#,
        br#"{"subject":"u","extra":{"a":01}}"#,
        br#"{"subject":"u","extra":{"a":NaN}}"#,
        br#"{"subject":"u","extra":{"a":1,}}"#,
        br#"{"subject":"u"}{"subject":"admin"}"#,
        b"{\"subject\":\"u\"}\0",
        b"/**/{\"subject\":\"u\"}",
        b"{'subject':'u'}",
        b"{\"subject\":\"u\n\"}",
        br#"{"subject":["u"]}"#,
        br#"[{"subject":"u"}]"#,
    ];
    for body in bodies {
        let answer = send(app.api, &post("/issue/p", &[], body));
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(body));
        answer.assert_is_problem();
    }
}

#[test]
fn claim_in_other_case_does_not_override_a_registered_claim() {
    // Readers that ignore case in names, as in Go, use the last member.
    let app = spawn_app(&Setup {
        template: r#"{"{{Extra.name}}": "evil"}"#,
        profile: "    audience: [orders]",
        ..Setup::default()
    });
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"] {
        let session = |name: &str| format!(r#"{{"subject":"u","extra":{{"name":"{name}"}}}}"#);
        assert_eq!(app.refusal(&session(name)).1["type"], "claims.registered");
        assert_eq!(app.refusal(&session(&format!("\\u00{:x}{}", name.as_bytes()[0], &name[1..]))).0, 422);
        let folded = name.to_uppercase();
        let token = app.token(&session(&folded));
        let place = |name: &str| token.claims().find(&format!("\"{name}\":")).unwrap();
        assert!(place(&folded) < place(name), "{}", token.claims());
    }
}

#[test]
fn templates_cannot_read_keys_secrets_or_environment() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let folder = Folder::new();
        folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
        folder.write("secret.hbs", "canary-of-a-secret");
        folder.write("elsewhere/claims.hbs", r#"{"canary": 1}"#);
        folder.write("elsewhere/one.session.json", r#"{"subject":"canary"}"#);
        folder.write("templates/whole/v.hbs", "1");
        let config =
            "serve: { api: { port: 0 }, admin: { port: 0 } }\nprofiles: { p: { issuer: i, jwks: keys.json } }\n";
        folder.write("claimsmith.yaml", config);
        let templates = folder.path().join("templates");
        fs::create_dir_all(templates.join("_partials")).unwrap();
        let check = || claimsmith(folder.path(), &["check"]);
        let whole = folder.write("templates/p/claims.hbs", r#"{"x": "{{> v}}"}"#);
        folder.write("templates/whole/claims.hbs", "{}");
        symlink("../whole/v.hbs", templates.join("_partials/v.hbs")).unwrap();
        assert_eq!(check().status.code(), Some(0), "links within the folder are followed: {}", stderr(&check()));

        let refused = |name: &str| {
            let output = check();
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{name}: {told}");
            assert!(told.contains("a link that leads out of the templates directory"), "{name}: {told}");
            assert!(!told.contains("canary") && !told.contains("\"d\""), "{name}: {told}");
        };
        for target in ["../../secret.hbs", "/proc/self/environ", "../../keys.json"] {
            fs::remove_file(templates.join("_partials/v.hbs")).unwrap();
            symlink(target, templates.join("_partials/v.hbs")).unwrap();
            refused(target);
        }
        fs::remove_file(templates.join("_partials/v.hbs")).unwrap();
        fs::remove_file(&whole).unwrap();
        symlink("../../keys.json", &whole).unwrap();
        refused("a template");
        assert_eq!(claimsmith(folder.path(), &["serve"]).status.code(), Some(78), "nor is there a start");
        fs::remove_dir_all(templates.join("p")).unwrap();
        symlink("../elsewhere", templates.join("p")).unwrap();
        refused("a folder");
        fs::remove_file(templates.join("p")).unwrap();
        folder.write("templates/p/claims.hbs", "{}");
        for name in ["one.session.json", "one.claims.json", "claims.schema.json"] {
            folder.write("templates/p/one.session.json", r#"{"subject":"u"}"#);
            folder.write("templates/p/one.claims.json", "{}");
            let path = templates.join("p").join(name);
            let _ = fs::remove_file(&path);
            symlink("../../keys.json", &path).unwrap();
            refused(name);
            fs::remove_file(&path).unwrap();
        }
        let pipe = std::process::Command::new("mkfifo").arg(templates.join("p/claims.schema.json")).status().unwrap();
        folder.write("templates/p/one.claims.json", "{}");
        assert!(pipe.success());
        assert!(stderr(&check()).contains("found: something that is not a regular file"), "{}", stderr(&check()));
    }
}

#[test]
fn unknown_paths_and_methods_add_no_metric_labels() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    let invent = |from: usize| {
        for number in from..from + 20 {
            app.post(&format!("/issue/invented-{number}"), "{}");
            app.get(&format!("/invented-{number}/.well-known/jwks.json"));
            app.get(&format!("/invented/{number}"));
            send(app.api, format!("INVENTED{number} /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        }
        metric_lines(&app)
    };
    assert_eq!(invent(0), invent(20), "no series is new");
    let metrics = app.get_admin("/metrics").text().to_lowercase();
    assert!(!metrics.contains("invented"), "{metrics}");
}

#[test]
fn session_values_cannot_split_audit_lines() {
    let app = spawn_app(&Setup {
        template: "{}",
        config: "audit: { to: 'file://audit.jsonl' , subject: plain }",
        ..Setup::default()
    });
    let subjects = [
        "a\nb",
        "\r\n{\"event\":\"token_issued\",\"sub\":\"admin\"}",
        "\u{2028}\u{85}\u{0}\u{1b}[31m",
        "\",\"sub\":\"admin",
    ];
    for subject in subjects {
        assert_eq!(app.post("/issue/p", &json!({ "subject": subject }).to_string()).status, 200);
    }
    let audit = || fs::read_to_string(app.folder.path().join("audit.jsonl")).unwrap_or_default();
    wait_until(|| audit().lines().count() >= subjects.len());
    let lines: Vec<Value> = audit().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let audited: Vec<_> = lines.iter().map(|line| line["sub"].as_str().unwrap()).collect();
    assert_eq!(audited, subjects);
    assert!(!audit().contains('\u{1b}') && !audit().contains('\0'), "control characters are escaped");
}

#[test]
fn discovery_ignores_request_headers() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    for path in ["/.well-known/openid-configuration", "/p/.well-known/openid-configuration"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\
             Forwarded: host=evil.example\r\nX-Original-Url: /evil.example\r\nConnection: close\r\n\r\n"
        );
        let answer = send(app.api, request.as_bytes());
        assert_eq!(answer.text(), app.get(path).text());
        assert!(!answer.text().contains("evil"), "{}", answer.text());
    }
}

#[test]
fn responses_grant_no_cross_origin_access() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    let origin = ("Origin", "https://evil.example");
    let answer = send(app.api, &post("/issue/p", &[origin, ("Content-Type", "text/plain")], br#"{"subject":"u"}"#));
    let asked = "OPTIONS /issue/p HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\
                 Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n";
    let preflight = send(app.api, asked.as_bytes());
    assert_eq!((answer.status, preflight.status), (200, 405));
    for answer in [&answer, &preflight, &app.get("/.well-known/jwks.json"), &app.get_admin("/health/ready")] {
        assert!(!answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control")));
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn line_break_in_a_session_header_stays_escaped() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    let session = r#"{"subject":"u","header":{"X-A":["a\r\nAuthorization: Bearer evil"],"authorization":["evil"],"AUTHORIZATION":["evil"]}}"#;
    let answer = app.hydrate(session);
    assert!(!answer.text().contains('\r') && !answer.text().contains('\n'), "{}", answer.text());
    let headers = answer.json()["header"].as_object().unwrap().clone();
    let of_the_name: Vec<_> = headers.keys().filter(|name| name.eq_ignore_ascii_case("authorization")).collect();
    assert_eq!(of_the_name, ["Authorization"]);
    assert_eq!(headers["Authorization"].as_array().unwrap().len(), 1);
}

#[test]
fn duplicate_kid_never_mixes_up_profiles() {
    let other = keys::generate(SignatureAlg::Es256, None, &KeyId::parse("key-1").unwrap()).unwrap();
    let app = spawn_app(&Setup {
        template: "{}",
        profile: "  q: { issuer: i, jwks: other.json, template: p }",
        files: &[("other.json", other.to_set())],
        ..Setup::default()
    });
    let token = |profile: &str| {
        let answer = app.post(&format!("/issue/{profile}"), r#"{"subject":"u"}"#).json();
        answer["token"].as_str().unwrap().to_owned()
    };
    let set = |profile: &str| app.get(&format!("/{profile}/.well-known/jwks.json")).body;
    for (own, foreign) in [("p", "q"), ("q", "p")] {
        assert!(keys::verify(&token(own), &set(own)).is_ok());
        assert!(keys::verify(&token(own), &set(foreign)).is_err());
    }
    assert_eq!(app.get("/.well-known/jwks.json").json()["keys"].as_array().unwrap().len(), 2, "as the note says");
}

/// Serves `GET /keys?NAME` with a JWK Set of one key `NAME`, until the test process ends.
fn key_server() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let sets =
            ["one", "two"].map(|name| keys::generate(SignatureAlg::EdDsa, None, &KeyId::parse(name).unwrap()).unwrap());
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let is_one = String::from_utf8_lossy(&request[..length]).starts_with("GET /keys?one ");
            let set = sets[usize::from(!is_one)].to_set();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{set}", set.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn key_sources_that_differ_only_in_hidden_parts_stay_distinct() {
    let address = key_server();
    let folder = Folder::new();
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(
        "claimsmith.yaml",
        &format!(
            "serve: {{ api: {{ port: 0 }}, admin: {{ port: 0 }} }}\nprofiles:\n  \
             p: {{ issuer: i, jwks: 'http://{address}/keys?one' }}\n  \
             q: {{ issuer: j, jwks: 'http://{address}/keys?two', template: p }}\n"
        ),
    );
    let service = Service::start(folder);
    let get = |address, path: &str| {
        send(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    };
    for (profile, kid) in [("p", "one"), ("q", "two")] {
        let answer = send(service.api, &post(&format!("/issue/{profile}"), &[], br#"{"subject":"u"}"#)).json();
        let set = get(service.api, &format!("/{profile}/.well-known/jwks.json")).body;
        assert_eq!(keys::verify(answer["token"].as_str().unwrap(), &set).unwrap().kid().as_str(), kid);
    }
    wait_until(|| get(service.admin, "/metrics").text().matches("claimsmith_key_source_failing{").count() == 2);
}

#[test]
fn symlinks_beside_a_key_file_do_not_redirect_rotation() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
        let folder = Folder::new();
        let victim = folder.write("victim", "a file of somebody else");
        assert_eq!(claimsmith(folder.path(), &["keys", "generate", "--out", "keys.json"]).status.code(), Some(0));
        let path = folder.path().join("keys.json");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for name in [".keys.json.next", ".keys.json.lock"] {
            symlink("victim", folder.path().join(name)).unwrap();
        }
        fs::hard_link(&path, folder.path().join("second-name")).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        let rotated = claimsmith(folder.path(), &["keys", "rotate", "keys.json"]);
        assert_eq!(rotated.status.code(), Some(0), "{}", stderr(&rotated));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "a file of somebody else");
        let after = fs::symlink_metadata(&path).unwrap();
        assert!(after.is_file() && after.ino() != before && after.permissions().mode() & 0o777 == 0o600);
        let taken = claimsmith(folder.path(), &["keys", "generate", "--out", "victim"]);
        assert_eq!(taken.status.code(), Some(1), "a file that is there is not written over");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "a file of somebody else");
    }
}

#[test]
fn admin_listener_accepts_no_changes() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    for path in ["/health/alive", "/health/ready", "/version", "/metrics"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(send(app.admin, request.as_bytes()).status, 405, "{method} {path}");
        }
    }
    assert_eq!(app.hydrate(r#"{"subject":"u"}"#).status, 200);
}

#[test]
fn cache_stays_within_its_byte_limit() {
    let app = spawn_app(&Setup {
        template: "{\"path\": {{MatchContext.URL.Path}}}",
        config: "limits: { token_cache: 64KiB }",
        ..Setup::default()
    });
    let session = |number: usize| {
        let path = format!("/{number}{}", "x".repeat(1000));
        format!(r#"{{"subject":"u","match_context":{{"url":{{"Path":"{path}"}}}}}}"#)
    };
    let gauge = |name: &str| -> u64 {
        let metrics = app.get_admin("/metrics").text();
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
    };
    for number in 0..200 {
        assert_eq!(app.claims(&session(number))["path"].as_str().unwrap().len(), 1001 + number.to_string().len());
    }
    assert!(gauge("claimsmith_token_cache_size_bytes ") <= 64 << 10);
    assert!((1..200).contains(&gauge("claimsmith_token_cache_tokens ")), "some were pushed out");
}

#[test]
fn world_readable_secrets_cause_a_warning() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new();
        folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
        folder.write("templates/p/claims.hbs", "{}");
        folder.write("token", "a-token-of-some-length");
        folder.write(
            "claimsmith.yaml",
            "profiles: { p: { issuer: i, jwks: keys.json } }\ncallers: [{ name: c, bearer: { token_file: token } }]\n",
        );
        let check_output = |mode: u32| {
            for name in ["keys.json", "token"] {
                fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
            }
            stderr(&claimsmith(folder.path(), &["check"]))
        };
        let warned = check_output(0o644);
        assert!(warned.contains("keys.json: every user of this host can read these private keys"), "{warned}");
        assert!(warned.contains("token: every user of this host can read this caller secret"), "{warned}");
        assert!(!check_output(0o640).contains("every user"), "group and owner may");
    }
}

#[test]
fn api_listener_serves_no_admin_route() {
    let app = spawn_app(&Setup { template: "{}", ..Setup::default() });
    for path in ["/metrics", "/health/ready", "/health/alive", "/version", "/%6detrics", "//metrics"] {
        assert_eq!(app.get(path).status, 404, "{path}");
    }
    for path in ["/issue/p", "/hydrate/p"] {
        assert_eq!(app.post_admin(path, r#"{"subject":"u"}"#).status, 404, "{path}");
    }
    let document = app.get("/openapi.json").text();
    assert!(!document.contains("issuer.example") && !document.contains("key-1"), "it is the same for everyone");
}
