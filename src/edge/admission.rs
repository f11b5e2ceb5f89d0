//! May this request be worked on now? Who asks, whether there is room, what that caller may ask for and how often.
//!
//! A [`Permit`] holds the room that its request takes until it is dropped, and counts for its caller what became of it.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;

use super::attempts::Attempts;
use super::caller::{Turn, Unknown};
use super::problem::Problem;
use super::{Edge, EdgeLimits, Serving, connection};
use crate::code::ErrorCode;
use crate::time::Timestamp;

/// Wrong attempts whose answers wait at once. Those beyond are answered without a wait, since a wait holds a
/// connection.
const MOST_WAITING: usize = 64;

/// What all requests of a service take from.
#[derive(Debug)]
pub struct Admission {
    /// Threads that work on requests.
    workers: usize,
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    attempts: Mutex<Attempts>,
    /// Connections that are open.
    pub(super) connections: AtomicUsize,
}

impl Admission {
    /// Room for the requests of `workers` threads.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            in_flight: AtomicUsize::default(),
            waiting: AtomicUsize::default(),
            attempts: Mutex::default(),
            connections: AtomicUsize::default(),
        }
    }

    /// Requests for tokens that are worked on.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The answer to an attempt of `address` at `now` that was wrong as `problem` says: told at once, or slowed.
    async fn slow(&self, address: Option<IpAddr>, limits: &EdgeLimits, now: Timestamp, problem: Problem) -> Problem {
        let is_slowed = self.attempts.lock().unwrap_or_else(PoisonError::into_inner).is_too_many(
            address,
            limits.failed_attempts,
            now,
        );
        if !is_slowed {
            return problem;
        }
        if let Some(_waiting) = Room::take(&self.waiting, MOST_WAITING) {
            tokio::time::sleep(limits.failed_delay).await;
        }
        let detail = "expected right credentials after many wrong ones from this address, found wrong ones again";
        Problem::new(ErrorCode::CallerSlowed, detail)
    }
}

/// Room for one, given back when it is dropped.
struct Room<'a>(&'a AtomicUsize);

impl<'a> Room<'a> {
    /// Takes room among `most`, if there is any.
    fn take(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        // Where there is none, the drop gives back what was just taken.
        let room = Self(count);
        if before < most { Some(room) } else { None }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Leave to work on one request.
pub(crate) struct Permit<'s> {
    _room: Room<'s>,
    turn: Option<Turn<'s>>,
}

impl<'s> Permit<'s> {
    /// Who asks; none where callers are not told apart.
    pub(crate) fn caller(&self) -> Option<&'s str> {
        self.turn.as_ref().map(Turn::caller)
    }

    /// The request got its token.
    pub(crate) fn issued(mut self) {
        if let Some(turn) = &mut self.turn {
            turn.issued();
        }
    }
}

/// Leave to work on `request`, which asks for a token of `profile`.
///
/// # Errors
/// `caller.unauthenticated`, `caller.slowed`, `service.overloaded`, `caller.forbidden`, `caller.concurrency`,
/// `caller.rate`.
pub(crate) async fn admit<'s>(
    edge: &'s Edge,
    serving: &'s Serving,
    request: &HttpRequest,
    profile: &str,
) -> Result<Permit<'s>, Problem> {
    let (admission, limits) = (&edge.admission, &serving.limits);
    let authority = serving.client_authority.as_ref();
    if let Some(problem) = connection::refuse_uncertified(request, authority, &*edge.clock) {
        return Err(problem);
    }
    let caller = if serving.callers.is_empty() {
        None
    } else {
        let names = connection::client_names(request, authority, &*edge.clock);
        match serving.callers.authenticate(request.headers(), names.as_deref()) {
            Ok(caller) => Some(caller),
            Err(Unknown { problem, is_attempt: false }) => return Err(problem),
            Err(Unknown { problem, is_attempt: true }) => {
                let address = request.peer_addr().map(|address| address.ip());
                return Err(admission.slow(address, limits, edge.clock.now(), problem).await);
            }
        }
    };
    // Only now, so that nobody but callers takes room from them.
    let Some(room) = Room::take(&admission.in_flight, limits.in_flight) else {
        let detail = "expected fewer requests at once, found as many as limits.in_flight allows";
        return Err(Problem::new(ErrorCode::ServiceOverloaded, detail));
    };
    let turn = caller.map(|caller| caller.turn(profile)).transpose()?;
    // A worker goes from one request into the next, so those that wait for it are in nobody's count. Where all have
    // work, the ones that are ready come up to here first, and what is too much is told before it waits. There can be
    // too much only where there are more connections than may ask at once.
    let may_be_too_much = admission.connections.load(Ordering::Relaxed) > limits.in_flight;
    if may_be_too_much && admission.in_flight() >= admission.workers {
        // In a task of its own, because the connection's may look at this again before it comes to others.
        let _ = actix_web::rt::spawn(tokio::task::yield_now()).await;
    }
    Ok(Permit { _room: room, turn })
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("turn", &self.turn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    #[test]
    fn only_so_many_wrong_attempts_wait_and_the_others_are_answered_at_once() {
        let limits = EdgeLimits {
            body: 0,
            depth: 0,
            header: 0,
            request: Duration::ZERO,
            in_flight: 0,
            failed_attempts: 1,
            failed_delay: Duration::from_secs(3600),
        };
        let admission = Admission::new(1);
        admission.waiting.store(MOST_WAITING, Ordering::Relaxed);
        let wrong = || {
            let problem = Problem::new(ErrorCode::CallerUnauthenticated, "");
            let mut answer = pin!(admission.slow(None, &limits, Timestamp::from_seconds(0), problem));
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(problem) => problem.code,
                Poll::Pending => panic!("it waits"),
            }
        };
        assert_eq!(
            [wrong(), wrong(), wrong()],
            [ErrorCode::CallerUnauthenticated, ErrorCode::CallerSlowed, ErrorCode::CallerSlowed]
        );
        assert_eq!(admission.waiting.load(Ordering::Relaxed), MOST_WAITING);
    }

    #[test]
    fn room_comes_back_and_what_found_none_takes_none() {
        let count = AtomicUsize::new(0);
        let first = Room::take(&count, 2);
        let second = Room::take(&count, 2);
        assert!(first.is_some() && second.is_some() && Room::take(&count, 2).is_none());
        drop(first);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(Room::take(&count, 2).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}
