mod addresses;
mod costs;
mod dates;
mod differential;
mod duplicates;
mod encodings;
mod imported;
mod kinds;
mod language;
mod origins;
mod printing;
mod reading;
mod regexes;
mod sprig;
mod versions;
mod work;

use proptest::prelude::*;

use super::GoTemplate;
use crate::code::ErrorCode;
use crate::json::{Json, NumberComparison, ReadLimits};
use crate::session::SessionValues;
use crate::templates::{RenderInput, RenderLimits};
use crate::time::Timestamp;

const SESSION: &str = r#"{
  "subject": "ann", "header": {"X-Role": ["a", "b"]},
  "extra": {
    "name": "Ann \"A\" O'Neil\\", "n": 7, "f": 1.5, "big": 1700000000, "t": true, "no": false, "nil": null, "empty": "",
    "list": ["b", "a", "b"], "nums": [3, 1, 2], "map": {"b": 2, "a": {"c": "d"}}, "line": "x\ny", "slash": "\\u0041",
    "json": "{\"a\":[1]}", "evil": "\",\"admin\":true,\"x\":\"", "date": "2024-02-29T12:34:56Z", "uni": "żó"
  },
  "match_context": {
    "regexp_capture_groups": ["one", "two"], "method": "GET", "header": {"X-Tenant": ["acme"]},
    "url": {"Scheme": "https", "Opaque": "", "User": null, "Host": "example.com:8443", "Path": "/a b/c", "RawPath": "",
      "OmitHost": false, "ForceQuery": false, "RawQuery": "q=1&q=2&e=%20", "Fragment": "", "RawFragment": ""}
  }
}"#;

fn render_with(template: &str, session: &str, limits: &RenderLimits) -> Result<String, ErrorCode> {
    let session = Json::parse(session.as_bytes(), ReadLimits::default()).unwrap();
    let part = |name: &str| session.member(name).cloned().unwrap_or(Json::Null);
    let values = SessionValues { extra: part("extra"), header: part("header"), match_context: part("match_context") };
    let subject = session.member("subject").and_then(Json::as_str).unwrap_or_default();
    let input = RenderInput::of_values(subject, &values, "p", Timestamp::from_seconds(1_768_554_753));
    let template = GoTemplate::parse("t", template).map_err(|error| error.code())?;
    template.render(&input, limits).map_err(|error| error.code())
}

fn render(template: &str) -> Result<String, ErrorCode> {
    render_with(template, SESSION, &RenderLimits::default())
}

/// Each expression at a value position gives the JSON.
#[track_caller]
fn values(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let found = render(&format!("{{\"v\": {expression}}}"));
        assert_eq!(found, Ok(format!("{{\"v\":{expected}}}")), "{expression}");
    }
}

/// Each expression inside of quotes gives the text.
#[track_caller]
fn texts(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let found = render(&format!("{{\"v\": \"{expression}\"}}")).map(|text| {
            let json = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
            json.member("v").and_then(Json::as_str).unwrap().to_owned()
        });
        assert_eq!(found.as_deref(), Ok(*expected), "{expression}");
    }
}

#[track_caller]
fn refused(cases: &[(&str, ErrorCode)]) {
    for (template, code) in cases {
        assert_eq!(render(template), Err(*code), "{template}");
    }
}

#[test]
fn a_quote_stays_in_its_string() {
    texts(&[
        ("{{ .Extra.evil }}", "\",\"admin\":true,\"x\":\""),
        ("{{ print .Extra.name }}", "Ann \"A\" O'Neil\\"),
        ("{{ .Extra.line }}", "x\ny"),
        ("{{ .Extra.slash }}", "\\u0041"),
        ("{{ printf \"<%s>\" .Extra.evil }}", "<\",\"admin\":true,\"x\":\">"),
        ("{{ printf \"%c\" (int 34.0) }}", "\""),
        ("{{ cat .Extra.evil \"z\" }}", "\",\"admin\":true,\"x\":\" z"),
        ("{{ range .Extra.list }}{{ . }}{{ $.Extra.name }}{{ break }}{{ end }}", "bAnn \"A\" O'Neil\\"),
    ]);
}

