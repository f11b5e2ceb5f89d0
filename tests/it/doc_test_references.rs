//! The tests that documents name as evidence exist, and each row of their tables names one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::files_below;

/// The documents with tables that name tests.
const DOCUMENTS: [&str; 2] = ["docs/threat-model.md", "docs/reliability.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the module of a file below the root of its crate: `json::skip` for `json/skip.rs`, `json` for `json/mod.rs`.
fn module(relative: &Path) -> String {
    let path = relative.with_extension("");
    let names = path.iter().map(|name| name.to_str().unwrap()).filter(|name| *name != "mod");
    names.collect::<Vec<_>>().join("::")
}

/// Adds the names of all tests in `text`, a file of the module `module`, to `found`.
fn tests_in(text: &str, module: &str, found: &mut BTreeSet<String>) {
    let (mut inner, mut is_test) = (String::new(), false);
    for line in text.lines() {
        let code = line.trim_start();
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inner = format!("::{name}");
        } else if line == "}" {
            inner.clear();
        } else if code.starts_with("#[") {
            is_test |= (code.contains("test]") || code.contains("::test(")) && !code.contains("cfg");
        } else if let Some(rest) = code.strip_prefix("fn ").or_else(|| code.strip_prefix("async fn ")) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if std::mem::take(&mut is_test) {
                found.insert(format!("{module}{inner}::{name}"));
            }
        }
    }
}

/// Returns all tests as `module::function` below the root of their crate; those of the models start with `models`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let integration = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for folder in ["src", "tests/it"] {
        let folder = root().join(folder);
        for file in files_below(&folder, "rs") {
            let module = module(file.strip_prefix(&folder).unwrap());
            // A file without a `mod` line is not compiled.
            if folder.ends_with("src") || integration.contains(&format!("mod {module};")) {
                tests_in(&fs::read_to_string(&file).unwrap(), &module, &mut found);
            }
        }
    }
    let models = root().join("tests/models/src");
    for file in files_below(&models, "rs") {
        let module = format!("models::{}", module(file.strip_prefix(&models).unwrap()));
        tests_in(&fs::read_to_string(&file).unwrap(), &module, &mut found);
    }
    found
}

/// Returns each text in backticks that looks like the path of a function: `a::b`, in lower case.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let is_path = move |text: &&str| text.contains("::") && text.split("::").all(is_name);
    text.split('`').skip(1).step_by(2).filter(is_path).filter(|path| *path != "module::function")
}

/// Returns the errors in `document`: names of tests that do not exist, and rows without a test in tables that have a
/// column for tests.
fn errors(document: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut errors = Vec::new();
    let mut heading: Option<bool> = None;
    for (number, line) in (1..).zip(document.lines()) {
        let unknown = named(line).filter(|name| !tests.contains(*name));
        errors.extend(unknown.map(|name| format!("line {number}: no test `{name}`")));
        if line.contains("| @") {
            errors.push(format!("line {number}: a placeholder was not replaced"));
        }
        if !line.starts_with('|') {
            heading = None;
            continue;
        }
        let is_heading = heading.is_none();
        let is_of_tests = *heading.get_or_insert_with(|| line.to_ascii_lowercase().contains("test"));
        let is_rule = line.bytes().all(|byte| b"|-: ".contains(&byte));
        if is_of_tests && !is_heading && !is_rule && named(line).next().is_none() {
            errors.push(format!("line {number}: the row names no test"));
        }
    }
    errors
}

#[test]
fn table_rows_name_existing_tests() {
    let tests = tests();
    assert!(tests.len() > 300, "only {} tests were found", tests.len());
    for name in DOCUMENTS {
        let document = fs::read_to_string(root().join(name)).unwrap();
        let errors = errors(&document, &tests);
        assert!(errors.is_empty(), "{name}\n{}", errors.join("\n"));
        assert!(named(&document).count() > 20, "{name} names tests in its tables");
    }
}

#[test]
fn missing_tests_and_rows_without_tests_are_reported() {
    let mut tests = BTreeSet::new();
    tests_in(
        "    #[test]\n    fn inside() {}\nfn helper() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn it() {}\n}\n#[test]\nfn last() {}\n",
        "a",
        &mut tests,
    );
    assert_eq!(tests, BTreeSet::from(["a::inside", "a::last", "a::tests::it"].map(str::to_owned)));
    let document = "`a::gone`\n\n| What | Test |\n| --- | --- |\n| x | `a::inside` |\n| y | none |\n\n| @count |\n\n| What |\n| --- |\n| z |\n";
    assert_eq!(
        errors(document, &tests),
        ["line 1: no test `a::gone`", "line 6: the row names no test", "line 8: a placeholder was not replaced"]
    );
}
