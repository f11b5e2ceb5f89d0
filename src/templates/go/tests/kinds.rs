//! What Go does with odd values: nil, dates far away, numbers out of range, and bytes that are not UTF-8.

use super::{refused, render, render_with, texts, values};
use crate::code::ErrorCode;
use crate::templates::RenderLimits;

#[test]
fn sorted_nothing_stays_nil() {
    values(&[
        ("{{ .Header.Values `X-No` | sortAlpha | toJson }}", "null"),
        ("{{ regexFindAll `q` .Subject -1 | sortAlpha | toJson }}", "null"),
        ("{{ toStrings (.Header.Values `X-No`) | toJson }}", "null"),
        ("{{ eq (sortAlpha (.Header.Values `X-No`)) nil }}", "true"),
        ("{{ sortAlpha (rest list) | toJson }}", "[]"),
        ("{{ sortAlpha nil | toJson }}", "[\"<nil>\"]"),
    ]);
}

#[test]
fn a_sorted_list_of_texts_is_sorted_for_everyone() {
    texts(&[
        ("{{ $s := sortAlpha .Header.X }}{{ $l := splitList `,` `b,a` }}{{ $m := sortAlpha $l }}{{ $l }}", "[a b]"),
        ("{{ $l := list `b` `a` }}{{ $m := sortAlpha $l }}{{ $l }}", "[b a]"),
        ("{{ $l := splitList `,` `b,a` }}{{ $m := sortAlpha (toStrings $l) }}{{ $l }}", "[a b]"),
    ]);
}

#[test]
fn durations_are_whole_units_and_the_rest() {
    values(&[
        (
            "{{ ((toDate `2006-01-02` `2024-01-01`).Sub (toDate `2006-01-02T15:04:05Z07:00` \
             `1999-11-09T06:57:43.123456789Z`)).Seconds }}",
            "7.619365368765432e+08",
        ),
        (
            "{{ ((toDate `2006-01-02` `2000-02-09`).Sub (toDate `2006-01-02T15:04:05Z07:00` \
             `2026-02-28T10:00:00.123Z`)).Minutes }}",
            "-1.370364000205e+07",
        ),
    ]);
}

#[test]
fn zones_count_in_every_year() {
    texts(&[
        (
            "{{ dateInZone `2006-01-02 15:04 -0700` (int64 1709210096123) `America/New_York` }}",
            "56132-09-17 02:15 -0400",
        ),
        ("{{ dateInZone `2006-01-02 15:04` (int64 9000000000000) `Europe/Berlin` }}", "287168-08-24 18:00"),
        ("{{ dateInZone `2006-01-02 15:04` (int64 -9000000000000) `UTC` }}", "-283229-05-10 08:00"),
        ("{{ ((toDate `2006` `2024`).AddDate -2316 0 0).Format `06|2006` }}", "92|-0292"),
        ("{{ ((toDate `2006` `2024`).AddDate 8000 0 0).Format `06|2006` }}", "24|10024"),
    ]);
}

#[test]
fn locations_differ_though_their_time_is_the_same() {
    texts(&[
        ("{{ (toDate `2006` `2024`).Location }}|{{ (toDate `2006` `2024`).IsDST }}", "UTC|false"),
        ("{{ (toDate `2006` `2024`).GoString }}", "time.Date(2024, time.January, 1, 0, 0, 0, 0, time.Local)"),
        ("{{ (toDate `2006` `2024`).UTC.GoString }}", "time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)"),
        (
            "{{ $t := toDate `2006` `2024` }}{{ eq $t $t.UTC }}{{ eq $t.UTC $t.UTC }}{{ deepEqual $t $t.UTC }}",
            "falsetruefalse",
        ),
        ("{{ $t := toDate `-0700` `+0130` }}{{ eq $t $t }}{{ eq $t (toDate `-0700` `+0130`) }}", "truefalse"),
        ("{{ eq (toDate `-0700` `+0100`) (toDate `-0700` `+0100`) }}", "true"),
        ("{{ ((toDate `2006` `2024`).In (toDate `-0700` `+0100`).Location).Hour }}", "1"),
    ]);
    values(&[
        ("{{ (toDate `2006` `2024`).MarshalText | toJson }}", "\"MjAyNC0wMS0wMVQwMDowMDowMFo=\""),
        ("{{ (toDate `2006` `2024`).MarshalJSON | toString }}", "\"2024-01-01T00:00:00Z\""),
        ("{{ (toDate `2006` `2024`).MarshalBinary | toJson }}", "\"AQAAAA7dI/eAAAAAAAAA\""),
    ]);
}

