//! The response of `GET /sessions/whoami`, read as an answer about the session.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, SET_COOKIE};
use url::Url;

use super::spec::KratosSpec;
use crate::json::{Json, ReadLimits};
use crate::session::{Assurance, AssuranceLevel};
use crate::sources::http::Answer;
use crate::sources::{Rejection, Resolution, ResolvedSession, SourceFailure, StepUp};
use crate::time::Timestamp;

/// How long a response can be cached, in seconds. Ory Network and Kratos with `cacheable_sessions` send it.
const CACHE_FOR: &str = "ory-session-cache-for";

/// Reads a response. Only what Kratos documents says something about the session: 200, 401, 403 with the URL of a
/// step-up, and 429.
pub(in crate::sources) fn read(answer: Answer, spec: &KratosSpec, depth: usize) -> Resolution {
    match answer.status {
        StatusCode::OK => session(answer, spec, depth).unwrap_or_else(|resolution| resolution),
        StatusCode::UNAUTHORIZED => Resolution::NoSession(Rejection::Inactive),
        StatusCode::FORBIDDEN => match step_up(&answer, depth) {
            Some(step_up) => Resolution::StepUp(Arc::new(step_up)),
            None => {
                let message = "expected `redirect_browser_to` in a response with status 403, found none";
                Resolution::unavailable(SourceFailure::Malformed, message)
            }
        },
        StatusCode::TOO_MANY_REQUESTS => Resolution::RateLimited(Arc::new(answer.rate_limit())),
        _ => answer.unexpected("public"),
    }
}

fn session(answer: Answer, spec: &KratosSpec, depth: usize) -> Result<Resolution, Resolution> {
    let malformed =
        |message: String| Resolution::unavailable(SourceFailure::Malformed, format!("expected a session, {message}"));
    if !answer.is_json() {
        return Err(malformed("found a response whose media type is not application/json".to_owned()));
    }
    let set_cookies = set_cookies(&answer.headers, spec);
    let cache_for = cache_for(&answer.headers);
    let text = String::from_utf8(answer.body).map_err(|_| malformed("found bytes that are not UTF-8".to_owned()))?;
    let value = Json::parse(text.as_bytes(), ReadLimits { depth })
        .map_err(|error| malformed(format!("found a body that cannot be read: {error}")))?;
    match value.member("active") {
        Some(Json::Bool(true)) => {}
        Some(Json::Bool(false)) => return Ok(Resolution::NoSession(Rejection::Inactive)),
        _ => return Err(malformed("found a body without the boolean `active`".to_owned())),
    }
    let subject = spec.subject.find(&value).and_then(Json::as_str).filter(|subject| !subject.is_empty());
    let subject = subject.ok_or_else(|| malformed(format!("found no text at `{}` (subject)", spec.subject)))?;
    let text_of = |name: &str| value.member(name).and_then(Json::as_str);
    let assurance = Assurance {
        level: text_of("authenticator_assurance_level").and_then(AssuranceLevel::parse),
        authenticated_at: text_of("authenticated_at").and_then(Timestamp::parse_rfc3339),
    };
    let expires_at =
        match value.member("expires_at") {
            None | Some(Json::Null) => None,
            Some(time) => Some(time.as_str().and_then(Timestamp::parse_rfc3339).ok_or_else(|| {
                malformed("found an `expires_at` that is not a date and time of RFC 3339".to_owned())
            })?),
        };
    let subject = subject.to_owned();
    drop(value);
    Ok(Resolution::Session(Arc::new(ResolvedSession {
        subject,
        extra: text,
        assurance,
        set_cookies,
        expires_at,
        cache_for,
    })))
}

/// Returns the `id` of a session that was read before.
pub(super) fn session_id(extra: &str, depth: usize) -> Option<String> {
    let value = Json::parse(extra.as_bytes(), ReadLimits { depth }).ok()?;
    value.member("id")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Returns how long the response can be cached. A value that cannot be read permits nothing.
fn cache_for(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(CACHE_FOR)?.to_str().ok().and_then(|text| text.trim().parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(0)))
}

/// Returns the cookies of the response that renew a session cookie.
fn set_cookies(headers: &HeaderMap, spec: &KratosSpec) -> Vec<String> {
    let values = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let is_session = |value: &&str| {
        value.split_once('=').is_some_and(|(name, _)| spec.cookies.iter().any(|cookie| cookie.matches(name.trim())))
    };
    values.filter(is_session).map(str::to_owned).collect()
}

