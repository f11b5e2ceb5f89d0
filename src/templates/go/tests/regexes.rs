//! Regular expressions: syntax, empty matches, and what a replacement may say.

use super::{refused, render_with, texts, values};
use crate::code::ErrorCode;
use crate::templates::RenderLimits;

#[test]
fn syntax_is_that_of_re2() {
    values(&[
        ("{{ regexMatch `^\\p{L}+$` `żó` }}", "true"),
        ("{{ regexMatch `^[\\p{Greek}x]+$` `αx` }}", "true"),
        ("{{ regexMatch `\\x{1F600}` `😀` }}", "true"),
        ("{{ regexMatch `^\\Q(a+)\\E$` `(a+)` }}", "true"),
        ("{{ regexMatch `^\\w+$` `żó` }}", "false"),
        ("{{ regexMatch `a{,2}` `a{,2}` }}", "true"),
        ("{{ regexMatch `a$` `a\n` }}", "false"),
        ("{{ regexMatch `(?m)a$` `a\nb` }}", "true"),
        ("{{ regexMatch `^a.b$` `a\nb` }}", "false"),
        ("{{ regexMatch `(?s)^a.b$` `a\nb` }}", "true"),
        ("{{ regexMatch `^[^a]$` `\n` }}", "true"),
        ("{{ regexMatch `^[[:alpha:]-]+$` `a-b` }}", "true"),
        ("{{ regexMatch `^[a&&b]+$` `a&b` }}", "true"),
        // sprig forgets why an expression does not match.
        ("{{ regexMatch `a**` `a` }}", "false"),
        ("{{ regexMatch `(?x)a b` `ab` }}", "false"),
    ]);
    for pattern in ["a**", "(?x)a b", "a{1001}", "[[:foo:]]", "\\u0041", "(?=a)", "\\1"] {
        let template = format!("{{\"v\": {{{{ regexFind `{pattern}` `a` | toJson }}}}}}");
        refused(&[(&template, ErrorCode::TemplateWrongType)]);
    }
}

#[test]
fn a_replacement_names_its_groups_as_in_go() {
    texts(&[
        ("{{ regexReplaceAll `(?P<k>\\w+)=(?P<v>\\w+)` `a=b` `${v}:${k}` }}", "b:a"),
        ("{{ regexReplaceAll `(a)` `a` `${1}x|$1x|$1-|$01|$2` }}", "ax||a-||"),
        ("{{ regexReplaceAll `(a)` `a` `$$1 $ ${1 ${} $-` }}", "$1 $ ${1 ${} $-"),
        ("{{ regexReplaceAll `(?<n>a)(?<1b>b)` `ab` `${1b}${n}$0` }}", "baab"),
        ("{{ regexReplaceAll `a` `a` `$ż` }}", ""),
        ("{{ regexReplaceAll `(a)|(b)` `ab` `[$1$2]` }}", "[a][b]"),
    ]);
}

#[test]
fn empty_matches_stand_between_characters() {
    texts(&[
        ("{{ regexReplaceAll `x*` `żab` `-` }}", "-ż-a-b-"),
        ("{{ regexReplaceAll `x*` `axxb` `-` }}", "-a-b-"),
        ("{{ regexReplaceAllLiteral `` `żó` `$1` }}", "$1ż$1ó$1"),
        ("{{ regexReplaceAll `\\B` `aż` `-` }}", "aż-"),
        ("{{ regexReplaceAll `a*` `` `-` }}", "-"),
        ("{{ regexReplaceAll `a*` `baac` `x` }}", "xbxcx"),
        ("{{ regexReplaceAll `$` `ab` `!` }}", "ab!"),
        ("{{ regexReplaceAll `^` `ab` `!` }}", "!ab"),
        ("{{ regexReplaceAll `z` `ab` `!` }}", "ab"),
    ]);
    values(&[
        ("{{ regexFindAll `x*` `ża` -1 | toJson }}", "[\"\",\"\",\"\"]"),
        ("{{ regexFindAll `a*` `baac` -1 | toJson }}", "[\"\",\"aa\",\"\"]"),
        ("{{ regexFindAll `a` `aaa` 2 | toJson }}", "[\"a\",\"a\"]"),
        ("{{ regexFindAll `a` `aaa` 0 | toJson }}", "null"),
        ("{{ regexSplit `` `żab` -1 | toJson }}", "[\"ż\",\"a\",\"b\"]"),
        ("{{ regexSplit `` `abc` 2 | toJson }}", "[\"a\",\"bc\"]"),
        ("{{ regexSplit `,` `` -1 | toJson }}", "[\"\"]"),
        ("{{ regexSplit `` `` -1 | toJson }}", "[]"),
        ("{{ regexSplit `,` `a,b,` -1 | toJson }}", "[\"a\",\"b\",\"\"]"),
        ("{{ regexSplit `,` `a,b,c` 1 | toJson }}", "[\"a,b,c\"]"),
        ("{{ regexSplit `,` `a,b` 0 | toJson }}", "null"),
        ("{{ regexSplit `b*` `abc` -1 | toJson }}", "[\"a\",\"c\"]"),
    ]);
}

#[test]
fn large_expressions_are_refused() {
    let limits = RenderLimits { work: u64::MAX, ..RenderLimits::default() };
    let over = |pattern: &str| {
        let session = serde_json::json!({"subject": "s", "extra": {"p": pattern}}).to_string();
        render_with("{\"v\": {{ regexMatch .Extra.p `b` }}}", &session, &limits)
    };
    assert_eq!(over(&"a".repeat(200)), Ok("{\"v\":false}".to_owned()));
    for pattern in ["a".repeat(201), "a{9}".to_owned()] {
        assert_eq!(over(&pattern), Err(ErrorCode::TemplateLimit), "{pattern}");
    }
    let written = |pattern: &str| {
        render_with(&format!("{{\"v\": {{{{ regexMatch `{pattern}` `b` }}}}}}"), "{\"subject\":\"s\"}", &limits)
    };
    assert_eq!(written("[ab]{900}"), Ok("{\"v\":false}".to_owned()));
    assert_eq!(written("\\pL{900}"), Err(ErrorCode::TemplateLimit));
}
