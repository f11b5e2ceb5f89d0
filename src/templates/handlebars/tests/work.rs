//! What a rendering pays for, and when it ends.

use std::sync::atomic::AtomicBool;

use super::{compiled, helper_reference, rendered};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::session::SessionValues;
use crate::templates::handlebars::Missing;
use crate::templates::{RenderInput, RenderLimits};
use crate::time::Timestamp;

fn within(work: u64, call: &str, x: &str) -> Result<String, ErrorCode> {
    let template = compiled(&format!("{{\"v\": {{{{#if ({call})}}}}1{{{{else}}}}2{{{{/if}}}}}}"), &[], Missing::Error);
    let template = template.unwrap_or_else(|error| panic!("{call}\n{error}"));
    let limits = RenderLimits { work, ..RenderLimits::default() };
    rendered(&template, &format!("{{\"x\":\"{x}\"}}"), &limits).map_err(|error| error.code())
}

#[test]
fn helpers_pay_for_the_text_that_they_get() {
    let text = "a,b ".repeat(2_500);
    let most = text.len() as u64 / 64;
    for call in [
        "upper X",
        "lower X",
        "trim X",
        "len X",
        "string X",
        "sha256 X",
        "base64url X",
        "split X \",\"",
        "concat X X",
        "contains X \"z\"",
        "replace X \"a\" \"b\"",
        "hasPrefix X \"a\"",
        "hasSuffix X \"a\"",
        "trimPrefix X \"a\"",
        "trimSuffix X \"a\"",
        "regexMatch X \"z\"",
        "eq X X",
        "lt X X",
        "unique (split X \",\")",
        "sort (split X \",\")",
        "join (split X \",\")",
    ] {
        let call = call.replace('X', "Extra.x");
        assert_eq!(within(most, &call, &text), Err(ErrorCode::TemplateLimit), "{call}");
        assert!(within(100_000, &call, &text).is_ok(), "{call}");
    }
}

#[test]
fn searches_pay_for_the_text_times_the_size_of_the_pattern() {
    let text = "ab".repeat(450_000);
    for pattern in ["a[ab]{500}c", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?@"] {
        let call = format!("regexMatch Extra.x \"{pattern}\"");
        assert_eq!(within(100_000, &call, &text), Err(ErrorCode::TemplateLimit), "{pattern}");
        assert!(within(20_000, &call, &text[..254]).is_ok(), "{pattern}");
    }
    let of_session = within(2_000, "regexMatch \"a\" Extra.x", "b");
    assert_eq!(of_session, Err(ErrorCode::TemplateLimit), "compiling is paid for");
}

#[test]
fn rendering_ends_when_nobody_waits_for_it() {
    let template = compiled("{\"v\": {{upper Subject}}}", &[], Missing::Error).unwrap();
    let values = SessionValues { extra: Json::Null, header: Json::Null, match_context: Json::Null };
    let stop = AtomicBool::new(true);
    let input = RenderInput::of_values("s", &values, "p", Timestamp::from_seconds(0)).until(Some(&stop));
    let error = template.render(&input, &RenderLimits::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TemplateLimit);
    assert!(error.to_string().contains("deadline"), "{error}");
}

/// The fewest steps within which `call` renders over `extra`.
fn steps(call: &str, extra: &str) -> u64 {
    let template =
        compiled(&format!("{{\"v\": {{{{#if ({call})}}}}1{{{{else}}}}2{{{{/if}}}}}}"), &[], Missing::Error).unwrap();
    let (mut least, mut most) = (0, 1 << 22);
    while least < most {
        let middle = (least + most) / 2;
        let limits = RenderLimits { work: middle, ..RenderLimits::default() };
        if rendered(&template, extra, &limits).is_ok() { most = middle } else { least = middle + 1 }
    }
    most
}

#[test]
fn names_are_paid_for_by_their_length() {
    let name = "n".repeat(40_000);
    let (extra, short) = (format!("{{\"x\":{{\"{name}\":{{\"a\":1}}}}}}"), "{\"x\":{\"n\":{\"a\":1}}}");
    for call in [
        "pick Extra.x \"a\"",
        "omit Extra.x \"a\"",
        "merge Extra.x {}",
        "unique (keys Extra.x)",
        "first (unique (values {\"y\":1}))",
        "eq Extra.x (merge Extra.x {})",
    ] {
        let more = steps(call, &extra) - steps(call, short);
        assert!(more >= 40_000 / 64 || call.starts_with("first"), "{call} costs {more} steps more");
    }
    let looked_up = format!("has Extra.x.{name}");
    let members: Vec<_> = (0..16).map(|index| format!("\"{}{index:02}\":1", "m".repeat(39_998))).collect();
    let many = format!("{{\"x\":{{{}}}}}", members.join(","));
    assert!(steps(&looked_up, &many) >= 16 * 40_000 / 64 / 16, "names of the same length are compared");
    let deep = format!("{{\"x\":{{\"{name}\":{{}}}}}}");
    let missing = format!("has Extra.x.{name}.b");
    assert!(steps(&missing, &deep) >= 40_000 / 16, "the reason names the path");
}

