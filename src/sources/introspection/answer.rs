//! The response of an introspection endpoint (RFC 7662 section 2.2), read as an answer about the session.

use std::sync::Arc;

use reqwest::StatusCode;

use super::spec::IntrospectionSpec;
use crate::json::{Json, ReadLimits};
use crate::sources::http::Answer;
use crate::sources::token_claims::{Window, has_audience, is_bound, numeric_date};
use crate::sources::{Rejection, Resolution, ResolvedSession, SourceFailure};
use crate::time::Timestamp;

/// The difference between clocks that is tolerated at the beginning of a token, in seconds.
const LEEWAY: i64 = 30;

/// Reads a response. Only a 200 with `active`, and a 429, say something about the token.
pub(in crate::sources) fn read(answer: Answer, spec: &IntrospectionSpec, depth: usize, now: Timestamp) -> Resolution {
    match answer.status {
        StatusCode::OK => session(answer, spec, depth, now).unwrap_or_else(|resolution| resolution),
        StatusCode::TOO_MANY_REQUESTS => Resolution::RateLimited(Arc::new(answer.rate_limit())),
        // RFC 7662 section 2.3: claimsmith itself is not authorized. This says nothing about the token.
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let message = format!("expected 200, found {status}: check `basic` or `bearer` of the source");
            Resolution::unavailable(SourceFailure::Status, message)
        }
        _ => answer.unexpected("url"),
    }
}

fn session(answer: Answer, spec: &IntrospectionSpec, depth: usize, now: Timestamp) -> Result<Resolution, Resolution> {
    let malformed = |message: String| {
        Resolution::unavailable(SourceFailure::Malformed, format!("expected an introspection response, {message}"))
    };
    if !answer.is_json() {
        return Err(malformed("found a response whose media type is not application/json".to_owned()));
    }
    let text = String::from_utf8(answer.body).map_err(|_| malformed("found bytes that are not UTF-8".to_owned()))?;
    let value = Json::parse(text.as_bytes(), ReadLimits { depth })
        .map_err(|error| malformed(format!("found a body that cannot be read: {error}")))?;
    match value.member("active") {
        Some(Json::Bool(true)) => {}
        Some(Json::Bool(false)) => return Ok(Resolution::NoSession(Rejection::Inactive)),
        _ => return Err(malformed("found a body without the boolean `active`".to_owned())),
    }
    // Some servers send the members that they do not know as null.
    let time = |claim: &'static str| match value.member(claim) {
        Some(Json::Null) => Ok(None),
        _ => numeric_date(&value, claim).map_err(|()| malformed(format!("found a `{claim}` that is not a number"))),
    };
    // The server could read our issuer in a token that cannot be read here, such as an encrypted one.
    if value.member("iss").and_then(Json::as_str).is_some_and(|issuer| spec.is_own(issuer)) {
        return Ok(Resolution::NoSession(Rejection::Issuer));
    }
    let window = Window { expires_at: time("exp")?, not_before: time("nbf")?, issued_at: None };
    if let Err(rejection) = check_rules(&value, &window, spec, now) {
        return Ok(Resolution::NoSession(rejection));
    }
    let subject = spec.subject.find(&value).and_then(Json::as_str).filter(|subject| !subject.is_empty());
    let subject =
        subject.ok_or_else(|| malformed(format!("found no text at `{}` (subject)", spec.subject)))?.to_owned();
    let assurance = spec.assurance.read(&value);
    drop(value);
    Ok(Resolution::Session(Arc::new(ResolvedSession {
        subject,
        extra: text,
        assurance,
        set_cookies: Vec::new(),
        expires_at: window.expires_at,
        cache_for: None,
    })))
}

/// Checks the rules that an active token can break.
fn check_rules(answer: &Json<'_>, window: &Window, spec: &IntrospectionSpec, now: Timestamp) -> Result<(), Rejection> {
    window.check(now, LEEWAY)?;
    if !is_bearer_access_token(answer) {
        return Err(Rejection::Type);
    }
    if is_bound(answer) {
        return Err(Rejection::Bound);
    }
    if !spec.audience.is_empty() && !has_audience(answer, &spec.audience) {
        return Err(Rejection::Audience);
    }
    Ok(())
}

