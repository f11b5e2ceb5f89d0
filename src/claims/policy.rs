//! The audience and the lifetime of a token.

use thiserror::Error;

use crate::code::ErrorCode;
use crate::json::Json;
use crate::session::{Session, SessionPath};
use crate::time::{Timestamp, Ttl};

/// The audience of a token (`aud`, RFC 7519 section 4.1.3). Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(Vec<String>);

impl Audience {
    /// Returns the audience `names`. Returns `None` if `names` is empty or has an empty name.
    pub fn new(names: Vec<String>) -> Option<Self> {
        (!names.is_empty() && names.iter().all(|name| !name.is_empty())).then_some(Self(names))
    }

    /// Returns the names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    pub(super) fn to_json(&self) -> Json<'static> {
        Json::Array(self.0.iter().map(|name| Json::String(name.clone().into())).collect())
    }
}

/// The location of the session expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionExpiry {
    /// At this path. A session without a value there does not limit its tokens.
    IfPresent(SessionPath),
    /// The session does not limit its tokens.
    None,
    /// At this path. A session without a value there is refused.
    Required(SessionPath),
}

/// The time in which a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// `iat` and `nbf`
    pub issued_at: Timestamp,
    /// `exp`, later than `issued_at`
    pub expires_at: Timestamp,
    /// The expiry of the session or of the key, whichever is first. No token of this session and key lives longer.
    pub ends_by: Option<Timestamp>,
}

/// The reason why the lifetime of a session gives it no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LifetimeError {
    /// The session has expired.
    #[error("expected a session that still lasts, found the time at {path} in the past")]
    Expired {
        /// The path of the value.
        path: String,
    },
    /// The session expiry is zero, or before 1970 like Go's zero time.
    #[error(
        "expected a session that still lasts, found zero or a time before 1970 at {path}; if it is not the session expiry, set \
         expires_with of the profile to the right path or to none (profiles.<name>.expires_with or \
         CLAIMSMITH_PROFILES_<NAME>_EXPIRES_WITH)"
    )]
    ZeroExpiry {
        /// The path of the value.
        path: String,
    },
    /// `Extra.active` is `false`.
    #[error("expected an active session, found Extra.active to be false")]
    Inactive,
    /// The session has no expiry, but one is required.
    #[error("expected the end of the session at {path} (expires_with), found nothing there")]
    MissingExpiry {
        /// The path at which the expiry is required.
        path: String,
    },
    /// The session expiry is not a time.
    #[error(
        "expected {path} to be the end of the session, an RFC 3339 time or a NumericDate, found {found} that is \
         neither; set expires_with of the profile to the right path or to none (profiles.<name>.expires_with or \
         CLAIMSMITH_PROFILES_<NAME>_EXPIRES_WITH)"
    )]
    UnreadableExpiry {
        /// The path of the value.
        path: String,
        /// The kind of value that was found.
        found: &'static str,
    },
}

impl LifetimeError {
    /// Returns the stable error code, one of `session.*`.
    pub fn code(&self) -> ErrorCode {
        match self {
            LifetimeError::Expired { .. } | LifetimeError::ZeroExpiry { .. } => ErrorCode::SessionExpired,
            LifetimeError::Inactive => ErrorCode::SessionInactive,
            LifetimeError::MissingExpiry { .. } | LifetimeError::UnreadableExpiry { .. } => ErrorCode::SessionExpiry,
        }
    }
}

/// Returns the lifetime of a token: `exp = min(now + ttl, session expiry, key_end)`.
///
/// # Errors
/// Returns [`LifetimeError`] if the session has expired, is inactive, or lacks the expiry that `expiry` requires.
pub fn lifetime(
    session: &Session<'_>,
    expiry: &SessionExpiry,
    ttl: Ttl,
    key_end: Option<Timestamp>,
    now: Timestamp,
) -> Result<Lifetime, LifetimeError> {
    if matches!(session.at(SessionPath::active()), Some(Json::Bool(false))) {
        return Err(LifetimeError::Inactive);
    }
    let session_end = match session_end(session, expiry)? {
        Some((end, path)) if end <= Timestamp::from_seconds(0) => {
            return Err(LifetimeError::ZeroExpiry { path: path.to_string() });
        }
        Some((end, path)) if end <= now => return Err(LifetimeError::Expired { path: path.to_string() }),
        end => end.map(|(end, _)| end),
    };
    let ends_by = [session_end, key_end].into_iter().flatten().min();
    let longest = now.plus(ttl);
    Ok(Lifetime { issued_at: now, expires_at: ends_by.map_or(longest, |end| longest.min(end)), ends_by })
}

