//! Renders recorded Go templates: the fixtures, and the corpus if it exists in `CLAIMSMITH_CORPUS` or
//! `../shared/corpus`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use claimsmith::json::{Json, NumberComparison, ReadLimits};
use claimsmith::session::SessionValues;
use claimsmith::templates::go::GoTemplate;
use claimsmith::templates::{RenderInput, RenderLimits};
use claimsmith::time::Timestamp;

/// Cases with a wrong oracle. It did not split the path of this case, so its parts are empty. Go splits the path, and
/// so does claimsmith.
const WRONG_ORACLE: &[&str] = &["pub-132-s2"];

fn folder() -> PathBuf {
    match std::env::var_os("CLAIMSMITH_CORPUS") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    }
}

fn render(case: &Json<'_>) -> Result<String, String> {
    let text = case.member("template").and_then(Json::as_str).unwrap();
    let session = case.member("session").unwrap();
    let template = GoTemplate::parse("claims", text).map_err(|error| format!("parse: {error}"))?;
    let part = |name: &str| session.member(name).cloned().unwrap_or(Json::Null);
    let values = SessionValues { extra: part("extra"), header: part("header"), match_context: part("match_context") };
    let subject = session.member("subject").and_then(Json::as_str).unwrap_or_default();
    let input = RenderInput::of_values(subject, &values, "id_token", Timestamp::from_seconds(1_768_554_753));
    template.render(&input, &RenderLimits::default()).map_err(|error| format!("render: {error}"))
}

/// Compares the rendered claims of `case` with the recorded ones. An error has a class and a description.
fn judge(case: &Json<'_>) -> Result<(), (&'static str, String)> {
    let result = render(case);
    let some = |name: &str| case.member(name).filter(|value| **value != Json::Null);
    let expected = some("safe_claims").or(if some("error").is_none() { some("claims") } else { None });
    let same = |text: &str, expected: &Json<'_>| {
        let ours = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
        ours.is_equivalent(expected, NumberComparison::AsFloat64)
    };
    if some("security").is_some_and(|text| text.as_str().is_some_and(|text| text.contains("refuse on import"))) {
        return match result {
            Err(_) => Ok(()),
            Ok(text) => Err(("rendered what is refused for safety", text)),
        };
    }
    match (result, expected) {
        (Ok(text), Some(expected)) if same(&text, expected) => Ok(()),
        (Ok(text), Some(expected)) => Err(("different claims", format!("ours {text}\n    want {expected}"))),
        (Err(error), Some(_)) => Err(("refused", error)),
        (Err(_), None) if some("error").is_some() => Ok(()),
        (Ok(text), None) if some("error").is_some() => Err(("not refused", text)),
        (Ok(_), None) => Ok(()),
        (Err(error), None) if error.contains("it is random") => Ok(()),
        (Err(error), None) => Err(("refused", error)),
    }
}

#[test]
fn recorded_go_templates_render_recorded_claims() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let corpus = folder().join("go-templates");
    let mut table: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut failed = 0;
    for (folder, file) in
        [(&fixtures, "go-templates.jsonl"), (&corpus, "authored-cases.jsonl"), (&corpus, "public-cases.jsonl")]
    {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            continue;
        };
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            let case = Json::parse(line.as_bytes(), ReadLimits::default()).unwrap();
            let id = case.member("id").and_then(Json::as_str).unwrap();
            let class = match judge(&case) {
                Ok(()) => "passed",
                Err(_) if WRONG_ORACLE.contains(&id) => "excepted",
                Err((class, what)) => {
                    failed += 1;
                    println!("{id}: {class}: {what}");
                    println!("    template {}", case.member("template").and_then(Json::as_str).unwrap());
                    println!("    go error  {}", case.member("error").unwrap());
                    class
                }
            };
            *table.entry((file, class)).or_default() += 1;
        }
    }
    for ((file, class), count) in &table {
        println!("{file:24} {class:40} {count}");
    }
    assert_eq!(failed, 0, "cases came out differently");
    assert_eq!(table.get(&("go-templates.jsonl", "passed")), Some(&4));
}
