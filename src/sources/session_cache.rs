//! Sessions of earlier calls, for a limited time and in limited memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::flight::CredentialHash;
use super::{Resolution, ResolvedSession};
use crate::time::Timestamp;

/// The memory of an entry besides its session, rounded up.
const ENTRY_BYTES: u64 = 512;
/// A typical entry, for the initial size of the map.
const USUAL_ENTRY_BYTES: usize = 4096;
/// How long it is known that a credential has no session. Kratos also answers so if its database fails.
const NO_SESSION: Duration = Duration::from_secs(1);

/// The settings of a session cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSpec {
    /// The longest time for which a session is used without another call.
    pub ttl: Duration,
    /// How much longer it is used while calls fail.
    pub stale_if_error: Duration,
    /// Bytes of memory.
    pub size: usize,
}

/// The cached answers of one source.
pub(super) struct SessionCache {
    spec: CacheSpec,
    entries: Cache<CredentialHash, Arc<Entry>, Weight>,
}

struct Entry {
    resolution: Resolution,
    since: Timestamp,
    fresh_until: Timestamp,
    stale_until: Timestamp,
}

#[derive(Clone)]
struct Weight;

impl Weighter<CredentialHash, Arc<Entry>> for Weight {
    fn weight(&self, _: &CredentialHash, entry: &Arc<Entry>) -> u64 {
        let bytes = match &entry.resolution {
            Resolution::Session(session) => session.extra.len() + session.subject.len(),
            _ => 0,
        };
        bytes as u64 + ENTRY_BYTES
    }
}

impl SessionCache {
    pub(super) fn new(spec: CacheSpec) -> Self {
        Self { spec, entries: Cache::with_weighter(spec.size / USUAL_ENTRY_BYTES, spec.size as u64, Weight) }
    }

    /// Returns the answer for `key` that needs no call at `now`.
    pub(super) fn fresh(&self, key: &CredentialHash, now: Timestamp) -> Option<Resolution> {
        self.find(key, now, |entry| entry.fresh_until)
    }

    /// Returns the session for `key` that can be used at `now` because a call failed.
    pub(super) fn stale(&self, key: &CredentialHash, now: Timestamp) -> Option<Resolution> {
        self.find(key, now, |entry| entry.stale_until)
    }

    fn find(&self, key: &CredentialHash, now: Timestamp, end: impl Fn(&Entry) -> Timestamp) -> Option<Resolution> {
        let entry = self.entries.get(key)?;
        // A clock that was set back must not prolong a session.
        (entry.since <= now && now < end(&entry)).then(|| entry.resolution.clone())
    }

    /// Caches the answer of a call for `key` at `now`.
    pub(super) fn keep(&self, key: CredentialHash, resolution: &Resolution, now: Timestamp) {
        let entry = match resolution {
            Resolution::Session(session) => self.entry_of(session, now),
            Resolution::NoSession(rejection) => {
                let end = now.after(self.spec.ttl.min(NO_SESSION));
                Entry { resolution: Resolution::NoSession(*rejection), since: now, fresh_until: end, stale_until: end }
            }
            // The session lost its level, or a login will raise it.
            Resolution::StepUp(_) => return drop(self.entries.remove(&key)),
            Resolution::RateLimited(_) | Resolution::Unavailable(_) => return,
        };
        if entry.stale_until > now {
            self.entries.insert(key, Arc::new(entry));
        } else {
            self.entries.remove(&key);
        }
    }

    fn entry_of(&self, session: &Arc<ResolvedSession>, now: Timestamp) -> Entry {
        let ttl = session.cache_for.map_or(self.spec.ttl, |cache_for| self.spec.ttl.min(cache_for));
        let end = |duration| {
            let end = now.after(duration);
            session.expires_at.map_or(end, |expires_at| end.min(expires_at))
        };
        let (fresh_until, stale_until) = (end(ttl), end(ttl.saturating_add(self.spec.stale_if_error)));
        // A cookie is renewed once.
        let session = match session.set_cookies.is_empty() {
            true => Arc::clone(session),
            false => Arc::new(ResolvedSession { set_cookies: Vec::new(), ..ResolvedSession::clone(session) }),
        };
        Entry { resolution: Resolution::Session(session), since: now, fresh_until, stale_until }
    }

    /// Returns the number of entries and the bytes that they use.
    pub(super) fn load(&self) -> (usize, u64) {
        (self.entries.len(), self.entries.weight())
    }
}