#[test]
fn dates_that_json_does_not_have_are_empty_text() {
    let far = "(toDate `2006-01-02` `2024-01-01`).AddDate 8000 0 0";
    texts(&[
        (&format!("x{{{{ {far} | toJson }}}}"), "x"),
        ("x{{ toDate `2006-01-02T15:04:05Z07:00` `1970-10-02T11:44:40+24:01` | toJson }}", "x"),
    ]);
    values(&[("{{ (toDate `2006-01-02` `2024-01-01`).AddDate -3000 0 0 | toJson | default `null` }}", "null")]);
    refused(&[(&format!("{{\"v\": {{{{ {far} | mustToJson }}}}}}"), ErrorCode::TemplateWrongType)]);
}

#[test]
fn escaping_functions_write_what_a_pointer_points_to() {
    let session = "{\"subject\":\"u\",\"extra\":{}}";
    for (call, expected) in [
        ("\"{{ html . }}\"", "\"{u map[] map[] {[] &lt;nil&gt;  map[]}}\""),
        ("\"{{ urlquery . }}\"", "\"%7Bu+map%5B%5D+map%5B%5D+%7B%5B%5D+%3Cnil%3E++map%5B%5D%7D%7D\""),
        ("{{ js . | len }}", "43"),
        ("\"{{ .MatchContext.URL.Redacted }}\"", "\"\""),
        ("\"{{ (.MatchContext.URL.Parse `https://x/y`).Host }}\"", "\"x\""),
    ] {
        let found = render_with(&format!("{{\"v\": {call}}}"), session, &RenderLimits::default());
        assert_eq!(found, Ok(format!("{{\"v\":{expected}}}")), "{call}");
    }
}

#[test]
fn numbers_out_of_range_are_null() {
    values(&[
        ("{{ fromJson `{\"a\":1,\"b\":1e400,\"c\":2}` | toJson }}", "{\"a\":1,\"b\":null,\"c\":2}"),
        ("{{ `[1e400]` | fromJson | toJson }}", "[null]"),
        ("{{ `1e400` | fromJson | toJson }}", "null"),
        ("{{ `[1e400` | fromJson | toJson }}", "null"),
    ]);
    refused(&[
        ("{\"v\": {{ mustFromJson `[1e400]` | toJson }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": 1e400}", ErrorCode::ClaimsInvalid),
        ("{\"v\": {{ \"1e400\" }}}", ErrorCode::ClaimsInvalid),
    ]);
}

#[test]
fn expressions_take_odd_bytes_for_characters() {
    texts(&[
        ("{{ regexFind `.` (trunc 1 `é`) }}", "\u{fffd}"),
        ("{{ regexReplaceAll `.` (substr 1 3 `éé`) `x` }}", "xx"),
        ("{{ regexFindAll `.` (trunc 2 `日`) -1 | len }}", "2"),
        ("{{ regexReplaceAll `(.)b` (printf `%sb` (trunc 1 `é`)) `$1` | len }}", "1"),
        ("{{ trunc 2 `日` | upper | len }}", "6"),
        ("{{ regexReplaceAll `(?P<n>a)(?P<n>b)` `ab` `${n}` }}", "a"),
        ("{{ regexReplaceAll `(?P<n>a)|(?P<n>b)` `ab` `<${n}>` }}", "<a><b>"),
    ]);
    values(&[("{{ regexMatch `^.$` (trunc 1 `é`) }}", "true"), ("{{ regexMatch `(?P<n>a)|(?P<n>b)` `ab` }}", "true")]);
}

#[test]
fn member_names_need_escapes_only_for_quotes_backslashes_and_controls() {
    for (text, name) in [("\\u2028", "\u{2028}"), ("\\u2029", "\u{2029}"), ("\\u007f", "\u{7f}"), ("é", "é")] {
        let session = format!("{{\"subject\":\"u\",\"extra\":{{\"s\":\"a{text}b\"}}}}");
        let found = render_with("{\"{{ .Extra.s }}\":1}", &session, &RenderLimits::default()).unwrap();
        let claims = crate::json::Json::parse(found.as_bytes(), crate::json::ReadLimits::default()).unwrap();
        assert!(claims.member(&format!("a{name}b")).is_some(), "{found}");
    }
    for text in ["\\\"", "\\\\", "\\n", "\\u0000"] {
        let session = format!("{{\"subject\":\"u\",\"extra\":{{\"s\":\"a{text}b\"}}}}");
        let found = render_with("{\"{{ .Extra.s }}\":1}", &session, &RenderLimits::default());
        assert_eq!(found, Err(ErrorCode::TemplatePosition), "{text}");
    }
}