/// Returns `false` for refresh tokens, which Hydra also knows as active, and for tokens that are not bearer tokens.
fn is_bearer_access_token(answer: &Json<'_>) -> bool {
    let is_in = |name: &str, known: &[&str]| match answer.member(name) {
        None | Some(Json::Null) => true,
        Some(value) => value.as_str().is_some_and(|value| known.iter().any(|word| value.eq_ignore_ascii_case(word))),
    };
    is_in("token_use", &["access_token"]) && is_in("token_type", &["bearer", "access_token"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MemberPath;
    use crate::sources::{AssuranceSpec, CallResult};
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use std::collections::BTreeSet;
    use std::time::Duration;
    use url::Url;

    const NOW: i64 = 1_000_000;
    const JSON: (&str, &str) = ("content-type", "application/json;charset=UTF-8");

    fn spec(audience: &[&str]) -> IntrospectionSpec {
        IntrospectionSpec {
            url: Url::parse("http://hydra/introspect").unwrap(),
            client: None,
            audience: audience.iter().map(|name| (*name).to_owned()).collect(),
            subject: MemberPath::parse("sub").unwrap(),
            timeout: Duration::from_secs(1),
            cache: None,
            assurance: AssuranceSpec::default(),
            own_issuers: BTreeSet::from(["https://own.example/".to_owned()]),
        }
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str, audience: &[&str]) -> Resolution {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let status = StatusCode::from_u16(status).unwrap();
        read(
            Answer { status, headers, body: body.as_bytes().to_vec() },
            &spec(audience),
            8,
            Timestamp::from_seconds(NOW),
        )
    }

    #[test]
    fn whole_answer_is_the_session_and_exp_its_end() {
        let body = r#"{"active":true,"sub":"u-1","exp":1000060,"scope":"a b","ext":{"n":9007199254740993}}"#;
        let Resolution::Session(session) = answer(200, &[JSON], body, &[]) else { panic!("no session") };
        assert_eq!((session.subject.as_str(), session.extra.as_str()), ("u-1", body));
        assert_eq!(session.expires_at, Some(Timestamp::from_seconds(NOW + 60)));
    }

    #[test]
    fn only_an_answer_about_the_token_says_that_there_is_no_session() {
        use CallResult::{Failed, NoSession, RateLimited, Session};
        use SourceFailure::{Gateway, Malformed, ServerError, Status};
        for (status, headers, body, expected) in [
            (200, &[JSON][..], r#"{"active":true,"sub":"u"}"#, Session),
            (200, &[JSON], r#"{"active":true,"sub":"u","token_type":"Bearer","token_use":"access_token"}"#, Session),
            (200, &[JSON], r#"{"active":true,"sub":"u","exp":1000001,"nbf":1000030}"#, Session),
            (200, &[JSON], r#"{"active":true,"sub":"u","exp":null,"nbf":null,"token_use":null}"#, Session),
            (200, &[JSON], r#"{"active":false}"#, NoSession),
            (200, &[JSON], r#"{"active":false,"sub":7}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","exp":1000000}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","nbf":1000031}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","token_use":"refresh_token"}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","token_type":"DPoP"}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","cnf":{"jkt":"x"}}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","iss":"https://own.example"}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"sub":"u","iss":"https://other.example"}"#, Session),
            (200, &[JSON], r#"{"active":"true","sub":"u"}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"sub":"u"}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"sub":""}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"sub":"u","exp":"1000001"}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"active":false}"#, Failed(Malformed)),
            (200, &[JSON], "[[[[[[[[[[1]]]]]]]]]]", Failed(Malformed)),
            (200, &[JSON], "", Failed(Malformed)),
            (200, &[("content-type", "text/html")], r#"{"active":false}"#, Failed(Malformed)),
            (200, &[], r#"{"active":false}"#, Failed(Malformed)),
            (204, &[], "", Failed(Status)),
            (302, &[], "", Failed(Status)),
            (400, &[JSON], "{}", Failed(Status)),
            (401, &[JSON], r#"{"active":false}"#, Failed(Status)),
            (403, &[JSON], r#"{"active":false}"#, Failed(Status)),
            (404, &[], "", Failed(Status)),
            (429, &[("retry-after", "7")], "", RateLimited),
            (500, &[], "", Failed(ServerError)),
            (503, &[], "", Failed(Gateway)),
        ] {
            assert_eq!(answer(status, headers, body, &[]).result(), expected, "{status} {body}");
        }
    }

    #[test]
    fn token_for_another_audience_is_no_session() {
        for (aud, expected) in [
            (r#""orders""#, CallResult::Session),
            (r#"["a","orders"]"#, CallResult::Session),
            (r#""orders2""#, CallResult::NoSession),
            (r#"["a"]"#, CallResult::NoSession),
            ("[]", CallResult::NoSession),
            ("null", CallResult::NoSession),
        ] {
            let body = format!(r#"{{"active":true,"sub":"u","aud":{aud}}}"#);
            assert_eq!(answer(200, &[JSON], &body, &["orders"]).result(), expected, "{aud}");
        }
    }

    #[test]
    fn issuers_of_our_own_are_recognized_with_and_without_a_slash() {
        for (issuer, expected) in [
            ("https://own.example/", true),
            ("https://own.example", true),
            ("https://own.example//", true),
            ("https://own.example.org", false),
            ("", false),
        ] {
            assert_eq!(spec(&[]).is_own(issuer), expected, "{issuer}");
        }
    }
}
