//! Hostile text in every place that an output for people quotes: no character of it reaches the terminal or the log as it is.

use std::fs;
use std::process::Output;

use claimsmith::escape;

use crate::support::{Folder, claimsmith, command, serving_folder, stderr, stdout};

/// Text that starts lines, moves the cursor, colors, and reorders; also as a JSON and YAML string, and as a file name.
const HOSTILE: &str = "x\u{1b}[31m\r\nFORGED \u{9b}1m\u{202e}\u{2066}\u{2028}\u{7f}";
const HOSTILE_QUOTED: &str = "\"x\\u001b[31m\\r\\nFORGED \\u009b1m\\u202e\\u2066\\u2028\\u007f\"";

#[track_caller]
fn assert_harmless(text: &str, what: &str) {
    for char in ['\u{1b}', '\r', '\u{9b}', '\u{202e}', '\u{2066}', '\u{2028}', '\u{7f}', '\0'] {
        assert!(!text.contains(char), "{what}: {char:?} in {text:?}");
    }
    assert_eq!(escape::lines(text), text, "{what}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{what}: a forged line in {text:?}");
}

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    let output = claimsmith(folder.path(), arguments);
    assert_harmless(&stdout(&output), &format!("{arguments:?}"));
    assert_harmless(&stderr(&output), &format!("{arguments:?}"));
    output
}

/// Returns `key` with the `kid` that is quoted in `kid`.
fn with_kid(key: &str, kid: &str) -> String {
    let (start, rest) = key.split_once("\"kid\":").unwrap();
    format!("{start}\"kid\":{kid},\"was\":{rest}")
}

fn key_set(member: &str) -> String {
    format!("{{\"keys\":[{{{member}}}]}}")
}

#[test]
fn commands_show_no_hostile_character() {
    let folder = serving_folder("", "");
    let name = HOSTILE.replace('/', "");
    let key = fs::read_to_string(folder.path().join("keys.json")).unwrap();
    folder.write(&name, &with_kid(&key, HOSTILE_QUOTED));
    folder.write("kid.json", &with_kid(&key, HOSTILE_QUOTED));
    for member in ["kty", "kid", "alg", "use", "crv", "key_ops", "nbf", "x5c"] {
        folder.write("member.json", &key_set(&format!("\"kty\":\"EC\",\"kid\":\"k\",\"{member}\":{HOSTILE_QUOTED}")));
        run(&folder, &["keys", "list", "member.json"]);
    }
    folder.write("key.json", &key_set(&format!("{HOSTILE_QUOTED}:1")));
    folder.write("broken.json", HOSTILE);
    for file in ["kid.json", "key.json", "broken.json", &name, "missing\u{1b}\nFORGED"] {
        for command in ["list", "public", "rotate"] {
            run(&folder, &["keys", command, file]);
        }
        run(&folder, &["keys", "add", file, "--from", &name]);
        run(&folder, &["keys", "generate", "--kid", HOSTILE, "--alg", HOSTILE, "--out", file]);
        run(&folder, &["keys", "generate", "--kid", HOSTILE, "--out", "new.json"]);
        run(&folder, &["verify", "e30.e30.e30", "--jwks", file]);
        run(&folder, &["verify", HOSTILE, "--jwks", file, "--issuer", HOSTILE]);
        run(&folder, &["check", "--config", file]);
        run(&folder, &["serve", "--config", file]);
        run(&folder, &["check", "--oathkeeper", file]);
        run(&folder, &["import", "oathkeeper", file, "--out", file]);
        run(&folder, &["render", "--template", file, "--session", file]);
        run(&folder, &["test", file]);
    }
    run(&folder, &["health", "--url", HOSTILE]);
    run(&folder, &[HOSTILE]);
    run(&folder, &["keys", "list", "--lead", HOSTILE]);
}

