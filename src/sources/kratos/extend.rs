//! Extension of sessions: which one is due, and one attempt for each at a time.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_LENGTH;
use reqwest::{Client, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use crate::sources::CallResult;
use crate::sources::http::HttpApi;
use crate::time::Timestamp;

/// The time until another attempt for the same session. Kratos does not say when an extension was too early, and a failed
/// one must not delay each request.
const PAUSE: Duration = Duration::from_secs(60);
/// Sessions whose last attempt is remembered. There are no attempts for further ones.
const MOST_SESSIONS: usize = 65_536;

/// When and where sessions are extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendSpec {
    /// A session with less time left is extended.
    pub below: Duration,
    /// The URL of Kratos's admin API.
    pub admin: Url,
    /// The API key for it.
    pub token: Option<FileSecret>,
}

/// A secret of the configuration that is sent to a source. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct FileSecret {
    /// The file that contains it.
    pub file: PathBuf,
    /// The secret, once the file was read.
    pub text: Option<Zeroizing<String>>,
}

/// The attempts of the last minute.
#[derive(Default)]
pub(super) struct Attempts(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// The ends of their pauses.
    ends: HashMap<String, Timestamp>,
    /// The last search for pauses that ended, which takes too long for each request.
    swept: Option<Timestamp>,
}

impl ExtendSpec {
    /// Returns `true` if a session that expires at `expires_at` is to be extended at `now`. An expired session is not,
    /// because Kratos would make it valid again.
    pub(super) fn is_due(&self, expires_at: Option<Timestamp>, now: Timestamp) -> bool {
        let left = expires_at.map(|expires_at| expires_at.seconds_since(now));
        let below = i64::try_from(self.below.as_secs()).unwrap_or(i64::MAX);
        left.is_some_and(|left| 0 < left && left < below)
    }

    /// Returns the URL that extends the session `id`.
    fn url(&self, id: &str) -> Url {
        let mut url = self.admin.clone();
        // The configuration has only URLs that have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["admin", "sessions", id, "extend"]);
        }
        url
    }

    /// Extends the session `id`. A 404 can mean that another client extends it at this moment.
    ///
    /// # Errors
    /// Returns how it failed.
    pub(super) async fn send(&self, admin: &HttpApi, id: &str) -> Result<StatusCode, CallResult> {
        let request = |client: &Client| {
            let request = client.patch(self.url(id)).header(CONTENT_LENGTH, 0);
            match self.token.as_ref().and_then(|token| token.text.as_ref()) {
                Some(token) => request.bearer_auth(token.as_str()),
                None => request,
            }
        };
        let answer = admin.change(request).await.map_err(|resolution| resolution.result())?;
        match answer.status {
            status @ (StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND) => Ok(status),
            _ => Err(answer.unexpected("admin").result()),
        }
    }
}

impl Attempts {
    /// Returns `true` if an attempt for the session `id` can begin at `now`, which then has begun.
    pub(super) fn begin(&self, id: &str, now: Timestamp) -> bool {
        let Recent { ends, swept } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |end: &Timestamp| now < *end && *end <= now.after(PAUSE);
        if ends.get(id).is_some_and(is_recent) {
            return false;
        }
        if ends.len() >= MOST_SESSIONS && *swept != Some(now) {
            *swept = Some(now);
            ends.retain(|_, end| is_recent(end));
        }
        let has_room = ends.len() < MOST_SESSIONS;
        if has_room {
            ends.insert(id.to_owned(), now.after(PAUSE));
        }
        has_room
    }

    /// Forgets an attempt for the session `id` that was not made.
    pub(super) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ends.remove(id);
    }
}

impl fmt::Debug for FileSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSecret").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(NOW + seconds)
    }

    #[test]
    fn session_is_due_below_the_limit_and_before_its_end() {
        let admin = Url::parse("http://kratos:4434/base").unwrap();
        let spec = ExtendSpec { below: Duration::from_secs(600), admin, token: None };
        for (left, expected) in [(Some(601), false), (Some(600), false), (Some(599), true), (Some(1), true)] {
            assert_eq!(spec.is_due(left.map(at), at(0)), expected, "{left:?}");
        }
        for left in [Some(0), Some(-1), None] {
            assert!(!spec.is_due(left.map(at), at(0)), "{left:?}");
        }
        assert_eq!(spec.url("a/b").as_str(), "http://kratos:4434/base/admin/sessions/a%2Fb/extend");
    }

    #[test]
    fn each_session_has_one_attempt_in_a_minute() {
        let attempts = Attempts::default();
        assert!(attempts.begin("a", at(0)) && attempts.begin("b", at(0)));
        assert!(!attempts.begin("a", at(0)) && !attempts.begin("a", at(59)));
        assert!(attempts.begin("a", at(60)) && !attempts.begin("a", at(61)));
        assert!(attempts.begin("a", at(-600)), "the clock was set back");
    }

    #[test]
    fn number_of_remembered_sessions_is_limited() {
        let attempts = Attempts::default();
        assert!((0..MOST_SESSIONS).all(|number| attempts.begin(&number.to_string(), at(0))));
        assert!(!attempts.begin("another", at(1)));
        assert!(attempts.begin("another", at(60)));
        assert_eq!(attempts.0.lock().unwrap().ends.len(), 1);
    }
}
