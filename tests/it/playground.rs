//! The playground on the admin listener: its responses, its errors, and the values that it never shows.

use std::io::Write as _;
use std::net::Shutdown;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claimsmith::keys::{self, SignatureAlg};
use serde_json::{Value, json};

use crate::support::{Answer, Folder, Setup, TestApp, command, connect, read_response, send, spawn_app, wait_until};

const ON: &str = "serve: { admin: { playground: true } }";
const SESSION: &str = r#"{"subject":"zoe","extra":{"mail":"zoe@example.org","n":12345678901234567890},"header":{}}"#;
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
const PATHS: [&str; 7] = [
    "/playground",
    "/playground/app.js",
    "/playground/style.css",
    "/playground/profiles",
    "/playground/evaluate",
    "/playground/convert",
    "/playground/resolve",
];

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    let host = ("Host", "127.0.0.1:4478");
    let has_host = headers.iter().any(|(name, _)| *name == "Host");
    for (name, value) in headers.iter().chain((!has_host).then_some(&host)) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}\r\n{body}").into_bytes()
}

fn get(app: &TestApp, path: &str) -> Answer {
    send(app.admin, &request("GET", path, &[], ""))
}

fn post(app: &TestApp, path: &str, body: &str) -> Answer {
    send(app.admin, &request("POST", path, &[("Content-Type", "application/json")], body))
}

/// Tries `template` with `session` and `more` settings, and returns the response.
#[track_caller]
fn evaluate(app: &TestApp, syntax: &str, template: &str, session: &str, more: Value) -> Value {
    let mut body = json!({"profile": "p", "syntax": syntax, "template": template, "session": session});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = post(app, "/playground/evaluate", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn faults(app: &TestApp, syntax: &str, template: &str, session: &str) -> Vec<Value> {
    let answer = evaluate(app, syntax, template, session, json!({}));
    assert_eq!(answer["token"], Value::Null, "{answer}");
    answer["faults"].as_array().unwrap().clone()
}

/// Returns code, part, line and column of the only error.
#[track_caller]
fn only(faults: &[Value]) -> (String, String, Option<u64>, Option<u64>) {
    let [fault] = faults else { panic!("expected one fault, found {faults:#?}") };
    let text = |name: &str| fault[name].as_str().unwrap().to_owned();
    (text("code"), text("part"), fault["line"].as_u64(), fault["column"].as_u64())
}

fn found(code: &str, part: &str, line: u64, column: u64) -> (String, String, Option<u64>, Option<u64>) {
    (code.to_owned(), part.to_owned(), Some(line), Some(column))
}

#[test]
fn playground_is_off_by_default() {
    let app = spawn_app(&Setup::default());
    let unknown = get(&app, "/unknown");
    assert_eq!(unknown.status, 404);
    for path in PATHS {
        for answer in [get(&app, path), post(&app, path, "{}")] {
            assert_eq!((answer.status, &answer.body), (404, &unknown.body), "{path}");
            assert_eq!(answer.header("content-security-policy"), None);
        }
    }
}

#[test]
fn responses_carry_security_headers() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let answers = PATHS.map(|path| get(&app, path));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 200, 200, 405, 405, 405]);
    let types = answers.each_ref().map(|answer| answer.header("content-type").unwrap().to_owned());
    assert_eq!(
        types[..4],
        ["text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/css; charset=utf-8", "application/json"]
    );
    let stranger = send(app.admin, &request("GET", "/playground", &[("Host", "evil.example")], ""));
    let tried = post(&app, "/playground/evaluate", "{}");
    for answer in answers.iter().chain([&stranger, &tried, &get(&app, "/playground/unknown")]) {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-security-policy", POLICY),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn page_loads_no_external_resources_and_inserts_no_html() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let [page, script, style] =
        ["", "/app.js", "/style.css"].map(|path| get(&app, &format!("/playground{path}")).text());
    for text in [&page, &script, &style] {
        for word in ["://", "//cdn", "@import", "url(", "localStorage", "sessionStorage", "indexedDB", "cookie"] {
            assert!(!text.contains(word), "{word}");
        }
    }
    for word in ["<style", " style=", " onclick", " onload", "<script>", "<iframe", "<form"] {
        assert!(!page.contains(word), "{word}");
    }
    for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser"]
    {
        assert!(!script.contains(word), "{word}");
    }
}