#[test]
fn faults_of_a_configuration_show_no_hostile_character() {
    let quoted = HOSTILE_QUOTED;
    for text in [
        format!("{quoted}: 1"),
        format!("profiles: {{ {quoted}: {{ issuer: i, jwks: keys.json }} }}"),
        format!("profiles: {{ p: {{ issuer: i, jwks: {quoted} }} }}"),
        format!("profiles: {{ p: {{ issuer: i, jwks: keys.json, template: {quoted}, ttl: {quoted}, {quoted}: 1 }} }}"),
        format!("profiles: {{ p: {{ issuer: i, jwks: 'http://a.example/x' }} }}\ntemplates: {quoted}"),
        format!("profiles: {{ p: {{ issuer: {quoted}, jwks: keys.json, alg: {quoted}, missing: {quoted} }} }}"),
        format!(
            "profiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\ncallers: [{{ name: {quoted}, bearer: {{ token_file: {quoted} }} }}]"
        ),
        format!(
            "profiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\ncallers: [{{ name: a, bearer: {{ token_file: {quoted} }} }}]"
        ),
        format!(
            "profiles: {{ p: {{ issuer: i, jwks: keys.json }} }}\nserve: {{ tls: {{ cert_file: {quoted}, key_file: {quoted} }} }}"
        ),
        format!("a: *{HOSTILE}"),
        HOSTILE.to_owned(),
    ] {
        let folder = serving_folder("", "");
        folder.write("claimsmith.yaml", &text);
        let output = run(&folder, &["check"]);
        assert_ne!(output.status.code(), Some(0), "{text}");
        run(&folder, &["serve"]);
        run(&folder, &["health"]);
    }
    let folder = serving_folder("", "");
    let rules = format!(
        "access_rules: {{ repositories: ['inline://W3siaWQiOiJhIn1d'] }}\nmutators: {{ id_token: {{ config: {{ issuer_url: {quoted}, \
         jwks_url: {quoted}, claims: {quoted}, {quoted}: 1 }} }} }}\n"
    );
    folder.write("oathkeeper.yml", &rules);
    folder.write("rules.json", &format!("[{{\"id\":{quoted},\"mutators\":[{{\"handler\":{quoted}}},{{\"handler\":\"id_token\",\"config\":{{{quoted}:1,\"claims\":{quoted}}}}}]}}]"));
    run(&folder, &["check", "--oathkeeper", "oathkeeper.yml"]);
    folder.write("oathkeeper.yml", &rules.replace("inline://W3siaWQiOiJhIn1d", "file://rules.json"));
    run(&folder, &["check", "--oathkeeper", "oathkeeper.yml"]);
    run(&folder, &["import", "oathkeeper", "oathkeeper.yml", "--out", "imported"]);
}

#[test]
fn faults_of_templates_show_no_hostile_character() {
    let folder = serving_folder("", "");
    let name = HOSTILE.replace('/', "");
    for text in [
        format!("{{\"a\": {{{{{HOSTILE}"),
        format!("{{\"a\": {{{{Extra.a {HOSTILE}}}}}}}"),
        format!("{{\"a\": {{{{{{Extra.[{HOSTILE}]}}}}}}}}"),
        format!("{{\"a\": \"{HOSTILE}\"}}"),
        HOSTILE.to_owned(),
        format!("{{\"a\": {{{{> [{HOSTILE}]}}}}}}"),
    ] {
        folder.write("templates/p/claims.hbs", &text);
        run(&folder, &["check"]);
        for syntax in ["handlebars", "go"] {
            folder.write("session.json", "{\"subject\":\"u\"}");
            let file = ["--template", "templates/p/claims.hbs", "--session", "session.json", "--syntax", syntax];
            run(&folder, &[&["render"], file.as_slice()].concat());
            run(&folder, &["render", "--text", &text, "--session", "session.json", "--syntax", syntax]);
        }
    }
    folder.write("templates/p/claims.hbs", "{}");
    folder.write(&format!("templates/p/{name}.session.json"), "{}");
    folder.write(&format!("templates/{name}/claims.hbs"), "{{");
    folder.write(&format!("templates/_partials/{name}.hbs"), "{{");
    let output = run(&folder, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    folder.write(
        "cases.jsonl",
        &format!("{{\"id\":{HOSTILE_QUOTED},\"template\":{HOSTILE_QUOTED},\"session\":{{}},\"claims\":{{}}}}\n"),
    );
    run(&folder, &["test", "cases.jsonl"]);
}

#[test]
fn log_shows_no_hostile_character_in_text_or_json() {
    ["text", "json"].into_iter().for_each(assert_log_is_harmless);
}

fn assert_log_is_harmless(format: &str) {
    let folder = serving_folder("", &format!("reload: {{ interval: 100ms }}\nlog: {{ format: {format} }}"));
    let mut child = command(folder.path()).arg("serve").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    let mut wait_for = |words: &str| {
        while !text.contains(words) {
            assert_ne!(std::io::BufRead::read_line(&mut log, &mut text).unwrap(), 0, "{text}");
        }
        assert_harmless(&text, words);
    };
    wait_for("serving");
    folder.write("templates/p/claims.hbs", &format!("{{\"a\": {{{{{HOSTILE}"));
    wait_for("reload rejected");
    folder.write("templates/p/claims.hbs", "{}");
    wait_for("files match the current generation again");
    folder.write(&format!("templates/p/{}.session.json", HOSTILE.replace('/', "")), "{}");
    wait_for("beside it, found none");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn hostile_kid_is_skipped_with_a_note() {
    let folder = serving_folder("", "");
    let key = fs::read_to_string(folder.path().join("keys.json")).unwrap();
    for (kid, found) in [
        (HOSTILE_QUOTED.to_owned(), "expected a key ID without control characters, found U+001B"),
        (format!("\"{}\"", "k".repeat(500_000)), "expected a key ID of at most 256 bytes, found 500000"),
    ] {
        folder.write("hostile.json", &with_kid(&key, &kid));
        let output = run(&folder, &["keys", "list", "hostile.json"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(found) && stderr(&output).len() < 1000, "{}", stderr(&output));
    }
}

#[test]
fn json_output_shows_no_hostile_character() {
    let folder = serving_folder("", "");
    folder.write("claimsmith.yaml", &format!("{HOSTILE_QUOTED}: 1"));
    let output = run(&folder, &["check", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(document["faults"][0]["key"].as_str().unwrap().contains("FORGED"), "{document}");
}
