//! Slots of a limited number.
//!
//! `tests/models` checks them with many interleavings of their threads.

use std::borrow::Borrow;

use super::sync::{AtomicUsize, Ordering};

/// A slot of the count `C`. Dropping it frees the slot.
pub(super) struct Slot<C: Borrow<AtomicUsize>>(C);

impl<C: Borrow<AtomicUsize>> Slot<C> {
    /// Takes one of `most` slots. Returns `None` if all are taken.
    pub(super) fn take(count: C, most: usize) -> Option<Self> {
        let before = count.borrow().fetch_add(1, Ordering::Relaxed);
        // If all slots were taken, dropping this one subtracts what was just added.
        let slot = Self(count);
        if before < most { Some(slot) } else { None }
    }
}

impl<C: Borrow<AtomicUsize>> Drop for Slot<C> {
    fn drop(&mut self) {
        self.0.borrow().fetch_sub(1, Ordering::Relaxed);
    }
}
