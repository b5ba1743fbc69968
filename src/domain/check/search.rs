//! Agents that ask no model: that there is something to draw, and that they may do what it takes.
//!
//! Owns those rules. Must not know what is drawn.

use std::collections::BTreeSet;

use super::Judge;
use crate::domain::decode::segment;
use crate::domain::suggest::quoted;
use crate::domain::{glob, search};

/// What a draw takes: the champion is put into the worktree, knobs are turned, a claim is made.
const TOOLS: [&str; 3] = ["shell", "files", "experiment"];

pub(super) fn judge(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let mut told = BTreeSet::new();
    for (index, agent) in chart.agents.iter().enumerate() {
        if !search::plays(chart, &agent.model) {
            continue;
        }
        let path = format!("{}.model", judge.spans.agent(index));
        if chart.search.knobs.is_empty() && told.insert(path.clone()) {
            let message = format!(
                "{} draws at random, and there is nothing to draw",
                quoted(&agent.name)
            );
            judge.problem(&path, message, "add [search] with [[search.knobs]]");
        }
        let Some(role) = chart.roles.get(&agent.role) else {
            continue;
        };
        let lacks = TOOLS
            .iter()
            .find(|tool| !role.tools.iter().any(|it| it == *tool));
        let path = segment("roles", &agent.role);
        if let Some(tool) = lacks.filter(|_| told.insert(path.clone())) {
            let message = format!(
                "{} draws at random, which takes {tool}, and its role is not granted it",
                quoted(&agent.name)
            );
            let hint = format!("add {tool:?} to the role's tools");
            judge.problem(&format!("{path}.tools"), message, hint);
        }
    }
    for (index, knob) in chart.search.knobs.iter().enumerate() {
        let task = &chart.task;
        let outside = !task.editable.is_empty() && !glob::any(&task.editable, &knob.file);
        if outside || glob::any(&task.protect, &knob.file) {
            let message = format!("no claim may change {}", quoted(&knob.file));
            let hint = "name a file that task.editable has and task.protect has not";
            judge.problem(&format!("search.knobs[{index}].file"), message, hint);
        }
    }
}
