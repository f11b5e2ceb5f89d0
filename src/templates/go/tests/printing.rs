//! The verbs of `printf`, on every kind of value.

use super::{refused, render, render_with};
use crate::code::ErrorCode;
use crate::json::{Json, ReadLimits};
use crate::templates::RenderLimits;

/// Each call of `printf` with the arguments gives the text.
#[track_caller]
fn printed(cases: &[(&str, &str)]) {
    for (arguments, expected) in cases {
        let text = render(&format!("{{\"v\": {{{{ printf {arguments} | toJson }}}}}}"));
        let text = text.unwrap_or_else(|code| panic!("{arguments}: {code:?}"));
        let claims = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
        assert_eq!(claims.member("v").and_then(Json::as_str), Some(*expected), "{arguments}");
    }
}

#[test]
fn verbs_on_text() {
    printed(&[
        ("`%s|%5s|%-5s|%.2s|%05s` `żab` `żab` `żab` `żab` `żab`", "żab|  żab|żab  |ża|00żab"),
        ("`%v|%+v|%#v` `a` `a` `a`", "a|a|\"a\""),
        ("`%x|%X|% x|%#x|%# X|%.1x` `hi` `hi` `hi` `hi` `hi` `hi`", "6869|6869|68 69|0x6869|0X68 0X69|68"),
        ("`%q|%#q|%+q|%8q` `a` `a` `ż` `ab`", "\"a\"|`a`|\"\\u017c\"|    \"ab\""),
        ("`%d|%t|%c` `x` `x` `x`", "%!d(string=x)|%!t(string=x)|%!c(string=x)"),
        ("`%5d|%T|%z` `x` `x` `x`", "%!d(string=    x)|string|%!z(string=x)"),
    ]);
}

#[test]
fn verbs_on_integers() {
    printed(&[
        (
            "`%d|%5d|%-5d|%05d|%+d|% d|%x|%X|%o|%O|%b` 42 42 42 42 42 42 42 42 42 42 42",
            "42|   42|42   |00042|+42| 42|2a|2A|52|0o52|101010",
        ),
        ("`%#x|%#X|%#o|%#b|%#v|%v` 42 42 42 5 42 -1", "0x2a|0X2A|052|0b101|42|-1"),
        ("`%c|%q|%U|%#U|%+q` 380 97 380 380 380", "ż|'a'|U+017C|U+017C 'ż'|'\\u017c'"),
        ("`%05d|%-05d|%+05d|%.3d|%6.3d|%.0d` -42 42 42 7 7 0", "-0042|42   |+0042|007|   007|"),
        ("`%x|%d|%T` (index `a` 0) (index `a` 0) (index `a` 0)", "61|97|uint8"),
        ("`%s|%f|%e|%t` 1 1 1 1", "%!s(int=1)|%!f(int=1)|%!e(int=1)|%!t(int=1)"),
        ("`%#v` (index `a` 0)", "0x61"),
        ("`%c|%U` -1 -1", "\u{fffd}|U+FFFFFFFFFFFFFFFF"),
    ]);
}

