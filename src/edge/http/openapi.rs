//! `GET /openapi.json`: the OpenAPI 3.1 document of the API listener.
//!
//! `openapi.json` has the successful responses and the schemas. The error responses and the `HEAD` operations are
//! derived from the route table, and the paths are checked against it. The document is built once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::conditional::cacheable;
use super::exchange::{Answer, Call};
use super::problem::{is_challenged, proxy_status, status_and_title};
use super::routes::{Methods, ROUTES, Route};
use crate::code::ErrorCode;
use crate::service::Refusal;

/// The document changes only with the version.
const MAX_AGE_SECONDS: u64 = 300;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    format!("{:#}\n", complete(document))
});

/// Returns the document.
pub fn document() -> &'static str {
    &DOCUMENT
}

/// Responds with the document.
pub(super) async fn serve(call: Call) -> Result<Answer, Refusal> {
    Ok(cacheable(&call.request, "application/json", MAX_AGE_SECONDS, document()).into())
}

fn complete(mut document: Value) -> Value {
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    let mut shared = SharedResponses::default();
    for route in &ROUTES {
        let method = match route.methods {
            Methods::Post => "post",
            Methods::Read | Methods::Any | Methods::Proxied => "get",
        };
        let path = &mut document["paths"][route.path];
        let operation = &mut path[method];
        for (status, reference) in shared.references(route) {
            operation["responses"][status.to_string()] = reference;
        }
        if route.methods == Methods::Read {
            path["head"] = head(&path["get"]);
        }
    }
    if let Some(responses) = document["components"]["responses"].as_object_mut() {
        responses.extend(shared.responses);
    }
    document
}

/// Returns the `HEAD` operation of the `GET` operation `get`.
fn head(get: &Value) -> Value {
    let mut head = get.clone();
    let text = |name: &str| get[name].as_str().unwrap_or_default();
    head["operationId"] = json!(format!("{}Head", text("operationId")));
    head["summary"] = json!(format!("{} (headers only)", text("summary")));
    if let Some(success) = head["responses"]["200"].as_object_mut() {
        success.remove("content");
    }
    head
}

/// The error responses of all routes, each once.
#[derive(Default)]
struct SharedResponses {
    responses: Map<String, Value>,
    names: BTreeMap<(u16, Vec<&'static str>), String>,
}

impl SharedResponses {
    /// Returns a reference for each error status of `route`, and adds new responses.
    fn references(&mut self, route: &Route) -> Vec<(u16, Value)> {
        let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
        for code in route.codes() {
            let status = match route.methods {
                Methods::Proxied => proxy_status(code),
                _ => status_and_title(code).0,
            };
            by_status.entry(status.as_u16()).or_default().push(code);
        }
        by_status.into_iter().map(|(status, codes)| (status, self.reference(status, codes))).collect()
    }

    fn reference(&mut self, status: u16, mut codes: Vec<ErrorCode>) -> Value {
        codes.sort_by_key(|code| code.as_str());
        let key: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
        let name = match self.names.get(&(status, key.clone())) {
            Some(name) => name.clone(),
            None => {
                let name = self.free_name(status);
                self.responses.insert(name.clone(), response(status, &codes));
                self.names.insert((status, key), name.clone());
                name
            }
        };
        json!({ "$ref": format!("#/components/responses/{name}") })
    }

    /// Returns the reason phrase of `status` as a name, with a number if several responses have that status.
    fn free_name(&self, status: u16) -> String {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let reason: String = reason.chars().filter(char::is_ascii_alphanumeric).collect();
        let before = self.names.keys().filter(|(other, _)| *other == status).count();
        if before == 0 { reason } else { format!("{reason}{}", before + 1) }
    }
}

fn response(status: u16, codes: &[ErrorCode]) -> Value {
    let titles: BTreeSet<&str> = codes.iter().map(|code| status_and_title(*code).1).collect();
    let mut response = json!({
        "description": titles.into_iter().collect::<Vec<_>>().join("; "),
        "x-error-codes": codes.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    if status == 401 {
        let schemes = if codes.iter().any(|code| is_challenged(*code)) { "Basic and Bearer" } else { "Bearer" };
        response["headers"]["WWW-Authenticate"] = json!({ "description": schemes, "schema": { "type": "string" } });
    }
    if codes.iter().any(|code| code.is_retryable()) {
        response["headers"]["Retry-After"] = json!({ "description": "Seconds", "schema": { "type": "integer" } });
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_route_table() {
        let file: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let paths: BTreeSet<&str> = file["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(paths, ROUTES.iter().map(|route| route.path).collect());
        for route in &ROUTES {
            for name in ["profile", "check"] {
                let has_name = file["paths"][route.path].to_string().contains(&format!("parameters/{name}"));
                assert_eq!(has_name, route.path.contains(&format!("{{{name}}}")), "{}", route.path);
            }
        }
    }

    #[test]
    fn every_reference_has_a_target() {
        let document: Value = serde_json::from_str(document()).unwrap();
        let text = document.to_string();
        let mut count = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            count += 1;
        }
        assert!(count > 50, "{count}");
    }
}
