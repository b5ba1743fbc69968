//! The processes of the org: that they ask somebody, that whoever is asked is there, and that a review
//! is somebody else's.
//!
//! Owns what can be known of a process before anything runs. Must not know what fires it when.

use std::collections::BTreeSet;

use super::Judge;
use super::org::named;
use crate::domain::chart::{Chart, Missed, Party, Process};
use crate::domain::process::{self, is_gate};
use crate::domain::suggest::{meant, quoted};

/// Names of parties that are no agents.
const OTHERS: [&str; 2] = ["human", "all"];
/// What `not` may name beside agents.
const AUTHOR: &str = "author";

pub(super) fn judge(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let people = named(judge) && judge.spans.sound("roles");
    let mut seen = BTreeSet::new();
    for (index, process) in chart.processes.iter().enumerate() {
        let path = format!("processes[{index}]");
        if !seen.insert(process.name.as_str()) {
            let message = format!("two processes are called {}", quoted(&process.name));
            judge.problem(
                &format!("{path}.name"),
                message,
                "give each a name of its own",
            );
        }
        parties(judge, &path, process, people);
        keys(judge, &path, process);
        if people && is_gate(process) {
            gate(judge, &path, process);
        }
    }
}

fn parties(judge: &mut Judge<'_>, path: &str, process: &Process, people: bool) {
    let all = [
        ("from", &process.from),
        ("to", &process.to),
        ("by", &process.by),
    ];
    let mut any = false;
    for (key, party) in all {
        let Some(party) = party else { continue };
        any = true;
        let path = format!("{path}.{key}");
        let there = exists(judge, &path, party, people);
        if there && people && process::members(judge.chart, party, None).is_empty() {
            let message = match party {
                Party::Role { role, .. } => format!("no agent has the role {}", quoted(role)),
                Party::Name(name) => format!("nobody is {}", quoted(name)),
            };
            judge.problem(&path, message, "name a role that some agent has");
        }
        if let Party::Role { not: Some(not), .. } = party {
            left_out(judge, &path, process, not);
        }
    }
    let unread = ["from", "to", "by"];
    if !any
        && unread
            .iter()
            .all(|key| judge.spans.sound(&format!("{path}.{key}")))
    {
        let message = format!("the process {} refers to nobody", quoted(&process.name));
        judge.problem(
            path,
            message,
            "add to = \"chief\", from = { role = \"researcher\" } or by",
        );
    }
    if process.from.is_some() && process.by.is_some() {
        let message = "it has both from, which asks all, and by, which asks one".to_owned();
        judge.problem(&format!("{path}.by"), message, "keep one of the two");
    }
}

/// Whether whom a party names is in the chart.
fn exists(judge: &mut Judge<'_>, path: &str, party: &Party, people: bool) -> bool {
    let chart = judge.chart;
    let roles = chart.roles.keys().map(String::as_str);
    match party {
        Party::Role { role, .. } if !chart.roles.contains_key(role) => {
            let message = format!("there is no role {}", quoted(role));
            judge.problem(path, message, meant(role, roles, "write one of"));
            false
        }
        Party::Name(name) if people => {
            let agents = chart.agents.iter().map(|agent| agent.name.as_str());
            let all = agents.chain(roles).chain(OTHERS);
            if all.clone().any(|one| one == name) {
                return true;
            }
            let message = format!("there is no agent or role {}", quoted(name));
            judge.problem(path, message, meant(name, all, "write one of"));
            false
        }
        Party::Role { .. } | Party::Name(_) => true,
    }
}

/// `not` names whoever a firing is about, or an agent.
fn left_out(judge: &mut Judge<'_>, path: &str, process: &Process, not: &str) {
    let chart = judge.chart;
    let agents = chart.agents.iter().map(|agent| agent.name.as_str());
    let on = process.on.as_deref();
    let about = process::about_claims(process) || matches!(on, Some("agent.replaced" | "idle"));
    if not == AUTHOR && !about {
        let message =
            "not = \"author\" leaves nobody out: the process is about no claim".to_owned();
        judge.problem(
            path,
            message,
            "take not out, or write on = \"hypothesis.confirmed\"",
        );
    } else if not != AUTHOR && !agents.clone().any(|name| name == not) {
        let message = format!("there is no agent {}", quoted(not));
        judge.problem(
            path,
            message,
            meant(not, agents.chain([AUTHOR]), "write one of"),
        );
    }
}

