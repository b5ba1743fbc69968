//! What the supervisor does next: a pure comparison of what is asked for with what is so.
//!
//! Will: keep every agent alive that should be, hold those that die in vain, start runs whose devices
//! are free, carry every claim one step along the protocol, end everything when a person says down.
//! Must never: call a model, wait for an agent, read a pane, or remember anything: asked again after
//! every event, it says the same until the state has changed.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::budget;
use super::chart::Chart;
use super::event::RunStatus;
use super::freeze;
use super::lease::{self, Grant};
use super::needs;
use super::process::{self, Act, Clock};
use super::protocol::{self, Step, Wanted};
use super::standing;
use super::state::{AgentState, Experiment, State};

/// What has to be observed, not folded.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Agents whose lock is held.
    pub agents: BTreeSet<String>,
    /// Whether the mock server lives.
    pub mock: bool,
    /// How far the machine's time of day is ahead of UTC, seconds.
    pub ahead_s: i32,
}

/// Something to carry out.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start the mock server.
    StartMock,
    /// Start an agent's process.
    Start(String),
    /// End an agent's process.
    Stop(String),
    /// Hold an agent.
    Hold(String, String),
    /// Hold an agent for a cap that a person may raise.
    Cap(String, String),
    /// Let an agent go on whose time has come.
    Release(String),
    /// Launch a run.
    Launch(Grant),
    /// Stop all processes of a running run.
    Freeze(u64),
    /// Let them go on.
    Thaw(u64),
    /// Call a running run off; it counts as interrupted.
    Interrupt(u64),
    /// Cancel a run that nobody needs any more.
    Cancel(u64, String),
    /// Tell an agent that its run was cancelled.
    Tell(u64),
    /// Carry a claim on.
    Lab(Step),
    /// Do what a process of the org asks for.
    Society(Act),
    /// Queue a closing run.
    Close(Wanted),
    /// Call a person with these words, for these needs.
    Call(Vec<String>, String),
    /// Write the headline down.
    Headline,
    /// Everything has ended, as asked.
    Stopped,
}

/// Everything that should be done now, most urgent first. The caller leaves out what it is already
/// doing.
#[must_use]
pub fn decide(chart: &Chart, state: &State, seen: &Observed, now: Timestamp) -> Vec<Effect> {
    if state.stopped {
        return Vec::new();
    }
    if state.down.is_some() {
        return wind_down(chart, state, seen);
    }
    let mut effects = Vec::new();
    if state.mock && !seen.mock {
        // Nobody should start by being refused a connection.
        return vec![Effect::StartMock];
    }
    effects.extend(overtime(chart, state, now));
    effects.extend(call(chart, state, now));
    effects.extend(stand_still(chart, state));
    for agent in &chart.agents {
        effects.extend(tend(state, &agent.name, seen, now));
    }
    // Baselines wait until everybody has a seat: a start should not compete with training.
    let seated = chart.agents.iter().all(|agent| {
        state
            .agents
            .get(&agent.name)
            .is_some_and(|a| a.starts > 0 || a.held.is_some())
    });
    if !seated {
        return effects;
    }
    effects.extend(called_off(state));
    let grants = lease::grants(chart, state, now).into_iter();
    effects.extend(grants.map(Effect::Launch));
    effects.extend(protocol::steps(chart, state).into_iter().map(Effect::Lab));
    let ahead_s = seen.ahead_s;
    let acts = process::acts(chart, state, Clock { now, ahead_s });
    effects.extend(acts.into_iter().map(Effect::Society));
    if standing::quiet(chart, state) {
        effects.extend(
            protocol::closing(chart, state)
                .into_iter()
                .map(Effect::Close),
        );
        if protocol::headline(chart, state).is_some() {
            effects.push(Effect::Headline);
        }
    }
    effects
}

fn tend(state: &State, name: &str, seen: &Observed, now: Timestamp) -> Option<Effect> {
    let agent = state.agents.get(name)?;
    if agent.held_until.is_some_and(|until| until <= now) {
        return Some(Effect::Release(name.to_owned()));
    }
    let alive = seen.agents.contains(name);
    if alive {
        // One that has not said that it started is fresh already.
        let stale = agent.restart && agent.pid.is_some();
        return stale.then(|| Effect::Stop(name.to_owned()));
    }
    if agent.held.is_some() {
        return None;
    }
    if agent.deaths.exhausted() {
        let why = format!(
            "its process died {} times in a row in the middle of a turn without getting anywhere",
            agent.deaths.fruitless
        );
        return Some(Effect::Hold(name.to_owned(), why));
    }
    let early = agent.deaths.not_before().is_some_and(|at| now < at);
    (!early).then(|| Effect::Start(name.to_owned()))
}