#[test]
fn what_the_author_writes_in_an_expression_is_template() {
    values(&[
        ("[\"{{ join \"\\\",\\\"\" .Extra.list }}\"]", "[\"b\",\"a\",\"b\"]"),
        ("{{ printf \"\\\"%s\\\"\" .Extra.evil }}", "\"\\\",\\\"admin\\\":true,\\\"x\\\":\\\"\""),
        ("[{{ range $i, $x := .Extra.nums }}{{ if $i }}{{ \",\" }}{{ end }}{{ $x }}{{ end }}]", "[3,1,2]"),
        ("[\"{{ \"a b\" | replace \" \" \"\\\",\\\"\" }}\"]", "[\"a\",\"b\"]"),
    ]);
    texts(&[(
        "{{ .Extra.name | replace \"\\\\\" \"\\\\\\\\\" | replace \"\\\"\" \"\\\\\\\"\" }}",
        "Ann \"A\" O'Neil\\",
    )]);
}

#[test]
fn outside_of_quotes_a_value_is_one_value() {
    values(&[
        ("{{ .Extra.n }}", "7"),
        ("{{ .Extra.json }}", "{\"a\":[1]}"),
        ("{{ .Extra.t }}", "true"),
        ("{{ .Extra.list | toJson }}", "[\"b\",\"a\",\"b\"]"),
        ("{{ .Extra.list | toPrettyJson | nindent 4 }}", "[\"b\",\"a\",\"b\"]"),
        ("{{ .Extra.list | toJson | replace `,` ` , ` }}", "[\"b\",\"a\",\"b\"]"),
        ("[\"{{ join ` ` .Extra.list | replace ` ` `\",\"` | nospace }}\"]", "[\"b\",\"a\",\"b\"]"),
        ("{{ .Extra.name | quote }}", "\"Ann \\\"A\\\" O'Neil\\\\\""),
    ]);
    refused(&[
        ("{\"v\": {{ .Extra.name }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ .Extra.nope }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ print .Extra.nope }}}", ErrorCode::ClaimsInvalid),
        ("{\"v\": {{ .Extra.list }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"a\"{{ \"\" }}{{ print \"\" }} {{ .Extra.evil }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"\\{{ .Subject }}\"}", ErrorCode::TemplatePosition),
        ("{\"v\": \"{{ .Extra.map | toJson }}\"}", ErrorCode::TemplatePosition),
        ("{\"{{ .Extra.evil }}\": 1}", ErrorCode::TemplatePosition),
        ("[1]", ErrorCode::ClaimsNotAnObject),
        ("null", ErrorCode::ClaimsNotAnObject),
        ("{} {}", ErrorCode::ClaimsInvalid),
    ]);
}

#[test]
fn escaped_text_stays_escaped_inside_of_quotes() {
    texts(&[
        ("{{ .Extra.name | toJson | trimAll \"\\\"\" | trunc 3 }}", "Ann"),
        ("{{ .Extra.line | toJson | trimPrefix \"\\\"\" | trimSuffix \"\\\"\" }}", "x\ny"),
        ("{{ \"<a>\" | js }}", "<a>"),
        ("{{ .Extra.n | toJson }}", "7"),
    ]);
}

#[test]
fn nothing_is_what_go_makes_of_it() {
    texts(&[
        ("{{ .Extra.nope }}", "<no value>"),
        ("{{ print .Extra.nope }}", ""),
        ("{{ ((.Extra.nope).a).b }}", "<no value>"),
        ("{{ .Extra.nope | toString }}", "<nil>"),
        ("{{ (index .Extra \"nope\") | default \"x\" }}", "x"),
        ("{{ printIndex .MatchContext.RegexpCaptureGroups 5 }}", ""),
        ("{{ get .Extra \"nope\" }}", ""),
        ("{{ dig \"map\" \"x\" \"none\" .Extra }}", "none"),
        ("{{ index .Header \"No\" }}", "[]"),
    ]);
    refused(&[
        ("{\"v\": \"{{ .Extra.nope.deep }}\"}", ErrorCode::TemplateMissingValue),
        ("{\"v\": \"{{ .Nope }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ .Extra.list.x }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ index .Extra \\\"nope\\\" \\\"a\\\" }}\"}", ErrorCode::TemplateSyntax),
        ("{\"v\": \"{{ .Extra.nope | upper }}\"}", ErrorCode::TemplateMissingValue),
        ("{\"v\": {{ nil }}}", ErrorCode::TemplateWrongType),
    ]);
}