#[test]
fn odd_calls_do_what_the_library_does() {
    values(&[
        ("{{ chunk -2 (list 1 2 3) | toJson }}", "[]"),
        ("{{ chunk -2 (list 1) | toJson }}", "[[1]]"),
        ("{{ deepCopy (semver `1.2.3`) | toString | quote }}", "\"0.0.0\""),
        ("{{ has (semver `1.2.3`) (list (semver `1.2.3`)) }}", "true"),
        ("{{ uniq (list (toDate `2006` `2024`) (toDate `2006` `2024`)) | len }}", "1"),
        ("{{ divf 0.1 (float64 `1e300`) }}", "0"),
        ("{{ mulf 1.1 1.1 1.1 1.1 1.1 1.1 1.1 1.1 }}", "2.14358881"),
        ("{{ addf 1e300 1 | toJson }}", "1e+300"),
        ("{{ squote (toDate `2006` `2024`).MarshalText | len }}", "63"),
        ("{{ index (toDate `2006` `2024`).MarshalText 0 }}", "50"),
    ]);
    texts(&[
        (
            "{{ printf `%w|%+w|%#w` 1 -0.5 (list 1) }}",
            "%!w(int=1)|%!w(float64=-0.5)|%!w([]interface {}=[]interface {}{1})",
        ),
        (
            "{{ $v := (semver `1`).MarshalText }}{{ printf `%s %x %v` (toDate `2006` `2024`).MarshalText $v $v }}",
            "2024-01-01T00:00:00Z 312e302e30 [49 46 48 46 48]",
        ),
        (
            "{{ b32dec \"\\n!\" }}|{{ b64dec \"\\n!\" }}",
            "illegal base32 data at input byte 0|illegal base64 data at input byte 1",
        ),
        ("{{ js (trunc 1 `é`) }}", "\u{fffd}"),
    ]);
    refused(&[
        ("{\"v\": {{ chunk -1 (list 1) | toJson }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printIndex (list .) 0 }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ deepCopy nil | toJson }}}", ErrorCode::TemplateMissingValue),
        ("{\"v\": {{ merge (dict `a` now) (dict `a` now) | toJson }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ regexQuoteMeta `a.b` }}\"}", ErrorCode::ClaimsInvalid),
    ]);
    assert!(render("{\"v\": {{ regexQuoteMeta .Extra.json | toJson }}}").is_ok());
}

#[test]
fn nil_pointers_and_bytes_print_as_in_go() {
    let url = r#"{"Scheme":"","Opaque":"","User":null,"Host":"","Path":"x","RawPath":"","OmitHost":false,"ForceQuery":false,"RawQuery":"","Fragment":"","RawFragment":""}"#;
    for (url, template, expected) in [
        (url, "{{ print (dict `u` .MatchContext.URL.User) }}", "map[u:]"),
        (url, "{{ print (deepCopy (dict `u` .MatchContext.URL.User)) }}", "map[u:<nil>]"),
        (url, "{{ printf `%#v` (deepCopy (list .MatchContext.URL.User)) }}", "[]interface {}{interface {}(nil)}"),
        (url, "{{ printf `%T` (deepCopy .MatchContext.URL.User) }}", "*url.Userinfo"),
        (url, "{{ kindOf (first (deepCopy (list .MatchContext.URL.User))) }}", "invalid"),
        ("null", "{{ print (deepCopy (dict `u` .MatchContext.URL)) }}", "map[u:<nil>]"),
        (
            "null",
            "{{ $u := .MatchContext.URL }}{{ printf `%p|%.p|%5.0p|%05p|%#p|%+p|% p|%-8p|%8p|%.3p|%#.p` $u $u $u $u $u $u $u $u $u $u $u }}",
            "0x0||     |0x00000|0|+0x0| 0x0|0x0     |     0x0|0x000|",
        ),
        (
            url,
            "{{ printf `%w` (semver `1`).MarshalText }}",
            "[%!w(uint8=49) %!w(uint8=46) %!w(uint8=48) %!w(uint8=46) %!w(uint8=48)]",
        ),
        (
            url,
            "{{ printf `%#w` (semver `1`).MarshalText }}",
            "[]uint8{%!w(uint8=0x31), %!w(uint8=0x2e), %!w(uint8=0x30), %!w(uint8=0x2e), %!w(uint8=0x30)}",
        ),
    ] {
        let session = format!(r#"{{"subject":"u","extra":{{}},"match_context":{{"url":{url}}}}}"#);
        let found = render_with(&format!("{{\"v\":\"{template}\"}}"), &session, &RenderLimits::default());
        assert_eq!(found.as_deref(), Ok(&*format!("{{\"v\":\"{expected}\"}}")), "{template}");
    }
}
