//! sprig's functions in their corners.

use super::{refused, render, texts, values};
use crate::code::ErrorCode;

#[test]
fn cases_change_as_in_the_library() {
    for (text, snake) in [
        ("FirstName", "first_name"),
        ("HTTPServer", "http_server"),
        ("NoHTTPS", "no_https"),
        ("GO_PATH", "go_path"),
        ("GO PATH", "go_path"),
        ("GO-PATH", "go_path"),
        ("http2xx", "http_2xx"),
        ("HTTP20xOK", "http_20x_ok"),
        ("Duration2m3s", "duration_2m3s"),
        ("Bld4Floor3rd", "bld4_floor_3rd"),
        ("_a__b_", "_a__b_"),
        ("a.B", "a.b"),
        ("a1", "a1"),
        ("1A", "1_a"),
        ("żÓłw", "ż_ółw"),
        ("中文Ab", "中文_ab"),
        ("", ""),
        ("ABc", "a_bc"),
        ("a$b", "a_$_b"),
    ] {
        let kebab: String = snake.replace('_', "-");
        texts(&[(&format!("{{{{ snakecase `{text}` }}}}"), snake), (&format!("{{{{ kebabcase `{text}` }}}}"), &kebab)]);
    }
    for (text, camel) in [
        ("some_words", "SomeWords"),
        ("http_server", "HttpServer"),
        ("no_https", "NoHttps"),
        ("_complex__case_", "_Complex_Case_"),
        ("some words", "SomeWords"),
        ("GOLANG_IS_GREAT", "GolangIsGreat"),
        ("aB", "AB"),
        ("a", "A"),
        ("_", "__"),
        ("żó-łw", "ŻóŁw"),
        ("", ""),
    ] {
        texts(&[(&format!("{{{{ camelcase `{text}` }}}}"), camel)]);
    }
    texts(&[
        ("{{ title `ab-cd ǆa` }}|{{ untitle `AB CD` }}|{{ swapcase `aB ǅ` }}", "Ab-Cd ǅa|aB cD|Ab ǆ"),
        ("{{ upper `straße ᾳ` }}|{{ lower `ŻÓİ` }}", "STRAßE ᾼ|żói"),
        ("{{ initials `First  Try` }}|{{ initials `ż b` }}|{{ initials `` }}", "FT|Åb|"),
        ("{{ nospace `a b` }}|{{ nospace `żb` }}|{{ nospace `é b` }}", "ab|żb|Ã©b"),
    ]);
}

#[test]
fn texts_are_cut_by_bytes() {
    texts(&[
        ("{{ trunc 5 `abc` }}|{{ trunc -5 `abc` }}|{{ trunc 0 `abc` }}|{{ trunc -3 `abc` }}", "abc|abc||abc"),
        ("{{ substr -1 2 `abc` }}|{{ substr 1 -1 `abc` }}|{{ substr 1 9 `abc` }}", "ab|bc|bc"),
        (
            "{{ abbrev 3 `abcdef` }}|{{ abbrev 5 `abcdef` }}|{{ abbrevboth 5 10 `1234567890123456789` }}",
            "abcdef|ab...|...6789...",
        ),
        ("{{ plural `one` `many` 1 }}|{{ plural `one` `many` 0 }}", "one|many"),
        ("{{ replace `` `-` `ab` }}|{{ replace `a` `` `aab` }}", "-a-b-|b"),
        ("{{ splitList `` `żab` | join `,` }}|{{ (splitn `,` 2 `a,b,c`)._1 }}", "ż,a,b|b,c"),
    ]);
    values(&[
        ("{{ wrap 3 `aa bbbbb c` | toJson }}", "\"aa\\nbbbbb\\nc\""),
        ("{{ wrapWith 2 `,` `aaaaa b` | toJson }}", "\"aa,aa,a,b\""),
        ("{{ wrap 0 `ab c` | toJson }}", "\"ab\\nc\""),
    ]);
    refused(&[
        ("{\"v\": \"{{ substr 3 1 `abc` }}\"}", ErrorCode::TemplateMissingValue),
        ("{\"v\": \"{{ substr -1 -1 `abc` }}\"}", ErrorCode::TemplateMissingValue),
        ("{\"v\": \"{{ substr 9 -1 `abc` }}\"}", ErrorCode::TemplateMissingValue),
        ("{\"v\": \"{{ repeat -1 `a` }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ indent -1 `a` }}\"}", ErrorCode::TemplateWrongType),
    ]);
}

