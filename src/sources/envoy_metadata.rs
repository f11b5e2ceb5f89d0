//! A source for JWTs that Envoy's `jwt_authn` filter verified. Envoy passes their claims on as metadata, which a client cannot
//! write. Only the gRPC protocol has this metadata, and only that of a trusted peer comes here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::token_claims::{Window, is_bound, is_own_issuer, numeric_date};
use super::{AssuranceSpec, Credential, CredentialKind, Rejection, RequestCredentials, Resolution, ResolvedSession};
use crate::json::{Json, MemberPath, ReadLimits};
use crate::time::Timestamp;

/// The settings of an `envoy_metadata` source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyMetadataSpec {
    /// The filter that wrote the metadata.
    pub filter: String,
    /// The member with the claims, which is `payload_in_metadata` of the provider.
    pub key: String,
    /// The `iss` that the claims must have; `None` for any that Envoy accepts.
    pub issuer: Option<String>,
    /// The path of the subject in the claims.
    pub subject: MemberPath,
    /// How the claims say how a person was authenticated.
    pub assurance: AssuranceSpec,
    /// The issuers of the profiles, whose tokens are no sessions unless `issuer` names them.
    pub own_issuers: BTreeSet<String>,
}

/// An `envoy_metadata` source.
pub(super) struct EnvoyMetadata {
    spec: EnvoyMetadataSpec,
    depth: usize,
}

impl EnvoyMetadata {
    /// Returns a source that reads claims with at most `depth` levels.
    pub(super) fn new(spec: EnvoyMetadataSpec, depth: usize) -> Self {
        Self { spec, depth }
    }

    /// Returns the claims in `request`; `None` if Envoy verified no token for this source.
    pub(super) fn credential(&self, request: &RequestCredentials<'_>) -> Option<Credential> {
        let (_, text) = request.verified.iter().find(|(filter, _)| *filter == self.spec.filter)?;
        // Metadata with two meanings is a credential that resolves to nothing, not a missing one.
        let Ok(metadata) = Json::parse(text.as_bytes(), self.limits()) else {
            return Some(Credential(CredentialKind::Claims(String::new())));
        };
        let claims = metadata.member(&self.spec.key)?.to_string();
        Some(Credential(CredentialKind::Claims(claims)))
    }

    /// Returns the session of `credential`, if its claims are valid at `now`.
    pub(super) fn resolve(&self, credential: &Credential, now: Timestamp) -> Resolution {
        match &credential.0 {
            CredentialKind::Claims(claims) => read_claims(claims, &self.spec, self.depth, now),
            _ => Resolution::NoSession(Rejection::Malformed),
        }
    }

    fn limits(&self) -> ReadLimits {
        // The metadata has the claims one level below its own.
        ReadLimits { depth: self.depth.saturating_add(1) }
    }
}

/// Returns the session of the claims of a token that Envoy verified, if they are valid at `now`.
pub(super) fn read_claims(claims: &str, spec: &EnvoyMetadataSpec, depth: usize, now: Timestamp) -> Resolution {
    match session(claims, spec, depth, now) {
        Ok(session) => Resolution::Session(Arc::new(session)),
        Err(rejection) => Resolution::NoSession(rejection),
    }
}

/// Envoy verified the signature, the issuer, the audience and the times. The end is checked again, because a stream can
/// wait, and because `jwt_authn` accepts tokens without one.
fn session(text: &str, spec: &EnvoyMetadataSpec, depth: usize, now: Timestamp) -> Result<ResolvedSession, Rejection> {
    let claims = Json::parse(text.as_bytes(), ReadLimits { depth }).map_err(|_| Rejection::Malformed)?;
    let Json::Object(_) = &claims else { return Err(Rejection::Malformed) };
    let expires_at = numeric_date(&claims, "exp").ok().flatten().ok_or(Rejection::Malformed)?;
    let issuer = claims.member("iss").and_then(Json::as_str);
    let is_accepted = match spec.issuer.as_deref() {
        Some(wanted) => issuer == Some(wanted),
        None => issuer.is_none_or(|issuer| !is_own_issuer(&spec.own_issuers, issuer)),
    };
    if !is_accepted {
        return Err(Rejection::Issuer);
    }
    if is_bound(&claims) {
        return Err(Rejection::Bound);
    }
    Window { expires_at: Some(expires_at), ..Window::default() }.check(now, 0)?;
    let subject = spec.subject.find(&claims).and_then(Json::as_str).filter(|subject| !subject.is_empty());
    Ok(ResolvedSession {
        subject: subject.ok_or(Rejection::Subject)?.to_owned(),
        extra: text.to_owned(),
        assurance: spec.assurance.read(&claims),
        set_cookies: Vec::new(),
        expires_at: Some(expires_at),
        cache_for: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;
    const FILTER: &str = "envoy.filters.http.jwt_authn";

    fn subject(issuer: Option<&str>, filter: &str, metadata: &str) -> Option<Result<String, ()>> {
        let spec = EnvoyMetadataSpec {
            filter: FILTER.to_owned(),
            key: "claims".to_owned(),
            issuer: issuer.map(str::to_owned),
            subject: MemberPath::parse("sub").unwrap(),
            assurance: AssuranceSpec::default(),
            own_issuers: BTreeSet::from(["https://own/".to_owned()]),
        };
        let source = EnvoyMetadata::new(spec, 8);
        let verified = [(filter.to_owned(), metadata.to_owned())];
        let request = RequestCredentials { verified: &verified, ..RequestCredentials::default() };
        let credential = source.credential(&request)?;
        match source.resolve(&credential, Timestamp::from_seconds(NOW)) {
            Resolution::Session(session) => Some(Ok(session.subject.clone())),
            _ => Some(Err(())),
        }
    }

    #[test]
    fn only_claims_of_the_configured_filter_and_key_are_a_session() {
        let valid = r#"{"claims":{"iss":"https://a","sub":"u","exp":1000060}}"#;
        assert_eq!(subject(None, FILTER, valid), Some(Ok("u".to_owned())));
        assert_eq!(subject(Some("https://a"), FILTER, valid), Some(Ok("u".to_owned())));
        assert_eq!(subject(Some("https://b"), FILTER, valid), Some(Err(())));
        let own = r#"{"claims":{"iss":"https://own/","sub":"u","exp":1000060}}"#;
        assert_eq!(subject(None, FILTER, own), Some(Err(())), "a token of ours is no session");
        assert_eq!(subject(Some("https://own/"), FILTER, own), Some(Ok("u".to_owned())), "unless it is asked for");
        assert_eq!(subject(None, "other", valid), None);
        assert_eq!(subject(None, FILTER, r#"{"other":{"sub":"u","exp":1000060}}"#), None);
        for invalid in [
            r#"{"claims":{"sub":"u"}}"#,
            r#"{"claims":{"sub":"u","exp":1000000}}"#,
            r#"{"claims":{"sub":"u","exp":"1000060"}}"#,
            r#"{"claims":{"sub":"","exp":1000060}}"#,
            r#"{"claims":{"exp":1000060}}"#,
            r#"{"claims":{"sub":"u","exp":1000060,"cnf":{}}}"#,
            r#"{"claims":{"sub":"u","sub":"v","exp":1000060}}"#,
            r#"{"claims":"u"}"#,
            r#"{"claims":{"iss":"https://own","sub":"u","exp":1000060}}"#,
            r#"{"claims":{"sub":"u","exp":1000060},"claims":{}}"#,
        ] {
            assert_eq!(subject(None, FILTER, invalid), Some(Err(())), "{invalid}");
        }
    }
}