#[test]
fn numbers_are_float64_and_types_are_strict() {
    texts(&[("{{ .Extra.big }}", "1.7e+09"), ("{{ .Extra.f }}", "1.5"), ("{{ int64 .Extra.big }}", "1700000000")]);
    values(&[
        ("{{ eq .Extra.n 7.0 }}", "true"),
        ("{{ eq (int .Extra.n) 7 8 }}", "true"),
        ("{{ lt .Extra.f 2.0 }}", "true"),
        ("{{ add .Extra.f 1 }}", "2"),
        ("{{ mulf 1.1 1.1 }}", "1.21"),
        ("{{ divf 1 3 }}", "0.3333333333333333"),
        ("{{ round 2.345 2 }}", "2.35"),
        ("{{ max 1 5 3 }}", "5"),
        ("{{ printf \"%.2f\" .Extra.f }}", "1.50"),
        ("{{ 0x1F }}", "31"),
        ("{{ 1_000 }}", "1000"),
        ("{{ 'a' }}", "97"),
        ("{{ .Extra.big | toJson }}", "1700000000"),
    ]);
    refused(&[
        ("{\"v\": {{ eq .Extra.n 7 }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ index .Extra.list .Extra.n }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ .Extra.n | upper }}\"}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ div 1 0 }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": \"{{ print 1 2 }}\"}", ErrorCode::TemplateHelper),
    ]);
}

#[test]
fn control_structures_and_scopes() {
    texts(&[
        ("{{ if .Extra.no }}a{{ else if .Extra.t }}b{{ else }}c{{ end }}", "b"),
        ("{{ with .Extra.nope }}a{{ else with .Extra.uni }}{{ . }}{{ else }}c{{ end }}", "żó"),
        ("{{ range $k, $v := .Extra.map }}{{ $k }}{{ end }}", "ab"),
        ("{{ range $i := 3 }}{{ $i }}{{ else }}x{{ end }}", "012"),
        ("{{ range .Extra.nope }}a{{ else }}none{{ end }}", "none"),
        ("{{ range $i, $x := .Extra.list }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $i }}{{ end }}", "02"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}", "2"),
        ("{{ define \"d\" }}[{{ . }}]{{ end }}{{ template \"d\" .Subject }}{{ template \"d\" }}", "[ann][<no value>]"),
        ("{{ block \"b\" .Extra }}{{ .f }}{{ end }}", "1.5"),
        ("a {{- /* comment */ -}} b", "ab"),
        ("{{ and .Extra.t .Extra.uni }}{{ or .Extra.nope .Extra.f }}", "żó1.5"),
        ("{{ and .Extra.no (fail `x`) }}", "false"),
        ("{{ (dict `a` (dict `b` 1)).a.b }}", "1"),
    ]);
    refused(&[
        ("{{ if }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ break }}", ErrorCode::TemplateSyntax),
        ("{{ $x }}", ErrorCode::TemplateSyntax),
        ("{{ .Extra.a-b }}", ErrorCode::TemplateSyntax),
        ("{{ range .Subject }}{{ end }}", ErrorCode::TemplateWrongType),
        ("{{ template \"none\" }}", ErrorCode::TemplateHelper),
        ("{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}", ErrorCode::TemplateLimit),
        ("{{ range until 10000000 }}{{ end }}", ErrorCode::TemplateLimit),
        ("{{ repeat 1000000000 \"x\" }}", ErrorCode::TemplateLimit),
        ("{{ printf \"%999999d\" 1 }}{{ printf \"%999999d\" 1 }}", ErrorCode::TemplateLimit),
        ("{{ $m := dict }}{{ $_ := set $m `m` $m }}{\"v\": {{ toJson $m }}}", ErrorCode::TemplateLimit),
    ]);
}

