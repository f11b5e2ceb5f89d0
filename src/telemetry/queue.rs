//! A bounded queue in front of a thread: `push` never blocks, and returns `false` if the queue is full or closed.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The queue; its thread ends when the queue is closed or dropped, after it has worked off what is in it.
pub(super) struct Queue<T> {
    /// `None` only wakes the thread.
    sender: SyncSender<Option<T>>,
    is_closed: Arc<AtomicBool>,
    /// Hangs up when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// How much a queue holds, and in what portions its thread takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Items that may wait.
    pub(super) waiting: usize,
    /// Items of one portion at most.
    pub(super) portion: usize,
    /// How long a portion that is not full waits for more.
    pub(super) linger: Duration,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts the thread called `name`, which calls `work` with one portion after the other.
    ///
    /// # Errors
    /// Where the machine has no thread left.
    pub(super) fn start(name: &str, bounds: Bounds, mut work: impl FnMut(Vec<T>) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(bounds.waiting);
        let (end, ended) = sync_channel(0);
        let is_closed = Arc::new(AtomicBool::new(false));
        let is_ending = Arc::clone(&is_closed);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _end: SyncSender<()> = end;
            while let Some(portion) = next_portion(&receiver, bounds, &is_ending) {
                if !portion.is_empty() {
                    work(portion);
                }
            }
        })?;
        Ok(Self { sender, is_closed, ended: Mutex::new(ended) })
    }

    /// Adds `item`. Returns `false` if the queue is full or closed.
    pub(super) fn push(&self, item: T) -> bool {
        !self.is_closed.load(Ordering::Relaxed) && self.sender.try_send(Some(item)).is_ok()
    }

    /// Closes the queue and waits at most `within` for the thread to process the rest. Returns `true` if it did.
    pub(super) fn close(&self, within: Duration) -> bool {
        self.is_closed.store(true, Ordering::Release);
        // If the queue is full, the thread is busy and checks the flag afterwards.
        let _ = self.sender.try_send(None);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }
}

/// The next portion, which is empty where the thread was only woken; `None` at the end.
fn next_portion<T>(receiver: &Receiver<Option<T>>, bounds: Bounds, is_ending: &AtomicBool) -> Option<Vec<T>> {
    let mut portion = Vec::new();
    match receiver.try_recv() {
        Ok(first) => portion.extend(first),
        Err(TryRecvError::Disconnected) => return None,
        Err(TryRecvError::Empty) if is_ending.load(Ordering::Acquire) => return None,
        Err(TryRecvError::Empty) => portion.extend(receiver.recv().ok()?),
    }
    let deadline = Instant::now() + bounds.linger;
    while portion.len() < bounds.portion {
        let rest =
            if is_ending.load(Ordering::Acquire) { Duration::ZERO } else { deadline - Instant::now().min(deadline) };
        match receiver.recv_timeout(rest) {
            Ok(item) => portion.extend(item),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => break,
        }
    }
    Some(portion)
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const BOUNDS: Bounds = Bounds { waiting: 4, portion: 2, linger: Duration::ZERO };

    #[test]
    fn a_full_queue_refuses_and_a_closed_one_is_worked_off() {
        let (release, released) = channel::<()>();
        let (tell, told) = channel();
        let queue = Queue::start("test", BOUNDS, move |portion: Vec<u32>| {
            let _ = released.recv();
            tell.send(portion).unwrap();
        })
        .unwrap();
        let taken = (0..100).take_while(|item| queue.push(*item)).count();
        assert!((4..=6).contains(&taken), "{taken}: four wait, and two at most are worked on");
        assert!(!queue.close(Duration::from_millis(1)), "the thread is held up");
        drop(release);
        assert!(queue.close(Duration::from_secs(10)));
        let worked: Vec<u32> = told.iter().flatten().collect();
        assert_eq!(worked, (0..u32::try_from(taken).unwrap()).collect::<Vec<_>>());
        assert!(!queue.push(0), "it is closed");
    }

    #[test]
    fn a_dropped_queue_is_worked_off() {
        let (tell, told) = channel();
        let queue = Queue::start("test", BOUNDS, move |portion: Vec<u32>| tell.send(portion).unwrap()).unwrap();
        assert!(queue.push(7));
        drop(queue);
        assert_eq!(told.iter().flatten().collect::<Vec<_>>(), [7]);
    }
}
