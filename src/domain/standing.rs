//! How a run and its agents stand, in the words that scripts read.
//!
//! Owns the definitions of *done*, of a run's state and of an agent's. Folded, never commanded. What
//! has to be observed (who lives) is an argument. Must not know how it was observed.

use jiff::Timestamp;

use super::approval;
use super::chart::Chart;
use super::event::RunStatus;
use super::state::{AgentState, Experiment, State};
use super::{lease, process, protocol, session};

/// A state and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The word.
    pub word: &'static str,
    /// Why, for people; may be empty.
    pub reason: String,
}

impl Standing {
    fn new(word: &'static str, reason: impl Into<String>) -> Self {
        Self {
            word,
            reason: reason.into(),
        }
    }
}

/// How an agent stands at a time. `alive` is whether its lock is held now; none where that could not be
/// asked.
#[must_use]
pub fn agent(state: &State, name: &str, alive: Option<bool>, now: Timestamp) -> Standing {
    let Some(agent) = state.agents.get(name) else {
        return Standing::new("starting", "not seated");
    };
    match (&agent.held, agent.held_until) {
        (Some(_), Some(until)) => {
            let reason = format!("{}: budget, dollars an hour", wait(until, now));
            return Standing::new("thinking", reason);
        }
        (Some(why), None) => return Standing::new("held", why),
        (None, _) => {}
    }
    match alive {
        None => return Standing::new("unknown", "whether it lives could not be asked"),
        Some(false) => return absent(state, agent),
        Some(true) => {}
    }
    if let Some(why) = stopped_by_a_person(state, agent) {
        return Standing::new("paused", why);
    }
    if let Some(id) = approval::parked_spending(state)
        && agent.request.is_none()
        && (agent.turn.is_some() || !agent.unread.is_empty() || agent.turns == 0)
    {
        let why = format!("to spend on waits for approval: org approve a{id}");
        return Standing::new("held", why);
    }
    if let Some(reason) = retrying(state, name, agent, now) {
        return Standing::new("thinking", reason);
    }
    if agent.request.is_some() {
        return Standing::new("thinking", "a request is in flight");
    }
    if let Some(reason) = &agent.waits {
        return Standing::new("thinking", format!("waiting: {reason}"));
    }
    if let Some(open) = agent
        .calls
        .iter()
        .find(|open| open.intent && open.result.is_none())
    {
        return Standing::new("tool", open.call.name.clone());
    }
    if agent.turn.is_some() {
        return Standing::new("thinking", "between two requests");
    }
    if agent.turns == 0 {
        return Standing::new("starting", "no turn yet");
    }
    Standing::new(
        "waiting",
        if agent.done {
            "done until mail comes"
        } else {
            "for mail"
        },
    )
}

/// How a person keeps an agent from going on, if one does.
fn stopped_by_a_person(state: &State, agent: &AgentState) -> Option<&'static str> {
    match &agent.taken {
        Some(taken) if taken.lost.is_some() => {
            return Some("a person took it, and the terminal is gone");
        }
        Some(_) => return Some("a person has taken it"),
        None => {}
    }
    if !agent.paused && !state.paused {
        return None;
    }
    Some(if state.frozen || agent.frozen {
        "by a person; what it runs stands still"
    } else {
        "by a person"
    })
}

/// What an agent waits for that will ask its model again: nothing is said where it does not.
fn retrying(state: &State, name: &str, agent: &AgentState, now: Timestamp) -> Option<String> {
    if agent.request.is_some() {
        return None;
    }
    let gate = state.gate(name, &agent.asked.provider, now);
    match &agent.retry {
        Some((_, Some(at))) => {
            let until = gate.map_or(*at, |gate| gate.max(*at));
            Some(format!("{}: {}", wait(until, now), plight(&agent.failed)))
        }
        Some((error, None)) => Some(format!("{error}; not again by itself")),
        None => {
            let outage = state.outages.get(&agent.asked.provider)?;
            let until = gate.filter(|_| agent.turn.is_some())?;
            Some(format!("{}: {}", wait(until, now), plight(&outage.what)))
        }
    }
}

