//! Discovery documents and key sets of issuers, as remote files (OpenID Connect Discovery 1.0 section 4).

use crate::code::ErrorCode;
use crate::json::{Json, ReadLimits};
use crate::keys::{SignatureAlg, VerifyingSet};
use crate::remote::{FailureCodes, FailureHints, FileKind, RemoteSource};

const CODES: FailureCodes = FailureCodes {
    invalid: ErrorCode::KeySetInvalid,
    timeout: ErrorCode::KeySourceTimeout,
    too_large: ErrorCode::KeySourceTooLarge,
    unavailable: ErrorCode::KeySourceUnavailable,
};

const HINTS: FailureHints =
    FailureHints { timeout: "increase timeout of the source", too_large: "increase limits.body" };

/// A discovery document.
pub(super) static DISCOVERY: FileKind = FileKind {
    accept: "application/json",
    check: |bytes| match Json::parse(bytes, ReadLimits::default()) {
        Ok(document) if document.member("jwks_uri").and_then(Json::as_str).is_some() => Ok(()),
        Ok(_) => Err("expected a discovery document with `jwks_uri`, found none".to_owned()),
        Err(error) => Err(format!("expected a discovery document in JSON: {error}")),
    },
    codes: CODES,
    hints: HINTS,
};

/// A JWK Set with public keys.
pub(super) static PUBLIC_KEY_SET: FileKind = FileKind {
    accept: "application/jwk-set+json, application/json",
    check: |bytes| match VerifyingSet::parse(bytes, &SignatureAlg::ALL) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    },
    codes: CODES,
    hints: HINTS,
};

/// Returns the URL of the key set in a discovery document.
///
/// # Errors
/// Returns what was expected and what was found, if the document is of another issuer, or if its keys are not at an http or
/// https URL. The keys of an https issuer are at an https URL.
pub(super) fn jwks_uri(document: &[u8], issuer: &str) -> Result<RemoteSource, &'static str> {
    let value =
        Json::parse(document, ReadLimits::default()).map_err(|_| "expected a discovery document, found none")?;
    if value.member("issuer").and_then(Json::as_str) != Some(issuer) {
        return Err("expected a discovery document with the configured issuer, found another `issuer` or none");
    }
    let scheme = if issuer.starts_with("https://") { "https://" } else { "http" };
    let uri = value.member("jwks_uri").and_then(Json::as_str).filter(|uri| uri.starts_with(scheme));
    let source = uri.and_then(|uri| RemoteSource::parse(uri).ok());
    source.ok_or("expected `jwks_uri` to be an https URL (http only if the issuer is one), found another value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_of_another_issuer_leads_nowhere() {
        let document = |issuer: &str, uri: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"{uri}"}}"#);
        for (text, issuer, expected) in [
            (document("https://a", "https://a/jwks"), "https://a", Some("https://a/jwks")),
            (document("https://a", "https://keys.b/jwks"), "https://a", Some("https://keys.b/jwks")),
            (document("http://a", "http://a/jwks"), "http://a", Some("http://a/jwks")),
            (document("http://a", "https://a/jwks"), "http://a", Some("https://a/jwks")),
            (document("https://a", "http://a/jwks"), "https://a", None),
            (document("https://a/", "https://a/jwks"), "https://a", None),
            (document("https://A", "https://a/jwks"), "https://a", None),
            (document("https://a", "file:///etc/passwd"), "https://a", None),
            (document("http://a", "s3://a/b"), "http://a", None),
            (document("http://a", "http://u:p@a/b"), "http://a", None),
            (r#"{"jwks_uri":"https://a/jwks"}"#.to_owned(), "https://a", None),
            (r#"{"issuer":"https://a"}"#.to_owned(), "https://a", None),
            (r#"{"issuer":"https://b","issuer":"https://a","jwks_uri":"https://a"}"#.to_owned(), "https://a", None),
        ] {
            let found = jwks_uri(text.as_bytes(), issuer).ok().map(|source| source.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
