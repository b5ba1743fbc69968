//! Which measured runs a person has frozen, and what a run is worth that was.
//!
//! Owns both rules. A frozen run's wall time leaves the frozen time out, as the keeper measured it, but
//! the run's own clock goes on: a program that trains for five minutes by its own watch has trained for
//! less. So a run for a claim or a baseline counts only where what it is matched by would show that,
//! which FLOPs and tokens do; any other is interrupted, and measured again. Must not know processes.

use super::chart::{Axis, Chart};
use super::event::{RunStatus, Stage};
use super::state::{Experiment, State};

/// Whether a person wants nothing of this run to run.
#[must_use]
pub fn wanted(state: &State, run: &Experiment) -> bool {
    let frozen = |name: &String| state.agents.get(name).is_some_and(|agent| agent.frozen);
    let author = run.hypothesis.and_then(|id| state.hypotheses.get(&id));
    state.frozen
        || run.agent.as_ref().is_some_and(frozen)
        || author.is_some_and(|claim| frozen(&claim.agent))
}

/// Whether a person wants nothing of this agent to run.
#[must_use]
pub fn wanted_of(state: &State, agent: &str) -> bool {
    state.frozen || state.agents.get(agent).is_some_and(|agent| agent.frozen)
}

/// Whether a run counts although it was frozen for a while.
#[must_use]
pub fn counts(chart: &Chart, state: &State, run: &Experiment) -> bool {
    let shows = |axis: Axis| matches!(axis, Axis::Flops | Axis::Tokens);
    let claim = run.hypothesis.and_then(|id| state.hypotheses.get(&id));
    run.stage == Stage::Explore
        || (shows(chart.protocol.matched) && claim.is_none_or(|claim| shows(claim.axis)))
}

/// What is to be done about a run that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Stop all its processes.
    Freeze,
    /// Let them go on.
    Thaw,
    /// End them: it would not count.
    End,
}

/// What is to be done about a run, where what is wanted is not what was seen.
#[must_use]
pub fn turn(chart: &Chart, state: &State, run: &Experiment) -> Option<Turn> {
    if run.status != RunStatus::Running {
        return None;
    }
    match (wanted(state, run), run.frozen) {
        (true, false) => Some(Turn::Freeze),
        (false, true) if counts(chart, state, run) => Some(Turn::Thaw),
        (false, true) => Some(Turn::End),
        _ => None,
    }
}
