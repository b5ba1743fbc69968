//! The one place where tasks are started.

use tokio::task::JoinHandle;

/// Starts a task on this thread's runtime. It reports over a channel or not at all; nobody waits.
#[expect(
    clippy::disallowed_methods,
    reason = "the only door to concurrent work; engine alone has tasks"
)]
pub(super) fn start<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(work)
}
