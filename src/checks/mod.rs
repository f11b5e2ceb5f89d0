//! Checks: what a request behind a proxy needs, and what is answered if it does not have it.
//!
//! A check is a policy over plain data. It does no I/O, reads no clock, and knows neither the type of a source nor the
//! protocol of the proxy: an adapter turns a [`Denial`] into its own protocol.

mod denial;
mod headers;
mod login;
mod original;

pub(crate) use denial::{Denial, Reason};
pub(crate) use headers::{OutputHeader, carries_token, is_lookalike, plain_headers};
pub(crate) use login::{Login, Origin};
pub(crate) use original::OriginalRequest;

use std::time::Duration;

use crate::json::MemberPath;
use crate::session::{Assurance, AssuranceLevel};
use crate::time::Timestamp;

/// A session whose person was authenticated this recently is not sent to log in again, because that could not make it
/// more recent: the browser would be redirected without end.
const JUST_NOW: Duration = Duration::from_secs(5);

/// How far in the future the time of an authentication can be, because clocks differ. A source that writes milliseconds
/// would otherwise make every session recent.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The settings of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The sources, in order. The first one whose credential is present decides.
    pub sources: Vec<String>,
    /// The profile of the token.
    pub profile: String,
    /// How the person must be authenticated.
    pub require: Requirement,
    /// Where browsers log in; `None` if they are not redirected.
    pub login: Option<Login>,
    /// The plain headers, each with the path of its claim.
    pub headers: Vec<(OutputHeader, MemberPath)>,
    /// The dynamic metadata for Envoy, each with the path of its claim.
    pub metadata: Vec<(String, MemberPath)>,
}

/// How the person of a session must be authenticated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// The lowest level.
    pub level: Option<AssuranceLevel>,
    /// The longest time since the last completed factor.
    pub max_age: Option<Duration>,
}

/// What one requirement says about a session, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The requirement.
    pub requirement: &'static str,
    /// What it expects.
    pub expected: String,
    /// What the session has; `None` if its source does not say.
    pub found: Option<String>,
    /// Whether the session satisfies it.
    pub is_met: bool,
}

/// What a session lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Its level is too low.
    Level,
    /// The authentication is too long ago.
    Age {
        /// Whether it can become more recent by another login.
        is_curable: bool,
    },
}

impl Requirement {
    /// Returns `true` if it requires something.
    pub fn is_set(&self) -> bool {
        self.level.is_some() || self.max_age.is_some()
    }

    /// Returns what `assurance` lacks at `now`; `None` if it satisfies the requirement. What a source does not know is
    /// lacking.
    pub fn shortfall(&self, assurance: &Assurance, now: Timestamp) -> Option<Shortfall> {
        if !self.has_level(assurance) {
            return Some(Shortfall::Level);
        }
        if self.has_age(assurance, now) {
            return None;
        }
        let age = assurance.authenticated_at.map(|at| now.seconds_since(at));
        // It is not known that a login sets an age that is missing.
        Some(Shortfall::Age { is_curable: age.is_some_and(|age| age > JUST_NOW.as_secs() as i64) })
    }

    /// Returns what each requirement that is set says about `assurance` at `now`.
    pub fn findings(&self, assurance: &Assurance, now: Timestamp) -> Vec<Finding> {
        let level = self.level.map(|level| Finding {
            requirement: "aal",
            expected: format!("{} or more", level.as_str()),
            found: assurance.level.map(|level| level.as_str().to_owned()),
            is_met: self.has_level(assurance),
        });
        let age = self.max_age.map(|max_age| Finding {
            requirement: "max_auth_age",
            expected: format!("a login at most {}s ago", max_age.as_secs()),
            found: assurance.authenticated_at.map(|at| format!("{at}, {}s ago", now.seconds_since(at))),
            is_met: self.has_age(assurance, now),
        });
        level.into_iter().chain(age).collect()
    }

    fn has_level(&self, assurance: &Assurance) -> bool {
        self.level.is_none_or(|level| assurance.level.is_some_and(|found| level <= found))
    }

    fn has_age(&self, assurance: &Assurance, now: Timestamp) -> bool {
        let max_age = self.max_age.map(|max_age| i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX));
        let age = assurance.authenticated_at.map(|at| now.seconds_since(at));
        // A time far ahead of the clock is an error, and would be recent forever.
        let earliest = -(CLOCK_SKEW.as_secs() as i64);
        max_age.is_none_or(|max_age| age.is_some_and(|age| (earliest..=max_age).contains(&age)))
    }
}

impl Check {
    /// Returns `true` if a client could pass `name` off as a header that this check sends, or as `token`, the header of the
    /// token. Proxies overwrite only the exact name.
    pub fn is_lookalike(&self, name: &str, token: &str) -> bool {
        let mut sent = self.headers.iter().map(|(header, _)| header.as_str()).chain([token]);
        sent.any(|header| is_lookalike(name, header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn assurance(level: Option<AssuranceLevel>, age: Option<i64>) -> Assurance {
        Assurance { level, authenticated_at: age.map(|age| Timestamp::from_seconds(NOW - age)) }
    }

    #[test]
    fn requirement_compares_level_and_age_and_distrusts_what_is_unknown() {
        use AssuranceLevel::{Aal1, Aal2};
        let minutes = |count: u64| Some(Duration::from_secs(60 * count));
        let (level, old) = (Some(Shortfall::Level), Some(Shortfall::Age { is_curable: true }));
        let hopeless = Some(Shortfall::Age { is_curable: false });
        for (required_level, max_age, found_level, age, expected) in [
            (None, None, None, None, None),
            (Some(Aal2), None, Some(Aal2), None, None),
            (Some(Aal1), None, Some(Aal2), None, None),
            (Some(Aal2), None, Some(Aal1), Some(0), level),
            (Some(Aal2), None, None, Some(0), level),
            (None, minutes(15), Some(Aal1), Some(900), None),
            (None, minutes(15), Some(Aal1), Some(901), old),
            (None, minutes(15), Some(Aal1), Some(-60), None),
            (None, minutes(15), Some(Aal1), Some(-300), None),
            (None, minutes(15), Some(Aal1), Some(-301), hopeless),
            (None, minutes(15), Some(Aal1), Some(-1_794_000_000_000), hopeless),
            (None, minutes(15), Some(Aal1), None, hopeless),
            (None, Some(Duration::from_secs(1)), Some(Aal1), Some(3), hopeless),
            (None, Some(Duration::from_secs(1)), Some(Aal1), Some(6), old),
            (Some(Aal2), minutes(15), Some(Aal1), Some(901), level),
            (Some(Aal2), minutes(15), Some(Aal2), Some(901), old),
        ] {
            let requirement = Requirement { level: required_level, max_age };
            let found = requirement.shortfall(&assurance(found_level, age), Timestamp::from_seconds(NOW));
            assert_eq!(found, expected, "{requirement:?} {found_level:?} {age:?}");
        }
    }

    #[test]
    fn header_with_underscores_is_a_lookalike() {
        let header = (OutputHeader::parse("X-User-Id").unwrap(), MemberPath::parse("sub").unwrap());
        let check = Check {
            sources: Vec::new(),
            profile: "p".to_owned(),
            require: Requirement::default(),
            login: None,
            headers: vec![header],
            metadata: Vec::new(),
        };
        for (name, expected) in [
            ("x_user_id", true),
            ("X_User-Id", true),
            ("X-User-Id", false),
            ("x_user", false),
            ("x_user_ids", false),
            ("X_Id_Token", true),
        ] {
            assert_eq!(check.is_lookalike(name, "X-Id-Token"), expected, "{name}");
        }
    }
}
