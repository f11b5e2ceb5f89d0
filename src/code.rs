//! The closed list of error codes.
//!
//! A code is stable: it is the `type` of a problem document, the label of the failure counter, the `code` field of a
//! log line and of `claimsmith test --json`. Adding one is a feature, renaming one a breaking change.

use std::fmt;

/// Declares the codes once: variant, text, and what it means, which is also what the reference lists.
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

            /// The code as it is written on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $text,)+
                }
            }

            /// What the code means, in one sentence.
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
    CallerConnections = "caller.connections", "More connections come from this address than limits.connections_per_peer allows.";
    CallerForbidden = "caller.forbidden", "The caller may not ask for this profile.";
    CallerRate = "caller.rate", "The caller asks more often than its limits.rate allows.";
    CallerSlowed = "caller.slowed", "Too many requests with wrong credentials came from this address.";
    CallerUnauthenticated = "caller.unauthenticated", "The request carries no credentials of a configured caller.";
    ClaimsDuplicateMember = "claims.duplicate_member", "The rendered claims hold a member name twice.";
    ClaimsInvalid = "claims.invalid", "The rendered claims are not JSON, or hold a claim of a wrong type.";
    ClaimsNotAnObject = "claims.not_an_object", "The rendered claims are JSON, but not an object.";
    ClaimsRegistered = "claims.registered", "The template sets a claim that claimsmith sets itself.";
    ClaimsSchema = "claims.schema", "The claims do not fit the JSON Schema beside their template.";
    ConfigInvalid = "config.invalid", "The configuration does not say what it must, or says what it may not.";
    Internal = "internal", "A fault of claimsmith itself; the log has more.";
    KeyBusy = "keys.busy", "Too many signatures of slow keys are waited for.";
    KeySetInvalid = "keys.invalid", "The JWK Set cannot be used.";
    KeySigningFailed = "keys.signing_failed", "A key refused to sign.";
    KeySourceTimeout = "keys.source_timeout", "A key set from the network took longer than limits.key_fetch.";
    KeySourceTooLarge = "keys.source_too_large", "A key set from the network is larger than limits.key_set.";
    KeySourceUnavailable = "keys.source_unavailable", "A source on the network gave no answer that counts.";
    KeyUnavailable = "keys.unavailable", "No key of the profile may sign at this time.";
    ProfileUnknown = "profile.unknown", "There is no profile of that name.";
    RequestBodyIncomplete = "request.body_incomplete", "The body ended before its announced length, or could not be read.";
    RequestBodyTooLarge = "request.body_too_large", "The body is larger than limits.body.";
    RequestHeadersTooLarge = "request.headers_too_large", "The request headers are larger than limits.header.";
    RequestMalformed = "request.malformed", "The body is not what the path takes.";
    RequestMediaType = "request.media_type", "The body is of another media type than the path takes.";
    RequestMethod = "request.method", "The path exists, but not with this method.";
    RequestOrigin = "request.origin", "The request comes from another site, or names a host that could be anybody's.";
    RequestPath = "request.path", "Nothing stands at this path.";
    RequestTimeout = "request.timeout", "The request took longer than limits.request.";
    ServiceConnections = "service.connections", "More connections are open than limits.connections allows.";
    ServiceOverloaded = "service.overloaded", "More requests are in flight than limits.in_flight allows.";
    SessionDepth = "session.depth", "The body nests arrays and objects deeper than limits.depth.";
    SessionDuplicateMember = "session.duplicate_member", "The body holds a member name twice in one object.";
    SessionEmptySubject = "session.empty_subject", "The session names no subject, and the profile wants one.";
    SessionExpired = "session.expired", "The session has expired already.";
    SessionExpiry = "session.expiry", "The session does not say when it ends, or not readably.";
    SessionInactive = "session.inactive", "The session says that it is not active.";
    SessionInvalid = "session.invalid", "The body is JSON, but no authentication session.";
    SessionMalformed = "session.malformed", "The body is not JSON.";
    TemplateDuplicateMember = "template.duplicate_member", "The template writes a member name twice in one object.";
    TemplateHelper = "template.helper", "The template calls something that does not exist, or with wrong arguments.";
    TemplateLimit = "template.limit", "The template asked for more work, depth or output than its limits allow.";
    TemplateMissingValue = "template.missing_value", "The session lacks a value that the template needs.";
    TemplatePosition = "template.position", "The template puts text or an expression where JSON cannot hold it.";
    TemplateRecordedCase = "template.recorded_case", "A recorded case of the template does not come out as recorded.";
    TemplateRefused = "template.refused", "The template refused the session, or uses what is refused for safety.";
    TemplateSyntax = "template.syntax", "The template cannot be read.";
    TemplateWrongType = "template.wrong_type", "A value of the session has a type that the template cannot use there.";
    TlsInvalid = "tls.invalid", "The certificate, key or client CA of the api listener cannot be used.";
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
    fn every_code_is_written_differently() {
        let mut texts: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }
}
