//! Errors as the wire tells them: RFC 9457 problem documents, and the one table from error code to status.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};

use crate::code::ErrorCode;
use crate::json;

/// A refusal: its code, and what its reader needs to mend it. `detail` never holds a value of a session or a key.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
    /// The methods that a path does have.
    pub(crate) allow: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), allow: None }
    }

    /// The answer; `request_id` becomes the `instance`.
    pub(crate) fn to_response(&self, request_id: &str) -> HttpResponse {
        let (status, title) = status_and_title(self.code);
        let mut body = String::from("{\"type\":");
        json::write_string(self.code.as_str(), &mut body);
        body.push_str(",\"title\":");
        json::write_string(title, &mut body);
        body.push_str(",\"status\":");
        body.push_str(status.as_str());
        if !self.detail.is_empty() {
            body.push_str(",\"detail\":");
            json::write_string(&self.detail, &mut body);
        }
        body.push_str(",\"instance\":");
        json::write_string(&format!("urn:uuid:{request_id}"), &mut body);
        body.push('}');

        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json").insert_header((header::CACHE_CONTROL, "no-store"));
        match self.code {
            ErrorCode::CallerSlowed | ErrorCode::CallerUnauthenticated => {
                response
                    .append_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"claimsmith\"")));
                response.append_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            // Short, because Oathkeeper obeys it without a bound while its user waits.
            ErrorCode::CallerConcurrency
            | ErrorCode::CallerConnections
            | ErrorCode::CallerRate
            | ErrorCode::KeyBusy
            | ErrorCode::KeyUnavailable
            | ErrorCode::ServiceConnections
            | ErrorCode::ServiceOverloaded => {
                response.insert_header((header::RETRY_AFTER, "1"));
            }
            _ => {}
        }
        // Room is made for others, and a guess costs a connection.
        if matches!(self.code, ErrorCode::CallerConnections | ErrorCode::CallerSlowed | ErrorCode::ServiceConnections) {
            response.force_close();
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        response.body(body)
    }
}

/// Permanent faults are 4xx, because a gateway repeats 5xx; only what may pass by itself is 503.
pub(crate) fn status_and_title(code: ErrorCode) -> (StatusCode, &'static str) {
    match code {
        ErrorCode::CallerConcurrency | ErrorCode::CallerConnections | ErrorCode::CallerRate => {
            (StatusCode::TOO_MANY_REQUESTS, "The caller asks for too much")
        }
        ErrorCode::CallerForbidden => (StatusCode::FORBIDDEN, "The caller may not ask for this profile"),
        // Not 429, because a gateway repeats that, and the same credentials are as wrong then.
        ErrorCode::CallerSlowed => (StatusCode::UNAUTHORIZED, "Too many wrong credentials from this address"),
        ErrorCode::CallerUnauthenticated => (StatusCode::UNAUTHORIZED, "The caller is not known"),
        ErrorCode::ClaimsDuplicateMember
        | ErrorCode::ClaimsInvalid
        | ErrorCode::ClaimsNotAnObject
        | ErrorCode::ClaimsRegistered
        | ErrorCode::ClaimsSchema => (StatusCode::UNPROCESSABLE_ENTITY, "The claims are not fit to be signed"),
        ErrorCode::KeyBusy => (StatusCode::SERVICE_UNAVAILABLE, "Too many wait for a signature"),
        ErrorCode::KeyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "No key may sign now"),
        ErrorCode::ProfileUnknown => (StatusCode::NOT_FOUND, "There is no such profile"),
        ErrorCode::RequestBodyIncomplete => (StatusCode::BAD_REQUEST, "The body is incomplete"),
        ErrorCode::RequestBodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        ErrorCode::RequestHeadersTooLarge => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request headers are too large")
        }
        ErrorCode::RequestMalformed => (StatusCode::BAD_REQUEST, "The body is not what this path takes"),
        ErrorCode::RequestMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another media type"),
        ErrorCode::RequestMethod => (StatusCode::METHOD_NOT_ALLOWED, "The path does not have this method"),
        ErrorCode::RequestOrigin => (StatusCode::FORBIDDEN, "The request may not come from there"),
        ErrorCode::RequestPath => (StatusCode::NOT_FOUND, "Nothing is here"),
        ErrorCode::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "The request took too long"),
        ErrorCode::ServiceConnections | ErrorCode::ServiceOverloaded => {
            (StatusCode::SERVICE_UNAVAILABLE, "The service has as much to do as it may")
        }
        ErrorCode::SessionDepth
        | ErrorCode::SessionDuplicateMember
        | ErrorCode::SessionInvalid
        | ErrorCode::SessionMalformed => (StatusCode::BAD_REQUEST, "The body is no authentication session"),
        ErrorCode::SessionEmptySubject
        | ErrorCode::SessionExpired
        | ErrorCode::SessionExpiry
        | ErrorCode::SessionInactive => (StatusCode::UNPROCESSABLE_ENTITY, "The session may not have a token"),
        ErrorCode::TemplateDuplicateMember
        | ErrorCode::TemplateHelper
        | ErrorCode::TemplateLimit
        | ErrorCode::TemplateMissingValue
        | ErrorCode::TemplatePosition
        | ErrorCode::TemplateRefused
        | ErrorCode::TemplateSyntax
        | ErrorCode::TemplateWrongType => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The template cannot make claims of this session")
        }
        ErrorCode::ConfigInvalid
        | ErrorCode::Internal
        | ErrorCode::KeySetInvalid
        | ErrorCode::KeySigningFailed
        | ErrorCode::KeySourceTimeout
        | ErrorCode::KeySourceTooLarge
        | ErrorCode::KeySourceUnavailable
        | ErrorCode::TemplateRecordedCase
        | ErrorCode::TlsInvalid => (StatusCode::INTERNAL_SERVER_ERROR, "claimsmith failed"),
    }
}

#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "tests of two modules need it, and neither should lend it to the other")]
#[path = "../../tests/section.rs"]
mod section;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_error_codes_is_generated() {
        let row =
            |code: &ErrorCode| format!("| `{code}` | {} | {} |\n", status_and_title(*code).0.as_u16(), code.meaning());
        let rows: String = ErrorCode::ALL.iter().map(row).collect();
        section::hold("docs/http.md", "codes", &format!("| Code | Status | Meaning |\n| --- | --- | --- |\n{rows}"));
    }

    #[test]
    fn only_what_may_pass_by_itself_is_worth_a_retry() {
        let passing = [
            ErrorCode::KeyBusy,
            ErrorCode::KeyUnavailable,
            ErrorCode::ServiceConnections,
            ErrorCode::ServiceOverloaded,
        ];
        for code in ErrorCode::ALL {
            let (status, _) = status_and_title(*code);
            assert_eq!(status == StatusCode::SERVICE_UNAVAILABLE, passing.contains(code), "{code}");
            let is_timely = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
            let answer = Problem::new(*code, "").to_response("id");
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), is_timely, "{code}");
        }
    }
}