fn session_end<'e>(
    session: &Session<'_>,
    expiry: &'e SessionExpiry,
) -> Result<Option<(Timestamp, &'e SessionPath)>, LifetimeError> {
    let (path, is_required) = match expiry {
        SessionExpiry::None => return Ok(None),
        SessionExpiry::IfPresent(path) => (path, false),
        SessionExpiry::Required(path) => (path, true),
    };
    let value = session.at(path);
    let time = match &value {
        None | Some(Json::Null) if is_required => {
            return Err(LifetimeError::MissingExpiry { path: path.to_string() });
        }
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(text)) => Timestamp::parse_rfc3339(text),
        Some(Json::Number(number)) => Some(Timestamp::from_numeric_date(number.as_f64())),
        Some(_) => None,
    };
    match (time, value) {
        (Some(time), _) => Ok(Some((time, path))),
        (None, value) => Err(LifetimeError::UnreadableExpiry {
            path: path.to_string(),
            found: value.map_or("nothing", |value| value.kind()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ReadLimits;
    use proptest::prelude::*;
    use std::time::Duration;

    fn ttl(seconds: u64) -> Ttl {
        Ttl::new(Duration::from_secs(seconds)).unwrap()
    }

    fn expires(extra: &str, expiry: &SessionExpiry, now: i64) -> Result<i64, LifetimeError> {
        let text = format!(r#"{{"subject":"u","extra":{extra}}}"#);
        let session = Session::parse(text.as_bytes(), ReadLimits::default()).unwrap();
        lifetime(&session, expiry, ttl(900), None, Timestamp::from_seconds(now)).map(|life| life.expires_at.seconds())
    }

    fn if_present() -> SessionExpiry {
        SessionExpiry::IfPresent(SessionPath::parse("Extra.expires_at").unwrap())
    }

    #[test]
    fn a_token_never_outlives_its_session() {
        assert_eq!(expires(r#"{"expires_at":"1970-01-01T00:10:00.999Z"}"#, &if_present(), 0), Ok(600));
        assert_eq!(expires(r#"{"expires_at":600.9}"#, &if_present(), 0), Ok(600));
        assert_eq!(expires(r#"{"expires_at":6e9}"#, &if_present(), 0), Ok(900));
        assert_eq!(expires("{}", &if_present(), 0), Ok(900));
        assert_eq!(expires(r#"{"expires_at":null}"#, &if_present(), 0), Ok(900));
    }

    #[test]
    fn an_ended_or_inactive_session_gets_nothing() {
        let ended = Err(LifetimeError::Expired { path: "Extra.expires_at".to_owned() });
        assert_eq!(expires(r#"{"expires_at":600}"#, &if_present(), 600), ended);
        assert_eq!(expires(r#"{"active":false}"#, &SessionExpiry::None, 0), Err(LifetimeError::Inactive));
    }

    #[test]
    fn an_expiry_that_cannot_be_read_or_found_refuses() {
        let unreadable = expires(r#"{"expires_at":"tomorrow"}"#, &if_present(), 0).unwrap_err();
        assert!(unreadable.to_string().contains("Extra.expires_at") && !unreadable.to_string().contains("tomorrow"));
        let required = SessionExpiry::Required(SessionPath::parse("Extra.exp").unwrap());
        assert!(matches!(expires("{}", &required, 0), Err(LifetimeError::MissingExpiry { .. })));
        assert_eq!(expires(r#"{"expires_at":"tomorrow"}"#, &SessionExpiry::None, 0), Ok(900));
    }

    proptest! {
        #[test]
        fn exp_never_passes_the_keys_end_nor_the_sessions(now in 0_i64..4_000_000_000, session in 1_i64..100_000, key in 1_i64..100_000) {
            let text = format!(r#"{{"subject":"u","extra":{{"expires_at":{}}}}}"#, now + session);
            let parsed = Session::parse(text.as_bytes(), ReadLimits::default()).unwrap();
            let end = Timestamp::from_seconds(now + key);
            let life = lifetime(&parsed, &if_present(), ttl(900), Some(end), Timestamp::from_seconds(now)).unwrap();
            prop_assert_eq!(life.expires_at.seconds(), now + session.min(key).min(900));
        }
    }
}
