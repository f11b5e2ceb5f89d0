//! The rules for the claims of a token whose signature was verified (RFC 7519 section 4.1, RFC 8725 section 3).

use super::spec::JwtSpec;
use crate::json::{Json, ReadLimits};
use crate::keys::VerifiedToken;
use crate::sources::token_claims::{Window, has_audience, is_bound, numeric_date};
use crate::sources::{Rejection, ResolvedSession};
use crate::time::Timestamp;

/// The types that a token can have if none is configured. Others, such as `logout+jwt`, are for other purposes.
const USUAL_TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// Returns the session of a token.
///
/// # Errors
/// Returns why the token is not for this source, or not valid at `now`.
pub(super) fn session(
    token: &VerifiedToken,
    spec: &JwtSpec,
    depth: usize,
    now: Timestamp,
) -> Result<ResolvedSession, Rejection> {
    match is_expected_type(token.typ(), spec.typ.as_deref()) {
        true => session_of(token.claims(), spec, depth, now),
        false => Err(Rejection::Type),
    }
}

/// As [`session`], for the claims alone.
pub(super) fn session_of(
    text: &str,
    spec: &JwtSpec,
    depth: usize,
    now: Timestamp,
) -> Result<ResolvedSession, Rejection> {
    let claims = Json::parse(text.as_bytes(), ReadLimits { depth }).map_err(|_| Rejection::Malformed)?;
    let Json::Object(_) = &claims else { return Err(Rejection::Malformed) };
    let text_of = |claim: &str| claims.member(claim).and_then(Json::as_str);
    let time = |claim: &'static str| numeric_date(&claims, claim).map_err(|()| Rejection::Malformed);
    let window = Window { expires_at: time("exp")?, not_before: time("nbf")?, issued_at: time("iat")? };
    let leeway = i64::try_from(spec.leeway.as_secs()).unwrap_or(i64::MAX);
    let rules = [
        (text_of("iss") == Some(spec.issuer.as_str()), Rejection::Issuer),
        (has_audience(&claims, &spec.audience), Rejection::Audience),
        // RFC 8417: security events, such as logout tokens, are about a person and not from them.
        (claims.member("events").is_none(), Rejection::Type),
        (!is_bound(&claims), Rejection::Bound),
        (window.expires_at.is_some(), Rejection::Malformed),
    ];
    if let Some((_, rejection)) = rules.into_iter().find(|(is_kept, _)| !is_kept) {
        return Err(rejection);
    }
    window.check(now, leeway)?;
    let subject = spec.subject.find(&claims).and_then(Json::as_str).filter(|subject| !subject.is_empty());
    let subject = subject.ok_or(Rejection::Subject)?.to_owned();
    let assurance = spec.assurance.read(&claims);
    Ok(ResolvedSession {
        subject,
        extra: text.to_owned(),
        assurance,
        set_cookies: Vec::new(),
        expires_at: window.expires_at,
        cache_for: None,
    })
}