#[test]
fn the_url_and_headers_have_their_methods() {
    texts(&[
        ("{{ .MatchContext.URL }}", "https://example.com:8443/a%20b/c?q=1&q=2&e=%20"),
        ("{{ .MatchContext.URL.Hostname }}|{{ .MatchContext.URL.Port }}", "example.com|8443"),
        ("{{ .MatchContext.URL.Query.Get `q` }}|{{ .MatchContext.URL.Query.Has `z` }}", "1|false"),
        ("{{ .MatchContext.URL.EscapedPath }}|{{ .MatchContext.URL.RequestURI }}", "/a%20b/c|/a%20b/c?q=1&q=2&e=%20"),
        ("{{ .MatchContext.Header.Get `x-tenant` }}", "acme"),
        ("{{ .Header.Values `x-role` }}", "[a b]"),
    ]);
}

#[test]
fn sprig_on_text() {
    texts(&[
        ("{{ upper .Extra.uni }}{{ title `a b` }}{{ untitle `A B` }}{{ initials `First Try` }}", "ŻÓA Ba bFT"),
        ("{{ substr 1 3 `abcd` }}{{ trunc -2 `abcd` }}{{ abbrev 6 `abcdefgh` }}", "bccdabc..."),
        (
            "{{ snakecase `FirstName` }} {{ kebabcase `FirstName` }} {{ camelcase `http_server` }}",
            "first_name first-name HttpServer",
        ),
        ("{{ regexReplaceAll `a(x*)b` `-ab-axxb-` `${1}W` }}", "-W-xxW-"),
        ("{{ regexFind `[0-9]+` `ab12` }}{{ regexSplit `z+` `pizza` -1 | join `|` }}", "12pi|a"),
        ("{{ b64enc `hi` }}{{ b64dec `aGk=` }}{{ b32enc `hi` }}", "aGk=hiNBUQ===="),
        ("{{ sha256sum `` | trunc 8 }}{{ adler32sum `abc` }}", "e3b0c44238600999"),
        ("{{ semverCompare `^1.2` `1.9.0` }}{{ (semver `1.2.3-a`).Prerelease }}", "truea"),
        ("{{ base `a/b` }}{{ dir `a/b` }}{{ ext `x.go` }}{{ clean `a//../b` }}", "ba.gob"),
        ("{{ (urlParse `https://u@h:1/p?q#f`).hostname }}", "h"),
        ("{{ seq 1 3 }}|{{ seq 0 2 5 }}", "1 2 3|0 2 4"),
        ("{{ squote `a` 1 }}{{ plural `one` `many` 2 }}", "'a' '1'many"),
    ]);
}

#[test]
fn sprig_on_lists_and_maps() {
    values(&[
        ("{{ uniq .Extra.list | toJson }}", "[\"b\",\"a\"]"),
        ("{{ sortAlpha .Extra.list | toJson }}", "[\"a\",\"b\",\"b\"]"),
        ("{{ without .Extra.list `a` | toJson }}", "[\"b\",\"b\"]"),
        ("{{ chunk 2 .Extra.list | toJson }}", "[[\"b\",\"a\"],[\"b\"]]"),
        ("{{ slice .Extra.list 1 2 | toJson }}", "[\"a\"]"),
        ("{{ concat .Extra.list (list 1 nil) | toJson }}", "[\"b\",\"a\",\"b\",1,null]"),
        ("{{ merge (dict `a` 1) (dict `a` 2 `b` 3) | toJson }}", "{\"a\":1,\"b\":3}"),
        ("{{ mergeOverwrite (dict `a` 1) (dict `a` 2) | toJson }}", "{\"a\":2}"),
        ("{{ pick .Extra.map `b` | toJson }}", "{\"b\":2}"),
        ("{{ omit .Extra.map `b` | toJson }}", "{\"a\":{\"c\":\"d\"}}"),
        ("{{ has `a` .Extra.list }}", "true"),
        ("{{ rest list | toJson }}", "null"),
        ("{{ regexFindAll `z` `a` -1 | toJson }}", "null"),
        ("{{ ternary 1 2 .Extra.t }}", "1"),
        ("{{ splitList `,` `a,b` | toJson }}", "[\"a\",\"b\"]"),
        ("{{ fromJson .Extra.json | toJson }}", "{\"a\":[1]}"),
    ]);
}

