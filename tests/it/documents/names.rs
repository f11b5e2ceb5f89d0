//! Tests that names in the documents exist: commands, keys, codes, variables, metrics, files, tests, links.

use std::collections::BTreeSet;
use std::fs;

use claimsmith::code::ErrorCode;
use claimsmith::templates::helper_reference;
use serde_json::Value;

use super::markdown::{Document, commands, documents, repository, words};
use super::yaml;
use crate::operations;
use crate::support::{Folder, claimsmith, stderr, stdout};

/// Values for placeholders that cannot have any value.
const PLACEHOLDERS: &[(&str, &str)] = &[("SHELL", "bash"), ("COMMAND", "serve")];

/// Returns the names of the commands.
fn command_names() -> Vec<String> {
    let help = stdout(&claimsmith(Folder::new().path(), &["--help"]));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// Returns the error of the command line for these arguments. `--help` prevents that the command runs.
fn usage_error(arguments: &[String]) -> Option<String> {
    let stands_for = |word: &String| {
        let known = PLACEHOLDERS.iter().find(|(placeholder, _)| word == placeholder);
        known.map_or(word.clone(), |(_, word)| (*word).to_owned())
    };
    let mut arguments: Vec<String> = arguments.iter().map(stands_for).collect();
    if arguments.first().is_none_or(|first| first != "help") {
        arguments.push("--help".to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = claimsmith(Folder::new().path(), &arguments);
    (!output.status.success()).then(|| format!("claimsmith {}: {}", arguments.join(" "), stderr(&output)))
}

/// Returns the claimsmith commands in a script.
pub(super) fn own_commands(script: &str) -> Vec<Vec<String>> {
    let is_own = |word: &str| word == "claimsmith" || word.ends_with("/claimsmith");
    commands(script).into_iter().filter(|command| is_own(&command[0])).collect()
}

/// Returns the syntax error of a script and the usage errors of its claimsmith commands, without running them.
pub(super) fn invalid_commands(script: &str) -> impl Iterator<Item = String> {
    let syntax = std::process::Command::new("sh").args(["-nc", script]).output().unwrap();
    let syntax = (!syntax.status.success()).then(|| stderr(&syntax));
    syntax.into_iter().chain(own_commands(script).into_iter().filter_map(|command| usage_error(&command[1..])))
}

/// Calls `check` with each text in backticks and returns the errors with their places.
fn check_spans(documents: &[Document], check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in documents {
        for (line, span) in document.code_spans() {
            wrong.extend(check(span).map(|why| format!("{}:{line}: `{span}`: {why}", document.path)));
        }
    }
    wrong
}

#[test]
fn commands_in_prose_exist() {
    let names = command_names();
    assert!(names.len() > 10, "{names:?}");
    let read = |name: &str| fs::read_to_string(repository().join(name)).unwrap();
    let helpers: BTreeSet<String> =
        helper_reference().map(|helper| format!("{} {}", helper.name, helper.arguments)).collect();
    let (makefile, manifest) = (read("Makefile"), read("Cargo.toml"));
    let readme = read("README.md");
    let table: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for name in names.iter().filter(|name| *name != "help") {
        let is_its = |row: &&str| row.contains(&format!("`{name}`")) || row.contains(&format!("`{name} "));
        assert!(table.iter().any(is_its), "README.md has no row for `{name}`");
    }
    let wrong = check_spans(&documents(), |span| {
        let words = words(span.split(['|', '>']).next().unwrap());
        let (first, second) = (words.first()?.as_str(), words.get(1)?.as_str());
        match first {
            "claimsmith" => usage_error(&words[1..]),
            "make" => (!makefile.lines().any(|line| line.split(':').next() == Some(second)))
                .then(|| "the Makefile has no such target".to_owned()),
            "cargo" => {
                let known = ["bench", "build", "clippy", "deny", "fmt", "fuzz", "metadata", "run", "test", "tree"];
                let named = words.windows(2).filter(|pair| ["--bin", "--bench", "--features"].contains(&&*pair[0]));
                let is_there = |name: &str| {
                    manifest.contains(&format!("name = \"{name}\"")) || manifest.contains(&format!("\n{name} = ["))
                };
                let all = named.into_iter().all(|pair| is_there(&pair[1]));
                (!known.contains(&second) || !all).then(|| "no such cargo command".to_owned())
            }
            // A claimsmith command by its own name, such as `keys rotate --now`.
            name if names.iter().any(|known| known == name) && !span.contains(':') && !helpers.contains(span) => {
                usage_error(&words)
            }
            _ => None,
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Dotted names of other products.
const FOREIGN: &[&str] = &["config.api.url", "service.name", "service.version"];

/// Returns `true` if a dotted path is a key in the schema of the configuration.
fn is_key(schema: &Value, path: &str) -> bool {
    let steps = path.split('.').flat_map(|step| match step.strip_suffix("[]") {
        Some(name) => vec![name, "[]"],
        None => vec![step],
    });
    let mut at = schema;
    for step in steps {
        let inner = match step {
            "[]" => at.get("items"),
            "<name>" => at.get("additionalProperties"),
            _ => at.get("properties").and_then(|properties| properties.get(step)),
        };
        let Some(inner) = inner else { return false };
        at = inner;
    }
    true
}

#[test]
fn keys_codes_and_files_in_prose_exist() {
    let schema: Value = serde_json::from_str(&claimsmith::config::schema()).unwrap();
    let reference = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let values = fs::read_to_string(repository().join("deploy/helm/claimsmith/values.yaml")).unwrap();
    let values = yaml::parse(&values).unwrap();
    let families: BTreeSet<&str> =
        ErrorCode::ALL.iter().filter_map(|code| Some(code.as_str().split_once('.')?.0)).collect();
    let is_name = |c: char| c.is_ascii_lowercase() || "_.[]<>".contains(c);
    let wrong = check_spans(&documents(), |span| {
        if !span.contains([' ', '*', '…'])
            && ["src/", "tests/", "docs/", "deploy/"].iter().any(|top| span.starts_with(top))
        {
            return (!repository().join(span).exists()).then(|| "no such file".to_owned());
        }
        let (first, _) = span.split_once('.')?;
        let is_file = [".json", ".jsonl", ".yaml", ".hbs", ".gotmpl"].iter().any(|end| span.ends_with(end));
        if is_file || !span.chars().all(is_name) || span.ends_with('.') || FOREIGN.contains(&span) {
            return None;
        }
        // Inline secrets exist only in the environment, so the schema lacks them. The chart has values of its own.
        let path = span.replacen("profiles.id_token.", "profiles.<name>.", 1);
        let is_value = span.split('.').try_fold(&values, |value, step| value.get(step)).is_some();
        let is_listed = is_value || reference.contains(&format!("| `{path}` |"));
        let is_ours = schema["properties"].get(first.trim_end_matches("[]")).is_some();
        if is_ours {
            return (!is_listed && !is_key(&schema, &path)).then(|| "no such configuration key".to_owned());
        }
        let is_code = ErrorCode::ALL.iter().any(|code| code.as_str() == span);
        (families.contains(first) && !is_code && !is_listed).then(|| "no such error code".to_owned())
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn variables_and_metrics_in_documents_exist() {
    let reference = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let variables: BTreeSet<String> = reference
        .split('`')
        .filter(|span| span.starts_with("CLAIMSMITH_"))
        .map(|span| span.replace("_<NAME>", "_ID_TOKEN").replace("_<N>", "_0"))
        .collect();
    // Variables that are not keys, and prefixes.
    let others = ["CLAIMSMITH_CONFIG", "CLAIMSMITH_TEST_", "CLAIMSMITH_", "CLAIMSMITH_CORPUS", "CLAIMSMITH_PROFILES_"];
    let metrics: BTreeSet<String> = operations::served().into_keys().collect();
    let mut wrong = Vec::new();
    for document in documents() {
        let blocks = document.blocks.iter().map(|block| block.text.as_str());
        let text = blocks.fold(document.prose.clone(), |text, block| text + block);
        let text = text.replace("_<NAME>", "_ID_TOKEN").replace("_<N>", "_0");
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for word in text.split(|c| !is_part(c)).filter(|word| word.starts_with("CLAIMSMITH_")) {
            let known = word.replace("_RULE_1_", "_ID_TOKEN_");
            if !variables.contains(&known) && !others.contains(&word) {
                wrong.push(format!("{}: the variable {word}", document.path));
            }
        }
        let named =
            operations::named(&text).into_iter().filter(|name| !metrics.contains(name) && name != "claimsmith_");
        wrong.extend(named.map(|name| format!("{}: the metric {name}", document.path)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns `true` if the Rust file or directory of this name has the function.
fn has_function(path: &str, function: &str) -> bool {
    let path = repository().join(path);
    let file = path.with_extension("rs");
    let mut files: Vec<_> = if file.is_file() { vec![file] } else { Vec::new() };
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "rs")));
    files.iter().any(|file| fs::read_to_string(file).unwrap().contains(&format!("fn {function}(")))
}

#[test]
fn tests_and_modules_in_prose_exist() {
    let is_part =
        |part: &str| part.starts_with(|c: char| c.is_ascii_lowercase()) && !part.contains(['<', '(', ' ', '*']);
    let wrong = check_spans(&documents(), |span| {
        let parts: Vec<&str> = span.split("::").collect();
        let (function, modules) = parts.split_last()?;
        if modules.is_empty() || !parts.iter().all(|part| is_part(part)) {
            return None;
        }
        let path = modules.join("/");
        let (ours, tests) = (format!("src/{path}"), format!("tests/it/{path}"));
        let models = format!("tests/{}", path.replacen("models/", "models/src/", 1));
        // Unit tests are in the module `tests`, inside of the file or beside it.
        let inside = ours.trim_end_matches("/tests");
        let has_it = [ours.as_str(), &tests, &models, inside].iter().any(|path| has_function(path, function));
        let module = repository().join(&ours).join(function);
        let is_module = module.is_dir() || module.with_extension("rs").is_file();
        (!has_it && !is_module).then(|| "no such test, function or module".to_owned())
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_have_targets() {
    let documents = documents();
    let mut wrong = Vec::new();
    for document in &documents {
        let folder = repository().join(&document.path).parent().unwrap().to_path_buf();
        for (line, target) in document.links().into_iter().filter(|(_, target)| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let path = if file.is_empty() { repository().join(&document.path) } else { folder.join(file) };
            let Ok(path) = path.canonicalize() else {
                wrong.push(format!("{}:{line}: {target}: no such file", document.path));
                continue;
            };
            let is_it =
                |other: &&Document| repository().join(&other.path).canonicalize().is_ok_and(|known| known == path);
            let Some(anchor) = anchor else { continue };
            if !documents.iter().find(is_it).is_some_and(|other| other.anchors().iter().any(|known| known == anchor)) {
                wrong.push(format!("{}:{line}: {target}: no such heading", document.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
