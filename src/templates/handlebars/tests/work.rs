//! What a rendering pays for, and when it ends.

use std::sync::atomic::AtomicBool;

use super::{compiled, rendered};
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
