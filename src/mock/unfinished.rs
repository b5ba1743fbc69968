//! Which agents have lines left.
//!
//! Owns the question that the end of a run asks of the kept positions. Only reads. Must not know
//! the server.

use std::path::Path;

use serde::Serialize;

use super::memory::{StateError, Store};
use crate::domain::scenario::{Position, Roster, Scenario};

/// A script that was not played to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// Whose.
    pub agent: String,
    /// Which script of the scenario, from 1.
    pub script: usize,
    /// Which of its steps was to be next, from 1.
    pub step: usize,
    /// What that step waits for, captures filled in; none where it waits for nothing but a request.
    pub expect: Option<String>,
}

/// All scripts with steps left, of agents that made a request and of those in the roster that made
/// none, by agent. `state` is what the server was given.
///
/// # Errors
/// Where the state cannot be read.
pub fn unfinished(
    state: &Path,
    scenario: &Scenario,
    roster: &Roster,
) -> Result<Vec<Unfinished>, StateError> {
    let mut positions = std::collections::BTreeMap::new();
    for (agent, member) in roster {
        let script = scenario.script_for(agent, member);
        positions.insert(agent.clone(), Position::at_start(script));
    }
    for (agent, memory) in Store::at(Some(state)).load()? {
        positions.insert(agent, memory.position);
    }
    let left = positions.into_iter().filter_map(|(agent, position)| {
        let at = position.script?;
        let steps = &scenario.scripts.get(at)?.steps;
        (position.step < steps.len()).then(|| Unfinished {
            agent,
            script: at + 1,
            step: position.step + 1,
            expect: position.waits_for(scenario),
        })
    });
    Ok(left.collect())
}
