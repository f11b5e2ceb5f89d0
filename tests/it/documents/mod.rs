//! Tests of the documents: their commands run, their samples are valid, their outputs are real, and their names and
//! links exist.
//!
//! Samples are found in the documents, so a new command, configuration or template needs no change here. Only outputs
//! need an entry in [`OUTPUTS`], because a test cannot guess where an output comes from.

mod http;
mod markdown;
mod names;
mod outputs;
mod scratch;
mod yaml;

use std::fmt::Write as _;
use std::path::Path;

use claimsmith::config::Config;
use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::support::{Folder, claimsmith, stderr, stdout};
use markdown::{Block, Document, documents, repository};
use scratch::Scratch;

#[path = "../../section.rs"]
mod section;

/// Commands that cannot run here: a build inside of the tests, an engine, a cluster, and changes of the host.
const REPLACED_COMMANDS: &[&str] = &["docker", "helm", "kubectl", "make", "sudo"];

/// An output in a document: the document, a text that only this output contains, and its check.
struct ShownOutput(&'static str, &'static str, fn(&str));

const OUTPUTS: &[ShownOutput] = &[
    ShownOutput("docs/configuration.md", "isuer", outputs::configuration_errors),
    ShownOutput("docs/http.md", "template.missing_value", outputs::problem),
    ShownOutput("docs/keys.md", "keys list", outputs::list_of_keys),
    ShownOutput("docs/keys.md", "sesion", outputs::rejected_template),
    ShownOutput("docs/operations.md", "request_id", outputs::log_line),
    ShownOutput("docs/operations.md", "lines_lost", outputs::lost_lines),
    ShownOutput("docs/operations.md", "\"keys.json", outputs::rejected_keys),
    ShownOutput("docs/operations.md", "\"token: expected", outputs::obstructed_secret),
    ShownOutput("docs/sessions.md", "denial", outputs::check_case),
    ShownOutput("docs/templates.md", "templates/identity", outputs::recorded_case),
    ShownOutput("docs/templates.md", "additionalProperties", outputs::claims_schema),
];

fn place(document: &Document, block: &Block) -> String {
    format!("{}:{}", document.path, block.line)
}

/// Calls `check` with each block in one of the languages.
fn each_block(languages: &[&str], mut check: impl FnMut(&Document, usize, &Block)) {
    for document in documents() {
        let blocks = document.blocks.iter().enumerate();
        for (index, block) in blocks.filter(|(_, block)| languages.contains(&block.language.as_str())) {
            check(&document, index, block);
        }
    }
}

