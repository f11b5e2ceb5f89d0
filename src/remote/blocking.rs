//! Work of libraries that read files by themselves: root certificates, and the credentials of object stores.
//!
//! Such a read can hang, so it is never made on a thread that serves or handles signals. Nothing waits for the thread when
//! the process ends.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};

/// Runs pieces of work one after the other, each on a thread of its own, so that at most one thread hangs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<()>>);

impl Turns {
    /// Waits for earlier work and returns the result of `work`; `None` if there is none. The caller limits the time.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        let (done, result) = oneshot::channel();
        let run = move || {
            let value = work();
            drop(turn);
            drop(done.send(value));
        };
        Builder::new().name("blocking".to_owned()).spawn(run).ok()?;
        result.await.ok()
    }
}

/// Returns the result of `work`, which runs on a thread of its own; `None` if there is none within `deadline`.
pub(super) fn within<T: Send + 'static>(deadline: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::sync_channel(1);
    Builder::new().name("blocking".to_owned()).spawn(move || drop(done.send(work()))).ok()?;
    result.recv_timeout(deadline).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn work_that_hangs_keeps_later_work_waiting_until_it_returns() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (turns, started) = (Turns::default(), Arc::new(AtomicUsize::new(0)));
            let (release, hang) = mpsc::channel::<()>();
            let count = Arc::clone(&started);
            let hanging = turns.run(move || {
                count.fetch_add(1, Ordering::SeqCst);
                hang.recv()
            });
            assert!(tokio::time::timeout(SHORT, hanging).await.is_err());
            for _ in 0..5 {
                let count = Arc::clone(&started);
                let work = turns.run(move || count.fetch_add(1, Ordering::SeqCst));
                assert!(tokio::time::timeout(SHORT, work).await.is_err());
            }
            assert_eq!(started.load(Ordering::SeqCst), 1, "one thread hangs");
            drop(release);
            assert_eq!(turns.run(|| 7).await, Some(7));
        });
        drop(runtime);
    }

    #[test]
    fn panic_and_deadline_give_no_result() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let turns = Turns::default();
        assert_eq!(runtime.block_on(turns.run(|| panic!("on purpose"))), None::<()>);
        assert_eq!(runtime.block_on(turns.run(|| 1)), Some(1));
        let (_release, hang) = mpsc::channel::<()>();
        assert_eq!(within(SHORT, move || hang.recv()), None);
        assert_eq!(within(Duration::from_secs(10), || 1), Some(1));
    }
}
