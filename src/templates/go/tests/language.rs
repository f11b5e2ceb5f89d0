//! The language of templates: constants, variables, control structures, calls and comparisons.

use super::{refused, texts, values};
use crate::code::ErrorCode;

#[test]
fn constants_are_those_of_go() {
    values(&[
        ("{{ 0x1F }}", "31"),
        ("{{ 0b101 }}", "5"),
        ("{{ 0o17 }}", "15"),
        ("{{ 017 }}", "15"),
        ("{{ 1_000 }}", "1000"),
        ("{{ -1 }}", "-1"),
        ("{{ +1 }}", "1"),
        ("{{ 1e3 }}", "1000"),
        ("{{ 0x1e }}", "30"),
        ("{{ 0x1p4 }}", "16"),
        ("{{ 'a' }}", "97"),
        ("{{ '\\n' }}", "10"),
        ("{{ '\\x41' }}", "65"),
        ("{{ 'ż' }}", "380"),
        ("{{ .5 | toJson }}", "0.5"),
        ("{{ until 1e1 | len }}", "10"),
        ("{{ \"a\\x41\\u017c\\101\" | toJson }}", "\"aAżA\""),
        ("{{ `a\r\nb` | toJson }}", "\"a\\nb\""),
        ("{{ true }}", "true"),
    ]);
    for constant in [
        "08",
        "1__0",
        "0x",
        "'ab'",
        "''",
        "9223372036854775808000",
        "1e",
        "0b2",
        "\"\\q\"",
        "\"\\'\"",
        "'\\\"'",
        "1.5.2",
        "1a",
    ] {
        refused(&[(&format!("{{\"v\": {{{{ {constant} }}}}}}"), ErrorCode::TemplateSyntax)]);
    }
    refused(&[
        ("{\"v\": {{ 9223372036854775808 }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ until 1.5 }}}", ErrorCode::TemplateWrongType),
    ]);
}

#[test]
fn variables_live_to_the_end_of_their_block() {
    texts(&[
        ("{{ $x := 1 }}{{ range $x := .Extra.list }}{{ $x }}{{ end }}{{ $x }}", "bab1"),
        ("{{ $x := 1 }}{{ with 5 }}{{ $x = . }}{{ end }}{{ $x }}", "5"),
        ("{{ $i := 9 }}{{ $v := 9 }}{{ range $i, $v = .Extra.list }}{{ end }}{{ $i }}{{ $v }}", "2b"),
        ("{{ if $x := .Extra.nope }}a{{ else if $y := 2 }}{{ $x }}{{ $y }}{{ end }}", "<no value>2"),
        ("{{ define `t` }}{{ $ }}{{ . }}{{ end }}{{ $x := 1 }}{{ template `t` 7 }}", "77"),
        ("{{ range $k, $v := .Extra.map }}{{ if eq $k `a` }}{{ continue }}{{ end }}{{ $v }}{{ end }}", "2"),
        ("{{ range .Extra.nums }}{{ if gt . 2.0 }}{{ break }}{{ end }}x{{ else }}none{{ end }}|", "|"),
        (
            "{{ range $v := 2 }}{{ $v }}{{ end }}{{ range 0 }}a{{ else }}-{{ end }}{{ range -1 }}a{{ else }}-{{ end }}",
            "01--",
        ),
        ("{{ range list nil }}{{ . }}{{ end }}", "<no value>"),
    ]);
    refused(&[
        ("{{ if $x := 1 }}{{ end }}{{ $x }}", ErrorCode::TemplateSyntax),
        ("{{ define `t` }}{{ $x }}{{ end }}{{ $x := 1 }}", ErrorCode::TemplateSyntax),
        ("{{ $x = 1 }}", ErrorCode::TemplateSyntax),
        ("{{ range $i, $x := 3 }}{{ end }}", ErrorCode::TemplateWrongType),
        ("{{ range 1.0 }}{{ end }}", ErrorCode::TemplateWrongType),
        ("{{ range $a, $b, $c := .Extra.list }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ with $a, $b := .Extra.list }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ range .Extra.list }}{{ define `x` }}{{ end }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ range .Extra.list }}{{ block `x` . }}{{ break }}{{ end }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ range .Extra.list }}{{ else }}{{ break }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ with 1 }}{{ else if 2 }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ range list nil }}{{ .x }}{{ end }}", ErrorCode::TemplateMissingValue),
    ]);
}

#[test]
fn definitions_replace_empty_ones() {
    texts(&[
        ("{{ define `t` }} {{ end }}{{ define `t` }}a{{ end }}{{ template `t` }}", "a"),
        ("{{ define `t` }}a{{ end }}{{ define `t` }} {{ end }}{{ template `t` }}", "a"),
        ("{{ block `t` 1 }}{{ . }}{{ end }}{{ template `t` 2 }}", "12"),
        ("{{ define `t` }}{{ .x }}{{ end }}{{ template `t` }}", "<no value>"),
    ]);
    refused(&[
        ("{{ define `t` }}a{{ end }}{{ define `t` }}b{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ block `t` }}{{ end }}", ErrorCode::TemplateSyntax),
        ("{{ define t }}{{ end }}", ErrorCode::TemplateSyntax),
    ]);
}

