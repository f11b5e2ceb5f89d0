//! The async runtime of commands.

/// Runs `future` on the runtime that the HTTP server needs.
pub(super) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix_web::rt::System::new().block_on(future)
}
