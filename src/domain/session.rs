//! One agent's conversation as a state machine without IO: what comes next, given the log.
//!
//! There is no second copy of a conversation in memory that could disagree with the log: the next
//! step is derived from the fold, so a process that was killed goes on exactly where the log says, by
//! the same code that runs always. Must not know providers, tools, or how long anything takes.

use jiff::Timestamp;

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
    if agent.turn.is_none() {
        return match wants_turn(chart, state, name) {
            Some(_) if overflows(chart, agent, name) => {
                Next::Compact(agent.retry.as_ref().and_then(|(_, at)| *at))
            }
            Some(why) => Next::Begin(why, agent.unread.iter().copied().collect()),
            None => Next::Rest,
        };
    }
    if agent.request.is_some() {
        return Next::Ask(None);
    }
    if let Some((_, at)) = &agent.retry {
        return Next::Ask(*at);
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
        return Next::Ask(None);
    }
    Next::End
}

/// Whether an agent's conversation is longer than its role and its model allow.
fn overflows(chart: &Chart, agent: &AgentState, name: &str) -> bool {
    let Some(member) = chart.agent(name) else {
        return false;
    };
    let named = agent.model.as_ref().unwrap_or(&member.model);
    let window = model::resolve(chart, named).map_or(u64::MAX, |model| model.context);
    let most = chart.role_of(member).compact_at.min(window / 10 * 9);
    agent.context > most
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
