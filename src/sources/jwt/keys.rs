//! The public keys of an issuer: the last good set, refreshed by its cache headers.
//!
//! A request waits for a fetch only if there is no set yet, or if the set has no key for its token. The second kind of
//! fetch happens once in [`PAUSE`], because everyone can write tokens with unknown keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::discovery::{DISCOVERY, PUBLIC_KEY_SET, jwks_uri};
use super::spec::{JwtSpec, KeyOrigin};
use crate::code::ErrorCode;
use crate::keys::{SignatureAlg, VerifyingSet};
use crate::remote::{FetchError, RefreshPolicy, RemoteFiles, RemoteSource, WantedFiles};
use crate::sources::calls::MANY_WAIT;
use crate::sources::slots::Waiting;
use crate::sources::{CallResult, SourceCall, SourceFailure, Unavailable};

/// The shortest time between two fetches because of unknown keys.
const PAUSE: Duration = Duration::from_secs(30);
/// The time between two fetches of a set without cache headers, and the longest one after failures.
const USUAL_INTERVAL: Duration = Duration::from_secs(60);

/// The keys of an issuer at URLs.
pub(super) struct RemoteKeys {
    origin: Origin,
    algorithms: Vec<SignatureAlg>,
    timeout: Duration,
    files: RemoteFiles,
    waiting: Waiting,
    /// Held during a fetch.
    busy: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
    /// From 0 to 1: spreads the fetches of a fleet over time.
    chance: f64,
}

enum Origin {
    Discovery { document: RemoteSource, issuer: String },
    Url(RemoteSource),
}

#[derive(Default)]
struct State {
    set: Option<Arc<VerifyingSet>>,
    /// The URL of the set that the discovery document named last.
    jwks: Option<RemoteSource>,
    /// Why the last fetch failed, if it did.
    failure: Option<Arc<Unavailable>>,
    /// The time of the next fetch; `None` means now.
    due: Option<Instant>,
    /// The time of the last fetch because of an unknown key.
    sought: Option<Instant>,
    /// The last fetch, until a request records it.
    call: Option<SourceCall>,
}

/// Why a request waits for a fetch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// There is no set.
    First,
    /// The set lacks a key.
    Newer,
}

impl RemoteKeys {
    /// Returns the keys of `spec`, not fetched; `None` if they are in a file.
    pub(super) fn new(spec: &JwtSpec, most_bytes: usize, waiting: Waiting, chance: f64) -> Option<Self> {
        let origin = match &spec.keys {
            KeyOrigin::Discovery(document) => {
                Origin::Discovery { document: document.clone(), issuer: spec.issuer.clone() }
            }
            KeyOrigin::File(_) => return None,
            KeyOrigin::Url(url) => Origin::Url(url.clone()),
        };
        let policy = RefreshPolicy {
            default_interval: USUAL_INTERVAL,
            timeout: spec.timeout,
            max_bytes: most_bytes,
            ..RefreshPolicy::default()
        };
        Some(Self {
            origin,
            algorithms: spec.algorithms.clone(),
            timeout: spec.timeout,
            files: RemoteFiles::new(&[], policy),
            waiting,
            busy: Arc::default(),
            state: Mutex::default(),
            chance,
        })
    }

    /// Starts with the last good set of `before`, which has the same origin and algorithms. It is fetched again at once.
    pub(super) fn adopt(&self, before: &Self) {
        let (set, jwks) = {
            let before = before.state();
            (before.set.clone(), before.jwks.clone())
        };
        let mut state = self.state();
        (state.set, state.jwks) = (set, jwks);
    }

    /// Returns the last good set at `now`. If it is due, a later one is fetched meanwhile.
    ///
    /// # Errors
    /// Returns why there is none.
    pub(super) async fn set(self: &Arc<Self>, now: Instant) -> Result<Arc<VerifyingSet>, Arc<Unavailable>> {
        let (set, is_due) = {
            let state = self.state();
            (state.set.clone(), state.due.is_none_or(|due| due <= now))
        };
        if let Some(set) = set {
            if let Some(permit) = is_due.then(|| Arc::clone(&self.busy).try_lock_owned().ok()).flatten() {
                let keys = Arc::clone(self);
                tokio::spawn(async move { keys.fetch(permit, now).await });
            }
            return Ok(set);
        }
        let is_complete = self.wait(Need::First, now).await?;
        let state = self.state();
        match (&state.set, &state.failure) {
            (Some(set), _) => Ok(Arc::clone(set)),
            (None, Some(failure)) if is_complete => Err(Arc::clone(failure)),
            _ => Err(self.late()),
        }
    }

    /// Returns the last good set after a fetch, unless there was one a short time before `now`.
    ///
    /// # Errors
    /// Returns why it is not known whether there are newer keys.
    pub(super) async fn newer(self: &Arc<Self>, now: Instant) -> Result<Arc<VerifyingSet>, Arc<Unavailable>> {
        if !self.wait(Need::Newer, now).await? {
            return Err(self.late());
        }
        let state = self.state();
        match (&state.failure, &state.set) {
            (Some(failure), _) => Err(Arc::clone(failure)),
            (None, Some(set)) => Ok(Arc::clone(set)),
            (None, None) => Err(self.late()),
        }
    }

    /// Removes and returns the last fetch that nobody recorded.
    pub(super) fn take_call(&self) -> Option<SourceCall> {
        self.state().call.take()
    }