/// `waiting 12 s`, and never nothing: a time that has come is about to be used.
fn wait(until: Timestamp, now: Timestamp) -> String {
    let seconds = until.duration_since(now).as_secs_f64().max(0.0).ceil();
    if seconds < 120.0 {
        format!("waiting {seconds:.0} s")
    } else {
        format!("waiting {:.0} min", (seconds / 60.0).ceil())
    }
}

/// What kind of failure it was, in words for a line of a pane.
#[must_use]
pub fn plight(what: &str) -> &str {
    match what {
        "rate_limited" => "rate limit",
        "overloaded" => "model server overloaded",
        "server" => "model server failed",
        "timeout" => "model server went silent",
        "connect" => "model server cannot be reached",
        "cut" => "reply was cut off",
        "quota" => "quota or credit used up",
        "malformed" => "unintelligible reply",
        "interrupted" => "stopped by a person",
        other => other,
    }
}

fn absent(state: &State, agent: &AgentState) -> Standing {
    if state.stopped || state.down.is_some() || agent.ended.is_some() {
        return Standing::new("stopped", agent.ended.clone().unwrap_or_default());
    }
    if agent.starts == 0 {
        return Standing::new("starting", "its process has not started yet");
    }
    Standing::new(
        "unknown",
        "its process is gone; the supervisor starts it again",
    )
}

/// Whether nothing happens any more but, perhaps, the closing runs.
#[must_use]
pub fn quiet(chart: &Chart, state: &State) -> bool {
    let starved = lease::starved(chart, state);
    let idle = |run: &Experiment| match run.status {
        RunStatus::Queued => starved,
        RunStatus::Running => false,
        _ => true,
    };
    let at_rest = |agent: &AgentState| {
        (agent.held.is_some() && agent.held_until.is_none())
            || (agent.turns > 0
                && agent.turn.is_none()
                && agent.request.is_none()
                && agent.unread.is_empty())
    };
    let wants = |name: &String| {
        state
            .agents
            .get(name)
            .is_some_and(|agent| agent.held.is_none() || agent.held_until.is_some())
            && session::wants_turn(chart, state, name).is_some()
    };
    let seated = chart
        .agents
        .iter()
        .all(|agent| state.agents.contains_key(&agent.name));
    let settled = starved
        || (state
            .hypotheses
            .values()
            .all(super::state::Hypothesis::is_final)
            && protocol::steps(chart, state).is_empty());
    seated
        && state.pool.is_some()
        && state.experiments.values().all(idle)
        && state.agents.values().all(at_rest)
        && !state.agents.keys().any(wants)
        && settled
        && !process::pending(chart, state)
}

/// Whether the run is done: quiet, its gain re-measured, and what the org says at its end said.
#[must_use]
pub fn done(chart: &Chart, state: &State) -> bool {
    ended(chart, state) && !process::closing(chart, state)
}

/// Whether all work has come to its end: quiet, and its gain re-measured.
#[must_use]
pub fn ended(chart: &Chart, state: &State) -> bool {
    quiet(chart, state)
        && (lease::exhausted(chart, state)
            || state.promotions.is_empty()
            || protocol::measured(state))
}

/// A run's state. `supervised` is whether the supervisor's lock is held now.
#[must_use]
pub fn run(chart: &Chart, state: &State, supervised: bool) -> Standing {
    if state.stopped {
        return Standing::new("stopped", state.down.clone().unwrap_or_default());
    }
    if !supervised {
        let why = "no supervisor lives, and nobody said down";
        return Standing::new("lost", why);
    }
    if state.agents.len() < chart.agents.len()
        || state
            .agents
            .values()
            .any(|agent| agent.starts == 0 && agent.held.is_none())
    {
        return Standing::new("starting", "not every agent has started");
    }
    if state.paused {
        return Standing::new("paused", "by a person");
    }
    if done(chart, state) {
        return Standing::new("done", "nothing is left to do");
    }
    let waits = approval::pending(state).into_iter().map(approval::name);
    let waits: Vec<String> = waits.collect();
    if !waits.is_empty() && state.down.is_none() {
        let why = format!("{} waits for your approval", waits.join(", "));
        return Standing::new("running", why);
    }
    Standing::new("running", state.down.clone().unwrap_or_default())
}
