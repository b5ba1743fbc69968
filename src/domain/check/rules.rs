//! Keys of task, protocol and compute that must agree with each other.
//!
//! Owns those rules. Must not know the org's members.

use std::collections::BTreeSet;
use std::path::Path;

use super::Judge;
use crate::domain::chart::{Axis, GpuRequest};
use crate::domain::protocol;
use crate::domain::suggest::quoted;

pub(super) fn judge(judge: &mut Judge<'_>) {
    measured(judge);
    variables(judge);
    let chart = judge.chart;
    let task = &chart.task;
    let sizes = [
        ("task.gpus", Some(task.gpus), "a run"),
        ("task.explore_gpus", task.explore_gpus, "a look around"),
        (
            "landing.gpus",
            chart.landing.gpus,
            "the winner at target scale",
        ),
    ];
    for (key, gpus, what) in sizes {
        if let (Some(listed), Some(gpus)) = (listed(&chart.compute.gpus), gpus)
            && gpus as usize > listed
        {
            let message = format!("{what} takes {gpus} GPUs, and compute.gpus has {listed}");
            let hint = format!("lower {key}, or give compute.gpus more");
            judge.problem(key, message, &hint);
        }
    }
    if task.evaluate.is_some() && task.editable.is_empty() {
        let message =
            "evaluate is given without editable, so a claim may touch what it is judged by";
        let hint = "write editable = [the files that a claim may change]";
        judge.warn("task.evaluate", message.to_owned(), hint);
    }
    hidden(judge);
    if let Some(why) = protocol::blind(chart) {
        let hint = "write confirm = 4 or more, or a higher alpha; without noise nothing is lost";
        judge.warn("protocol.confirm", why, hint);
    }
    let protected: BTreeSet<&String> = task.protect.iter().collect();
    for (index, glob) in task.editable.iter().enumerate() {
        if protected.contains(glob) {
            let message = format!(
                "{} is both editable and protected, and stays protected",
                quoted(glob)
            );
            judge.warn(
                &format!("task.editable[{index}]"),
                message,
                "take it out of one of the two",
            );
        }
    }
}

/// Hidden data are for the evaluation, and out of everybody else's reach.
fn hidden(judge: &mut Judge<'_>) {
    let task = &judge.chart.task;
    if !task.hidden.is_empty() && task.evaluate.is_none() {
        let message = "there are hidden data, and no evaluation that they are for".to_owned();
        let hint = "write evaluate = the command that reads them, or take hidden out";
        judge.problem("task.hidden", message, hint);
    }
    let repo = Path::new(&task.repo);
    let open = task.share.iter().map(|path| ("share", path.as_path()));
    let open = open.chain(task.overlay.as_deref().map(|path| ("overlay", path)));
    let open: Vec<(&str, &Path)> = open.chain([("repo", repo)]).collect();
    let mut names = BTreeSet::new();
    for (index, path) in task.hidden.iter().enumerate() {
        let key = format!("task.hidden[{index}]");
        if let Some((of, _)) = open.iter().find(|(_, dir)| path.starts_with(dir)) {
            let message = format!("it lies in task.{of}, which every candidate may read");
            judge.problem(&key, message, "keep it somewhere else");
        }
        if path.file_name().is_none_or(|name| !names.insert(name)) {
            let message =
                "its name cannot stand in the evaluation's checkout, or stands there already";
            judge.problem(&key, message.to_owned(), "give each file a name of its own");
        }
    }
}

/// How many GPUs a chart names; none where that is left to the machine.
pub(super) fn listed(request: &GpuRequest) -> Option<usize> {
    match request {
        GpuRequest::Auto => None,
        GpuRequest::Indices(indices) => Some(indices.len()),
        GpuRequest::Uuids(uuids) => Some(uuids.len()),
        GpuRequest::Simulate(count) => Some(*count as usize),
    }
}

/// What is compared must be measured.
fn measured(judge: &mut Judge<'_>) {
    let task = &judge.chart.task;
    let measure = &task.measure;
    let lacks = |axis: &str| match axis {
        "flops" => measure.flops.is_none(),
        "params" => measure.params.is_none(),
        "tokens" => measure.tokens.is_none(),
        _ => false,
    };
    let without = |axis: &str| axis == "gpu" && task.gpus == 0;
    let reason = |axis: &str| {
        if lacks(axis) {
            Some(format!(
                "no run says its {axis}: task.measure.{axis} is not given"
            ))
        } else if without(axis) {
            Some("no run has GPU seconds: task.gpus is 0".to_owned())
        } else {
            None
        }
    };
    let hint = |axis: &str| {
        if lacks(axis) {
            format!(
                "add {axis} = 'a regex with one group' to [task.measure], or choose another axis"
            )
        } else {
            "write task.gpus = 1, or choose another axis".to_owned()
        }
    };
    let protocol = &judge.chart.protocol;
    let axis = protocol.matched.as_str();
    let mut found: Vec<(String, String, String)> = Vec::new();
    if protocol.matched != Axis::None && judge.spans.sound(&format!("task.measure.{axis}")) {
        found.extend(reason(axis).map(|why| ("protocol.match".to_owned(), why, hint(axis))));
    }
    for guard in protocol.guards.keys() {
        if judge.spans.sound(&format!("task.measure.{guard}")) {
            let key = format!("protocol.guards.{guard}");
            found.extend(reason(guard).map(|why| (key, why, hint(guard))));
        }
    }
    for (key, why, hint) in found {
        judge.problem(&key, why, hint);
    }
}

/// The seed's variable is set by the harness, not by the chart.
fn variables(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let seed = &chart.task.seed;
    let tables = [
        ("task.env", Some(&chart.task.env)),
        ("mock.env", chart.mock.env.as_ref()),
    ];
    for (table, env) in tables {
        if env.is_some_and(|env| env.contains_key(seed)) {
            let message =
                format!("{seed} is the variable of the seed, which differs from run to run");
            let hint = "take it out, or name another variable in task.seed";
            judge.problem(&format!("{table}.{seed}"), message, hint);
        }
    }
}
