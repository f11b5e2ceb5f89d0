//! Signs drafts: immediately if the key is fast, on dedicated threads if it is slow.
//!
//! An RSA key of 4096 bits takes longer to sign than a hundred responses from the cache, so it must not block these
//! responses. The first signature of a key shows how long it takes.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
};
use tokio::sync::oneshot;
use tracing::error;

use super::outcome::Refusal;
use super::queue::{PushError, Queue};
use crate::code::ErrorCode;
use crate::mint::{Draft, IssueError, IssuedToken};

/// The maximum number of drafts that wait for a thread. Further drafts would wait longer than a gateway does.
const CAPACITY: usize = 256;

/// The time after which a draft no longer waits for idle time.
const LATE: Duration = Duration::from_millis(10);

/// The threads for slow keys, which start with the first signature of such a key.
pub(super) struct SigningQueue {
    /// `None` until all threads have started.
    workers: Mutex<Option<Workers>>,
    spawn: Spawn,
}

/// Starts a thread that runs a function.
type Spawn = Box<dyn Fn(Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync>;

/// The queue of the threads. Dropping it lets the threads end once the queue is empty.
struct Workers(Arc<Queue<Job>>);

/// A signature to create. It sends its result itself, so that its request fails if it is dropped or panics.
struct Job(Box<dyn FnOnce() + Send>);

impl Default for SigningQueue {
    fn default() -> Self {
        Self::with_spawn(|work| thread::Builder::new().name("signing".to_owned()).spawn(work).map(drop))
    }
}

impl SigningQueue {
    fn with_spawn(spawn: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { workers: Mutex::default(), spawn: Box::new(spawn) }
    }

    /// Signs `draft`.
    ///
    /// # Errors
    /// `keys.busy` if too many drafts wait for slow keys. `internal` if the threads cannot be started or the signature
    /// panics. The errors of [`Draft::sign`].
    pub(super) async fn sign(&self, draft: Draft) -> Result<IssuedToken, Refusal> {
        let signed = if draft.signer().is_slow() { self.run(|| sign_timed(draft)).await? } else { sign_timed(draft) };
        signed.map_err(Refusal::from)
    }

    /// Runs `work` on one of the threads and returns its result.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let (job, result) = Job::new(work);
        match self.queue()?.push(job) {
            Ok(()) => {}
            // Sign here instead of waiting, because an idle-priority thread may hold the lock without being scheduled.
            Err(PushError::Locked(job)) => job.run(),
            Err(PushError::Full) => {
                let detail = format!("{CAPACITY} signatures of slow keys are waiting already; try again");
                return Err(Refusal::new(ErrorCode::KeyBusy, detail));
            }
        }
        // A job that panicked sends no result.
        result.await.map_err(|_| Refusal::internal())
    }

    /// Returns the queue. Starts its threads if that has not succeeded yet.
    fn queue(&self) -> Result<Arc<Queue<Job>>, Refusal> {
        // After a panic in `Workers::start`, `workers` is still `None`.
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Workers(queue)) = &*workers {
            return Ok(Arc::clone(queue));
        }
        let started = Workers::start(&self.spawn).map_err(|error| {
            error!(%error, "cannot start threads for slow keys");
            Refusal::internal()
        })?;
        Ok(Arc::clone(&workers.insert(started).0))
    }
}

fn sign_timed(draft: Draft) -> Result<IssuedToken, IssueError> {
    let signer = Arc::clone(draft.signer());
    let start = Instant::now();
    let token = draft.sign();
    signer.note_pace(start.elapsed());
    token
}

