//! What stands between a request and a call to a source: the cache, the call in flight, and the limits of calls.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::flight::{CredentialHash, Flights};
use super::gate::{Gate, Refused};
use super::session_cache::{CacheSpec, SessionCache};
use super::slots::Waiting;
use super::{CacheLookup, Extension, Resolution, Resolved, SourceCall, SourceFailure, SourceLoad};
use crate::time::Timestamp;

/// Calls to one source at once. More of them would only wait there.
const MOST_CALLS: usize = 256;

/// Why a request does not wait.
pub(super) const MANY_WAIT: &str = "as many requests wait for it as limits.in_flight permits; try again";

/// The calls to one source.
#[derive(Clone)]
pub(super) struct Calls(Arc<State>);

struct State {
    cache: Option<SessionCache>,
    flights: Flights,
    gate: Gate,
    waiting: Waiting,
    /// Makes hashes of credentials useless outside this process.
    seed: [u8; 32],
}

impl Calls {
    pub(super) fn new(cache: Option<CacheSpec>, waiting: Waiting, seed: [u8; 32]) -> Self {
        Self(Arc::new(State {
            cache: cache.map(SessionCache::new),
            flights: Flights::default(),
            gate: Gate::new(MOST_CALLS),
            waiting,
            seed,
        }))
    }

    /// Returns the keyed hash of a credential of the kind `kind`.
    pub(super) fn hash(&self, kind: &str, credential: &str) -> CredentialHash {
        let digest = Sha256::new().chain_update(self.0.seed).chain_update(kind).chain_update([0]);
        digest.chain_update(credential).finalize().into()
    }

    /// Returns the answer for `key` at `now`: from the cache unless `is_anew`, from a call in flight, or from `call`.
    pub(super) async fn resolve<F>(
        &self,
        key: CredentialHash,
        now: Timestamp,
        is_anew: bool,
        call: impl FnOnce() -> F,
    ) -> Resolved
    where
        F: Future<Output = (Resolution, Option<Extension>)> + Send + 'static,
    {
        let state = &self.0;
        let cache = state.cache.as_ref();
        // An answer that did not suffice does not replace a call that failed either.
        let usable = cache.filter(|_| !is_anew);
        if let Some(resolution) = usable.and_then(|cache| cache.fresh(&key, now)) {
            return Resolved { lookup: Some(CacheLookup::Hit), ..Resolved::new(resolution) };
        }
        let (resolution, call) = match state.waiting.begin() {
            Some(_waiter) => {
                let start = || {
                    let (state, call) = (Arc::clone(state), call());
                    async move { state.call(key, now, call).await }
                };
                state.flights.join(key, start).await
            }
            None => {
                let (resolution, call) = refused(SourceFailure::Busy, MANY_WAIT.to_owned());
                (resolution, Some(call))
            }
        };
        let is_shared = call.is_none();
        let stale = usable.filter(|_| resolution.is_outage()).and_then(|cache| cache.stale(&key, now));
        let lookup = match (cache, &stale) {
            (None, _) => None,
            (Some(_), None) => Some(CacheLookup::Miss),
            (Some(_), Some(_)) => Some(CacheLookup::Stale),
        };
        Resolved { call, lookup, is_shared, ..Resolved::new(stale.unwrap_or(resolution)) }
    }

    /// Returns what the source uses now.
    pub(super) fn load(&self) -> SourceLoad {
        let (sessions, bytes) = self.0.cache.as_ref().map_or((0, 0), SessionCache::load);
        SourceLoad { sessions, bytes, is_open: self.0.gate.is_open() }
    }
}

impl State {
    async fn call(
        self: Arc<Self>,
        key: CredentialHash,
        now: Timestamp,
        call: impl Future<Output = (Resolution, Option<Extension>)>,
    ) -> (Resolution, SourceCall) {
        let start = Instant::now();
        let pass = match self.gate.enter(start) {
            Ok(pass) => pass,
            Err(Refused::Busy) => {
                let message = format!("as many calls as possible ({MOST_CALLS}) wait for it; try again");
                return refused(SourceFailure::Busy, message);
            }
            Err(Refused::Open) => {
                let message = "it failed several times in a row and is not called for some seconds";
                return refused(SourceFailure::Open, message.to_owned());
            }
        };
        let (resolution, extension) = call.await;
        let (result, end) = (resolution.result(), Instant::now());
        pass.record(result, end);
        if let Some(cache) = &self.cache {
            cache.keep(key, &resolution, now);
        }
        (resolution, SourceCall { result, elapsed: Some(end.duration_since(start)), extension })
    }
}