/// Holds everybody once the chart's wall time is spent; runs that were started end by themselves.
fn overtime(chart: &Chart, state: &State, now: Timestamp) -> Vec<Effect> {
    let cap = budget::wall_cap(chart, state);
    let (Some(cap), Some(true)) = (cap, wall_ends(chart, state).map(|at| at <= now)) else {
        return Vec::new();
    };
    let why = format!("the wall budget of {cap:.0} s is spent; `org budget wall=…` raises it");
    let free = state
        .agents
        .iter()
        .filter(|(_, agent)| agent.held.is_none());
    free.map(|(name, _)| Effect::Cap(name.clone(), why.clone()))
        .collect()
}

/// Freezes and thaws what runs, as a person wants it.
fn stand_still(chart: &Chart, state: &State) -> Vec<Effect> {
    let effect = |run: &Experiment| {
        Some(match freeze::turn(chart, state, run)? {
            freeze::Turn::Freeze => Effect::Freeze(run.id),
            freeze::Turn::Thaw => Effect::Thaw(run.id),
            freeze::Turn::End => Effect::Interrupt(run.id),
        })
    };
    state.experiments.values().filter_map(effect).collect()
}

/// Calls a person where something needs one that nobody was called for, where the chart says how:
/// once for all that is new.
fn call(chart: &Chart, state: &State, now: Timestamp) -> Option<Effect> {
    chart.office.notify.as_ref()?;
    let mut new = needs::needs_you(chart, state, now);
    new.retain(|need| !state.called.contains(&need.key()));
    let first = new.first()?;
    let whom = first.agent.as_deref().unwrap_or(&state.org);
    let reason = match new.len() {
        1 => format!("{whom}: {}", first.reason),
        n => format!("{whom}: {}; {} more", first.reason, n - 1),
    };
    Some(Effect::Call(
        new.iter().map(needs::Need::key).collect(),
        reason,
    ))
}

/// When the wall time is spent.
fn wall_ends(chart: &Chart, state: &State) -> Option<Timestamp> {
    let span = SignedDuration::try_from_secs_f64(budget::wall_cap(chart, state)?).ok()?;
    state.created?.checked_add(span).ok()
}

/// Runs that are not to go on, and the word to those who asked for them.
fn called_off(state: &State) -> Vec<Effect> {
    let moot = lease::moot(state).into_iter();
    let mut effects: Vec<Effect> = moot.map(|(id, why)| Effect::Cancel(id, why)).collect();
    let ending = state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Running && run.called_off.is_some());
    effects.extend(ending.map(|run| Effect::Interrupt(run.id)));
    effects.extend(lease::untold(state).into_iter().map(Effect::Tell));
    effects
}

fn wind_down(chart: &Chart, state: &State, seen: &Observed) -> Vec<Effect> {
    let mut effects: Vec<Effect> = chart
        .agents
        .iter()
        .filter(|agent| seen.agents.contains(&agent.name))
        .map(|agent| Effect::Stop(agent.name.clone()))
        .collect();
    effects.extend(
        state
            .experiments
            .values()
            .filter(|run| run.status == RunStatus::Running)
            .map(|run| Effect::Interrupt(run.id)),
    );
    if effects.is_empty() {
        effects.push(Effect::Stopped);
    }
    effects
}

/// Whether the end of an agent's last process is still to be written down: nobody holds its lock, and
/// it has not said itself that it ends.
#[must_use]
pub fn unmourned(state: &State, name: &str) -> bool {
    state
        .agents
        .get(name)
        .is_none_or(|agent| agent.pid.is_some() || agent.ended.is_none())
}

/// When something falls due without an event: the end of a back-off or of a hold, of the wall time,
/// the hour of a process, or what begins to need a person.
#[must_use]
pub fn next_due(
    chart: &Chart,
    state: &State,
    seen: &Observed,
    now: Timestamp,
) -> Option<Timestamp> {
    let agents = state.agents.values();
    let due = |agent: &AgentState| {
        let dead = agent.pid.is_none() && agent.held.is_none();
        let start = dead.then(|| agent.deaths.not_before()).flatten();
        [start, agent.held_until]
    };
    let back_off = agents.flat_map(due).flatten().filter(|at| *at > now).min();
    let wall = wall_ends(chart, state).filter(|at| *at > now && state.down.is_none());
    let need = needs::next_due(chart, state, now);
    let ahead_s = seen.ahead_s;
    let process = process::next_due(chart, state, Clock { now, ahead_s });
    let notice = lease::next_due(chart, state, now);
    let all = [back_off, wall, need, notice, process];
    all.into_iter().flatten().min()
}
