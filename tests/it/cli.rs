//! The command line, as users and scripts call it.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::support::{Folder, Setup, claimsmith, command, spawn_app, stderr, stdout};

fn working() -> Folder {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("templates/p/claims.hbs", "{\"name\": {{Extra.name}}}");
    folder.write("templates/p/one.session.json", r#"{"subject":"u","extra":{"name":"zoe"}}"#);
    folder.write("templates/p/one.claims.json", r#"{"name":"zoe"}"#);
    folder.write("claimsmith.yaml", "profiles: { p: { issuer: i, jwks: keys.json } }\n");
    folder
}

#[test]
fn check_lists_profiles_and_keys() {
    let folder = working();
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("p: signs ES256 with key key-1"));
    let output = claimsmith(folder.path(), &["check", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["ok"], &report["faults"]), (&json!(true), &json!([])));
}

#[test]
fn check_reports_all_errors_at_once() {
    let folder = working();
    folder.write("keys.json", "{\"keys\":[]}");
    folder.write("templates/p/claims.hbs", "{\"name\": {{{Extra.name}}},\n \"sub\": 1, \"x\": {{nope}} }");
    folder.write("templates/p/two.session.json", "{}");
    let output = claimsmith(folder.path(), &["check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let codes: Vec<_> =
        report["faults"].as_array().unwrap().iter().map(|fault| fault["code"].as_str().unwrap()).collect();
    for code in ["keys.invalid", "template.refused", "claims.registered", "template.helper", "template.recorded_case"] {
        assert!(codes.contains(&code), "{code} not in {codes:?}");
    }
    folder.write("claimsmith.yaml", "profiles:\n  p:\n    isuer: i\n    ttl: 5\n    jwks: keys.json\nserv: 1\n");
    let output = claimsmith(folder.path(), &["check"]);
    let text = stderr(&output);
    for part in ["did you mean `issuer`?", "(line 3, column 5)", "profiles.p.ttl", "serv: expected", "9 faults"] {
        assert!(text.contains(part), "{part} not in\n{text}");
    }
}

#[test]
fn recorded_claims_that_violate_the_schema_prevent_startup() {
    let folder = working();
    folder.write("templates/p/claims.schema.json", r#"{"properties": {"name": {"type": "string"}}}"#);
    assert_eq!(claimsmith(folder.path(), &["check"]).status.code(), Some(0));
    folder.write("templates/p/claims.schema.json", r#"{"properties": {"name": {"type": "number"}}}"#);
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    for part in ["one.session.json", "at /properties/name/type"] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    folder.write("templates/p/claims.schema.json", "{");
    let output = claimsmith(folder.path(), &["check"]);
    assert!(stderr(&output).contains("claims.schema.json: expected JSON"), "{}", stderr(&output));
}

#[test]
fn duplicate_kid_of_different_keys_is_reported() {
    let folder = working();
    folder.write_key("other.json", SignatureAlg::Es256, "key-1");
    folder.write(
        "claimsmith.yaml",
        "profiles: { p: { issuer: i, jwks: keys.json }, q: { issuer: i, jwks: other.json, template: p } }\n",
    );
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("key id `key-1` is used for different keys"), "{}", stderr(&output));
}

#[test]
fn recorded_case_with_other_claims_prevents_startup() {
    let folder = working();
    folder.write("templates/p/one.claims.json", r#"{"name":"ann"}"#);
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("claims.name: expected \"ann\", found \"zoe\""), "{}", stderr(&output));
    assert_eq!(claimsmith(folder.path(), &["serve"]).status.code(), Some(78));
}

#[test]
fn serve_rejects_invalid_files_before_it_opens_a_port() {
    let folder = Folder::new();
    let output = claimsmith(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("--config"), "{}", stderr(&output));

    let folder = working();
    folder.write(
        "claimsmith.yaml",
        "serve: { api: { host: 0.0.0.0 } }\nprofiles: { p: { issuer: i, jwks: keys.json } }\n",
    );
    let output = claimsmith(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("allow_unauthenticated: true"), "{}", stderr(&output));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    folder.write(
        "claimsmith.yaml",
        &format!("serve: {{ api: {{ port: {port} }}, admin: {{ port: 0 }} }}\nprofiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\n"),
    );
    let output = claimsmith(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("serve.api: cannot bind 127.0.0.1:{port}")), "{}", stderr(&output));
}

#[test]
fn environment_overrides_the_file() {
    let folder = working();
    let output = command(folder.path()).arg("check").env("CLAIMSMITH_PROFILES_P_TTL", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("from CLAIMSMITH_PROFILES_P_TTL"), "{}", stderr(&output));
    let output = command(folder.path()).arg("check").env("CLAIMSMITH_NONSENSE", "1").output().unwrap();
    assert!(stderr(&output).contains("CLAIMSMITH_NONSENSE"), "{}", stderr(&output));
}

#[test]
fn render_reads_templates_and_sessions_from_file_argument_and_stdin() {
    let folder = working();
    folder.write("templates/_partials/who.hbs", "\"who\": {{Subject}}");
    folder.write("templates/q/claims.hbs", "{ {{> who}}, \"n\": {{Extra.n}} }");
    let session = r#"{"subject":"u","extra":{"n":12345678901234567890}}"#;
    folder.write("session.json", session);
    let arguments = ["render", "--template", "templates/q/claims.hbs", "--session", "session.json", "--json"];
    assert_eq!(stdout(&claimsmith(folder.path(), &arguments)), "{\"who\":\"u\",\"n\":12345678901234567890}\n");

    let mut child = command(folder.path())
        .args(["render", "--text", "{\"s\": {{ .Subject | toJson }}}", "--syntax", "go", "--session", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(session.as_bytes()).unwrap();
    assert_eq!(stdout(&child.wait_with_output().unwrap()), "{\n  \"s\": \"u\"\n}\n");

    let arguments = ["render", "--text", "{\"x\": {{Extra.nope}}}", "--session", "session.json"];
    let output = claimsmith(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("Extra.nope is missing"), "{}", stderr(&output));
    let output = claimsmith(folder.path(), &[&arguments[..], &["--missing", "omit", "--json"]].concat());
    assert_eq!(stdout(&output), "{}\n");
    assert_eq!(claimsmith(folder.path(), &["render", "--session", "session.json"]).status.code(), Some(2));
}

#[test]
fn test_command_prints_one_line_per_case_and_fails_on_a_difference() {
    let folder = Folder::new();
    let cases = [
        json!({"id": "same", "template": "{\"a\": {{Extra.a}}}", "session": {"subject": "u", "extra": {"a": [1]}}, "claims": {"a": [1.0]}}),
        json!({"id": "refused", "template": "{\"a\": {{Extra.b}}}", "session": {"subject": "u"}, "claims": null, "tags": ["x"]}),
        json!({"id": "go", "syntax": "go", "template": "{\"sub\": \"{{ print .Subject }}\"}", "session": {"subject": "u"}, "claims": {"sub": "u"}}),
        json!({"id": "other", "template": "{\"a\": 1}", "session": {"subject": "u"}, "claims": {"a": 2}}),
        json!({"id": 5, "template": "{\"a\": 1}", "session": {"subject": "u"}, "claims": null}),
        json!({"id": "not-refused", "template": "{", "session": {"subject": "u"}, "claims": {}}),
    ];
    let text: Vec<String> = cases.iter().map(Value::to_string).collect();
    folder.write("cases.jsonl", &text.join("\n"));
    let output = claimsmith(folder.path(), &["test", "cases.jsonl", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let mut lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failure = lines.pop().unwrap();
    let error = json!({"code": "template.recorded_case", "message": "3 of 6 cases failed"});
    assert_eq!(failure, json!({"ok": false, "error": error, "faults": []}));
    let passes: Vec<_> = lines.iter().map(|line| line["pass"].as_bool().unwrap()).collect();
    assert_eq!(passes, [true, true, true, false, false, false]);
    for line in &lines {
        let mut names: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["claims", "error", "id", "pass"]);
        assert_eq!(line["claims"].is_null(), line["error"].is_object(), "{line}");
    }
    assert_eq!((&lines[0]["claims"], &lines[4]["id"]), (&json!({"a": [1]}), &json!(5)));
    assert_eq!(lines[1]["error"]["code"], "template.missing_value");
    let output = claimsmith(folder.path(), &["test", "cases.jsonl"]);
    assert!(
        stdout(&output).contains("claims.a: expected 2, found 1") && stdout(&output).contains("3 passed, 3 failed")
    );
}

#[test]
fn keys_are_generated_listed_and_published() {
    let folder = Folder::new();
    let output = claimsmith(folder.path(), &["keys", "generate", "--alg", "PS256", "--kid", "k1", "--out", "k.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join("k.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = claimsmith(folder.path(), &["keys", "generate", "--out", "k.json"]);
    assert_eq!(again.status.code(), Some(1), "a key is never written over");
    assert!(
        stdout(&claimsmith(folder.path(), &["keys", "list", "k.json"])).contains("PS256    active   k1  signs now")
    );
    let listed = stdout(&claimsmith(folder.path(), &["keys", "list", "k.json", "--json"]));
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&listed["kid"], &listed["alg"], &listed["signs"]), (&json!("k1"), &json!("PS256"), &json!(true)));
    let public: Value =
        serde_json::from_str(&stdout(&claimsmith(folder.path(), &["keys", "public", "k.json"]))).unwrap();
    assert!(public["keys"][0].get("d").is_none() && public["keys"][0]["n"].is_string());

    let printed = claimsmith(folder.path(), &["keys", "generate", "--alg", "EdDSA"]);
    assert!(serde_json::from_slice::<Value>(&printed.stdout).unwrap()["keys"][0]["d"].is_string());
    let unknown = claimsmith(folder.path(), &["keys", "generate", "--alg", "none"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("RS256"));
}

#[test]
fn verify_accepts_valid_and_rejects_invalid_tokens() {
    let app = spawn_app(&Setup { template: "{\"n\": 1}", profile: "    audience: [orders]", ..Setup::default() });
    app.clock.set(claimsmith::time::Clock::now(&claimsmith::time::SystemClock).seconds());
    let answer = app.post("/issue/p", r#"{"subject":"u"}"#).json();
    let token = answer["token"].as_str().unwrap();
    let url = format!("http://{}/.well-known/jwks.json", app.api);
    let here = Path::new(".");
    let run = |token: &str, more: &[&str]| claimsmith(here, &[&["verify", token, "--jwks", &url], more].concat());
    let good = run(token, &["--issuer", "https://issuer.example/", "--audience", "orders", "--json"]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    let printed: Value = serde_json::from_str(&stdout(&good)).unwrap();
    assert_eq!((&printed["kid"], &printed["claims"]["n"]), (&json!("key-1"), &json!(1)));
    assert_eq!(run(token, &["--issuer", "https://other/"]).status.code(), Some(1));
    assert_eq!(run(token, &["--audience", "billing"]).status.code(), Some(1));
    let (rest, _) = token.rsplit_once('.').unwrap();
    assert_eq!(run(&format!("{rest}.AAAA"), &[]).status.code(), Some(1));
    app.clock.set(1000);
    let old = app.post("/issue/p", r#"{"subject":"u"}"#).json();
    let old = run(old["token"].as_str().unwrap(), &[]);
    assert!(stderr(&old).contains("expired at 1970-01-01T00:31:40Z"), "{}", stderr(&old));
}

#[test]
fn schema_health_and_completions_succeed() {
    let app = spawn_app(&Setup::default());
    let here = Path::new(".");
    let schema: Value = serde_json::from_str(&stdout(&claimsmith(here, &["schema"]))).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let ready = claimsmith(here, &["health", "--url", &format!("http://{}/health/ready", app.admin)]);
    assert_eq!((ready.status.code(), stdout(&ready).as_str()), (Some(0), "ready\n"));
    let wrong = claimsmith(here, &["health", "--url", &format!("http://{}/nothing", app.admin)]);
    assert_eq!(wrong.status.code(), Some(1));
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&claimsmith(here, &["completions", shell])).contains("claimsmith"));
    }
    assert_eq!(claimsmith(here, &["nonsense"]).status.code(), Some(2));
    assert_eq!(claimsmith(here, &["--version"]).status.code(), Some(0));
}

#[test]
fn existing_key_file_is_kept_on_request() {
    let folder = Folder::new();
    let generate = ["keys", "generate", "--out", "k.json", "--unless-exists"];
    assert_eq!(claimsmith(folder.path(), &generate).status.code(), Some(0));
    let first = fs::read(folder.path().join("k.json")).unwrap();
    let again = claimsmith(folder.path(), &generate);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stderr(&again).contains("k.json exists already"), "{}", stderr(&again));
    let refused = claimsmith(folder.path(), &generate[..4]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("claimsmith keys rotate k.json"), "{}", stderr(&refused));
    assert_eq!(fs::read(folder.path().join("k.json")).unwrap(), first);
    let below_a_file = claimsmith(folder.path(), &["keys", "generate", "--out", "k.json/k.json"]);
    assert!(
        stderr(&below_a_file).contains("cannot create the directory of k.json/k.json"),
        "{}",
        stderr(&below_a_file)
    );
    let nowhere = claimsmith(folder.path(), &["keys", "generate", "--unless-exists"]);
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn manual_has_a_page_for_each_command() {
    let folder = Folder::new();
    let printed = claimsmith(folder.path(), &["man"]);
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    assert!(stdout(&printed).contains(".TH claimsmith 1"), "{}", stdout(&printed));
    fs::create_dir(folder.path().join("man1")).unwrap();
    let written = claimsmith(folder.path(), &["man", "--out", "man1"]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    assert_eq!(page("claimsmith.1"), stdout(&printed));
    for part in ["keys\\-rotate", "for leaked keys", "\\-\\-retire"] {
        let page = page("claimsmith-keys-rotate.1");
        assert!(page.to_lowercase().contains(part), "{part} not in\n{page}");
    }
    let help = stdout(&claimsmith(folder.path(), &["--help"]));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Continuation lines are indented further.
    let commands: Vec<_> = listed
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 10, "{help}");
    for name in commands {
        assert!(page(&format!("claimsmith-{name}.1")).contains(name), "{name}");
    }
    let refused = claimsmith(folder.path(), &["man", "--out", "nowhere"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("cannot write manual pages to the directory nowhere"), "{}", stderr(&refused));
}

#[test]
fn demo_shows_the_full_flow() {
    let output = claimsmith(Folder::new().path(), &["demo", "--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in ["POST http://127.0.0.1:", "Bearer eyJ", "Verified against http://127.0.0.1:", "\"email\": ", "curl -s"]
    {
        assert!(text.contains(part), "{part}");
    }
    let claims = text.split("== 3.").nth(1).unwrap();
    assert!(!claims.contains("ip_address"), "the token of the demo does not have the whole session");
}

#[test]
fn shipped_configuration_works_with_the_readme_commands() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new();
    fs::copy(repository.join("claimsmith.yaml"), folder.path().join("claimsmith.yaml")).unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    let generate = ["keys", "generate", "--alg", "RS256", "--out", "keys/id_token.jwks.json"];
    assert!(fs::read_to_string(repository.join("README.md")).unwrap().contains(&generate.join(" ")));
    assert_eq!(claimsmith(folder.path(), &generate).status.code(), Some(0));
    let templates = repository.join("templates");
    let output = command(folder.path()).arg("check").env("CLAIMSMITH_TEMPLATES", templates).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("id_token: signs RS256"), "{}", stdout(&output));
}

/// The whole session puts addresses and devices of users into every token.
#[test]
fn shipped_configurations_do_not_copy_the_whole_session() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [
        "claimsmith.yaml",
        "deploy/compose/claimsmith/claimsmith.yaml",
        "deploy/helm/claimsmith/values.yaml",
        "deploy/kubernetes/claimsmith.yaml",
        "deploy/systemd/claimsmith.yaml",
    ] {
        let text = fs::read_to_string(repository.join(path)).unwrap();
        assert!(text.contains("template: identity") && !text.contains("template: session"), "{path}");
    }
    let session = fs::read_to_string(repository.join("templates/session/claims.hbs")).unwrap();
    assert_eq!(session, "{\"session\": {{Extra}}}\n", "users of this template keep it");
}

#[test]
fn shipped_templates_render_their_recorded_claims() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let names: Vec<String> = fs::read_dir(&templates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('_'))
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    let profiles: String = names.iter().map(|name| format!("  {name}: {{ issuer: i, jwks: keys.json }}\n")).collect();
    folder.write("claimsmith.yaml", &format!("templates: {}\nprofiles:\n{profiles}", templates.display()));
    let output = claimsmith(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for name in names {
        let cases = fs::read_dir(templates.join(&name)).unwrap();
        let cases =
            cases.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".session.json"));
        assert!(cases.count() >= 2, "{name} has recorded cases");
    }
}

#[test]
fn check_json_locates_each_error() {
    let folder = working();
    let report = |expected: i32| {
        let output =
            command(folder.path()).args(["check", "--json"]).env("CLAIMSMITH_LOG_LEVEL", "info").output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{}", stderr(&output));
        let text = stdout(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let fault = |code: &str, part: &str, path: Value, message: &str| {
        json!({"code": code, "part": part, "path": path, "line": null, "column": null, "key": null, "variable": null,
               "message": message})
    };
    let good = report(0);
    assert_eq!((&good["ok"], &good["faults"]), (&json!(true), &json!([])));
    // The note about permissions depends on the umask of the test.
    assert!(good["notes"].as_array().unwrap().iter().all(Value::is_string));
    assert_eq!(good.as_object().unwrap().len(), 3);

    folder.write("claimsmith.yaml", "profiles:\n  p: { issuer: i, jwks: keys.json, ttl: soon }\n");
    let found = report(1);
    let mut expected = fault("config.invalid", "claimsmith.yaml", json!("claimsmith.yaml"), "");
    (expected["line"], expected["column"], expected["key"]) = (json!(2), json!(41), json!("profiles.p.ttl"));
    expected["message"] = json!("expected a duration of 1s or more, such as 15m or 1h30m, found the text `soon`");
    let error = json!({"code": "config.invalid", "message": "1 fault"});
    assert_eq!(found, json!({"ok": false, "error": error, "faults": [expected], "notes": []}));

    folder.write(
        "claimsmith.yaml",
        "profiles: { p: { issuer: i, jwks: keys.json }, q: { issuer: i, jwks: none.json } }\n",
    );
    folder.write("templates/p/claims.hbs", "{\"name\":\n  {{{Extra.name}}}}");
    let found = report(1);
    let faults = found["faults"].as_array().unwrap();
    let of = |code: &str, path: &str| {
        let is_it = |fault: &&Value| fault["code"] == code && fault["path"] == path;
        faults.iter().find(is_it).unwrap_or_else(|| panic!("{code} of {path} not in {found}"))
    };
    let template = of("template.refused", "templates/p/claims.hbs");
    assert_eq!((&template["line"], &template["column"]), (&json!(2), &json!(3)), "{template}");
    let message = template["message"].as_str().unwrap();
    assert!(!message.contains('\n') && !message.contains("claims.hbs"), "{message}");
    of("keys.invalid", "none.json");
    of("config.invalid", "claimsmith.yaml");
    assert_eq!(faults.len(), 3, "{found}");

    folder.write("claimsmith.yaml", "profiles: { p: { issuer: i, jwks: keys.json } }\n");
    folder.write("templates/p/claims.hbs", "{\"name\": {{Extra.name}}}");
    folder.write("templates/p/one.claims.json", r#"{"name":"ann"}"#);
    let path = "templates/p/one.session.json";
    let message = "the claims differ from the recorded ones\n  claims.name: expected \"ann\", found \"zoe\"";
    assert_eq!(report(1)["faults"], json!([fault("template.recorded_case", "template p", json!(path), message)]));

    let output = command(folder.path()).args(["check", "--json"]).env("CLAIMSMITH_LOG_LEVEL", "loud").output().unwrap();
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let fault = &found["faults"][0];
    assert_eq!((&fault["variable"], &fault["path"]), (&json!("CLAIMSMITH_LOG_LEVEL"), &Value::Null));
    assert_eq!(fault["key"], "log.level");
}

#[test]
fn error_in_a_shared_template_is_reported_once() {
    let folder = Folder::new();
    folder.write_key("k.json", SignatureAlg::Es256, "k");
    folder.write("templates/t/claims.hbs", "{\"a\": {{Extra.}");
    let profile = |name: &str| format!("  {name}: {{ issuer: i, jwks: k.json, template: t }}\n");
    folder.write("claimsmith.yaml", &format!("profiles:\n{}{}", profile("p"), profile("q")));
    let output = command(folder.path()).arg("check").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), printed.matches("template.syntax").count()), (Some(1), 1), "{printed}");
}
