//! The disk as a budget: how much a run's directory holds, what happens when that is too much, and
//! which outputs of measured runs are kept.
//!
//! Looked at only while something is measured, on a worker thread. Over the cap, or on a disk that is
//! all but full, nothing new is launched and the run that has written most is ended. Must not know
//! what outputs are for.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::event::{Actor, Kind, RunStatus, Status};
use crate::os::{clock, files};
use crate::run::log::LogError;

use super::measure;
use super::supervise::{Report, Supervisor};

/// Between two looks: a run that writes 1 GB a second is caught within 20.
const LOOK: Duration = Duration::from_secs(20);
/// Bytes that stay free whatever a chart allows: the log must be able to grow.
const FREE_MIN: u64 = 256 << 20;

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    /// Bytes that the run's directory holds.
    used: u64,
    /// Bytes that are free where it lies.
    free: u64,
}

impl Supervisor {
    /// Looks at the disk where it is time; says when the next look is due.
    pub(super) fn watch_disk(&mut self) -> Option<Duration> {
        if self.orders.is_empty() && self.state().disk_full.is_none() {
            return None;
        }
        let now = clock::monotonic();
        let since = self.disk.map(|at| now.duration_since(at));
        if let Some(wait) = since.and_then(|since| LOOK.checked_sub(since)) {
            return Some(wait);
        }
        self.disk = Some(now);
        let (dir, report) = (self.dir.path().to_owned(), self.report.clone());
        tokio::task::spawn_blocking(move || {
            let used = files::tree_bytes(&dir);
            let free = files::disk_free(&dir).unwrap_or(u64::MAX);
            report.send(Report::Disk(Disk { used, free })).ok();
        });
        Some(LOOK)
    }

    /// Acts on a look: writes a change down, and ends the run that fills the disk.
    pub(super) fn disk_seen(&mut self, seen: Disk) -> Result<(), LogError> {
        let cap = self.state().caps.get("disk").copied();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a disk")]
        let cap = cap.or(self.chart.budget.disk.map(|bytes| bytes as f64));
        #[expect(clippy::cast_precision_loss, reason = "bytes of a disk")]
        let over = cap.is_some_and(|cap| seen.used as f64 > cap);
        let full = over || seen.free < FREE_MIN;
        if full != self.state().disk_full.is_some() {
            let bytes = full.then_some(seen.used);
            self.log
                .append(&Actor::Lab, vec![Kind::DiskFull { bytes }])?;
        }
        if full {
            let wrote = |id: &u64| files::tree_bytes(&self.dir.experiment(*id));
            let most = self.orders.keys().copied().max_by_key(wrote);
            if let Some(order) = most.and_then(|id| self.orders.get(&id)) {
                let mib = seen.used >> 20;
                let why = format!("the disk budget is spent: the run's directory holds {mib} MiB");
                order.end_early((RunStatus::Crashed, why));
            }
        }
        Ok(())
    }

    /// Removes outputs that are not kept, of claims that have left their way; what was promoted keeps all.
    pub(super) fn sweep(&self, claim: Option<u64>) {
        let over = |id: &u64| {
            let claim = self.state().hypotheses.get(id);
            claim.is_some_and(|claim| claim.status.is_exit() && claim.status != Status::RolledBack)
        };
        let runs = self.state().experiments.values();
        let places: Vec<PathBuf> = runs
            .filter(|run| run.finished_at.is_some())
            .filter(|run| run.hypothesis.is_some_and(|id| over(&id)))
            .filter(|run| claim.is_none() || run.hypothesis == claim)
            .map(|run| self.dir.experiment(run.id))
            .collect();
        let keep = self.chart.task.keep.clone();
        tokio::task::spawn_blocking(move || {
            for place in places {
                measure::keep_only(&place, &keep);
            }
        });
    }
}
