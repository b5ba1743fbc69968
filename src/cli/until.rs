//! `org up --until done`: wait, bring down, and judge whether it went well.

use std::collections::BTreeSet;
use std::time::Duration;

use super::failure::Failure;
use super::place;
use super::ui::Ui;
use super::{block_on, down};
use crate::domain::chart::Chart;
use crate::domain::scenario;
use crate::domain::state::State;
use crate::domain::{needs, standing};
use crate::engine::found;
use crate::mock;
use crate::os::clock;
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// How long a run may stay without a supervisor before it counts as lost: an agent that finds it
/// gone starts one within a moment.
const LOST_AFTER: Duration = Duration::from_secs(15);

/// Waits until the run is done, brings it down, and fails unless it went well.
///
/// # Errors
/// Where it was lost or stopped by somebody else, an agent is held, a script is unfinished, or
/// nothing was promoted although it could have been.
pub(super) fn done(ui: &Ui, dir: &RunDir, chart: &Chart) -> Result<(), Failure> {
    let mut shown = Progress::default();
    ended(dir, chart, &mut |state| shown.show(ui, chart, state))?;
    down::bring_down(dir, "until done")?;
    let log = Log::open(dir)?;
    verdict(dir, chart, log.state())?;
    let promoted = log.state().promotions.len();
    ui.out(&format!("{} is done: {promoted} promoted\n", dir.id()))?;
    ui.note(&format!("report: org report {}", dir.id()));
    Ok(())
}

/// Waits until nothing is left to do in a run; what has come is shown on the way.
///
/// # Errors
/// Where it was lost, or stopped by somebody else.
pub(super) fn ended(
    dir: &RunDir,
    chart: &Chart,
    show: &mut dyn FnMut(&State),
) -> Result<(), Failure> {
    let mut log = Log::open(dir)?;
    block_on(async {
        let mut bell = Bell::on(&[dir.events()]);
        let mut unseen = Duration::ZERO;
        loop {
            log.catch_up()?;
            log.drain();
            show(log.state());
            if standing::done(chart, log.state()) {
                return Ok(());
            }
            if log.state().stopped {
                return Err(Failure::refused(
                    format!("{} was brought down before it was done", dir.id()),
                    format!("org up --resume {} --until done", dir.id()),
                ));
            }
            let look = Duration::from_secs(1);
            if tokio::time::timeout(look, bell.wait()).await.is_err() {
                unseen = if place::supervised(dir) {
                    Duration::ZERO
                } else {
                    unseen + look
                };
            }
            if unseen > LOST_AFTER {
                return Err(Failure::refused(
                    format!("{} is lost: no supervisor lives", dir.id()),
                    format!("org up --resume {} --until done", dir.id()),
                ));
            }
        }
    })
}

/// What has been said of the run so far.
#[derive(Default)]
struct Progress {
    ended: usize,
    called: BTreeSet<String>,
}

impl Progress {
    /// What has come since, and what needs a person, each once: nobody should wait for a person who
    /// does not know.
    fn show(&mut self, ui: &Ui, chart: &Chart, state: &State) {
        for need in needs::needs_you(chart, state, clock::now()) {
            if self.called.insert(need.key()) {
                let whom = need.agent.as_deref().unwrap_or(&state.run);
                ui.note(&format!("needs you: {whom}: {}", need.reason));
                ui.note(&format!("type: {} (in {})", need.command, state.run));
            }
        }
        let ended = state
            .experiments
            .values()
            .filter(|run| run.finished_at.is_some())
            .count();
        if ended != self.ended {
            self.ended = ended;
            let all = state.experiments.len();
            let claims = state.hypotheses.len();
            ui.note(&format!(
                "{ended} of {all} runs have ended, {claims} claims so far"
            ));
        }
    }
}

fn verdict(dir: &RunDir, chart: &Chart, state: &State) -> Result<(), Failure> {
    let held: Vec<String> = state
        .agents
        .iter()
        .filter_map(|(name, agent)| Some(format!("{name}: {}", agent.held.as_ref()?)))
        .collect();
    if !held.is_empty() {
        let mut failure = Failure::refused(
            "the run ended with agents held",
            format!("org status --run {}", dir.id()),
        );
        failure.causes = held;
        return Err(failure);
    }
    if let (Some(need), true) = (needs::baseline(state), state.promotions.is_empty()) {
        let mut failure = Failure::refused(
            "the run ended, and what it should improve could not be measured",
            format!(
                "run `{}` by hand in a copy of {}; `org report {}` shows every run",
                chart.task.run,
                chart.task.repo,
                dir.id()
            ),
        );
        failure.causes.push(need.reason);
        return Err(failure);
    }
    if state.mock {
        unfinished(dir, chart)?;
    }
    let could = chart.agents.iter().any(|agent| {
        chart
            .role_of(agent)
            .tools
            .iter()
            .any(|tool| tool == "experiment")
    });
    if could && state.promotions.is_empty() {
        return Err(Failure::refused(
            "the run ended and nothing was promoted",
            format!("org ledger --run {} says why", dir.id()),
        ));
    }
    Ok(())
}

fn unfinished(dir: &RunDir, chart: &Chart) -> Result<(), Failure> {
    let hint = format!("org logs --run {} shows what each agent was told", dir.id());
    let broken = |why: String| Failure::refused(why, hint.clone());
    let text = std::fs::read_to_string(dir.scenario())?;
    let scenario = scenario::decode(&text)
        .map_err(|_| broken("the frozen scenario cannot be read".to_owned()))?;
    let left = mock::unfinished(&dir.mock(), &scenario, &found::roster(chart))
        .map_err(|error| broken("the mock's position cannot be read".to_owned()).because(&error))?;
    if left.is_empty() {
        return Ok(());
    }
    let mut failure = broken("the run ended with scripts unfinished".to_owned());
    failure.causes = left
        .iter()
        .map(|left| {
            let waits = left.expect.as_ref().map_or_else(
                || "waits for a request".to_owned(),
                |expect| format!("expects {expect:?}"),
            );
            format!(
                "{}: script {}, step {} {waits}",
                left.agent, left.script, left.step
            )
        })
        .collect();
    Err(failure)
}