#[test]
fn conversions_follow_the_library() {
    values(&[
        ("{{ int `08` }} ", "0"),
        ("{{ int `010` }}", "8"),
        ("{{ int `0x1F` }}", "31"),
        ("{{ int `0x+1` }}", "0"),
        ("{{ int `1_000` }}", "1000"),
        ("{{ int ` 1 ` }}", "0"),
        ("{{ int `1.0` }}", "1"),
        ("{{ int `0x1.0` }}", "0"),
        ("{{ int `1e3` }}", "0"),
        ("{{ int `99999999999999999999` }}", "0"),
        ("{{ int 1.9 }}", "1"),
        ("{{ int -1.9 }}", "-1"),
        ("{{ int64 true }}", "1"),
        ("{{ int nil }}", "0"),
        ("{{ int (list 1) }}", "0"),
        ("{{ int now.Month }}", "1"),
        ("{{ atoi `99999999999999999999` }}", "9223372036854775807"),
        ("{{ atoi `-99999999999999999999` }}", "-9223372036854775808"),
        ("{{ atoi `+7` }}", "7"),
        ("{{ atoi `1_0` }}", "0"),
        ("{{ float64 `1e999` }}", "0"),
        ("{{ float64 `0x1p-2` }}", "0.25"),
        ("{{ float64 `1_0.5` }}", "10.5"),
        ("{{ float64 `.5` }}", "0.5"),
        ("{{ toDecimal `777` }}", "511"),
        ("{{ toDecimal 9 }}", "0"),
        ("{{ toString nil | toJson }}", "\"<nil>\""),
        ("{{ toString 1.0 | toJson }}", "\"1\""),
        ("{{ toString (list 1 nil) | toJson }}", "\"[1 <nil>]\""),
    ]);
}

#[test]
fn arithmetic_wraps_and_refuses_zero() {
    values(&[
        ("{{ add 9223372036854775807 1 }}", "-9223372036854775808"),
        ("{{ div -7 2 }} ", "-3"),
        ("{{ mod -7 2 }}", "-1"),
        ("{{ div -9223372036854775808 -1 }}", "-9223372036854775808"),
        ("{{ round 2.5 0 }}", "3"),
        ("{{ round -2.5 0 }}", "-3"),
        ("{{ round -1.5 0 }}", "-2"),
        ("{{ round 123.555555 3 }}", "123.556"),
        ("{{ round 123.555555 3 0.6 }}", "123.555"),
        ("{{ round 1234.0 -2 }}", "1200"),
        ("{{ addf 0.1 0.2 }}", "0.3"),
        ("{{ divf 2 3 }}", "0.6666666666666667"),
        ("{{ subf 1 0.9 }}", "0.1"),
        ("{{ max 1 `5` 3.9 }}", "5"),
        ("{{ untilStep 3 0 -1 | toJson }}", "[3,2,1]"),
        ("{{ untilStep 0 3 -1 | toJson }}", "[]"),
        ("{{ until -2 | toJson }}", "[0,-1]"),
        ("{{ seq 0 | toJson }}", "\"1 0\""),
        ("{{ seq 3 1 | toJson }}", "\"3 2 1\""),
        ("{{ seq 3 2 1 | toJson }}", "\"\""),
        ("{{ seq 3 -2 -2 | toJson }}", "\"3 1 -1\""),
        ("{{ seq 1 2 3 4 | toJson }}", "\"\""),
    ]);
    refused(&[
        ("{\"v\": {{ mod 1 0 }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ divf 1 0 }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ subf `inf` 1 }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ seq 1 1000000000 }}\"}", ErrorCode::TemplateLimit),
        ("{\"v\": {{ untilStep 0 9223372036854775807 1 }}}", ErrorCode::TemplateLimit),
    ]);
}