#[test]
fn template_renders_the_claims_and_token_of_the_service() {
    let template = r#"{"mail": {{Extra.mail}}, "n": {{Extra.n}}}"#;
    let app = spawn_app(&Setup { config: ON, template, profile: "    audience: [orders]", ..Setup::default() });
    let answer = evaluate(&app, "handlebars", template, SESSION, json!({}));
    assert_eq!(answer["faults"], json!([]));
    assert_eq!(answer["claims"], "{\n  \"mail\": \"zoe@example.org\",\n  \"n\": 12345678901234567890\n}");
    let token = &answer["token"];
    assert_eq!(token["header"], "{\n  \"alg\": \"ES256\",\n  \"kid\": \"key-1\",\n  \"typ\": \"JWT\"\n}");

    let issued = app.post("/issue/p", SESSION).json();
    let real = app.verify(issued["token"].as_str().unwrap());
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (mut shown, mut real) = (read(token["claims"].as_str().unwrap()), read(real.claims()));
    assert_ne!(shown["jti"], real["jti"]);
    for claims in [&mut shown, &mut real] {
        claims.as_object_mut().unwrap().remove("jti").unwrap();
    }
    assert_eq!(shown, real);
    assert_eq!(token["bytes"], issued["token"].as_str().unwrap().len());
}

#[test]
fn requested_settings_override_the_profile() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let settings = json!({"missing": "omit", "issuer": "i", "ttl": "1m30s", "audience": ["a", "b"],
                          "at": "2026-01-16T10:12:33+01:00"});
    let answer = evaluate(&app, "handlebars", r#"{"x": {{Extra.x}}}"#, SESSION, settings);
    assert_eq!((&answer["claims"], &answer["settings"]), (&json!("{}"), &json!([])));
    let claims: Value = serde_json::from_str(answer["token"]["claims"].as_str().unwrap()).unwrap();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("i"), &json!(["a", "b"])));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1_768_554_753), &json!(1_768_554_843)));

    let wrong = json!({"missing": "x", "issuer": "", "ttl": "0s", "audience": ["a", ""], "at": "yesterday"});
    let answer = evaluate(&app, "handlebars", r#"{"x": {{Extra.mail}}}"#, SESSION, wrong);
    let named: Vec<_> = answer["settings"].as_array().unwrap().iter().map(|fault| &fault["setting"]).collect();
    assert_eq!(named, ["missing", "issuer", "ttl", "audience", "at"]);
    assert_eq!((&answer["token"], &answer["claims"]), (&Value::Null, &json!("{\n  \"x\": \"zoe@example.org\"\n}")));
}

#[test]
fn template_error_has_its_position() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let of = |template: &str| faults(&app, "handlebars", template, SESSION);
    assert_eq!(only(&of("{\n  \"é\": \"x\", \"a\": {{{Extra.n}}}\n}")), found("template.refused", "template", 2, 18));
    assert_eq!(only(&of("{\n  \"a\": {{Extra.x}}\n}")), found("template.missing_value", "template", 2, 10));
    let several = of("{\n\"sub\": 1,\n\"a\": {{{Extra.n}}}}");
    assert_eq!(several.len(), 2, "{several:#?}");
    assert!(several.iter().all(|fault| fault["help"].is_string() && fault["partial"].is_null()), "{several:#?}");
    let of = |template: &str| faults(&app, "go", template, SESSION);
    assert_eq!(only(&of("{\n  \"a\": {{ .Extra.mail | nope }}\n}")).2, Some(2));
    assert_eq!(only(&of("{\n  \"a\": {{ env \"HOME\" }}\n}")).0, "template.refused");
    assert_eq!(only(&of("{\"a\": {{ .Extra.mail }}}")).0, "template.wrong_type");
}

#[test]
fn partial_error_names_the_partial() {
    let partial = "{{Extra.nowhere}}";
    let app = spawn_app(&Setup { config: ON, files: &[("templates/_partials/mail.hbs", partial)], ..Setup::default() });
    let fault = &faults(&app, "handlebars", "{\"a\": {{> mail}}}", SESSION)[0];
    assert!(fault["partial"].as_str().unwrap().ends_with("mail.hbs"), "{fault}");
    assert_eq!((&fault["line"], &fault["code"]), (&json!(1), &json!("template.missing_value")));
}

