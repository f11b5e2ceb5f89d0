//! What stands between a request and a call to a source: the cache, the call in flight, and the circuit.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::circuit::Circuit;
use super::flight::{CredentialHash, Flights};
use super::session_cache::{CacheSpec, SessionCache};
use super::{CacheLookup, CallResult, Extension, Resolution, Resolved, SourceCall, SourceFailure, SourceLoad};
use crate::time::Timestamp;

/// Calls to one source at once. More of them would only wait there, and their requests would occupy slots that requests
/// with a cached session need.
const MOST_CALLS: usize = 256;

/// The calls to one source.
pub(super) struct Calls(Arc<State>);

struct State {
    cache: Option<SessionCache>,
    flights: Flights,
    circuit: Mutex<Circuit>,
    open: AtomicUsize,
    /// Makes hashes of credentials useless outside this process.
    seed: [u8; 32],
}

/// One of [`MOST_CALLS`], returned when it is dropped.
struct Slot(Arc<State>);

impl Calls {
    pub(super) fn new(cache: Option<CacheSpec>, seed: [u8; 32]) -> Self {
        Self(Arc::new(State {
            cache: cache.map(SessionCache::new),
            flights: Flights::default(),
            circuit: Mutex::default(),
            open: AtomicUsize::default(),
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
        if let Some(resolution) = cache.filter(|_| !is_anew).and_then(|cache| cache.fresh(&key, now)) {
            return Resolved { resolution, call: None, lookup: Some(CacheLookup::Hit) };
        }
        let landed = state.flights.join(key, || {
            let (state, call) = (Arc::clone(state), call());
            async move { state.call(key, now, call).await }
        });
        let (resolution, call) = landed.await;
        if let Resolution::Unavailable(_) = resolution
            && let Some(resolution) = cache.and_then(|cache| cache.stale(&key, now))
        {
            return Resolved { resolution, call, lookup: Some(CacheLookup::Stale) };
        }
        Resolved { resolution, call, lookup: cache.map(|_| CacheLookup::Miss) }
    }

    /// Returns what the source uses now.
    pub(super) fn load(&self) -> SourceLoad {
        let (sessions, bytes) = self.0.cache.as_ref().map_or((0, 0), SessionCache::load);
        SourceLoad { sessions, bytes, is_open: self.0.circuit().is_open() }
    }
}

impl State {
    async fn call(
        self: Arc<Self>,
        key: CredentialHash,
        now: Timestamp,
        call: impl Future<Output = (Resolution, Option<Extension>)>,
    ) -> (Resolution, Option<SourceCall>) {
        let Some(_slot) = Slot::take(&self) else {
            let message = format!("as many calls as possible ({MOST_CALLS}) wait for it; try again");
            return (Resolution::unavailable(SourceFailure::Busy, message), None);
        };
        let start = Instant::now();
        if !self.circuit().admits(start) {
            let message = "it failed several times in a row and is not called for some seconds";
            return (Resolution::unavailable(SourceFailure::Open, message), None);
        }
        let (resolution, extension) = call.await;
        let (result, end) = (resolution.result(), Instant::now());
        self.circuit().record(is_dead(result), end);
        if let Some(cache) = &self.cache {
            cache.keep(key, &resolution, now);
        }
        (resolution, Some(SourceCall { result, elapsed: end.duration_since(start), extension }))
    }

    fn circuit(&self) -> std::sync::MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `true` if no request could have caused this result. A request that makes a source fail must not make others
/// fail.
fn is_dead(result: CallResult) -> bool {
    matches!(result, CallResult::Failed(SourceFailure::Gateway | SourceFailure::Timeout | SourceFailure::Unreachable))
}

impl Slot {
    fn take(state: &Arc<State>) -> Option<Self> {
        let has_room = |open| (open < MOST_CALLS).then_some(open + 1);
        let taken = state.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room);
        taken.ok().map(|_| Self(Arc::clone(state)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("cache", &self.0.cache).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Rejection;
    use std::future::ready;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn resolve(calls: &Calls, key: u8, now: Timestamp, answer: Resolution) -> Resolved {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(calls.resolve([key; 32], now, false, || ready((answer, None))))
    }

    fn failed(failure: SourceFailure) -> Resolution {
        Resolution::unavailable(failure, "")
    }

    #[test]
    fn hashes_depend_on_seed_kind_and_credential() {
        let (one, other) = (Calls::new(None, [7; 32]), Calls::new(None, [8; 32]));
        assert_eq!(one.hash("cookie", "s=a"), one.hash("cookie", "s=a"));
        assert_ne!(one.hash("cookie", "s=a"), one.hash("cookie", "s=b"));
        assert_ne!(one.hash("cookie", "a"), one.hash("authorization", "a"));
        assert_ne!(one.hash("cookie", "s=a"), other.hash("cookie", "s=a"));
    }

    #[test]
    fn only_failures_that_no_request_can_cause_open_the_circuit() {
        for (failure, opens) in [
            (SourceFailure::Gateway, true),
            (SourceFailure::Malformed, false),
            (SourceFailure::Status, false),
            (SourceFailure::Timeout, true),
            (SourceFailure::TooLarge, false),
            (SourceFailure::Unreachable, true),
        ] {
            let calls = Calls::new(None, [7; 32]);
            for _ in 0..20 {
                resolve(&calls, 1, NOW, failed(failure));
            }
            let after = resolve(&calls, 2, NOW, Resolution::NoSession(Rejection::Inactive));
            assert_eq!(after.call.is_none(), opens, "{failure:?}");
            let result = if opens { CallResult::Failed(SourceFailure::Open) } else { CallResult::NoSession };
            assert_eq!((after.resolution.result(), calls.load().is_open), (result, opens), "{failure:?}");
        }
    }

    #[test]
    fn cached_answer_needs_no_call_and_a_failure_can_be_answered_with_a_stale_one() {
        let spec = |stale| CacheSpec { ttl: Duration::from_secs(1), stale_if_error: stale, size: 1 << 20 };
        let calls = Calls::new(Some(spec(Duration::ZERO)), [7; 32]);
        let found = resolve(&calls, 1, NOW, Resolution::NoSession(Rejection::Inactive));
        assert_eq!((found.call.is_some(), found.lookup), (true, Some(CacheLookup::Miss)));
        let found = resolve(&calls, 1, NOW, failed(SourceFailure::Timeout));
        assert_eq!((found.call, found.lookup), (None, Some(CacheLookup::Hit)));
        assert_eq!(found.resolution.result(), CallResult::NoSession);
        let found = resolve(&calls, 1, NOW.after(Duration::from_secs(1)), failed(SourceFailure::Timeout));
        assert_eq!(
            (found.resolution.result(), found.lookup),
            (CallResult::Failed(SourceFailure::Timeout), Some(CacheLookup::Miss))
        );
    }

    #[test]
    fn calls_at_once_are_limited() {
        let calls = Calls::new(None, [7; 32]);
        let slots: Vec<_> = (0..MOST_CALLS).filter_map(|_| Slot::take(&calls.0)).collect();
        let found = resolve(&calls, 1, NOW, Resolution::NoSession(Rejection::Inactive));
        assert_eq!((slots.len(), found.resolution.result()), (MOST_CALLS, CallResult::Failed(SourceFailure::Busy)));
        drop(slots);
        assert_eq!(
            resolve(&calls, 1, NOW, Resolution::NoSession(Rejection::Inactive)).resolution.result(),
            CallResult::NoSession
        );
    }
}
