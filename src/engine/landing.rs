//! The winner at target scale, before it is landed: one run of the chart's `[landing] run` by the same
//! hands that run everything that is measured.
//!
//! It happens in the process of whoever lands, so that an organisation that is down need not come up for
//! it, and its numbers are the lab's. Must not know what is done with them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use crate::domain::chart::Chart;
use crate::domain::event::{Arm, Gpu, Kind, Measured, RunStatus, Stage, Text};
use crate::domain::protocol::Bounds;
use crate::domain::state::{Experiment, State};
use crate::lab::devices;
use crate::lab::gpu::LeaseError;
use crate::os::{clock, random};
use crate::run::paths::RunDir;

use super::measure::{Found, Order};
use super::{leases, perform};

/// The number of what is no experiment of the log: it has a place of its own beside theirs.
const NO_EXPERIMENT: u64 = 0;
/// Longest that the winner may run at target scale, seconds: a week. Whoever lands it waits and may end it.
const LONGEST_S: f64 = 7.0 * 24.0 * 3600.0;

/// Why the winner cannot run at target scale.
#[derive(Debug, thiserror::Error)]
pub enum LandingError {
    /// The run, or another, has the devices.
    #[error("a GPU that it needs is leased")]
    Lease(#[source] LeaseError),
    /// A device is not fit.
    #[error("GPU {gpu} cannot be used: {why}")]
    Device {
        /// Which.
        gpu: u32,
        /// What was seen.
        why: String,
    },
    /// The run never had so many devices.
    #[error("it needs {wanted} GPUs, and the run has {have}")]
    TooFew {
        /// Needed.
        wanted: u32,
        /// There.
        have: usize,
    },
    /// No seed.
    #[error("cannot draw a seed")]
    Seed(#[source] io::Error),
}

/// Runs a champion at target scale, and says what the log is to hold. `stop` ends it.
///
/// # Errors
/// Where it could not even begin.
pub async fn rerun(
    dir: &RunDir,
    chart: &Chart,
    state: &State,
    clean: &BTreeMap<String, String>,
    champion: &str,
    command: &str,
    stop: impl Future<Output = ()>,
) -> Result<(Kind, String), LandingError> {
    let gpus = devices_of(chart, state)?;
    let _leases = leases::take(clean, &gpus).map_err(LandingError::Lease)?;
    alone(clean, &gpus)?;
    let mut chart = chart.clone();
    command.clone_into(&mut chart.task.run);
    let seed = random::number().map_err(LandingError::Seed)? & 0x7FFF_FFFF;
    let order = Arc::new(Order {
        dir: dir.clone(),
        chart: Arc::new(chart),
        clean: clean.clone(),
        run: run_of(champion, seed),
        base: state.start.clone(),
        attempt: u32::try_from(state.reruns.len()).unwrap_or(u32::MAX) + 1,
        gpus,
        timeout_s: LONGEST_S,
        bounds: Bounds::default(),
        overlay: state.overlay.clone(),
        calm: None,
        counts_frozen: false,
        stood_still: AtomicBool::new(false),
        called_off: AtomicBool::new(false),
        tally: Mutex::default(),
        early: OnceLock::new(),
    });
    let mut through = std::pin::pin!(perform::see_through(Arc::clone(&order), true, |_, _| {}));
    let found: Found = tokio::select! {
        found = &mut through => found,
        () = stop => {
            order.call_off();
            through.await
        }
    };
    let measured = Kind::LandingMeasured {
        champion: champion.to_owned(),
        command: command.to_owned(),
        status: found.status,
        reason: found.reason,
        measured: found.measured,
        tail: Text::from(""),
    };
    Ok((measured, found.tail))
}

fn devices_of(chart: &Chart, state: &State) -> Result<Vec<Gpu>, LandingError> {
    let wanted = chart.landing.gpus.unwrap_or(chart.task.gpus);
    let gpus: Vec<Gpu> = state.gpus.iter().take(wanted as usize).cloned().collect();
    if gpus.len() < wanted as usize {
        let have = gpus.len();
        return Err(LandingError::TooFew { wanted, have });
    }
    Ok(gpus)
}

/// Refuses devices on which somebody computes.
fn alone(clean: &BTreeMap<String, String>, gpus: &[Gpu]) -> Result<(), LandingError> {
    let real: Vec<&Gpu> = gpus.iter().filter(|gpu| !gpu.simulated).collect();
    if real.is_empty() {
        return Ok(());
    }
    let uuids: Vec<String> = real.iter().map(|gpu| gpu.uuid.clone()).collect();
    // A driver that does not answer is no finding.
    let trouble = devices::trouble(clean, &uuids).unwrap_or_default();
    for gpu in real {
        if let Some(why) = trouble.get(&gpu.uuid) {
            return Err(LandingError::Device {
                gpu: gpu.index,
                why: why.to_string(),
            });
        }
    }
    Ok(())
}

fn run_of(champion: &str, seed: u64) -> Experiment {
    let now = clock::now();
    Experiment {
        id: NO_EXPERIMENT,
        agent: None,
        hypothesis: None,
        arm: Arm::Candidate,
        stage: Stage::Closing,
        seed,
        commit: champion.to_owned(),
        note: "at target scale".to_owned(),
        env: BTreeMap::new(),
        status: RunStatus::Running,
        frozen: false,
        attempt: 1,
        gpus: Vec::new(),
        queued_at: now,
        started_at: Some(now),
        finished_at: None,
        measured: Measured::default(),
        reason: String::new(),
        tail: Text::from(""),
        called_off: None,
        progress: None,
        call: None,
    }
}