#[test]
fn session_error_has_its_position_in_characters() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let of = |session: &str| only(&faults(&app, "handlebars", "{}", session));
    assert_eq!(of("{\"subject\": \"u\",\n \"é\": \"éé\", x}"), found("session.malformed", "session", 2, 13));
    assert_eq!(of("{\"subject\": \"u\",\n \"subject\": \"v\"}"), found("session.duplicate_member", "session", 2, 2));
    assert_eq!(of("{\"subject\": \"u\",\n \"Extra\": []}"), found("session.invalid", "session", 2, 2));
    let nested = "{\"subject\": \"u\", \"match_context\": {\n  \"method\": 1}}";
    assert_eq!(of(nested), found("session.invalid", "session", 2, 3));
    assert_eq!(of("{}"), found("session.invalid", "session", 1, 1));
    assert_eq!(of(""), found("session.malformed", "session", 1, 1));
    let both = faults(&app, "handlebars", "{", "{");
    let parts: Vec<_> = both.iter().map(|fault| &fault["part"]).collect();
    assert_eq!(parts, ["template", "session"]);
}

#[test]
fn claims_are_shown_when_the_session_gets_no_token() {
    let schema = r#"{"type": "object", "required": ["role"]}"#;
    let files = [("templates/p/claims.schema.json", schema)];
    let app = spawn_app(&Setup { config: ON, files: &files, ..Setup::default() });
    let try_out = |template: &str, session: &str| {
        let answer = evaluate(&app, "handlebars", template, session, json!({}));
        (answer["claims"].is_string(), answer["faults"][0]["code"].clone(), answer["faults"][0]["part"].clone())
    };
    let role = r#"{"role": 1}"#;
    let ended = r#"{"subject":"u","extra":{"expires_at":"2020-01-01T00:00:00Z"}}"#;
    assert_eq!(try_out(role, ended), (true, json!("session.expired"), json!("token")));
    assert_eq!(try_out(role, r#"{"subject":""}"#), (true, json!("session.empty_subject"), json!("token")));
    assert_eq!(try_out("{}", SESSION), (true, json!("claims.schema"), json!("token")));
    assert_eq!(try_out(role, SESSION), (true, Value::Null, Value::Null));
}

#[test]
fn trials_have_the_limits_of_token_requests() {
    let limits = "limits: { body: 32KiB, depth: 16, claims: 1KiB, template_work: 1000 }";
    let app = spawn_app(&Setup { config: &format!("{ON}\n{limits}"), ..Setup::default() });
    let code = |syntax: &str, template: &str, session: &str| only(&faults(&app, syntax, template, session)).0;
    let session = |extra: &str| format!("{{\"subject\":\"u\",\"extra\":{{\"a\":{extra}}}}}");
    let long = session(&format!("\"{}\"", "x".repeat(2000)));
    let deep = session(&format!("{}1{}", "[".repeat(20), "]".repeat(20)));
    let list = session(&format!("[{}1]", "1,".repeat(100)));
    for (syntax, template) in [("handlebars", "{\"a\": {{Extra.a}}}"), ("go", "{\"a\": {{ .Extra.a | toJson }}}")] {
        assert_eq!(code(syntax, template, &long), "template.limit", "{syntax}");
        assert_eq!(code(syntax, template, &deep), "session.depth", "{syntax}");
    }
    let loops = "{\"b\": [{{#each Extra.a}}{{#each @root.Extra.a}}1{{/each}}{{/each}}]}";
    assert_eq!(code("handlebars", loops, &list), "template.limit");
    let large = session(&format!("\"{}\"", "x".repeat(32 * 1024)));
    assert_eq!(code("handlebars", "{}", &large), "request.body_too_large");
    assert_eq!(code("handlebars", &" ".repeat(64 * 1024 + 1), &session("1")), "template.limit");

    let huge = post(&app, "/playground/evaluate", &" ".repeat(2 * 32 * 1024 + 256 * 1024 + 1));
    assert_eq!((huge.status, &huge.json()["type"]), (413, &json!("request.body_too_large")));
}

#[test]
fn missing_body_times_out() {
    let app = spawn_app(&Setup { config: &format!("{ON}\nlimits: {{ request: 300ms }}"), ..Setup::default() });
    let mut stream = connect(app.admin);
    let whole = request("POST", "/playground/evaluate", &[("Content-Type", "application/json")], &" ".repeat(100));
    stream.write_all(&whole[..whole.len() - 50]).unwrap();
    let late = read_response(&mut stream, true);
    assert_eq!((late.status, &late.json()["type"]), (408, &json!("request.timeout")));
    let _ = stream.shutdown(Shutdown::Both);
}

#[test]
fn expensive_templates_do_not_stop_the_service() {
    let app = spawn_app(&Setup { config: &format!("{ON}\nlimits: {{ request: 1m }}"), ..Setup::default() });
    let fill = |text: &&str| text.repeat(64 * 1024 / text.len());
    let around = |depth: usize, open: &str, inner: &str, close: &str| {
        format!("{{\"a\": {}{inner}{}}}", open.repeat(depth), close.repeat(depth))
    };
    let mut handlebars: Vec<String> =
        ["{{{a}}}", "{{", "{{#if a}}", "{{a (", "[", "{\"a\":", "{{#let a=1}}", "\"", "{{> x}}", "{{!--", "{{a}}"]
            .iter()
            .map(fill)
            .collect();
    handlebars.push(around(48, "{{#if Subject}}", "1", "{{/if}}"));
    handlebars.push(around(
        1,
        &format!("{{{{{}", "toJson (".repeat(23)),
        "toJson Extra",
        &format!("{}}}}}", ")".repeat(23)),
    ));
    handlebars.push(around(200, "[", "{{Extra}}", "]"));
    let mut go: Vec<String> = [
        "{{ ( ",
        "{{ if 1 }}",
        "{{ . | ",
        "{{ .a.b.c }}",
        "{{ \"",
        "{\"a\":",
        "{{ x }}",
        "{{/*",
        "{{ $a := 1 }}",
        "[1,",
    ]
    .iter()
    .map(fill)
    .collect();
    go.push(around(99, "{{ if .Subject }}", "1", "{{ end }}"));
    go.push(around(
        1,
        &format!("{{{{ {}", "toJson (".repeat(98)),
        "toJson .Extra",
        &format!("{} }}}}", ")".repeat(98)),
    ));
    go.push(around(1, &format!("{{{{ .Extra {}", "| toJson ".repeat(7000)), "", "}}"));
    go.push(around(200, "[", "{{ .Extra | toJson }}", "]"));
    for (syntax, texts) in [("handlebars", &handlebars), ("go", &go)] {
        for text in texts {
            let answer = evaluate(&app, syntax, text, SESSION, json!({}));
            let faults = answer["faults"].as_array().unwrap().len();
            assert!(faults <= 100 && (faults == 0) == answer["claims"].is_string(), "{text}");
            if syntax == "go" {
                let converted = post(&app, "/playground/convert", &json!({"template": text}).to_string());
                assert_eq!(converted.status, 200, "{text}: {}", converted.text());
            }
        }
    }
    assert_eq!(app.get_admin("/health/alive").status, 200);
}

#[test]
fn go_template_is_converted_or_the_obstacle_is_reported() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let convert = |template: &str| {
        let answer = post(&app, "/playground/convert", &json!({"template": template}).to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let go = "{\n  \"mail\": \"{{ print .Extra.mail }}\",\n  \"sub\": \"{{ .Subject }}\"\n}";
    let good = convert(go);
    assert_eq!(good["handlebars"], "{\n  \"mail\": \"{{Extra.mail}}\" }\n");
    let kinds: Vec<_> = good["remarks"].as_array().unwrap().iter().map(|remark| &remark["kind"]).collect();
    assert!(kinds.contains(&&json!("trap")) && kinds.contains(&&json!("changed")), "{good}");
    let before = evaluate(&app, "go", go, SESSION, json!({}));
    let after =
        evaluate(&app, "handlebars", good["handlebars"].as_str().unwrap(), SESSION, json!({"missing": "as_null"}));
    assert_eq!((&before["claims"], &before["overridden"]), (&after["claims"], &json!(["sub"])));

    let bad = convert("{\n \"u\": \"{{ .MatchContext.URL.String }}\"}");
    assert_eq!(bad["handlebars"], Value::Null);
    let remarks = bad["remarks"].as_array().unwrap();
    assert!(remarks.iter().any(|remark| remark["kind"] == "unconvertible" && remark["line"] == 2), "{bad}");

    let broken = convert("{\n {{ if }}");
    assert_eq!((&broken["handlebars"], &broken["faults"][0]["line"]), (&Value::Null, &json!(2)), "{broken}");
    let large = convert(&" ".repeat(64 * 1024 + 1));
    assert_eq!(large["faults"][0]["code"], "template.limit");
}

#[test]
fn profiles_are_listed_with_templates_settings_and_recorded_cases() {
    let files = [
        ("templates/p/one.session.json", "{\"subject\": \"one\"}"),
        ("templates/p/one.claims.json", "{\"a\": 1}"),
        ("templates/_partials/mail.hbs", "1"),
    ];
    let profile = "    ttl: 1h30m\n    audience: orders\n    missing: as_null";
    let app = spawn_app(&Setup { config: ON, template: "{\"a\": 1}", profile, files: &files, ..Setup::default() });
    let listed = get(&app, "/playground/profiles").json();
    assert_eq!(listed["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(listed["partials"], json!(["mail"]));
    let expected = json!([{"name": "p", "template": "p", "issuer": "https://issuer.example/", "ttl": "1h30m",
        "audience": ["orders"], "missing": "as_null", "alg": "ES256", "kid": "key-1"}]);
    assert_eq!(listed["profiles"], expected);
    let expected = json!({"p": {"syntax": "handlebars", "text": "{\"a\": 1}", "left_out": 0,
        "samples": [{"name": "one", "session": "{\"subject\": \"one\"}"}]}});
    assert_eq!(listed["templates"], expected);

    app.folder.write("templates/p/claims.hbs", "{ \"a\": 1 }");
    app.folder.write("templates/p/large.session.json", &format!("{{\"subject\": \"{}\"}}", "x".repeat(4 << 20)));
    app.folder.write("templates/p/large.claims.json", "{\"a\": 1}");
    let changed = || get(&app, "/playground/profiles").json()["templates"]["p"].clone();
    wait_until(|| changed()["text"] == "{ \"a\": 1 }" && changed()["left_out"] == 1);
    assert_eq!(changed()["samples"].as_array().unwrap().len(), 1);
}

#[test]
fn displayed_token_has_no_valid_signature() {
    for alg in [SignatureAlg::Es256, SignatureAlg::Rs256, SignatureAlg::EdDsa, SignatureAlg::Hs256] {
        let app = spawn_app(&Setup { config: ON, alg: Some(alg), template: "{}", ..Setup::default() });
        let answer = evaluate(&app, "handlebars", "{}", SESSION, json!({}));
        let compact = |name: &str| {
            let value: Value = serde_json::from_str(answer["token"][name].as_str().unwrap()).unwrap();
            URL_SAFE_NO_PAD.encode(value.to_string())
        };
        assert!(!answer.to_string().contains("eyJ"), "{alg}: a token in an answer");
        let (jwks, signed) =
            (app.get("/.well-known/jwks.json").body, format!("{}.{}", compact("header"), compact("claims")));
        let metrics = app.get_admin("/metrics").text();
        let counted = metrics.lines().find(|line| line.starts_with("claimsmith_tokens_issued_total"));
        assert_eq!(counted, None, "{alg}: a trial counts as no token");
        let issued = app.post("/issue/p", SESSION).json()["token"].as_str().unwrap().to_owned();
        let signature = issued.rsplit('.').next().unwrap();
        for signature in ["", "AA", signature] {
            assert!(keys::verify(&format!("{signed}.{signature}"), &jwks).is_err(), "{alg}");
        }
    }
}

#[test]
fn cross_origin_requests_are_rejected() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let body = json!({"profile": "p", "syntax": "handlebars", "template": "{}", "session": SESSION}).to_string();
    let try_with = |headers: &[(&str, &str)]| {
        let answer = send(app.admin, &request("POST", "/playground/evaluate", headers, &body));
        (answer.status, answer.json()["type"].as_str().map(str::to_owned))
    };
    let json_type = ("Content-Type", "application/json; charset=utf-8");
    let own = ("Origin", "http://127.0.0.1:4478");
    assert_eq!(try_with(&[json_type, own, ("Sec-Fetch-Site", "same-origin")]), (200, None));
    let refused = (403, Some("request.origin".to_owned()));
    for stranger in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Host", "evil.example:4478"),
    ] {
        assert_eq!(try_with(&[json_type, stranger]), refused, "{stranger:?}");
    }
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json-seq"]
    {
        let expected = (415, Some("request.media_type".to_owned()));
        assert_eq!(try_with(&[("Content-Type", media_type)]), expected, "{media_type}");
    }
    assert_eq!(try_with(&[]).0, 415);
    // A CORS preflight request of another site gets no permission.
    let asked = [("Access-Control-Request-Method", "POST"), own];
    assert_eq!(send(app.admin, &request("OPTIONS", "/playground/evaluate", &asked, "")).status, 405);
    // The other paths of the listener do not change.
    assert_eq!(app.get_admin("/health/ready").status, 200);
}

#[test]
fn invalid_bodies_are_rejected() {
    let app = spawn_app(&Setup { config: ON, ..Setup::default() });
    let good = json!({"profile": "p", "syntax": "go", "template": "{}", "session": SESSION});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    for body in [
        String::new(),
        "[]".to_owned(),
        "{\"profile\":\"p\",\"profile\":\"p\"}".to_owned(),
        with("canary", json!(1)),
        with("template", json!(1)),
        with("syntax", json!("canary")),
        with("audience", json!("canary")),
        with("audience", json!([1])),
        without("session"),
        without("profile"),
    ] {
        let answer = post(&app, "/playground/evaluate", &body);
        answer.assert_is_problem();
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("request.malformed")), "{body}");
        assert!(!answer.text().contains("canary"));
    }
    let unknown = post(&app, "/playground/evaluate", &with("profile", json!("q")));
    assert_eq!((unknown.status, &unknown.json()["type"]), (404, &json!("profile.unknown")));
}

#[test]
fn input_never_appears_in_logs_metrics_or_errors() {
    const CANARY: &str = "canary5e2a";
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(
        "claimsmith.yaml",
        "log: { level: trace }\nserve: { api: { port: 0 }, admin: { port: 0, playground: true } }\n\
         profiles: { p: { issuer: i, jwks: keys.json } }\n",
    );
    let log_path = folder.path().join("log");
    let mut child = command(folder.path())
        .arg("serve")
        .env("RUST_LOG", "trace")
        .stderr(std::fs::File::create(&log_path).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(&log_path).unwrap();
    let event = |message: &str| {
        let events = log().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>();
        events.into_iter().find(|event| event["message"] == message)
    };
    wait_until(|| event("playground").is_some());
    let url = event("playground").unwrap()["url"].as_str().unwrap().to_owned();
    let admin = url.strip_prefix("http://").unwrap().strip_suffix("/playground").unwrap().parse().unwrap();

    let mut refusals = String::new();
    let (mut answered, mut refused) = (0, 0);
    for template in [
        format!("{{\"{CANARY}\": {{{{Extra.{CANARY}}}}}, \"n\": {{{{Extra.n}}}}}}"),
        format!("{{\"{CANARY}\": {{{{ .Extra.{CANARY} }}}}"),
        format!("{{{{{{{CANARY}}}}}}}"),
    ] {
        for session in [
            format!("{{\"subject\":\"{CANARY}\",\"extra\":{{\"{CANARY}\":\"{CANARY}\",\"n\":1}}}}"),
            format!("{{\"subject\":\"{CANARY}"),
            format!("{{\"subject\":\"u\",\"extra\":\"{CANARY}\"}}"),
        ] {
            for syntax in ["go", "handlebars", CANARY] {
                for profile in ["p", CANARY] {
                    let body = json!({"profile": profile, "syntax": syntax, "template": template, "session": session,
                                      "issuer": CANARY, "audience": [CANARY], "ttl": CANARY, "at": CANARY});
                    let (evaluate, body) = (format!("/playground/evaluate?{CANARY}"), body.to_string());
                    let json_type = ("Content-Type", "application/json");
                    let requests = [
                        request("POST", &evaluate, &[json_type, ("Cookie", CANARY)], &body),
                        request("POST", &evaluate, &[json_type, ("Origin", CANARY)], &body),
                        request(
                            "POST",
                            "/playground/convert",
                            &[json_type],
                            &json!({"template": template}).to_string(),
                        ),
                        request("POST", "/playground/convert", &[("Content-Type", CANARY)], &body),
                        request("POST", &format!("/playground/{CANARY}"), &[("Host", CANARY)], &body),
                    ];
                    for bytes in requests {
                        let answer = send(admin, &bytes);
                        if answer.status == 200 {
                            answered += 1;
                        } else {
                            refused += 1;
                            answer.assert_is_problem();
                            refusals.push_str(&answer.text());
                        }
                    }
                }
            }
        }
    }
    let metrics = send(admin, &request("GET", "/metrics", &[], "")).text();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answered > 50 && refused > 100, "{answered} {refused}");
    let log = log();
    assert!(log.contains("request.origin"), "the log was on: {log}");
    for (name, text) in [("log", &log), ("metrics", &metrics), ("refusals", &refusals)] {
        let shown: Vec<_> = text.lines().filter(|line| line.contains(CANARY)).collect();
        assert_eq!(shown, [""; 0], "{name}");
    }
}