#[test]
fn dates_have_gos_layouts() {
    texts(&[
        ("{{ now | date `2006-01-02 15:04:05 MST` }}", "2026-01-16 09:12:33 UTC"),
        (
            "{{ dateInZone `15:04 -0700 MST` (toDate `2006-01-02T15:04:05Z07:00` .Extra.date) `Europe/Warsaw` }}",
            "13:34 +0100 CET",
        ),
        ("{{ (toDate `2006-01-02` `2024-03-01`).Unix }}", "1709251200"),
        ("{{ (now | dateModify `-1h30m`).Format `Jan _2 3:04PM` }}", "Jan 16 7:42AM"),
        ("{{ duration `95` }} {{ durationRound `2h10m` }}", "1m35s 2h"),
        ("{{ (now.AddDate 0 1 0).Month }} {{ now.Weekday }}", "February Friday"),
    ]);
}

#[test]
fn what_reaches_outside_is_refused_by_name() {
    for name in ["env", "expandenv", "getHostByName", "randAlphaNum", "uuidv4", "genPrivateKey", "bcrypt", "shuffle"] {
        let error =
            GoTemplate::parse("t", &format!("{{{{ if false }}}}{{{{ {name} \"x\" }}}}{{{{ end }}}}")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TemplateRefused, "{name}");
        assert!(error.to_string().contains(name));
    }
    let error = GoTemplate::parse("t", "{{ env `A` }}\n{{ toYaml 1 }}").unwrap_err();
    assert_eq!(error.faults().len(), 2);
    assert_eq!(error.faults()[1].code, ErrorCode::TemplateHelper);
    assert_eq!(error.faults()[1].place.line, 2);
}

#[test]
fn an_error_never_quotes_the_session() {
    let limits = RenderLimits::default();
    let session = r#"{"subject":"s3cr3t","extra":{"a":"s3cr3t","l":["s3cr3t"]}}"#;
    let session = Json::parse(session.as_bytes(), ReadLimits::default()).unwrap();
    for expression in [
        ".Extra.a.b",
        "fail .Extra.a",
        ".Extra.a",
        "index .Extra.l .Extra.a",
        "mustFromJson .Extra.a",
        "semver .Subject",
    ] {
        let template = GoTemplate::parse("t", &format!("{{\"v\": {{{{ {expression} }}}}}}")).unwrap();
        let values = SessionValues {
            extra: session.member("extra").cloned().unwrap(),
            header: Json::Null,
            match_context: Json::Null,
        };
        let input = RenderInput::of_values("s3cr3t", &values, "p", Timestamp::from_seconds(0));
        let error = template.render(&input, &limits).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{expression}: {error}");
    }
}

/// Templates whose member structure must not depend on the session, over the hostile text `x`.
fn hostile_template() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "{{ .Extra.x }}",
        "{{ print .Extra.x }}",
        "{{ .Extra.x | upper }}",
        "{{ printf `%s-%v` .Extra.x .Extra.l }}",
        "{{ .Extra.x | replace `a` `b` }}",
        "{{ join `, ` .Extra.l }}",
        "{{ range .Extra.l }}{{ . }}{{ end }}",
        "{{ with .Extra.x }}{{ . | trunc 3 }}{{ end }}",
        "{{ .Extra.x | nospace | abbrev 5 }}",
        "{{ index .Extra.l 0 | html }}",
        "{{ regexReplaceAll `(.)` .Extra.x `$1$1` }}",
        "{{ .Extra.x | toString | indent 2 }}",
        "{{ substr 0 1 .Extra.x }}",
        "{{ printf `%#v %#q %+v %x` .Extra.x .Extra.x .Extra .Extra.l }}",
        "{{ printf `%d %z` .Extra.x .Extra.l }}",
        "{{ printf .Extra.x 1 `a` }}",
        "{{ regexReplaceAll `x*` .Extra.x .Extra.x }}",
        "{{ regexSplit `` .Extra.x -1 | join .Extra.x }}",
        "{{ snakecase .Extra.x }}{{ camelcase .Extra.x }}",
        "{{ urlJoin (dict `path` .Extra.x `fragment` .Extra.x) }}",
        "{{ date .Extra.x now }}",
        "{{ .Extra }}",
        "{{ $y := .Extra.x }}{{ cat $y $y }}",
        "{{ .Extra.x | toJson }}",
        "{{ .Extra.x | quote }}",
        "{{ .Extra.x | toJson | trimAll `\"` }}",
        "{{ .Extra.x | js }}",
        "{{ .Extra.x | toJson | replace `\\` `` }}",
    ]);
    let value = prop_oneof![
        text.prop_map(|text| format!("\"{text}\"")),
        Just("{{ .Extra.x | toJson }}".to_owned()),
        Just("{{ .Extra.x }}".to_owned()),
        Just("{{ printf `%q` .Extra.x }}".to_owned()),
        Just("{{ printf `%#v` .Extra.x }}".to_owned()),
        Just("{{ printf .Extra.x 1 }}".to_owned()),
        Just("[{{ range $i, $v := .Extra.l }}{{ if $i }},{{ end }}{{ $v | toJson }}{{ end }}]".to_owned()),
    ];
    prop::collection::vec(value, 1..5).prop_map(|values| {
        let members: Vec<_> =
            values.iter().enumerate().map(|(index, value)| format!("\"m{index}\": {value}")).collect();
        format!("{{{}}}", members.join(", "))
    })
}

