//! Member names that come twice.

use super::render_with;
use crate::code::ErrorCode;
use crate::templates::RenderLimits;

fn claims(template: &str, extra: &str) -> Result<String, ErrorCode> {
    render_with(template, &format!("{{\"subject\":\"s\",\"extra\":{extra}}}"), &RenderLimits::default())
}

#[test]
fn name_of_the_session_never_replaces_a_member() {
    let session = r#"{"k":"admin","rest":"min","none":"","v":true,"m":{"admin":true},"j":"{\"a\":1,\"a\":2}"}"#;
    for template in [
        r#"{"admin": false, "{{ .Extra.k }}": {{ .Extra.v }} }"#,
        r#"{"{{ .Extra.k }}": 1, "admin": false}"#,
        r#"{"admin": false {{ range $k, $v := .Extra.m }}, "{{ $k }}": {{ $v | toJson }}{{ end }} }"#,
        r#"{"acl": {"admin": false {{ range $k, $v := .Extra.m }}, "{{ $k }}": 1{{ end }} } }"#,
        r#"{"l": [{"admin": false, "ad{{ .Extra.rest }}": 1}]}"#,
        r#"{"admin": false, "admin{{ .Extra.none }}": 1}"#,
        r#"{"admin": false, "{{ .Extra.none }}admin": 1}"#,
        r#"{"admin": false, "{{ printf "admin%s" .Extra.none }}": 1}"#,
        r#"{"admin": false, "{{ .Extra.k }}{{ print "\": 1" }} }"#,
        r#"{"admin": false, "{{ printf "%s\": 1" .Extra.k }} }"#,
        r#"{"\u0061dmin": false, "{{ .Extra.k }}": 1}"#,
        r#"{"{{ .Extra.k }}": 1, "{{ .Extra.k }}": 2}"#,
        r#"{"admin": false, {{ .Extra.m | toJson | trimAll "{}" }} }"#,
        r#"{"admin": false, {{ dict .Extra.k 1 | toJson | trimAll "{}" }} }"#,
        r#"{"x": {{ .Extra.j }} }"#,
    ] {
        assert_eq!(claims(template, session), Err(ErrorCode::ClaimsDuplicateMember), "{template}");
    }
}

#[test]
fn names_of_the_author_can_repeat_as_in_go() {
    let session = r#"{"k":"admin","v":true}"#;
    for (template, expected) in [
        (r#"{"a": 1, "a": {{ .Extra.v }} }"#, r#"{"a":true}"#),
        (r#"{"a": 1, "{{ "a" }}": "{{ .Extra.k }}"}"#, r#"{"a":"admin"}"#),
        (r#"{"a": 1 {{ if .Extra.v }}, "a": 2{{ end }} }"#, r#"{"a":2}"#),
        (r#"{"a": {"b": "{{ .Extra.k }}", "b": 1}, "{{ .Extra.k }}": {"b": 1}}"#, r#"{"a":{"b":1},"admin":{"b":1}}"#),
        (r#"{"a": "{{ .Extra.k }}", "a": "{{ .Extra.k }}"}"#, r#"{"a":"admin"}"#),
    ] {
        assert_eq!(claims(template, session).as_deref(), Ok(expected), "{template}");
    }
}
