//! One agent's conversation as a state machine without IO: what comes next, given the log.
//!
//! There is no second copy of a conversation in memory that could disagree with the log: the next
//! step is derived from the fold, so a process that was killed goes on exactly where the log says, by
//! the same code that runs always. Must not know providers, tools, or how long anything takes.

use jiff::{SignedDuration, Timestamp};

use super::chart::{Chart, OnIdle};
use super::event::Why;
use super::model;
use super::state::{AgentState, State};

/// Idle turns in a row that `on_idle = "continue"` gives, before the agent waits for mail like any
/// other: enough to pick up a dropped thread, too few to burn a budget on nothing.
pub const IDLE_TURNS: u32 = 8;
/// Replies in a row that were cut by the output limit inside a call; a model that is cut three times
/// will be cut for ever (a vendor's client was seen to try 282 times in 45 seconds).
pub const TRUNCATIONS: u32 = 3;
/// The same call with the same result, in a row, at which the model is told: waiting for something
/// takes two looks, three are a habit.
pub const REPEATS_TOLD: u32 = 3;
/// And at which the agent is held: it was told, and goes on.
pub const REPEATS_HELD: u32 = 8;

/// Refusals in a row after which a person is asked; one may be bad luck, and is asked again.
pub const REFUSALS: u32 = 2;
/// Failures in a row after which a role's stand-in is asked in place of the model.
pub const OUT_AFTER: u32 = 3;
/// How long a stand-in serves before the model itself is tried again: a new conversation costs its
/// whole beginning.
pub const STAND_IN: SignedDuration = SignedDuration::from_mins(10);
/// Replies of a conversation before it may be compacted: one that begins too long would otherwise
/// never get anywhere.
const COMPACT_AFTER: u32 = 2;

/// What an agent does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Begin a turn that takes in these mails.
    Begin(Why, Vec<u64>),
    /// Have the model sum the conversation up and begin a new one, not before a time where the last
    /// request failed.
    Compact(Option<Timestamp>),
    /// Stop and wait for a person, for this reason.
    Hold(String),
    /// Make a request, not before a time where the last one failed.
    Ask(Option<Timestamp>),
    /// Go on with this model, in a new conversation, while the agent's own is out.
    StandIn(String),
    /// Run the calls that have no result yet.
    Use,
    /// The turn is over.
    End,
    /// Nothing, until mail, a person, or the supervisor changes that.
    Rest,
}

/// What new wire items the next request carries, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    /// The results of the last reply's calls.
    pub results: bool,
    /// What the turn takes in.
    pub opening: bool,
    /// A word on calls that were cut short.
    pub truncated: bool,
    /// A word on a call that was made again and again.
    pub repeated: bool,
}

/// What an agent does next.
#[must_use]
pub fn next(chart: &Chart, state: &State, name: &str) -> Next {
    let Some(agent) = state.agents.get(name) else {
        return Next::Rest;
    };
    if !state.may_think(name) {
        return Next::Rest;
    }
    if let Some(model) = stand_in(chart, agent, name) {
        return Next::StandIn(model);
    }
    let retry = agent.retry.as_ref().and_then(|(_, at)| *at);
    if agent.turn.is_none() {
        return match wants_turn(chart, state, name) {
            Some(_) if overflows(chart, agent, name) => Next::Compact(retry),
            Some(why) => {
                let mails = agent.unread.union(&agent.aside);
                Next::Begin(why, mails.copied().collect())
            }
            None => Next::Rest,
        };
    }
    // A request that failed, or whose process died, is made again as what it was.
    let ask = |at| {
        if overflows(chart, agent, name) {
            Next::Compact(at)
        } else {
            Next::Ask(at)
        }
    };
    if agent.request.is_some() || agent.retry.is_some() {
        return ask(retry);
    }
    match &agent.refusals {
        (0, _) => {}
        (times, why) if *times >= REFUSALS => {
            let why = if why.is_empty() {
                "no reason given"
            } else {
                why
            };
            return Next::Hold(format!("its model refused {times} times in a row: {why}"));
        }
        _ => return Next::Ask(None),
    }
    if agent.repeated.1 >= REPEATS_HELD {
        let tool = agent.repeated.0.lines().next().unwrap_or_default();
        let times = agent.repeated.1;
        return Next::Hold(format!(
            "it made the same call of {tool} {times} times in a row, with the same result"
        ));
    }
    if agent.calls.iter().any(|open| open.result.is_none()) {
        return Next::Use;
    }
    let fresh = fresh(agent);
    if fresh.results || fresh.opening || fresh.truncated || agent.pause_turn {
        return ask(None);
    }
    Next::End
}

/// The model that an agent asks now: its stand-in, a person's word, or the chart's.
#[must_use]
pub fn model_of<'a>(chart: &'a Chart, agent: &'a AgentState, name: &str) -> Option<&'a str> {
    let stand_in = agent.stand_in.as_ref().map(|(model, _)| model);
    let own = || Some(&chart.agent(name)?.model);
    let model = stand_in.or(agent.model.as_ref()).or_else(own)?;
    Some(model)
}

/// The stand-in of an agent whose model has failed too often in a row.
fn stand_in(chart: &Chart, agent: &AgentState, name: &str) -> Option<String> {
    agent.retry.as_ref()?;
    let out = agent.failures >= OUT_AFTER || agent.failed == "quota";
    let of_model = !matches!(agent.failed.as_str(), "interrupted" | "malformed" | "cut");
    if agent.stand_in.is_some() || !out || !of_model {
        return None;
    }
    let fallback = chart.role_of(chart.agent(name)?).fallback.clone()?;
    (model_of(chart, agent, name)? != fallback).then_some(fallback)
}

/// Whether an agent's conversation is longer than its role and its model allow. The longest reply, and
/// what a turn adds, must still fit.
fn overflows(chart: &Chart, agent: &AgentState, name: &str) -> bool {
    let Some(member) = chart.agent(name) else {
        return false;
    };
    let model = model_of(chart, agent, name).and_then(|named| model::resolve(chart, named));
    let room = model.map_or(u64::MAX, |model| {
        let spare = model.max_output + model.context / 20;
        model.context.saturating_sub(spare)
    });
    let most = chart.role_of(member).compact_at.min(room);
    agent.replies >= COMPACT_AFTER && agent.context > most
}

/// Why an agent without an open turn would take one, if it would.
#[must_use]
pub fn wants_turn(chart: &Chart, state: &State, name: &str) -> Option<Why> {
    let agent = state.agents.get(name)?;
    if agent.turns == 0 {
        return Some(Why::First);
    }
    if !agent.unread.is_empty() {
        return Some(Why::Mail);
    }
    let role = chart.role_of(chart.agent(name)?);
    let goes_on = role.on_idle == OnIdle::Continue && !agent.done && agent.idle_turns < IDLE_TURNS;
    goes_on.then_some(Why::Idle)
}

/// What the next request has to add to the conversation.
#[must_use]
pub fn fresh(agent: &AgentState) -> Fresh {
    Fresh {
        results: !agent.calls.is_empty(),
        opening: agent.turn.as_ref().is_some_and(|turn| !turn.asked),
        truncated: !agent.truncated.is_empty() && agent.truncations < TRUNCATIONS,
        repeated: !agent.calls.is_empty() && agent.repeated.1 >= REPEATS_TOLD,
    }
}