proptest! {
    #[test]
    fn reading_never_panics(text in "(\\{\\{-?|-?\\}\\}|[ \\n]|if|range|end|else|with|define|\\$x|:=|=|,|\\||\\(|\\)|\\.Extra|\"a\"|`b`|'c'|0x1|1e3|-|nil|print|and|/\\*|\\*/|\\\\|.){0,24}") {
        let _ = GoTemplate::parse("t", &text);
        let _ = render(&text);
    }

    #[test]
    fn no_session_changes_the_members(
        template in hostile_template(),
        x in prop_oneof!["[\"\\\\{}\\[\\]:,a1tn\\n ]{0,12}", any::<String>(), Just("\",\"admin\":true,\"z\":\"".to_owned())],
        y in "[\"\\\\{}:,u0041]{0,8}",
    ) {
        let (mut x_json, mut y_json) = (String::new(), String::new());
        crate::json::write_string(&x, &mut x_json);
        crate::json::write_string(&y, &mut y_json);
        let session = format!("{{\"subject\":\"s\",\"extra\":{{\"x\":{x_json},\"l\":[{x_json},{y_json}]}}}}");
        if let Ok(text) = render_with(&template, &session, &RenderLimits::default()) {
            let claims = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
            let Json::Object(members) = &claims else { panic!("no object") };
            let expected = template.matches("\"m").count();
            let names: Vec<_> = members.iter().map(|(name, _)| name.to_owned()).collect();
            prop_assert_eq!(names, (0..expected).map(|index| format!("m{index}")).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_value_in_quotes_comes_back_as_it_was(x in any::<String>()) {
        let mut written = String::new();
        crate::json::write_string(&x, &mut written);
        let session = format!("{{\"subject\":\"s\",\"extra\":{{\"x\":{written}}}}}");
        let text = render_with("{\"a\": \"{{ .Extra.x }}\", \"b\": {{ .Extra.x | toJson }}}", &session, &RenderLimits::default());
        let text = text.unwrap();
        let claims = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
        let expected = Json::String(x.as_str().into());
        for name in ["a", "b"] {
            prop_assert!(claims.member(name).unwrap().is_equivalent(&expected, NumberComparison::Exact));
        }
    }
}

/// A call of any function on odd arguments.
fn odd_call() -> impl Strategy<Value = String> {
    let names = super::funcs::names();
    let argument = prop::sample::select(vec![
        "-1",
        "0",
        "1",
        "3",
        "-9223372036854775808",
        "9223372036854775807",
        "1.5",
        "(float64 `nan`)",
        "1i",
        "true",
        "nil",
        "``",
        "`a`",
        "`żó, ł`",
        "(substr 0 1 `ż`)",
        "`%d %[9]*.*v`",
        "`(a|)*`",
        "`2006-01-02T15:04:05.000Z07:00 MST`",
        "`https://u:p@h:1/a/../b?c#d`",
        "`1.2.3-a.1`",
        "`>=1 <2 || 1 - 2`",
        ".Extra.x",
        ".Extra.l",
        ".Extra",
        ".Header",
        ".MatchContext.URL",
        ".MatchContext.URL.Query",
        ".",
        "now",
        "now.Month",
        "(now.Sub now)",
        "list",
        "(list 1 nil `a` 1.5)",
        "(list (list 1) (dict `a` nil))",
        "(dict `a` 1 `b` (dict `c` nil))",
        "(rest list)",
        "(semver `1.2.3`)",
        "(split `,` `a,b`)",
        "(index `a` 0)",
    ]);
    let methods = "Round Truncate Add AddDate Format JoinPath Parse ResolveReference Get Values Compare Sub Clone";
    let method = prop::sample::select(methods.split(' ').collect::<Vec<_>>());
    let arguments = prop::collection::vec(argument.clone(), 0..4);
    (prop::sample::select(names), argument, method, arguments, 0..4).prop_map(
        |(name, receiver, method, arguments, shape)| {
            let arguments = arguments.join(" ");
            match shape {
                0 => format!("({receiver}).{method} {arguments}"),
                1 => format!("{name} {arguments} | toJson"),
                2 => format!("{name} ({name} {arguments})"),
                _ => format!("{name} {arguments}"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_call_panics(call in odd_call(), x in any::<String>()) {
        let mut written = String::new();
        crate::json::write_string(&x, &mut written);
        let session = format!(
            "{{\"subject\":\"s\",\"extra\":{{\"x\":{written},\"l\":[{written},1,null,{{}}]}},\"header\":{{\"A\":[\"b\"]}},\
             \"match_context\":{{\"url\":{{\"Host\":\"h\",\"Path\":\"/a\",\"RawQuery\":\"q=1\"}}}}}}"
        );
        let _ = render_with(&format!("{{\"v\": \"{{{{ {call} }}}}\"}}"), &session, &RenderLimits::default());
    }
}

#[test]
fn deep_templates_neither_overflow_nor_hang() {
    let deep = format!(
        "{{{{ define \"r\" }}}}{}{{{{ template \"r\" . }}}}{}{{{{ end }}}}",
        "{{ if true }}".repeat(90),
        "{{ end }}".repeat(90)
    );
    refused(&[(&format!("{deep}{{{{ template \"r\" . }}}}"), ErrorCode::TemplateLimit)]);
    let parens = format!("{{\"v\": {{{{ {}1{} }}}}}}", "(".repeat(98), ")".repeat(98));
    assert_eq!(render(&parens), Ok("{\"v\":1}".to_owned()));
    refused(&[
        (&"{{ if true }}".repeat(5000), ErrorCode::TemplateLimit),
        (&format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)), ErrorCode::TemplateLimit),
    ]);
    refused(&[(&format!("{{{{ {}", "(".repeat(5000)), ErrorCode::TemplateSyntax)]);
    let chain = "{{ $m := dict }}{{ range until 3000 }}{{ $m = dict `m` $m }}{{ end }}{\"v\": {{ len $m }}}";
    assert_eq!(render(chain), Ok("{\"v\":1}".to_owned()));
    let long = "x".repeat(900_000);
    let items = vec!["1"; 20_000].join(",");
    let session = format!("{{\"subject\":\"s\",\"extra\":{{\"x\":\"{long}\",\"l\":[{items}]}}}}");
    for call in [
        "trim $.Extra.x",
        "trimPrefix `a` $.Extra.x",
        "hasKey $.Extra `x`",
        "regexMatch `z$` $.Extra.x",
        "upper $.Extra.x",
        "len (split `x` $.Extra.x)",
        "contains (printf `%sy` (substr 0 400000 $.Extra.x)) $.Extra.x",
        "printf (replace `x` `%[` (substr 0 400000 $.Extra.x)) 1",
    ] {
        let template = format!("{{{{ range .Extra.l }}}}{{{{ $_ := {call} }}}}{{{{ end }}}}{{}}");
        let _ = render_with(&template, &session, &RenderLimits::default());
    }
}
