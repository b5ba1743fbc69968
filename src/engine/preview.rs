//! What an agent would be told, before there is a run: for whoever writes a chart or a prompt.
//!
//! Owns the homes that are pretended for it, since no GPU is asked. Must not make anything.

use std::collections::{BTreeMap, BTreeSet};

use super::found::FoundError;
use super::prompt;
use crate::domain::chart::{Agent, Chart, GpuHome};
use crate::domain::event::Gpu;

/// The system prompt that an agent of a chart would get on a machine whose GPUs are all free.
///
/// # Errors
/// Where the prompt is missing or names an unknown variable.
pub fn system_prompt(chart: &Chart, agent: &Agent) -> Result<String, FoundError> {
    let named = chart.agents.iter().filter_map(|agent| match agent.gpu {
        GpuHome::Index(index) => Some(index),
        _ => None,
    });
    let mut taken: BTreeSet<u32> = named.collect();
    let mut homes = BTreeMap::new();
    for agent in &chart.agents {
        let index = match agent.gpu {
            GpuHome::None => continue,
            GpuHome::Index(index) => index,
            GpuHome::Auto | GpuHome::Uuid(_) => {
                let free = (0..).find(|index| !taken.contains(index)).unwrap_or(0);
                taken.insert(free);
                free
            }
        };
        let home = Gpu {
            index,
            uuid: String::new(),
            simulated: true,
        };
        homes.insert(agent.name.clone(), home);
    }
    prompt::system_prompt(chart, agent, &homes)
}
