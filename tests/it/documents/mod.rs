//! What the documents show is so: their commands run, their samples are accepted, their outputs come out, what they name
//! exists, and their links lead somewhere.
//!
//! A `sh` block is run unless [`SCRIPTS`] says otherwise, a `yaml` block is a configuration unless [`FOREIGN`] says
//! otherwise, a template is rendered, and whatever else is shown has a line in [`SHOWN`] or [`PICTURES`]. A block without
//! a place, and a line of these tables without its block, fail.

mod http;
mod markdown;
mod names;
mod scratch;
mod shown;
mod yaml;

use std::path::Path;

use claimsmith::config::Config;
use claimsmith::keys::SignatureAlg;
use serde_json::{Value, json};

use crate::support::{Folder, claimsmith, stderr, stdout};
use markdown::{Block, Document, documents, repository};
use scratch::Scratch;

/// What to know of a script that cannot run here as it stands.
enum Way {
    /// Run, but these commands do nothing; why they cannot.
    Without(&'static [&'static str], &'static str),
    /// Only read; why it cannot run.
    Read(&'static str),
}

use Way::{Read, Without};

const ENGINE: &str = "there is no container engine; tests/deploy tries the files";
const CLUSTER: &str = "there is no cluster; tests/deploy tries the files";
const MINUTES: &str = "it takes minutes";

/// Document, what stands in the block and in no other, way.
const SCRIPTS: &[(&str, &str, Way)] = &[
    ("README.md", "make demo", Without(&["make"], MINUTES)),
    ("README.md", "make test", Without(&["make"], "it would run this test inside of itself")),
    ("deploy/compose/README.md", "docker compose up", Without(&["docker"], ENGINE)),
    ("deploy/compose/README.md", "verify TOKEN", Read("the token is one that a person has seen in a browser")),
    ("deploy/kubernetes/README.md", "kubectl create", Without(&["kubectl"], CLUSTER)),
    ("docs/deploy.md", "make sbom", Without(&["make"], MINUTES)),
    ("docs/deploy.md", "docker build", Without(&["docker"], ENGINE)),
    ("docs/deploy.md", "sudo systemctl", Without(&["make", "sudo"], "it would change the machine")),
    ("docs/deploy.md", "kubectl create", Without(&["kubectl"], CLUSTER)),
    ("docs/deploy.md", "kubectl apply", Without(&["kubectl", "helm"], CLUSTER)),
    ("docs/deploy.md", "docker compose up", Without(&["docker"], ENGINE)),
    ("docs/keys.md", "kubectl create", Without(&["kubectl"], CLUSTER)),
    ("docs/keys.md", "docker run", Without(&["docker"], ENGINE)),
    ("docs/performance.md", "make soak", Without(&["make"], MINUTES)),
    ("docs/performance.md", "claimsmith-bench render", Without(&["make"], MINUTES)),
];

/// What a script must print: document, what stands in the block, what stands in the output.
const PRINTED: &[(&str, &str, &str)] = &[
    ("README.md", "-- demo", "== 3. Verified against http://127.0.0.1:"),
    ("README.md", "claimsmith check", "id_token: signs RS256 with key"),
    ("README.md", "/hydrate/id_token", "\"Authorization\":[\"Bearer eyJ"),
    ("README.md", "claimsmith verify", "\"iss\": \"http://127.0.0.1:4455/\""),
    ("docs/keys.md", "--now", "signs at once"),
    ("docs/migrate-from-oathkeeper.md", "import oathkeeper", "shop-account: signs RS256"),
    ("docs/operations.md", "jq -r", "::error file=claimsmith.yaml,line=19,col=1::"),
    ("docs/templates.md", "claimsmith render", "4C1D7A52-93C6"),
];

/// A document, what stands in one of its blocks, and what holds it.
type Held<Of> = (&'static str, &'static str, fn(&Of));

/// YAML that is no configuration of ours: document, what stands in the block, what it is held to.
const FOREIGN: &[Held<Value>] = &[
    ("README.md", "api:", oathkeeper_mutators),
    ("README.md", "- handler: hydrator", oathkeeper_rule),
    ("deploy/kubernetes/README.md", "kind: Kustomization", shown::overlay),
    ("docs/keys.md", "volumeMounts", shown::container),
    ("docs/migrate-from-oathkeeper.md", "enabled: true", oathkeeper_mutators),
    ("docs/migrate-from-oathkeeper.md", "- handler: hydrator", oathkeeper_handlers),
    ("docs/oathkeeper.md", "# oathkeeper.yml", oathkeeper_mutators),
    ("docs/oathkeeper.md", "# an access rule", oathkeeper_rule),
];

/// Outputs and data: document, what stands in the block, how it is made again.
const SHOWN: &[Held<str>] = &[
    ("docs/configuration.md", "cannot be used", shown::configuration_faults),
    ("docs/http.md", "template.missing_value", shown::problem),
    ("docs/keys.md", "keys list", shown::list_of_keys),
    ("docs/keys.md", "sesion", shown::refused_template),
    ("docs/operations.md", "request refused", shown::log_line),
    ("docs/operations.md", "lines_lost", shown::lost_lines),
    ("docs/operations.md", "expected a JWK Set", shown::refused_keys),
    ("docs/templates.md", "the recorded ones", shown::recorded_case),
    ("docs/templates.md", "additionalProperties", shown::schema_of_claims),
];

/// Drawings.
const PICTURES: &[(&str, &str)] = &[("README.md", "the session ──►"), ("docs/keys.md", "its last token")];

/// Templates without data beside them: document, what stands in the block, `extra`, the claims.
const TEMPLATES: &[(&str, &str, &str, &str)] = &[
    (
        "docs/templates.md",
        "\"email\": \"{{Extra.identity.traits.email}}\"",
        r#"{"identity":{"traits":{"email":"ann@example.com","roles":["editor","staff"]}},"authenticated_at":"2026-02-28T10:00:00Z"}"#,
        r#"{"email":"ann@example.com","roles":["editor","staff"],"auth_time":1772272800}"#,
    ),
    ("docs/templates.md", "\"level\": 2", r#"{"identity":{"verified":false}}"#, r#"{"level":1,"plan":"free"}"#),
    (
        "docs/templates.md",
        "{{upper this}}",
        r#"{"roles":["a","b"],"groups":{"ops":1,"dev":2}}"#,
        r#"{"roles":["A","B"],"groups":{"ops":1,"dev":2}}"#,
    ),
];

/// The entry of a table that is for this block.
fn entry<'t, E>(table: &'t [E], key: impl Fn(&E) -> (&str, &str), document: &Document, block: &Block) -> Option<&'t E> {
    table.iter().find(|entry| {
        let (path, part) = key(entry);
        path == document.path && block.text.contains(part)
    })
}

