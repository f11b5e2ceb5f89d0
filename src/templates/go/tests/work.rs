//! What a rendering pays for, and when it ends.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::super::funcs;
use super::super::text::{Origin, Text};
use super::{GoTemplate, render_with};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::session::SessionValues;
use crate::templates::{RenderInput, RenderLimits};
use crate::time::Timestamp;

fn session(x: &str) -> String {
    let mut text = String::from("{\"subject\":\"s\",\"extra\":{\"x\":");
    crate::json::write_string(x, &mut text);
    text.push_str("}}");
    text
}

fn within(work: u64, template: &str, x: &str) -> Result<String, ErrorCode> {
    render_with(template, &session(x), &RenderLimits { work, ..RenderLimits::default() })
}

/// The fewest steps within which `template` renders.
fn steps(template: &str, x: &str) -> u64 {
    let (mut least, mut most) = (0, 1 << 22);
    while least < most {
        let middle = (least + most) / 2;
        if within(middle, template, x).is_ok() { most = middle } else { least = middle + 1 }
    }
    most
}

#[test]
fn every_function_pays_for_the_text_that_it_gets() {
    let text = "a,b ".repeat(2_500);
    let most = text.len() as u64 / 64;
    for name in funcs::names().into_iter().filter(|name| !matches!(*name, "and" | "or")) {
        for call in
            ["X", "X X", "`a` X", "X `a`", "2 X", "X 2", "`a` `b` X", "X `a` `b`", "1 2 X", "`a` X 2", "`a` 2 X"]
        {
            let call = call.replace('X', ".Extra.x");
            let template = format!("{{{{ $y := {name} {call} }}}}{{}}");
            assert!(within(most, &template, &text).is_err(), "{name} {call}");
        }
    }
}

#[test]
fn searches_pay_for_each_byte_that_they_read() {
    let text = |length: usize| "ab".repeat(length / 2);
    for (pattern, growth) in [("[^a]+", 1..3), ("b", 1..3), ("a.*zzz|a", 3..5)] {
        for call in [
            format!("regexFindAll `{pattern}` .Extra.x -1"),
            format!("regexSplit `{pattern}` .Extra.x -1"),
            format!("regexReplaceAll `{pattern}` .Extra.x `$0`"),
            format!("regexReplaceAllLiteral `{pattern}` .Extra.x ``"),
        ] {
            let template = format!("{{{{ $y := {call} }}}}{{}}");
            let (few, many) = (steps(&template, &text(400)), steps(&template, &text(800)));
            let start = steps(&template, "");
            let ratio = (many - start) as f64 / (few - start) as f64;
            assert!((growth.start as f64..growth.end as f64).contains(&ratio), "{call}: {few} {many}");
        }
    }
    let search = "{{ $y := regexMatch `PATTERN` .Extra.x }}{}";
    let cost = |pattern: &str| steps(&search.replace("PATTERN", pattern), &text(800));
    assert!(cost("a[ab]{200}c") > 3 * cost("a[ab]{20}c"), "the size of the expression counts");
    let text = text(260_000);
    for call in [
        "regexMatch `a[ab]{300}c` .Extra.x",
        "regexMatch `(a|b)*a(a|b){900}c` .Extra.x",
        "regexFindAll `(?s)([ab]*a[ab]{300}[^ab])|[ab]` .Extra.x -1",
    ] {
        let found = within(100_000, &format!("{{{{ $y := {call} }}}}{{}}"), &text);
        assert_eq!(found, Err(ErrorCode::TemplateLimit), "{call}");
    }
}

#[test]
fn parts_are_paid_for_before_they_are_made() {
    let text = "a".repeat(900_000);
    for call in ["splitList ``", "splitList `a`", "split ``", "replace `` `b`", "replace `a` `bc`"] {
        let template = format!("{{{{ $y := {call} .Extra.x }}}}{{}}");
        assert_eq!(within(100_000, &template, &text), Err(ErrorCode::TemplateLimit), "{call}");
    }
}

