//! What comes from the template, from a function and from the session, where it is written.

use super::{refused, render, render_with, texts, values};
use crate::code::ErrorCode;
use crate::json::{Json, ReadLimits};
use crate::templates::RenderLimits;

/// The claim `v` that `template` makes of `extra`.
fn claim(template: &str, extra: &str) -> Result<String, ErrorCode> {
    let session = format!("{{\"subject\":\"s\",\"extra\":{extra}}}");
    let text = render_with(&format!("{{\"v\": {template}}}"), &session, &RenderLimits::default())?;
    let claims = Json::parse(text.as_bytes(), ReadLimits::default()).unwrap();
    Ok(claims.member("v").unwrap().to_string())
}

#[test]
fn quoted_texts_are_values() {
    for (template, extra, expected) in [
        ("{{ printf \"%+q\" .Extra.x }}", "[\"orders.read\"]", "[\"orders.read\"]"),
        ("{{ printf \"%q\" .Extra.x }}", "[\"orders.read\"]", "[\"orders.read\"]"),
        ("{{ printf \"%+q\" .Extra.x }}", "[]", "[]"),
        ("{{ printf \"%q\" .Extra.x }}", "[[\"a\"]]", "[[\"a\"]]"),
        ("{{ printf \"%q\" .Extra.x }}", "\"a\"", "\"a\""),
        ("{{ printf \"%+q\" .Extra.x }}", "\"ż\"", "\"ż\""),
        ("{{ printf \"%8q\" .Extra.x }}", "\"a\"", "\"a\""),
        ("{{ printf \"%.2q\" .Extra.x }}", "\"abc\"", "\"ab\""),
        ("{{ quote .Extra.x }}", "true", "\"true\""),
        ("{{ quote .Extra.x }}", "[1,2]", "\"[1 2]\""),
        ("[{{ printf \"%q,%q\" .Extra.x .Extra.x }}]", "\"a\"", "[\"a\",\"a\"]"),
        (
            "[{{ range $i, $v := .Extra.x }}{{ if $i }},{{ end }}{{ quote $v }}{{ end }}]",
            "[\"a\",\"b\"]",
            "[\"a\",\"b\"]",
        ),
        ("{ {{ quote .Extra.x }}: 1 }", "\"a\"", "{\"a\":1}"),
        ("{{ printf \"%#q\" .Extra.x }}", "\"`\"", "\"`\""),
    ] {
        assert_eq!(claim(template, &format!("{{\"x\":{extra}}}")).as_deref(), Ok(expected), "{template} {extra}");
    }
}

#[test]
fn quoted_texts_that_go_would_break_are_the_values() {
    let hostile = "a\\u0000\\u0001\\u0007\\u000b\\u001f\\u007f\\u0085\\u00ad\\ufeff\\u2028\\ud83d\\ude00\\udb40\\udc01\
                   \\\"\\\\\\n'`";
    let value = claim("{{ toJson .Extra.x }}", &format!("{{\"x\":\"{hostile}\"}}")).unwrap();
    for template in [
        "{{ quote .Extra.x }}",
        "{{ printf \"%q\" .Extra.x }}",
        "{{ printf \"%+q\" .Extra.x }}",
        "{{ printf \"%#q\" .Extra.x }}",
        "{{ printf \"%#v\" .Extra.x }}",
        "\"{{ .Extra.x }}\"",
    ] {
        assert_eq!(claim(template, &format!("{{\"x\":\"{hostile}\"}}")).as_ref(), Ok(&value), "{template}");
    }
    let list = claim("{{ printf \"%+q\" .Extra.x }}", &format!("{{\"x\":[\"{hostile}\"]}}"));
    assert_eq!(list, Ok(format!("[{value}]")));
}

#[test]
fn quotes_that_are_no_json_are_refused() {
    for (template, extra) in [
        ("{{ printf \"%q\" .Extra.x }}", "[\"a\",\"b\"]"),
        ("{{ printf \"%q\" .Extra.x }}", "{\"a\":\"b\"}"),
        ("{{ printf \"%#q\" .Extra.x }}", "\"a\""),
        ("{{ squote .Extra.x }}", "\"a\""),
        ("{{ quote .Extra.x }}", "null"),
        ("\"{{ quote .Extra.x }}\"", "\"a\""),
        ("\"{{ toJson .Extra.x }}\"", "\"a\""),
        ("[\"{{ toJson .Extra.x }}\"]", "[\",\"]"),
        ("[\"{{ quote .Extra.x }}\"]", "\",\""),
    ] {
        assert!(claim(template, &format!("{{\"x\":{extra}}}")).is_err(), "{template} {extra}");
    }
}

