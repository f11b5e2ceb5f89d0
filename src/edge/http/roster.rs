//! The open connections of a listener, and the choice of connections to close for new ones.
//!
//! A connection can be closed if it never authenticated and no request is in progress on it. The connection that has
//! been idle for longest is closed first, then connections whose clients do not read their responses.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// Waiting for a request.
const IDLE: u8 = 0;
/// A request is in progress.
const BUSY: u8 = 1;
/// Chosen to be closed.
const EVICTED: u8 = 2;

/// The share of all connections that is evicted at once, so that each search serves several new connections.
const BATCH_SHARE: usize = 64;

/// The open connections of a listener.
#[derive(Debug)]
pub(super) struct Roster {
    start: Instant,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    open: HashMap<u64, Arc<Member>>,
}

/// A connection in a [`Roster`].
#[derive(Debug)]
pub(super) struct Member {
    id: u64,
    phase: AtomicU8,
    is_known: AtomicBool,
    is_stalled: AtomicBool,
    /// Milliseconds from the start of the roster to the last request, or to the connection.
    active: AtomicU64,
    waker: AtomicWaker,
}

impl Roster {
    /// Returns the roster of a listener that opened at `start`.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, members: Mutex::default() }
    }

    /// Adds a connection that came at `now`. Returns it, and the number of connections before it.
    pub(super) fn add(&self, now: Instant) -> (Arc<Member>, usize) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let before = members.open.len();
        members.next += 1;
        let member = Arc::new(Member {
            id: members.next,
            phase: AtomicU8::new(IDLE),
            is_known: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            active: AtomicU64::new(self.millis(now)),
            waker: AtomicWaker::new(),
        });
        members.open.insert(member.id, Arc::clone(&member));
        (member, before)
    }

    /// Removes a connection that ended.
    pub(super) fn remove(&self, member: &Member) {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&member.id);
    }

    /// Records a request on `member` at `now`.
    pub(super) fn note_request(&self, member: &Member, now: Instant) {
        member.active.store(self.millis(now), Ordering::Relaxed);
    }

    /// Closes some connections that were idle for `least` at `now`, but not `newcomer`. Returns `false` if no
    /// connection can be closed.
    pub(super) fn evict(&self, newcomer: &Member, least: Duration, now: Instant) -> bool {
        let least = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
        let Some(latest) = self.millis(now).checked_sub(least) else { return false };
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let most = (members.open.len() / BATCH_SHARE).max(1);
        for is_stalled in [false, true] {
            let mut idle: Vec<(u64, u64)> = members
                .open
                .values()
                .filter(|member| {
                    member.id != newcomer.id
                        && member.phase.load(Ordering::Relaxed) == IDLE
                        && !member.is_known.load(Ordering::Relaxed)
                        && member.is_stalled.load(Ordering::Relaxed) == is_stalled
                })
                .map(|member| (member.active.load(Ordering::Relaxed), member.id))
                .filter(|(active, _)| *active <= latest)
                .collect();
            if idle.len() > most {
                idle.select_nth_unstable(most);
                idle.truncate(most);
            }
            let mut is_any = false;
            for (_, id) in idle {
                if members.open.get(&id).is_some_and(|member| member.evict()) {
                    members.open.remove(&id);
                    is_any = true;
                }
            }
            if is_any {
                return true;
            }
        }
        false
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Member {
    /// Records that a request begins. An evicted connection still answers a request whose head came before it was
    /// closed.
    pub(super) fn begin(&self) {
        let _ = self.phase.compare_exchange(IDLE, BUSY, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Records that a request ended.
    pub(super) fn end(&self) {
        let _ = self.phase.compare_exchange(BUSY, IDLE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Records that a caller authenticated. The connection is no longer evicted.
    pub(super) fn set_known(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Records whether the client must read a response before the connection continues.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// Returns `true` if the connection must be closed.
    pub(super) fn is_evicted(&self) -> bool {
        self.phase.load(Ordering::Acquire) == EVICTED
    }

    /// Sets the task to wake when the connection is evicted.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn evict(&self) -> bool {
        let is_idle = self.phase.compare_exchange(IDLE, EVICTED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if is_idle {
            self.waker.wake();
        }
        is_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn roster(count: usize) -> (Roster, Vec<Arc<Member>>, Instant) {
        let start = Instant::now();
        let roster = Roster::new(start);
        let members = (0..count).map(|index| roster.add(start + SECOND * index as u32).0).collect();
        (roster, members, start + SECOND * count as u32)
    }

    #[track_caller]
    fn assert_evicted(members: &[Arc<Member>], expected: &[usize]) {
        let evicted: Vec<_> = (0..members.len()).filter(|&index| members[index].is_evicted()).collect();
        assert_eq!(evicted, expected);
    }

    #[test]
    fn longest_idle_connection_is_evicted() {
        let (roster, members, now) = roster(4);
        roster.note_request(&members[0], now);
        let (newcomer, before) = roster.add(now);
        assert_eq!(before, 4);
        assert!(roster.evict(&newcomer, Duration::ZERO, now));
        assert_evicted(&members, &[1]);
        assert!(roster.evict(&newcomer, Duration::ZERO, now));
        assert_evicted(&members, &[1, 2]);
        assert_eq!(roster.add(now).1, 3, "evicted connections are not counted");
    }

    #[test]
    fn busy_and_authenticated_connections_are_never_evicted() {
        let (roster, members, now) = roster(3);
        members[0].begin();
        members[1].set_known();
        assert!(!roster.evict(&members[2], Duration::ZERO, now), "the newcomer stays");
        members[0].end();
        assert!(roster.evict(&members[2], Duration::ZERO, now));
        assert_evicted(&members, &[0]);
    }

    #[test]
    fn connection_with_an_unread_response_is_evicted_last() {
        let (roster, members, now) = roster(3);
        members[0].set_stalled(true);
        assert!(roster.evict(&members[2], Duration::ZERO, now));
        assert_evicted(&members, &[1]);
        assert!(roster.evict(&members[2], Duration::ZERO, now));
        assert_evicted(&members, &[0, 1]);
    }

    #[test]
    fn recent_connection_is_not_evicted() {
        let (roster, members, now) = roster(2);
        assert!(!roster.evict(&members[1], SECOND * 3, now));
        assert!(roster.evict(&members[1], SECOND * 2, now));
        assert_evicted(&members, &[0]);
    }

    #[test]
    fn many_connections_are_evicted_in_batches() {
        let (roster, members, now) = roster(200);
        assert!(roster.evict(&members[199], Duration::ZERO, now));
        assert_evicted(&members, &[0, 1, 2]);
    }

    #[test]
    fn request_on_an_evicted_connection_does_not_keep_it() {
        let (roster, members, now) = roster(2);
        assert!(roster.evict(&members[1], Duration::ZERO, now));
        members[0].begin();
        members[0].end();
        assert!(members[0].is_evicted());
    }
}
