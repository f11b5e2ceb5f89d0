//! What all commands share: JSON for results and failures, help with examples; and the commands for newcomers.

use std::fs;

use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::support::{Folder, Service, claimsmith, command, stderr, stdout};

/// Each command with arguments that fail, its exit code and the code of its error.
const FAILURES: &[(&[&str], i32, &str)] = &[
    (&["serve", "--config", "none.yaml"], 78, "config.invalid"),
    (&["check", "--config", "none.yaml"], 1, "config.invalid"),
    (&["health", "--config", "none.yaml"], 78, "config.invalid"),
    (&["health", "--url", "http://127.0.0.1:9/"], 1, "failed"),
    (&["demo", "--nope"], 2, "usage"),
    (&["init", "full"], 1, "failed"),
    (&["init", "new", "--alg", "XY"], 1, "failed"),
    (&["check-session", "web", "--session", "session.json", "--config", "none.yaml"], 78, "config.invalid"),
    (&["check-session", "web", "--session", "session.json", "--at", "noon"], 2, "usage"),
    (&["render", "--text", "{\"a\": {{nope}}}", "--session", "session.json"], 1, "template.helper"),
    (&["render", "--text", "{\"a\": {{Extra.nope}}}", "--session", "session.json"], 1, "template.missing_value"),
    (&["render", "--text", "{\"a\": 1}", "--session", "none.json"], 1, "failed"),
    (&["test", "none.jsonl"], 1, "failed"),
    (&["test", "bad.jsonl"], 1, "template.recorded_case"),
    (&["import", "oathkeeper", "none.yml", "--out", "out"], 78, "config.invalid"),
    (&["keys", "generate", "--alg", "XY"], 1, "failed"),
    (&["keys", "add", "keys.json", "--from", "none.pem"], 1, "failed"),
    (&["keys", "rotate", "none.json"], 1, "failed"),
    (&["keys", "list", "none.json"], 1, "failed"),
    (&["keys", "public", "session.json"], 1, "failed"),
    (&["verify", "a.b.c", "--jwks", "keys.json"], 1, "failed"),
    (&["inspect", "a.b"], 1, "failed"),
    (&["completions", "nope"], 2, "usage"),
    (&["man", "--out", "none"], 1, "failed"),
    (&["schema", "extra"], 2, "usage"),
    (&["nope"], 2, "usage"),
];

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write_key("keys.json", SignatureAlg::Es256, "key-1");
    folder.write("session.json", r#"{"subject":"ann","extra":{}}"#);
    folder.write("bad.jsonl", r#"{"id":"a","template":"{\"a\": 1}","session":{"subject":"u"},"claims":{"a":2}}"#);
    folder.write("full/file", "");
    folder
}

#[test]
fn each_failure_is_one_json_document() {
    let folder = folder();
    for (arguments, exit_code, code) in FAILURES {
        let output = claimsmith(folder.path(), &[arguments, &["--json"][..]].concat());
        let text = stdout(&output);
        let last = text.lines().last().unwrap_or_else(|| panic!("{arguments:?}: {}", stderr(&output)));
        let document: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {last}"));
        assert_eq!(output.status.code(), Some(*exit_code), "{arguments:?}: {last}");
        assert_eq!(
            (&document["ok"], document["error"]["code"].as_str()),
            (&json!(false), Some(*code)),
            "{arguments:?}: {last}"
        );
        assert!(document["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{last}");
        assert!(document["faults"].is_array(), "{last}");
    }
}

#[test]
fn faults_of_a_configuration_have_positions_in_json() {
    let folder = folder();
    folder.write(
        "claimsmith.yaml",
        "profiles:\n  p:\n    issuer: https://a.example/\n    jwks: keys.json\n    ttl: soon\n",
    );
    for command in ["serve", "check"] {
        let document: Value = serde_json::from_str(&stdout(&claimsmith(folder.path(), &[command, "--json"]))).unwrap();
        let fault = &document["faults"][0];
        assert_eq!(
            (&fault["path"], &fault["line"], &fault["key"]),
            (&json!("claimsmith.yaml"), &json!(5), &json!("profiles.p.ttl"))
        );
    }
}

#[test]
fn init_creates_what_check_accepts_and_serve_serves() {
    let folder = Folder::new();
    let output =
        claimsmith(folder.path(), &["init", "new/service", "--alg", "RS256", "--issuer", "https://id.example/"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("claimsmith check"), "{}", stdout(&output));
    let directory = folder.path().join("new/service");
    let output = claimsmith(&directory, &["check"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{}", stdout(&output));
    assert!(stdout(&output).contains("id_token: signs RS256"), "{}", stdout(&output));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(directory.join("keys/id_token.jwks.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    let mut serve = command(&directory);
    serve.env("CLAIMSMITH_SERVE_API_PORT", "0").env("CLAIMSMITH_SERVE_ADMIN_PORT", "0");
    serve.env("CLAIMSMITH_LOG_FORMAT", "json");
    let app = Service::run(folder, serve);
    assert_eq!(app.get("/.well-known/jwks.json").status, 200);
    let again = claimsmith(&directory, &["init", "."]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("expected a new or empty directory"), "{}", stderr(&again));
}

#[test]
fn inspect_shows_a_token_and_says_that_it_is_not_verified() {
    let folder = Folder::new();
    // {"alg":"none"} and {"sub":"ann","exp":1}
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJleHAiOjF9.";
    let output = claimsmith(folder.path(), &["inspect", &format!("Bearer {token}")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("\"sub\": \"ann\""), "{}", stdout(&output));
    for part in ["NOT VERIFIED", "no signature", "exp: expires 1970-01-01T00:00:01Z, EXPIRED"] {
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
    let output = claimsmith(folder.path(), &["inspect", token, "--json"]);
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(document, json!({"verified": false, "header": {"alg": "none"}, "claims": {"sub": "ann", "exp": 1}}));
}

#[test]
fn dry_run_of_a_rotation_changes_nothing() {
    let folder = folder();
    let before = fs::read(folder.path().join("keys.json")).unwrap();
    for arguments in
        [&["keys", "rotate", "keys.json", "--dry-run"][..], &["keys", "rotate", "keys.json", "--now", "--dry-run"]]
    {
        let output = claimsmith(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            stdout(&output).contains("added    ES256") && stderr(&output).contains("dry run"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(fs::read(folder.path().join("keys.json")).unwrap(), before);
}

#[test]
fn generate_creates_missing_directories() {
    let folder = Folder::new();
    let output = claimsmith(folder.path(), &["keys", "generate", "--out", "a/b/keys.json", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&document["path"], &document["alg"]), (&json!("a/b/keys.json"), &json!("ES256")));
    assert!(folder.path().join("a/b/keys.json").exists());
}

#[test]
fn help_and_manual_pages_have_examples() {
    let folder = Folder::new();
    for arguments in [&["serve", "--help"][..], &["keys", "rotate", "--help"], &["help", "render"]] {
        let output = claimsmith(folder.path(), arguments);
        assert!(stdout(&output).contains("Examples:") && stdout(&output).contains("claimsmith "), "{arguments:?}");
    }
    fs::create_dir(folder.path().join("man")).unwrap();
    let output = claimsmith(folder.path(), &["man", "--out", "man"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = fs::read_to_string(folder.path().join("man/claimsmith-keys-rotate.1")).unwrap();
    assert!(page.contains("Examples:"), "{page}");
}

#[test]
fn output_that_is_not_a_terminal_has_no_colors() {
    let folder = folder();
    let output = claimsmith(folder.path(), &["keys", "list", "none.json"]);
    assert!(stderr(&output).starts_with("error: ") && !stderr(&output).contains('\u{1b}'), "{}", stderr(&output));
}

#[test]
fn kratos_session_without_its_wrapper_is_explained() {
    let folder = Folder::new();
    folder.write("whoami.json", r#"{"id":"s","active":true,"identity":{"id":"canary"}}"#);
    let output = claimsmith(folder.path(), &["render", "--text", "{\"a\": 1}", "--session", "whoami.json"]);
    assert!(stderr(&output).contains(r#"{"subject": .identity.id, "extra": .}"#), "{}", stderr(&output));
    assert!(!stderr(&output).contains("canary"));
}
