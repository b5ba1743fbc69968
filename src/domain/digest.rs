//! What happened since some time, in numbers: for stand-ups, retrospectives and whoever wants to know.
//!
//! Owns the counting. Every number comes from the fold, none from what anybody wrote. Must not know
//! who reads it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::chart::Chart;
use super::disclosure;
use super::event::{RunStatus, Status};
use super::fit;
use super::state::{Experiment, Hypothesis, State};
use super::stats::figure;

/// Most entries under one head; the ledger has the rest.
const LISTED: usize = 12;

/// From when on, and whose.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// The beginning.
    pub since: Timestamp,
    /// The end.
    pub until: Timestamp,
    /// Whose work; none means everybody's.
    pub who: Option<&'a str>,
    /// US dollars that each agent had spent at the beginning.
    pub usd: &'a BTreeMap<String, f64>,
}

/// The values of the `digest` template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Claims that were registered or decided.
    pub tried: String,
    /// Runs without a claim that ended.
    pub runs: String,
    /// What is under way.
    pub open: String,
    /// Dollars and GPU-minutes.
    pub cost: String,
    /// GPU-minutes without a run.
    pub idle: String,
}

/// What happened.
#[must_use]
pub fn digest(chart: &Chart, state: &State, span: Span<'_>) -> Digest {
    let mine = |author: &str| span.who.is_none_or(|who| who == author);
    let claims = || state.hypotheses.values().filter(|it| mine(&it.agent));
    let tried = claims()
        .filter(|claim| claim.since >= span.since || claim.at >= span.since)
        .map(|claim| line(chart, claim));
    let runs = state.experiments.values().filter(|run| {
        let own = run.agent.as_deref().is_some_and(mine);
        own && run.hypothesis.is_none() && run.finished_at.is_some_and(|at| at >= span.since)
    });
    let open = claims().filter(|claim| !claim.is_final());
    let open = open.map(|claim| format!("h{} {}", claim.id, claim.status.word()));
    let waits = state
        .experiments
        .values()
        .filter(|run| run.finished_at.is_none() && run.agent.as_deref().is_some_and(mine));
    let waits = waits.map(|run| format!("e{} {}", run.id, run.status.word()));
    Digest {
        tried: listed(tried),
        runs: listed(runs.map(|run| look(chart, run))),
        open: listed(open.chain(waits)),
        cost: cost(chart, state, span),
        idle: idle(chart, state, span),
    }
}

fn line(chart: &Chart, claim: &Hypothesis) -> String {
    let verdict = claim.verdict.as_ref();
    let effect = verdict.and_then(|verdict| verdict.effect);
    // Where a hidden evaluation decides, agents hear whether it passed and no number of it.
    let effect = effect.filter(|_| !disclosure::withheld(&chart.task));
    let effect = effect.map_or_else(String::new, |effect| {
        let ci = verdict.and_then(|verdict| verdict.ci);
        let ci = ci.map_or_else(String::new, |[lo, hi]| {
            format!(" [{}, {}]", figure(lo), figure(hi))
        });
        format!(", gain {}{ci}", figure(effect))
    });
    format!(
        "h{} {} by {}: {}{effect}",
        claim.id,
        claim.status.word(),
        claim.agent,
        claim.title
    )
}

fn look(chart: &Chart, run: &Experiment) -> String {
    let told = run.status == RunStatus::Ok && !disclosure::withheld(&chart.task);
    let value = run.measured.value.filter(|_| told);
    let value = value.map_or_else(String::new, |value| {
        format!(", {} {}", chart.task.metric.name, figure(value))
    });
    format!("e{} {}{value}: {}", run.id, run.status.word(), run.note)
}

fn cost(chart: &Chart, state: &State, span: Span<'_>) -> String {
    let agents = state.agents.iter();
    let agents = agents.filter(|(name, _)| span.who.is_none_or(|who| who == name.as_str()));
    let usd: f64 = agents
        .map(|(name, agent)| agent.usd - span.usd.get(name).copied().unwrap_or(0.0))
        .sum::<f64>()
        .max(0.0);
    let runs: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.finished_at.is_some_and(|at| at >= span.since))
        .filter(|run| span.who.is_none_or(|who| owner(state, run) == Some(who)))
        .collect();
    let busy: f64 = runs.iter().map(|run| busy(chart, run, span)).sum();
    let promoted = state
        .hypotheses
        .values()
        .filter(|claim| claim.status == Status::Promoted && claim.since >= span.since)
        .filter(|claim| span.who.is_none_or(|who| claim.agent == who));
    format!(
        "${usd:.2} for models, {:.1} GPU-minutes in {} measured runs, {} promoted",
        busy / 60.0,
        runs.len(),
        promoted.count()
    )
}

/// Whose run it is: the asker's, or the author's of the claim that it serves.
fn owner<'s>(state: &'s State, run: &'s Experiment) -> Option<&'s str> {
    let claim = run.hypothesis.and_then(|id| state.hypotheses.get(&id));
    claim.map(|it| it.agent.as_str()).or(run.agent.as_deref())
}

/// GPU seconds that a run's last launch held within a span.
fn busy(chart: &Chart, run: &Experiment, span: Span<'_>) -> f64 {
    let Some(started) = run.started_at else {
        return 0.0;
    };
    let from = started.max(span.since);
    let to = run.finished_at.unwrap_or(span.until).min(span.until);
    to.duration_since(from).as_secs_f64().max(0.0) * f64::from(fit::gpus(chart, run))
}

/// GPU seconds of the run's devices on which no measured run was, and all there were.
#[must_use]
pub fn idle_gpu_s(chart: &Chart, state: &State, since: Timestamp, until: Timestamp) -> (f64, f64) {
    let all = until.duration_since(since).as_secs_f64().max(0.0) * state.gpus.len() as f64;
    let nothing = BTreeMap::new();
    let span = Span {
        since,
        until,
        who: None,
        usd: &nothing,
    };
    let runs = state.experiments.values();
    let used: f64 = runs
        .filter(|run| run.finished_at.is_some() || run.status == RunStatus::Running)
        .map(|run| busy(chart, run, span))
        .sum();
    ((all - used).clamp(0.0, all), all)
}

fn idle(chart: &Chart, state: &State, span: Span<'_>) -> String {
    let (idle, all) = idle_gpu_s(chart, state, span.since, span.until);
    if state.gpus.is_empty() {
        return "the org has no GPU".to_owned();
    }
    format!(
        "{:.1} of {:.1} GPU-minutes without a measured run, on {} GPUs",
        idle / 60.0,
        all / 60.0,
        state.gpus.len()
    )
}

fn listed(lines: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = lines.collect();
    let more = all.len().saturating_sub(LISTED);
    if all.is_empty() {
        return "nothing".to_owned();
    }
    // The newest matter most.
    let mut kept = all.split_off(more);
    if more > 0 {
        kept.insert(0, format!("{more} earlier ones"));
    }
    kept.join("; ")
}
