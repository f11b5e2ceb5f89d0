//! A queue of jobs. Some threads take a job immediately, others only when it is late.
//!
//! `tests/models` checks it with many interleavings of its threads.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// A queue of jobs, shared by the threads that process them.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// The maximum number of waiting jobs.
    capacity: usize,
    jobs: Mutex<Jobs<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Jobs<T> {
    /// The jobs in order, each with the time when it was queued.
    waiting: VecDeque<(Instant, T)>,
    /// `true` if the queue accepts no further jobs.
    is_closed: bool,
}

/// The reason why a job was not queued.
#[derive(Debug)]
pub(super) enum PushError<T> {
    /// Another thread holds the lock. Contains the job.
    Locked(T),
    /// The queue is full. The job is dropped.
    Full,
}

impl<T> Queue<T> {
    /// Returns an empty queue for at most `capacity` jobs.
    pub(super) fn new(capacity: usize) -> Self {
        let jobs = Jobs { waiting: VecDeque::new(), is_closed: false };
        Self { capacity, jobs: Mutex::new(jobs), changed: Condvar::new() }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs<T>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `job`. Never waits for the lock, because an idle-priority thread may hold it without being scheduled.
    ///
    /// # Errors
    /// Returns [`PushError`] if another thread holds the lock or the queue is full.
    pub(super) fn push(&self, job: T) -> Result<(), PushError<T>> {
        let mut jobs = match self.jobs.try_lock() {
            Ok(jobs) => jobs,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(PushError::Locked(job)),
        };
        if jobs.waiting.len() >= self.capacity {
            return Err(PushError::Full);
        }
        jobs.waiting.push_back((Instant::now(), job));
        drop(jobs);
        self.changed.notify_all();
        Ok(())
    }

    /// Closes the queue, so that [`Queue::next`] returns `None` once it is empty.
    pub(super) fn close(&self) {
        self.jobs().is_closed = true;
        self.changed.notify_all();
    }

    /// Removes and returns the first job once it has waited for `wait`. Returns `None` once the queue is closed and empty.
    pub(super) fn next(&self, wait: Duration) -> Option<T> {
        let mut jobs = self.jobs();
        loop {
            let left = jobs.waiting.front().map(|(since, _)| wait.saturating_sub(since.elapsed()));
            jobs = match left {
                None if jobs.is_closed => return None,
                None => self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return jobs.waiting.pop_front().map(|(_, job)| job),
                Some(left) => self.changed.wait_timeout(jobs, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}
