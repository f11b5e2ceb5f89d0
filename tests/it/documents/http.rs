//! The HTTP reference, which is generated from the OpenAPI document.

use std::collections::BTreeSet;
use std::fs;

use claimsmith::code::ErrorCode;
use claimsmith::openapi_document;
use serde_json::{Map, Value};

use super::markdown::repository;
use super::section;

/// Codes that no operation of the document returns, and where they occur.
const ELSEWHERE: &[(&str, &str)] = &[
    ("config.invalid", "at startup, in `check`"),
    ("keys.invalid", "at startup, in `check`"),
    ("keys.source_timeout", "at startup, in `check`, in a metric"),
    ("keys.source_too_large", "at startup, in `check`, in a metric"),
    ("keys.source_unavailable", "at startup, in `check`, in a metric"),
    ("request.malformed", "in the playground of the admin listener"),
    ("request.media_type", "in the playground of the admin listener"),
    ("request.method", "at a path of the document, with a method that the path does not have"),
    ("request.origin", "in the playground of the admin listener"),
    ("template.recorded_case", "at startup, in `check`"),
    ("tls.invalid", "at startup, in `check`"),
];

fn document() -> Value {
    serde_json::from_str(openapi_document()).unwrap()
}

/// Follows a reference to a shared part of the document.
fn resolved<'v>(document: &'v Value, value: &'v Value) -> &'v Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}")),
        None => value,
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn members<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value[name].as_object().into_iter().flat_map(Map::iter)
}

/// Describes a schema in a few words. A schema with a name becomes a link.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(constant) = schema.get("const") {
        return format!("`{constant}`");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let name = |kind: &Value| match kind.as_str() {
        Some("array") => format!("array of {}", kind_of_items(schema)),
        Some(kind) => kind.to_owned(),
        None => String::new(),
    };
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(name).collect::<Vec<_>>().join(" or "),
        kind => name(kind),
    }
}

fn kind_of_items(schema: &Value) -> String {
    kind(&schema["items"])
}

/// Returns media type and schema of a body.
fn body(value: &Value) -> Option<String> {
    let (media, content) = members(value, "content").next()?;
    if media == "application/problem+json" {
        return Some(kind(&content["schema"]));
    }
    Some(format!("`{media}`, {}", kind(&content["schema"])))
}

/// Returns the section of an operation: its parameters, its body and its responses.
fn operation(document: &Value, path: &str, method: &str, operation: &Value, has_head: bool) -> String {
    let mut out = format!("### `{} {path}`\n\n{}.", method.to_uppercase(), text(operation, "summary"));
    if let Some(description) = operation["description"].as_str() {
        out.push_str(&format!(" {description}"));
    }
    if has_head {
        out.push_str(" `HEAD` returns the same status and headers.");
    }
    if let Some(ways) = operation["security"].as_array() {
        let names = ways.iter().flat_map(|way| way.as_object().unwrap().keys());
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let names = names.join(", ");
        let is_optional = ways.iter().any(|way| way.as_object().unwrap().is_empty());
        out.push_str(&match is_optional {
            true => format!(" If `callers` are configured, the request must have one of {names}."),
            false => format!(" The request must have one of {names}, or come from a caller with `networks`."),
        });
    }
    out.push_str("\n\n");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = resolved(document, parameter);
        let (name, place) = (text(parameter, "name"), text(parameter, "in"));
        let pattern = text(&parameter["schema"], "pattern");
        out.push_str(&format!("- `{name}` in the {place}: {}, `{pattern}`.\n", text(parameter, "description")));
    }
    if let Some(body) = body(&operation["requestBody"]) {
        let required = if operation["requestBody"]["required"] == true { "required" } else { "optional" };
        out.push_str(&format!("- Body, {required}: {body}.\n"));
    }
    out = format!(
        "{}\n\n| Status | Response | Body | Headers | Codes |\n| --- | --- | --- | --- | --- |\n",
        out.trim_end()
    );
    for (status, answer) in members(operation, "responses") {
        let answer = resolved(document, answer);
        let headers: Vec<_> = members(answer, "headers").map(|(name, _)| format!("`{name}`")).collect();
        let codes: Vec<_> = codes(answer).map(|code| format!("`{code}`")).collect();
        let (description, body) = (text(answer, "description"), body(answer).unwrap_or_default());
        let (headers, codes) = (headers.join(", "), codes.join(", "));
        out.push_str(&format!("| {status} | {description} | {body} | {headers} | {codes} |\n"));
    }
    out
}

