//! Whoever finds the supervisor gone while an agent lives starts one.
//!
//! Every agent watches the supervisor's process, not a heartbeat: nothing wakes while it lives. Many
//! may start one at once; all but the one that gets the lock end at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::os::lock;
use crate::os::process::Watch;
use crate::run::log::Log;
use crate::run::paths::RunDir;

use super::keys::KeyRing;
use super::{spawn, task};

/// Between two looks for a supervisor that was just started.
const LOOK: Duration = Duration::from_millis(50);
/// Looks before another one is started.
const LOOKS: u32 = 100;

/// Watches the supervisor and starts another when it is gone, until the run goes down.
pub(super) async fn watch_supervisor(dir: RunDir, clean: BTreeMap<String, String>, keys: KeyRing) {
    loop {
        let_go(&dir.lock("supervisor")).await;
        if going_down(&dir) {
            return;
        }
        match spawn::supervisor(&dir, &clean, &keys) {
            Ok(mut child) => {
                // Ours to collect: most of those that are started this way end at once.
                task::start(async move {
                    if let Ok(watch) = Watch::open(child.pid(), None) {
                        watch.ended().await.ok();
                    }
                    child.try_wait().ok();
                });
            }
            Err(error) => tracing::warn!(%error, "no supervisor could be started"),
        }
        for _ in 0..LOOKS {
            if lock::holder(&dir.lock("supervisor")).is_some() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Returns when nobody holds a lock. A holder that has not signed yet, or whose process cannot be
/// watched, is looked at again and again.
pub(super) async fn let_go(path: &Path) {
    while let Some(held) = lock::holder(path) {
        match Watch::open(held.pid, Some(held.start)) {
            Ok(watch) => {
                watch.ended().await.ok();
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

fn going_down(dir: &RunDir) -> bool {
    Log::open(dir).is_ok_and(|log| log.state().down.is_some() || log.state().stopped)
}
