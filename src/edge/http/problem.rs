//! Refusals as HTTP responses: RFC 9457 problem documents, and the table from error code to status.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use serde::Serialize;

use super::routes::Methods;
use crate::checks::Denial;
use crate::code::ErrorCode;
use crate::escape;
use crate::service::{Refusal, RequestId};

/// A problem document.
#[derive(Serialize)]
struct Problem<'p> {
    r#type: &'p str,
    title: &'p str,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'p str,
    instance: String,
}

/// A problem document for the client of a proxy, with members that client libraries of Ory read.
#[derive(Serialize)]
struct ProxyProblem<'p> {
    #[serde(flatten)]
    problem: Problem<'p>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_browser_to: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<OryError>,
}

#[derive(Serialize)]
struct OryError {
    id: &'static str,
}

/// A response for a proxy that may pass it on to its client.
#[derive(Debug)]
pub(in crate::edge) struct ProxyResponse {
    pub(in crate::edge) status: u16,
    /// The headers in lower case. Only headers of a source can occur more than once.
    pub(in crate::edge) headers: Vec<(String, String)>,
    pub(in crate::edge) body: String,
}

/// The detail of a failure that the client of a proxy did not cause.
const IN_THE_LOG: &str = "claimsmith cannot answer; its log has the reason, with the ID in `instance`";

impl ProxyResponse {
    /// Returns the redirect of a browser to where it gets what `denial` lacks; `None` if it is not to be redirected.
    pub(in crate::edge) fn redirect(denial: &Denial) -> Option<Self> {
        let location = denial.redirect()?;
        let mut response = Self { status: StatusCode::FOUND.as_u16(), headers: Vec::new(), body: String::new() };
        response.set(header::LOCATION.as_str(), location);
        response.set(header::CACHE_CONTROL.as_str(), "no-store");
        Some(response)
    }