/// Compares media types as RFC 7515 section 4.1.9 says: without case, and with or without `application/`.
fn is_expected_type(found: Option<&str>, wanted: Option<&str>) -> bool {
    let short = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").map_or_else(|| typ.clone(), str::to_owned)
    };
    match (found.map(short), wanted.map(short)) {
        (Some(found), Some(wanted)) => found == wanted,
        (Some(found), None) => USUAL_TYPES.contains(&found.as_str()),
        (None, wanted) => wanted.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MemberPath;
    use crate::keys::SignatureAlg;
    use crate::remote::RemoteSource;
    use crate::session::AssuranceLevel;
    use crate::sources::jwt::KeyOrigin;
    use crate::sources::{AssuranceSpec, LevelSpec};
    use std::time::Duration;

    const NOW: i64 = 1_000_000;

    fn spec() -> JwtSpec {
        JwtSpec {
            issuer: "https://idp.example".to_owned(),
            audience: vec!["orders".to_owned(), "billing".to_owned()],
            algorithms: vec![SignatureAlg::Es256],
            typ: None,
            keys: KeyOrigin::Url(RemoteSource::parse("https://idp.example/jwks").unwrap()),
            subject: MemberPath::parse("sub").unwrap(),
            leeway: Duration::from_secs(30),
            timeout: Duration::from_secs(1),
            assurance: AssuranceSpec {
                authenticated_at: MemberPath::parse("auth_time"),
                level: Some(LevelSpec {
                    path: MemberPath::parse("acr").unwrap(),
                    aal1: Vec::new(),
                    aal2: vec!["mfa".to_owned()],
                }),
            },
        }
    }

    fn read(claims: &str) -> Result<ResolvedSession, Rejection> {
        session_of(claims, &spec(), 8, Timestamp::from_seconds(NOW))
    }

    #[test]
    fn claims_are_the_session() {
        let text = r#"{"iss":"https://idp.example","aud":["x","billing"],"sub":"u-1","exp":1000060.9,"acr":"mfa","auth_time":999999}"#;
        let session = read(text).unwrap();
        assert_eq!((session.subject.as_str(), session.extra.as_str()), ("u-1", text));
        assert_eq!(session.expires_at, Some(Timestamp::from_seconds(NOW + 60)));
        assert_eq!(session.assurance.level, Some(AssuranceLevel::Aal2));
        assert_eq!(session.assurance.authenticated_at, Some(Timestamp::from_seconds(NOW - 1)));
    }

    #[test]
    fn token_that_breaks_a_rule_is_rejected_for_this_rule() {
        let rest = r#""sub":"u","aud":"orders","exp":1000060"#;
        let issued = |more: &str| format!(r#"{{"iss":"https://idp.example",{more}}}"#);
        for (claims, expected) in [
            (issued(rest), None),
            (issued(&format!(r#"{rest},"nbf":1000030,"iat":1000030"#)), None),
            (issued(&format!(r#"{rest},"nbf":1000031"#)), Some(Rejection::NotYetValid)),
            (issued(&format!(r#"{rest},"iat":1000031"#)), Some(Rejection::NotYetValid)),
            (issued(&format!(r#"{rest},"iat":"now""#)), Some(Rejection::Malformed)),
            (issued(&format!(r#"{rest},"events":{{}}"#)), Some(Rejection::Type)),
            (issued(&format!(r#"{rest},"cnf":{{"jkt":"x"}}"#)), Some(Rejection::Bound)),
            (issued(&format!(r#"{rest},"sub":"admin""#)), Some(Rejection::Malformed)),
            (issued(r#""sub":"u","aud":"orders","exp":1000001"#), None),
            (issued(r#""sub":"u","aud":"orders","exp":1000000"#), Some(Rejection::Expired)),
            (issued(r#""sub":"u","aud":"orders","exp":"1000060""#), Some(Rejection::Malformed)),
            (issued(r#""sub":"u","aud":"orders","exp":null"#), Some(Rejection::Malformed)),
            (issued(r#""sub":"u","aud":"orders""#), Some(Rejection::Malformed)),
            (issued(r#""sub":"u","exp":1000060"#), Some(Rejection::Audience)),
            (issued(r#""sub":"u","aud":[],"exp":1000060"#), Some(Rejection::Audience)),
            (issued(r#""sub":"u","aud":["a"],"exp":1000060"#), Some(Rejection::Audience)),
            (issued(r#""sub":"u","aud":["orders",7],"exp":1000060"#), Some(Rejection::Audience)),
            (issued(r#""sub":"u","aud":"ORDERS","exp":1000060"#), Some(Rejection::Audience)),
            (issued(r#""sub":"","aud":"orders","exp":1000060"#), Some(Rejection::Subject)),
            (issued(r#""sub":7,"aud":"orders","exp":1000060"#), Some(Rejection::Subject)),
            (issued(r#""aud":"orders","exp":1000060"#), Some(Rejection::Subject)),
            (format!(r#"{{"iss":"https://idp.example/",{rest}}}"#), Some(Rejection::Issuer)),
            (format!(r#"{{"iss":["https://idp.example"],{rest}}}"#), Some(Rejection::Issuer)),
            (format!("{{{rest}}}"), Some(Rejection::Issuer)),
            ("[]".to_owned(), Some(Rejection::Malformed)),
            ("{".to_owned(), Some(Rejection::Malformed)),
        ] {
            assert_eq!(read(&claims).err(), expected, "{claims}");
        }
    }

    #[test]
    fn types_for_other_purposes_are_refused() {
        for (found, wanted, expected) in [
            (None, None, true),
            (Some("JWT"), None, true),
            (Some("at+jwt"), None, true),
            (Some("application/AT+JWT"), None, true),
            (Some("logout+jwt"), None, false),
            (Some("dpop+jwt"), None, false),
            (Some("at+jwt"), Some("at+jwt"), true),
            (Some("Application/at+jwt"), Some("AT+JWT"), true),
            (Some("JWT"), Some("at+jwt"), false),
            (None, Some("at+jwt"), false),
        ] {
            assert_eq!(is_expected_type(found, wanted), expected, "{found:?} {wanted:?}");
        }
    }
}