/// Keys that say something only together with others.
fn keys(judge: &mut Judge<'_>, path: &str, process: &Process) {
    let on = process.on.as_deref();
    let of = [
        (
            "fruitless_claims",
            process.fruitless_claims.is_some(),
            "plateau",
        ),
        (
            "fruitless_gpu_hours",
            process.fruitless_gpu_hours.is_some(),
            "plateau",
        ),
        ("idle_for", process.idle_for.is_some(), "idle"),
    ];
    for (key, given, event) in of {
        if given && on != Some(event) {
            let message = format!("{key} is for processes on {event:?}");
            judge.problem(&format!("{path}.{key}"), message, "take it out");
        }
    }
    let nobody_asked = process.from.is_none() && process.by.is_none();
    for (key, given) in [
        ("within", process.within.is_some()),
        ("missed", process.missed.is_some()),
    ] {
        if given && nobody_asked {
            let message = format!("{key} waits for answers, and nobody is asked");
            judge.problem(
                &format!("{path}.{key}"),
                message,
                "add from or by, or take it out",
            );
        }
    }
    if let (Some(within), Some(every)) = (process.within, process.every)
        && within > every
    {
        let message =
            format!("answers are due after {within} s, and the next begins after {every} s");
        judge.problem(
            &format!("{path}.within"),
            message,
            "write a time shorter than every",
        );
    }
    if process.prompt.is_none() && process::built_in_prompt(process).is_none() {
        let message = format!("the process {} has no prompt", quoted(&process.name));
        let hint = "write prompt = \"../prompts/….md\": only stand-ups, reviews, plateaus, \
                    retrospectives and hand-overs have a built-in one";
        judge.problem(path, message, hint);
    }
}

/// Nobody opens a gate for an own claim, and somebody must be there to open it.
fn gate(judge: &mut Judge<'_>, path: &str, process: &Process) {
    let chart = judge.chart;
    let Some(by) = &process.by else { return };
    let path_by = format!("{path}.by");
    let reviewers = process::members(chart, by, None);
    let authors = |name: &String| may_claim(chart, name);
    let leaves_out = matches!(by, Party::Role { not: Some(not), .. } if not == AUTHOR);
    if let [only] = reviewers.as_slice()
        && authors(only)
        && chart
            .agents
            .iter()
            .filter(|agent| may_claim(chart, &agent.name))
            .count()
            == 1
    {
        let message = format!(
            "{} is the only author of claims and would review its own",
            quoted(only)
        );
        judge.problem(
            &path_by,
            message,
            "name somebody else, such as a role without experiment",
        );
    } else if !leaves_out && reviewers.iter().any(authors) {
        let author = reviewers.iter().find(|name| authors(name));
        let message = format!(
            "{} may claim something, and would be asked to review it",
            quoted(author.map_or("", String::as_str))
        );
        let role = match by {
            Party::Role { role, .. } => role.clone(),
            Party::Name(name) => chart.agent(name).map_or(name.clone(), |it| it.role.clone()),
        };
        let hint = format!("write by = {{ role = {role:?}, not = \"author\" }}");
        judge.problem(&path_by, message, hint);
    }
    if process.missed == Some(Missed::Skip) {
        let message = "a review that is skipped where nobody answers is no gate".to_owned();
        judge.problem(
            &format!("{path}.missed"),
            message,
            "write missed = \"nag\" or \"escalate\"",
        );
    }
}

/// Whether an agent is granted what makes claims.
fn may_claim(chart: &Chart, name: &str) -> bool {
    let role = chart
        .agent(name)
        .and_then(|agent| chart.roles.get(&agent.role));
    role.is_some_and(|role| role.tools.iter().any(|tool| tool == "experiment"))
}