/// Returns the URL in a 403, at the top level or in the details of the error, if it is an http or https URL.
fn step_up(answer: &Answer, depth: usize) -> Option<StepUp> {
    let value = Json::parse(&answer.body, ReadLimits { depth }).ok().filter(|_| answer.is_json())?;
    let in_details = || value.member("error")?.member("details")?.member("redirect_browser_to");
    let url = value.member("redirect_browser_to").or_else(in_details)?.as_str()?;
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(StepUp { redirect_browser_to: url.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MemberPath;
    use crate::sources::{CallResult, CookieName};
    use reqwest::header::{HeaderName, HeaderValue};

    const SESSION: &str = r#"{"active":true,"authenticated_at":"2026-03-01T09:20:41.118Z",
        "authenticator_assurance_level":"aal2","devices":null,"identity":{"id":"i-1"}}"#;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Resolution {
        let spec = KratosSpec {
            public: Url::parse("http://kratos").unwrap(),
            cookies: vec![CookieName::parse("ory_kratos_session").unwrap()],
            subject: MemberPath::parse("identity.id").unwrap(),
            timeout: Duration::from_secs(1),
            cache: None,
            extend: None,
        };
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = headers.iter().map(header).collect();
        let status = StatusCode::from_u16(status).unwrap();
        read(Answer { status, headers, body: body.as_bytes().to_vec() }, &spec, 8)
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn session_is_kept_whole_with_its_assurance() {
        let cookies =
            [JSON, ("set-cookie", "ory_kratos_session=new; Path=/; HttpOnly"), ("set-cookie", "other=x; Path=/")];
        let Resolution::Session(session) = answer(200, &cookies, SESSION) else { panic!("no session") };
        assert_eq!((session.subject.as_str(), session.extra.as_str()), ("i-1", SESSION));
        assert_eq!(session.assurance.level, Some(AssuranceLevel::Aal2));
        assert_eq!(session.assurance.authenticated_at, Timestamp::parse_rfc3339("2026-03-01T09:20:41.118Z"));
        assert_eq!(session.set_cookies, ["ory_kratos_session=new; Path=/; HttpOnly"]);
        assert!(!format!("{session:?}").contains("i-1"));
    }

    #[test]
    fn only_documented_responses_say_something_about_the_session() {
        use CallResult::{Failed, NoSession, RateLimited, Session, StepUp};
        use SourceFailure::{Gateway, Malformed, ServerError, Status};
        let aal = r#"{"error":{"details":{"redirect_browser_to":"https://id/login?aal=aal2"}}}"#;
        for (status, headers, body, expected) in [
            (200, &[JSON][..], r#"{"active":false,"identity":{"id":"i"}}"#, NoSession),
            (200, &[JSON], r#"{"active":true,"identity":null}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"identity":{"id":""}}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"identity":{"id":7}}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":"true","identity":{"id":"i"}}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"identity":{"id":"i"}}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"active":true}"#, Failed(Malformed)),
            (200, &[JSON], r#"[[[[[[[[[[1]]]]]]]]]]"#, Failed(Malformed)),
            (200, &[JSON], "", Failed(Malformed)),
            (200, &[("content-type", "text/html")], SESSION, Failed(Malformed)),
            (200, &[], SESSION, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"identity":{"id":"i"},"expires_at":"soon"}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"identity":{"id":"i"},"expires_at":1000}"#, Failed(Malformed)),
            (200, &[JSON], r#"{"active":true,"identity":{"id":"i"},"expires_at":null}"#, Session),
            (204, &[], "", Failed(Status)),
            (301, &[JSON], "", Failed(Status)),
            (400, &[JSON], "{}", Failed(Status)),
            (401, &[], "anything", NoSession),
            (403, &[JSON], aal, StepUp),
            (403, &[JSON], r#"{"redirect_browser_to":"https://id/login"}"#, StepUp),
            (403, &[JSON], r#"{"redirect_browser_to":"javascript:alert(1)"}"#, Failed(Malformed)),
            (403, &[("content-type", "text/html")], aal, Failed(Malformed)),
            (403, &[JSON], "{}", Failed(Malformed)),
            (404, &[JSON], "{}", Failed(Status)),
            (429, &[], "", RateLimited),
            (500, &[JSON], "{}", Failed(ServerError)),
            (501, &[JSON], "{}", Failed(ServerError)),
            (502, &[], "", Failed(Gateway)),
            (503, &[], "", Failed(Gateway)),
            (504, &[JSON], "{}", Failed(Gateway)),
        ] {
            assert_eq!(answer(status, headers, body).result(), expected, "{status} {body}");
        }
    }

    #[test]
    fn cache_time_that_cannot_be_read_permits_no_caching() {
        for (value, expected) in [("10", 10), (" 7 ", 7), ("0", 0), ("-1", 0), ("10s", 0), ("", 0), ("1e3", 0)] {
            let headers = [JSON, ("ory-session-cache-for", value)];
            let Resolution::Session(session) = answer(200, &headers, SESSION) else { panic!("no session") };
            assert_eq!(session.cache_for, Some(Duration::from_secs(expected)), "{value}");
        }
        let Resolution::Session(session) = answer(200, &[JSON], SESSION) else { panic!("no session") };
        assert_eq!(session.cache_for, None);
    }

    #[test]
    fn headers_of_a_rate_limit_are_passed_on_and_no_others() {
        let headers = [
            ("retry-after", "7"),
            ("x-ratelimit-remaining", "0"),
            ("ratelimit-reset", "7"),
            ("set-cookie", "ory_kratos_session=x"),
            ("content-type", "application/json"),
        ];
        let Resolution::RateLimited(limited) = answer(429, &headers, "") else { panic!("not limited") };
        let mut names: Vec<_> = limited.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["ratelimit-reset", "retry-after", "x-ratelimit-remaining"]);
    }
}