#[test]
fn pipelines_and_calls() {
    texts(&[
        ("{{ 1 | printf `%d-%d` 2 }}", "2-1"),
        ("{{ (dict `a` (list 1 2)).a | last }}", "2"),
        ("{{ (now).Year }}{{ now.Year }}", "20262026"),
        ("{{ or .Extra.nope .Extra.empty 0 }}|{{ and 1 `` 2 }}|{{ or 1 (fail `x`) }}", "0||1"),
        ("{{ 1 | and 2 }}|{{ 0 | or 0 }}|{{ 3 | or }}", "1|0|3"),
        ("{{ not .Extra.nope }}{{ not 1 }}", "truefalse"),
        ("{{ index .Extra.map `a` `c` }}|{{ index `abc` 1 }}|{{ index .Extra.map `z` }}", "d|98|<no value>"),
        ("{{ len `żó` }}{{ len .Extra.list }}{{ len .Extra.map }}{{ len (rest list) }}", "4320"),
        (
            "{{ html `<a'&>` 1 2 `x` nil }}|{{ urlquery `a b/ż` }}",
            "&lt;a&#39;&amp;&gt;1 2x&lt;no value&gt;|a+b%2F%C5%BC",
        ),
        ("{{ html 1.5 true }}|{{ urlquery 1 2 }}", "1.5 true|1+2"),
        ("{- {{- ` a ` -}} -}", "{- a -}"),
        ("a{{- /* x */ -}}\n b", "ab"),
        ("{{ println 1 `a` nil | trim }}", "1 a <nil>"),
    ]);
    values(&[("{{ js `'<\u{7}ż=` | toJson }}", "\"\\\\'\\\\u003C\\\\u0007ż\\\\u003D\"")]);
    refused(&[
        ("{{ 1 | 2 }}", ErrorCode::TemplateSyntax),
        ("{{ 1 | .Subject }}", ErrorCode::TemplateWrongType),
        ("{{ 1 2 }}", ErrorCode::TemplateWrongType),
        ("{{ .Subject 1 }}", ErrorCode::TemplateWrongType),
        ("{{ () }}", ErrorCode::TemplateSyntax),
        ("{{ (1 }}", ErrorCode::TemplateSyntax),
        ("{{ nil.x }}", ErrorCode::TemplateSyntax),
        ("{{ `a`.x }}", ErrorCode::TemplateSyntax),
        ("{{ call 1 }}", ErrorCode::TemplateWrongType),
        ("{{ call nil }}", ErrorCode::TemplateWrongType),
        ("{{ and }}", ErrorCode::TemplateHelper),
        ("{{ slice `abc` 1 }}", ErrorCode::TemplateWrongType),
        ("{{ index .Extra.list `0` }}", ErrorCode::TemplateWrongType),
        ("{{ index .Extra.list 3 }}", ErrorCode::TemplateMissingValue),
        ("{{ index .Extra.list -1 }}", ErrorCode::TemplateMissingValue),
        ("{{ index .Extra.map 1 }}", ErrorCode::TemplateWrongType),
        ("{{ index 1 0 }}", ErrorCode::TemplateWrongType),
        ("{{ len 1 }}", ErrorCode::TemplateWrongType),
        ("{{ len nil }}", ErrorCode::TemplateMissingValue),
    ]);
}

#[test]
fn comparisons_need_one_kind() {
    values(&[
        ("{{ eq 1 2 1 }}", "true"),
        ("{{ eq `a` nil }}", "false"),
        ("{{ eq nil .Extra.nope }}", "true"),
        ("{{ eq (rest list) nil }}", "true"),
        ("{{ eq list nil }}", "false"),
        ("{{ eq (rest list) list }}", "false"),
        ("{{ eq (index `a` 0) 97 }}", "true"),
        ("{{ eq now.Month 1 }}", "true"),
        ("{{ ne 1.0 .Extra.n }}", "true"),
        ("{{ lt `a` `b` }}", "true"),
        ("{{ ge (float64 `nan`) 1.0 }}", "true"),
        ("{{ gt (float64 `nan`) 1.0 }}", "true"),
        ("{{ le (index `a` 0) 97 }}", "true"),
    ]);
    for comparison in [
        "eq 1 1.0",
        "eq `1` 1",
        "eq list list",
        "eq .Extra .Header",
        "eq list dict",
        "eq 1",
        "lt true false",
        "lt nil nil",
        "lt 1 1.0",
        "eq .Extra.n 7",
    ] {
        refused(&[(&format!("{{\"v\": {{{{ {comparison} }}}}}}"), ErrorCode::TemplateWrongType)]);
    }
}