    /// Waits until keys were fetched if `need` requires it, but not longer than the timeout after `now`. Returns `true` if
    /// that ended.
    ///
    /// The fetch goes on without its request, so that one that leaves early cannot use up the only fetch for a while.
    ///
    /// # Errors
    /// Returns [`SourceFailure::Busy`] if too many requests wait.
    async fn wait(self: &Arc<Self>, need: Need, now: Instant) -> Result<bool, Arc<Unavailable>> {
        let busy = || Unavailable { failure: SourceFailure::Busy, message: MANY_WAIT.to_owned() };
        let _waiter = self.waiting.begin().ok_or_else(|| Arc::new(busy()))?;
        let fetched = async {
            // A request that leaves while it waits for another fetch leaves nothing behind.
            let permit = Arc::clone(&self.busy).lock_owned().await;
            if !self.state().begin(need, now) {
                return true;
            }
            let keys = Arc::clone(self);
            let task = tokio::spawn(async move {
                if need == Need::Newer {
                    keys.files.mark_all_due();
                }
                keys.fetch(permit, now).await;
            });
            task.await.is_ok()
        };
        Ok(tokio::time::timeout_at((now + self.timeout).into(), fetched).await.unwrap_or(false))
    }

    async fn fetch(&self, _permit: OwnedMutexGuard<()>, now: Instant) {
        let start = Instant::now();
        let fetched = self.fetch_set(now).await;
        // The last good files hide failures of this fetch.
        let failed = self.files.take_failures().pop().map(|error| failure_of(&error));
        let mut state = self.state();
        let (set, failure) = match fetched {
            Ok(set) => (Some(set), failed),
            Err(message) => (None, failed.or_else(|| Some(malformed(message)))),
        };
        let result = failure.as_ref().map_or(CallResult::Keys, |failure| CallResult::Failed(failure.failure));
        if let Some((set, jwks)) = set {
            (state.set, state.jwks) = (Some(set), Some(jwks));
        }
        state.failure = failure.map(Arc::new);
        state.due = self.files.next_due(now);
        state.call = Some(SourceCall { result, elapsed: Some(start.elapsed()), extension: None });
    }

    /// Fetches what is due, and returns the last good set with its URL.
    async fn fetch_set(&self, now: Instant) -> Result<(Arc<VerifyingSet>, RemoteSource), &'static str> {
        let mut wanted = WantedFiles::new();
        let url = match &self.origin {
            Origin::Url(url) => url.clone(),
            Origin::Discovery { document, issuer } => {
                wanted.insert(document.clone(), &DISCOVERY);
                let known = self.state().jwks.clone();
                let mut tracked = wanted.clone();
                tracked.extend(known.map(|url| (url, &PUBLIC_KEY_SET)));
                self.refresh(&tracked, now).await;
                let bytes = self.files.current(document).ok_or("expected a discovery document, found none")?;
                jwks_uri(&bytes, issuer)?
            }
        };
        wanted.insert(url.clone(), &PUBLIC_KEY_SET);
        self.refresh(&wanted, now).await;
        let bytes = self.files.current(&url).ok_or("expected a JWK Set, found none")?;
        let set = VerifyingSet::parse(&bytes, &self.algorithms).map_err(|_| "expected a JWK Set, found none")?;
        Ok((Arc::new(set), url))
    }

    async fn refresh(&self, wanted: &WantedFiles, now: Instant) {
        // Failures are taken from the files afterwards.
        let _ = self.files.track_and_fetch(wanted, now).await;
        self.files.refresh(now, &|| self.chance).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> Arc<Unavailable> {
        let message = format!("expected the keys of its issuer within {:?} (timeout), found none", self.timeout);
        Arc::new(Unavailable { failure: SourceFailure::Timeout, message })
    }
}

impl State {
    /// Returns `true` if a fetch for `need` is permitted at `now`, and records that it begins.
    fn begin(&mut self, need: Need, now: Instant) -> bool {
        match need {
            Need::First => self.set.is_none() && self.due.is_none_or(|due| due <= now),
            Need::Newer => {
                let is_permitted = self.sought.is_none_or(|sought| now.saturating_duration_since(sought) >= PAUSE);
                if is_permitted {
                    self.sought = Some(now);
                }
                is_permitted
            }
        }
    }
}

fn malformed(message: &str) -> Unavailable {
    Unavailable { failure: SourceFailure::Malformed, message: format!("the keys of its issuer: {message}") }
}

/// Describes a failed fetch without its URL, whose query could be a secret.
fn failure_of(error: &FetchError) -> Unavailable {
    let failure = match error.code() {
        ErrorCode::KeySourceTimeout => SourceFailure::Timeout,
        ErrorCode::KeySourceTooLarge => SourceFailure::TooLarge,
        ErrorCode::KeySourceUnavailable => SourceFailure::Unreachable,
        _ => SourceFailure::Malformed,
    };
    let message = error.cause();
    Unavailable { failure, message: format!("the keys of its issuer: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_sought_once_in_a_while_and_first_keys_when_they_are_due() {
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        let mut state = State::default();
        for (after, expected) in [(0, true), (0, false), (29, false), (30, true), (59, false), (60, true)] {
            assert_eq!(state.begin(Need::Newer, start + seconds(after)), expected, "{after}");
        }
        assert!(state.begin(Need::First, start));
        state.due = Some(start + seconds(10));
        assert!(!state.begin(Need::First, start + seconds(9)));
        assert!(state.begin(Need::First, start + seconds(10)));
        state.set = Some(Arc::new(VerifyingSet::parse(br#"{"keys":[]}"#, &[]).unwrap()));
        assert!(!state.begin(Need::First, start + seconds(10)));
    }
}
