//! The synchronization primitives of `queue` and `slot`.
//!
//! `tests/models` compiles these two modules with loom's primitives instead. Loom runs them with many interleavings of
//! their threads.

pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
