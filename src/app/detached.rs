//! Work that may block for long.

use tokio::sync::oneshot;

/// The error of work that panicked, or that got no thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotRun;

/// Runs `work` on a thread of its own. The runtime waits for its blocking threads when it ends, but not for this thread, so
/// work that hangs does not keep the process from ending.
///
/// # Errors
/// Returns [`NotRun`] if there is no result.
pub(super) async fn detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotRun> {
    let (done, result) = oneshot::channel();
    let run = move || drop(done.send(work()));
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|_| NotRun)?;
    result.await.map_err(|_| NotRun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_ends_while_work_hangs() {
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let (started, running) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let work = detached("hang", move || {
            let _ = started.send(());
            hang.recv()
        });
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = work => panic!("the work hangs"),
                () = std::future::ready(()) => {}
            }
        });
        running.recv().unwrap();
        drop(runtime);
        drop(release);
    }

    #[test]
    fn panic_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(detached("panic", || panic!("on purpose"))), Err::<(), _>(NotRun));
        assert_eq!(runtime.block_on(detached("number", || 1)), Ok(1));
    }
}