#[test]
fn realistic_patterns_stay_far_below_the_limit() {
    let mail = r"^[a-zA-Z0-9._%+-]+@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$";
    let template = format!("{{\"v\": {{{{ regexMatch `{mail}` .Extra.x }}}}}}");
    let address = format!("{}@mail.example.com", "a".repeat(200));
    assert_eq!(within(20_000, &template, &address).as_deref(), Ok("{\"v\":true}"));
    let template = r#"{"v": "{{ regexReplaceAll `[^a-z0-9]+` .Extra.x `-` }}"}"#;
    assert!(within(20_000, template, &"Some words, and more. ".repeat(100)).is_ok());
}

#[test]
fn rendering_ends_when_nobody_waits_for_it() {
    let template = GoTemplate::parse("t", "{{ range $i := 1000000000 }}{{ end }}{}").unwrap();
    let values = SessionValues { extra: Json::Null, header: Json::Null, match_context: Json::Null };
    let stop = AtomicBool::new(true);
    let input = RenderInput::of_values("s", &values, "p", Timestamp::from_seconds(0)).until(Some(&stop));
    let limits = RenderLimits { work: u64::MAX, ..RenderLimits::default() };
    let error = template.render(&input, &limits).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TemplateLimit);
    assert!(error.to_string().contains("deadline"), "{error}");
}

#[test]
fn format_of_a_session_repeats_no_structure() {
    for x in ["%[1]s%[1]s", "%s", "%[1]s%[1]s%[1]s%[1]s", "%v", "", "%d"] {
        for template in [
            r#"{"a": "x{{ printf .Extra.x "\",\"b\":\"y" }}"}"#,
            r#"{"a": "x{{ replace .Extra.x "\",\"b\":\"y" "%[1]s%s" }}"}"#,
            r#"{"a": "x{{ regexReplaceAll .Extra.x "%[1]s%s" "\",\"b\":\"y" }}"}"#,
            r#"{"a": "x{{ regexReplaceAllLiteral .Extra.x "%[1]s%s" "\",\"b\":\"y" }}"}"#,
        ] {
            if let Ok(claims) = within(100_000, template, x) {
                assert!(!claims.contains("\"b\":"), "{template} {x}: {claims}");
            }
        }
    }
}

#[test]
fn calls_with_too_few_or_many_arguments_are_found_at_load() {
    for call in [
        "print \"x\" .Subject",
        ".Subject | print 1",
        "upper",
        "and",
        "default",
        "printf \"%s\" upper",
        "if false }}{{ trunc 1",
        "with (print 1 2)",
        "regexMatch `a`",
    ] {
        let end = if call.starts_with("if") || call.starts_with("with") { "{{ end }}" } else { "" };
        let error = GoTemplate::parse("t", &format!("{{{{ {call} }}}}{end}{{}}")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TemplateHelper, "{call}");
        assert!(error.to_string().contains("argument"), "{call}: {error}");
    }
}

#[test]
fn widths_are_paid_for_each_item() {
    let template = "{{ $y := printf `%1000000d` (until 100) }}{}";
    assert_eq!(within(100_000, template, ""), Err(ErrorCode::TemplateLimit));
}

#[test]
fn fields_and_methods_of_long_receivers_are_paid_for() {
    let long = format!("1.2.3-{}", "a".repeat(5_000));
    for call in ["(semver .Extra.x).Original", "(semver .Extra.x).String", "(semver .Extra.x).Prerelease"] {
        let template = format!("{{{{ $y := {call} }}}}{{}}");
        assert!(steps(&template, &long) - steps(&template, "1.2.3-a") > 3_500, "{call}");
    }
}

proptest! {
    #[test]
    fn parts_are_counted_as_they_are_split(text in "[ab\u{e9}]{0,20}", by in "[ab]{0,2}", limit in proptest::option::of(0..5_usize)) {
        let text = Text::new(text, Origin::Data);
        prop_assert_eq!(text.count_parts(by.as_bytes(), limit), text.split(by.as_bytes(), limit).len());
    }
}
