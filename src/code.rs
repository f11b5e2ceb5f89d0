//! The closed list of error codes.
//!
//! A code is stable: it is the `type` of a problem document, the label of the failure counter, and the `code` field of
//! log lines and of `claimsmith test --json`. A new code is a feature; a renamed code is a breaking change.

use std::fmt;

/// Declares each code once: its variant, its text and its meaning, which `docs/http.md` lists.
macro_rules! error_codes {
    ($($variant:ident = $text:literal, $meaning:literal;)+) => {
        /// A stable error code, such as `template.missing_value`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl ErrorCode {
            /// Every code, in alphabetical order of the variants.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant,)+];

            /// Returns the text of the code.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $text,)+
                }
            }

            /// Returns the meaning of the code, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $meaning,)+
                }
            }
        }
    };
}

error_codes! {
    CallerConcurrency = "caller.concurrency", "The caller has as many requests in flight as its limits allow.";
    CallerConnections = "caller.connections", "This address has more connections than limits.connections_per_peer allows.";
    CallerForbidden = "caller.forbidden", "The caller is not permitted to use this profile.";
    CallerRate = "caller.rate", "The caller sends more requests than its limits.rate allows.";
    CallerSlowed = "caller.slowed", "Too many authentications failed from this address.";
    CallerUnauthenticated = "caller.unauthenticated", "The request has no valid credentials of a configured caller.";
    CallerUntrusted = "caller.untrusted", "The peer is not a caller whose metadata about other requests is trusted.";
    CheckUnknown = "check.unknown", "The check does not exist.";
    ClaimsDuplicateMember = "claims.duplicate_member", "The rendered claims contain a duplicate member name.";
    ClaimsInvalid = "claims.invalid", "The rendered claims are not JSON, or a claim has the wrong type.";
    ClaimsNotAnObject = "claims.not_an_object", "The rendered claims are JSON, but not an object.";
    ClaimsRegistered = "claims.registered", "The template sets a claim that claimsmith sets itself.";
    ClaimsSchema = "claims.schema", "The claims do not match the JSON Schema of their template.";
    ConfigInvalid = "config.invalid", "The configuration is invalid.";
    Internal = "internal", "A bug in claimsmith. The log has details.";
    KeyBusy = "keys.busy", "The signing queue for slow keys is full.";
    KeySetInvalid = "keys.invalid", "The JWK Set is invalid or cannot be read.";
    KeySigningFailed = "keys.signing_failed", "A key could not sign.";
    KeySourceTimeout = "keys.source_timeout", "A remote key source took longer than limits.key_fetch.";
    KeySourceTooLarge = "keys.source_too_large", "A remote key set is larger than limits.key_set.";
    KeySourceUnavailable = "keys.source_unavailable", "A remote key source could not be reached or returned an error.";
    KeyUnavailable = "keys.unavailable", "The profile has no active key.";
    ProfileUnknown = "profile.unknown", "The profile does not exist.";
    RequestBodyIncomplete = "request.body_incomplete", "The body ended before its announced length, or could not be read.";
    RequestBodyTooLarge = "request.body_too_large", "The body is larger than limits.body.";
    RequestHeadersTooLarge = "request.headers_too_large", "The request headers are larger than limits.header.";
    RequestLookalike = "request.lookalike", "A header name has another character where a header that claimsmith sends or reads has a dash.";
    RequestMalformed = "request.malformed", "The body is not valid for this path.";
    RequestMediaType = "request.media_type", "The media type of the body is not accepted at this path.";
    RequestMetadata = "request.metadata", "The proxy did not describe the original request, or described it ambiguously.";
    RequestMethod = "request.method", "The path does not support this method.";
    RequestOrigin = "request.origin", "The request comes from another site, or its Host header is not accepted.";
    RequestPath = "request.path", "The path does not exist.";
    RequestTimeout = "request.timeout", "The request took longer than limits.request.";
    ServiceConnections = "service.connections", "More connections are open than limits.connections allows.";
    ServiceOverloaded = "service.overloaded", "More requests are in flight than limits.in_flight allows.";
    SessionAge = "session.age", "The last login is longer ago than the check allows.";
    SessionAmbiguous = "session.ambiguous", "The request has more than one credential of a kind.";
    SessionDepth = "session.depth", "Arrays and objects in the body are nested deeper than limits.depth.";
    SessionDuplicateMember = "session.duplicate_member", "An object in the body contains a duplicate member name.";
    SessionEmptySubject = "session.empty_subject", "The session has no subject, and the profile requires one.";
    SessionExpired = "session.expired", "The session has expired.";
    SessionExpiry = "session.expiry", "The session expiry is missing or cannot be parsed.";
    SessionInactive = "session.inactive", "The session is not active.";
    SessionInvalid = "session.invalid", "The body is JSON, but not an authentication session.";
    SessionLevel = "session.level", "The session has a lower assurance level than the check or its source requires.";
    SessionMalformed = "session.malformed", "The body is not JSON.";
    SessionRefused = "session.refused", "The template refused the session with `fail`.";
    SessionRequired = "session.required", "The request has no valid session.";
    SourceRateLimited = "source.rate_limited", "The session source limits its callers.";
    SourceUnavailable = "source.unavailable", "The session source could not be reached, or its response says nothing about the session.";
    TemplateDuplicateMember = "template.duplicate_member", "The template writes a duplicate member name into an object.";
    TemplateHelper = "template.helper", "The template calls an unknown helper or function, or passes invalid arguments.";
    TemplateLimit = "template.limit", "The template exceeds its limits for work, depth or output.";
    TemplateMissingValue = "template.missing_value", "The session lacks a value that the template needs.";
    TemplatePosition = "template.position", "The template has text or an expression at a position that JSON does not allow.";
    TemplateRecordedCase = "template.recorded_case", "A recorded case of the template does not render the recorded claims.";
    TemplateRefused = "template.refused", "The template rejected the session, or uses a feature that is blocked for safety.";
    TemplateSyntax = "template.syntax", "The template cannot be read or has a syntax error.";
    TemplateWrongType = "template.wrong_type", "A session value has a type that the template cannot use at this position.";
    TlsInvalid = "tls.invalid", "The certificate, key or client CA of the API listener is invalid or cannot be read.";
}

impl ErrorCode {
    /// Returns `true` if the person behind the request only has to log in.
    pub fn is_about_login(self) -> bool {
        matches!(self, ErrorCode::SessionAge | ErrorCode::SessionLevel | ErrorCode::SessionRequired)
    }

    /// Returns `true` if the same request can succeed a moment later.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            ErrorCode::CallerConcurrency
                | ErrorCode::CallerConnections
                | ErrorCode::CallerRate
                | ErrorCode::KeyBusy
                | ErrorCode::KeyUnavailable
                | ErrorCode::ServiceConnections
                | ErrorCode::ServiceOverloaded
                | ErrorCode::SourceUnavailable
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_codes_are_unique() {
        let mut texts: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }
}