#[test]
fn functions_keep_quotes_of_the_author() {
    values(&[
        ("[\"{{ title (join \"\\\",\\\"\" .Extra.list) }}\"]", "[\"B\",\"A\",\"B\"]"),
        ("[\"{{ printf \"%s\\\",\\\"%s\" .Extra.uni .Extra.evil | upper | trunc 8 }}\"]", "[\"ŻÓ\",\"\\\"\"]"),
        ("[\"{{ join \"\\\",\\\"\" .Extra.list | camelcase }}\"]", "[\"B\",\"a\",\"b\"]"),
        ("[\"{{ join \"\\\",\\\"\" .Extra.list | snakecase }}\"]", "[\"b\",\"a\",\"b\"]"),
        ("[\"{{ join \"\\\",\\\"\" .Extra.list | swapcase }}\"]", "[\"B\",\"A\",\"B\"]"),
        ("[\"{{ join \"\\\",\\\"\" .Extra.list | clean }}\"]", "[\"b\",\"a\",\"b\"]"),
        ("[\"{{ printf \"x/%s\\\",\\\"%s\" .Extra.uni .Extra.uni | base }}\"]", "[\"żó\",\"żó\"]"),
        ("[\"{{ dateInZone \"2006\\\",\\\"01\" now \"UTC\" }}\"]", "[\"2026\",\"01\"]"),
        ("[\"{{ now.Format \"2006\\\",\\\"01\" }}\"]", "[\"2026\",\"01\"]"),
        ("[\"{{ \"a\\\",\\\"b\" | b64enc | b64dec }}\"]", "[\"a\",\"b\"]"),
        ("[\"{{ \"a\\\",\\\"b\" | b32enc | b32dec }}\"]", "[\"a\",\"b\"]"),
        ("[\"{{ fromJson `\"a\\\",\\\"b\"` }}\"]", "[\"a\",\"b\"]"),
        ("[\"{{ (urlParse `h?a\",\"b`).query }}\"]", "[\"a\",\"b\"]"),
        ("[\"{{ range keys (dict `a\",\"b` 1) }}{{ . }}{{ end }}\"]", "[\"a\",\"b\"]"),
        ("[\"{{ range $k, $v := dict `a\",\"b` 1 }}{{ $k }}{{ end }}\"]", "[\"a\",\"b\"]"),
    ]);
}

#[test]
fn functions_keep_quotes_of_the_session() {
    let evil = "\",\"admin\":true,\"x\":\"";
    texts(&[
        ("{{ title .Extra.evil }}", "\",\"Admin\":True,\"X\":\""),
        ("{{ untitle .Extra.evil }}", evil),
        ("{{ .Extra.evil | b64enc | b64dec }}", evil),
        ("{{ fromJson (toJson .Extra.evil) }}", evil),
        ("{{ (fromJson (toJson .Extra)).evil }}", evil),
        ("{{ clean .Extra.evil }}", evil),
        ("{{ now.Format .Extra.evil }}", evil),
        ("{{ range keys (dict .Extra.evil 1) }}{{ . }}{{ end }}", evil),
        ("{{ range $k, $v := dict .Extra.evil 1 }}{{ $k }}{{ end }}", evil),
        ("{{ print (dict .Extra.evil 1) }}", "map[\",\"admin\":true,\"x\":\":1]"),
    ]);
}

#[test]
fn text_of_both_is_written_only_if_it_needs_no_escape() {
    values(&[("\"{{ printf `%s%s` `YWJj` (b64enc .Extra.uni) | b64dec }}\"", "\"abcżó\"")]);
    let both = "{\"v\": \"{{ printf `%s%s` `IiwiYWRtaW4iOjEs` (b64enc .Extra.evil) | b64dec }}\"}";
    refused(&[
        (both, ErrorCode::TemplatePosition),
        ("{\"v\": \"{{ urlParse (quote 1000) }}\"}", ErrorCode::TemplatePosition),
        ("{\"v\": \"{{ (urlParse (toJson .Extra.name | trimAll `\"`)).path }}\"}", ErrorCode::TemplatePosition),
    ]);
    assert!(render("{\"v\": {{ printf `%s%s` `IiwiYWRtaW4iOjEs` (b64enc .Extra.evil) | b64dec | toJson }}}").is_ok());
}

