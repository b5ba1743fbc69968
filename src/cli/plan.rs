//! `org plan`: what a chart's budget can decide, said before it is spent.
//!
//! Owns how the cost of a run comes about: one run of the baseline is measured for it, in a run that is
//! removed afterwards, or the admission of a run that is there is taken. Must not know the arithmetic.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use super::failure::Failure;
use super::place::{self, Place};
use super::ui::Ui;
use super::{block_on, charts, down, up};
use crate::domain::chart::Chart;
use crate::domain::event::RunStatus;
use crate::domain::protocol::{self, Cost, Noise};
use crate::domain::state::State;
use crate::engine::found::{self, Ask};
use crate::engine::keys::KeyRing;
use crate::engine::{spawn, trial};
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::prospect::{Measured, Page};

/// Between two looks for the supervisor.
const LOOK: Duration = Duration::from_secs(1);
/// Looks without a supervisor before it counts as failed.
const UNSEEN: u32 = 10;

/// Say what a chart's budget can decide
///
/// Measures one run of the baseline, or takes the admission of an earlier run, and says how many runs
/// and claims the budget buys, the smallest effect that can be decided, and the seeds that a margin
/// needs. Needs no agent and no key.
#[derive(Debug, Clone, Args)]
pub(super) struct PlanArgs {
    /// The org chart
    chart: PathBuf,
    /// Take the admission of this run, which knows the noise too
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Baseline runs to measure; from two on the noise is known
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "run",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    runs: u32,
    /// Pretend GPUs, and take what [mock] puts in place of the repository and its commands
    #[arg(long, conflicts_with = "run")]
    mock: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Where no baseline run could be had.
pub(super) fn run(context: &Context, args: &PlanArgs) -> Result<(), Failure> {
    let (place, ui) = (&context.place, &context.ui);
    let chart = charts::accepted(place, ui, &args.chart)?;
    let (state, from) = match &args.run {
        Some(run) => {
            let dir = place.reading(Some(run))?;
            (Log::open(&dir)?.state().clone(), Some(dir.id()))
        }
        None => (measure(place, ui, &chart, args)?, None),
    };
    let (cost, noise) = found_in(&state)?;
    let prospect = protocol::prospect(&chart, cost, noise);
    let page = Page::new(&chart, &Measured::of(&state, from), noise, &prospect);
    for warning in &prospect.warnings {
        ui.note(&format!("warning: {warning}"));
    }
    if args.json {
        ui.json(&page)
    } else {
        ui.out(&page.text())
    }
}

/// Cost and noise of the baseline runs that a run has.
fn found_in(state: &State) -> Result<(Cost, Option<Noise>), Failure> {
    protocol::known(state).ok_or_else(|| {
        let why = crate::domain::needs::baseline(state).map(|need| need.reason);
        let mut failure = Failure::refused(
            "no run of the baseline ended well",
            "run the task's command by hand in a copy of the repository; org doctor CHART",
        );
        failure.causes.extend(why);
        failure
    })
}

/// Measures baseline runs in a run of its own, of which nothing is left.
fn measure(place: &Place, ui: &Ui, chart: &Chart, args: &PlanArgs) -> Result<State, Failure> {
    let runs = args.runs;
    let mut lab = trial::without_agents(chart.clone());
    // One after the other: what is wanted is what one run takes when nothing else runs.
    lab.compute.parallel = Some(1);
    lab.protocol.baseline = lab.protocol.baseline.max(runs);
    let clean = place::clean_env();
    let plan = found::plan(Ask {
        chart: lab,
        mock: args.mock,
        scenario: None,
        headless: true,
        runs: place.index.here.clone(),
        clean: clean.clone(),
        visible: place::var("CUDA_VISIBLE_DEVICES"),
    })
    .map_err(charts::not_founded)?;
    let dir = found::found(plan).map_err(charts::not_founded)?;
    ui.note(&format!(
        "measuring {runs} run{} of the baseline: {}",
        if runs == 1 { "" } else { "s" },
        chart.task.run
    ));
    let measured = spawn::supervisor(&dir, &clean, &KeyRing::default())
        .map_err(Failure::from)
        .and_then(|_| wait(&dir, runs as usize));
    let ended = down::bring_down(&dir, "org plan");
    let state = Log::open(&dir).map(|log| log.state().clone());
    if ended.is_ok() {
        remove(ui, dir.path());
    }
    measured?;
    ended?;
    Ok(state?)
}

fn remove(ui: &Ui, path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        ui.note(&format!(
            "warning: {} was not removed: {error}",
            path.display()
        ));
    }
}

/// Waits until enough runs have ended.
fn wait(dir: &RunDir, runs: usize) -> Result<(), Failure> {
    let mut log = Log::open(dir)?;
    block_on(async {
        let mut bell = Bell::on(&[dir.events()]);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut unseen = 0;
        loop {
            log.catch_up()?;
            log.drain();
            let all = || log.state().experiments.values();
            let well = all().filter(|run| run.status == RunStatus::Ok).count();
            let broken = all().any(|run| {
                run.finished_at.is_some()
                    && !matches!(run.status, RunStatus::Ok | RunStatus::Contended)
            });
            if well >= runs || broken {
                return Ok(());
            }
            let interrupted = || Failure::refused("interrupted", "org plan CHART measures again");
            tokio::select! {
                () = bell.wait() => {}
                () = tokio::time::sleep(LOOK) => {
                    unseen = if place::supervised(dir) { 0 } else { unseen + 1 };
                }
                _ = interrupt.recv() => return Err(interrupted()),
                _ = terminate.recv() => return Err(interrupted()),
            }
            if unseen > UNSEEN {
                return Err(up::not_started(dir, "has no supervisor that stays"));
            }
        }
    })
}
