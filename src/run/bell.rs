//! A bell that rings when files of a run change.
//!
//! Owns the file watch: one inotify instance a process, rename and write events only (a listing or a
//! read must not ring, or listeners would wake each other for ever), rescans honoured, a slow sweep
//! for what was missed, and polling where no inotify instance is left (128 a user by default). It says
//! *look*, never what happened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Between two looks where watching works: catches what inotify lost, and wakes hardly ever.
const SWEEP: Duration = Duration::from_secs(30);
/// Between two looks where it does not.
const POLL: Duration = Duration::from_millis(200);

/// Rings when one of some paths changes.
#[derive(Debug)]
pub struct Bell {
    rung: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

impl Bell {
    /// Watches files for writes and directories for files that appear. Falls back to polling.
    #[must_use]
    pub fn on(paths: &[PathBuf]) -> Self {
        let (ring, rung) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A full channel means that the bell is ringing already.
            if event.map_or(true, |event| matters(&event)) {
                let _ = ring.try_send(());
            }
        });
        let mut bell = Self {
            rung,
            watcher: watcher.ok(),
        };
        let all = paths.iter().all(|path| bell.watch(path));
        if !all {
            bell.watcher = None;
        }
        bell
    }

    /// One that watches nothing and costs nothing, to stand where a bell was lent away.
    #[must_use]
    pub fn silent() -> Self {
        let (_, rung) = mpsc::channel(1);
        Self {
            rung,
            watcher: None,
        }
    }

    fn watch(&mut self, path: &Path) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        watcher.watch(path, RecursiveMode::NonRecursive).is_ok()
    }

    /// Whether changes are seen at once, or by polling.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.watcher.is_some()
    }

    /// Waits until something may have changed. Cancel-safe.
    pub async fn wait(&mut self) {
        let at_most = if self.is_watching() { SWEEP } else { POLL };
        let rung = async {
            // Without a watcher nobody is left to ring.
            if self.rung.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(at_most, rung).await;
    }
}

fn matters(event: &notify::Event) -> bool {
    event.need_rescan()
        || matches!(
            event.kind,
            EventKind::Create(_)
                | EventKind::Remove(_)
                | EventKind::Modify(
                    ModifyKind::Data(_)
                        | ModifyKind::Any
                        | ModifyKind::Name(RenameMode::To | RenameMode::Both)
                )
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    #[tokio::test]
    async fn without_a_watcher_it_polls_and_does_not_spin() {
        let mut bell = Bell::silent();
        let begun = clock::monotonic();
        bell.wait().await;
        assert!(!bell.is_watching() && begun.elapsed() >= POLL);
    }
}
