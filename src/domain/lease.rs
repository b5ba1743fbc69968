//! Which queued runs start now, and on which devices.
//!
//! Owns the order of the queue and the sharing of devices: oldest first, the home device of the
//! author where it is free, all devices of a run together. Must not know how anything is launched.

use super::chart::{Chart, Timeout};
use super::event::{Gpu, RunStatus};
use super::freeze;
use super::state::{Experiment, State};

/// Longest a run may take before there is a baseline to go by, seconds.
const TIMEOUT_UNKNOWN_S: f64 = 3600.0;
/// Shortest `auto` timeout, seconds: twice a tenth of a second would be jitter.
const TIMEOUT_FLOOR_S: f64 = 30.0;

/// A run that can start, with its devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Which.
    pub experiment: u64,
    /// Its devices.
    pub gpus: Vec<Gpu>,
}

/// Seconds that one run may take.
#[must_use]
pub fn timeout(chart: &Chart, state: &State) -> f64 {
    match chart.task.timeout {
        Timeout::Seconds(seconds) => seconds,
        Timeout::Auto => {
            let slowest = state
                .experiments
                .values()
                .filter(|run| run.status == RunStatus::Ok && run.commit == state.start)
                .map(|run| run.measured.wall_s)
                .fold(0.0, f64::max);
            if slowest > 0.0 {
                (2.0 * slowest).max(TIMEOUT_FLOOR_S)
            } else {
                TIMEOUT_UNKNOWN_S
            }
        }
    }
}

/// GPU seconds used, and the most that running ones can still use.
#[must_use]
pub fn gpu_seconds(chart: &Chart, state: &State) -> (f64, f64) {
    let spent = state.experiments.values().map(|run| run.measured.gpu_s);
    let running = state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Running);
    let reserved = running.map(|run| timeout(chart, state) * run.gpus.len() as f64);
    // The sum of nothing is -0.0, which people would read.
    (spent.sum::<f64>() + 0.0, reserved.sum::<f64>() + 0.0)
}

/// The runs that can start now. A cap on GPU hours is never passed: a run starts only where its
/// longest time still fits.
#[must_use]
pub fn grants(chart: &Chart, state: &State) -> Vec<Grant> {
    let running: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Running)
        .collect();
    let busy = |gpu: &Gpu| {
        running
            .iter()
            .any(|run| run.gpus.iter().any(|g| g.uuid == gpu.uuid))
    };
    let mut free: Vec<Gpu> = state
        .gpus
        .iter()
        .filter(|gpu| !busy(gpu))
        .cloned()
        .collect();
    let mut slots = (state.parallel as usize).saturating_sub(running.len());
    let want = chart.task.gpus as usize;
    let each = timeout(chart, state) * want as f64;
    let (spent, reserved) = gpu_seconds(chart, state);
    let cap = gpu_cap(chart, state);
    let mut claimed = spent + reserved;
    let mut grants = Vec::new();
    for run in state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Queued && !freeze::wanted(state, run))
    {
        if slots == 0 || free.len() < want || cap.is_some_and(|cap| claimed + each > cap) {
            break;
        }
        let home = run
            .agent
            .as_ref()
            .and_then(|name| state.agents.get(name)?.gpu.as_ref());
        if let Some(at) = free.iter().position(|gpu| Some(gpu) == home) {
            free.swap(0, at);
        }
        grants.push(Grant {
            experiment: run.id,
            gpus: free.drain(..want).collect(),
        });
        claimed += each;
        slots -= 1;
    }
    grants
}

/// The cap on GPU seconds, a person's last word over the chart's.
#[must_use]
pub fn gpu_cap(chart: &Chart, state: &State) -> Option<f64> {
    state
        .caps
        .get("gpu_hours")
        .copied()
        .or(chart.budget.gpu_hours)
        .map(|hours| hours * 3600.0)
}

/// Whether queued runs wait for a cap, and nothing else will free it.
#[must_use]
pub fn starved(chart: &Chart, state: &State) -> bool {
    let (spent, reserved) = gpu_seconds(chart, state);
    let each = timeout(chart, state) * f64::from(chart.task.gpus);
    reserved == 0.0 && gpu_cap(chart, state).is_some_and(|cap| spent + each > cap)
}