impl fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCache").field("spec", &self.spec).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::session::Assurance;
    use crate::sources::{CallResult, Rejection, SourceFailure, StepUp};

    const NOW: i64 = 1_000_000;
    const KEY: CredentialHash = [1; 32];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(NOW + seconds)
    }

    fn cache(ttl: u64, stale_if_error: u64) -> SessionCache {
        let seconds = Duration::from_secs;
        SessionCache::new(CacheSpec { ttl: seconds(ttl), stale_if_error: seconds(stale_if_error), size: 1 << 20 })
    }

    pub(in crate::sources) fn session(expires_in: Option<i64>, cache_for: Option<u64>) -> Resolution {
        Resolution::Session(Arc::new(ResolvedSession {
            subject: "u".to_owned(),
            extra: "{}".to_owned(),
            assurance: Assurance::default(),
            set_cookies: vec!["s=new".to_owned()],
            expires_at: expires_in.map(at),
            cache_for: cache_for.map(Duration::from_secs),
        }))
    }

    #[test]
    fn session_is_fresh_for_the_shortest_of_its_limits_and_then_stale() {
        for (ttl, stale_if_error, expires_in, cache_for, fresh, stale) in [
            (30, 0, None, None, 30, 30),
            (30, 60, None, None, 30, 90),
            (30, 60, Some(600), Some(10), 10, 70),
            (30, 60, Some(20), None, 20, 20),
            (30, 60, Some(50), None, 30, 50),
            (30, 0, Some(600), Some(90), 30, 30),
            (30, 0, Some(0), None, 0, 0),
            (30, 0, None, Some(0), 0, 0),
            (30, 5, None, Some(0), 0, 5),
        ] {
            let cache = cache(ttl, stale_if_error);
            cache.keep(KEY, &session(expires_in, cache_for), at(0));
            for second in [0, 5, 10, 20, 30, 50, 70, 90, 600] {
                let case = (ttl, stale_if_error, expires_in, cache_for, second);
                assert_eq!(cache.fresh(&KEY, at(second)).is_some(), second < fresh, "{case:?}");
                assert_eq!(cache.stale(&KEY, at(second)).is_some(), second < stale, "{case:?}");
            }
            assert!(cache.fresh(&KEY, at(-1)).is_none(), "the clock was set back");
        }
    }

    #[test]
    fn cached_session_has_no_cookie_to_renew() {
        let cache = cache(30, 0);
        cache.keep(KEY, &session(None, None), at(0));
        let Some(Resolution::Session(session)) = cache.fresh(&KEY, at(1)) else { panic!("no session") };
        assert!(session.set_cookies.is_empty() && session.subject == "u");
    }

    #[test]
    fn later_answers_replace_a_session_and_failures_do_not() {
        let unavailable = Resolution::unavailable(SourceFailure::Timeout, "");
        let step_up = Resolution::StepUp(Arc::new(StepUp { redirect_browser_to: String::new() }));
        for (answer, now, later) in [
            (Resolution::NoSession(Rejection::Inactive), Some(CallResult::NoSession), None),
            (step_up, None, None),
            (unavailable, Some(CallResult::Session), Some(CallResult::Session)),
            (Resolution::RateLimited(Arc::default()), Some(CallResult::Session), Some(CallResult::Session)),
        ] {
            let cache = cache(30, 0);
            cache.keep(KEY, &session(None, None), at(0));
            cache.keep(KEY, &answer, at(1));
            let found = |second| cache.fresh(&KEY, at(second)).map(|resolution| resolution.result());
            assert_eq!((found(1), found(2)), (now, later), "{answer:?}");
        }
    }

    #[test]
    fn memory_is_limited() {
        let cache = SessionCache::new(CacheSpec { ttl: NO_SESSION, stale_if_error: Duration::ZERO, size: 1 << 16 });
        for number in 0..=255 {
            let extra = "x".repeat(4096);
            let Resolution::Session(session) = session(None, None) else { panic!("no session") };
            let session = ResolvedSession { extra, ..ResolvedSession::clone(&session) };
            cache.keep([number; 32], &Resolution::Session(Arc::new(session)), at(0));
        }
        let (sessions, bytes) = cache.load();
        assert!((1..=16).contains(&sessions) && bytes <= 1 << 16, "{sessions} {bytes}");
    }
}