#[test]
fn an_object_without_its_brackets_joins_the_claims() {
    for (template, expected) in [
        (
            "{\"z\":1,{{ .Extra.map | toJson | trimPrefix \"{\" | trimSuffix \"}\" }}}",
            Ok("{\"z\":1,\"a\":{\"c\":\"d\"},\"b\":2}"),
        ),
        (
            "{{ regexReplaceAll \"}$\" (toJson .Extra.map) \",\\\"z\\\":1}\" }}",
            Ok("{\"a\":{\"c\":\"d\"},\"b\":2,\"z\":1}"),
        ),
        ("{\"v\":[{{ toJson .Extra.list | trimAll \"[]\" }},\"x\"]}", Ok("{\"v\":[\"b\",\"a\",\"b\",\"x\"]}")),
        // What Go cannot decode.
        ("{\"z\":1,{{ .Extra.list | toJson | trimPrefix \"{\" | trimSuffix \"}\" }}}", Err(ErrorCode::ClaimsInvalid)),
        ("{\"z\":1,{{ dict | toJson | trimPrefix \"{\" | trimSuffix \"}\" }}}", Err(ErrorCode::ClaimsInvalid)),
    ] {
        assert_eq!(render(template).as_deref(), expected.as_deref(), "{template}");
    }
}

/// Each template is fine for the first session. For the second one, the text that a function wrote would end what the author
/// began, or begin what the author ends.
#[test]
fn syntax_of_a_function_ends_nothing_of_the_author() {
    for (template, usual, hostile) in [
        (
            r#"{"role":"user","v":"{{ regexReplaceAll `^.*"name":"(.*)".*$` (toJson .Extra) "${1}" }}"}"#,
            r#"{"name":"bob"}"#,
            r#"{"name":"bob","role":"admin"}"#,
        ),
        (
            r#"{"aud":"shop","v":"{{ toJson .Extra.m | trimPrefix `{"name":"` | trimSuffix `"}` }}"}"#,
            r#"{"m":{"name":"bob"}}"#,
            r#"{"m":{"name":"bob","nonce":"x"}}"#,
        ),
        (
            r#"{"u_{{ toJson .Extra.m | trimPrefix `{"` | trimSuffix `":1}` }}": 1}"#,
            r#"{"m":{"a":1}}"#,
            r#"{"m":{"a":true,"admin":1}}"#,
        ),
        (
            r#"{"v":["{{ toJson .Extra.l | trimPrefix `["` | trimSuffix `"]` | replace `","` ` ` }}"]}"#,
            r#"{"l":["a","b"]}"#,
            r#"{"l":["a",[],"admin"]}"#,
        ),
        (
            r#"{"v":["{{ toJson .Extra.x | trimPrefix `"` }},{{ toJson .Extra.y | trimSuffix `"` }}"]}"#,
            r#"{"x":1,"y":2}"#,
            r#"{"x":"abc","y":"zz"}"#,
        ),
        (
            r#"{"v":[{{ toJson .Extra.x | trimSuffix `"` }}, {{ toJson .Extra.y | trimPrefix `"` }}]}"#,
            r#"{"x":1,"y":2}"#,
            r#"{"x":"a","y":"b"}"#,
        ),
        (
            r#"{"a":[{{ toJson .Extra.a | trunc 8 }},{{ toJson .Extra.b | trunc -8 }}]}"#,
            r#"{"a":"x","b":"y"}"#,
            r#"{"a":"xxxxxxxxxxxx","b":"yyyyyyyyyyyy"}"#,
        ),
        (
            r#"{"role":"user","v": {{ regexReplaceAll `^.*"name":(.*)}$` (toJson .Extra) "${1}" }}}"#,
            r#"{"name":"bob"}"#,
            r#"{"name":"bob","role":"admin"}"#,
        ),
        (
            r#"{"role":"user", {{ toJson .Extra.m | trimPrefix "{" | trimSuffix ":1}" }}: true}"#,
            r#"{"m":{"a":1}}"#,
            r#"{"m":{"a":2,"role":"admin","x":1}}"#,
        ),
        (
            r#"{"m": { {{ toJson .Extra.a | trimAll "{}" }} }, "admin": false, "u": [{{ toJson .Extra.b }}], "z": 1}"#,
            r#"{"a":{"k":1},"b":5}"#,
            r#"{"a":{"k":{"q":1}},"b":5}"#,
        ),
        (
            r#"{"v":["{{ regexQuoteMeta .Extra.x | trunc 4 }}", "{{ toJson .Extra.y | trimAll `[]"` }}"]}"#,
            r#"{"x":"abcd","y":"bob"}"#,
            r#"{"x":"abc.","y":["",5,"k"]}"#,
        ),
    ] {
        let render = |extra: &str| {
            let session = format!("{{\"subject\":\"s\",\"extra\":{extra}}}");
            render_with(template, &session, &RenderLimits::default())
        };
        assert!(render(usual).is_ok(), "{template}");
        assert_eq!(render(hostile), Err(ErrorCode::TemplatePosition), "{template}");
    }
}

