//! Problem documents of the API listener are checked against the OpenAPI document.

use std::sync::LazyLock;

use claimsmith::openapi_document;
use serde_json::Value;

use crate::support::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(openapi_document()).unwrap());

/// Fails if `answer` has an error code that the operation of `request` does not list. Requests without an operation are
/// ignored.
pub(crate) fn assert_code_is_documented(request: &[u8], answer: &Answer) {
    if answer.body.is_empty() || answer.header("content-type") != Some("application/problem+json") {
        return;
    }
    let Some((method, path)) = method_and_path(request) else { return };
    let Some(codes) = documented_codes(&DOCUMENT, method, path, answer.status) else { return };
    let problem = answer.json();
    let code = problem["type"].as_str().unwrap();
    assert!(codes.contains(&code), "{method} {path}: {} {code} is not in /openapi.json: {codes:?}", answer.status);
}

fn method_and_path(request: &[u8]) -> Option<(&str, &str)> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    Some((method, target.split('?').next()?))
}

/// Returns the codes that the operation lists for `status`; `None` if there is no such operation.
fn documented_codes<'d>(document: &'d Value, method: &str, path: &str, status: u16) -> Option<Vec<&'d str>> {
    let mut paths = document["paths"].as_object().unwrap().iter();
    let (_, operations) = paths.find(|(template, _)| has_form(path, template))?;
    let response = &operations.get(method.to_lowercase())?["responses"][status.to_string()];
    let pointer = response["$ref"].as_str().unwrap_or("#").trim_start_matches('#');
    let codes = document.pointer(pointer).unwrap()["x-error-codes"].as_array();
    Some(codes.into_iter().flatten().map(|code| code.as_str().unwrap()).collect())
}

fn has_form(path: &str, template: &str) -> bool {
    match template.split_once('{').zip(template.split_once('}')) {
        None => path == template,
        Some(((before, _), (_, after))) => {
            let name = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
        }
    }
}

#[test]
fn undocumented_code_of_an_operation_is_found() {
    let codes = |request: &str, status| {
        let (method, path) = method_and_path(request.as_bytes())?;
        documented_codes(&DOCUMENT, method, path, status)
    };
    assert_eq!(codes("POST /issue/p?a HTTP/1.1\r\n", 404), Some(vec!["profile.unknown"]));
    assert_eq!(codes("GET /p/.well-known/jwks.json HTTP/1.1\r\n", 404), Some(vec!["profile.unknown"]));
    assert_eq!(codes("GET /openapi.json HTTP/1.1\r\n", 404), Some(Vec::new()));
    for without_operation in ["GET /issue/p HTTP/1.1\r\n", "POST /issue/p/q HTTP/1.1\r\n", "", "POST"] {
        assert_eq!(codes(without_operation, 404), None, "{without_operation}");
    }
    let answer = |code: &str| Answer {
        status: 404,
        headers: vec![("Content-Type".to_owned(), "application/problem+json".to_owned())],
        body: format!("{{\"type\":\"{code}\"}}").into_bytes(),
    };
    let request = b"POST /hydrate/p HTTP/1.1\r\n";
    assert_code_is_documented(request, &answer("profile.unknown"));
    let undocumented = std::panic::catch_unwind(|| assert_code_is_documented(request, &answer("request.path")));
    assert!(undocumented.is_err());
}
