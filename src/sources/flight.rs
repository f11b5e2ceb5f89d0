//! One call for concurrent requests with the same credential.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::{Resolution, SourceCall};

/// The keyed hash of a credential.
pub(super) type CredentialHash = [u8; 32];

/// The calls in flight.
#[derive(Clone, Default)]
pub(super) struct Flights {
    open: Arc<Mutex<HashMap<CredentialHash, Flight>>>,
    count: Arc<AtomicU64>,
}

struct Flight {
    number: u64,
    call: WeakShared<BoxFuture<'static, Arc<Landed>>>,
}

/// The answer of a call that several requests can share.
struct Landed {
    resolution: Resolution,
    call: SourceCall,
    /// Whether a request took `call`, so that it is recorded once.
    is_recorded: AtomicBool,
}

/// Removes a call from those in flight when it ends, or when all its requests are gone.
struct Landing {
    flights: Flights,
    key: CredentialHash,
    number: u64,
}

impl Flights {
    /// Returns the answer of the call in flight for `key`, or of the one that `call` makes.
    /// The call itself is returned to one request only; the others share it.
    pub(super) async fn join<F>(
        &self,
        key: CredentialHash,
        call: impl FnOnce() -> F,
    ) -> (Resolution, Option<SourceCall>)
    where
        F: Future<Output = (Resolution, SourceCall)> + Send + 'static,
    {
        let landed = self.find_or_start(key, call).await;
        let is_first = !landed.is_recorded.swap(true, Ordering::Relaxed);
        (landed.resolution.clone(), is_first.then_some(landed.call))
    }

    fn find_or_start<F>(&self, key: CredentialHash, call: impl FnOnce() -> F) -> Shared<BoxFuture<'static, Arc<Landed>>>
    where
        F: Future<Output = (Resolution, SourceCall)> + Send + 'static,
    {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = open.get(&key).and_then(|flight| flight.call.upgrade()) {
            return call;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { flights: self.clone(), key, number };
        let call = call();
        let shared = async move {
            let (resolution, call) = call.await;
            drop(landing);
            Arc::new(Landed { resolution, call, is_recorded: AtomicBool::default() })
        }
        .boxed()
        .shared();
        // A handle of the call itself would keep it alive after its requests are gone.
        if let Some(call) = shared.downgrade() {
            open.insert(key, Flight { number, call });
        }
        shared
    }

    /// Returns the number of calls in flight.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.open.lock().unwrap().len()
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut open = self.flights.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A later call for the same credential can have its place.
        if open.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            open.remove(&self.key);
        }
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{CallResult, Rejection};
    use std::future::pending;
    use tokio::sync::oneshot;

    const CALL: SourceCall = SourceCall { result: CallResult::NoSession, elapsed: None, extension: None };

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn concurrent_requests_share_one_call_that_is_recorded_once() {
        let (flights, mut calls) = (Flights::default(), 0);
        let (send, receive) = oneshot::channel::<()>();
        let mut receive = Some(receive);
        let mut joined = Vec::new();
        for _ in 0..1000 {
            joined.push(flights.find_or_start([1; 32], || {
                calls += 1;
                let receive = receive.take().unwrap();
                async move {
                    let _ = receive.await;
                    (Resolution::NoSession(Rejection::Inactive), CALL)
                }
            }));
        }
        send.send(()).unwrap();
        let landed = runtime().block_on(futures_util::future::join_all(joined));
        let recorded = landed.iter().filter(|landed| !landed.is_recorded.swap(true, Ordering::Relaxed)).count();
        assert_eq!((calls, landed.len(), recorded, flights.len()), (1, 1000, 1, 0));
    }

    #[test]
    fn call_ends_with_its_last_request_and_the_next_request_starts_another() {
        let flights = Flights::default();
        let first = flights.find_or_start([1; 32], pending::<(Resolution, SourceCall)>);
        let second = flights.find_or_start([1; 32], || async { unreachable!("the first call is in flight") });
        drop(first);
        assert_eq!(flights.len(), 1, "the second request still waits");
        drop(second);
        assert_eq!(flights.len(), 0);
        let (_, call) =
            runtime().block_on(flights.join([1; 32], || async { (Resolution::NoSession(Rejection::Inactive), CALL) }));
        assert_eq!((call, flights.len()), (Some(CALL), 0));
    }

    #[test]
    fn other_credentials_have_their_own_call() {
        let flights = Flights::default();
        let _first = flights.find_or_start([1; 32], pending::<(Resolution, SourceCall)>);
        let _second = flights.find_or_start([2; 32], pending::<(Resolution, SourceCall)>);
        assert_eq!(flights.len(), 2);
    }
}
