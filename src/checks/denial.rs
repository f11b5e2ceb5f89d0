//! Why a request does not pass, and where its client can get what it lacks.

use super::login::Login;
use super::original::OriginalRequest;
use super::{Check, Requirement, Shortfall};
use crate::code::ErrorCode;

/// Why a request does not pass its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'r> {
    /// The session that its source returned has ended by the clock of this host.
    Ended,
    /// It has no session.
    NoSession,
    /// Its session lacks something.
    Shortfall(Shortfall),
    /// Its source wants a higher level, which a browser reaches at this URL.
    StepUp(&'r str),
}

/// A request that does not pass. `Debug` shows no URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Denial {
    /// The stable code.
    pub code: ErrorCode,
    /// What failed and what to do about it.
    pub detail: String,
    /// Where a browser gets what it lacks.
    pub destination: Destination,
    /// The value of `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 9470), if another login helps.
    pub challenge: Option<String>,
    /// The word of Kratos's API for the reason, which its client libraries know.
    pub ory_id: Option<&'static str>,
    /// Further headers of the response.
    pub headers: Vec<(String, String)>,
}

/// Where a browser gets what its request lacks.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere, or it is not known where.
    Nowhere,
    /// At this URL, which the client is told.
    Offered(Box<str>),
    /// At this URL, to which the client can be redirected, because it is a browser that asks for a page.
    Redirect(Box<str>),
}

impl Denial {
    /// Returns the URL where a browser gets what it lacks.
    pub fn location(&self) -> Option<&str> {
        match &self.destination {
            Destination::Nowhere => None,
            Destination::Offered(url) | Destination::Redirect(url) => Some(url),
        }
    }

    /// Returns the URL to which the client can be redirected.
    pub fn redirect(&self) -> Option<&str> {
        match &self.destination {
            Destination::Nowhere | Destination::Offered(_) => None,
            Destination::Redirect(url) => Some(url),
        }
    }

    /// Returns the denial of a request whose bearer token was refused (RFC 6750 section 3.1).
    pub fn of_bearer_token(self) -> Self {
        Self { challenge: Some(r#"Bearer error="invalid_token""#.to_owned()), ..self }
    }

    /// Returns a denial that no login changes.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            destination: Destination::Nowhere,
            challenge: None,
            ory_id: None,
            headers: Vec::new(),
        }
    }
}

impl Check {
    /// Returns the denial of `request` for `reason`.
    pub fn deny(&self, reason: Reason<'_>, request: &OriginalRequest<'_>) -> Denial {
        let login = self.login.as_ref();
        let url = |make: &dyn Fn(&Login) -> String| login.map(make);
        let (code, detail, location, ory_id) = match reason {
            Reason::Ended => (
                ErrorCode::SessionRequired,
                "expected a valid session, found one that has ended by the clock of this host".to_owned(),
                // A login page sends a browser with a session back at once, unless it is to log in again.
                url(&|login| login.refresh(request)),
                None,
            ),
            Reason::NoSession => (
                ErrorCode::SessionRequired,
                "expected a valid session, found none".to_owned(),
                url(&|login| login.first(request)),
                None,
            ),
            Reason::StepUp(to) => (
                ErrorCode::SessionLevel,
                "expected a session of a higher assurance level, which its source requires".to_owned(),
                Some(login.map_or_else(|| to.to_owned(), |login| login.step_up(to, request))),
                Some("session_aal2_required"),
            ),
            Reason::Shortfall(Shortfall::Level) => {
                let level = self.require.level;
                let words = level.map_or("a higher level", |level| level.as_str());
                (
                    ErrorCode::SessionLevel,
                    format!("expected a session of {words} or more (require.aal of the check), found a lower level"),
                    level.and_then(|level| url(&|login| login.at_level(level, request))),
                    Some("session_aal2_required"),
                )
            }
            Reason::Shortfall(Shortfall::Age { is_curable }) => {
                let seconds = self.require.max_age.unwrap_or_default().as_secs();
                let location = url(&|login| login.refresh(request)).filter(|_| is_curable);
                (
                    ErrorCode::SessionAge,
                    format!(
                        "expected a login in the last {seconds}s (require.max_auth_age of the check), found an older one"
                    ),
                    location,
                    Some("session_refresh_required"),
                )
            }
        };
        let destination = match location {
            None => Destination::Nowhere,
            Some(url) if login.is_some() && request.is_navigation() => Destination::Redirect(url.into()),
            Some(url) => Destination::Offered(url.into()),
        };
        let challenge = Some(challenge(reason, &self.require));
        Denial { code, detail, destination, challenge, ory_id, headers: Vec::new() }
    }
}