    /// Returns the problem document of `denial`.
    pub(in crate::edge) fn problem(denial: &Denial, request_id: RequestId) -> Self {
        let Denial { code, detail, challenge, ory_id, headers, .. } = denial;
        let location = denial.location();
        let status = proxy_status(*code);
        // The clients of a proxy are strangers, and the reason can describe other services. The log has it.
        let detail = if status.is_server_error() { IN_THE_LOG } else { detail };
        let problem = ProxyProblem {
            problem: Problem {
                r#type: code.as_str(),
                title: status_and_title(*code).1,
                status: status.as_u16(),
                detail,
                instance: request_id.to_uri(),
            },
            redirect_browser_to: location,
            error: ory_id.map(|id| OryError { id }),
        };
        let mut response = Self { status: status.as_u16(), headers: Vec::new(), body: json_text(&problem) };
        response.set(header::CONTENT_TYPE.as_str(), "application/problem+json");
        response.set(header::CACHE_CONTROL.as_str(), "no-store");
        for (name, value) in headers {
            response.headers.push((name.to_ascii_lowercase(), value.clone()));
        }
        if status == StatusCode::UNAUTHORIZED {
            if let Some(challenge) = challenge {
                response.set(header::WWW_AUTHENTICATE.as_str(), challenge);
            }
            if let Some(location) = location {
                response.set(header::LOCATION.as_str(), location);
            }
        }
        if code.is_retryable() {
            response.set(header::RETRY_AFTER.as_str(), "1");
        }
        response
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the same as an HTTP response.
    pub(super) fn into_http(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for (name, value) in &self.headers {
            response.append_header((name.as_str(), value.as_str()));
        }
        response.body(self.body)
    }
}

/// Returns the response for `denial`, for a proxy that may pass it on to its client.
pub(super) fn of_proxy(denial: &Denial, request_id: RequestId) -> HttpResponse {
    let mut response = ProxyResponse::problem(denial, request_id).into_http();
    if is_closing(denial.code) {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Returns the response for `refusal` on a route with `methods`; `request_id` becomes the `instance`.
pub(super) fn response(refusal: &Refusal, request_id: RequestId, methods: Methods) -> HttpResponse {
    let Refusal { code, detail, .. } = refusal;
    if methods == Methods::Proxied {
        return of_proxy(&Denial::new(*code, detail.as_str()), request_id);
    }
    let (status, title) = status_and_title(*code);
    let problem =
        Problem { r#type: code.as_str(), title, status: status.as_u16(), detail, instance: request_id.to_uri() };
    let mut response = HttpResponse::build(status);
    response.content_type("application/problem+json").insert_header((header::CACHE_CONTROL, "no-store"));
    if is_challenged(*code) {
        response.append_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"claimsmith\"")));
        response.append_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    if code.is_retryable() {
        // Short, because Oathkeeper waits as long as this says while its user waits.
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    if is_closing(*code) {
        response.force_close();
    }
    if let Some(allow) = methods.names().filter(|_| *code == ErrorCode::RequestMethod) {
        response.insert_header((header::ALLOW, allow));
    }
    response.body(json_text(&problem))
}

/// Returns `document` in JSON that a terminal can show as it is, because people read it with command-line tools.
pub(super) fn json_text(document: &impl Serialize) -> String {
    // Serializing texts and numbers into a string cannot fail.
    escape::line(&serde_json::to_string(document).unwrap_or_default()).into_owned()
}

/// Returns `true` if the connection is closed, which frees it for others and makes each guess cost one.
pub(in crate::edge) fn is_closing(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::CallerConnections | ErrorCode::CallerSlowed | ErrorCode::ServiceConnections)
}

/// Returns `true` if the response names the authentication schemes (RFC 9110 section 11.6.1).
pub(super) fn is_challenged(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::CallerSlowed | ErrorCode::CallerUnauthenticated)
}

/// Returns the status of `denial` at an endpoint for proxies, which can redirect browsers if it `follows_redirects`.
pub(crate) fn denial_status(denial: &Denial, follows_redirects: bool) -> u16 {
    match denial.redirect().is_some() && follows_redirects {
        true => StatusCode::FOUND.as_u16(),
        false => proxy_status(denial.code).as_u16(),
    }
}

/// Returns the status of `code` at an endpoint for proxies. Proxies understand 401 and 403, and treat 5xx as a failure. A
/// challenge for callers must not reach the browser of an end user.
pub(in crate::edge) fn proxy_status(code: ErrorCode) -> StatusCode {
    match status_and_title(code).0 {
        StatusCode::UNAUTHORIZED if is_challenged(code) => StatusCode::FORBIDDEN,
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => StatusCode::INTERNAL_SERVER_ERROR,
        status => status,
    }
}

/// Returns the status and the title of `code`. Permanent failures are 4xx, because a gateway retries 5xx; only failures
/// that can pass by themselves are 503.
pub(in crate::edge) fn status_and_title(code: ErrorCode) -> (StatusCode, &'static str) {
    match code {
        ErrorCode::CallerConcurrency | ErrorCode::CallerConnections | ErrorCode::CallerRate => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many requests of this caller")
        }
        ErrorCode::CallerForbidden => (StatusCode::FORBIDDEN, "Profile not permitted for this caller"),
        // Not 429, because a gateway retries that, and the same credentials fail again.
        ErrorCode::CallerSlowed => (StatusCode::UNAUTHORIZED, "Too many failed authentications from this address"),
        ErrorCode::CallerUnauthenticated => (StatusCode::UNAUTHORIZED, "Authentication failed"),
        ErrorCode::CallerUntrusted => (StatusCode::FORBIDDEN, "Peer not trusted"),
        ErrorCode::CheckUnknown => (StatusCode::FORBIDDEN, "Unknown check"),
        ErrorCode::ClaimsDuplicateMember
        | ErrorCode::ClaimsInvalid
        | ErrorCode::ClaimsNotAnObject
        | ErrorCode::ClaimsRegistered
        | ErrorCode::ClaimsSchema => (StatusCode::UNPROCESSABLE_ENTITY, "The rendered claims are invalid"),
        ErrorCode::KeyBusy => (StatusCode::SERVICE_UNAVAILABLE, "Signing queue full"),
        ErrorCode::KeyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "No active signing key"),
        ErrorCode::ProfileUnknown => (StatusCode::NOT_FOUND, "Unknown profile"),
        ErrorCode::RequestBodyIncomplete => (StatusCode::BAD_REQUEST, "Body incomplete"),
        ErrorCode::RequestBodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
        ErrorCode::RequestHeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request headers too large"),
        ErrorCode::RequestLookalike => (StatusCode::FORBIDDEN, "Header name not permitted"),
        ErrorCode::RequestMalformed => (StatusCode::BAD_REQUEST, "Invalid body"),
        ErrorCode::RequestMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
        ErrorCode::RequestMetadata => (StatusCode::FORBIDDEN, "Original request unknown"),
        ErrorCode::RequestMethod => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        ErrorCode::RequestOrigin => (StatusCode::FORBIDDEN, "Origin not permitted"),
        ErrorCode::RequestPath => (StatusCode::NOT_FOUND, "Not found"),
        ErrorCode::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "Request timed out"),
        ErrorCode::ServiceConnections | ErrorCode::ServiceOverloaded => {
            (StatusCode::SERVICE_UNAVAILABLE, "Service overloaded")
        }
        ErrorCode::SessionAge => (StatusCode::UNAUTHORIZED, "Login too old"),
        ErrorCode::SessionAmbiguous => (StatusCode::FORBIDDEN, "More than one credential"),
        ErrorCode::SessionDepth
        | ErrorCode::SessionDuplicateMember
        | ErrorCode::SessionInvalid
        | ErrorCode::SessionMalformed => (StatusCode::BAD_REQUEST, "The body is not an authentication session"),
        ErrorCode::SessionEmptySubject
        | ErrorCode::SessionExpired
        | ErrorCode::SessionExpiry
        | ErrorCode::SessionInactive => (StatusCode::UNPROCESSABLE_ENTITY, "No token for this session"),
        ErrorCode::SessionLevel => (StatusCode::UNAUTHORIZED, "Assurance level too low"),
        ErrorCode::SessionRefused => (StatusCode::FORBIDDEN, "Session refused"),
        ErrorCode::SessionRequired => (StatusCode::UNAUTHORIZED, "No valid session"),
        ErrorCode::SourceRateLimited => (StatusCode::TOO_MANY_REQUESTS, "Session source limits its callers"),
        ErrorCode::SourceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "Session source unavailable"),
        ErrorCode::TemplateDuplicateMember
        | ErrorCode::TemplateHelper
        | ErrorCode::TemplateLimit
        | ErrorCode::TemplateMissingValue
        | ErrorCode::TemplatePosition
        | ErrorCode::TemplateRefused
        | ErrorCode::TemplateSyntax
        | ErrorCode::TemplateWrongType => (StatusCode::UNPROCESSABLE_ENTITY, "The template rejected this session"),
        ErrorCode::ConfigInvalid
        | ErrorCode::Internal
        | ErrorCode::KeySetInvalid
        | ErrorCode::KeySigningFailed
        | ErrorCode::KeySourceTimeout
        | ErrorCode::KeySourceTooLarge
        | ErrorCode::KeySourceUnavailable
        | ErrorCode::TemplateRecordedCase
        | ErrorCode::TlsInvalid => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
    }
}