/// Holds each entry of a table to exactly one block of one of the languages.
#[track_caller]
fn each_is_there<E>(table: &[E], key: impl Fn(&E) -> (&str, &str), languages: &[&str]) {
    let documents = documents();
    for (path, part) in table.iter().map(key) {
        let document = documents.iter().find(|document| document.path == path).unwrap_or_else(|| panic!("no {path}"));
        let has = |block: &&Block| languages.contains(&block.language.as_str()) && block.text.contains(part);
        assert_eq!(document.blocks.iter().filter(has).count(), 1, "blocks of {path} with `{part}`");
    }
}

/// What a reader of the document has before the first command.
fn prepare(document: &str, scratch: &Scratch) {
    let key = |name: &str| {
        let made = scratch.run(&format!("claimsmith keys generate --alg RS256 --out {name}"), ".", &[]);
        assert!(made.status.success(), "{}", stderr(&made));
    };
    let fixture = |name: &str| std::fs::read_to_string(repository().join("tests/fixtures").join(name)).unwrap();
    match document {
        "docs/configuration.md" => {
            key("keys/id_token.jwks.json");
            std::fs::remove_file(scratch.path().join("claimsmith.yaml")).unwrap();
        }
        "docs/keys.md" => {
            key("keys/id_token.jwks.json");
            scratch.write("key.pem", &fixture("pem/p256-pkcs8.pem"));
        }
        "docs/migrate-from-oathkeeper.md" => {
            key("id_token.jwks.json");
            for name in ["oathkeeper.yml", "access-rules.yml"] {
                scratch.write(name, &fixture(&format!("oathkeeper/{name}")));
            }
        }
        "docs/operations.md" => {
            key("keys/id_token.jwks.json");
            let text = std::fs::read_to_string(scratch.path().join("claimsmith.yaml")).unwrap();
            scratch.write("claimsmith.yaml", &format!("{text}oops: 1\n"));
        }
        _ => {}
    }
}

