//! Where drafts are signed: at once where that is quick, on a few threads of their own where it is not.
//!
//! A key of RSA with 4096 bits takes longer to sign than a hundred requests from the cache take to answer, so it may
//! not hold them up. How long a key takes is seen on its first signature.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
};
use tokio::sync::oneshot;

use super::problem::Problem;
use crate::code::ErrorCode;
use crate::mint::{Draft, IssueError, IssuedToken};

/// Drafts that wait for a thread. More would wait longer than a gateway does.
const QUEUE: usize = 256;

/// After this long, a draft waits for idle time no more.
const LATE: Duration = Duration::from_millis(10);

/// The threads for slow keys, which start when the first is met.
#[derive(Debug, Default)]
pub struct SigningPool {
    queue: OnceLock<Arc<Queue<Job>>>,
}

/// What waits for a thread.
#[derive(Debug)]
struct Queue<T> {
    jobs: Mutex<Jobs<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Jobs<T> {
    /// Since when each waits, in the order in which they came.
    waiting: VecDeque<(Instant, T)>,
    /// Whether no more will come.
    is_closed: bool,
}

#[derive(Debug)]
struct Job {
    draft: Draft,
    done: oneshot::Sender<Result<IssuedToken, IssueError>>,
}

/// What became of a draft for a slow key.
enum Placed {
    Signed(Result<IssuedToken, IssueError>),
    Waits(oneshot::Receiver<Result<IssuedToken, IssueError>>),
}

impl SigningPool {
    /// Signs `draft`.
    ///
    /// # Errors
    /// `key.busy` where too many wait for slow keys, and whatever the key says.
    pub(super) async fn sign(&self, draft: Draft) -> Result<IssuedToken, Problem> {
        let signed = if draft.signer().is_slow() { self.sign_apart(draft).await? } else { timed(draft) };
        signed.map_err(|error| Problem::new(error.code(), error.to_string()))
    }

    async fn sign_apart(&self, draft: Draft) -> Result<Result<IssuedToken, IssueError>, Problem> {
        match self.place(draft)? {
            Placed::Signed(signed) => Ok(signed),
            Placed::Waits(signed) => signed.await.map_err(|_| Problem::new(ErrorCode::Internal, "")),
        }
    }

    fn place(&self, draft: Draft) -> Result<Placed, Problem> {
        let queue = self.queue.get_or_init(start);
        let mut jobs = match queue.jobs.try_lock() {
            Ok(jobs) => jobs,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            // Who holds the lock may be an idle thread that gets no time to give it back.
            Err(TryLockError::WouldBlock) => return Ok(Placed::Signed(timed(draft))),
        };
        if jobs.waiting.len() >= QUEUE {
            let detail = format!("expected fewer than {QUEUE} signatures of slow keys to wait, found as many");
            return Err(Problem::new(ErrorCode::KeyBusy, detail));
        }
        let (done, signed) = oneshot::channel();
        jobs.waiting.push_back((Instant::now(), Job { draft, done }));
        drop(jobs);
        queue.changed.notify_all();
        Ok(Placed::Waits(signed))
    }
}

impl Drop for SigningPool {
    /// Lets the threads end once nothing waits.
    fn drop(&mut self) {
        if let Some(queue) = self.queue.get() {
            queue.jobs().is_closed = true;
            queue.changed.notify_all();
        }
    }
}

fn timed(draft: Draft) -> Result<IssuedToken, IssueError> {
    let signer = Arc::clone(draft.signer());
    let start = Instant::now();
    let token = draft.sign();
    signer.note_pace(start.elapsed());
    token
}

/// For each core a thread that signs in idle time, and for each but one, which is left for requests, one that signs what
/// is late. Linux lets what is merely nicer go on for a millisecond while requests wait, what is idle not for a moment;
/// but where requests leave no time, idle threads get next to none.
fn start() -> Arc<Queue<Job>> {
    let queue = Arc::new(Queue::<Job>::new());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    for _ in 0..cores {
        let queue = Arc::clone(&queue);
        std::thread::spawn(move || {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            // Where this is forbidden, requests wait a little.
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
    /// Signs what has waited for `wait`, until there is no more.
    fn sign(&self, wait: Duration) {
        while let Some(job) = self.next(wait) {
            // Whoever asked may have gone meanwhile.
            let _ = job.done.send(timed(job.draft));
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

    /// Takes the first, once it has waited for `wait`; `None` once the queue is closed and empty.
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
    fn what_is_late_is_taken_by_those_who_wait_for_it_and_no_sooner() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.jobs().waiting.extend([(start, 1), (start, 2), (start, 3)]);
        assert_eq!(queue.next(Duration::ZERO), Some(1));
        assert_eq!(queue.next(LATE), Some(2));
        assert!(start.elapsed() >= LATE);
        assert_eq!(queue.next(Duration::ZERO), Some(3));
        // Who waits where there is nothing is woken by what comes, and waits for it to be late.
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
