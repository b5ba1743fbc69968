//! The members of the org: that what they name exists, and that no two claim the same.
//!
//! Owns references between agents, roles, models and providers, the tree of reports, homes on GPUs,
//! and prices under a cap. Must not know task or protocol.

use std::collections::{BTreeMap, BTreeSet};

use super::Judge;
use super::rules::listed;
use crate::domain::chart::{Agent, GpuHome, GpuRequest};
use crate::domain::decode::segment;
use crate::domain::suggest::{meant, quoted};

pub(super) fn judge(judge: &mut Judge<'_>) {
    names(judge);
    roles(judge);
    models(judge);
    prices(judge);
    reports(judge);
    cycles(judge);
    limits(judge);
    homes(judge);
}

/// Longest chain of reports: each level waits for the one beneath it, and nothing that a person would
/// call an organisation is deeper.
const DEPTH_MAX: usize = 6;
/// Most agents that report to one: it reads all their letters in one conversation.
const REPORTS_MAX: usize = 64;

/// The agents with the paths of their tables; agents of one table only once.
fn tables<'a>(judge: &Judge<'a>) -> Vec<(String, &'a Agent)> {
    let mut seen = BTreeSet::new();
    let agents = judge.chart.agents.iter().enumerate();
    let firsts = agents.map(|(index, agent)| (judge.spans.agent(index), agent));
    firsts
        .filter(|(path, _)| seen.insert(path.clone()))
        .collect()
}

/// Whether all agents' names could be read, so that a name that is not there is really not there.
pub(super) fn named(judge: &Judge<'_>) -> bool {
    let agents = 0..judge.chart.agents.len();
    judge.spans.sound("agents")
        && agents.into_iter().all(|index| {
            judge
                .spans
                .sound(&format!("{}.name", judge.spans.agent(index)))
        })
}

fn names(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told: BTreeSet<String> = BTreeSet::new();
    for (index, agent) in chart.agents.iter().enumerate() {
        let path = format!("{}.name", judge.spans.agent(index));
        let name = agent.name.as_str();
        if let Some(earlier) = first.get(name) {
            // One table with a count may collide many times; once says it.
            if told.insert(path.clone()) {
                let (line, _) = judge
                    .spans
                    .place(&format!("{}.name", judge.spans.agent(*earlier)));
                let message = format!(
                    "two agents are called {}, the other on line {line}",
                    quoted(name)
                );
                judge.problem(&path, message, "give each agent a name of its own");
            }
            continue;
        }
        first.insert(name, index);
        let members = chart
            .agents
            .iter()
            .any(|other| other.role == name && other.name != name);
        if members && told.insert(path.clone()) {
            let message = format!(
                "mail to {} could mean this agent or its role's members",
                quoted(name)
            );
            judge.problem(&path, message, "give the agent or the role another name");
        }
    }
}

fn roles(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    for (path, agent) in tables(judge) {
        if judge.spans.sound("roles") && !chart.roles.contains_key(&agent.role) {
            let message = format!("there is no role {}", quoted(&agent.role));
            let hint = meant(
                &agent.role,
                chart.roles.keys().map(String::as_str),
                "add it as a table [roles.…], or write one of",
            );
            judge.problem(&format!("{path}.role"), message, hint);
        }
    }
}

/// All models, the built-in ones and the chart's own.
fn all_models<'a>(judge: &Judge<'a>) -> Vec<&'a str> {
    let known = judge.known_models.iter().map(|(name, _)| *name);
    let own = judge.chart.models.keys().map(String::as_str);
    own.chain(known).collect()
}