/// Runs the scripts of a document one after the other in one folder; what went wrong.
fn run(document: &Document) -> Vec<String> {
    let scratch = Scratch::new();
    prepare(&document.path, &scratch);
    let within = if document.path.starts_with("deploy/compose/") { "deploy/compose" } else { "." };
    let mut wrong = Vec::new();
    for block in document.blocks.iter().filter(|block| block.language == "sh") {
        let without = match entry(SCRIPTS, |(path, part, _)| (path, part), document, block) {
            Some((_, _, Without(commands, _))) => commands,
            Some((_, _, Read(_))) => {
                wrong.extend(
                    names::unreadable(&block.text).map(|why| format!("{}:{}: {why}", document.path, block.line)),
                );
                continue;
            }
            None => &[][..],
        };
        let output = scratch.run(&block.text, within, without);
        let printed = stdout(&output);
        let (status, told) = (output.status, stderr(&output));
        if !status.success() {
            wrong.push(format!("{}:{}: {status}\n{}{printed}{told}", document.path, block.line, block.text));
        }
        let expected = PRINTED.iter().filter(|(path, part, _)| *path == document.path && block.text.contains(part));
        for (_, _, expected) in expected.filter(|(_, _, expected)| !format!("{printed}{told}").contains(expected)) {
            wrong.push(format!("{}:{}: expected `{expected}` in\n{printed}{told}", document.path, block.line));
        }
    }
    wrong
}

#[test]
fn every_command_of_the_documents_runs() {
    for (path, part, way) in SCRIPTS {
        let (Without(_, reason) | Read(reason)) = way;
        assert!(!reason.is_empty(), "{path} {part}");
    }
    each_is_there(SCRIPTS, |(path, part, _)| (path, part), &["sh"]);
    each_is_there(PRINTED, |(path, part, _)| (path, part), &["sh"]);
    for command in ["curl", "jq"] {
        let found = std::process::Command::new(command).arg("--version").output();
        assert!(found.is_ok(), "the documents use {command}, which is not here; `make setup` installs it");
    }
    let documents = documents();
    // Each has a folder and services of its own.
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = documents.iter().map(|document| scope.spawn(|| run(document))).collect();
        running.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Faults of a configuration, or of a part of one.
fn faults(text: &str) -> Option<String> {
    let is_whole = text.lines().any(|line| line.starts_with("profiles:"));
    let rest = if is_whole { "" } else { "profiles: { p: { issuer: i, jwks: k } }\n" };
    Config::parse(&format!("{text}{rest}"), Path::new("."), &[]).err().map(|error| error.to_string())
}

#[test]
fn every_sample_of_a_configuration_is_accepted() {
    each_is_there(FOREIGN, |(path, part, _)| (path, part), &["yaml"]);
    let mut ours = 0;
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", document.path, block.line);
            let value = yaml::parse(&block.text).unwrap_or_else(|error| panic!("{place}: {error}"));
            if let Some((_, _, hold)) = entry(FOREIGN, |(path, part, _)| (path, part), &document, block) {
                hold(&value);
                continue;
            }
            ours += 1;
            if let Some(faults) = faults(&block.text) {
                panic!("{place}: {faults}");
            }
        }
    }
    assert!(ours > 6, "{ours} configurations");
}

/// That a URL of a configuration of Oathkeeper leads to the hydrator of a profile.
fn leads_to_us(url: &Value) {
    let url = url.as_str().unwrap_or_else(|| panic!("no url"));
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let profile = path.strip_prefix("hydrate/").unwrap_or_else(|| panic!("{url} leads elsewhere"));
    assert!(!profile.is_empty() && !profile.contains('/'), "{url}");
}

fn oathkeeper_mutators(value: &Value) {
    let hydrator = &value["mutators"]["hydrator"];
    assert_eq!(hydrator["enabled"], json!(true), "{value}");
    let api = hydrator["config"]["api"].as_object().unwrap();
    leads_to_us(&api["url"]);
    assert!(api.keys().all(|name| ["url", "auth", "retry"].contains(&name.as_str())), "{value}");
}

fn oathkeeper_rule(value: &Value) {
    oathkeeper_handlers(&value["mutators"]);
}

fn oathkeeper_handlers(value: &Value) {
    for mutator in value.as_array().unwrap() {
        assert_eq!(mutator["handler"], "hydrator", "{value}");
        if let Some(config) = mutator.get("config") {
            leads_to_us(&config["api"]["url"]);
        }
    }
}

