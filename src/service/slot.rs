//! Slots of a limited number.
//!
//! `tests/models` checks them with many interleavings of their threads.

use super::sync::{AtomicUsize, Ordering};

/// A slot. It is free again once this is dropped.
pub(super) struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    /// Takes one of `most` slots; `None` if all are taken.
    pub(super) fn take(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        // If all slots were taken, dropping this one subtracts what was just added.
        let slot = Self(count);
        if before < most { Some(slot) } else { None }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