#[test]
fn verbs_on_floats() {
    printed(&[
        (
            "`%v|%g|%f|%.2f|%e|%E|%.1e|%8.3f|%-8.1f|` 1.5 1.5 1.5 1.5 1.5 1.5 1.25 1.5 1.5",
            "1.5|1.5|1.500000|1.50|1.500000e+00|1.500000E+00|1.2e+00|   1.500|1.5     |",
        ),
        ("`%v|%v|%v|%v|%v` 1e6 1e-5 100000.0 123456789.0 1e21", "1e+06|1e-05|100000|1.23456789e+08|1e+21"),
        ("`%.3g|%.3g|%.10g|%G` 1234.5 0.00001234 100000.0 1e-7", "1.23e+03|1.23e-05|100000|1E-07"),
        ("`%#g|%#.3g|%#v|%#f|%#.0f|%#g` 1.0 1.0 1.0 1.5 2.0 0.0", "1.00000|1.00|1|1.500000|2.|0.00000"),
        ("`%08.2f|%+.1f|% .1f|%08.2f` 1.5 1.5 1.5 -1.5", "00001.50|+1.5| 1.5|-0001.50"),
        ("`%b|%x|%X|%.2x|%x` 1.0 1.5 1.5 1.999 0.0", "4503599627370496p-52|0x1.8p+00|0X1.8P+00|0x1.00p+01|0x0p+00"),
        ("`%d|%s|%t|%5c` 1.5 .Extra.n 1.5 2.5", "%!d(float64=1.5)|%!s(float64=7)|%!t(float64=1.5)|%!c(float64=  2.5)"),
        (
            "`%f|%5.1f|%+v|% f|%05f` (float64 `inf`) (float64 `nan`) (float64 `-inf`) (float64 `inf`) (float64 `inf`)",
            "+Inf|  NaN|-Inf| Inf| +Inf",
        ),
        ("`%v|%.1f|%+v` (1+2i) 1i 2i", "(1+2i)|(0.0+1.0i)|(0+2i)"),
    ]);
}

#[test]
fn verbs_on_other_values() {
    printed(&[
        ("`%v|%t|%5t|%d|%q` true false true true true", "true|false| true|%!d(bool=true)|%!q(bool=true)"),
        (
            "`%v|%s|%d|%5v|%T|%+v|%#v` nil nil nil nil nil nil nil",
            "<nil>|%!s(<nil>)|%!d(<nil>)|<nil>|<nil>|<nil>|<nil>",
        ),
        (
            "`%v|%d|%q|%T` .Extra.list .Extra.list .Extra.list .Extra.list",
            "[b a b]|[%!d(string=b) %!d(string=a) %!d(string=b)]|[\"b\" \"a\" \"b\"]|[]interface {}",
        ),
        ("`%#v` (list 1 `a` nil 1.5)", "[]interface {}{1, \"a\", interface {}(nil), 1.5}"),
        ("`%6v|%x` (list 1 nil) (list 10 `a`)", "[     1 <nil>]|[a 61]"),
        (
            "`%v|%s|%#v` (dict `b` 1 `a` nil) (dict `b` 1) (dict `b` 1)",
            "map[a:<nil> b:1]|map[b:%!s(int=1)]|map[string]interface {}{\"b\":1}",
        ),
        ("`%#v|%v` (rest list) (rest list)", "[]interface {}(nil)|[]"),
        (
            "`%v|%d|%s|%x|%z` (now.Sub now) (now.Sub now) (now.Sub now) (now.Sub now) (now.Sub now)",
            "0s|0|0s|3073|%!z(time.Duration=0)",
        ),
        ("`%v|%d|%-10s|` now.Month now.Month now.Month", "January|1|January   |"),
    ]);
    refused(&[
        ("{\"v\": \"{{ printf `%d` now }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf `%#v` .MatchContext }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf `%d` (list .) }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf `%v` (list .) }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf `%d` (list (semver `1`)) }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf `%p` .MatchContext.URL }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf `%p` .Extra }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ printf 1 }}\"}", ErrorCode::TemplateWrongType),
    ]);
}

#[test]
fn formats_that_go_finds_fault_with() {
    printed(&[
        ("`%d`", "%!d(MISSING)"),
        ("`a` 1 `b` nil", "a%!(EXTRA int=1, string=b, <nil>)"),
        ("`%`", "%!(NOVERB)"),
        ("`%5`", "%!(NOVERB)"),
        ("`100%%|%5%`", "100%|%"),
        ("`%*d|%-*d|` 5 1 5 1", "    1|1    |"),
        ("`%*d` -4 1", "1   "),
        ("`%*d` `x` 1", "%!(BADWIDTH)1"),
        ("`%.*f|%.*f` 1 1.25 -1 1.5", "1.2|%!(BADPREC)1.500000"),
        ("`%*d` 1.5 1", "%!(BADWIDTH)1"),
        ("`%[2]d %[1]d` 1 2", "2 1"),
        ("`%[3]d|%[x]d|%[1d` 1 2", "%!d(BADINDEX)|%!d(BADINDEX)|%!d(BADINDEX)"),
        ("`%[1]s %[1]q` `a`", "a \"a\""),
        ("`%[1]*d` 3", "%!d(MISSING)"),
        ("`%!` 1", "%!!(int=1)"),
        ("`%ż` 1", "%!ż(int=1)"),
        ("`%99999999999d` 1", "%!(NOVERB)%!(EXTRA int=1)"),
        ("`%-+5d|` 1", "+1   |"),
    ]);
    refused(&[("{\"v\": \"{{ printf `%1000000d` 1 }}\"}", ErrorCode::TemplateLimit)]);
}