/// Returns the answer of a call that is not made.
fn refused(failure: SourceFailure, message: String) -> (Resolution, SourceCall) {
    let resolution = Resolution::unavailable(failure, message);
    let call = SourceCall { result: resolution.result(), elapsed: None, extension: None };
    (resolution, call)
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("cache", &self.0.cache).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{CallResult, Rejection};
    use std::future::ready;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn calls(cache: Option<CacheSpec>) -> Calls {
        Calls::new(cache, Waiting::new(8, &Waiting::everywhere(8)), [7; 32])
    }

    fn cache(stale_if_error: u64) -> Option<CacheSpec> {
        let seconds = Duration::from_secs;
        Some(CacheSpec { ttl: seconds(10), stale_if_error: seconds(stale_if_error), size: 1 << 20 })
    }

    fn resolve_with(calls: &Calls, key: u8, now: Timestamp, is_anew: bool, answer: Resolution) -> Resolved {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(calls.resolve([key; 32], now, is_anew, || ready((answer, None))))
    }

    fn resolve(calls: &Calls, key: u8, now: Timestamp, answer: Resolution) -> Resolved {
        resolve_with(calls, key, now, false, answer)
    }

    fn failed(failure: SourceFailure) -> Resolution {
        Resolution::unavailable(failure, "")
    }

    fn session() -> Resolution {
        crate::sources::session_cache::tests::session(None, None)
    }

    fn inactive() -> Resolution {
        Resolution::NoSession(Rejection::Inactive)
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    #[test]
    fn hashes_depend_on_seed_kind_and_credential() {
        let waiting = Waiting::new(8, &Waiting::everywhere(8));
        let (one, other) = (calls(None), Calls::new(None, waiting, [8; 32]));
        assert_eq!(one.hash("cookie", "s=a"), one.hash("cookie", "s=a"));
        assert_ne!(one.hash("cookie", "s=a"), one.hash("cookie", "s=b"));
        assert_ne!(one.hash("cookie", "a"), one.hash("authorization", "a"));
        assert_ne!(one.hash("cookie", "s=a"), other.hash("cookie", "s=a"));
    }

    #[test]
    fn calls_that_are_not_made_are_counted() {
        let calls = calls(None);
        for _ in 0..5 {
            let made = resolve(&calls, 1, NOW, failed(SourceFailure::Timeout)).call.unwrap();
            assert!(made.elapsed.is_some());
        }
        let refused = resolve(&calls, 2, NOW, inactive());
        let open = CallResult::Failed(SourceFailure::Open);
        assert_eq!((refused.resolution.result(), calls.load().is_open), (open, true));
        assert_eq!(refused.call, Some(SourceCall { result: open, elapsed: None, extension: None }));
    }

    #[test]
    fn cached_answer_needs_no_call() {
        let calls = calls(cache(0));
        let found = resolve(&calls, 1, NOW, inactive());
        assert_eq!((found.call.is_some(), found.lookup), (true, Some(CacheLookup::Miss)));
        let found = resolve(&calls, 1, NOW, failed(SourceFailure::Timeout));
        assert_eq!((found.call, found.lookup), (None, Some(CacheLookup::Hit)));
        assert_eq!(found.resolution.result(), CallResult::NoSession);
        assert!(!found.is_shared);
        let found = resolve(&calls, 1, after(1), failed(SourceFailure::Timeout));
        let timeout = CallResult::Failed(SourceFailure::Timeout);
        assert_eq!((found.resolution.result(), found.lookup), (timeout, Some(CacheLookup::Miss)));
    }

    #[test]
    fn failed_call_is_answered_with_a_stale_session_only_if_it_was_an_outage() {
        use SourceFailure::*;
        for (failure, is_outage) in [
            (Gateway, true),
            (Malformed, false),
            (Reset, true),
            (ServerError, true),
            (Status, false),
            (Timeout, true),
            (TooLarge, true),
            (Truncated, true),
            (Unreachable, true),
        ] {
            let calls = calls(cache(60));
            resolve(&calls, 1, NOW, session());
            let found = resolve(&calls, 1, after(10), failed(failure));
            let lookup = if is_outage { CacheLookup::Stale } else { CacheLookup::Miss };
            let result = if is_outage { CallResult::Session } else { CallResult::Failed(failure) };
            assert_eq!((found.resolution.result(), found.lookup), (result, Some(lookup)), "{failure:?}");
            assert_eq!(resolve(&calls, 1, after(70), failed(failure)).resolution.result(), CallResult::Failed(failure));
        }
    }

    #[test]
    fn session_that_did_not_suffice_replaces_no_failed_call() {
        for stale_if_error in [0, 60] {
            let calls = calls(cache(stale_if_error));
            resolve(&calls, 1, NOW, session());
            let anew = resolve_with(&calls, 1, after(1), true, failed(SourceFailure::Timeout));
            let timeout = CallResult::Failed(SourceFailure::Timeout);
            assert_eq!((anew.resolution.result(), anew.lookup), (timeout, Some(CacheLookup::Miss)), "{stale_if_error}");
        }
    }

    #[test]
    fn requests_that_wait_are_limited_although_they_share_a_call() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let calls = calls(cache(0));
        resolve(&calls, 2, NOW, session());
        runtime.block_on(async {
            let (send, receive) = tokio::sync::watch::channel(false);
            let ask = || {
                let (calls, mut receive) = (calls.clone(), receive.clone());
                async move {
                    let call = move || async move {
                        let _ = receive.wait_for(|is_released| *is_released).await;
                        (inactive(), None)
                    };
                    calls.resolve([1; 32], NOW, false, call).await
                }
            };
            let waiting: Vec<_> = (0..4).map(|_| tokio::spawn(ask())).collect();
            tokio::task::yield_now().await;
            let busy = CallResult::Failed(SourceFailure::Busy);
            let refused = ask().await;
            assert_eq!((refused.resolution.result(), refused.call.unwrap().result), (busy, busy));
            let cached = calls.resolve([2; 32], NOW, false, || ready((inactive(), None))).await;
            assert_eq!(cached.resolution.result(), CallResult::Session, "cached sessions do not wait");
            send.send(true).unwrap();
            let mut shared = 0;
            for task in waiting {
                let found = task.await.unwrap();
                assert_eq!(found.resolution.result(), CallResult::NoSession);
                assert_eq!(found.is_shared, found.call.is_none());
                shared += usize::from(found.is_shared);
            }
            assert_eq!(shared, 3);
        });
        assert_eq!(resolve(&calls, 1, after(2), inactive()).resolution.result(), CallResult::NoSession);
    }
}
