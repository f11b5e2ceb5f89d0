//! Slots of a limited number, and the requests that wait for sources.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    most: usize,
    taken: AtomicUsize,
}

/// One slot. It is free again when this is dropped.
pub(super) struct Slot(Arc<Slots>);

/// The requests that wait for one source. They must leave slots of the service to requests that do not wait, and to those
/// for other sources.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    here: Arc<Slots>,
    everywhere: Arc<Slots>,
}

/// One request that waits for a source.
pub(super) struct Waiter {
    _here: Slot,
    _everywhere: Slot,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::default() }
    }

    /// Takes a slot, if one is free.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let next = |taken| (taken < self.most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.ok().map(|_| Slot(Arc::clone(self)))
    }
}

impl Waiting {
    /// Returns the requests that wait for one source of a service that works on `in_flight` requests at once.
    /// `everywhere` has the slots of all its sources.
    pub(super) fn new(in_flight: usize, everywhere: &Arc<Slots>) -> Self {
        Self { here: Arc::new(Slots::new(in_flight.div_ceil(2))), everywhere: Arc::clone(everywhere) }
    }

    /// Returns the slots for all sources of a service that works on `in_flight` requests at once.
    pub(super) fn everywhere(in_flight: usize) -> Arc<Slots> {
        Arc::new(Slots::new(in_flight - in_flight / 4))
    }

    /// Returns the slot of one more request; `None` if as many requests wait as may.
    pub(super) fn begin(&self) -> Option<Waiter> {
        Some(Waiter { _here: self.here.take()?, _everywhere: self.everywhere.take()? })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_leave_slots_to_others() {
        let everywhere = Waiting::everywhere(8);
        let sources = [Waiting::new(8, &everywhere), Waiting::new(8, &everywhere)];
        let waiters: Vec<_> = (0..8).filter_map(|_| sources[0].begin()).collect();
        assert_eq!(waiters.len(), 4, "half of them for one source");
        let others: Vec<_> = (0..8).filter_map(|_| sources[1].begin()).collect();
        assert_eq!(others.len(), 2, "three quarters for all");
        drop(waiters);
        assert_eq!((0..8).filter_map(|_| sources[0].begin()).count(), 8, "each waits for a moment only");
        let one = Waiting::new(1, &Waiting::everywhere(1));
        assert!(one.begin().is_some());
    }
}