/// Calls of `printf` over a session that has nothing.
#[test]
fn verbs_on_structures() {
    let session = r#"{"subject":"u","extra":{},"match_context":{"method":"GET"}}"#;
    for (arguments, expected) in [
        ("`%d` (semver `1.2.3`)", "&{1 2 3 %!d(string=) %!d(string=) %!d(string=1.2.3)}"),
        (
            "`%d|%t` (semver `1`).IncPatch (list (semver `1`))",
            "{1 0 1 %!d(string=) %!d(string=) %!d(string=1.0.1)}|[%!t(*semver.Version=&{1 0 0   1})]",
        ),
        (
            "`%z|%8v|%+v` (semver `1`) (semver `1`) (semver `1`)",
            "&{%!z(uint64=1) %!z(uint64=0) %!z(uint64=0) %!z(string=) %!z(string=) %!z(string=1)}|   1.0.0|1.0.0",
        ),
        (
            "`%#v` (semver `1-a`)",
            "&semver.Version{major:0x1, minor:0x0, patch:0x0, pre:\"a\", metadata:\"\", original:\"1-a\"}",
        ),
        ("`%d` .MatchContext", "{[] 0 %!d(string=GET) map[]}"),
        ("`%q` .", "&{\"u\" map[] map[] {[] <nil> \"GET\" map[]}}"),
        ("`%+v` .MatchContext", "{RegexpCaptureGroups:[] URL:<nil> Method:GET Header:map[]}"),
        (
            "`%#v` .MatchContext",
            "authn.MatchContext{RegexpCaptureGroups:[]string(nil), URL:(*url.URL)(nil), \
             Method:\"GET\", Header:http.Header(nil)}",
        ),
        (
            "`%d` (.MatchContext.URL.Parse `https://h/p`)",
            "&{%!d(string=https) %!d(string=) 0 %!d(string=h) %!d(string=/p) %!d(string=) %!d(string=) \
             %!d(string=) %!d(string=) %!d(bool=false) %!d(bool=false)}",
        ),
        (
            "`%8[1]v|%[1]q|%[1]d|%[1]t|%[1]p|%#[1]v` .MatchContext.URL",
            "<nil>|<nil>|0|%!t(*url.URL=<nil>)|0x0|(*url.URL)(nil)",
        ),
        (
            "`%#v|%#v|%v` (toDate `2006` `2024`) (semver `1`).MarshalText (list (semver `1`).MarshalText)",
            "time.Date(2024, time.January, 1, 0, 0, 0, 0, time.Local)|[]byte{0x31, 0x2e, 0x30, 0x2e, 0x30}|\
             [[49 46 48 46 48]]",
        ),
        ("`%v|%d|%s` (toDate `2006` `2024`).Location 1 (list (toDate `2006` `2024`).UTC.Location)", "UTC|1|[UTC]"),
    ] {
        let template = format!("{{\"v\": {{{{ printf {arguments} | toJson }}}}}}");
        let text = render_with(&template, session, &RenderLimits::default());
        let text = text.unwrap_or_else(|code| panic!("{arguments}: {code:?}"));
        let claims = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
        assert_eq!(claims.member("v").and_then(Json::as_str), Some(expected), "{arguments}");
    }
}