#[test]
fn replacements_and_patterns_of_a_session_are_limited() {
    let render = |template: &str, extra: &str| {
        render_with(template, &format!("{{\"subject\":\"s\",\"extra\":{extra}}}"), &RenderLimits::default())
    };
    // The replacement names a group of 200 kB 40,000 times.
    let extra = format!("{{\"x\":\" {}\",\"r\":\"{}\"}}", "a".repeat(200_000), "$0".repeat(40_000));
    let template = r#"{"v":"{{ regexReplaceAll " .*" .Extra.x .Extra.r }}"}"#;
    assert_eq!(render(template, &extra), Err(ErrorCode::TemplateLimit));
    let template = r#"{"v":["{{ regexReplaceAll `","` (join `","` .Extra.l) .Extra.r }}"]}"#;
    let text = render(template, r#"{"l":["a","b"],"r":"${0}admin${0}"}"#).unwrap();
    assert_eq!(text, r#"{"v":["a\",\"admin\",\"b"]}"#, "a session does not repeat the quotes of the author");
    let template = r#"{"v":{{ regexMatch .Extra.p "abc" }}}"#;
    assert_eq!(render(template, r#"{"p":"^[a-c]+$"}"#).as_deref(), Ok(r#"{"v":true}"#));
    assert_eq!(render(template, r#"{"p":"[ab]*a[ab]{900}c"}"#), Err(ErrorCode::TemplateLimit));
    // An expression of the author that Go accepts is no mismatch.
    let template = r#"{"v":{{ regexMatch `^\pL{1,600}$` "abc" }}}"#;
    assert_eq!(render(template, "{}"), Err(ErrorCode::TemplateLimit));
}

#[test]
fn brackets_of_a_session_leave_no_array_of_the_author() {
    let deep = |list: &str| {
        let session = format!("{{\"subject\":\"s\",\"extra\":{{\"l\":{list}}}}}");
        let template = "{\"v\":[[[{{ toJson .Extra.l | trimAll \"[]\" }},0],1],2]}";
        render_with(template, &session, &RenderLimits::default())
    };
    assert_eq!(deep("[7]").as_deref(), Ok("{\"v\":[[[7,0],1],2]}"));
    for list in ["[[[7]],[[8]]]", "[[7],[8]]", "[[[7],8]]", "[7,[8,9]]", "[[[7],8],9]"] {
        assert!(deep(list).is_err(), "{list}");
    }
    // The same if the author writes the brackets in the expression.
    let session = "{\"subject\":\"s\",\"extra\":{\"l\":[[7],[8]]}}";
    for template in [
        "{\"v\":[{{ printf `[%s],[%s]` (toJson .Extra.l | trimAll `[]`) `9` }}]}",
        "{\"v\":[{{ printf `],[%s` (toJson .Extra.l | trimSuffix `]]`) }}]}",
    ] {
        assert_eq!(
            render_with(template, session, &RenderLimits::default()),
            Err(ErrorCode::TemplatePosition),
            "{template}"
        );
    }
    // Without their backslashes the quotes of a session would end its string.
    for cut in ["replace `\\` ``", "regexReplaceAll `\\\\` (toJson .Extra.evil) ``"] {
        let call = if cut.starts_with("replace") { format!("toJson .Extra.evil | {cut}") } else { cut.to_owned() };
        assert!(render(&format!("{{\"v\": {{{{ {call} }}}}, \"w\": 1}}")).is_err(), "{cut}");
        assert!(render(&format!("{{{{{{ {call} }}}}: 1}}")).is_err(), "{cut}");
    }
}
