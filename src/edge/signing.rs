//! Where drafts are signed: at once where that is quick, on a few threads of their own where it is not.
//!
//! A key of RSA with 4096 bits takes longer to sign than a hundred requests from the cache take to answer, so it may
//! not hold them up. How long a key takes is seen on its first signature.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::problem::Problem;
use crate::code::ErrorCode;
use crate::mint::{Draft, IssueError, IssuedToken};

/// Drafts that wait for a thread. More would wait longer than a gateway does.
const QUEUE: usize = 256;

/// By how much these threads are nicer than those that answer requests: they still get a tenth of a busy core.
const BEHIND_REQUESTS: i32 = 10;

/// The threads for slow keys, which start when the first is met.
#[derive(Debug, Default)]
pub struct SigningPool {
    jobs: OnceLock<SyncSender<Job>>,
}

struct Job {
    draft: Draft,
    done: oneshot::Sender<Result<IssuedToken, IssueError>>,
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
        let (done, signed) = oneshot::channel();
        self.jobs.get_or_init(start).try_send(Job { draft, done }).map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail = format!("expected fewer than {QUEUE} signatures of slow keys to wait, found as many");
                Problem::new(ErrorCode::KeyBusy, detail)
            }
            TrySendError::Disconnected(_) => Problem::new(ErrorCode::Internal, ""),
        })?;
        signed.await.map_err(|_| Problem::new(ErrorCode::Internal, ""))
    }
}

fn timed(draft: Draft) -> Result<IssuedToken, IssueError> {
    let signer = Arc::clone(draft.signer());
    let start = Instant::now();
    let token = draft.sign();
    signer.note_pace(start.elapsed());
    token
}

/// One thread fewer than there are cores, so that one is left for requests.
fn start() -> SyncSender<Job> {
    let (sender, receiver) = sync_channel::<Job>(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    for _ in 0..cores.saturating_sub(1).max(1) {
        let receiver = Arc::clone(&receiver);
        std::thread::spawn(move || {
            // Linux ranks each thread on its own: what the cache answers goes first. Where this is forbidden, it waits.
            let _ = rustix::process::nice(BEHIND_REQUESTS);
            while let Some(job) = next(&receiver) {
                // Whoever asked may have gone meanwhile.
                let _ = job.done.send(timed(job.draft));
            }
        });
    }
    sender
}

fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