#[test]
fn places_of_a_text_are_paid_for_before_they_are_replaced() {
    let extra = |text: &str| format!("{{\"x\":\"{text}\"}}");
    let (matching, other) = (extra(&"a".repeat(64_000)), extra(&"b".repeat(64_000)));
    for call in ["replace Extra.x \"a\" \"\"", "split Extra.x \"a\""] {
        let more = steps(call, &matching) - steps(call, &other);
        assert!(more >= 64_000 / 8, "{call} costs {more} steps more");
    }
}

#[test]
fn objects_are_sorted_for_comparison_at_a_cost() {
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|index| format!("\"k{index}\":1")).collect();
        format!("{{\"x\":[{{{}}}]}}", members.join(","))
    };
    let (few, many) = (steps("unique Extra.x", &members(500)), steps("unique Extra.x", &members(5_000)));
    assert!(many > 11 * few, "{few} {many}");
}

#[test]
fn patterns_of_a_template_have_a_budget() {
    let tests = |patterns: &[String]| {
        let members = patterns.iter().enumerate();
        let members = members.map(|(index, pattern)| format!("\"m{index}\": {{{{regexMatch Subject \"{pattern}\"}}}}"));
        compiled(&format!("{{\n{}\n}}", members.collect::<Vec<_>>().join(",\n")), &[], Missing::Error)
    };
    let patterns = |count: usize, text: &str| (0..count).map(|index| format!("{text}{index}")).collect::<Vec<_>>();
    assert!(tests(&patterns(64, "a")).is_ok());
    assert!(tests(&vec!["a".to_owned(); 1_000]).is_ok(), "equal patterns are compiled once");
    let error = tests(&patterns(65, "a")).unwrap_err();
    assert_eq!((error.code(), error.faults()[0].place.line), (ErrorCode::TemplateLimit, 66), "{error}");
    let error = tests(&patterns(40, "\\\\pL{6}")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TemplateLimit, "{error}");
    assert!(error.to_string().contains("bytes together") && error.faults()[0].place.line < 41, "{error}");
    let part = "{{regexMatch Subject \"b\"}}";
    let whole = format!(
        "{{\n\"p\": {{{{> part}}}},\n{}\n}}",
        patterns(64, "a")
            .iter()
            .enumerate()
            .map(|(index, pattern)| { format!("\"m{index}\": {{{{regexMatch Subject \"{pattern}\"}}}}") })
            .collect::<Vec<_>>()
            .join(",\n")
    );
    assert_eq!(compiled(&whole, &[("part", part)], Missing::Error).unwrap_err().code(), ErrorCode::TemplateLimit);
}

#[test]
fn text_is_paid_for_even_if_it_is_left_out_again() {
    let template =
        compiled(r#"{"a": [{{#each Extra.l}}"{{@root.Extra.x}}{{@root.Extra.none}}"{{/each}}]}"#, &[], Missing::Omit);
    let template = template.unwrap();
    let extra = format!(r#"{{"x": "{}", "l": [1,2,3,4]}}"#, "\\n".repeat(10_000));
    let within = |work: u64| rendered(&template, &extra, &RenderLimits { work, ..RenderLimits::default() });
    assert_eq!(within(4 * 4 * 10_000 / 64).map_err(|error| error.code()), Err(ErrorCode::TemplateLimit));
    assert_eq!(within(100_000).as_deref(), Ok(r#"{"a":[]}"#));
}

#[test]
fn every_helper_is_measured() {
    let calls = include_str!("../../../../tests/bench/worst/handlebars.calls");
    for helper in helper_reference().filter(|helper| helper.name != "fail") {
        let is_called = calls.lines().any(|line| line.split(' ').next() == Some(helper.name));
        assert!(is_called, "no call of {} in tests/bench/worst/handlebars.calls", helper.name);
    }
}