#[test]
fn every_output_is_what_comes_out() {
    let others = ["json", "text", "console"];
    each_is_there(SHOWN, |(path, part, _)| (path, part), &others);
    each_is_there(PICTURES, |(path, part)| (path, part), &others);
    for document in documents() {
        for (index, block) in document.blocks.iter().enumerate() {
            let place = format!("{}:{}", document.path, block.line);
            let is_claims = index > 0 && document.blocks[index - 1].language == "handlebars";
            match block.language.as_str() {
                "sh" | "yaml" | "handlebars" => {}
                _ if is_claims => {}
                _ if entry(PICTURES, |(path, part)| (path, part), &document, block).is_some() => {}
                _ => match entry(SHOWN, |(path, part, _)| (path, part), &document, block) {
                    Some((_, _, hold)) => {
                        println!("{place}");
                        hold(&block.text);
                    }
                    None => panic!("{place}: nothing says how this is made: {}", block.begins()),
                },
            }
        }
    }
}

/// `extra` and the claims of the template in the block at `index`, as the text after it has them.
fn claims_beside(document: &Document, index: usize) -> Option<(String, String)> {
    let (template, claims) = (&document.blocks[index], document.blocks.get(index + 1)?);
    let lines = document.prose.lines().skip(template.line).take(claims.line - template.line);
    let extra = lines.filter_map(|line| line.strip_prefix("with `extra` `")?.strip_suffix("` gives")).next()?;
    Some((extra.to_owned(), claims.text.clone()))
}

