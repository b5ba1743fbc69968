//! The files beside a chart: prompts, overlay, scenario, stand-in.
//!
//! Owns what each must be. Must not know how they are read.

use std::path::{Path, PathBuf};

use super::{Beside, FileFact, Judge};
use crate::domain::decode::segment;
use crate::domain::decode::text::is_address;
use crate::domain::suggest::quoted;
use crate::domain::template::{self, PROMPT_VARIABLES};
use crate::domain::{model, process};

pub(super) fn judge(judge: &mut Judge<'_>, beside: &Beside<'_>) {
    let chart = judge.chart;
    for (name, role) in &chart.roles {
        if let Some(prompt) = &role.prompt {
            let key = format!("{}.prompt", segment("roles", name));
            if let Some(text) = text_of(judge, beside, &key, prompt) {
                template_of(judge, &key, prompt, &text, PROMPT_VARIABLES);
                let agents = chart.agents.iter().filter(|agent| agent.role == *name);
                let names = agents.map(|agent| agent.name.clone()).collect();
                fits(judge, &key, names, &text);
            }
        }
    }
    for (index, process) in chart.processes.iter().enumerate() {
        if let Some(prompt) = &process.prompt {
            let key = format!("processes[{index}].prompt");
            if let Some(text) = text_of(judge, beside, &key, prompt) {
                template_of(judge, &key, prompt, &text, &process::variables(process));
                let parties = [&process.from, &process.by, &process.to];
                let parties = parties.into_iter().flatten();
                let asked = parties.flat_map(|party| process::members(chart, party, None));
                fits(judge, &key, asked.collect(), &text);
            }
        }
    }
    if let Some(overlay) = &chart.task.overlay {
        directory(judge, beside, "task.overlay", overlay);
    }
    if let Some(repo) = chart.mock.repo.as_ref().filter(|repo| !is_address(repo)) {
        directory(judge, beside, "mock.repo", &PathBuf::from(repo));
    }
    if let Some(scenario) = &chart.mock.scenario
        && let Some(text) = text_of(judge, beside, "mock.scenario", scenario)
    {
        for flaw in (beside.scenario_problems)(&text) {
            let at = if flaw.path.is_empty() {
                String::new()
            } else {
                format!("{}: ", flaw.path)
            };
            let place = format!("{}:{}:{}", scenario.display(), flaw.line, flaw.column);
            judge.problem(
                "mock.scenario",
                format!("{place}: {at}{}", flaw.message),
                flaw.hint,
            );
        }
    }
}

/// The text of a file that must be there.
fn text_of(judge: &mut Judge<'_>, beside: &Beside<'_>, key: &str, path: &Path) -> Option<String> {
    let shown = quoted(&path.to_string_lossy());
    let (message, hint) = match (beside.facts)(path) {
        FileFact::File(Ok(text)) if text.trim().is_empty() => (
            format!("the file {shown} is empty"),
            "write it, or take the key out",
        ),
        FileFact::File(Ok(text)) => return Some(text),
        FileFact::File(Err(why)) => (
            format!("the file {shown} could not be read: {why}"),
            "make it readable UTF-8 text",
        ),
        FileFact::Dir => (format!("{shown} is a directory"), "name a file in it"),
        FileFact::Missing => (
            format!("there is no file {shown}"),
            "write it, or correct the path; relative paths are relative to the chart",
        ),
    };
    judge.problem(key, message, hint);
    None
}

fn directory(judge: &mut Judge<'_>, beside: &Beside<'_>, key: &str, path: &Path) {
    let shown = quoted(&path.to_string_lossy());
    let (message, hint) = match (beside.facts)(path) {
        FileFact::Dir => return,
        FileFact::File(_) => (
            format!("{shown} is a file, and must be a directory"),
            "name the directory around it",
        ),
        FileFact::Missing => (
            format!("there is no directory {shown}"),
            "make it, or correct the path; relative paths are relative to the chart",
        ),
    };
    judge.problem(key, message, hint);
}

/// A prompt must leave its model room to think: bytes by four are tokens, roughly.
fn fits(judge: &mut Judge<'_>, key: &str, readers: Vec<String>, text: &str) {
    let chart = judge.chart;
    let tokens = text.len() as u64 / 4;
    let readers = readers.iter().filter_map(|name| chart.agent(name));
    let windows = readers.filter_map(|agent| {
        let window = model::resolve(chart, &agent.model)?.context;
        (tokens >= window).then_some((&agent.model, window))
    });
    if let Some((model, window)) = windows.min_by_key(|(_, window)| *window) {
        let message = format!(
            "the prompt has about {tokens} tokens, and the model {} holds {window}",
            quoted(model)
        );
        judge.problem(
            key,
            message,
            "shorten it, or give the role a model that holds more",
        );
    }
}

fn template_of(judge: &mut Judge<'_>, key: &str, path: &Path, text: &str, known: &[&str]) {
    for flaw in template::flaws(text, known) {
        let place = format!("{}:{}:{}", path.display(), flaw.line, flaw.column);
        judge.problem(key, format!("{place}: {}", flaw.message), flaw.hint);
    }
}