/// Returns the value of `WWW-Authenticate`.
fn challenge(reason: Reason<'_>, require: &Requirement) -> String {
    if matches!(reason, Reason::Ended | Reason::NoSession) {
        return "Bearer".to_owned();
    }
    let mut text = r#"Bearer error="insufficient_user_authentication""#.to_owned();
    let level = match reason {
        Reason::StepUp(_) => Some("aal2"),
        _ => require.level.map(|level| level.as_str()),
    };
    if let Some(level) = level {
        text.push_str(&format!(r#", acr_values="{level}""#));
    }
    if let Some(max_age) = require.max_age {
        text.push_str(&format!(r#", max_age="{}""#, max_age.as_secs()));
    }
    text
}

impl std::fmt::Debug for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Denial")
            .field("code", &self.code)
            .field("detail", &self.detail)
            .field("is_redirect", &self.redirect().is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Origin;
    use crate::session::AssuranceLevel;
    use std::time::Duration;
    use url::Url;

    const OLD: Reason<'_> = Reason::Shortfall(Shortfall::Age { is_curable: true });
    const HOPELESS: Reason<'_> = Reason::Shortfall(Shortfall::Age { is_curable: false });
    const LEVEL: Reason<'_> = Reason::Shortfall(Shortfall::Level);
    const STEP_UP: Reason<'_> = Reason::StepUp("https://id.example/l?aal=aal2");

    fn check(has_login: bool) -> Check {
        let login = Login {
            url: Url::parse("https://id.example/l").unwrap(),
            origins: vec![Origin::parse("https://a.example").unwrap()],
        };
        Check {
            sources: Vec::new(),
            profile: "p".to_owned(),
            require: Requirement { level: Some(AssuranceLevel::Aal2), max_age: Some(Duration::from_secs(900)) },
            login: has_login.then_some(login),
            headers: Vec::new(),
            metadata: Vec::new(),
        }
    }

    fn page(method: &'static str, accepts_html: bool) -> OriginalRequest<'static> {
        OriginalRequest { method, scheme: "https", host: "a.example", uri: "/x", accepts_html }
    }

    #[test]
    fn each_reason_has_its_login_url_and_challenge() {
        let back = "return_to=https%3A%2F%2Fa.example%2Fx";
        let step_up = r#"Bearer error="insufficient_user_authentication", acr_values="aal2", max_age="900""#;
        for (reason, code, query, challenge) in [
            (Reason::NoSession, ErrorCode::SessionRequired, Some(format!("?{back}")), "Bearer"),
            (Reason::Ended, ErrorCode::SessionRequired, Some(format!("?refresh=true&{back}")), "Bearer"),
            (OLD, ErrorCode::SessionAge, Some(format!("?refresh=true&{back}")), step_up),
            (HOPELESS, ErrorCode::SessionAge, None, step_up),
            (LEVEL, ErrorCode::SessionLevel, Some(format!("?aal=aal2&{back}")), step_up),
            (STEP_UP, ErrorCode::SessionLevel, Some(format!("?aal=aal2&{back}")), step_up),
        ] {
            let denial = check(true).deny(reason, &page("GET", true));
            let location = query.map(|query| format!("https://id.example/l{query}"));
            assert_eq!((denial.code, denial.location()), (code, location.as_deref()), "{reason:?}");
            assert_eq!(denial.challenge.as_deref(), Some(challenge), "{reason:?}");
        }
    }

    #[test]
    fn only_browsers_with_somewhere_to_go_are_redirected() {
        for (has_login, reason, request, expected) in [
            (true, Reason::NoSession, page("GET", true), true),
            (true, Reason::Ended, page("GET", true), true),
            (true, OLD, page("GET", true), true),
            (true, STEP_UP, page("GET", true), true),
            (true, HOPELESS, page("GET", true), false),
            (true, Reason::NoSession, page("POST", true), false),
            (true, Reason::NoSession, page("GET", false), false),
            (false, Reason::NoSession, page("GET", true), false),
            (false, STEP_UP, page("GET", true), false),
        ] {
            let denial = check(has_login).deny(reason, &request);
            assert_eq!(denial.redirect().is_some(), expected, "{has_login} {reason:?} {}", request.method);
        }
        assert_eq!(check(false).deny(STEP_UP, &page("GET", false)).location(), Some("https://id.example/l?aal=aal2"));
    }
}
