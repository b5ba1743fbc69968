//! Exactly what a model will see as its system prompt: the role's template with its values.
//!
//! Owns the values that a template may name. Frozen when the run is made; must not be asked again.

use std::collections::BTreeMap;
use std::fs;

use super::found::FoundError;
use crate::domain::chart::{Agent, Chart, Goal, Timeout};
use crate::domain::event::Gpu;
use crate::domain::{mail, process, search, template};

/// The built-in prompts, by role.
const BUILT_IN: [(&str, &str); 2] = [
    ("researcher", include_str!("../../prompts/researcher.md")),
    ("chief", include_str!("../../prompts/chief.md")),
];

/// Exactly what a model will see as its system prompt.
///
/// # Errors
/// Where the prompt is missing or names an unknown variable.
pub(super) fn system_prompt(
    chart: &Chart,
    agent: &Agent,
    homes: &BTreeMap<String, Gpu>,
) -> Result<String, FoundError> {
    let failed = |why: String| FoundError::Prompt {
        agent: agent.name.clone(),
        why,
    };
    if search::plays(chart, &agent.model) {
        // Nobody reads one.
        return Ok(String::new());
    }
    let role = chart.role_of(agent);
    let text = match &role.prompt {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| failed(format!("{}: {error}", path.display())))?,
        None => BUILT_IN
            .iter()
            .find(|(name, _)| *name == agent.role)
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| failed(format!("role {} has none", agent.role)))?,
    };
    let values = values(chart, agent, homes);
    template::render(&text, &values).map_err(|error| failed(error.to_string()))
}

/// What a template may name.
fn values(
    chart: &Chart,
    agent: &Agent,
    homes: &BTreeMap<String, Gpu>,
) -> BTreeMap<&'static str, String> {
    let mut peers = mail::channels(chart, &agent.name);
    peers.push("human".to_owned());
    let tools = crate::tool::granted(&process::grants(chart, agent));
    let tools: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let gpu = homes
        .get(&agent.name)
        .map_or_else(|| "none".to_owned(), |gpu| gpu.index.to_string());
    let mut values = task_values(chart);
    values.extend([
        ("agent.name", agent.name.clone()),
        ("agent.role", agent.role.clone()),
        ("agent.gpu", gpu),
        ("agent.model", agent.model.clone()),
        ("agent.branch", format!("agent/{}", agent.name)),
        (
            "agent.reports_to",
            agent
                .reports_to
                .clone()
                .unwrap_or_else(|| "the human".to_owned()),
        ),
        ("org.name", chart.name.clone()),
        ("mission", chart.mission.clone()),
        ("team", team(chart)),
        ("peers", peers.join(", ")),
        ("tools", tools.join(", ")),
    ]);
    values
}

/// Everybody, with role and superior, a line each.
pub(super) fn team(chart: &Chart) -> String {
    let line = |agent: &Agent| {
        let to = agent.reports_to.as_ref();
        let to = to.map(|to| format!(", reports to {to}"));
        format!("- {}: {}{}", agent.name, agent.role, to.unwrap_or_default())
    };
    chart.agents.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What it may name of the task and of what it takes to believe a claim.
fn task_values(chart: &Chart) -> BTreeMap<&'static str, String> {
    let task = &chart.task;
    let list = |items: &[String], none: &str| {
        if items.is_empty() {
            none.to_owned()
        } else {
            items.join(", ")
        }
    };
    let timeout = match task.timeout {
        Timeout::Auto => "twice the baseline's time".to_owned(),
        Timeout::Seconds(seconds) => format!("{seconds:.0} s"),
    };
    let goal = match task.metric.goal {
        Goal::Min => "minimise",
        Goal::Max => "maximise",
    };
    let margin = chart
        .protocol
        .margin
        .map_or_else(|| "none".to_owned(), |m| m.to_string());
    BTreeMap::from([
        ("task.run", task.run.clone()),
        ("task.metric", task.metric.name.clone()),
        ("task.goal", goal.to_owned()),
        (
            "task.editable",
            list(&task.editable, "everything that is not protected"),
        ),
        ("task.protect", list(&task.protect, "nothing")),
        ("task.seed", task.seed.clone()),
        ("task.timeout", timeout),
        ("protocol.match", chart.protocol.matched.as_str().to_owned()),
        (
            "protocol.tolerance",
            format!("{}", chart.protocol.tolerance),
        ),
        ("protocol.alpha", format!("{}", chart.protocol.alpha)),
        ("protocol.margin", margin),
    ])
}
