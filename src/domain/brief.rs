//! Where things stand, in a few lines for a model: never *keep going*, always what is known.
//!
//! Owns the selection; the sentences around it are in `prompts/brief.md`. Numbers come from the
//! fold, never from anybody's words.

use super::chart::Chart;
use super::disclosure;
use super::event::{RunStatus, Stage, Status};
use super::state::State;
use super::stats::Sample;

/// Most claims listed under one head; the ledger tool has the rest.
const LISTED: usize = 8;

/// The values of the `brief` template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// The baseline and what was promoted.
    pub standing: String,
    /// The champion.
    pub best: String,
    /// Claims under way.
    pub open_claims: String,
    /// Claims that ended badly.
    pub dead_ends: String,
    /// Tasks given to this agent that are open.
    pub assignments: String,
    /// Who of those that report to this agent is on what.
    pub team: String,
}

/// A brief for one agent.
#[must_use]
pub fn brief(chart: &Chart, state: &State, name: &str) -> Brief {
    let metric = &chart.task.metric.name;
    let values: Vec<f64> = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Admission)
        .filter(|run| run.status == RunStatus::Ok)
        .filter_map(|run| run.measured.value)
        .collect();
    let base = Sample::of(&values);
    let withheld = disclosure::withheld(&chart.task);
    let standing = if base.n == 0 {
        "the baseline is not measured yet".to_owned()
    } else if withheld {
        format!(
            "baseline {metric} {}, {} runs",
            disclosure::WITHHELD,
            base.n
        )
    } else {
        format!(
            "baseline {metric} {:.4}, sd {:.4}, {} runs",
            base.mean, base.sd, base.n
        )
    };
    let list = |keep: &dyn Fn(Status) -> bool| {
        let lines: Vec<String> = state
            .hypotheses
            .values()
            .rev()
            .filter(|claim| keep(claim.status))
            .take(LISTED)
            .map(|claim| {
                format!(
                    "h{} {} by {}: {}",
                    claim.id,
                    claim.status.word(),
                    claim.agent,
                    claim.title
                )
            })
            .collect();
        or_none(lines)
    };
    let assignments = state.tasks_of(name).take(LISTED);
    let assignments =
        assignments.map(|task| format!("m{} from {}: {}", task.id, task.from, task.task));
    let assignments = assignments.collect();
    Brief {
        standing,
        best: best(chart, state).unwrap_or_else(|| "nothing has been promoted".to_owned()),
        open_claims: list(&|status| !status.is_exit() && status != Status::Promoted),
        dead_ends: list(&|status| status.is_exit()),
        assignments: or_none(assignments),
        team: team(chart, state, name),
    }
}

/// Who of those that report to an agent is on what.
fn team(chart: &Chart, state: &State, name: &str) -> String {
    let reports = chart.agents.iter();
    let reports = reports.filter(|agent| agent.reports_to.as_deref() == Some(name));
    let lines: Vec<String> = reports
        .map(|agent| format!("{}: {}", agent.name, occupation(state, &agent.name)))
        .collect();
    if lines.is_empty() {
        "nobody reports to you".to_owned()
    } else {
        lines.join("; ")
    }
}

/// What an agent has in hand: open tasks, claims and runs under way.
#[must_use]
pub fn occupation(state: &State, name: &str) -> String {
    let tasks = state.tasks_of(name);
    let tasks = tasks.map(|task| format!("m{} ({})", task.id, task.task));
    let claims = state.hypotheses.values();
    let claims = claims.filter(|claim| claim.agent == name && !claim.is_final());
    let claims = claims.map(|claim| format!("h{} {}", claim.id, claim.status.word()));
    let runs = state.experiments.values();
    let runs = runs.filter(|run| run.agent.as_deref() == Some(name) && run.finished_at.is_none());
    let runs = runs.map(|run| format!("e{} {}", run.id, run.status.word()));
    let all: Vec<String> = tasks.chain(claims).chain(runs).take(LISTED).collect();
    if all.is_empty() {
        "nothing".to_owned()
    } else {
        all.join(", ")
    }
}

/// The champion in words.
fn best(chart: &Chart, state: &State) -> Option<String> {
    let (id, _, commit) = state.promotions.last()?;
    let claim = state.hypotheses.get(id)?;
    let value = if disclosure::withheld(&chart.task) {
        disclosure::WITHHELD.to_owned()
    } else {
        format!("{:.4}", state.value_of(*id)?)
    };
    let (metric, short) = (&chart.task.metric.name, commit.get(..12).unwrap_or(commit));
    let title = &claim.title;
    Some(format!("h{id} ({title}), {metric} {value}, commit {short}"))
}

fn or_none(lines: Vec<String>) -> String {
    if lines.is_empty() {
        "none".to_owned()
    } else {
        lines.join("; ")
    }
}