impl Workers {
    /// Starts one thread per core that signs in idle time. Also starts one thread per core, except one core for
    /// requests, that signs late drafts. While requests wait, Linux runs a thread of lower priority for a millisecond,
    /// and a thread of idle priority not at all. If requests leave no idle time, idle threads hardly run.
    ///
    /// # Errors
    /// The error of `spawn`. The threads that have started end, also if `spawn` panics.
    fn start(spawn: &Spawn) -> io::Result<Self> {
        let workers = Self(Arc::new(Queue::new(CAPACITY)));
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        for _ in 0..cores {
            let queue = Arc::clone(&workers.0);
            spawn(Box::new(move || {
                let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                // If this is forbidden, requests wait a little longer.
                let _ = set_thread_priority_and_policy(thread_priority::thread_native_id(), ThreadPriority::Min, idle);
                queue.run_jobs(Duration::ZERO);
            }))?;
        }
        for _ in 0..cores.saturating_sub(1).max(1) {
            let queue = Arc::clone(&workers.0);
            spawn(Box::new(move || queue.run_jobs(LATE)))?;
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Queue<Job> {
    /// Runs jobs that have waited for `wait`, until the queue is closed and empty.
    fn run_jobs(&self, wait: Duration) {
        while let Some(job) = self.next(wait) {
            job.run();
        }
    }
}

impl Job {
    /// Returns a job that calls `work`, and the receiver of the result.
    fn new<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Self, oneshot::Receiver<T>) {
        let (done, result) = oneshot::channel();
        // The request may have been canceled.
        let job = move || drop(done.send(work()));
        (Self(Box::new(job)), result)
    }

    /// Runs the job. A panic, which the panic hook logs, must not end the thread and with it later jobs.
    fn run(self) {
        let _ = catch_unwind(AssertUnwindSafe(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// Fails if the result of `work` does not come, instead of waiting forever.
    fn run<T: Send + 'static>(queue: &SigningQueue, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ErrorCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let result = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), queue.run(work)).await });
        result.expect("the request does not wait forever").map_err(|refusal| refusal.code)
    }

    /// Returns a queue whose calls of `spawn` are counted from 0 and fail with the error that `fail` returns for the
    /// call. Each thread that ends sends to the receiver.
    fn failing_queue(
        fail: impl Fn(usize) -> Option<io::Error> + Send + Sync + 'static,
    ) -> (SigningQueue, mpsc::Receiver<()>) {
        let (ended, ends) = mpsc::channel();
        let calls = AtomicUsize::new(0);
        let queue = SigningQueue::with_spawn(move |work| {
            if let Some(error) = fail(calls.fetch_add(1, Ordering::Relaxed)) {
                return Err(error);
            }
            let ended = ended.clone();
            thread::spawn(move || {
                work();
                let _ = ended.send(());
            });
            Ok(())
        });
        (queue, ends)
    }

    #[test]
    fn panicking_job_fails_its_request_and_no_later_one() {
        let queue = SigningQueue::default();
        let threads = 2 * thread::available_parallelism().unwrap().get();
        // One more panic than threads, so that no thread would be left.
        for _ in 0..=threads {
            assert_eq!(run(&queue, || -> u8 { panic!("a signer panics") }), Err(ErrorCode::Internal));
        }
        assert_eq!(run(&queue, || 7), Ok(7));
    }

    #[test]
    fn failed_start_fails_its_request_and_is_repeated() {
        let (queue, ends) = failing_queue(|call| (call == 1).then(|| io::Error::other("no more threads")));
        assert_eq!(run(&queue, || 7), Err(ErrorCode::Internal));
        assert_eq!(ends.recv_timeout(Duration::from_secs(60)), Ok(()), "the thread that started before has ended");
        assert_eq!(run(&queue, || 7), Ok(7));
        assert!(ends.try_recv().is_err(), "the threads wait for jobs");
    }

    #[test]
    fn panic_in_a_start_leaves_no_threads_and_a_usable_lock() {
        let (queue, ends) = failing_queue(|call| if call == 1 { panic!("spawn panics") } else { None });
        let start = catch_unwind(AssertUnwindSafe(|| run(&queue, || 7)));
        assert!(start.is_err() && queue.workers.is_poisoned());
        assert_eq!(ends.recv_timeout(Duration::from_secs(60)), Ok(()), "the thread that started before has ended");
        assert_eq!(run(&queue, || 7), Ok(7));
    }

    #[test]
    fn threads_run_queued_jobs_and_end_after_the_queue_is_dropped() {
        let (queue, ends) = failing_queue(|_| None);
        let (job, mut result) = Job::new(|| 7);
        let jobs = queue.queue().unwrap();
        // A thread may hold the lock.
        let mut push = jobs.push(job);
        while let Err(PushError::Locked(job)) = push {
            push = jobs.push(job);
        }
        drop(queue);
        while ends.recv_timeout(Duration::from_secs(60)).is_ok() {}
        assert_eq!(Arc::strong_count(&jobs), 1, "every thread has ended");
        assert_eq!(result.try_recv(), Ok(7));
    }

    #[test]
    fn late_job_is_taken_after_its_wait_and_no_sooner() {
        let queue = Queue::new(3);
        let start = Instant::now();
        for job in 1..=3 {
            queue.push(job).unwrap();
        }
        assert!(matches!(queue.push(4), Err(PushError::Full)));
        assert_eq!(queue.next(Duration::ZERO), Some(1));
        assert_eq!(queue.next(LATE), Some(2));
        assert!(start.elapsed() >= LATE);
        assert_eq!(queue.next(Duration::ZERO), Some(3));
        // A thread that waits for an empty queue wakes when a job comes, and waits until it is late.
        thread::scope(|scope| {
            let late = scope.spawn(|| (queue.next(LATE), Instant::now()));
            let came = Instant::now();
            // The thread may hold the lock.
            while queue.push(4).is_err() {
                thread::yield_now();
            }
            let (job, taken) = late.join().unwrap();
            assert_eq!(job, Some(4));
            assert!(taken.duration_since(came) >= LATE);
        });
        queue.push(5).unwrap();
        queue.close();
        assert_eq!((queue.next(LATE), queue.next(LATE)), (Some(5), None));
    }
}