fn codes(answer: &Value) -> impl Iterator<Item = &str> {
    answer["x-error-codes"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Appends a row for each member of an object, and for the members of nested objects by their path.
fn rows(prefix: &str, schema: &Value, out: &mut String) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, member) in members(schema, "properties") {
        let path = format!("{prefix}{name}");
        let presence = if required.contains(&name.as_str()) { "always" } else { "" };
        out.push_str(&format!("| `{path}` | {} | {presence} | {} |\n", kind(member), text(member, "description")));
        rows(&format!("{path}."), member, out);
        rows(&format!("{path}[]."), &member["items"], out);
    }
}

/// Returns the section of a named schema.
fn schema(name: &str, schema: &Value) -> String {
    let rest = match &schema["additionalProperties"] {
        rest @ Value::Object(_) => format!("Any member: {}.", kind(rest)),
        Value::Bool(false) => "No other members are allowed.".to_owned(),
        _ => "Other members are possible.".to_owned(),
    };
    let description =
        schema["description"].as_str().map_or(String::new(), |text| text.trim_end_matches('.').to_owned() + ". ");
    let mut table = String::new();
    rows("", schema, &mut table);
    if !table.is_empty() {
        table = format!("\n| Member | Type | Present | Meaning |\n| --- | --- | --- | --- |\n{table}");
    }
    format!("### {name}\n\n{description}{rest}\n{table}")
}

#[test]
fn generated_http_reference_matches_openapi() {
    let document = document();
    let mut out = String::new();
    for (path, operations) in members(&document, "paths") {
        let heads = operations.get("head");
        if let Some(head) = heads {
            let statuses =
                |operation: &Value| operation["responses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(statuses(head), statuses(&operations["get"]), "{path}");
        }
        for (method, one) in operations.as_object().unwrap().iter().filter(|(method, _)| *method != "head") {
            out.push_str(&format!("{}\n", operation(&document, path, method, one, heads.is_some())));
        }
    }
    let ways = members(&document["components"], "securitySchemes").map(|(name, way)| {
        let kind = match (way["scheme"].as_str(), way["name"].as_str()) {
            (Some(scheme), _) => format!("HTTP `{scheme}`"),
            (None, Some(name)) => format!("header `{name}`"),
            (None, None) => "mutual TLS".to_owned(),
        };
        let description = way["description"].as_str().map_or(String::new(), |text| format!(": {text}"));
        format!("- `{name}`, {kind}{description}\n")
    });
    let ways: String = ways.collect();
    out.push_str(&format!("### Credentials\n\n{ways}\n"));
    for (name, one) in members(&document["components"], "schemas") {
        out.push_str(&format!("{}\n", schema(name, one)));
    }
    section::hold("docs/http.md", "operations", &out);
}

#[test]
fn error_codes_have_one_status_and_appear_in_openapi() {
    let manual = fs::read_to_string(repository().join("docs/http.md")).unwrap();
    let status_of = |code: &str, is_of_proxies: bool| {
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{code}` |")));
        let column = if is_of_proxies { 3 } else { 2 };
        row.unwrap_or_else(|| panic!("no row of {code}")).split('|').nth(column).unwrap().trim().to_owned()
    };
    let mut met = BTreeSet::new();
    let document = document();
    for (path, operations) in members(&document, "paths") {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, answer) in members(operation, "responses") {
                let answer = resolved(&document, answer);
                assert_eq!(codes(answer).next().is_some(), status.as_str() >= "400", "{method} {path} {status}");
                for code in codes(answer) {
                    assert_eq!(&status_of(code, path.contains("{check}")), status, "{method} {path}: {code}");
                    met.insert(code.to_owned());
                }
            }
        }
    }
    let every: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| code.to_string()).collect();
    let missing: Vec<&str> = every.difference(&met).map(String::as_str).collect();
    let elsewhere: Vec<&str> = ELSEWHERE.iter().map(|(code, _)| *code).collect();
    assert_eq!(missing, elsewhere, "codes without an answer in src/edge/http/routes.rs, and those of ELSEWHERE");
}