/// Creates the files that a reader of the document has before the first command.
fn prepare(document: &str, scratch: &Scratch) {
    let generate_key = |name: &str| {
        let output = scratch.run(&format!("claimsmith keys generate --alg RS256 --out {name}"), ".", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
    };
    let fixture = |name: &str| std::fs::read_to_string(repository().join("tests/fixtures").join(name)).unwrap();
    match document {
        "docs/configuration.md" => {
            generate_key("keys/id_token.jwks.json");
            std::fs::remove_file(scratch.path().join("claimsmith.yaml")).unwrap();
        }
        "docs/keys.md" => {
            generate_key("keys/id_token.jwks.json");
            scratch.write("key.pem", &fixture("pem/p256-pkcs8.pem"));
        }
        "docs/migrate-from-oathkeeper.md" => {
            generate_key("id_token.jwks.json");
            for name in ["oathkeeper.yml", "access-rules.yml"] {
                scratch.write(name, &fixture(&format!("oathkeeper/{name}")));
            }
        }
        "docs/operations.md" => {
            generate_key("keys/id_token.jwks.json");
            let text = std::fs::read_to_string(scratch.path().join("claimsmith.yaml")).unwrap();
            scratch.write("claimsmith.yaml", &format!("{text}oops: 1\n"));
        }
        _ => {}
    }
}

/// Returns `true` if a claimsmith command has an argument that the reader must replace, such as `TOKEN`.
fn has_placeholder(script: &str) -> bool {
    let is_placeholder = |word: &String| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    names::own_commands(script).iter().any(|command| command.iter().any(is_placeholder))
}

/// Runs the scripts of a document one after the other in one directory. Returns the failures.
fn run(document: &Document) -> Vec<String> {
    let scratch = Scratch::new();
    prepare(&document.path, &scratch);
    let within = if document.path.starts_with("deploy/compose/") { "deploy/compose" } else { "." };
    let mut failures = Vec::new();
    for block in document.blocks.iter().filter(|block| block.language == "sh") {
        let place = place(document, block);
        if has_placeholder(&block.text) {
            failures.extend(names::invalid_commands(&block.text).map(|why| format!("{place}: {why}")));
            continue;
        }
        let output = scratch.run(&block.text, within, REPLACED_COMMANDS);
        if !output.status.success() {
            let (status, stdout, stderr) = (output.status, stdout(&output), stderr(&output));
            failures.push(format!("{place}: {status}\n{}{stdout}{stderr}", block.text));
        }
    }
    failures
}

#[test]
fn documented_commands_run() {
    for command in ["curl", "jq"] {
        let found = std::process::Command::new(command).arg("--version").output();
        assert!(found.is_ok(), "the documents use {command}, which is not installed; `make setup` installs it");
    }
    let documents = documents();
    // Each document has its own directory and its own services, so they run at the same time.
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = documents.iter().map(|document| scope.spawn(|| run(document))).collect();
        running.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Returns `true` for the files of Traefik, which `make proxies` runs, and for the annotations of an Ingress.
fn is_of_proxy(value: &Value) -> bool {
    ["entryPoints", "http", "metadata"].iter().any(|key| value[*key].is_object())
}

#[test]
fn documented_configurations_are_valid() {
    let mut count = 0;
    each_block(&["yaml"], |document, _, block| {
        let place = place(document, block);
        let value = yaml::parse(&block.text).unwrap_or_else(|error| panic!("{place}: {error}"));
        match &value {
            Value::Array(_) => check_oathkeeper_handlers(&value),
            _ if value["mutators"].is_array() => check_oathkeeper_handlers(&value["mutators"]),
            _ if value["mutators"].is_object() => check_oathkeeper_mutators(&value),
            _ if value["kind"] == "Kustomization" => outputs::check_overlay(&value),
            _ if value["containers"].is_array() => outputs::check_container(&value),
            _ if document.path.starts_with("docs/proxies/") && is_of_proxy(&value) => {}
            _ => {
                count += 1;
                if let Some(errors) = configuration_errors(&block.text) {
                    panic!("{place}: {errors}");
                }
            }
        }
    });
    assert!(count > 6, "{count} configurations");
}

/// Returns the errors of a configuration, or of a part of one.
fn configuration_errors(text: &str) -> Option<String> {
    let is_whole = text.lines().any(|line| line.starts_with("profiles:"));
    let rest = if is_whole { "" } else { "profiles: { p: { issuer: i, jwks: k } }\n" };
    Config::parse(&format!("{text}{rest}"), Path::new("."), &[]).err().map(|error| error.to_string())
}

/// Checks that a URL in an Oathkeeper configuration is the hydrator of a profile.
fn check_hydrator_url(url: &Value) {
    let url = url.as_str().unwrap_or_else(|| panic!("no url"));
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let profile = path.strip_prefix("hydrate/").unwrap_or_else(|| panic!("{url} is not a hydrator"));
    assert!(!profile.is_empty() && !profile.contains('/'), "{url}");
}

fn check_oathkeeper_mutators(value: &Value) {
    let hydrator = &value["mutators"]["hydrator"];
    assert_eq!(hydrator["enabled"], json!(true), "{value}");
    let api = hydrator["config"]["api"].as_object().unwrap();
    check_hydrator_url(&api["url"]);
    assert!(api.keys().all(|name| ["url", "auth", "retry"].contains(&name.as_str())), "{value}");
}

fn check_oathkeeper_handlers(value: &Value) {
    for mutator in value.as_array().unwrap() {
        assert_eq!(mutator["handler"], "hydrator", "{value}");
        if let Some(config) = mutator.get("config") {
            check_hydrator_url(&config["api"]["url"]);
        }
    }
}

#[test]
fn documented_outputs_match_real_outputs() {
    let mut used = Vec::new();
    each_block(&["console", "json", "text"], |document, index, block| {
        let is_claims = index > 0 && document.blocks[index - 1].language == "handlebars";
        let entry =
            OUTPUTS.iter().find(|ShownOutput(path, part, _)| *path == document.path && block.text.contains(part));
        match entry {
            Some(ShownOutput(path, part, check)) => {
                assert!(!used.contains(&(path, part)), "{path} has more than one output with `{part}`");
                used.push((path, part));
                println!("{}", place(document, block));
                check(&block.text);
            }
            // A drawing is text too.
            None if is_claims || block.language == "text" => {}
            None => panic!("{}: OUTPUTS has no entry for this output: {}", place(document, block), block.first_line()),
        }
    });
    for ShownOutput(path, part, _) in OUTPUTS {
        assert!(used.contains(&(path, part)), "{path} has no output with `{part}`");
    }
}

/// Returns `extra` and the claims of the template in the block at `index`. The text after the template has the `extra`,
/// visible or in a comment; the claims are in the next block or in a comment too.
fn example(document: &Document, index: usize) -> Option<(String, String)> {
    let template = &document.blocks[index];
    let next = document.blocks.get(index + 1);
    let end = next.map_or(usize::MAX, |next| next.line);
    let lines = || document.prose.lines().skip(template.line).take(end.saturating_sub(template.line));
    let enclosed = |before: &str, after: &str| {
        lines().find_map(|line| Some(line.strip_prefix(before)?.strip_suffix(after)?.to_owned()))
    };
    let extra = enclosed("with `extra` `", "` gives").or_else(|| enclosed("<!-- extra: ", " -->"))?;
    let shown = || next.filter(|next| next.language == "json").map(|next| next.text.trim().to_owned());
    let claims = enclosed("<!-- claims: ", " -->").or_else(shown)?;
    Some((extra, claims))
}

#[test]
fn documented_templates_render_documented_claims() {
    let folder = Folder::new();
    let (mut cases, mut count) = (String::new(), 0);
    each_block(&["handlebars"], |document, index, block| {
        let place = place(document, block);
        let template = block.text.trim();
        match example(document, index) {
            Some((extra, claims)) => {
                let (place, template) = (Value::from(place), Value::from(template));
                let session = format!("{{\"subject\":\"zoe\",\"extra\":{extra}}}");
                writeln!(cases, "{{\"id\":{place},\"template\":{template},\"session\":{session},\"claims\":{claims}}}")
                    .unwrap();
                count += 1;
            }
            None => {
                folder.write("s.json", r#"{"subject":"zoe","extra":{}}"#);
                let rendered = render(&folder, "handlebars", "as_null", template);
                assert!(
                    rendered.is_some(),
                    "{place}: the template cannot be rendered; write `<!-- extra: … -->` below it"
                );
            }
        }
    });
    assert!(count > 50, "{count} templates with claims");
    folder.write("cases.jsonl", &cases);
    let output = claimsmith(folder.path(), &["test", "cases.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

/// Returns the claims that `claimsmith render` prints, or `None` if it rejects template or session.
fn render(folder: &Folder, syntax: &str, missing: &str, template: &str) -> Option<Value> {
    let arguments = ["render", "--syntax", syntax, "--missing", missing, "--session", "s.json", "--text", template];
    let output = claimsmith(folder.path(), &arguments);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Renders `template` as a value, as an element of an array and inside a string, wherever that is possible.
fn render_at_each_position(folder: &Folder, syntax: &str, template: &str) -> Vec<Value> {
    let template = template.replace('…', "x");
    let positions = ["@", "[@]", "\"@\""].map(|position| format!("{{\"v\": {}}}", position.replace('@', &template)));
    positions.iter().filter_map(|template| render(folder, syntax, "error", template)).collect()
}

/// Returns the rows of all tables with two columns of templates: Go on the left, Handlebars on the right.
fn compared_templates(document: &Document) -> Vec<[String; 2]> {
    let cell = |text: &str| text.replace('\u{0}', "|").trim().trim_matches('`').to_owned();
    let rows = document.prose.lines().map(str::trim).filter(|line| line.starts_with('|'));
    let rows = rows.map(|row| row.replace("\\|", "\u{0}"));
    let cells = rows.filter_map(|row| row.trim_matches('|').split('|').map(cell).collect::<Vec<_>>().try_into().ok());
    cells.filter(|cells: &[String; 2]| cells.iter().all(|cell| cell.contains("{{"))).collect()
}

#[test]
fn compared_templates_render_the_same_claims() {
    let folder = Folder::new();
    let session = json!({
        "subject": "zoe", "extra": {"name": "Ann", "id": "7", "x": 1, "role": "admin", "roles": ["a", "b"]},
        "header": null, "match_context": {"regexp_capture_groups": ["42"]},
    });
    folder.write("s.json", &session.to_string());
    let mut count = 0;
    for document in documents() {
        for [go, handlebars] in compared_templates(&document) {
            count += 1;
            // Some rows show only the beginning of a block.
            let is_open = go.contains("{{ if") && !go.contains("{{ end }}");
            let close = |template: &str, end: &str| template.to_owned() + if is_open { end } else { "" };
            let left = render_at_each_position(&folder, "go", &close(&go, "y{{ end }}"));
            let right = render_at_each_position(&folder, "handlebars", &close(&handlebars, "y{{/if}}"));
            let path = &document.path;
            assert!(left.iter().any(|claims| right.contains(claims)), "{path}: {go} {handlebars}: {left:?} {right:?}");
        }
    }
    assert!(count > 12, "{count} compared templates");
}

#[test]
fn newcomer_migration_script_succeeds() {
    let mut script = std::process::Command::new("sh");
    script.arg(repository().join("tests/newcomer.sh")).arg("migrate").env("BINARY", env!("CARGO_BIN_EXE_claimsmith"));
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

/// A Go template that surprises in Oathkeeper: its text, a description of `extra`, and `extra`.
const PITFALLS: &[(&str, &str, &str)] = &[
    (r#""{{ .Extra.name }}""#, "no `name`", "{}"),
    (r#""{{ print .Extra.at }}""#, "`at` is 1700000000", r#"{"at":1700000000}"#),
    (r#""{{ print .Extra.roles }}""#, "`roles` is a list", r#"{"roles":["a","b"]}"#),
    ("{{ print .Extra.n }}", "`n` is text", r#"{"n":"some text"}"#),
    (r#""{{ print .Extra.a.b }}""#, "no `a`", "{}"),
];

/// Imports an Oathkeeper configuration with `claims` and returns the Handlebars template.
fn imported(folder: &Folder, name: &str, claims: &str) -> String {
    let claims = serde_json::to_string(claims).unwrap();
    let config = format!("{{ issuer_url: i, jwks_url: \"file://k.json\", claims: {claims} }}");
    folder.write("oathkeeper.yml", &format!("mutators: {{ id_token: {{ enabled: true, config: {config} }} }}\n"));
    let output = claimsmith(folder.path(), &["import", "oathkeeper", "oathkeeper.yml", "--out", name]);
    assert!(output.status.success(), "{claims}: {}", stderr(&output));
    std::fs::read_to_string(folder.path().join(name).join("templates/id_token/claims.hbs")).unwrap()
}

#[test]
fn generated_pitfall_table_matches_real_claims() {
    let folder = Folder::new();
    folder.write_key("k.json", SignatureAlg::Es256, "k");
    let cell = |claims: Option<Value>| claims.map_or("no token".to_owned(), |claims| format!("`{}`", claims["v"]));
    let mut table = "| Go template | Session | Oathkeeper | Imported |\n| --- | --- | --- | --- |\n".to_owned();
    for (index, (go, description, extra)) in PITFALLS.iter().enumerate() {
        folder.write("s.json", &format!("{{\"subject\":\"zoe\",\"extra\":{extra}}}"));
        let template = format!("{{\"v\": {go}}}");
        let handlebars = imported(&folder, &format!("imported-{index}"), &template);
        let (before, after) =
            (render(&folder, "go", "error", &template), render(&folder, "handlebars", "as_null", &handlebars));
        writeln!(table, "| `{go}` | {description} | {} | {} |", cell(before), cell(after)).unwrap();
    }
    section::hold("docs/migrate-from-oathkeeper.md", "pitfalls", &table);
}