fn models(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let all = all_models(judge);
    let mut uses: Vec<(String, &str)> = Vec::new();
    for (path, agent) in tables(judge) {
        uses.push((format!("{path}.model"), &agent.model));
    }
    for (name, role) in &chart.roles {
        if let Some(model) = &role.fallback {
            uses.push((format!("{}.fallback", segment("roles", name)), model));
        }
    }
    for (path, model) in uses {
        if judge.spans.sound("models") && !all.contains(&model) {
            let message = format!("there is no model {}", quoted(model));
            let hint = meant(
                model,
                all.iter().copied(),
                "add it as a table [models.…], or write one of",
            );
            judge.problem(&path, message, hint);
        }
    }
    for (name, model) in &chart.models {
        let listed = chart.providers.contains_key(&model.provider);
        if judge.spans.sound("providers") && !listed {
            let path = format!("{}.provider", segment("models", name));
            let message = format!("there is no provider {}", quoted(&model.provider));
            let known = chart.providers.keys().map(String::as_str);
            let hint = meant(
                &model.provider,
                known,
                "add it as a table [providers.…], or write one of",
            );
            judge.problem(&path, message, hint);
        }
    }
    windows(judge);
}

/// A conversation is compacted before its model's window is full, not after.
fn windows(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let mut told = BTreeSet::new();
    for agent in &chart.agents {
        let path = format!("{}.compact_at", segment("roles", &agent.role));
        let window = chart
            .models
            .get(&agent.model)
            .and_then(|model| model.context);
        let (Some(role), Some(window)) = (chart.roles.get(&agent.role), window) else {
            continue;
        };
        if judge.spans.given(&path) && role.compact_at > window && told.insert(path.clone()) {
            let message = format!(
                "compact_at is {} tokens, and the model {} holds {window}",
                role.compact_at,
                quoted(&agent.model)
            );
            judge.problem(
                &path,
                message,
                format!("write compact_at = {window} or less"),
            );
        }
    }
}

/// A cap in dollars cannot be kept without a price.
fn prices(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let everybody = chart.budget.usd.is_some() || chart.budget.usd_per_hour.is_some();
    let all = all_models(judge);
    let mut told = BTreeSet::new();
    for (path, agent) in tables(judge) {
        let role = chart.roles.get(&agent.role);
        let capped =
            everybody || agent.usd.is_some() || role.is_some_and(|role| role.usd.is_some());
        let stand_in = role.and_then(|role| role.fallback.as_deref());
        for model in [Some(agent.model.as_str()), stand_in].into_iter().flatten() {
            let built_in = judge.known_models.iter().any(|(known, _)| *known == model);
            let own = chart.models.get(model);
            let priced = built_in || own.is_some_and(|spec| spec.price.is_some());
            if !capped || priced || !all.contains(&model) || !told.insert(model) {
                continue;
            }
            let cap = match (everybody, agent.usd) {
                (true, _) => "[budget]".to_owned(),
                (false, Some(_)) => path.clone(),
                (false, None) => segment("roles", &agent.role),
            };
            let message = format!(
                "{cap} caps dollars, and the model {} has no price",
                quoted(model)
            );
            let hint = "add price = { input = 0.0, output = 0.0 } to the model, in dollars per million tokens";
            judge.problem(&segment("models", model), message, hint);
        }
    }
}

fn reports(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    if !named(judge) {
        return;
    }
    // All of them: of several in one table, each may report to another.
    let mut told = BTreeSet::new();
    for (index, agent) in chart.agents.iter().enumerate() {
        let Some(boss) = &agent.reports_to else {
            continue;
        };
        let path = format!("{}.reports_to", judge.spans.agent(index));
        if chart.agent(boss).is_none() && told.insert(path.clone()) {
            let message = format!("there is no agent {}", quoted(boss));
            let known = chart.agents.iter().map(|agent| agent.name.as_str());
            let others = known.filter(|name| *name != agent.name);
            let hint = meant(boss, others, "leave it out, or write one of");
            judge.problem(&path, message, hint);
        }
    }
}