#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "tests of two modules need it, and neither should lend it to the other")]
#[path = "../../../tests/section.rs"]
mod section;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_error_codes_is_generated() {
        let row = |code: &ErrorCode| {
            let (status, proxied) = (status_and_title(*code).0.as_u16(), proxy_status(*code).as_u16());
            format!("| `{code}` | {status} | {proxied} | {} |\n", code.meaning())
        };
        let rows: String = ErrorCode::ALL.iter().map(row).collect();
        let head = "| Code | Status | For proxies | Meaning |\n| --- | --- | --- | --- |";
        section::hold("docs/http.md", "codes", &format!("{head}\n{rows}"));
    }

    #[test]
    fn only_passing_failures_are_retryable() {
        let passing = [
            ErrorCode::KeyBusy,
            ErrorCode::KeyUnavailable,
            ErrorCode::ServiceConnections,
            ErrorCode::ServiceOverloaded,
            ErrorCode::SourceUnavailable,
        ];
        for code in ErrorCode::ALL {
            let (status, _) = status_and_title(*code);
            assert_eq!(status == StatusCode::SERVICE_UNAVAILABLE, passing.contains(code), "{code}");
            // A source says itself when its caller can ask again.
            let is_limit = status == StatusCode::TOO_MANY_REQUESTS && *code != ErrorCode::SourceRateLimited;
            let is_retryable = status == StatusCode::SERVICE_UNAVAILABLE || is_limit;
            let refusal = Refusal::new(*code, "");
            let response = response(&refusal, RequestId::new(uuid::Uuid::nil()), Methods::Post);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), is_retryable, "{code}");
        }
    }
}
