//! Where drafts are signed: at once if the key is fast, on dedicated threads if it is slow.
//!
//! An RSA key of 4096 bits takes longer to sign than a hundred responses from the cache, so it must not block them. The
//! first signature of a key shows how long it takes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
};
use tokio::sync::oneshot;

use super::outcome::Refusal;
use crate::code::ErrorCode;
use crate::mint::{Draft, IssueError, IssuedToken};

/// Drafts that wait for a thread. More would wait longer than a gateway does.
const CAPACITY: usize = 256;

/// After this long, a draft no longer waits for idle time.
const LATE: Duration = Duration::from_millis(10);

/// The threads for slow keys, which start with the first of them.
#[derive(Debug, Default)]
pub(super) struct SigningQueue {
    queue: OnceLock<Arc<Queue<Job>>>,
}

/// A queue of jobs, shared by the threads that do them.
#[derive(Debug)]
struct Queue<T> {
    jobs: Mutex<Jobs<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Jobs<T> {
    /// The jobs in their order, each with its start.
    waiting: VecDeque<(Instant, T)>,
    /// Whether no more jobs will come.
    is_closed: bool,
}

#[derive(Debug)]
struct Job {
    draft: Draft,
    done: oneshot::Sender<Result<IssuedToken, IssueError>>,
}

/// A draft for a slow key: signed already, or queued.
enum Submitted {
    Signed(Result<IssuedToken, IssueError>),
    Queued(oneshot::Receiver<Result<IssuedToken, IssueError>>),
}

impl SigningQueue {
    /// Signs `draft`.
    ///
    /// # Errors
    /// `keys.busy` if too many drafts wait for slow keys, and those of [`Draft::sign`].
    pub(super) async fn sign(&self, draft: Draft) -> Result<IssuedToken, Refusal> {
        let signed = if draft.signer().is_slow() { self.sign_apart(draft).await? } else { sign_timed(draft) };
        signed.map_err(Refusal::from)
    }

    async fn sign_apart(&self, draft: Draft) -> Result<Result<IssuedToken, IssueError>, Refusal> {
        match self.submit(draft)? {
            Submitted::Signed(signed) => Ok(signed),
            Submitted::Queued(signed) => signed.await.map_err(|_| Refusal::internal()),
        }
    }

    fn submit(&self, draft: Draft) -> Result<Submitted, Refusal> {
        let queue = self.queue.get_or_init(start);
        let mut jobs = match queue.jobs.try_lock() {
            Ok(jobs) => jobs,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            // Sign here instead of waiting, because an idle-priority thread may hold the lock without being scheduled.
            Err(TryLockError::WouldBlock) => return Ok(Submitted::Signed(sign_timed(draft))),
        };
        if jobs.waiting.len() >= CAPACITY {
            let detail = format!("{CAPACITY} signatures of slow keys are waiting already; try again");
            return Err(Refusal::new(ErrorCode::KeyBusy, detail));
        }
        let (done, signed) = oneshot::channel();
        jobs.waiting.push_back((Instant::now(), Job { draft, done }));
        drop(jobs);
        queue.changed.notify_all();
        Ok(Submitted::Queued(signed))
    }
}

impl Drop for SigningQueue {
    /// Lets the threads end once the queue is empty.
    fn drop(&mut self) {
        if let Some(queue) = self.queue.get() {
            queue.jobs().is_closed = true;
            queue.changed.notify_all();
        }
    }
}

fn sign_timed(draft: Draft) -> Result<IssuedToken, IssueError> {
    let signer = Arc::clone(draft.signer());
    let start = Instant::now();
    let token = draft.sign();
    signer.note_pace(start.elapsed());
    token
}

/// Starts a thread for each core that signs in idle time, and for each core but one, which is left for requests, a thread
/// that signs late drafts. Linux lets a thread of lower priority run for a millisecond while requests wait, and one of
/// idle priority not at all; but if requests leave no idle time, idle threads hardly run.
fn start() -> Arc<Queue<Job>> {
    let queue = Arc::new(Queue::<Job>::new());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    for _ in 0..cores {
        let queue = Arc::clone(&queue);
        std::thread::spawn(move || {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            // If this is forbidden, requests wait a little longer.
            let _ = set_thread_priority_and_policy(thread_priority::thread_native_id(), ThreadPriority::Min, idle);
            queue.sign(Duration::ZERO)
        });
    }
    for _ in 0..cores.saturating_sub(1).max(1) {
        let queue = Arc::clone(&queue);
        std::thread::spawn(move || queue.sign(LATE));
    }
    queue
}

impl Queue<Job> {
    /// Signs drafts that have waited for `wait`, until the queue is closed and empty.
    fn sign(&self, wait: Duration) {
        while let Some(job) = self.next(wait) {
            // The request may have been canceled.
            let _ = job.done.send(sign_timed(job.draft));
        }
    }
}

impl<T> Queue<T> {
    fn new() -> Self {
        Self { jobs: Mutex::new(Jobs { waiting: VecDeque::new(), is_closed: false }), changed: Condvar::new() }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs<T>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the first job once it has waited for `wait`; `None` once the queue is closed and empty.
    fn next(&self, wait: Duration) -> Option<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_job_is_taken_after_its_wait_and_no_sooner() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.jobs().waiting.extend([(start, 1), (start, 2), (start, 3)]);
        assert_eq!(queue.next(Duration::ZERO), Some(1));
        assert_eq!(queue.next(LATE), Some(2));
        assert!(start.elapsed() >= LATE);
        assert_eq!(queue.next(Duration::ZERO), Some(3));
        // A thread that waits for an empty queue wakes when a job comes, and waits until it is late.
        std::thread::scope(|scope| {
            let late = scope.spawn(|| (queue.next(LATE), Instant::now()));
            let came = Instant::now();
            queue.jobs().waiting.push_back((came, 4));
            queue.changed.notify_all();
            let (job, taken) = late.join().unwrap();
            assert_eq!(job, Some(4));
            assert!(taken.duration_since(came) >= LATE);
        });
        queue.jobs().waiting.push_back((start, 5));
        queue.jobs().is_closed = true;
        assert_eq!((queue.next(LATE), queue.next(LATE)), (Some(5), None));
    }
}