#[test]
fn maps_merge_as_in_the_library() {
    values(&[
        ("{{ merge (dict `a` ``) (dict `a` 0) | toJson }}", "{\"a\":0}"),
        ("{{ merge (dict `a` nil) (dict `a` 1) | toJson }}", "{\"a\":1}"),
        ("{{ merge (dict `a` 1) (dict `a` nil `b` nil) | toJson }}", "{\"a\":1}"),
        ("{{ merge (dict `a` (dict `x` 1)) (dict `a` 2) | toJson }}", "{\"a\":{\"x\":1}}"),
        ("{{ merge (dict `a` false) (dict `a` true) (dict `a` 3 `b` 4) | toJson }}", "{\"a\":true,\"b\":4}"),
        ("{{ merge (dict `a` (list 1)) (dict `a` (list 2)) | toJson }}", "{\"a\":[1]}"),
        ("{{ merge (dict `a` list) (dict `a` (list 2)) | toJson }}", "{\"a\":[2]}"),
        ("{{ mergeOverwrite (dict `a` (list 1)) (dict `a` list) | toJson }}", "{\"a\":[]}"),
        ("{{ mergeOverwrite (dict `a` (dict `x` 1)) (dict `a` (dict `y` 2)) | toJson }}", "{\"a\":{\"x\":1,\"y\":2}}"),
        ("{{ mergeOverwrite (dict `a` (dict `x` 1)) (dict `a` dict) | toJson }}", "{\"a\":{\"x\":1}}"),
        ("{{ mergeOverwrite (dict `a` 1) (dict `a` ``) | toJson }}", "{\"a\":\"\"}"),
        ("{{ mergeOverwrite (dict `a` 1) (dict `a` nil) | toJson }}", "{\"a\":null}"),
        ("{{ mergeOverwrite (dict `a` `x`) (dict `a` (dict `y` 2)) | toJson }}", "{\"a\":{\"y\":2}}"),
        ("{{ merge nil (dict `a` 1) | toJson }}", "{\"a\":1}"),
        ("{{ merge nil nil | toJson }}", "null"),
        ("{{ dig `a` `c` `-` (dict `a` (dict `b` 1)) | toJson }}", "\"-\""),
        ("{{ dig `a` `-` (dict `a` nil) | toJson }}", "null"),
        ("{{ pluck `a` (dict `a` 1) (dict `b` 2) (dict `a` nil) | toJson }}", "[1,null]"),
        ("{{ dict `a` | toJson }}", "{\"a\":\"\"}"),
        ("{{ chunk 2 (list 1 2 3) | toJson }}", "[[1,2],[3]]"),
        ("{{ chunk 9 list | toJson }}", "[]"),
        ("{{ get (dict `a` nil) `a` | toJson }}", "null"),
    ]);
    refused(&[
        ("{\"v\": \"{{ dig 1 `a` `-` dict }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ dig `a` 1 `-` dict }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ dig `a` `b` `-` (dict `a` 1) }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ dig `a` dict }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ chunk 0 (list 1) }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ set nil `a` 1 }}\"}", ErrorCode::TemplateMissingValue),
        ("{\"v\": \"{{ pick .Header `a` }}\"}", ErrorCode::TemplateWrongType),
    ]);
}

#[test]
fn functions_on_whole_numbers_of_any_size_end() {
    for template in [
        "{{ until 9223372036854775807 }}",
        "{{ seq -9223372036854775808 9223372036854775807 }}",
        "{{ range 9223372036854775807 }}{{ end }}",
    ] {
        assert_eq!(render(template), Err(ErrorCode::TemplateLimit), "{template}");
    }
}
