//! What the engine promises, from outside.

mod properties;
mod reading;
mod work;

use super::{HandlebarsOptions, HandlebarsTemplate, Missing, Source, helper_reference};
use crate::code::ErrorCode;
use crate::json::{Json, ReadLimits};
use crate::session::SessionValues;
use crate::templates::{CompileError, RenderError, RenderInput, RenderLimits};
use crate::time::Timestamp;

const MATCH_CONTEXT: &str = r#"{"regexp_capture_groups":["g0","g1"],"url":{"Scheme":"https","Host":"api.x","Path":"/a/b"},"method":"GET","header":{"X-A":["1"]}}"#;

fn compiled(text: &str, partials: &[(&str, &str)], missing: Missing) -> Result<HandlebarsTemplate, CompileError> {
    let partials: Vec<(&str, Source<'_>)> =
        partials.iter().map(|(name, text)| (*name, Source { name, text })).collect();
    let options = HandlebarsOptions { missing, audience_configured: false };
    HandlebarsTemplate::compile(Source { name: "t.hbs", text }, &partials, &options)
}

fn rendered(template: &HandlebarsTemplate, extra: &str, limits: &RenderLimits) -> Result<String, RenderError> {
    let read = ReadLimits { depth: 1000 };
    let extra = Json::parse(extra.as_bytes(), read).unwrap();
    let header = Json::parse(br#"{"X-Tenant":["t-1"]}"#, read).unwrap();
    let match_context = Json::parse(MATCH_CONTEXT.as_bytes(), read).unwrap();
    let values = SessionValues { extra, header, match_context };
    template.render(&RenderInput::of_values("ann", &values, "id_token", Timestamp::from_seconds(0)), limits)
}

fn with_missing(text: &str, extra: &str, missing: Missing) -> Result<String, RenderError> {
    let template = compiled(text, &[], missing).unwrap_or_else(|error| panic!("{text}\n{error}"));
    rendered(&template, extra, &RenderLimits::default())
}

#[track_caller]
fn gives(text: &str, extra: &str, claims: &str) {
    assert_eq!(with_missing(text, extra, Missing::Error).as_deref(), Ok(claims), "{text}");
}

#[track_caller]
fn fails(text: &str, extra: &str, code: ErrorCode, message: &str) {
    let error = with_missing(text, extra, Missing::Error).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[track_caller]
fn refused(text: &str, code: ErrorCode, place: (usize, usize), parts: &[&str]) {
    refused_with(text, &[], code, place, parts);
}

#[track_caller]
fn refused_with(
    text: &str,
    partials: &[(&str, &str)],
    code: ErrorCode,
    (line, column): (usize, usize),
    parts: &[&str],
) {
    let error = match compiled(text, partials, Missing::Error) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => error,
    };
    let fault = error
        .faults()
        .iter()
        .find(|fault| fault.code == code && (fault.place.line, fault.place.column) == (line, column))
        .unwrap_or_else(|| panic!("no {code} at {line}:{column} in\n{error}"));
    let shown = fault.to_string();
    assert!(fault.help.is_some(), "{shown}");
    for part in parts {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
}

const HOSTILE: &str = r#"{"v": "\",\"admin\":true,\"x\":\""}"#;

#[test]
fn a_hostile_value_stays_a_value() {
    let stays = r#""\",\"admin\":true,\"x\":\"""#;
    gives(r#"{"a": {{Extra.v}}}"#, HOSTILE, &format!(r#"{{"a":{stays}}}"#));
    gives(r#"{"a": "{{Extra.v}}"}"#, HOSTILE, &format!(r#"{{"a":{stays}}}"#));
    gives(r#"{"{{Extra.v}}": 1}"#, HOSTILE, &format!(r#"{{{stays}:1}}"#));
    gives(r#"{"a": "x{{Extra.v}}y", "b": [{{Extra.v}}]}"#, r#"{"v": "\\"}"#, r#"{"a":"x\\y","b":["\\"]}"#);
}

#[test]
fn every_example_of_the_reference_is_true() {
    for helper in helper_reference() {
        gives(helper.template, helper.extra, helper.claims);
    }
}

#[test]
fn values_are_typed_and_exact() {
    gives(
        r#"{"a": {{Extra.i}}, "b": {{Extra.f}}, "c": {{Extra.n}}, "d": {{Extra.b}}, "e": {{Extra.o}}, "s": "{{Extra.i}}{{Extra.b}}"}"#,
        r#"{"i": 12345678901234567890123, "f": 2.50, "n": null, "b": false, "o": {"x": [1e21, "é"]}}"#,
        r#"{"a":12345678901234567890123,"b":2.50,"c":null,"d":false,"e":{"x":[1e21,"é"]},"s":"12345678901234567890123false"}"#,
    );
    gives(r#"{"a": {{default Extra.x 12345678901234567890123.50}}}"#, "{}", r#"{"a":12345678901234567890123.50}"#);
    gives("{{Extra}}", r#"{"a": {"b": 1}}"#, r#"{"a":{"b":1}}"#);
    fails("{{Extra.a}}", r#"{"a": []}"#, ErrorCode::ClaimsNotAnObject, "Extra.a is an array");
    fails(
        r#"{"a": "{{Extra.a}}"}"#,
        r#"{"a": []}"#,
        ErrorCode::TemplateWrongType,
        "t.hbs:1:10: expected a string, number or boolean inside a string, Extra.a is an array",
    );
}

#[test]
fn names_of_the_session_lead_where_oathkeeper_says() {
    gives(
        r#"{"s": {{Subject}}, "p": "{{Profile}}", "h": {{Header.X-Tenant.[0]}}, "u": "{{MatchContext.URL.Path}}", "g": {{MatchContext.RegexpCaptureGroups.1}}, "m": {{MatchContext.Method}}, "w": {{MatchContext.header.X-A}}}"#,
        "null",
        r#"{"s":"ann","p":"id_token","h":"t-1","u":"/a/b","g":"g1","m":"GET","w":["1"]}"#,
    );
    gives(r#"{"m": {{MatchContext}}}"#, "null", &format!(r#"{{"m":{MATCH_CONTEXT}}}"#));
    gives(r#"{{#with MatchContext}}{"m": "{{Method}} {{URL.Host}}"}{{else}}{}{{/with}}"#, "{}", r#"{"m":"GET api.x"}"#);
    gives(
        r#"{"a": {{Extra.[a b]}}, "b": {{Extra.length}}, "c": {{Extra.this}}, "d": {{Extra.[@root]}}, "e": {{Extra.if}}, "f": {{Extra.__proto__}}, "g": {{Extra.[a.b].0}}, "u": {{Extra.Method}}}"#,
        r#"{"a b": 1, "length": 2, "this": 3, "@root": 4, "if": 5, "__proto__": 6, "a.b": [7], "Method": 8}"#,
        r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"u":8}"#,
    );
    gives(
        r#"{"a": [{{#each Extra.l}}{{first}},{{this.len}},{{./x}}{{/each}}]}"#,
        r#"{"l": [{"first": 1, "len": 2, "x": 3}]}"#,
        r#"{"a":[1,2,3]}"#,
    );
}

#[test]
fn commas_are_placed_whichever_way_they_are_written() {
    let roles = r#"{"r": ["a", "b"], "x": true}"#;
    for text in [
        r#"{"r": [{{#each Extra.r}}{{this}}{{/each}}]}"#,
        r#"{"r": [{{#each Extra.r}}{{this}},{{/each}}]}"#,
        r#"{"r": [{{#each Extra.r}},{{this}}{{/each}}]}"#,
        r#"{"r": [{{#each Extra.r}}{{this}}{{#unless @last}},{{/unless}}{{/each}}]}"#,
        r#"{"r": [{{#each Extra.r}}{{#if @index}}, {{/if}}"{{this}}"{{/each}}]}"#,
        "{\"r\": [\n  {{#each Extra.r as |role|}}\n    {{role}}\n  {{/each}}\n]}",
    ] {
        gives(text, roles, r#"{"r":["a","b"]}"#);
        gives(text, r#"{"r": []}"#, r#"{"r":[]}"#);
    }
    for text in [
        r#"{ {{#if Extra.x}}"a":1,{{/if}}"b":2 }"#,
        r#"{ {{#if Extra.x}}"a":1{{/if}},"b":2 }"#,
        r#"{ {{#if Extra.x}}"a":1{{/if}} "b":2 }"#,
    ] {
        gives(text, roles, r#"{"a":1,"b":2}"#);
        gives(text, "{}", r#"{"b":2}"#);
    }
    gives(r#"{"b":2 {{#if Extra.x}},"a":1{{/if}} }"#, "{}", r#"{"b":2}"#);
    for (text, column) in [
        (r#"{"a": [1,,2]}"#, 10),
        (r#"{"a":1 "b":2}"#, 8),
        (r#"{"a":1,}"#, 8),
        (r#"{"a":[1 2]}"#, 9),
        (r#"{,"a":1}"#, 2),
        (r#"{"a":[{{Subject}} {{Subject}}]}"#, 19),
        (r#"{"a":{{Subject}},}"#, 18),
    ] {
        refused(text, ErrorCode::TemplatePosition, (1, column), &["comma"]);
    }
}

#[test]
fn blocks_choose_repeat_and_bind() {
    gives(r#"{"a": {{#if Extra.x}}1{{else if Extra.y}}2{{else}}3{{/if}}}"#, r#"{"y": 1}"#, r#"{"a":2}"#);
    gives(
        r#"{"a": {{#if Extra.x}}1{{else if Extra.y}}2{{else if Extra.z}}3{{else}}4{{/if}}}"#,
        r#"{"z": 1}"#,
        r#"{"a":3}"#,
    );
    gives(r#"{"a": "{{#unless Extra.x}}no{{else}}yes{{/unless}}"}"#, r#"{"x": {}}"#, r#"{"a":"no"}"#);
    gives(
        r#"{ {{#each Extra.o}}"{{@key}}": {"i": {{@index}}, "v": {{this}}, "s": "{{@root.Subject}} {{../Subject}}", "f": {{@first}}, "l": {{@last}} }{{/each}} }"#,
        r#"{"o": {"x": 1, "y": 2}}"#,
        r#"{"x":{"i":0,"v":1,"s":"ann ann","f":true,"l":false},"y":{"i":1,"v":2,"s":"ann ann","f":false,"l":true}}"#,
    );
    gives(
        r#"{"a": [{{#each Extra.l as |x i|}}{{#each x}}[{{i}}, {{this}}, {{@../index}}, {{@index}}]{{/each}}{{else}}"none"{{/each}}]}"#,
        r#"{"l": [[5], [6, 7]]}"#,
        r#"{"a":[[0,5,0,0],[1,6,1,0],[1,7,1,1]]}"#,
    );
    gives(r#"{"a": [{{#each Extra.l}}{{this}}{{else}}"none"{{/each}}]}"#, "{}", r#"{"a":["none"]}"#);
    gives(r#"{"a": [{{#each Extra.l}}{{this}}{{/each}}]}"#, r#"{"l": null}"#, r#"{"a":[]}"#);
    gives(
        r#"{"a": {{#with Extra.u as |u|}}{"n": {{u.n}}, "m": {{n}}, "s": {{../Subject}}}{{else}}null{{/with}}}"#,
        r#"{"u": {"n": 1}}"#,
        r#"{"a":{"n":1,"m":1,"s":"ann"}}"#,
    );
    gives(
        r#"{ {{#let a=Extra.x b=(upper Extra.y)}}"a": {{a}}, "b": "{{b}}"{{/let}}, "c": {{#let Extra.x as |q|}}{{q}}{{/let}} }"#,
        r#"{"x": 1, "y": "z"}"#,
        r#"{"a":1,"b":"Z","c":1}"#,
    );
    gives(
        r#"{"a": "{{~#if Extra.x~}}  y  {{~/if~}}  "{{! comment "}}, {{!-- }} --}}"b": 1}"#,
        r#"{"x": 1}"#,
        r#"{"a":"y","b":1}"#,
    );
    gives(r#"{"{{#if Extra.x}}a{{else}}b{{/if}}": {{#if Extra.x}}"x{{else}}"y{{/if}}z"}"#, "{}", r#"{"b":"yz"}"#);
    gives(r#"{"a": "\{{x}} {{Subject}} \\\{{Subject}}"}"#, "{}", r#"{"a":"{{x}} ann \\ann"}"#);
    fails(
        r#"{"a": [{{#each Extra.l}}1{{/each}}]}"#,
        r#"{"l": "text"}"#,
        ErrorCode::TemplateWrongType,
        "Extra.l is a string",
    );
    fails(
        r#"{"a": [{{#each Extra.l}}{{n.m}}{{/each}}]}"#,
        r#"{"l": [{"n": {"m": 1}}, {"n": 2}]}"#,
        ErrorCode::TemplateMissingValue,
        "t.hbs:1:27: Extra.l.1.n.m is missing (Extra.l.1.n is a number)",
    );
}

#[test]
fn partials_stand_in_the_position_of_their_use() {
    let template = compiled(
        r#"{"u": {{> user Extra.u role="x"}}, "s": "{{> hello}}", {{> more}} "l": [{{#each Extra.l}}{{> user this role=@index}}{{/each}}]}"#,
        &[("user", r#"{"n": {{n}}, "r": {{role}}}"#), ("hello", "hi {{Subject}}\n"), ("more", "\"m\": {{Extra.l.0.n}},\n")],
        Missing::Error,
    )
    .unwrap();
    assert_eq!(
        rendered(&template, r#"{"u": {"n": 1}, "l": [{"n": "a"}]}"#, &RenderLimits::default()).unwrap(),
        r#"{"u":{"n":1,"r":"x"},"s":"hi ann","m":"a","l":[{"n":"a","r":0}]}"#
    );
    refused_with(
        r#"{"a": {{> p}}}"#,
        &[("p", "{{> q}}"), ("q", "{{> p}}")],
        ErrorCode::TemplateRefused,
        (1, 1),
        &["p > q > p"],
    );
    refused_with(
        r#"{"a": {{> nope}}}"#,
        &[("p", "1")],
        ErrorCode::TemplateHelper,
        (1, 7),
        &["nope", "the partials are p"],
    );
    refused_with("{\"a\": {{> p}}}", &[("p", "\n  bad")], ErrorCode::TemplatePosition, (2, 3), &["p:2:3"]);
    refused(r#"{ {{#*inline "x"}}{{/inline}} }"#, ErrorCode::TemplateRefused, (1, 3), &["_partials"]);
    refused(r#"{ {{#> x}}{{/x}} }"#, ErrorCode::TemplateRefused, (1, 3), &["arguments"]);
}

#[test]
fn a_missing_value_does_what_was_chosen() {
    let text = r#"{"a": {{Extra.x.y}}, "b": "x{{Extra.x.y}}", "c": [1, {{Extra.x.y}}, "{{Extra.n}}", 2], "d": {"e": {{Extra.x.y}}}, "f{{Extra.z}}": 1, "g": {{Extra.n}}}"#;
    let extra = r#"{"x": {}, "n": null}"#;
    fails(text, extra, ErrorCode::TemplateMissingValue, "t.hbs:1:9: Extra.x.y is missing (Extra.x has no such member)");
    assert_eq!(
        with_missing(text, extra, Missing::AsNull).unwrap(),
        r#"{"a":null,"b":"x","c":[1,null,"",2],"d":{"e":null},"f":1,"g":null}"#
    );
    assert_eq!(with_missing(text, extra, Missing::Omit).unwrap(), r#"{"c":[1,2],"d":{},"g":null}"#);
    assert_eq!(
        with_missing(r#"{"a": {{Extra.x}}, "b": [{{Extra.x}}], "c": 1}"#, "{}", Missing::Omit).unwrap(),
        r#"{"b":[],"c":1}"#
    );
    fails(r#"{"a": "{{Extra.n}}"}"#, extra, ErrorCode::TemplateMissingValue, "Extra.n is null");
    gives(
        r#"{"a": {{#if Extra.q.w}}1{{else}}2{{/if}}, "b": {{default Extra.q.w 3}}, "c": {{and Extra.q true}}, "d": {{default (upper Extra.n) "u"}}}"#,
        extra,
        r#"{"a":2,"b":3,"c":false,"d":"u"}"#,
    );
    fails(r#"{"a": {{upper Extra.q}}}"#, extra, ErrorCode::TemplateMissingValue, "Extra.q is missing");
    let error = with_missing(r#"{"a": {{required Extra.q "no q"}}}"#, extra, Missing::Omit).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::TemplateMissingValue, "t.hbs:1:9: no q"));
    fails("{{Extra.c}}", "{}", ErrorCode::TemplateMissingValue, "Extra.c is missing");
}

#[test]
fn what_can_never_be_right_is_refused_with_advice() {
    use ErrorCode as Code;
    refused(r#"{"a": {{{Extra.x}}}}"#, Code::TemplateRefused, (1, 7), &["{{Extra.x}}"]);
    refused(r#"{"a": {{& Extra.x}}}"#, Code::TemplateRefused, (1, 7), &["{{Extra.x}}"]);
    refused("{\n  \"a\": {{{Extra.x}}}\n}", Code::TemplateRefused, (2, 8), &["  2 |   \"a\""]);
    refused(r#"{"a": 12{{Extra.x}}}"#, Code::TemplatePosition, (1, 9), &["touches"]);
    refused(r#"{"a": {{Extra.x}}12}"#, Code::TemplatePosition, (1, 18), &["touches"]);
    refused(r#"{"a" {{Extra.x}}}"#, Code::TemplatePosition, (1, 6), &["colon"]);
    refused(r#"{ {{Extra.x}}: 1}"#, Code::TemplatePosition, (1, 3), &["quotes"]);
    refused(r#"{"a": 1} {{Extra.x}}"#, Code::TemplatePosition, (1, 10), &["after the claims object"]);
    refused(r#"{"a": abc}"#, Code::TemplatePosition, (1, 7), &["double quotes"]);
    refused(r#"{"a": 01}"#, Code::TemplatePosition, (1, 7), &["no JSON"]);
    refused("{\"a\": \"x\ny\"}", Code::TemplatePosition, (1, 9), &["line break"]);
    refused(r#"{"a": "\x"}"#, Code::TemplatePosition, (1, 8), &["escape"]);
    refused(r#"{"a": "\u00{{Subject}}"}"#, Code::TemplatePosition, (1, 8), &["escape"]);
    refused(r#"{"a": "\ud83d{{Subject}}"}"#, Code::TemplatePosition, (1, 8), &["surrogate"]);
    refused(r#"{"a": [1}"#, Code::TemplatePosition, (1, 9), &["]"]);
    refused(r#"{"a": {"b": 1}"#, Code::TemplatePosition, (1, 1), &["}"]);
    refused(r#"{"a": }"#, Code::TemplatePosition, (1, 7), &["value"]);
    refused(r#"{"a": {{#if Extra.x}}1{{/if}}}"#, Code::TemplatePosition, (1, 7), &["{{else}}"]);
    refused("{\"a\": {{#if Extra.x}}1\n{{else}}\n[{{/if}}}", Code::TemplatePosition, (2, 1), &["line 1", "line 2"]);
    refused(r#"{"a": {{#each Extra.x}}{{this}}{{/each}}}"#, Code::TemplatePosition, (1, 7), &["brackets"]);
    refused(r#"{ {{#each Extra.x}}"a": 1{{/each}} }"#, Code::TemplateDuplicateMember, (1, 3), &["`a`"]);
    refused("[1]", Code::ClaimsNotAnObject, (1, 1), &["array"]);
    refused("\"x\"", Code::ClaimsNotAnObject, (1, 1), &["string"]);
    refused("  ", Code::ClaimsNotAnObject, (1, 1), &["nothing"]);
    refused(r#"{"iss": 1}"#, Code::ClaimsRegistered, (1, 2), &["iss"]);
    refused(r#"{ {{#if Extra.x}}"\u0065xp": 1{{/if}} }"#, Code::ClaimsRegistered, (1, 18), &["exp"]);
    refused(r#"{"a": 1, "\u0061": 2}"#, Code::TemplateDuplicateMember, (1, 10), &["`a`"]);
    refused(r#"{"a": {{nope Extra.x}}}"#, Code::TemplateHelper, (1, 9), &["nope"]);
    refused(r#"{"a": {{toUpper Extra.x}}}"#, Code::TemplateHelper, (1, 9), &["`upper`"]);
    refused(r#"{"a": {{upper Extra.x Extra.y}}}"#, Code::TemplateHelper, (1, 9), &["upper text"]);
    refused(r#"{"a": {{upper Extra.x y=1}}}"#, Code::TemplateHelper, (1, 23), &["y="]);
    refused(r#"{"a": {{regexMatch Extra.x "("}}}"#, Code::TemplateHelper, (1, 28), &["regular expression"]);
    refused(r#"{"a": {{extra.x}}}"#, Code::TemplateHelper, (1, 9), &["`Extra`"]);
    refused(r#"{"a": {{subject}}}"#, Code::TemplateHelper, (1, 9), &["`Subject`"]);
    refused(r#"{"a": {{identity.id}}}"#, Code::TemplateHelper, (1, 9), &["Extra.identity"]);
    refused(r#"{"a": {{.Extra.x}}}"#, Code::TemplateSyntax, (1, 9), &["{{Extra.x}}"]);
    refused(r#"{"a": {{ .Extra.x | toJson }}}"#, Code::TemplateSyntax, (1, 19), &["Go template"]);
    refused(r#"{"a": {{ if .Extra.x }}1{{ end }}}"#, Code::TemplateSyntax, (1, 10), &["{{#if"]);
    refused(r#"{"a": {{@index}}}"#, Code::TemplateHelper, (1, 9), &["each"]);
    refused(r#"{"a": {{../Subject}}}"#, Code::TemplateHelper, (1, 9), &["@root"]);
    refused(r#"{"a": {{this}}}"#, Code::TemplateWrongType, (1, 9), &["whole session"]);
    refused(r#"{"a": {{#each Extra.x}}1{{/if}}}"#, Code::TemplateSyntax, (1, 25), &["line 1", "{{/each}}"]);
    refused(r#"{"a": {{#if Extra.x}}1}"#, Code::TemplateSyntax, (1, 7), &["{{/if}}"]);
    refused(r#"{"a": {{Extra.x}"#, Code::TemplateSyntax, (1, 7), &["}}"]);
    refused(r#"{"a": {{Extra..x}}}"#, Code::TemplateSyntax, (1, 7), &["expression"]);
    refused(r#"{"a": {{required Extra.x Extra.y}}}"#, Code::TemplateHelper, (1, 26), &["quotes"]);
    refused(r#"{ {{#let Extra.x}}"a": 1{{/let}} }"#, Code::TemplateHelper, (1, 3), &["as |name|"]);
}

#[test]
fn names_in_both_branches_are_no_duplicates() {
    gives(r#"{ {{#if Extra.x}}"a": 1{{else}}"a": 2{{/if}} }"#, "{}", r#"{"a":2}"#);
    gives(r#"{ {{#if Extra.x}}"a": 1{{/if}}{{#unless Extra.x}}"a": 2{{/unless}} }"#, "{}", r#"{"a":2}"#);
    refused(
        r#"{ {{#if Extra.x}}"a": 1{{else}}"a": 2{{/if}}, "a": 3 }"#,
        ErrorCode::TemplateDuplicateMember,
        (1, 47),
        &[],
    );
    let options = HandlebarsOptions { missing: Missing::Error, audience_configured: true };
    let aud = Source { name: "t", text: r#"{"aud": ["x"], "o": {"sub": 1}}"# };
    let error = HandlebarsTemplate::compile(aud, &[], &options).unwrap_err();
    assert_eq!((error.faults().len(), error.code()), (1, ErrorCode::ClaimsRegistered));
    gives(r#"{"aud": ["x"], "o": {"sub": 1}}"#, "{}", r#"{"aud":["x"],"o":{"sub":1}}"#);
}

#[test]
fn every_fault_is_told_at_once() {
    let text =
        "{\n\"iss\": {{{Extra.a}}},\n\"b\": {{nope Extra.x}}\n\"c\": {{.Extra.y}},\n\"d\": {{#if extra.z}}1{{/if}},\n}";
    let error = compiled(text, &[], Missing::Error).unwrap_err();
    let lines: Vec<_> = error.faults().iter().map(|fault| (fault.place.line, fault.code)).collect();
    use ErrorCode::*;
    assert_eq!(
        lines,
        [
            (2, ClaimsRegistered),
            (2, TemplateRefused),
            (3, TemplateHelper),
            (4, TemplatePosition),
            (4, TemplateSyntax),
            (5, TemplatePosition),
            (5, TemplateHelper),
            (6, TemplatePosition)
        ],
        "{error}"
    );
}

#[test]
fn numbers_compare_exactly() {
    for (expression, holds) in [
        ("eq 1 1.0", true),
        ("eq 100 1E2", true),
        ("eq 12345678901234567890 12345678901234567891", false),
        ("lt -2 -1", true),
        ("lt 0.1 0.10", false),
        ("le 0.1 0.10", true),
        ("gt 10 9", true),
        ("lt -1 0", true),
        ("eq 0 -0.0", true),
        ("eq 1 \"1\"", false),
        ("eq [1, {\"a\": 1, \"b\": 2}] [1.0, {\"b\": 2, \"a\": 1}]", true),
        ("lt \"a\" \"b\"", true),
        ("eq Extra.none null", true),
        ("contains [1, 2] 2.0", true),
        ("not 0.00", true),
    ] {
        gives(&format!(r#"{{"a": {{{{{expression}}}}}}}"#), "{}", &format!(r#"{{"a":{holds}}}"#));
    }
    for (value, whole) in [
        ("42.0", "42"),
        ("\"42\"", "42"),
        ("4.2e1", "42"),
        ("-0.0", "0"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1e3", "1000"),
    ] {
        gives(r#"{"a": {{int Extra.v}}}"#, &format!(r#"{{"v": {value}}}"#), &format!(r#"{{"a":{whole}}}"#));
    }
    fails(r#"{"a": {{int Extra.v}}}"#, r#"{"v": 1.5}"#, ErrorCode::TemplateWrongType, "Extra.v is a number");
    fails(r#"{"a": {{lt Extra.v 1}}}"#, r#"{"v": "x"}"#, ErrorCode::TemplateWrongType, "argument 2 of `lt`");
    gives(
        r#"{"a": {{unix Extra.v}}, "b": {{unix 1.9}}, "c": {{unix -1.5}}}"#,
        r#"{"v": "1970-01-01T00:00:10Z"}"#,
        r#"{"a":10,"b":1,"c":-2}"#,
    );
    gives(
        r#"{"a": {{sort Extra.v}}, "b": {{unique Extra.v}}}"#,
        r#"{"v": [10, 9, 1.0, 1]}"#,
        r#"{"a":[1.0,1,9,10],"b":[10,9,1.0]}"#,
    );
}

#[test]
fn limits_hold() {
    let many = format!(r#"{{"l": [{}1]}}"#, "1,".repeat(2000));
    let nested =
        compiled(r#"{"a": [{{#each Extra.l}}{{#each @root.Extra.l}}{{/each}}{{/each}}]}"#, &[], Missing::Error)
            .unwrap();
    let error = rendered(&nested, &many, &RenderLimits::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TemplateLimit, "{error}");
    let whole = compiled(r#"{"a": {{Extra}}, "b": "{{join Extra.l ","}}"}"#, &[], Missing::Error).unwrap();
    let small = RenderLimits { output_bytes: 1000, ..RenderLimits::default() };
    assert!(rendered(&whole, &many, &small).unwrap_err().to_string().contains("1000 bytes"));
    let deep = format!(r#"{{"l": [1], "d": {}{}}}"#, "[".repeat(300), "]".repeat(300));
    assert_eq!(rendered(&whole, &deep, &RenderLimits::default()).unwrap_err().code(), ErrorCode::TemplateLimit);
    let wide = format!(r#"{{"l": "{}"}}"#, "a".repeat(100_000));
    let replace = compiled(r#"{"a": "{{replace Extra.l "a" Extra.l}}"}"#, &[], Missing::Error).unwrap();
    assert_eq!(rendered(&replace, &wide, &RenderLimits::default()).unwrap_err().code(), ErrorCode::TemplateLimit);
    let text = r#"{"a": [{{#each Extra.l}}"{{@root.Extra.big}}{{@root.Extra.none}}"{{/each}}]}"#;
    let dropped = compiled(text, &[], Missing::Omit).unwrap();
    let big = format!(r#"{{"big": "{}", "l": [{}1]}}"#, "a".repeat(60_000), "1,".repeat(2000));
    assert_eq!(rendered(&dropped, &big, &RenderLimits::default()).unwrap_err().code(), ErrorCode::TemplateLimit);
    let blocks = format!("{}{{}}{}", "{{#let a=1}}".repeat(48), "{{/let}}".repeat(48));
    compiled(&blocks, &[], Missing::Error).unwrap();
    compiled(&format!("{{}}{}", " ".repeat(256 * 1024 - 2)), &[], Missing::Error).unwrap();
    for text in [
        format!("{{}}{}", " ".repeat(256 * 1024)),
        format!("{}{{}}{}", "{{#let a=1}}".repeat(49), "{{/let}}".repeat(49)),
        "{{#if (".repeat(5000),
        "{{#if a}}".repeat(5000),
        format!("{{\"a\": {{{{{}1}}}}", "(".repeat(5000)),
        "[".repeat(5000),
        "{{a ".repeat(500),
    ] {
        compiled(&text, &[], Missing::Error).unwrap_err();
    }
    let partials: Vec<(String, String)> =
        (0..30).map(|n| (format!("p{n}"), format!("{{{{> p{}}}}}{{{{> p{}}}}}", n + 1, n + 1))).collect();
    let partials: Vec<(&str, &str)> = partials.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    compiled("{{> p0}}", &partials, Missing::Error).unwrap_err();
}

#[test]
fn errors_never_quote_the_session() {
    for text in [
        r#"{"a": {{int Extra.secret}}}"#,
        r#"{"a": {{index Extra.o Extra.secret}}}"#,
        r#"{"a": [{{#each Extra.o}}{{x.y}}{{/each}}]}"#,
        r#"{"a": {{unix Extra.secret}}}"#,
        r#"{"a": {{regexMatch "x" (concat Extra.secret "(")}}}"#,
        r#"{"a": {{join Extra.o}}}"#,
        r#"{"a": {{len Extra.n}}}"#,
        r#"{"a": {{bool Extra.secret}}}"#,
        r#"{"a": {{sort Extra.l}}}"#,
    ] {
        let error = with_missing(
            text,
            r#"{"secret": "canary2", "o": {"canary": 1}, "n": 4711, "l": ["canary", 1]}"#,
            Missing::Error,
        )
        .unwrap_err();
        assert!(!error.to_string().contains("canary") && !error.to_string().contains("4711"), "{error}");
    }
}

#[test]
fn operators_and_taken_names_are_refused_with_advice() {
    refused(r#"{"a": {{#if Extra.x == 1}}1{{else}}2{{/if}}}"#, ErrorCode::TemplateSyntax, (1, 21), &["(eq …)"]);
    refused(r#"{"a": {{#if Extra.x || Extra.y}}1{{else}}2{{/if}}}"#, ErrorCode::TemplateSyntax, (1, 21), &["(or …)"]);
    refused(r#"{"a": {{#if !Extra.x}}1{{else}}2{{/if}}}"#, ErrorCode::TemplateSyntax, (1, 13), &["(not …)"]);
    refused(r#"{ {{#let Extra=1}}{{/let}} }"#, ErrorCode::TemplateHelper, (1, 10), &["`Extra`"]);
    let chain =
        format!(r#"{{"a": {{{{#if Extra.x}}}}0{}{{{{else}}}}1{{{{/if}}}}}}"#, "{{else if Extra.y}}2".repeat(70));
    let error = compiled(&chain, &[], Missing::Error).unwrap_err();
    assert!(error.to_string().contains("branches"), "{error}");
}

#[test]
fn literals_are_read_as_they_are_written() {
    gives(
        r#"{"a": {{default Extra.x [1, 2.50, "a]b}}"]}}, "b": {{default Extra.y {"k": [1.50, {"m": "}"}]}}}, "c": "{{concat 'it\'s' "\"q\"" 1E5}}"}"#,
        "{}",
        r#"{"a":[1,2.50,"a]b}}"],"b":{"k":[1.50,{"m":"}"}]},"c":"it's\"q\"1E5"}"#,
    );
    refused(r#"{"a": {{eq Extra.x 01}}}"#, ErrorCode::TemplateSyntax, (1, 20), &["numbers look like"]);
    refused(r#"{"a": "{{Extra.a}}}"#, ErrorCode::TemplatePosition, (1, 7), &["closing quote"]);
}

#[test]
fn the_deepest_template_fits_the_stack() {
    let last = 88;
    let partials: Vec<(String, String)> = (0..=last)
        .map(|n| (format!("p{n}"), if n == last { "1".to_owned() } else { format!("[{{{{> p{}}}}}]", n + 1) }))
        .collect();
    let partials: Vec<(&str, &str)> = partials.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let template = compiled(r#"{"a": {{> p0}}}"#, &partials, Missing::Error).unwrap();
    let claims = rendered(&template, "{}", &RenderLimits::default()).unwrap();
    assert_eq!(claims, format!(r#"{{"a":{}1{}}}"#, "[".repeat(last), "]".repeat(last)));
}

#[test]
fn a_form_feed_is_text_that_is_no_json() {
    refused("\u{c}{}", ErrorCode::TemplatePosition, (1, 1), &["found text that is no JSON"]);
    refused("{\"a\": 1\u{c}}", ErrorCode::TemplatePosition, (1, 7), &["found text that is no JSON"]);
}

#[test]
fn every_unreadable_expression_is_told() {
    let text = "{\"a\": {{Extra.}},\n\"b\": {{upper Extra..x}},\n\"c\": {{nope 1}},\n\"d\" 1}";
    let error = compiled(text, &[], Missing::Error).unwrap_err();
    let lines: Vec<_> = error.faults().iter().map(|fault| fault.place.line).collect();
    assert_eq!(lines, [1, 2, 3, 4], "{error}");
}

#[test]
fn the_manual_shows_every_helper_as_it_is() {
    let manual = include_str!("../../../../docs/templates.md");
    for helper in helper_reference() {
        let entry = format!(
            "### `{} {}`\n\n{}\n\n```handlebars\n{}\n```\n\nwith `extra` `{}` gives\n\n```json\n{}\n```\n",
            helper.name, helper.arguments, helper.summary, helper.template, helper.extra, helper.claims
        );
        assert!(manual.contains(&entry), "expected in docs/templates.md:\n{entry}");
    }
    assert_eq!(manual.matches("\n### `").count(), helper_reference().count());
}