#[test]
fn every_template_makes_the_claims_that_are_shown() {
    each_is_there(TEMPLATES, |(path, part, ..)| (path, part), &["handlebars"]);
    let folder = Folder::new();
    let mut cases = Vec::new();
    for document in documents() {
        for (index, block) in document.blocks.iter().enumerate().filter(|(_, block)| block.language == "handlebars") {
            let place = format!("{}:{}", document.path, block.line);
            let known = entry(TEMPLATES, |(path, part, ..)| (path, part), &document, block);
            let known = known.map(|(_, _, extra, claims)| ((*extra).to_owned(), (*claims).to_owned()));
            let Some((extra, claims)) = known.or_else(|| claims_beside(&document, index)) else {
                panic!("{place}: nothing says what this template makes of what");
            };
            // What is shown below it without data of its own is what the table says.
            let next = document.blocks.get(index + 1).filter(|next| next.language == "json");
            assert!(next.is_none_or(|next| next.text.trim() == claims.trim()), "{place}");
            let (id, template) = (Value::from(place), Value::from(block.text.trim()));
            let session = format!("{{\"subject\":\"zoe\",\"extra\":{extra}}}");
            let claims = claims.trim();
            cases.push(format!("{{\"id\":{id},\"template\":{template},\"session\":{session},\"claims\":{claims}}}\n"));
        }
    }
    assert!(cases.len() > 50, "{} templates", cases.len());
    folder.write("cases.jsonl", &cases.concat());
    let output = claimsmith(folder.path(), &["test", "cases.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

/// The rows of the tables of a document whose head is `head`: their cells, without backticks.
fn rows(document: &str, head: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(repository().join(document)).unwrap();
    let after = text.split_once(&format!("{head}\n")).unwrap_or_else(|| panic!("{document} has no {head}")).1;
    let rows = after.lines().skip(1).map(str::trim).take_while(|line| line.starts_with('|'));
    let cell = |text: &str| text.replace('\u{0}', "|").trim().trim_matches('`').to_owned();
    rows.map(|row| row.replace("\\|", "\u{0}").trim_matches('|').split('|').map(cell).collect()).collect()
}

/// What `claimsmith render` makes of a template in a language: the claims, or nothing where it refuses.
fn rendered(folder: &Folder, syntax: &str, missing: &str, template: &str) -> Option<Value> {
    let arguments = ["render", "--syntax", syntax, "--missing", missing, "--session", "s.json", "--text", template];
    let output = claimsmith(folder.path(), &arguments);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn both_languages_say_the_same_where_they_are_compared() {
    let folder = Folder::new();
    let session = json!({
        "subject": "zoe", "extra": {"name": "Ann", "id": "7", "x": 1, "role": "admin", "roles": ["a", "b"]},
        "header": null, "match_context": {"regexp_capture_groups": ["42"]},
    });
    folder.write("s.json", &session.to_string());
    let tables = [
        ("docs/templates.md", "| Oathkeeper's Go template | Here |"),
        ("docs/migrate-from-oathkeeper.md", "| Go | Handlebars |"),
    ];
    for (document, head) in tables {
        let rows = rows(document, head);
        assert!(rows.len() > 5, "{document}");
        for row in rows {
            let [go, ours] = row.as_slice() else { panic!("{row:?}") };
            // Wherever it may be written: at a value, in an array, inside a string.
            let is_head = go.contains("{{ if") && !go.contains("{{ end }}");
            let claims = |syntax: &str, template: &str, end: &str| -> Vec<Value> {
                let template = template.replace('…', "x") + if is_head { end } else { "" };
                let places = ["@", "[@]", "\"@\""].map(|place| format!("{{\"v\": {}}}", place.replace('@', &template)));
                places.iter().filter_map(|template| rendered(&folder, syntax, "error", template)).collect()
            };
            let (theirs, ours) = (claims("go", go, "y{{ end }}"), claims("handlebars", ours, "y{{/if}}"));
            assert!(theirs.iter().any(|claims| ours.contains(claims)), "{document}: {row:?}: {theirs:?} {ours:?}");
        }
    }
}

#[test]
fn somebody_from_oathkeeper_gets_the_same_claims_in_as_many_commands_as_is_said() {
    let script = repository().join("tests/newcomer.sh");
    let mut timed = std::process::Command::new("sh");
    timed.arg(script).arg("migrate").env("BINARY", env!("CARGO_BIN_EXE_claimsmith"));
    let output = timed.output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let counts = regex::Regex::new(r"to the same claims: (\d+) commands").unwrap();
    let counts: Vec<String> = counts.captures_iter(&stdout(&output)).map(|found| found[1].to_owned()).collect();
    let manual = std::fs::read_to_string(repository().join("docs/migrate-from-oathkeeper.md")).unwrap();
    let [as_it_is, imported] = counts.as_slice() else { panic!("{counts:?}") };
    for said in [format!("as it is in {as_it_is} commands"), format!("imported in {imported}")] {
        assert!(manual.contains(&said), "expected in docs/migrate-from-oathkeeper.md: {said}");
    }
}

#[test]
fn oathkeepers_traps_are_as_the_table_says() {
    let folder = Folder::new();
    let head = "| Go's template | with | gives | imported |";
    let rows = rows("docs/migrate-from-oathkeeper.md", head);
    let extras = [
        ("nothing there", json!({})),
        ("1700000000", json!({"at": 1_700_000_000})),
        ("a list", json!({"roles": ["a", "b"]})),
        ("text", json!({"n": "some text"})),
        ("no `a", json!({})),
    ];
    assert_eq!(rows.len(), extras.len());
    for (row, (with, extra)) in rows.iter().zip(extras) {
        let [go, found, gives, imported] = row.as_slice() else { panic!("{row:?}") };
        assert_eq!(found, with, "{row:?}");
        folder.write("s.json", &json!({"subject": "zoe", "extra": extra}).to_string());
        folder.write_key("k.json", SignatureAlg::Es256, "k");
        let template = format!("{{\"v\": {go}}}");
        // Ours says what Go would, but for what would break the JSON.
        let theirs = rendered(&folder, "go", "error", &template).map(|claims| claims["v"].clone());
        match gives.as_str() {
            "no token" | "broken JSON, no token" => {}
            text => assert_eq!(theirs, Some(json!(text)), "{row:?}"),
        }
        let name = format!("new-{}", with.replace(' ', "-").replace('`', ""));
        let claims = serde_json::to_string(&template).unwrap();
        let config = format!(
            "mutators: {{ id_token: {{ enabled: true, config: {{ issuer_url: i, jwks_url: \"file://k.json\", claims: {claims} }} }} }}\n"
        );
        folder.write("oathkeeper.yml", &config);
        let output = claimsmith(folder.path(), &["import", "oathkeeper", "oathkeeper.yml", "--out", &name]);
        assert!(output.status.success(), "{row:?}: {}", stderr(&output));
        let text = std::fs::read_to_string(folder.path().join(&name).join("templates/id_token/claims.hbs"));
        let ours = rendered(&folder, "handlebars", "as_null", &text.unwrap()).map(|claims| claims["v"].clone());
        let expected = match imported.as_str() {
            "empty text" => Some(json!("")),
            "the text, as a string" => Some(json!("some text")),
            "no token, and an error that names the path" => None,
            text => Some(json!(text)),
        };
        assert_eq!(ours, expected, "{row:?}");
    }
}
