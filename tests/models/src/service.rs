//! Models of the signing queue and the admission limit. Loom runs them with many interleavings of their threads.

#[path = "../../../src/service/queue.rs"]
mod queue;
#[path = "../../../src/service/slot.rs"]
mod slot;

/// The primitives of `src/service/sync.rs`, from loom.
mod sync {
    pub(super) use std::sync::{PoisonError, TryLockError};

    pub(super) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
}

use std::time::Duration;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use queue::{PushError, Queue};
use slot::Slot;
use sync::{AtomicUsize, Ordering};

/// The limit of preemptions in one execution. Without it, the models with three threads run for more than five minutes.
const PREEMPTIONS: usize = 3;

/// Runs `model` once for each interleaving with at most [`PREEMPTIONS`] preemptions.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

/// Starts a thread that takes jobs until the queue is closed and empty, and returns them.
///
/// The thread does not wait for jobs to be late, because loom's `Condvar::wait_timeout` never times out.
fn consume(queue: &Arc<Queue<u32>>) -> JoinHandle<Vec<u32>> {
    let queue = Arc::clone(queue);
    thread::spawn(move || std::iter::from_fn(|| queue.next(Duration::ZERO)).collect())
}

/// Queues `job`. Returns it if another thread holds the lock.
fn push(queue: &Queue<u32>, job: u32) -> Option<u32> {
    match queue.push(job) {
        Ok(()) => None,
        Err(PushError::Locked(job)) => Some(job),
        Err(PushError::Full) => panic!("the queue is full"),
    }
}

fn sorted(mut jobs: Vec<u32>) -> Vec<u32> {
    jobs.sort_unstable();
    jobs
}

#[test]
fn each_job_is_taken_once_by_two_consumers_that_end_after_close() {
    check(|| {
        let queue = Arc::new(Queue::new(2));
        let consumers = [consume(&queue), consume(&queue)];
        let mut jobs: Vec<_> = [1, 2].into_iter().filter_map(|job| push(&queue, job)).collect();
        queue.close();
        for consumer in consumers {
            jobs.extend(consumer.join().unwrap());
        }
        assert_eq!(sorted(jobs), [1, 2]);
    });
}

#[test]
fn two_waiting_consumers_both_wake_while_the_queue_is_open() {
    check(|| {
        let queue = Arc::new(Queue::new(2));
        let consumers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.next(Duration::ZERO))
        });
        for job in [1, 2] {
            // Retry while a consumer holds the lock, otherwise the other consumer would wait for a job forever.
            while push(&queue, job).is_some() {
                thread::yield_now();
            }
        }
        let jobs = consumers.into_iter().filter_map(|consumer| consumer.join().unwrap()).collect();
        assert_eq!(sorted(jobs), [1, 2]);
    });
}

#[test]
fn each_job_of_two_producers_is_taken_once() {
    check(|| {
        let queue = Arc::new(Queue::new(2));
        let consumer = consume(&queue);
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || push(&queue, 2))
        };
        let mut jobs: Vec<_> = push(&queue, 1).into_iter().collect();
        jobs.extend(other.join().unwrap());
        queue.close();
        jobs.extend(consumer.join().unwrap());
        assert_eq!(sorted(jobs), [1, 2]);
    });
}

#[test]
fn queue_never_exceeds_its_capacity() {
    check(|| {
        let queue = Arc::new(Queue::new(1));
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.push(2).is_ok())
        };
        let is_first_queued = queue.push(1).is_ok();
        let is_second_queued = other.join().unwrap();
        assert!(is_first_queued != is_second_queued, "two jobs are queued, or none, with a capacity of one");
        queue.close();
        let jobs = consume(&queue).join().unwrap();
        assert_eq!(jobs, [if is_first_queued { 1 } else { 2 }]);
    });
}

#[test]
fn no_more_slots_are_held_than_the_limit() {
    const MOST: usize = 2;
    check(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let held = Arc::new(AtomicUsize::new(0));
        let threads = [(); 3].map(|()| {
            let (count, held) = (Arc::clone(&count), Arc::clone(&held));
            thread::spawn(move || {
                let slot = Slot::take(&*count, MOST);
                if slot.is_some() {
                    let before = held.fetch_add(1, Ordering::Relaxed);
                    assert!(before < MOST, "more slots are held than the limit");
                    held.fetch_sub(1, Ordering::Relaxed);
                }
                slot.is_some()
            })
        });
        let taken = threads.map(|thread| thread.join().unwrap());
        assert!(taken.contains(&true));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn failed_take_counts_nothing() {
    check(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let slot = Slot::take(&*count, 1);
        assert!(slot.is_some());
        let threads = [(); 2].map(|()| {
            let count = Arc::clone(&count);
            thread::spawn(move || Slot::take(&*count, 1).is_none())
        });
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [true, true]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        drop(slot);
        assert!(Slot::take(&*count, 1).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    });
}
