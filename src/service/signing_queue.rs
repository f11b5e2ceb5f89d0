//! Where drafts are signed: at once if the key is fast, on dedicated threads if it is slow.
//!
//! An RSA key of 4096 bits takes longer to sign than a hundred responses from the cache, so it must not block them. The
//! first signature of a key shows how long it takes.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
};
use tokio::sync::oneshot;

use super::outcome::Refusal;
use super::queue::{PushError, Queue};
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
        let (done, signed) = oneshot::channel();
        match self.queue.get_or_init(start).push(Job { draft, done }) {
            Ok(()) => Ok(Submitted::Queued(signed)),
            // Sign here instead of waiting, because an idle-priority thread may hold the lock without being scheduled.
            Err(PushError::Locked(job)) => Ok(Submitted::Signed(sign_timed(job.draft))),
            Err(PushError::Full) => {
                let detail = format!("{CAPACITY} signatures of slow keys are waiting already; try again");
                Err(Refusal::new(ErrorCode::KeyBusy, detail))
            }
        }
    }
}

impl Drop for SigningQueue {
    /// Lets the threads end once the queue is empty.
    fn drop(&mut self) {
        if let Some(queue) = self.queue.get() {
            queue.close();
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
    let queue = Arc::new(Queue::<Job>::new(CAPACITY));
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

#[cfg(test)]
mod tests {
    use super::*;

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
        std::thread::scope(|scope| {
            let late = scope.spawn(|| (queue.next(LATE), Instant::now()));
            let came = Instant::now();
            // The thread may hold the lock.
            while queue.push(4).is_err() {
                std::thread::yield_now();
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
