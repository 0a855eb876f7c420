//! The asynchronous runtime of a command.

/// A runtime on this thread, which carries on what a command waits for.
pub(crate) fn new() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