/// How deep and how wide an org may be.
fn limits(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    if !named(judge) {
        return;
    }
    let mut reports: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut deep, mut wide) = (false, BTreeSet::new());
    for (index, agent) in chart.agents.iter().enumerate() {
        let Some(boss) = agent.reports_to.as_deref() else {
            continue;
        };
        let path = format!("{}.reports_to", judge.spans.agent(index));
        let count = reports.entry(boss).or_insert(0);
        *count += 1;
        if *count > REPORTS_MAX && wide.insert(boss) {
            let message = format!("more than {REPORTS_MAX} agents report to {}", quoted(boss));
            judge.problem(
                &path,
                message,
                "put somebody in between, or make it two orgs",
            );
        }
        let chain = std::iter::successors(Some(agent), |it| chart.agent(it.reports_to.as_deref()?));
        let levels = chain.take(DEPTH_MAX + 2).count();
        // A circle is as deep as one likes, and was told.
        let circle = levels > DEPTH_MAX + 1 && !judge.problems.is_empty();
        if levels > DEPTH_MAX && !deep && !circle {
            deep = true;
            let message = format!(
                "{} is more than {DEPTH_MAX} levels deep in the org",
                quoted(&agent.name)
            );
            judge.problem(&path, message, "let it report to somebody higher up");
        }
    }
}

fn cycles(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let bosses: BTreeMap<&str, &str> = chart
        .agents
        .iter()
        .filter_map(|agent| Some((agent.name.as_str(), agent.reports_to.as_deref()?)))
        .collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for (index, agent) in chart.agents.iter().enumerate() {
        let mut way = vec![agent.name.as_str()];
        while let Some(boss) = way.last().and_then(|last| bosses.get(last)) {
            if done.contains(boss) {
                break;
            }
            if let Some(start) = way.iter().position(|name| name == boss) {
                let mut circle = way[start..].to_vec();
                circle.push(boss);
                let path = format!("{}.reports_to", judge.spans.agent(index));
                let message = if circle.len() == 2 {
                    format!("{} reports to itself", quoted(boss))
                } else {
                    format!("reports_to goes in a circle: {}", circle.join(" → "))
                };
                judge.problem(
                    &path,
                    message,
                    "let one of them report to somebody else, or to nobody",
                );
                break;
            }
            way.push(boss);
        }
        done.extend(way);
    }
}

fn homes(judge: &mut Judge<'_>) {
    let chart = judge.chart;
    let request = &chart.compute.gpus;
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for (index, agent) in chart.agents.iter().enumerate() {
        let path = format!("{}.gpu", judge.spans.agent(index));
        let (home, known) = match &agent.gpu {
            GpuHome::None | GpuHome::Auto => continue,
            GpuHome::Index(index) => (
                index.to_string(),
                match request {
                    GpuRequest::Indices(indices) => indices.contains(index),
                    GpuRequest::Simulate(count) => index < count,
                    GpuRequest::Auto | GpuRequest::Uuids(_) => true,
                },
            ),
            GpuHome::Uuid(uuid) => (
                uuid.clone(),
                match request {
                    GpuRequest::Uuids(uuids) => uuids.contains(uuid),
                    GpuRequest::Simulate(_) => false,
                    GpuRequest::Auto | GpuRequest::Indices(_) => true,
                },
            ),
        };
        if !known && told.insert(path.clone()) {
            let message = format!("the GPU {home} is not in compute.gpus");
            judge.problem(&path, message, "add it there, or write gpu = \"auto\"");
        }
        match taken.get(&home) {
            Some(other) if told.insert(path.clone()) => {
                let message = format!(
                    "the GPU {home} is home to both {} and {}",
                    quoted(other),
                    quoted(&agent.name)
                );
                judge.problem(&path, message, "give each its own, or write gpu = \"auto\"");
            }
            Some(_) => {}
            None => {
                taken.insert(home, &agent.name);
            }
        }
    }
    let wanting = chart
        .agents
        .iter()
        .filter(|agent| agent.gpu != GpuHome::None)
        .count();
    if let Some(listed) = listed(request).filter(|listed| wanting > *listed) {
        let message =
            format!("{wanting} agents have a GPU of their own, and compute.gpus has {listed}");
        judge.problem(
            "compute.gpus",
            message,
            "list more GPUs, or leave gpu out of some agents",
        );
    }
}
