//! The async runtime of commands.

use std::mem::ManuallyDrop;

/// Runs `future` on the runtime that the HTTP server needs.
pub(super) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix_web::rt::System::new().block_on(future)
}

/// Like [`block_on`], but does not wait for blocking calls of the runtime, such as the resolution of a host name. Only for
/// the last future of a process, because the runtime stays in memory.
pub(super) fn block_on_last<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    ManuallyDrop::new(actix_web::rt::System::new()).block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_future_does_not_wait_for_blocking_calls() {
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let result = block_on_last(async move {
            drop(actix_web::rt::task::spawn_blocking(move || hang.recv()));
            Ok(1)
        });
        assert_eq!(result.unwrap(), 1);
        drop(release);
    }
}
